"""The only SQL of what channels tell us. Rows come out as frozen values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.channels.inbound.decide import Heard, Known, without_person
from onhand.channels.inbound.erasing import Person, area_only, blotted, is_for
from onhand.connectors._sdk.values import ChannelOrder
from onhand.db import queries
from onhand.orders.rows import decode_lines

SQL = queries(__file__)
_decode = msgspec.json.Decoder(ChannelOrder).decode

Fields = dict[str, Any]


def encode(said: ChannelOrder) -> str:
    """As it is kept."""
    return msgspec.json.encode(said).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that is worked on now; `attempts` counts this one."""

    message_id: int
    topic: str
    body: bytes
    received_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An order of a channel as it is kept. wanted: what the channel wanted when it was followed last."""

    external_id: str
    version: int
    taken: int
    said: ChannelOrder
    said_at: datetime
    read_at: datetime
    wanted: Mapping[str, int] | None
    status: str
    order_id: str | None

    @property
    def known(self) -> Known:
        return Known(self.said, self.said_at, self.read_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where a reading stands. asked: how often somebody had asked for it when it was taken."""

    at: str | None
    since: datetime
    failures: int
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to be told to a channel; `attempts` counts this one."""

    notice_id: int
    order_id: str
    kind: str
    shipment_no: int
    attempts: int

    @property
    def key(self) -> str:
        """The same whenever it is sent."""
        return f"{self.order_id}-c" if self.kind == "cancel" else f"{self.order_id}-s{self.shipment_no}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A parcel as it left. units: (line id, item_id) and whole ordered units of it; is_complete: nothing is left."""

    external_id: str
    carrier: str
    service: str
    tracking: str
    shipped_at: datetime
    node: str
    units: Mapping[str, int]
    is_complete: bool


# Messages ---------------------------------------------------------------------------------------------


def find_channel(conn: Connection[TupleRow], code: str) -> int | None:
    """The id of a channel."""
    row = conn.execute(SQL["channel_id"], {"code": code}).fetchone()
    return None if row is None else row[0]


def add_message(conn: Connection[TupleRow], channel_id: int, *, dedupe: str, topic: str, body: bytes) -> bool:
    """Keep a message; False: it is a repeat."""
    values = {"channel_id": channel_id, "dedupe": dedupe, "topic": topic, "body": body}
    return conn.execute(SQL["add_message"], values).fetchone() is not None


def claim_messages(conn: Connection[TupleRow], channel_id: int, *, limit: int, lease_s: float) -> list[Message]:
    """The oldest messages that are due, for this worker only until the lease ends."""
    with conn.cursor(row_factory=class_row(Message)) as rows:
        found = rows.execute(
            SQL["claim_messages"], {"channel_id": channel_id, "limit": limit, "lease_s": lease_s}
        ).fetchall()
    return sorted(found, key=lambda m: m.message_id)


def lock_message(conn: Connection[TupleRow], message_id: int) -> bool:
    """Whether it is still to be worked on; by nobody else until the transaction ends."""
    return conn.execute(SQL["lock_message"], {"message_id": message_id}).rowcount == 1


def finish_messages(conn: Connection[TupleRow], ids: Sequence[int]) -> None:
    """They were worked on: what they said is forgotten."""
    conn.execute(SQL["finish_messages"], {"ids": list(ids)})


def fail_message(conn: Connection[TupleRow], message_id: int, *, error: str, seconds: float | None) -> None:
    """Try again in so many seconds; None: a person must look at it."""
    conn.execute(SQL["fail_message"], {"message_id": message_id, "error": error[:1000], "seconds": seconds})


def list_messages(
    conn: Connection[TupleRow], channel_id: int, *, status: str | None, after: int, limit: int
) -> list[Fields]:
    """Messages without what they say, in the order in which they came."""
    values = {"channel_id": channel_id, "status": status, "after": after, "limit": limit}
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_messages"], values).fetchall()


def retry_message(conn: Connection[TupleRow], channel_id: int, message_id: int) -> Fields | None:
    """Make a message due again; None: there is none, or it was worked on."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["retry_message"], {"channel_id": channel_id, "message_id": message_id}).fetchone()


def purge(conn: Connection[TupleRow]) -> None:
    """Forget messages that were worked on long ago."""
    conn.execute(SQL["purge_messages"])


# Orders ---------------------------------------------------------------------------------------------


def add_orders(conn: Connection[TupleRow], channel_id: int, heard: Sequence[Heard]) -> set[str]:
    """Keep what was never heard of; the ids of those."""
    values = {
        "channel_id": channel_id,
        "ids": [h.said.external_id for h in heard],
        "said": [encode(h.said) for h in heard],
        "said_at": [h.said_at for h in heard],
        "read_at": [h.read_at for h in heard],
    }
    return {external_id for (external_id,) in conn.execute(SQL["add_orders"], values)}


def lock_rows(conn: Connection[TupleRow], channel_id: int, ids: Sequence[str]) -> dict[str, Row]:
    """What is kept of these orders, locked."""
    rows = conn.execute(SQL["lock_orders"], {"channel_id": channel_id, "ids": list(ids)}).fetchall()
    return {
        r[0]: Row(
            external_id=r[0], version=r[1], taken=r[2], said=_decode(r[3]), said_at=r[4], read_at=r[5],
            wanted=None if r[6] is None else json.loads(r[6]), status=r[7], order_id=r[8],
        )
        for r in rows
    }  # fmt: skip


def update_said(conn: Connection[TupleRow], channel_id: int, heard: Heard) -> None:
    """News of an order whose row is locked."""
    values = {
        "channel_id": channel_id, "external_id": heard.said.external_id, "said": encode(heard.said),
        "said_at": heard.said_at, "read_at": heard.read_at,
    }  # fmt: skip
    conn.execute(SQL["update_said"], values)


def behind(conn: Connection[TupleRow], channel_id: int, limit: int) -> list[str]:
    """Orders that do not follow what was heard, and may."""
    return [i for (i,) in conn.execute(SQL["behind"], {"channel_id": channel_id, "limit": limit})]


def set_may_stand(conn: Connection[TupleRow], channel_id: int, ids: Sequence[str]) -> None:
    """From now on ours may stand, though their rows, which are locked, do not say so."""
    conn.execute(SQL["set_may_stand"], {"channel_id": channel_id, "ids": list(ids)})


def set_found(conn: Connection[TupleRow], channel_id: int, here: Mapping[str, str]) -> None:
    """Ours stand, {external id: order id}, though their rows, which are locked, did not say so: they are behind."""
    conn.execute(SQL["set_found"], {"channel_id": channel_id, "ids": [*here], "order_ids": [*here.values()]})


def set_taken(
    conn: Connection[TupleRow],
    channel_id: int,
    row: Row,
    *,
    status: str,
    problem: str | None = None,
    wanted: Mapping[str, int] | None = None,
    order_id: str | None = None,
) -> None:
    """An order was followed as far as `row` says. Once our own stands, the person is kept with it alone."""
    said = None if order_id is None and row.order_id is None else encode(without_person(row.said))
    values = {
        "channel_id": channel_id, "external_id": row.external_id, "version": row.version, "status": status,
        "problem": problem, "wanted": None if wanted is None else json.dumps(wanted), "order_id": order_id,
        "said": said,
    }  # fmt: skip
    conn.execute(SQL["set_taken"], values)


def erase_person(conn: Connection[TupleRow], person: Person) -> int:
    """Take a person out of what channels said of orders, and out of messages that are not worked on; of how many.

    Orders keep the area that they go to. Reads all that is kept of messages, which is little: what was worked on is
    forgotten."""
    if not person.known_by:
        return 0
    found = conn.execute(SQL["lock_orders_naming"], {"words": list(person.known_by)}).fetchall()
    count = 0
    for channel_id, external_id, text in found:
        said = _decode(text)
        if is_for(said, person):
            values = {"channel_id": channel_id, "external_id": external_id, "said": encode(area_only(said))}
            conn.execute(SQL["erase_said"], values)
            count += 1
    for message_id, body in conn.execute(SQL["lock_bodies"]).fetchall():
        without = blotted(bytes(body), person)
        if without != body:
            conn.execute(SQL["erase_body"], {"message_id": message_id, "body": without})
            count += 1
    return count


def set_wanted(conn: Connection[TupleRow], channel_id: int, row: Row, wanted: Mapping[str, int]) -> None:
    """The channel was told to want that much, unless it was followed since."""
    values = {
        "channel_id": channel_id, "external_id": row.external_id, "taken": row.taken, "wanted": json.dumps(wanted),
    }  # fmt: skip
    conn.execute(SQL["set_wanted"], values)


def set_stuck(
    conn: Connection[TupleRow],
    channel_id: int,
    row: Row,
    *,
    status: str,
    problem: str,
    missing: Sequence[str] | None = None,
    wanted: Mapping[str, int] | None = None,
    seconds: float | None = None,
    order_id: str | None = None,
) -> None:
    """An order cannot be followed. seconds: when to try again; None: when its missing names become known, a person
    says so, or something newer is heard."""
    values = {
        "channel_id": channel_id, "external_id": row.external_id, "version": row.version, "status": status,
        "problem": problem[:1000], "missing": missing, "wanted": None if wanted is None else json.dumps(wanted),
        "seconds": seconds, "order_id": order_id,
    }  # fmt: skip
    conn.execute(SQL["set_stuck"], values)


def set_problem(conn: Connection[TupleRow], channel_id: int, external_id: str, problem: str | None) -> None:
    """Say in what an order differs."""
    conn.execute(SQL["set_problem"], {"channel_id": channel_id, "external_id": external_id, "problem": problem})


def list_orders(
    conn: Connection[TupleRow], channel_id: int, *, status: str | None, problems: bool, after: str, limit: int
) -> list[Fields]:
    """Orders of a channel and how far ours follow them, by id."""
    values = {"channel_id": channel_id, "status": status, "problems": problems, "after": after, "limit": limit}
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_orders"], values).fetchall()


def retry_order(conn: Connection[TupleRow], channel_id: int, external_id: str) -> bool:
    """Try again to take an order in; False: there is none that is stuck."""
    values = {"channel_id": channel_id, "external_id": external_id}
    return conn.execute(SQL["retry_order"], values).fetchone() is not None


def skus_of(
    conn: Connection[TupleRow], channel_id: int, ids: Sequence[str], skus: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Our skus by the channel's ids, and by its skus: those of listings before our own."""
    values = {"channel_id": channel_id, "ids": list(ids), "skus": list(skus)}
    by_id: dict[str, str] = {}
    by_sku: dict[str, str] = {}
    own: set[str] = set()
    for external_id, external_sku, sku in conn.execute(SQL["skus_of"], values).fetchall():
        if external_id is None and external_sku is None:
            own.add(sku)
        if external_id is not None:
            by_id[external_id] = sku
        if external_sku is not None:
            by_sku[external_sku] = sku
    return by_id, {sku: sku for sku in own} | by_sku


def orders_here(conn: Connection[TupleRow], channel_id: int, ids: Sequence[str]) -> dict[str, str]:
    """Our order ids by external id."""
    return dict(conn.execute(SQL["orders_here"], {"channel_id": channel_id, "ids": list(ids)}).fetchall())


# Readings ---------------------------------------------------------------------------------------------


def take_reading(conn: Connection[TupleRow], channel_id: int, kind: str, *, lease_s: float) -> Reading | None:
    """The reading, if it is due and nobody is at it."""
    name = {"channel_id": channel_id, "kind": kind}
    conn.execute(SQL["claim_reading"], name)
    row = conn.execute(SQL["take_reading"], name | {"lease_s": lease_s}).fetchone()
    return None if row is None else Reading(at=row[0], since=row[1], failures=row[2], asked=row[3])


def hasten_readings(conn: Connection[TupleRow], channel_id: int) -> None:
    """What is read of the channel by schedule is read now."""
    conn.execute(SQL["hasten_readings"], {"channel_id": channel_id})


def read_now(conn: Connection[TupleRow]) -> None:
    """Have every channel's orders, sales and counts read now, as well if somebody is at it: that changes nothing."""
    conn.execute(SQL["read_now"])


def save_reading(
    conn: Connection[TupleRow],
    channel_id: int,
    kind: str,
    *,
    at: str | None,
    seconds: float,
    ended: bool,
    heard_until: datetime | None = None,
) -> None:
    """It has come as far as `at`, and is due again in so many seconds.

    heard_until  of one that has ended, when its last page was asked for; None: now
    """
    values = {
        "channel_id": channel_id, "kind": kind, "at": at, "seconds": seconds, "ended": ended,
        "heard_until": heard_until,
    }  # fmt: skip
    conn.execute(SQL["save_reading"], values)


def sales_until(conn: Connection[TupleRow], channel_id: int, topic: str) -> datetime | None:
    """Until when all that was sold there is booked; topic: of messages that are sales. None: it was never read."""
    row = conn.execute(SQL["sales_until"], {"channel_id": channel_id, "topic": topic}).fetchone()
    return None if row is None else row[0]


def ask_reading(conn: Connection[TupleRow], channel_id: int, kind: str) -> int:
    """Have whoever listens to the channel read that now; the number of this asking."""
    row = conn.execute(SQL["ask_reading"], {"channel_id": channel_id, "kind": kind}).fetchone()
    assert row is not None
    return row[0]


def place_reading(conn: Connection[TupleRow], channel_id: int, kind: str, *, at: str) -> None:
    """It goes on at `at` the next time."""
    conn.execute(SQL["place_reading"], {"channel_id": channel_id, "kind": kind, "at": at})


def fail_reading(conn: Connection[TupleRow], channel_id: int, kind: str, *, error: str, seconds: float) -> None:
    values = {"channel_id": channel_id, "kind": kind, "error": error[:1000], "seconds": seconds}
    conn.execute(SQL["fail_reading"], values)


def list_readings(conn: Connection[TupleRow], channel_id: int) -> list[Fields]:
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["readings"], {"channel_id": channel_id}).fetchall()


# Notices ---------------------------------------------------------------------------------------------


def is_only_one(conn: Connection[TupleRow]) -> bool:
    """Whether no other process writes notices in this moment; until the transaction ends."""
    row = conn.execute(SQL["only_one"]).fetchone()
    return row is not None and bool(row[0])


def told_of(conn: Connection[TupleRow], after: tuple[int, int], until: tuple[int, int]) -> list[str]:
    """Orders of which channels may have to be told something, between two places of the outbox."""
    return [order_id for (order_id,) in conn.execute(SQL["told_of"], (*after, *until)).fetchall()]


def add_notices(conn: Connection[TupleRow], order_ids: Sequence[str]) -> int:
    """Write down what is to be told of these orders and was not yet; how many cancellations."""
    conn.execute(SQL["add_part_notices"], {"ids": list(order_ids)})
    return conn.execute(SQL["add_notices"], {"ids": list(order_ids)}).rowcount


def claim_notices(conn: Connection[TupleRow], channel_id: int, *, limit: int, lease_s: float) -> list[Notice]:
    """Notices that are due, for this worker only until the lease ends."""
    with conn.cursor(row_factory=class_row(Notice)) as rows:
        found = rows.execute(
            SQL["claim_notices"], {"channel_id": channel_id, "limit": limit, "lease_s": lease_s}
        ).fetchall()
    return sorted(found, key=lambda n: n.notice_id)


def load_shipped(conn: Connection[TupleRow], notice: Notice) -> Shipped:
    """The parcel of a notice. A bundle counts with the parcel that completes it."""
    values = {"order_id": notice.order_id, "number": notice.shipment_no}
    row = conn.execute(SQL["shipped"], values).fetchone()
    assert row is not None, f"a notice of a shipment that is not there: {notice}"
    units: dict[str, int] = {}
    for line in decode_lines(row[6]):
        left = [
            (sum(n for no, i, at, n in row[8] if (no, i) == (line.line_no, item) and at <= notice.shipment_no) // per,
             sum(n for no, i, at, n in row[8] if (no, i) == (line.line_no, item) and at < notice.shipment_no) // per)
            for item, per in line.parts
        ]  # fmt: skip
        if whole := min(now for now, _ in left) - min(before for _, before in left):
            units[line.line_id] = whole
    return Shipped(
        carrier=row[0] or "", service=row[1] or "", tracking=row[2] or "", shipped_at=row[3], node=row[4],
        external_id=row[5], units=units, is_complete=row[7],
    )  # fmt: skip


def external_id_of(conn: Connection[TupleRow], order_id: str) -> str:
    row = conn.execute(SQL["cancelled"], {"order_id": order_id}).fetchone()
    assert row is not None, f"a notice of an order that is not there: {order_id}"
    return row[0]


def end_notice(
    conn: Connection[TupleRow], notice_id: int, *, status: str, error: str | None, seconds: float = 0.0
) -> None:
    """What became of a notice; one that stays `due` is sent again in so many seconds."""
    values = {"notice_id": notice_id, "status": status, "error": error and error[:1000], "seconds": seconds}
    conn.execute(SQL["end_notice"], values)


def list_notices(
    conn: Connection[TupleRow], channel_id: int, *, status: str | None, after: int, limit: int
) -> list[Fields]:
    values = {"channel_id": channel_id, "status": status, "after": after, "limit": limit}
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_notices"], values).fetchall()


def retry_notices(conn: Connection[TupleRow], order_id: str) -> int:
    """Tell a channel of an order once more, under the same keys; how many notices."""
    return conn.execute(SQL["retry_notices"], {"order_id": order_id}).rowcount


# Reports ---------------------------------------------------------------------------------------------


def ours_since(conn: Connection[TupleRow], channel_id: int, since: datetime, before: datetime) -> dict[str, str]:
    """Our order ids by external id, of those that the channel changed last between two moments."""
    values = {"channel_id": channel_id, "since": since, "before": before}
    return dict(conn.execute(SQL["ours_since"], values).fetchall())


def not_taken(conn: Connection[TupleRow], channel_id: int, external_ids: Sequence[str]) -> dict[str, str]:
    """Of these orders those that wait for somebody to look at them, and why."""
    rows = conn.execute(SQL["not_taken"], {"channel_id": channel_id, "ids": list(external_ids)})
    return {external_id: problem or status for external_id, status, problem in rows}


def add_report(
    conn: Connection[TupleRow],
    channel_id: int,
    *,
    asked: int = 0,
    since: datetime,
    seen: int,
    lost: int,
    changed: int,
    differing: int,
    findings: Sequence[Fields],
) -> int:
    """Keep a report; its id. asked: the last asking after which it began; differing: how many findings there were, if
    not all are kept."""
    values = {
        "channel_id": channel_id, "asked": asked, "since": since, "seen": seen, "lost": lost, "changed": changed,
        "differing": differing, "findings": json.dumps(list(findings)),
    }  # fmt: skip
    row = conn.execute(SQL["add_report"], values).fetchone()
    assert row is not None
    return row[0]


def list_reports(conn: Connection[TupleRow], channel_id: int, *, before: int, limit: int) -> list[Fields]:
    """The latest first."""
    values = {"channel_id": channel_id, "before": before, "limit": limit}
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_reports"], values).fetchall()


def report_answers(conn: Connection[TupleRow], report_id: int) -> int:
    """The last asking after which that report was begun; 0: none."""
    row = conn.execute(SQL["reported_of"], {"report_id": report_id}).fetchone()
    return 0 if row is None else row[0]


def list_rulings(conn: Connection[TupleRow], *, before: int, limit: int) -> list[Fields]:
    """Who was served when two channels sold the last unit; the latest first."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_rulings"], {"before": before, "limit": limit}).fetchall()
