"""What a document says, and the sentence that explains a gate."""

import numpy as np
import pytest

from onhand.channels.gates import Bursts, GateSetting, read, rule_of, sentence, why
from onhand.channels.gates.controller import first_tau

WINDOW = np.array([[0.0, 0.25], [0.1, 0.0]])


def told(setting, *, burst=0.0, usual=(2.1, 0.4), gate=4, stock=11, lag_s=14 * 60.0, channel=1, window=WINDOW):
    return sentence(
        why(
            channel,
            gate=gate,
            stock=stock,
            codes=["web", "amazon"],
            usual=np.array(usual),
            burst=burst,
            bursts=Bursts(multiplier=10.0),
            window_h=window,
            lag_s=lag_s,
            setting=setting,
        )
    )


def test_a_computed_gate_names_what_sells_how_late_it_hears_and_the_target():
    adaptive = GateSetting(mode="adaptive")
    assert told(adaptive) == "hid 4 of 11: web sells 2.1/h, amazon hears us after 14 min, target 0.1 %"
    assert told(adaptive, burst=0.5) == (
        "hid 4 of 11: web sells 12/h instead of 2.1, amazon hears us after 14 min, target 0.1 %"
    )
    assert "amazon hears us after 2 h" in told(adaptive, lag_s=7200.0)
    assert "amazon hears us after 2 s" in told(adaptive, lag_s=2.0)
    own = told(adaptive, window=np.array([[0.0, 0.0], [0.0, 3.0]]))
    assert own == "hid 4 of 11: it sells 0.4/h itself, amazon hears us after 14 min, target 0.1 %"
    assert told(adaptive, usual=(0.0, 0.4)).startswith("hid 4 of 11: nothing sells unseen")
    assert told(GateSetting(mode="adaptive", penalty_minor=1250)).endswith("an oversell costs 12.50")


def test_other_gates_say_what_they_are():
    assert told(GateSetting(units=4)) == "hid 4 of 11: fixed at 4"
    assert told(GateSetting(mode="percent", percent=36.0)) == "hid 4 of 11: fixed at 36 %"
    assert told(GateSetting(units=2, floor=4)) == "hid 4 of 11: fixed at 2, at its floor"
    assert told(GateSetting(units=9, cap=4)) == "hid 4 of 11: fixed at 9, at its cap"


def test_the_document_of_today_is_a_fixed_gate():
    assert read({"units": 2}) == GateSetting(mode="fixed", units=2)
    assert read({}) == GateSetting(mode="fixed", units=0)
    full = {"mode": "adaptive", "floor": 1, "cap": 9, "alpha": 0.002, "penalty_minor": 900}
    assert read(full) == GateSetting(mode="adaptive", floor=1, cap=9, alpha=0.002, penalty_minor=900)


@pytest.mark.parametrize(
    "document",
    [
        {"mode": "magic"},
        {"unit": 2},
        {"units": -1},
        {"percent": 101.0},
        {"floor": 3, "cap": 2},
        {"alpha": 0.0},
        {"penalty_minor": 0},
    ],
)
def test_a_wrong_document_says_what_was_expected(document):
    with pytest.raises(ValueError, match="expected"):
        read(document)


def test_the_price_of_risk_comes_from_money_where_it_is_known_else_from_what_was_learned():
    settings = [
        GateSetting(mode="adaptive", penalty_minor=1000),
        GateSetting(mode="adaptive"),
        GateSetting(mode="adaptive"),
        GateSetting(mode="adaptive", penalty_minor=1000),
    ]
    rule = rule_of(settings, np.zeros((4, 4)), taus=[0.5, 0.2, None, 0.1], margins_minor=[20.0, 20.0, None, None])
    assert rule.tau.tolist() == pytest.approx([0.02, 0.2, first_tau(0.001), 0.1])
