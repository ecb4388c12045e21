"""Where rows go: straight to the database through the same flows as the API, or to an API by HTTP.

Every batch has a key, stored with its effect: repeating a batch after a crash changes nothing and gives the first
answers again. Orders need none: they are never placed twice under one (channel, external_id).
"""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from onhand.base.actor import Actor
from onhand.base.results import RowResult
from onhand.cli.database import database
from onhand.cli.imports.columns import What
from onhand.cli.imports.files import Row
from onhand.errors import InvalidInput, OnhandError, SettingsError
from onhand.settings import Settings

if TYPE_CHECKING:
    import httpx2
    from psycopg import Connection
    from psycopg.rows import TupleRow

    from onhand.app import App
    from onhand.db import Database
    from onhand.flows.intake import Intake
    from onhand.flows.place_orders import Placed
    from onhand.flows.record_entries import Recorded
    from onhand.flows.tracking.record import Told
    from onhand.flows.transactor import Transactor

T = TypeVar("T")

_ROUTE = "import"
_TIMEOUT_S = 120.0
# The API takes bodies of up to 16 MB.
_BODY_BYTES_MAX = 8 * 2**20
# What one statement places at once; a larger batch gains nothing.
_ORDERS_AT_ONCE = 200

# Path and list of rows of each route.
_ROUTES = {
    What.ITEMS: ("/v1/items/batch", "items"),
    What.NODES: ("/v1/nodes/batch", "nodes"),
    What.STOCK: ("/v1/stock/entries", "entries"),
    What.ORDERS: ("/v1/orders/batch", "orders"),
    What.SALES: ("/v1/sales/batch", "sales"),
    What.SIGNALS: ("/v1/signals", "signals"),
    What.LANES: ("/v1/lanes/batch", "lanes"),
    What.SUPPLY: ("/v1/supply/batch", "supply"),
    What.TRACKING: ("/v1/tracking/events", "events"),
    What.COSTS: ("/v1/costs", "charges"),
}


class Outcome(NamedTuple):
    """What became of a row; a rejected one has its reason."""

    status: str
    reason: str | None = None


class ServerAwayError(OnhandError):
    """The API did not answer, or asked to be left alone for a moment."""

    code = "import.server_away"
    http_status = 503
    retryable = True


class ImportRefusedError(OnhandError):
    """The API refused a whole batch."""

    code = "import.refused"
    http_status = 502


class Target(Protocol):
    """Takes batches of sound rows."""

    def send(self, rows: Sequence[Row], key: str) -> list[Outcome]:
        """Import rows, all under `key`; their outcomes in order. A retryable OnhandError: send them again."""
        ...


@contextmanager
def target(what: What, settings: Settings, *, url: str | None, key: str | None, by: Actor) -> Generator[Target]:
    """The API at `url`, or the database of the settings. Raises SettingsError, DatabaseUnavailable."""
    if url is not None:
        import httpx2

        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if not re.match(r"https?://[^/\s]", url):
            raise SettingsError(f"--url: expected http://host:port, got {url!r}")
        with httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT_S) as client:
            yield _Http(client, what)
    elif what not in (What.STOCK, What.ORDERS):
        with database(settings) as db:
            yield _SetUp(db, what, by)
    else:
        from onhand.app import App

        with App.open(settings) as app:
            if what is What.STOCK:
                yield _Stock(app, by)
            else:
                with closing(_Orders(app, by)) as orders:
                    yield orders


class _Replayed(Exception):
    def __init__(self, answer: str) -> None:
        self.answer = answer


def _once(
    db: "Database",
    key: str,
    flow: "Callable[[Transactor], Any]",
    outcomes: Callable[[Any], list[Outcome]],
) -> list[Outcome]:
    """Run a flow whose outcomes are stored under `key` in its own transaction; or give the stored ones."""
    from onhand.db import idempotency

    def transact(work: "Callable[[Connection[TupleRow]], T]") -> T:
        def keyed(conn: "Connection[TupleRow]") -> T:
            if earlier := idempotency.begin(conn, 0, _ROUTE, key, b""):
                raise _Replayed(earlier.answer)
            result = work(conn)
            answer = msgspec.json.encode(outcomes(result)).decode()
            idempotency.finish(conn, 0, _ROUTE, key, 200, answer)
            return result

        return db.transact(keyed)

    try:
        return outcomes(flow(transact))
    except _Replayed as earlier:
        return msgspec.json.decode(earlier.answer, type=list[Outcome])


@dataclass(frozen=True, slots=True)
class _SetUp:
    """Items, nodes, lanes and supply; sales, signals, scans and costs, which need no more than they do."""

    db: "Database"
    what: What
    by: Actor

    def send(self, rows: Sequence[Row], key: str) -> list[Outcome]:
        documents = [row.fields for row in rows]
        if self.what is What.TRACKING:
            return _once(self.db, key, lambda transact: self._track(documents, transact), _told_outcomes)
        return _once(self.db, key, lambda transact: self._write(documents, transact), _row_outcomes)

    def _track(self, documents: list[dict[str, Any]], transact: "Transactor") -> "list[Told]":
        from onhand.flows.tracking.record import record_tracking

        now = datetime.now(UTC)
        return record_tracking(self.db, documents, source="import", now=now, by=self.by, transact=transact)

    def _write(self, documents: list[dict[str, Any]], transact: "Transactor") -> list[RowResult]:
        from onhand.flows import set_up
        from onhand.flows.costs.charges import tell_charges
        from onhand.flows.demand.sales import import_sales
        from onhand.flows.demand.tell_signals import tell_signals

        if self.what is What.SIGNALS:
            return tell_signals(self.db, documents, now=datetime.now(UTC), by=self.by, transact=transact)
        if self.what is What.COSTS:
            return tell_charges(self.db, documents, now=datetime.now(UTC), by=self.by, transact=transact)
        flow = {
            What.ITEMS: set_up.set_items,
            What.NODES: set_up.set_nodes,
            What.LANES: set_up.set_lanes,
            What.SUPPLY: set_up.set_supply,
            What.SALES: import_sales,
        }[self.what]
        return flow(self.db, documents, by=self.by, transact=transact)


def _told_outcomes(told: "list[Told]") -> list[Outcome]:
    return [Outcome(t.status, "; ".join(f"{e.path}: {e.message}" for e in t.errors) or None) for t in told]


def _row_outcomes(results: list[RowResult]) -> list[Outcome]:
    return [Outcome(r.status, "; ".join(f"{e.path}: {e.message}" for e in r.errors) or None) for r in results]


@dataclass(frozen=True, slots=True)
class _Stock:
    """Ledger entries."""

    app: "App"
    by: Actor

    def send(self, rows: Sequence[Row], key: str) -> list[Outcome]:
        from onhand.ledger.intake import decode_entries

        entries = decode_entries(_body("entries", rows))
        done: list[Recorded] = []

        def flow(transact: "Transactor") -> "Recorded":
            done.append(self.app.record(entries, self.by, transact=transact))
            return done[0]

        answers = _once(self.app.db, key, flow, _entry_outcomes)
        for recorded in done:
            self.app.after_entries(recorded)
        return answers


def _entry_outcomes(recorded: "Recorded") -> list[Outcome]:
    return [Outcome(r.status, r.message if r.status == "rejected" else None) for r in recorded.results]


class _Orders:
    """Orders, sourced as they come."""

    def __init__(self, app: "App", by: Actor) -> None:
        from onhand.flows.place_orders import Desk

        self._app = app
        self._by = by
        self._desk = Desk(app.state)

    def send(self, rows: Sequence[Row], key: str) -> list[Outcome]:  # noqa: ARG002 - orders are their own keys
        outcomes: list[Outcome] = []
        ahead = iter(rows)
        while some := list(islice(ahead, _ORDERS_AT_ONCE)):
            outcomes += self._place(some)
        return outcomes

    def close(self) -> None:
        self._desk.close()

    def _place(self, rows: Sequence[Row]) -> list[Outcome]:
        prepared = [self._prepared(row) for row in rows]
        intakes = [p for p in prepared if not isinstance(p, Outcome)]
        placed = iter(self._desk.place(intakes) if intakes else [])
        return [p if isinstance(p, Outcome) else _placed_outcome(next(placed)) for p in prepared]

    def _prepared(self, row: Row) -> "Intake | Outcome":
        from onhand.flows.place_orders import Placed

        try:
            prepared = self._prepare(row)
        except (msgspec.DecodeError, InvalidInput) as error:
            return Outcome("rejected", _reason(error))
        return _placed_outcome(prepared) if isinstance(prepared, (Placed, Exception)) else prepared

    def _prepare(self, row: Row) -> "Intake | Placed | Exception":
        from onhand.flows.intake import NotKnown, prepare
        from onhand.flows.second_look import RefusedOrder, look_again_at_orders
        from onhand.orders.intake import OrderIn

        state, by, now = self._app.state, self._by, self._app.state.now()
        order = msgspec.json.decode(row.body, type=OrderIn)
        try:
            return prepare(state, order, actor=by.key_id, reason=by.reason, key=None, now=now)
        except NotKnown as error:
            refused = RefusedOrder(order=order, by=by, key=None, error=error)
            return look_again_at_orders(state, [refused], now=now)[0]


def _placed_outcome(answer: "Placed | Exception") -> Outcome:
    if isinstance(answer, OnhandError) and not answer.retryable:
        return Outcome("rejected", str(answer))
    if isinstance(answer, Exception):
        raise answer
    return Outcome(msgspec.json.decode(answer.answer)["status"])


_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


def _reason(error: Exception) -> str:
    match = _AT.fullmatch(str(error))
    return (f"{match[2]}: {match[1]}" if match else str(error)).replace("`", "")


def _body(name: str, rows: Sequence[Row]) -> bytes:
    return b'{"%s":[%s]}' % (name.encode(), b",".join(row.body for row in rows))


@dataclass(frozen=True, slots=True)
class _Http:
    """An API, by its batch routes."""

    client: "httpx2.Client"
    what: What

    def send(self, rows: Sequence[Row], key: str) -> list[Outcome]:
        if sum(len(row.body) + 1 for row in rows) > _BODY_BYTES_MAX and len(rows) > 1:
            half = len(rows) // 2
            return self.send(rows[:half], f"{key}-1") + self.send(rows[half:], f"{key}-2")
        import httpx2

        path, name = _ROUTES[self.what]
        try:
            answer = self.client.post(
                path,
                content=_body(name, rows),
                headers={"Content-Type": "application/json", "Idempotency-Key": key},
            )
            text = answer.content
        except httpx2.TransportError as error:
            raise ServerAwayError(f"{self.client.base_url} does not answer: {error}") from error
        if answer.status_code in (429, 502, 503, 504) or _is_in_flight(answer.status_code, text):
            raise ServerAwayError(f"{path} answered {answer.status_code}: {_detail(text)}")
        if answer.status_code != 200:
            raise ImportRefusedError(f"{path} answered {answer.status_code}: {_detail(text)}")
        return [_http_outcome(result) for result in msgspec.json.decode(text)["results"]]


def _is_in_flight(status: int, text: bytes) -> bool:
    return status == 409 and b"idempotency.in_flight" in text


def _detail(text: bytes) -> str:
    try:
        return str(msgspec.json.decode(text)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return text[:200].decode("utf-8", "replace")


def _http_outcome(result: dict[str, Any]) -> Outcome:
    if result["status"] != "rejected":
        return Outcome(result["status"])
    errors = "; ".join(f"{e['path']}: {e['message']}" for e in result.get("errors") or ())
    return Outcome("rejected", errors or result.get("message") or result.get("detail") or result.get("code"))
