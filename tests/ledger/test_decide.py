"""The rules of stock, against a model that pushes single units between four piles."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.ledger.decide import decide_entry, fold
from onhand.ledger.model import INT32_MAX, Applied, Entry, Position, Rejected

KINDS = [
    "receipt", "adjustment", "count", "damage", "restore", "transfer_out", "transfer_in", "return",
    "allocate", "release", "ship", "expire",
]  # fmt: skip


@dataclass
class Piles:
    """Units on four piles: free, promised, bad; and promises owed without a unit."""

    free: int = 0
    promised: int = 0
    bad: int = 0
    owed: int = 0

    def settle(self):
        while self.free and self.owed:
            self.free, self.promised, self.owed = self.free - 1, self.promised + 1, self.owed - 1

    def lose(self, units, *piles):
        for pile in piles:
            taken = min(units, getattr(self, pile))
            setattr(self, pile, getattr(self, pile) - taken)
            if pile == "promised":
                self.owed += taken
            units -= taken
        assert units == 0

    def state(self, kind, q, bad=False):
        """Whether it is possible; changes the piles if so."""
        on_shelf = self.free + self.promised + self.bad
        if kind in ("receipt", "return", "transfer_in"):
            self.free += q
        elif kind == "adjustment" and bad:
            if self.bad + q < 0:
                return False
            self.bad += q
        elif kind in ("transfer_out", "adjustment"):
            change = -q if kind == "transfer_out" else q
            if self.free + change < 0:
                return False
            self.free += change
        elif kind == "count":
            if q >= on_shelf:
                self.free += q - on_shelf
            else:
                self.lose(on_shelf - q, "free", "promised", "bad")
        elif kind == "damage":
            if q > self.free + self.promised:
                return False
            self.lose(q, "free", "promised")
            self.bad += q
        elif kind == "restore":
            if q > self.bad:
                return False
            self.bad, self.free = self.bad - q, self.free + q
        elif kind == "allocate":
            if q > self.free:
                return False
            self.free, self.promised = self.free - q, self.promised + q
        elif kind in ("release", "expire"):
            if q > self.promised + self.owed:
                return False
            owed = min(q, self.owed)
            self.owed -= owed
            self.promised, self.free = self.promised - (q - owed), self.free + (q - owed)
        else:
            if q > self.promised + self.owed or q > on_shelf:
                return False
            allocated = min(q, self.promised)
            self.promised -= allocated
            self.owed -= q - allocated
            self.lose(q - allocated, "free", "bad")
        self.settle()
        return True

    def position(self, version=0):
        on_hand = self.free + self.promised + self.bad
        return Position(1, 1, on_hand, self.bad, self.promised, self.owed, version)


units = st.integers(0, 8)


@st.composite
def piles(draw, size=units):
    free, promised, bad, owed = (draw(size) for _ in range(4))
    return Piles(0 if owed else free, promised, bad, owed)


@st.composite
def statements(draw):
    kind = draw(st.sampled_from(KINDS))
    bad = kind == "adjustment" and draw(st.booleans())
    least = {"count": 0, "adjustment": -8}.get(kind, 1)
    return kind, draw(st.integers(least, 8).filter(lambda q: q or kind == "count")), bad


@given(piles(), statements())
def test_it_agrees_with_the_piles(pile, statement):
    kind, quantity, bad = statement
    before = pile.position(7)
    answer = decide_entry(before, kind, quantity, state="unavailable" if bad else None)
    possible = pile.state(kind, quantity, bad)
    if not possible:
        assert isinstance(answer, Rejected)
        return
    assert isinstance(answer, Applied)
    assert answer.after == pile.position(7 + len(answer.moves))
    assert (answer.moves[answer.stated].kind, answer.moves[answer.stated].quantity) == (
        kind, quantity,
    )  # fmt: skip


@given(piles(), st.lists(statements(), max_size=12))
def test_every_single_entry_keeps_every_counter_and_the_promises(pile, story):
    position = pile.position()
    for kind, quantity, bad in story:
        answer = decide_entry(position, kind, quantity, state="unavailable" if bad else None)
        if isinstance(answer, Rejected):
            continue
        on_hand, unavailable = position.on_hand, position.unavailable
        allocated, oversold = position.allocated, position.oversold
        for move in answer.moves:
            on_hand += move.d_on_hand
            unavailable += move.d_unavailable
            allocated += move.d_allocated
            oversold += move.d_oversold
            assert min(on_hand, unavailable, allocated, oversold) >= 0
            assert on_hand - unavailable - allocated >= 0
            if kind not in ("allocate", "release", "ship", "expire"):
                # A fact about units on the shelf never makes or breaks a promise.
                assert move.d_allocated + move.d_oversold == 0
        after = answer.after
        assert (on_hand, unavailable, allocated, oversold) == (
            after.on_hand, after.unavailable, after.allocated, after.oversold,
        )  # fmt: skip
        assert after.version == position.version + len(answer.moves)
        assert not (after.available and after.oversold)
        position = after


@given(piles(), st.permutations([("receipt", 3), ("return", 2), ("transfer_in", 4)]))
def test_the_order_of_arrivals_does_not_matter(pile, arrivals):
    def end(order):
        position = pile.position()
        for kind, quantity in order:
            position = decide_entry(position, kind, quantity).after
        return position.on_hand, position.unavailable, position.allocated, position.oversold

    assert end(arrivals) == end(sorted(arrivals))


@given(piles(), st.integers(1, 8), st.integers(1, 8))
def test_allocating_and_releasing_leaves_nothing_behind(pile, first, second):
    before = pile.position()
    there = decide_entry(before, "allocate", first)
    if isinstance(there, Rejected):
        return
    back = decide_entry(there.after, "release", first).after
    assert (back.available, back.allocated) == (before.available, before.allocated)


@given(piles(), st.integers(0, 8))
def test_a_count_never_fails_and_is_believed(pile, quantity):
    before = pile.position()
    after = decide_entry(before, "count", quantity).after
    assert after.on_hand == quantity
    assert after.allocated + after.oversold == before.allocated + before.oversold
    twice = decide_entry(after, "count", quantity)
    assert [m.kind for m in twice.moves] == ["count"]


anything = st.integers(-(2**40), 2**40)
big = st.integers(0, INT32_MAX)


@st.composite
def any_position(draw):
    on_hand = draw(big)
    unavailable = draw(st.integers(0, on_hand))
    allocated = draw(st.integers(0, on_hand - unavailable))
    oversold = draw(big) if allocated + unavailable == on_hand else 0
    return Position(1, 1, on_hand, unavailable, allocated, oversold, 3)


@given(any_position(), st.sampled_from(KINDS), anything, st.sampled_from([None, "unavailable"]))
def test_any_number_has_an_answer_that_fits_the_columns(position, kind, quantity, state):
    answer = decide_entry(position, kind, quantity, state=state)
    if isinstance(answer, Rejected):
        assert answer.code in ("input.invalid", "stock.insufficient", "stock.not_allocated")
        return
    after = answer.after
    for value in (after.on_hand, after.unavailable, after.allocated, after.oversold):
        assert 0 <= value <= INT32_MAX


@pytest.mark.parametrize(
    ("kind", "quantity", "code"),
    [
        ("receipt", 0, "input.invalid"),
        ("receipt", -1, "input.invalid"),
        ("receipt", INT32_MAX, "input.invalid"),  # 5 are there: 2^31 + 4 do not fit
        ("adjustment", 0, "input.invalid"),
        ("count", -1, "input.invalid"),
        ("adjustment", -4, "stock.insufficient"),
        ("transfer_out", 4, "stock.insufficient"),
        ("damage", 6, "stock.insufficient"),
        ("restore", 1, "stock.insufficient"),
        ("allocate", 4, "stock.insufficient"),
        ("release", 3, "stock.not_allocated"),
        ("ship", 3, "stock.not_allocated"),
        ("expire", 3, "stock.not_allocated"),
    ],
)
def test_what_is_refused(kind, quantity, code):
    answer = decide_entry(Position(1, 1, 5, 0, 2), kind, quantity)
    assert isinstance(answer, Rejected)
    assert answer.code == code


def test_units_cannot_be_shipped_that_are_not_on_the_shelf():
    answer = decide_entry(Position(1, 1, 2, 0, 2, 3), "ship", 4)
    assert isinstance(answer, Rejected)
    assert answer.code == "stock.insufficient"


def test_a_count_that_finds_fewer_moves_the_promise_before_the_units():
    answer = decide_entry(Position(1, 1, 10, 1, 8), "count", 5)
    assert [(m.kind, m.quantity, m.reason) for m in answer.moves] == [
        ("release", 4, "oversell"),
        ("count", 5, None),
    ]
    assert answer.after == Position(1, 1, 5, 1, 4, 4, 2)


def test_a_receipt_covers_what_is_oversold_first():
    answer = decide_entry(Position(1, 1, 4, 0, 4, 3), "receipt", 5)
    assert [(m.kind, m.quantity, m.reason) for m in answer.moves] == [
        ("receipt", 5, None),
        ("allocate", 3, "covers oversell"),
    ]
    assert answer.after == Position(1, 1, 9, 0, 7, 0, 2)


def test_entries_of_a_batch_see_each_other_in_order():
    entries = [
        Entry(1, 1, "receipt", 5),
        Entry(1, 1, "transfer_out", 6),
        Entry(1, 2, "receipt", 1),
        Entry(1, 1, "allocate", 5),
        Entry(1, 1, "transfer_out", 1),
    ]
    changed, outcomes = fold({}, entries)
    assert [isinstance(o, Applied) for o in outcomes] == [True, False, True, True, False]
    assert changed == {(1, 1): Position(1, 1, 5, 0, 5, 0, 2), (1, 2): Position(1, 2, 1, version=1)}
