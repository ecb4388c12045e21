"""Units on their way that back what is missing now."""

from datetime import UTC, datetime, timedelta
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from onhand.sourcing.backorder import Backing, Inbound, back

START = datetime(2026, 3, 4, tzinfo=UTC)
NODES = (1, 2, 3)
ITEMS = (1, 2)

inbounds = st.lists(
    st.builds(
        Inbound,
        inbound_id=st.sampled_from("abc"),
        line_no=st.integers(1, 3),
        item_id=st.sampled_from(ITEMS),
        node_id=st.sampled_from(NODES),
        open_units=st.integers(0, 4),
        expected_at=st.integers(0, 3).map(lambda days: START + timedelta(days=days)),
        confidence=st.just(0.9),
    ),
    max_size=6,
)
shortages = st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(1, 5)), min_size=1, max_size=3)


def arrival(units: dict[int, int], inbound: list[Inbound]) -> datetime | None:
    """When `inbound` has brought all units, by trying every moment; None: never."""
    for moment in sorted({i.expected_at for i in inbound}):
        held = {
            item: sum(i.open_units for i in inbound if i.item_id == item and i.expected_at <= moment) for item in ITEMS
        }
        if all(held[item] >= n for item, n in units.items()):
            return moment
    return None


@given(shortages, inbounds, st.sets(st.sampled_from(NODES)), st.booleans())
def test_everything_is_backed_as_early_as_can_be_or_nothing(
    shortage: list[tuple[int, int]], inbound: list[Inbound], nodes: set[int], one_node: bool
) -> None:
    before = [i.open_units for i in inbound]
    answer = back(shortage, inbound, nodes, one_node=one_node)
    assert [i.open_units for i in inbound] == before, "the caller subtracts"

    wanted: dict[int, int] = {}
    for item, units in shortage:
        wanted[item] = wanted.get(item, 0) + units
    allowed = [i for i in inbound if i.node_id in nodes]
    places = [[i for i in allowed if i.node_id == node] for node in nodes] if one_node else [allowed]
    dates = [date for place in places if (date := arrival(wanted, place)) is not None]
    if not dates:
        assert answer is None
        return
    assert answer is not None
    assert max(b.inbound.expected_at for b in answer) == min(dates)
    taken: dict[int, int] = {}
    given_: dict[int, int] = {}
    for b in answer:
        assert b.units > 0 and b.inbound.node_id in nodes
        taken[id(b.inbound)] = taken.get(id(b.inbound), 0) + b.units
        given_[b.inbound.item_id] = given_.get(b.inbound.item_id, 0) + b.units
    assert given_ == wanted
    assert all(taken.get(id(i), 0) <= i.open_units for i in inbound), "no unit is promised twice"
    assert not one_node or len({b.inbound.node_id for b in answer}) == 1


def inbound(name: str, units: int, days: int, *, item: int = 1, node: int = 1) -> Inbound:
    return Inbound(
        inbound_id=name,
        line_no=1,
        item_id=item,
        node_id=node,
        open_units=units,
        expected_at=START + timedelta(days=days),
        confidence=0.9,
    )


def named(answer: list[Backing] | None) -> list[tuple[str, int]] | None:
    return None if answer is None else [(b.inbound.inbound_id, b.units) for b in answer]


def test_earlier_supply_goes_first_and_names_break_ties() -> None:
    lines = [inbound("late", 9, 3), inbound("b", 2, 1), inbound("a", 1, 1)]
    assert named(back([(1, 5)], lines, {1}, one_node=False)) == [("a", 1), ("b", 2), ("late", 2)]
    assert named(back([(1, 13)], lines, {1}, one_node=False)) is None


def test_one_node_waits_for_the_place_that_is_complete_first() -> None:
    lines = [
        inbound("a1", 1, 1),
        inbound("b1", 1, 5, item=2),
        inbound("a2", 1, 2, node=2),
        inbound("b2", 1, 3, item=2, node=2),
    ]
    assert named(back([(1, 1), (2, 1)], lines, {1, 2}, one_node=True)) == [("a2", 1), ("b2", 1)]
    assert named(back([(1, 1), (2, 1)], lines, {1}, one_node=True)) == [("a1", 1), ("b1", 1)]
    # Split, each comes as soon as it can.
    assert named(back([(1, 1), (2, 1)], lines, {1, 2}, one_node=False)) == [("a1", 1), ("b2", 1)]


def test_nothing_missing_needs_nothing() -> None:
    for one_node in (True, False):
        assert back([], [inbound("a", 1, 1)], {1}, one_node=one_node) == []
        assert back([], [], {1}, one_node=one_node) == []


def test_supply_for_other_nodes_does_not_count() -> None:
    for nodes, one_node in product(({2}, set[int]()), (True, False)):
        assert back([(1, 1)], [inbound("a", 1, 1)], nodes, one_node=one_node) is None
