"""Gates: units that a channel is not told of, so that late news does not oversell it.

Owns what channels sell (`demand.py`), how long a sale stays unseen (`exposure.py`), the number hidden (`gate.py`), who
keeps the last units (`protection.py`), the price of risk (`controller.py`) and why (`words.py`). Promises: never shows
more than there is; more latency, velocity or a smaller target never show more. Pure: no clock, no database; `replay.py`
tells what any gates would have lost and oversold, `live.py` keeps those of an installation. Start reading at `gate.py`.
"""

from onhand.channels.gates.controller import Budget, learned
from onhand.channels.gates.demand import Bursts, Velocity, no_sales, observe, rates
from onhand.channels.gates.exposure import Latency, rivals, windows_h
from onhand.channels.gates.gate import Rule, Told, decide, nothing_told
from onhand.channels.gates.protection import protection_units
from onhand.channels.gates.settings import GateSetting, read, rule_of
from onhand.channels.gates.words import Why, sentence, why

__all__ = [
    "Budget",
    "Bursts",
    "GateSetting",
    "Latency",
    "Rule",
    "Told",
    "Velocity",
    "Why",
    "decide",
    "learned",
    "no_sales",
    "nothing_told",
    "observe",
    "protection_units",
    "rates",
    "read",
    "rivals",
    "rule_of",
    "sentence",
    "why",
    "windows_h",
]
