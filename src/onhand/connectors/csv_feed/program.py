"""`csv_feed`: files of rows in folders, by settings alone."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from onhand.base.money import EXPONENTS
from onhand.connectors._sdk.folders import folder_of
from onhand.connectors._sdk.inbox import BEGINNING, Inbox, Position
from onhand.connectors._sdk.interface import Connection, Refused, Unavailable
from onhand.connectors._sdk.outcomes import AnyWrite, fate_of, written
from onhand.connectors._sdk.program import Program
from onhand.connectors._sdk.values import Fate, Fulfilment, Outcome, Page, PriceWrite, Reject, Write
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn
from onhand.connectors.csv_feed import settings as settings_of
from onhand.connectors.csv_feed.reading import Gathering, Order, Splitter, Unusable, columns_of
from onhand.connectors.csv_feed.records import Context, Kind
from onhand.connectors.csv_feed.rows import Unfinished, Unreadable, cells, row_written
from onhand.connectors.csv_feed.settings import (
    CREDENTIALS,
    PRICE_COLUMNS,
    REQUEST_COLUMNS,
    SETTINGS,
    STOCK_COLUMNS,
    Feed,
)
from onhand.wire import Folder

NAME: Final = "csv_feed"
ROWS_OF_A_PAGE: Final = 1_000
# A file that cannot be used is put aside and the next one is looked at; so many at one asking.
_ASIDE_MAX: Final = 20


def connector() -> "CsvFeed":
    """For the registry."""
    return CsvFeed()


class CsvFeed(Program):
    """See `interface.Connector`."""

    name = NAME
    title = "Files of rows in folders"
    capabilities = frozenset(
        {
            "orders.pull", "orders.once", "sales.pull", "counts.pull", "stock.push", "prices.push", "shipping.push",
            "shipping.pull",
        }
    )  # fmt: skip
    batch_max = 10_000
    price_batch_max = 10_000
    passes_files = True
    status = "beta"

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), rows: int = ROWS_OF_A_PAGE) -> None:
        self._now, self._rows = now, rows

    def timed(self, now: Callable[[], datetime]) -> "CsvFeed":
        """The same, by another clock."""
        return CsvFeed(now=now, rows=self._rows)

    @property
    def settings(self) -> Mapping[str, SettingIn]:
        """What the operator fills in."""
        return SETTINGS

    @property
    def credentials(self) -> Mapping[str, CredentialIn]:
        """Secrets that the operator fills in."""
        return CREDENTIALS

    def wrong_settings(self, settings: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """See `interface.Particular`."""
        return settings_of.wrong_settings(settings)

    # Reading ------------------------------------------------------------------------------------------------------

    async def pull_orders(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """Orders of files, rows of one order together. `since` is not asked: what was not taken yet is new."""
        return await self._pull(connection, "orders", at)

    async def pull_sales(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """Sales of tills."""
        return await self._pull(connection, "sales", at)

    async def pull_counts(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """What is there."""
        return await self._pull(connection, "counts", at)

    async def pull_shipments(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """What was shipped for us."""
        return await self._pull(connection, "shipments", at)

    async def _pull(self, connection: Connection, kind: Kind, at: str | None) -> Page:
        feed = Feed.of(connection.settings)
        if not feed.folders[kind]:
            return Page(records=())
        async with folder_of(connection) as (folder, notes):
            inbox = Inbox(folder, notes, feed.where(kind), self._now)
            rejects: list[Reject] = []
            position = await _go_on(inbox, Position.read(at))
            for _ in range(_ASIDE_MAX):
                if position is None and (position := await self._begin(inbox, feed, kind, rejects)) is None:
                    return await _end(inbox, rejects)
                try:
                    return await self._page(inbox, folder, feed, kind, position, rejects)
                except Unusable as error:
                    await inbox.aside(position, str(error))
                    rejects.append(Reject(external_id=position.name, why=str(error)))
                    position = None
            return Page(records=(), rejects=rejects, next=BEGINNING)

    async def _begin(self, inbox: Inbox, feed: Feed, kind: Kind, rejects: list[Reject]) -> Position | None:
        """The beginning of the next file that can be used; those before it are put away."""
        for _ in range(_ASIDE_MAX):
            entry = await inbox.first()
            if entry is None:
                return None
            order = Order(_splitter(feed, kind), kind)
            why = ""

            def look(chunk: bytes, order: Order = order) -> None:
                nonlocal why
                if not why:
                    try:
                        order.look(chunk)
                    except Unusable as error:
                        why = str(error)

            begun = await inbox.begin(entry, look)
            if begun is None:
                continue
            try:
                if not why:
                    order.end()
            except Unusable as error:
                why = str(error)
            if not why:
                return begun
            await inbox.aside(begun, why)
            rejects.append(Reject(external_id=begun.name, why=why))
        return None

    async def _page(
        self, inbox: Inbox, folder: Folder, feed: Feed, kind: Kind, position: Position, rejects: list[Reject]
    ) -> Page:
        path = inbox.path_of(position.name)
        splitter = await _splitter_at(folder, path, feed, kind, position)
        gathering = Gathering(
            kind=kind,
            context=Context(form=feed.form, file=position.digest, currency=feed.currency, statuses=feed.statuses),
        )
        offset, is_end, taken = splitter.at, False, 0
        stop: tuple[int, int] | None = None
        while stop is None:
            raw = splitter.take(is_end=is_end)
            if raw is None:
                if is_end:
                    break
                chunk = await folder.read(path, offset=offset)
                is_end = not chunk
                offset += len(chunk)
                splitter.feed(chunk)
            elif taken >= self._rows and gathering.begins_anew(raw):
                stop = (raw.start, raw.row.number - 1)
            else:
                gathering.add(raw)
                taken += 1
        gathering.close()
        if gathering.bad_rows:
            await inbox.reject_rows(position, _rejected(gathering, feed, splitter.header))
        at, row = stop or (splitter.at, splitter.number)
        following = position.at(at, row, is_last=stop is None)
        return Page(records=gathering.values, rejects=[*rejects, *gathering.rejects], next=following.text())

    # Writing ------------------------------------------------------------------------------------------------------

    async def push_stock(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]:
        """The numbers as one file. Never raises for a folder that fails."""
        return await self._push(connection, "stock", STOCK_COLUMNS, ("sku", "external_id", "quantity"), writes)

    async def push_prices(self, connection: Connection, writes: Sequence[PriceWrite]) -> list[Outcome]:
        """The prices as one file. Never raises for a folder that fails."""
        usual = ("sku", "external_id", "price", "currency")
        return await self._push(connection, "prices", PRICE_COLUMNS, usual, writes)

    async def _push(
        self,
        connection: Connection,
        kind: Literal["stock", "prices"],
        known_columns: Sequence[str],
        usual: Sequence[str],
        writes: Sequence[AnyWrite],
    ) -> list[Outcome]:
        feed = Feed.of(connection.settings)
        if not feed.folders[kind]:
            return [Outcome(fate=Fate.REFUSED, code="no_folder", message=f"settings.{kind}_folder is not set")] * len(
                writes
            )
        columns = feed.columns[kind] or {name: name for name in usual}
        names = [name for name in known_columns if name in columns]
        at = self._now().astimezone(UTC)
        fates: list[Outcome] = []
        rows: list[bytes] = []
        for write in writes:
            known = written(write) | {
                "sku": write.external_sku or write.external_id, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }  # fmt: skip
            if "price" in known and feed.form.decimal != ".":
                known["price"] = str(known["price"]).replace(".", feed.form.decimal)
            try:
                rows.append(row_written([known[name] for name in names], feed.form))
                fates.append(Outcome(fate=Fate.DONE))
            except Unreadable as error:
                fates.append(Outcome(fate=Fate.REFUSED, code="encoding", message=str(error)))
        if not rows:
            return fates
        try:
            head = [row_written([columns[name] for name in names], feed.form)] if feed.has_header else []
            # The same writes again are the same file again, unless it was taken: then what it says is still true.
            key = hashlib.sha256("\n".join(write.key for write in writes).encode()).hexdigest()[:16]
            name = f"{kind}_{at:%Y%m%dT%H%M%S%f}_{key}.csv"
            async with folder_of(connection) as (folder, _):
                there = await folder.entries(feed.folders[kind])
                if not any(entry.name.endswith(f"_{key}.csv") and entry.name.startswith(f"{kind}_") for entry in there):
                    await folder.write(f"{feed.folders[kind]}/{name}", b"".join([*head, *rows]))
        except (Unavailable, Refused) as error:
            failed = fate_of(error)
            return [failed if fate.fate is Fate.DONE else fate for fate in fates]
        except Unreadable as error:
            return [Outcome(fate=Fate.REFUSED, code="encoding", message=str(error))] * len(writes)
        return fates

    async def push_fulfilment(self, connection: Connection, fulfilment: Fulfilment) -> Outcome:
        """What is to be shipped, as one file with a row for each line."""
        feed = Feed.of(connection.settings)
        if not feed.folders["requests"]:
            return Outcome(fate=Fate.REFUSED, code="no_folder", message="settings.requests_folder is not set")
        columns = feed.columns["request"] or {name: name for name in REQUEST_COLUMNS}
        try:
            rows = [row_written(list(columns.values()), feed.form)] if feed.has_header else []
            rows += [row_written([cells[name] for name in columns], feed.form) for cells in _request_rows(fulfilment)]
            key = hashlib.sha256(fulfilment.key.encode()).hexdigest()[:16]
            async with folder_of(connection) as (folder, notes):
                # Whoever takes the file may take it away: that it was written is remembered, or it would be twice.
                if await notes.get(f"asked:{key}") is None:
                    await folder.write(f"{feed.folders['requests']}/request_{key}.csv", b"".join(rows))
                    await notes.put(f"asked:{key}", fulfilment.fulfilment_id)
        except Unreadable as error:
            return Outcome(fate=Fate.REFUSED, code="encoding", message=str(error))
        except (Unavailable, Refused) as error:
            return fate_of(error)
        return Outcome(fate=Fate.ACCEPTED)


async def _end(inbox: Inbox, rejects: list[Reject]) -> Page:
    """Nothing more can be read now. What is kept for the next time is a beginning: it lies in the folder."""
    following = None if await inbox.first() is None else BEGINNING
    return Page(records=(), rejects=rejects, next=following, cursor=BEGINNING)


async def _go_on(inbox: Inbox, position: Position | None) -> Position | None:
    """Where reading goes on in the file it was in; None: with another file."""
    if position is None:
        return None
    if position.is_last:
        await inbox.done(position)
        return None
    # A file that has changed is begun anew, under another name for its records.
    return None if await inbox.still(position) is None else position


def _splitter(feed: Feed, kind: Kind) -> Splitter:
    said = feed.columns[kind]
    columns = None if feed.has_header else columns_of(kind, said, None)
    return Splitter(kind, feed.form, said, columns=columns)


async def _splitter_at(folder: Folder, path: str, feed: Feed, kind: Kind, position: Position) -> Splitter:
    """One that goes on at `position`, knowing the header."""
    beginning = _splitter(feed, kind)
    if position.offset == 0:
        return beginning
    offset = 0
    while beginning.columns is None:
        chunk = await folder.read(path, offset=offset)
        offset += len(chunk)
        beginning.feed(chunk)
        if beginning.take(is_end=not chunk) is None and not chunk:
            break
    return Splitter(
        kind, feed.form, feed.columns[kind], columns=beginning.columns, header=beginning.header,
        at=position.offset, number=position.row,
    )  # fmt: skip


def _rejected(gathering: Gathering, feed: Feed, header: Sequence[str]) -> str:
    """Rows that were not used, each after its number and the reason; the rest of it as it came."""
    first = row_written(["row", "reason", *header], feed.form) if feed.has_header else b""
    lines = [_with_reason(number, why, text, feed) for number, why, text in gathering.bad_rows]
    return b"".join([first, *lines]).decode(feed.form.encoding, "replace")


def _with_reason(number: int, why: str, text: bytes, feed: Feed) -> bytes:
    plain = why.encode("ascii", "replace").decode()
    try:
        cells([text], feed.form)
    except (Unfinished, Unreadable):  # one cell, so that it spoils no other row
        shown = text.decode("ascii", "backslashreplace").strip("\r\n")
        return row_written([number, plain, shown], feed.form)
    return row_written([number, plain, ""], feed.form).rstrip(b"\r\n") + text.strip(b"\r\n") + b"\r\n"


def _request_rows(fulfilment: Fulfilment) -> list[dict[str, object]]:
    to = fulfilment.destination
    of_all: dict[str, object] = {
        "fulfilment_id": fulfilment.fulfilment_id, "order_number": fulfilment.order_number,
        "ordered_at": _said(fulfilment.ordered_at), "currency": fulfilment.currency, "place": fulfilment.place,
        "carrier": fulfilment.carrier, "service": fulfilment.service, "ship_by": _said(fulfilment.ship_by),
        "deliver_by": _said(fulfilment.deliver_by), "name": to.name, "company": to.company, "street": to.street,
        "city": to.city, "region": to.region, "postal_code": to.postal_code, "country": to.country,
        "email": fulfilment.email, "phone": fulfilment.phone or to.phone, "note": fulfilment.note,
    }  # fmt: skip
    exponent = EXPONENTS.get(fulfilment.currency, 2)
    return [
        of_all
        | {
            "line_id": line.line_id, "sku": line.sku, "external_sku": line.external_sku, "item_name": line.name,
            "quantity": line.quantity, "price": f"{line.price_minor / 10**exponent:.{exponent}f}",
        }
        for line in fulfilment.lines
    ]  # fmt: skip


def _said(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
