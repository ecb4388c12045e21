"""Time-phased available to promise, against its definition tried out day by day."""

from hypothesis import given
from hypothesis import strategies as st

from onhand.ledger.atp import atp, on_day

dated = st.lists(st.tuples(st.integers(95, 110), st.integers(1, 20)), max_size=6)


@given(st.integers(0, 30), dated, dated, st.integers(100, 112))
def test_it_is_what_can_be_promised_without_breaking_a_later_promise(available, supply, demand, until):
    def balance(day):
        return (
            available
            + sum(u for d, u in supply if d <= max(day, 100))
            - sum(u for d, u in demand if d <= max(day, 100))
        )

    points = atp(available, supply, demand, today=100, until=until)
    for day in range(100, until + 1):
        expected = max(0, min(balance(later) for later in range(day, 113)))
        assert on_day(points, day) == expected
    assert points[0][0] == 100
    assert points[-1][0] <= until
    assert [d for d, _ in points] == sorted({d for d, _ in points})


@given(st.integers(0, 30), dated, dated, st.integers(1, 9), st.integers(100, 110))
def test_more_supply_never_lowers_it(available, supply, demand, units, day):
    before = atp(available, supply, demand, today=100, until=111)
    after = atp(available, [*supply, (day, units)], demand, today=100, until=111)
    assert all(on_day(after, d) >= on_day(before, d) for d in range(100, 112))


def test_what_it_looks_like():
    assert atp(4, [(103, 10), (105, 5)], [(100, 6)], today=100) == [(100, 0), (103, 8), (105, 13)]
    assert atp(4, [(103, 10)], [], today=100, until=102) == [(100, 4), (102, 4)]
    assert atp(4, [(99, 10)], [], today=100, until=100) == [(100, 14)]
    # A unit here today is needed for a promise of the day after tomorrow.
    assert atp(4, [], [(102, 3)], today=100) == [(100, 1)]
