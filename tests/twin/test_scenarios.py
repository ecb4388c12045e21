"""Scenarios: their documents, their chance, and what may and may not differ between two arms."""

import json
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from onhand.cli import build
from onhand.incidents.model import Kind
from onhand.incidents.playbooks.store import shipped as playbooks
from onhand.twin.scenarios import chance
from onhand.twin.scenarios.chance import Chance, normal, poisson
from onhand.twin.scenarios.compare import FEW, Pair, averages, measured
from onhand.twin.scenarios.document import OTHERS, SHIPPED, parse, shipped, text_of
from onhand.twin.scenarios.knowing import informed
from onhand.twin.scenarios.manual import Manual
from onhand.twin.scenarios.responding import Auto
from onhand.twin.scenarios.world import STEPS_A_DAY, WARM_UP_DAYS, Off, World

SMALL = {"days": 3, "orders_per_day": 50, "items": 24}


def small(name="carrier_strike", **changes):
    given = shipped(name).model_dump() | SMALL | {"events": _soon(name)} | changes
    made, found = parse(_json(given))
    assert made is not None, found
    return made


def _soon(name):
    """Its events, early enough for a short run, and small enough for its items."""
    events = [event.model_dump() for event in shipped(name).events]
    return [e | {"from_day": 1.0} | ({"items": min(e["items"], 24)} if "items" in e else {}) for e in events]


def _json(value):
    return json.dumps(value)


# Chance -------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 18), st.lists(st.integers(0, 10**9), min_size=1, max_size=4))
def test_a_draw_is_that_of_its_numbers_however_it_is_asked_for(seed, matter, numbers):
    luck = Chance(seed)
    alone = luck.at(matter, *numbers)
    many = luck.many(matter, *[np.array([7, n, 9]) for n in numbers])
    assert many[1] == alone
    assert 0 < alone < 1
    assert Chance(seed + 1).at(matter, *numbers) != alone


def test_draws_are_even_and_do_not_depend_on_each_other():
    luck = Chance(5)
    u = luck.many(chance.DEMAND, np.arange(300)[:, None], np.arange(300))
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.001
    for other in (
        np.roll(u, 1, axis=0),
        np.roll(u, 1, axis=1),
        luck.many(chance.CITY, np.arange(300)[:, None], np.arange(300)),
    ):
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 0.015


def test_more_is_wanted_where_the_mean_is_higher_never_less():
    u = Chance(1).many(chance.DEMAND, np.arange(20_000))
    few, many = poisson(u, np.full(20_000, 2.0)), poisson(u, np.full(20_000, 2.5))
    assert (many >= few).all()
    assert few.mean() == pytest.approx(2.0, abs=0.04)
    assert few.var() == pytest.approx(2.0, abs=0.1)
    z = normal(u)
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)


# Documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_those_that_come_with_the_package_are_sound(name):
    scenario, found = parse(text_of(name))
    assert found == []
    assert scenario.name == name
    assert scenario.events
    assert scenario.playbooks


def test_what_is_wrong_has_its_line_and_a_remedy(tmp_path):
    text = (
        "name: mine\ndescription: x\ndays: 10\nevents:\n  - {kind: carrier_dely, carrier: swift}\n"
        "  - kind: demand_surge\n    factor: 0\n  - {kind: node_slow, from_day: 12, share: 0.5}\n"
    )
    scenario, found = parse(text)
    assert scenario is None
    assert [(f.line, f.path) for f in found] == [(5, "events[0]"), (7, "events[1].factor")]
    assert "carrier_delay" in found[0].remedy
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("dely", "delay").replace("factor: 0", "factor: 2"))
    done = CliRunner().invoke(build(), ["twin", "lint", str(file)])
    assert done.exit_code == 1
    assert "mine.yaml:8:" in done.output
    assert "begins after the 10 days that are counted; begin earlier, or add days" in done.output
    assert "changes nothing; say delay_days, or lost" in done.output
    assert CliRunner().invoke(build(), ["twin", "lint", str(tmp_path / "none.yaml")]).exit_code == 2
    (tmp_path / "sound.yaml").write_text(text_of("viral_item"))
    assert CliRunner().invoke(build(), ["twin", "lint", str(tmp_path / "sound.yaml")]).exit_code == 0


def test_scenarios_are_listed_and_shown():
    listed = CliRunner().invoke(build(), ["twin", "list"]).output
    assert all(name in listed for name in SHIPPED)
    assert CliRunner().invoke(build(), ["twin", "show", "viral_item"]).output == text_of("viral_item")
    assert CliRunner().invoke(build(), ["twin", "show", "mood"]).exit_code != 0


# Arms ---------------------------------------------------------------------------------------------


class Wild:
    """Does what it can, sensible or not."""

    def __init__(self):
        self.turn = 0

    def see_orders(self, seen, hands):
        for order in list(seen.placed)[-3:]:
            hands.hold(order)

    def respond(self, seen, hands):
        self.turn += 1
        items = seen.shop.items
        for queue in seen.queues:
            some = list(queue)[::2]
            hands.move(
                some, carrier=self.turn % 2, late_now=np.ones(len(some)), delays=np.zeros((20, 2)), gain_min_minor=-1e9
            )
        hands.cap(self.turn % 20, 3.0)
        hands.quarantine(self.turn % items, 5)
        hands.count((self.turn + 3) % items, 6)
        hands.expedite(self.turn % items, 9)
        hands.hold_back(1, np.full(items, self.turn % 5))
        hands.delay_promises(np.full((20, 2), 0.5))
        hands.close(np.arange(items) % 12 == self.turn % 12)
        for order in list(seen.waiting):
            hands.substitute(order)
        for order in list(seen.placed)[-2:]:
            hands.tell(order, seen.day + 9)
        hands.set_price(np.full(items, 1.0 + 0.02 * (self.turn % 5)))


class Recorded(World):
    """Writes down what chance was asked for and said."""

    def __init__(self, *arguments):
        self.said = {}
        super().__init__(*arguments)

    def _transit(self, parcel, shipped):
        days = super()._transit(parcel, shipped)
        self.said["transit", parcel.order.key, parcel.attempt, parcel.carrier, parcel.band] = (
            days is None if days is None else float(self.shop.quantiles[parcel.carrier, parcel.band, 0])
        )
        return days


def test_what_one_arm_does_shifts_no_draw_of_the_other():
    scenario = small(events=[])
    off, wild = (Recorded(scenario, 3, responder) for responder in (Off(), Wild()))
    outcomes = [world.run() for world in (off, wild)]
    # Whoever comes, comes to both; what they buy may differ.
    assert outcomes[0].wanted == outcomes[1].wanted
    # Of listings that are closed nobody hears who came.
    assert (off._seen.wanted >= wild._seen.wanted).all()
    keys = [{o.key: o for o in world.orders} for world in (off, wild)]
    both = keys[0].keys() & keys[1].keys()
    assert len(both) > 100
    for key in both:
        a, b = keys[0][key], keys[1][key]
        assert (a.lines, a.city, a.channel, a.day) == (b.lines, b.city, b.channel, b.day)
    # The same parcel of the same order takes as long, if the same carrier brings it as far.
    same = off.said.keys() & wild.said.keys()
    assert len(same) > 50
    assert all(off.said[key] == wild.said[key] for key in same)
    assert wild.outcome.acted["moved"] > 20, "else it was not wild"


def test_equal_seeds_are_equal_worlds_and_others_are_not():
    scenario = small()
    first, again = (World(scenario, 1, Auto()).run() for _ in range(2))
    assert first == again
    assert first.wanted != World(scenario, 2, Off()).run().wanted


def test_no_unit_is_made_or_lost():
    """Records say more than shelves hold only by what was taken away from the shelves, never less."""

    class Checked(World):
        def _work(self, step):
            super()._work(step)
            allocated = np.zeros_like(self._true)
            held = [parcel for _, _, parcels in self._holds for parcel in parcels]
            for node, queue in enumerate(self.queues):
                for parcel in [*queue, *(p for p in held if p.node == node)]:
                    for item, units in parcel.lines:
                        allocated[item, node] += units
            recorded = self.stock.available[1:, 1:] + self._seen.hidden + allocated
            assert (self._true >= 0).all()
            assert (recorded >= self._true).all(), "a shelf never has more than its record"
            sound = [k for k in range(20) if k < 4]
            if self.day < WARM_UP_DAYS:
                assert (recorded == self._true)[:, sound].all(), "in warehouses nothing vanishes"

    everything = [event for name in SHIPPED for event in _soon(name)]
    world = Checked(small(events=everything, days=5), 1, Auto())
    outcome = world.run()
    assert outcome.rejections > 5, "else it shows little"
    assert outcome.acted["moved"] + outcome.acted["expedited units"] > 5


def test_nobody_sees_what_is_only_true():
    """A detector that is shown a world whose truth differs from now on says the same now."""
    scenario = small("store_phantoms", events=[])
    later = small("store_phantoms", events=[{"kind": "phantoms", "from_day": 2.0, "share": 0.5}])
    heard = []
    for s in (scenario, later):
        found = []

        class Listening(Auto):
            def respond(self, seen, hands):
                super().respond(seen, hands)
                if seen.day <= WARM_UP_DAYS + 2:
                    found.append(self.watcher.incidents)  # noqa: B023

        World(s, 2, Listening()).run()
        heard.append(found)
    assert heard[0] == heard[1]
    assert len(heard[0]) == 2 * STEPS_A_DAY + 1


def test_a_strike_is_found_as_one_incident_and_answered():
    found = []

    class Listening(Auto):
        def respond(self, seen, hands):
            super().respond(seen, hands)
            found.extend(
                (seen.day - WARM_UP_DAYS, i)
                for i in self.watcher.incidents
                if i.kind is Kind.LANE_SLOW and not i.closed_at
            )

    events = [
        {"kind": "carrier_delay", "from_day": 1, "days": 6, "carrier": "northpost", "delay_days": 4, "lost": 0.01}
    ]
    scenario = small(days=7, orders_per_day=200, items=40, events=events)
    auto, off = World(scenario, 1, Listening()).run(), World(scenario, 1, Off()).run()
    wide = [(day, i) for day, i in found if i.cause.what == "carrier"]
    assert wide, "no incident of the carrier"
    day, incident = wide[0]
    assert incident.cause.key == ("northpost",)
    assert 1 < day < 5, "not before it can be seen, and not when it is over"
    assert incident.opened_at - incident.since < timedelta(days=20)
    assert auto.late < 0.6 * off.late


# Playbooks --------------------------------------------------------------------------------------


def test_every_playbook_that_ships_has_its_scenario():
    named = {name for scenario in SHIPPED for name in shipped(scenario).playbooks}
    assert named == set(playbooks())
    _, found = parse(text_of("wrong_prices").replace("price-outlier", "price-outliers"))
    assert [(f.severity, f.path) for f in found] == [("warning", "playbooks[0]")]


def test_an_unknown_playbook_is_told_of():
    _, found = parse("name: x\ndescription: x\nplaybooks: [shipment-lost]\n")
    assert [(f.severity, f.line, "shipment-late" in f.remedy) for f in found] == [("warning", 3, True)]


BETTER = {
    "double_clicks": lambda outcome: outcome.unwanted,
    "deaf_marketplace": lambda outcome: outcome.cancelled_orders,
    "wrong_prices": lambda outcome: -outcome.dearer,
    "stray_parcels": lambda outcome: outcome.untold,
    "forgetful_nodes": lambda outcome: outcome.cancelled_orders,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_goes_wrong_is_found_and_answered_by_its_playbook(name):
    """With what goes wrong its playbook is used, without it hardly ever; and what it is for becomes less."""
    events = [e.model_dump() | {"from_day": 1.0} for e in shipped(name).events]
    if name in ("stray_parcels", "forgetful_nodes"):  # few orders in few days
        events[0] |= {"share": {"stray_parcels": 0.02, "forgetful_nodes": 0.5}[name]}
    scenario = small(name, events=events, days=5, orders_per_day=120, items=40)
    manual = Manual()
    auto = World(scenario, 4, Auto(manual)).run()
    off = World(scenario, 4, Off()).run()
    assert set(shipped(name).playbooks) <= manual.used
    before, after = BETTER[name](off), BETTER[name](auto)
    assert before > 0, "nothing went wrong"
    assert after < before
    assert auto.cancelled_orders <= off.cancelled_orders


@pytest.mark.parametrize(
    ("playbook", "was", "now", "act"),
    [
        ("phantom-stock", "limit: {units: 500}", "limit: {units: 0}", "quarantined"),
        ("inbound-late", "limit: {money_minor: 500000}", "limit: {money_minor: 0}", "expedited units"),
        ("demand-spike", "when: incident.confidence >= 0.7", "active: false\nwhen: incident.confidence >= 0.7", ""),
        ("stuck-order", "limit: {orders: 100, money_minor: 50000}", "limit: {orders: 0}", "moved"),
    ],
)
def test_limits_are_those_of_the_playbooks_that_ship(playbook, was, now, act):
    texts = dict(playbooks())
    assert was in texts[playbook]
    texts[playbook] = texts[playbook].replace(was, now)
    if not act:  # the step is looked up when there is a spike, whatever the playbook
        with pytest.raises(LookupError, match="demand_spike"):
            Auto(Manual(texts))
        return
    events = [e for name in ("store_phantoms", "supplier_late", "forgetful_nodes") for e in _soon(name)]
    scenario = small(events=events, days=4, orders_per_day=100, cover_days=1)
    done = [World(scenario, 5, Auto(manual)).run().acted[act] for manual in (Manual(), Manual(texts))]
    assert done[0] > 0
    assert done[1] == 0


def test_who_is_told_the_truth_hides_all_that_is_not_there_and_nothing_else():
    scenario = small("store_phantoms", days=3)
    world = informed(scenario, 3)
    wrong = []

    class Looking(type(world.responder)):
        def respond(self, seen, hands):
            before = seen.hidden.copy()
            super().respond(seen, hands)
            wrong.append(int(((seen.hidden > before) & (world._true > 0)).sum()))

    world.responder.__class__ = Looking
    informed_outcome, off = world.run(), World(scenario, 3, Off()).run()
    assert informed_outcome.rejections < 0.4 * off.rejections
    assert max(wrong) == 0


# Comparing ----------------------------------------------------------------------------------------


def test_differences_are_paired_and_what_cannot_be_gained_has_no_share():
    pairs = [
        Pair(
            seed=n, acted={}, off={"late": 100.0 + n, "cancelled": 1.0, "lost_margin": 1000.0},
            auto={"late": 50.0 + n, "cancelled": 0.0, "lost_margin": 1100.0},
        )
        for n in range(4)
    ]  # fmt: skip
    late, cancelled, lost = measured("x", pairs)
    assert (late.difference, late.half_width) == (-50.0, 0.0), "the seeds differ, the arms differ by 50 in each"
    assert late.share == pytest.approx(-50 / 101.5)
    assert cancelled.off < FEW
    assert cancelled.share is None
    assert lost.is_worse
    assert averages([late, cancelled, lost]).keys() == {"late", "lost_margin"}
    with pytest.raises(ValueError, match="two or more"):
        measured("x", pairs[:1])


@settings(max_examples=20)
@given(st.integers(2, 25))
def test_intervals_are_wider_for_fewer_seeds(n):
    rng = np.random.default_rng(0)
    gains = rng.normal(0, 10, 26)

    def half(count):
        some = [
            Pair(seed=k, acted={}, off=dict.fromkeys(("late", "cancelled", "lost_margin"), 50.0),
                 auto=dict.fromkeys(("late", "cancelled", "lost_margin"), 50.0 + gains[k])) for k in range(count)
        ]  # fmt: skip
        return measured("x", some)[0].half_width

    assert half(n) > 0
    assert half(26) < half(2)


def test_the_command_prints_both_arms(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ndescription: A small one.\ndays: 3\norders_per_day: 40\nitems: 20\n")
    done = CliRunner().invoke(build(), ["twin", "run", "--scenario", str(file), "--seeds", "2"])
    assert done.exit_code == 0, done.output
    assert "lost margin" in done.output
    assert "mine, 2 seeds" in done.output
