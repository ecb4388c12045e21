"""Compare a channel's orders with ours, page by page.

A channel may be asked so rarely that reading a week of orders takes hours (Amazon: after twenty pages, one in three
minutes). So what was found and where the next page begins is written down when reading breaks off, and now and then
before; who goes on, goes on there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.channels.inbound import store
from onhand.channels.inbound.decide import differences
from onhand.connectors._sdk.values import ChannelOrder
from onhand.orders.store import load_order

# A place in somebody else's list is worth nothing after days.
_AGE_MAX: Final = timedelta(days=2)
_FINDINGS_MAX: Final = 1_000
# What changed while the channel was asked for its first or last page may stand on either side of it.
_EDGE: Final = timedelta(minutes=5)
LOST: Final = "we had not heard of it"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """In what an order of the channel and ours differed, and what was done about it."""

    external_id: str
    finding: str
    done: str
    order_id: str | None = None


class Progress(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How far a comparison has come.

    since     orders that changed later are read
    asked     the last asking after which it began
    expected  orders of ours that the channel should list, by its id, and that have not been seen yet
    at        where the next page begins
    """

    since: datetime
    began: datetime
    expected: dict[str, str]
    asked: int = 0
    at: str | None = None
    pages: int = 0
    seen: int = 0
    lost: int = 0
    changed: int = 0
    differing: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list[Finding])

    def text(self) -> str:
        """As it is kept."""
        return msgspec.json.encode(self).decode()

    def again(self) -> "Progress":
        """From the first page, of the same orders. What was lost has been taken in, and is not lost the next time."""
        lost = [finding for finding in self.findings if finding.finding == LOST]
        return Progress(
            since=self.since, began=self.began, expected=self.expected, asked=self.asked, lost=self.lost,
            differing=len(lost), findings=lost,
        )  # fmt: skip

    def after(
        self,
        at: str | None,
        said: Mapping[str, object],
        findings: Sequence[Finding],
        new: Sequence[str],
        changed: Sequence[str],
    ) -> "Progress":
        """With one more page of orders `said`, of which some were new, and some had changed."""
        following = Progress(
            since=self.since, began=self.began, expected={i: o for i, o in self.expected.items() if i not in said},
            asked=self.asked, at=at, pages=self.pages + 1, seen=self.seen + len(said), lost=self.lost + len(new),
            changed=self.changed + len(set(changed)), differing=self.differing, findings=[*self.findings],
        )  # fmt: skip
        following.add(findings)
        return following

    def add(self, findings: Sequence[Finding]) -> None:
        """Count what was found, and keep it as far as there is room."""
        self.differing += len(findings)
        self.findings += findings[: max(0, _FINDINGS_MAX - len(self.findings))]


def begin(
    conn: Connection[TupleRow], channel_id: int, kept: str | None, *, now: datetime, days: int, asked: int = 0
) -> Progress:
    """Where the comparison stands that was `kept`, or a new one of the last `days`; also if it was `asked` for anew."""
    found = None
    if kept is not None:
        try:
            found = msgspec.json.decode(kept, type=Progress)
        except msgspec.DecodeError:
            found = None
        if found is not None and now - found.began < _AGE_MAX and found.asked >= asked:
            return found
    since = now - timedelta(days=days)
    progress = Progress(
        since=since, began=now, expected=store.ours_since(conn, channel_id, since + _EDGE, now - _EDGE), asked=asked
    )
    if found is not None:  # what that took in is lost no more, and stands in no report yet
        progress.lost = found.lost
        progress.add([finding for finding in found.findings if finding.finding == LOST])
    return progress


def compare_page(
    conn: Connection[TupleRow], channel_id: int, said: Mapping[str, ChannelOrder], new: Sequence[str]
) -> list[Finding]:
    """What differs still, now that it was followed; parcels and cancellations that the channel seems not to know are
    told once more. new: orders of which we had not heard."""
    stuck = store.not_taken(conn, channel_id, [*said])
    findings = [
        Finding(external_id=i, finding=LOST, done="kept, not placed yet" if i in stuck else "taken in") for i in new
    ]
    findings += [Finding(external_id=i, finding=why, done="for a person to see") for i, why in sorted(stuck.items())]
    here = store.orders_here(conn, channel_id, [*said])
    for external_id, order in said.items():
        if external_id not in here:
            continue
        ours = load_order(conn, here[external_id])
        found = "; ".join([] if ours is None else differences(ours, order))
        store.set_problem(conn, channel_id, external_id, found or None)
        if found:
            again = store.retry_notices(conn, here[external_id])
            done = "the channel is told again" if again else "for a person to see"
            findings.append(Finding(external_id=external_id, order_id=here[external_id], finding=found, done=done))
    return findings


def finish(conn: Connection[TupleRow], channel_id: int, progress: Progress) -> int:
    """All pages were read: look for what stood on none of them, and report; the id of the report."""
    progress.add(
        [
            Finding(
                external_id=external_id, order_id=order_id, finding="the channel does not list it any more",
                done="for a person to see",
            )
            for external_id, order_id in sorted(progress.expected.items())
        ]
    )  # fmt: skip
    return store.add_report(
        conn, channel_id, asked=progress.asked, since=progress.since, seen=progress.seen, lost=progress.lost,
        changed=progress.changed, differing=progress.differing,
        findings=[msgspec.to_builtins(finding) for finding in progress.findings],
    )  # fmt: skip
