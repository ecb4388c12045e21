"""What an order costs, without a database."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from onhand.costs.decide import apportion, costs_of
from onhand.costs.model import CostedFulfilment, CostedLine, CostedOrder, CostedShipment, CostedUnit
from onhand.costs.prices import lateness_of
from onhand.sourcing.policies.model import PolicyIn

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
MONEY = ("shipping", "handling")


@given(st.integers(-10_000, 10_000), st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any))
def test_shares_add_up_and_none_is_a_unit_from_its_part(total, weights):
    shares = apportion(total, weights)
    assert sum(shares) == total
    assert all(abs(share - total * w / sum(weights)) < 1 for share, w in zip(shares, weights, strict=True))


def fulfilment(number, units, *, released=0, plan_no=None, cost=900, shipped=True):
    return CostedFulfilment(
        number=number, plan_no=plan_no or number, node_id=number, carrier="dhl", ship_by=AT + timedelta(days=1),
        deliver_by=AT + timedelta(days=4), parcels=1, reason="not_found" if released else None,
        terms={"shipping": cost, "handling": 100, "lateness": 7}, planned_at=AT,
        units=[CostedUnit(line_no=1, item_id=1, planned=units, released=released, shipped=units - released)],
        shipments=[CostedShipment(number=number, carrier="dhl", shipped_at=AT, delivered_at=None)] if shipped else [],
    )  # fmt: skip


@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 9)), min_size=1, max_size=5),
    st.integers(0, 9),
)
def test_however_often_units_move_the_promise_stays_that_of_the_first_plan(units, plans, cancelled):
    """Each plan serves what the one before gave up; some of what the last one gave up is cancelled."""
    made, left = [], units
    for number, (cost, given_up) in enumerate(plans, 1):
        if not left:
            break
        released = min(given_up, left)
        made.append(fulfilment(number, left, released=released, cost=cost, shipped=left > released))
        left = released
    cancelled = min(cancelled, left)
    order = CostedOrder(
        order_id="o", channel_id=1, currency="EUR", placed_at=AT, changed_at=AT, deliver_by=None, was_held=False,
        fulfilments=made, unit_costs={},
        lines=[CostedLine(line_no=1, quantity=units, cancelled=cancelled, price_minor=0, unit_cost_minor=None,
                          item_id=1, parts=[(1, 1)])],
    )  # fmt: skip
    costs = costs_of(order)
    first = plans[0][0] + 100
    promised = sum(c.minor for c in costs if c.kind == "promised" and c.term in MONEY)
    planned = sum(c.minor for c in costs if c.source.endswith("planned") and c.term in MONEY)
    assert planned == sum(f.terms["shipping"] + 100 for f in made)
    assert abs(promised - first * (units - cancelled) / units) <= 2 * len(made), "but for whole numbers"
    if cancelled == 0:
        assert promised == first
    if left == 0:  # all of it has left
        actual = sum(c.minor for c in costs if c.kind == "actual")
        failures = sum(c.minor for c in costs if c.cause is not None)
        assert actual - failures == promised, "what is not a failure is what was promised"
        # Each fulfilment pays for the units that it shipped, as its plan had it.
        paid = sum((f.terms["shipping"] + 100) * f.units[0].shipped / f.units[0].planned for f in made)
        assert abs(actual - paid) <= 2 * len(made)


def test_being_late_costs_what_the_version_says_to_whom_it_decided_for():
    document = PolicyIn.model_validate(
        {
            "objectives": {"patient": {"late_minor": 50, "day_minor": 0}},
            "priorities": [{"objective": "speed", "from": "2026-03-02", "until": "2026-03-02"}],
            "weights": {"lateness": 2.0},
            "rules": [{"name": "slow", "objective": "patient"}, {"name": "rest", "weights": {"lateness": 0.5}}],
        }
    ).document()
    day, later = date(2026, 3, 2), date(2026, 3, 3)
    assert lateness_of(document, None, None, later) == (1000.0, 2.0), "the default, margin, twice"
    assert lateness_of(document, None, None, day) == (3000.0, 800.0), "the priority of that day"
    assert lateness_of(document, 0, None, day) == (100.0, 0.0), "the rule's objective goes before the day's"
    assert lateness_of(document, 0, "speed", later) == (3000.0, 800.0), "the order's before the rule's"
    assert lateness_of(document, 1, None, later) == (250.0, 0.5), "the rule's weight before the policy's"
