"""Campaigns in networks of which it is known by construction what gives way first, and when."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import campaign, demand, network, world

from onhand.planning.campaigns.assess import Assessor, assess
from onhand.planning.campaigns.baskets import Pool, draw_baskets, make_orders
from onhand.planning.campaigns.demand import draw_paths, with_campaign
from onhand.planning.campaigns.model import Settings
from onhand.planning.campaigns.remedy import Means, cure

PLENTY = {(sku, node): 100_000 for sku in ("MUG", "BOWL", "PLATE") for node in ("NORTH", "SOUTH")}
USUAL = {"MUG": 4.0, "BOWL": 3.0, "PLATE": 3.0}
QUICK = Settings(paths=24, seed=3)


def short_of_mugs(units: int) -> dict[tuple[str, str], int]:
    return {**PLENTY, ("MUG", "NORTH"): units, ("MUG", "SOUTH"): units}


def judged(known, *, uplift=2.0, sigma=0.1, settings=QUICK, **more):
    outlook = demand(known, USUAL)
    return assess(world(known), outlook, campaign(outlook, uplift=uplift, sigma=sigma, **more), settings)


# What gives way first -------------------------------------------------------------------------------------------------


def test_with_plenty_of_everything_nothing_breaks():
    found, assessor = judged(network(stock=PLENTY))
    assert found.can_serve
    assert found.is_most and found.scale == QUICK.uplift_max
    assert found.plan.breaks == ()
    assert found.plan.late_share == 0
    assert np.all(found.plan.fill == 1)
    assert cure(assessor, Means()) is None
    # Four mugs a day and two times as many besides, on five of the days.
    assert found.plan.orders - found.without.orders == pytest.approx(5 * 8, rel=0.1)


def test_a_node_without_room_breaks_first():
    """Ten orders a day, half of them northern, and eight more from the fourth day on: nine a day where six are done.
    Three a day are left over, and an order may wait for some two days: twelve wait on the seventh day."""
    found, _ = judged(network(stock=PLENTY, capacity={"NORTH": 6}))
    first = found.plan.breaks[0]
    assert (first.kind, first.what) == ("node", "NORTH")
    assert abs(first.day - 6) <= 1
    assert first.without == 0
    assert not found.can_serve and 0 < found.scale < 1


def test_a_carrier_that_takes_few_parcels_breaks_first():
    found, _ = judged(network(stock=PLENTY, parcels=6), uplift=2.5)
    first = found.plan.breaks[0]
    assert first.kind == "carrier"
    assert first.what.startswith("post parcel at ")
    assert not found.can_serve


def test_a_lane_that_takes_few_parcels_breaks_first():
    """All mugs lie in the north, from where a lane takes nine parcels a day."""
    found, _ = judged(network(stock={**PLENTY, ("MUG", "SOUTH"): 0}, lane=9), uplift=2.0)
    first = found.plan.breaks[0]
    assert first.kind == "carrier" and "at " not in first.what
    assert first.what.startswith("post parcel ") and first.without < 0.2


def test_an_item_runs_out_on_the_day_that_its_units_say():
    """60 mugs: 12 are sold before the campaign and 12 on each of its days, so those of the last day are not there."""
    known = network(stock=short_of_mugs(30))
    found, _ = judged(known)
    first = found.plan.breaks[0]
    assert (first.kind, known.catalogue.skus[int(first.what)]) == ("item", "MUG")
    assert abs(first.day - 7) <= 1
    assert first.first > 0.8
    assert np.nanmin(found.plan.fill[:5]) > 0.95 > np.nanmin(found.plan.fill)


def test_inbound_decides_by_its_date():
    early, late = (
        judged(network(stock=short_of_mugs(25), inbound=[("MUG", n, 2000, day) for n in ("NORTH", "SOUTH")]))[0]
        for day in (3.0, 9.0)
    )
    assert early.can_serve and early.plan.breaks == ()
    assert not late.can_serve and late.plan.breaks[0].kind == "item"
    # What arrives on the tenth day serves those who come then.
    assert late.plan.fill[10] == 1 > late.plan.fill[6]


def test_the_day_is_foretold_of_a_path_that_was_not_looked_at():
    """The break day of one drawn future lies within a day of the one foretold in eight of ten worlds or more."""
    hits = 0
    for seed in range(10):
        known = network(stock=short_of_mugs(26 + 2 * (seed % 3)))
        found, _ = judged(known, settings=replace(QUICK, seed=seed))
        outlook = demand(known, USUAL)
        truth = Assessor(
            world(known), outlook, campaign(outlook, uplift=2.0, sigma=0.1), replace(QUICK, paths=1, seed=1000 + seed)
        )
        truth.without()
        resource, day, _ = truth.served(0, 1.0).broken
        assert len(resource)
        hits += abs(int(day.min()) - found.plan.breaks[0].day) <= 1
    assert hits >= 8


# Remedies -------------------------------------------------------------------------------------------------------------


def test_what_is_short_is_bought_in_time_and_the_solver_agrees():
    known = network(stock=short_of_mugs(40))
    found, assessor = judged(known, sigma=0.2)
    assert not found.can_serve
    done = cure(assessor, Means(buy_days=4, spread_minor=None))
    assert done is not None and done.risk <= QUICK.risk_max < found.plan.risk
    assert {r.doing for r in done.remedies} == {"buy"}
    for r in done.remedies:
        assert r.item == known.catalogue.ids["MUG"]
        assert 0 <= r.start_by == r.before - 4
        # Later than it is needed would be no remedy; much sooner, idle stock.
        assert 4 <= r.before <= 9


def test_inbound_is_brought_forward_where_that_is_cheaper_than_buying():
    known = network(stock=short_of_mugs(25), inbound=[("MUG", n, 500, 9.0) for n in ("NORTH", "SOUTH")])
    _, assessor = judged(known)
    done = cure(assessor, Means(buy_minor=500.0, buy_days=3, spread_minor=None))
    assert done is not None and {r.doing for r in done.remedies} == {"expedite"}
    assert all(2 <= r.before < 9 for r in done.remedies)
    assert sum(r.units for r in done.remedies) <= 1000


def test_stock_goes_to_where_there_is_room():
    known = network(stock={**PLENTY, ("MUG", "NORTH"): 500, ("MUG", "SOUTH"): 0}, capacity={"NORTH": 9})
    found, assessor = judged(known)
    assert (found.plan.breaks[0].kind, found.plan.breaks[0].what) == ("node", "NORTH")
    done = cure(assessor, Means(overtime_minor=None, spread_minor=None))
    assert done is not None and done.risk < found.plan.risk
    north, south = known.compiled.node_ids["NORTH"], known.compiled.node_ids["SOUTH"]
    assert {(r.doing, r.source, r.node) for r in done.remedies} == {("transfer", north, south)}
    assert sum(r.units for r in done.remedies) <= 500


# What always holds ----------------------------------------------------------------------------------------------------


@settings(max_examples=4, deadline=None)
@given(st.integers(20, 60), st.integers(1, 30), st.integers(0, 3))
def test_more_stock_never_lowers_the_largest_uplift(units, more, seed):
    few, many = (
        judged(network(stock=short_of_mugs(n)), settings=replace(QUICK, seed=seed))[0] for n in (units, units + more)
    )
    assert many.scale >= few.scale


@settings(max_examples=4, deadline=None)
@given(st.integers(5, 12), st.integers(1, 6), st.integers(0, 3))
def test_more_room_never_lowers_the_largest_uplift(room, more, seed):
    few, many = (
        judged(network(stock=PLENTY, capacity={"NORTH": n, "SOUTH": n}), settings=replace(QUICK, seed=seed))[0]
        for n in (room, room + more)
    )
    assert many.scale >= few.scale


@settings(max_examples=4, deadline=None)
@given(st.integers(20, 60), st.floats(0, 3), st.floats(0, 3))
@example(21, 1.5, 1.4375)
def test_more_uplift_never_fills_more(units, one, other):
    known = network(stock=short_of_mugs(units))
    outlook = demand(known, USUAL)
    assessor = Assessor(world(known), outlook, campaign(outlook, uplift=1.0, sigma=0.1), QUICK)
    assessor.without()
    low, high = sorted([one, other])
    for path in range(0, assessor.count, 10):
        few, many = assessor.served(path, low), assessor.served(path, high)
        fill = [float(s.served[0].sum() / s.asked[0].sum()) for s in (few, many)]
        assert fill[1] <= fill[0] + 1e-12
        # Orders, not their share: one more that is served lowers that.
        assert many.late.sum() >= few.late.sum()


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 4), st.floats(0, 4), st.integers(0, 50))
def test_orders_of_a_smaller_uplift_are_among_those_of_a_larger_one(one, other, path):
    known = network(stock=PLENTY)
    outlook = demand(known, USUAL)
    plan = campaign(outlook, uplift=1.0, taken=np.array([1.0, 0.8, 0.9]))
    pool = Pool(world(known), outlook, None)
    units = draw_paths(outlook, 51, 1).units[path]
    lines = draw_baskets(pool, units, path, 1)
    mugs: list[set[tuple[int, float]]] = []
    for scale in sorted([one, other]):
        wanted = with_campaign(units, 0.3, path, outlook, plan, scale)
        made = make_orders(pool, lines, wanted, path, 1)
        asked = made.history.orders
        got = np.zeros(units.shape)
        np.add.at(got, (pool.row_of[asked.item], made.day[made.owner]), asked.units)
        assert np.array_equal(got, wanted)
        of = asked.item == known.catalogue.ids["MUG"]
        rows = made.owner[of]
        mugs.append({*zip(made.template[rows].tolist(), made.history.placed[rows].tolist(), strict=True)})
    assert mugs[0] <= mugs[1]


def test_the_same_seed_gives_the_same_answer():
    known = network(stock=short_of_mugs(30))
    assert judged(known)[0].plan.breaks == judged(known)[0].plan.breaks
    assert judged(known)[0].scale == judged(known)[0].scale


def test_fewer_paths_are_decided_where_there_are_many_orders():
    known = network(stock=PLENTY)
    outlook = demand(known, USUAL)
    plan = campaign(outlook, uplift=1.0)
    few = Assessor(world(known), outlook, plan, Settings(paths=500, orders_max=70_000))
    every = Assessor(world(known), outlook, plan, Settings(paths=500))
    assert (few.count, every.count) == (100, 500)
    # They are spread over what all of them ask for.
    span = slice(plan.first, plan.last + 1)
    sums = [a.paths.units[:, 0, span].sum(axis=1) for a in (few, every)]
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(sums[0], share) == pytest.approx(np.quantile(sums[1], share), abs=1)


def test_a_forecast_that_ends_too_soon_is_told():
    known = network(stock=PLENTY)
    outlook = demand(known, USUAL, days=6)
    with pytest.raises(ValueError, match="last day of the campaign"):
        assess(world(known), outlook, campaign(outlook, uplift=1.0), QUICK)


def test_others_lose_while_it_lasts_and_its_items_afterwards():
    known = network(stock=PLENTY)
    outlook = demand(known, USUAL, days=20)
    plan = campaign(
        outlook, uplift=1.0, first=5, last=9, taken=np.array([1.0, 0.5, 1.0]), dip=np.array([0.6]), dip_days=4
    )
    units = np.full((3, 20), 1000)
    wanted = with_campaign(units, 0.0, 0, outlook, plan, 1.0)
    promoted, loser, bystander = wanted
    # Of the forecast, four a day, as much again for each unit that the path has more of: 1,000 on top of 1,000.
    assert promoted[5:10].tolist() == [2000] * 5
    assert promoted[10:14].tolist() == [600] * 4
    assert loser[5:10].tolist() == [500] * 5
    assert np.all(np.delete(promoted, range(5, 14)) == 1000) and np.all(np.delete(loser, range(5, 10)) == 1000)
    assert np.all(bystander == 1000)
    assert np.array_equal(with_campaign(units, 0.0, 0, outlook, plan, 0.0), units)
    early = replace(plan, profile=np.array([2.0, 1.0, 1.0, 1.0, 0.0]))
    assert with_campaign(units, 0.0, 0, outlook, early, 1.0)[0, 5:10].tolist() == [3000, 2000, 2000, 2000, 1000]


# By node and day ------------------------------------------------------------------------------------------------------


def test_what_nodes_are_asked_adds_up_and_shows_where_it_is_short():
    """Mugs of the north run out; the day of the whole network is that of its nodes together."""
    found, assessor = judged(network(stock=short_of_mugs(30)))
    asked, filled = found.at_nodes
    day = slice(found.campaign.first, found.campaign.last + 1)
    assert np.all((filled <= asked + 1e-9) & (filled >= 0))
    assert filled.sum(axis=0)[day] / asked.sum(axis=0)[day] == pytest.approx(found.plan.fill[day])
    assert asked[0].sum() == 0, "everybody is near a node"
    assert np.count_nonzero(asked[:, day].sum(axis=1)) == 2
    assert (
        (filled[1:] / asked[1:])[:, found.campaign.last].max()
        < 0.5
        < (filled[1:] / asked[1:])[:, found.campaign.first].min()
    )
    assert len(assessor.paths.effect) == QUICK.paths
