"""Secrets that have to be known again."""

import pytest

from onhand.base.sealing import Seal, Unsealable

OLD, NEW = "an old key of the operator", "a new key of the operator"


def test_what_is_sealed_shows_nothing_and_is_opened_by_its_key_alone():
    sealed = Seal([OLD]).close("s3cret é")
    assert "s3cret" not in sealed
    assert sealed != Seal([OLD]).close("s3cret é"), "equal secrets do not look equal"
    assert Seal([OLD]).open(sealed) == "s3cret é"
    for wrong in (
        lambda: Seal([NEW]).open(sealed),
        lambda: Seal([OLD]).open(sealed[:-4] + "AAA="),
        lambda: Seal([OLD]).open(""),
    ):
        with pytest.raises(Unsealable, match="another key"):
            wrong()


def test_a_key_is_exchanged_without_losing_what_the_old_one_sealed():
    both = Seal([NEW, OLD])
    assert both.open(Seal([OLD]).close("x")) == "x"
    assert Seal([NEW]).open(both.close("x")) == "x"


@pytest.mark.parametrize("keys", [[], ["short"], [OLD, ""]])
def test_a_key_that_can_be_guessed_is_refused(keys):
    with pytest.raises(ValueError, match="16 characters"):
        Seal(keys)
