"""Talking to channels: one folder for each kind, in the words of its vendor, and the engine that puts them to work.

Owns no table. Promises: a connector keeps nothing between calls, says in our words what happened, never guesses (what
may have happened is `unknown`), and never shows a secret. Start reading at _sdk/interface.py, then
_sdk/vocabulary.py (what a document can say) and _sdk/declared.py (how it is put to work).
"""

from onhand.connectors._sdk.addresses import sent_to
from onhand.connectors._sdk.contracts import Uncheckable, against_contract
from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.describing import Described, described, status_of
from onhand.connectors._sdk.filled_in import completed, credential_problems, setting_problems
from onhand.connectors._sdk.interface import (
    Confirming,
    Connection,
    Connector,
    Counter,
    NotGenuine,
    Partial,
    Particular,
    PaymentProvider,
    Pricing,
    Queued,
    Refused,
    Shipper,
    Unavailable,
)
from onhand.connectors._sdk.lint import Linted, lint
from onhand.connectors._sdk.memory import MemoryLimiter, MemoryNotes, MemoryTokens
from onhand.connectors._sdk.registry import (
    FILE,
    STARTER,
    Unusable,
    built_in,
    find,
    for_channel,
    lint_folder,
    names,
    read_folder,
    read_text,
)
from onhand.connectors._sdk.vocabulary import ConnectorIn, schema

__all__ = [
    "FILE",
    "STARTER",
    "Confirming",
    "Connection",
    "Connector",
    "ConnectorIn",
    "Counter",
    "Declared",
    "Described",
    "Linted",
    "MemoryLimiter",
    "MemoryNotes",
    "MemoryTokens",
    "NotGenuine",
    "Partial",
    "Particular",
    "PaymentProvider",
    "Pricing",
    "Queued",
    "Refused",
    "Shipper",
    "Unavailable",
    "Uncheckable",
    "Unusable",
    "against_contract",
    "built_in",
    "completed",
    "credential_problems",
    "described",
    "find",
    "for_channel",
    "lint",
    "lint_folder",
    "names",
    "read_folder",
    "read_text",
    "schema",
    "sent_to",
    "setting_problems",
    "status_of",
]
