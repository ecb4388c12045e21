"""Where a reading of many pages stands, as text that can be kept: a reading goes on where it was broken off."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from onhand.connectors._sdk import mapping
from onhand.connectors._sdk.asking import Told
from onhand.connectors._sdk.interface import Refused
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.moments import moment_of
from onhand.connectors._sdk.vocabulary import OperationIn, PagingIn

# What changed in the second in which a page ended may stand on it or behind it, and channels ask for "later than".
_EDGE_S = 1
# A moment that far ahead of our clock is a mistake, and no place to go on from: everything until then would be lost.
_AHEAD_MAX = timedelta(days=1)


class Reading:
    """Where a reading stands: `start` is where it began, `high` the latest that it has seen.

    is_within  it began at the end of an earlier page (`cursor.sorted`), not where an earlier reading ended
    """

    def __init__(
        self,
        *,
        start: str | None,
        high: str | None,
        number: int,
        after: str | None,
        url: str | None,
        is_within: bool = False,
    ) -> None:
        self.start, self.high, self.number, self.after, self.url = start, high, number, after, url
        self.is_within = is_within

    @classmethod
    def read(cls, at: str | None, way: OperationIn, since: datetime | None) -> "Reading":
        first = 0 if way.paging is None or way.paging.by != "page" else way.paging.first
        if at is not None:
            said = cast("dict[str, Any]", json.loads(at))
            return cls(
                start=said.get("start"), high=said.get("high"), number=said.get("number", first),
                after=said.get("after"), url=said.get("url"), is_within=said.get("is_within", False),
            )  # fmt: skip
        start: str | None = None
        if way.cursor is not None and since is not None:
            start = (since - timedelta(days=way.cursor.start_days)).astimezone(UTC).isoformat()
        return cls(start=start, high=start, number=first, after=None, url=None)

    def text(self) -> str:
        fields = {
            "start": self.start, "high": self.high, "number": self.number, "after": self.after, "url": self.url,
            "is_within": self.is_within or None,
        }  # fmt: skip
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    def cursor(self) -> str | None:
        """Where the next reading begins: at the latest that was seen."""
        return None if self.high is None else json.dumps({"start": self.high, "high": self.high})

    def scope(self, way: OperationIn) -> dict[str, Any]:
        size = 100 if way.paging is None else way.paging.size
        return {
            "cursor": self._bound(way),
            "page": self.number,
            "offset": self.number,
            "after": self.after,
            "size": size,
        }

    def _bound(self, way: OperationIn) -> str | None:
        """What `{cursor}` says: a little before `start`."""
        moment = _moment(self.start)
        if way.cursor is None or moment is None:
            return self.start
        try:
            return (moment - timedelta(seconds=_EDGE_S if self.is_within else way.cursor.overlap_s)).isoformat()
        except OverflowError:
            return self.start

    def seen(self, way: OperationIn, records: Sequence[Any], *, now: datetime) -> None:
        """Take note of how far `records` lead."""
        if way.cursor is None:
            return
        for said in _places(way.cursor.each, records):
            moment = _moment(said)
            if moment is None or moment <= now + _AHEAD_MAX:
                self.high = _later(self.high, said)

    def following(self, way: OperationIn, told: Told, records: Sequence[Any]) -> "Reading | None":
        """What is asked for next; None: that was all. `records` were `seen`."""
        paging = way.paging
        if paging is None:
            return None
        following = Reading(
            start=self.start, high=self.high, number=self.number, after=None, url=None, is_within=self.is_within
        )
        if paging.by in ("page", "offset"):
            if not (len(records) >= paging.size if paging.more is None else _is_more(paging, told)):
                return None
            if way.cursor is not None and way.cursor.sorted and self._leads_on(way, records):
                first = paging.first if paging.by == "page" else 0
                return Reading(start=self.high, high=self.high, number=first, after=None, url=None, is_within=True)
            following.number += 1 if paging.by == "page" else paging.size
            return following
        if paging.by == "link":
            following.url = _next_link(told)
        elif (found := mapping.path(paging.next or "@")(told.body)) and _is_more(paging, told):
            if paging.by == "cursor":
                following.after = str(found)
            else:
                following.url = _same_origin(told.url, str(found))
        return following if following.after or following.url else None

    def _leads_on(self, way: OperationIn, records: Sequence[Any]) -> bool:
        """Whether reading can go on from the last of `records` instead of by number: numbers shift when an order that
        was read already changes, and what moves to a page that was read is never seen. It cannot where a whole page
        changed in one moment."""
        assert way.cursor is not None, "only a reading with a cursor can"
        places = _places(way.cursor.each, records)
        if (
            not places
            or places[0] == places[-1]
            or places[-1] != self.high
            or any(_later(a, b) != b for a, b in pairwise(places))
        ):
            return False
        ahead = Reading(start=self.high, high=None, number=0, after=None, url=None, is_within=True)
        here, there = self._bound(way), ahead._bound(way)
        return there is not None and here != there and (here is None or _later(here, there) == there)


def _places(each: str, records: Sequence[Any]) -> list[str]:
    """What the cursor says of each record that says anything."""
    look = mapping.path(each)
    places: list[str] = []
    for record in records:
        try:
            value = look(record)
        except Unmappable:
            continue
        if value is not None:
            places.append(_said(value))
    return places


def _is_more(paging: PagingIn, told: Told) -> bool:
    return paging.more is None or bool(mapping.path(paging.more)(told.body))


def _said(value: Any) -> str:
    text = str(value)
    moment = _moment(text)
    return text if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    try:
        return moment_of(text or "")
    except (ValueError, OverflowError):
        return None


def _later(a: str | None, b: str) -> str:
    if a is None:
        return b
    of_a, of_b = _moment(a), _moment(b)
    if of_a is not None and of_b is not None:
        return a if of_a > of_b else b
    if all(text.isascii() and text.isdecimal() and len(text) <= 40 for text in (a, b)):
        return max(a, b, key=int)
    return b


def _next_link(told: Told) -> str | None:
    """The next page that a Link header names (RFC 8288)."""
    for part in told.headers.get("link", "").split(","):
        target, _, parameters = part.strip().partition(">")
        if target.startswith("<") and 'rel="next"' in parameters.replace(" ", "").replace("rel=next", 'rel="next"'):
            return _same_origin(told.url, target[1:])
    return None


def _same_origin(asked: str, found: str) -> str:
    """`found`, if it leads where `asked` did: credentials go nowhere else. Raises Refused."""
    url = urljoin(asked, found)
    a, b = urlsplit(asked), urlsplit(url)
    if (a.scheme, a.netloc) != (b.scheme, b.netloc):
        raise Refused("the next page is said to be at another host", code="paging")
    return url
