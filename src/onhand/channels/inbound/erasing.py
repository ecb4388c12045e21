"""Take a person out of what channels said. Pure.

Of orders that were not placed yet, and of messages that were not worked on, nobody but the channel's own words says who
they are for: a person is known in them by e-mail address or telephone number.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from onhand.connectors._sdk.values import Address, ChannelOrder

# Of a postal code this much may stay: an area, not a street.
_POSTAL_CHARACTERS: Final = 2
# Shorter words stand in ordinary text; digits of a telephone number are said in many ways.
_WORD_MIN, _DIGITS_MIN = 3, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """As they are kept. address: by part of it."""

    email: str = ""
    phone: str = ""
    name: str = ""
    address: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def known_by(self) -> tuple[str, ...]:
        """Words that nobody else has."""
        phone = self.phone if len(_digits(self.phone)) >= _DIGITS_MIN else ""
        return tuple(word for word in (self.email, phone) if word)

    @property
    def words(self) -> tuple[str, ...]:
        """All that tells who it is, the longest first: one may be part of another."""
        parts = [value for key, value in self.address.items() if key not in ("country", "region")]
        found = {self.email, self.phone, self.name, *self.name.split(), *parts}
        return tuple(sorted((word for word in found if len(word) >= _WORD_MIN), key=lambda word: (-len(word), word)))


def is_for(said: ChannelOrder, person: Person) -> bool:
    """Whether an order is for that person."""
    where = said.destination or Address()
    emails = {said.email.strip().lower()} - {""}
    phones = {_digits(said.phone), _digits(where.phone)} - {""}
    return person.email.lower() in emails or (
        len(_digits(person.phone)) >= _DIGITS_MIN and _digits(person.phone) in phones
    )


def area_only(said: ChannelOrder) -> ChannelOrder:
    """An order without whom it is for; of where it goes the area stays."""
    to = said.destination
    where = None if to is None else Address(
        country=to.country, region=to.region, postal_code=to.postal_code[:_POSTAL_CHARACTERS]
    )  # fmt: skip
    return msgspec.structs.replace(said, email="", phone="", name="", destination=where)


def blotted(body: bytes, person: Person) -> bytes:
    """A message without the person: what tells who it is becomes x, as long as it was, so that the rest can be read.

    The message as it is, if it does not name them."""
    if not any(_pattern(word).search(body) for word in person.known_by):
        return body
    for word in person.words:
        body = _pattern(word).sub(lambda found: b"x" * len(found[0]), body)
    return body


def _pattern(word: str) -> re.Pattern[bytes]:
    """The word in any case, as it is and as JSON escapes it."""
    said = {word.encode(), json.dumps(word)[1:-1].encode()}
    return re.compile(b"|".join(re.escape(one) for one in sorted(said)), re.IGNORECASE)


def _digits(phone: str) -> str:
    return "".join(c for c in phone if c.isdigit())
