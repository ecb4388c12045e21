"""Who is served when two channels sold the last unit."""

from hypothesis import given
from hypothesis import strategies as st

from onhand.channels.arbitrate import SWITCH_RATE, Claim, Way, arbitrate, choose_way

LOST = Way(kind="cancel", days=None, what="nothing can serve it")
SUPPLY = Way(kind="backorder", days=2.0, what="supply of 2026-03-04")


def claim(name, units=1, margin=0, penalty=0, late=0, placed=0.0, way=LOST):
    return Claim(
        order_id=name, channel=name, external_id="1", units=units, margin_minor=margin, penalty_minor=penalty,
        late_minor_per_day=late, placed_at=placed, way=way,
    )  # fmt: skip


def test_who_loses_clearly_more_is_served_and_the_sentence_says_why():
    ruling = arbitrate(claim("amazon", penalty=5000), [claim("web", margin=800, late=50, way=SUPPLY)])
    assert (ruling.served, ruling.give_way) == ("amazon", ("web",))
    assert ruling.sentence == (
        "amazon 1 would lose 50.00, web 1 1.00: amazon 1 is served and web 1 gets a backorder (supply of 2026-03-04)"
    )


def test_who_came_first_keeps_it_for_little_more():
    ruling = arbitrate(claim("amazon", margin=1250), [claim("web", margin=1000)])
    assert (ruling.served, ruling.give_way, ruling.way.kind) == ("web", (), "cancel")
    assert arbitrate(claim("amazon", margin=1251), [claim("web", margin=1000)]).give_way == ("web",)


def test_no_more_give_way_than_need_to_and_the_cheapest_first():
    holders = [claim("a", margin=10), claim("b", units=2, margin=12), claim("c", margin=500)]
    assert arbitrate(claim("w", units=2, margin=9999), holders).give_way == ("b",)
    assert arbitrate(claim("w", units=5, margin=9999), holders).served == ""


amounts = st.integers(0, 10_000)
some = st.builds(claim, st.uuids().map(str), units=st.integers(1, 4), margin=amounts, penalty=amounts, late=amounts,
                 placed=st.floats(0, 1e9), way=st.sampled_from([LOST, SUPPLY]))  # fmt: skip


@given(some, st.lists(some, min_size=1, max_size=6, unique_by=lambda c: c.order_id))
def test_a_ruling_never_loses_more_than_it_saves(waiting, holders):
    ruling = arbitrate(waiting, holders)
    by_id = {c.order_id: c for c in holders}
    gone = [by_id[i] for i in ruling.give_way]
    if gone:
        assert sum(c.units for c in gone) >= waiting.units
        assert waiting.loss_minor > SWITCH_RATE * sum(c.loss_minor for c in gone)
        assert all(sum(c.units for c in gone) - c.units < waiting.units for c in gone), "one gave way for nothing"
    assert ruling.sentence
    dearer = claim("w", units=waiting.units, margin=10**9)
    if gone:
        assert arbitrate(dearer, holders).give_way, "who loses more is not served less"


def test_the_cheapest_way_is_taken_and_losing_the_order_last():
    transfer = Way(kind="transfer", days=3.0, what="units at munich")
    assert choose_way([transfer, SUPPLY], 1000, 100) is SUPPLY
    assert choose_way([transfer], 1000, 100) is transfer
    assert choose_way([transfer], 100, 100).kind == "cancel"
