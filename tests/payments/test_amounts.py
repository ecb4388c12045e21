"""Money of units: parts of a line add up to the line, whatever the parts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from onhand.orders.model import Line
from onhand.payments.amounts import gross, net_and_tax, whole_units
from onhand.payments.model import Terms

QUANTITIES = st.integers(1, 50)


@given(QUANTITIES, st.integers(0, 10**6), st.none() | st.integers(0, 10**7), st.data())
def test_any_parts_add_up_to_the_line(quantity, price, tax, data):
    line = Line(line_no=1, line_id="1", item_id=1, quantity=quantity, price_minor=price, tax_minor=tax)
    cuts = sorted({0, quantity, *data.draw(st.lists(st.integers(0, quantity), max_size=6))})
    added, included = Terms(), Terms(tax="included")
    parts = [gross(line, b, added) - gross(line, a, added) for a, b in pairwise(cuts)]
    assert sum(parts) == price * quantity + (tax or 0)
    assert all(part >= 0 for part in parts)
    net, shared = net_and_tax(line, quantity, included)
    assert (net + shared, shared) == (price * quantity, tax or 0)


def test_of_seven_cents_of_tax_three_units_have_two_three_and_two():
    line = Line(line_no=1, line_id="1", item_id=1, quantity=3, price_minor=100, tax_minor=7)
    taxes = [net_and_tax(line, n, Terms())[1] for n in range(4)]
    assert [b - a for a, b in pairwise(taxes)] == [2, 3, 2]


def test_a_bundle_counts_when_all_of_it_is_there():
    line = Line(line_no=1, line_id="1", item_id=9, quantity=4, price_minor=1, components=((1, 2), (2, 1)))
    assert whole_units([line], {(1, 1): 5, (1, 2): 4}) == {1: 2}
    assert whole_units([line], {(1, 1): 8}) == {1: 0}
