"""Where a reading of many pages stands, as text that can be kept: a reading goes on where it was broken off."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from onhand.connectors._sdk import mapping
from onhand.connectors._sdk.asking import Told
from onhand.connectors._sdk.interface import Refused
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.moments import moment_of
from onhand.connectors._sdk.vocabulary import OperationIn, PagingIn


class Reading:
    """Where a reading stands: `start` is where it began, `high` the latest that it has seen."""

    def __init__(self, *, start: str | None, high: str | None, number: int, after: str | None, url: str | None) -> None:
        self.start, self.high, self.number, self.after, self.url = start, high, number, after, url

    @classmethod
    def read(cls, at: str | None, way: OperationIn, since: datetime | None) -> "Reading":
        first = 0 if way.paging is None or way.paging.by != "page" else way.paging.first
        if at is not None:
            said = cast("dict[str, Any]", json.loads(at))
            return cls(
                start=said.get("start"), high=said.get("high"), number=said.get("number", first),
                after=said.get("after"), url=said.get("url"),
            )  # fmt: skip
        start: str | None = None
        if way.cursor is not None and since is not None:
            start = (since - timedelta(days=way.cursor.start_days)).astimezone(UTC).isoformat()
        return cls(start=start, high=start, number=first, after=None, url=None)

    def text(self) -> str:
        fields = {
            "start": self.start, "high": self.high, "number": self.number, "after": self.after, "url": self.url,
        }  # fmt: skip
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    def cursor(self) -> str | None:
        """Where the next reading begins: at the latest that was seen."""
        return None if self.high is None else json.dumps({"start": self.high, "high": self.high})

    def scope(self, way: OperationIn) -> dict[str, Any]:
        size = 100 if way.paging is None else way.paging.size
        start = self.start
        moment = _moment(start)
        if way.cursor is not None and moment is not None:
            start = (moment - timedelta(seconds=way.cursor.overlap_s)).isoformat()
        return {"cursor": start, "page": self.number, "offset": self.number, "after": self.after, "size": size}

    def seen(self, way: OperationIn, records: Sequence[Any]) -> None:
        if way.cursor is None:
            return
        each = mapping.path(way.cursor.each)
        for record in records:
            try:
                value = each(record)
            except Unmappable:
                continue
            if value is not None:
                self.high = _later(self.high, _said(value))

    def following(self, way: OperationIn, told: Told, count: int) -> "Reading | None":
        paging = way.paging
        if paging is None:
            return None
        following = Reading(start=self.start, high=self.high, number=self.number, after=None, url=None)
        if paging.by in ("page", "offset"):
            following.number += 1 if paging.by == "page" else count
            is_more = count >= paging.size if paging.more is None else bool(mapping.path(paging.more)(told.body))
            return following if is_more and count else None
        if paging.by == "link":
            following.url = _next_link(told)
        elif (found := mapping.path(paging.next or "@")(told.body)) and _is_more(paging, told):
            if paging.by == "cursor":
                following.after = str(found)
            else:
                following.url = _same_origin(told.url, str(found))
        return following if following.after or following.url else None


def _is_more(paging: PagingIn, told: Told) -> bool:
    return paging.more is None or bool(mapping.path(paging.more)(told.body))


def _said(value: Any) -> str:
    text = str(value)
    moment = _moment(text)
    return text if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    try:
        return moment_of(text or "")
    except ValueError:
        return None


def _later(a: str | None, b: str) -> str:
    if a is None:
        return b
    of_a, of_b = _moment(a), _moment(b)
    if of_a is not None and of_b is not None:
        return a if of_a >= of_b else b
    if a.isdigit() and b.isdigit():
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
