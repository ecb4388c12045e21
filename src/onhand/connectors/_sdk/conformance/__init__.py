"""The kit that every connector has to stand: a bench is a channel of its kind, a case is a promise, a grade is earned.

Start reading at bench.py (what a connector that joins has to bring) and reading.py (the first cases). A test runs all
cases over all connectors; `examine` runs one.
"""

from onhand.connectors._sdk.conformance import (
    breaking,
    files,
    messages,
    paying,
    pricing,
    reading,
    secrets_kept,
    writing,
)
from onhand.connectors._sdk.conformance.bench import Bench, Delivery, NotOnBench
from onhand.connectors._sdk.conformance.kit import CASES, Case, Failed, Grade, Kit, Result, abilities, examine, unearned
from onhand.connectors._sdk.conformance.recorded import Fixture, Recording, differing, fixtures, understood
from onhand.connectors._sdk.conformance.tap import Break, InProcess, Tap

# Cases are known once their modules are.
_ = (breaking, files, messages, paying, pricing, reading, secrets_kept, writing)

__all__ = [
    "CASES",
    "Bench",
    "Break",
    "Case",
    "Delivery",
    "Failed",
    "Fixture",
    "Grade",
    "InProcess",
    "Kit",
    "NotOnBench",
    "Recording",
    "Result",
    "Tap",
    "abilities",
    "differing",
    "examine",
    "fixtures",
    "understood",
    "unearned",
]
