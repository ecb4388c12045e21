"""Words for customers: text with blanks from a closed list, filled with the facts of an order. Pure.

Nothing is computed in a text and nothing of a value is read as text of ours: a value stands on one line, without
control characters, and is cut where it is long, so that a product's or a person's name can neither begin a header of a
mail nor write another mail below ours. Mails are plain text: there is no markup that would have to be escaped.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

BLANKS: Final[Mapping[str, str]] = {
    "order.number": "as the channel names it",
    "order.channel": "code of the channel",
    "order.items": "what has not been cancelled of it: 2 x MUG-BLUE, 1 x PLATE",
    "order.placed_on": "day",
    "customer.name": "or the words `dear customer`",
    "promise.day": "the day that is promised now",
    "promise.was": "the day that was promised before",
}
OF_PROMISE: Final = frozenset(("promise.day", "promise.was"))
_LENGTH_MAX: Final = 300

_BLANK = re.compile(r"\{([^{}]*)\}")


def blanks_of(text: str) -> tuple[list[str], bool]:
    """Names of the blanks of a text, and whether a brace is left that belongs to none."""
    return _BLANK.findall(text), any(brace in _BLANK.sub("", text) for brace in "{}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its blanks filled. Raises KeyError for a blank without a value."""
    return _BLANK.sub(lambda match: plain(values[match[1]]), text)


def plain(value: str) -> str:
    """A value as it may stand in a message: one line of printable characters, in one direction, not too long."""
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in value)
    return " ".join(kept.split())[:_LENGTH_MAX]
