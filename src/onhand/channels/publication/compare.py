"""What a channel shows, against what we believe that it shows: drift, and of which kind. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final

from onhand.channels.publication.book import Book
from onhand.connectors._sdk.values import Level

_EXAMPLES: Final = 20


@dataclass(slots=True)
class Drift:
    """What one reconciliation of a channel's stock has found.

    read      listings that it told of; verified: that showed what we believed
    learned   of which nothing was known before
    foreign   that somebody else wrote; lost: that show what was there before our last write; unheard: that show less,
              at a channel that counts its own sales down: sales that we have not heard of, or a foreign write
    unknown   things that it shows and that are no listing of ours; missing: listings that it does not show
    skipped   with a write on its way, of which the next reconciliation will tell
    """

    read: int = 0
    verified: int = 0
    learned: int = 0
    foreign: int = 0
    lost: int = 0
    unheard: int = 0
    skipped: int = 0
    unknown: int = 0
    missing: int = 0
    rejected: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rows: list[int] = field(default_factory=list[int])
    seen: set[int] = field(default_factory=set[int])

    @property
    def differing(self) -> int:
        """Listings that showed another number."""
        return self.foreign + self.lost + self.unheard

    def document(self) -> dict[str, Any]:
        """To be kept and shown."""
        counted = (
            "read", "verified", "learned", "foreign", "lost", "unheard", "skipped", "unknown", "missing", "rejected",
        )  # fmt: skip
        return {name: getattr(self, name) for name in counted} | {"examples": self.examples}

    def example(self, kind: str, **facts: Any) -> None:
        """Keep a few, for people to look at."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append({"kind": kind, **facts})


def compare(book: Book, level: Level, drift: Drift, *, asked_at: float, now: float, place: str = "") -> None:
    """Take over what the channel says of one listing, as of a request that left at `asked_at`.

    place  where our number is shown, of a channel with several places
    """
    if place and level.place and level.place != place:
        return
    drift.read += 1
    row = book.by_external.get(level.external_id)
    if row is None:
        drift.unknown += 1
        drift.example("unknown", external_id=level.external_id, external_sku=level.external_sku, seen=level.quantity)
        return
    drift.seen.add(row)
    if not book.is_settled(row, asked_at):
        drift.skipped += 1
        return
    believed = int(book.shown[row])
    kind = _kind(book, row, believed, level.quantity)
    setattr(drift, kind, getattr(drift, kind) + 1)
    if kind not in ("verified", "learned"):
        drift.example(
            kind, external_id=level.external_id, external_sku=book.names[row][1], believed=believed, seen=level.quantity
        )
    book.is_gone[row] = False
    book.read(row, level.quantity, now)
    drift.rows.append(row)


def _kind(book: Book, row: int, believed: int, seen: int) -> str:
    if believed == seen:
        return "verified"
    if believed < 0:
        return "learned"
    if seen == book.before[row]:
        return "lost"
    return "unheard" if book.is_compared and seen < believed else "foreign"


def missing(book: Book, drift: Drift) -> None:
    """Note the listings that the channel did not tell of, all its pages read."""
    for item, row in book.rows.items():
        if book.is_active[row] and row not in drift.seen and not book.is_gone[row]:
            drift.missing += 1
            drift.example("missing", item_id=item, external_id=book.names[row][0], external_sku=book.names[row][1])
