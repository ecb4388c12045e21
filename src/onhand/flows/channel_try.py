"""Ask a channel something harmless, as a document says, to see whether it can be talked to. Nothing is written, here
or there, but an entry of the audit log: who had whose credentials sent where.

Only what reads is asked: the first page of each. A write is seen when the first one leaves.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from onhand.base.actor import Actor
from onhand.channels import store
from onhand.channels.model import CONNECTOR, ChannelIn
from onhand.connectors import (
    Connection,
    Connector,
    MemoryNotes,
    MemoryTokens,
    PaymentProvider,
    Refused,
    Unavailable,
    sent_to,
)
from onhand.connectors._sdk.interface import Sender
from onhand.connectors._sdk.values import Fate, Page, Reject
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound, Overloaded
from onhand.flows.accounts import Connectors
from onhand.wire import Answer, Caller, Doors, Guard, NoSuchFile, NotReachable, Request

Verdict = Literal["works", "failed", "untried"]
Reason = Literal[
    "wrong_key", "no_permission", "wrong_address", "private_address", "unreachable", "slow", "busy", "vendor_fails",
    "refused", "unreadable", "writes", "takes", "given_up",
]  # fmt: skip

REMEDIES: Final[dict[Reason, str]] = {
    "wrong_key": "It does not accept the credentials: copy them again, whole, from the account that the address is of.",
    "no_permission": "It knows the key and does not let it do this: give the key this permission there.",
    "wrong_address": "Something answers there, but not this interface: check the address, its path, and http or https.",
    "private_address": "The address is on a private network: use a public one, or set ONHAND_ALLOW_PRIVATE_URLS.",
    "unreachable": "Nobody answers there: check the name of the host, and whether this server is let through.",
    "slow": "It took too long: try again; if it stays so, ask the vendor, or whoever runs the network between.",
    "busy": "It has had enough of our questions for now: try again later.",
    "vendor_fails": "It fails by itself: try again later, and look at the vendor's status page.",
    "refused": "It understood and will not: its words say why. Mostly an id in the settings is wrong.",
    "unreadable": "Its answers are not understood: check its version, or say how to read it in `overrides`.",
    "writes": "It writes, so it is not tried: the first write will tell.",
    "takes": "It takes what it reads, so it is not tried.",
    "given_up": "Not asked after what failed before it.",
}
_REQUEST_S: Final = 8.0
_CHECK_S: Final = 10.0
_ALL_S: Final = 25.0
_SINCE: Final = timedelta(days=7)
_AT_ONCE: Final = threading.BoundedSemaphore(4)
"""Tries in this process: each has a thread of the interface for as long as a slow vendor likes."""
# Nobody has this one; a vendor that says so has believed who we are.
_NO_PAYMENT: Final = "onhand-connection-test"
_ENDS_IT: Final = frozenset[Reason]({"wrong_key", "private_address", "unreachable", "slow", "busy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One capability, tried.

    status   of the vendor's last answer, if it gave one
    said     its own words, or those of the system in between; no secret
    read     records, or files; rejected: of these could not be read
    """

    capability: str
    verdict: Verdict
    reason: Reason | None = None
    remedy: str | None = None
    status: int | None = None
    said: str = ""
    took_ms: float | None = None
    read: int | None = None
    rejected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How it went. verdict: failed if any check did, untried if nothing could be asked."""

    channel: str
    connector: str
    verdict: Verdict
    took_ms: float
    checks: list[Check]


def try_channel(
    db: Database, connectors: Connectors, code: str, channel: ChannelIn | None, *, by: Actor, allow_private_urls: bool
) -> Tried:
    """Try a channel as a document says, or as it is stored. Raises InvalidInput, NotFound, Overloaded; Conflict for one
    that nobody talks to.

    channel  as for a PUT; without credentials those stored count, if it is of the same connector and address
    """
    with db.connection() as conn:
        known, sealed = store.get_channel(conn, code), store.get_sealed(conn, code)
    if channel is None:
        if known is None:
            raise NotFound("channel", code)
        channel = ChannelIn(
            connector=known.connector, currency=known.currency, settings=known.settings, prices=known.prices
        )
    if channel.connector == CONNECTOR:
        raise Conflict("channel.not_connected", f"channel {code!r} calls this interface itself: there is nobody to ask")
    settings, kept = connectors.checked(channel, known, sealed)
    connector = connectors.find(channel.connector, settings)
    data: dict[str, Any] = {
        "connector": connector.name,
        "credentials": "none" if kept is None else "given" if channel.credentials else "stored",
        "sent_to": {name: said for name, said in sent_to(connector, settings).items() if said},
    }
    if not _AT_ONCE.acquire(blocking=False):
        raise Overloaded(5, "too many channels are being tried")
    try:
        # Before anything is sent: what a process did that died meanwhile is known, too.
        db.transact(lambda conn: write_event(conn, "channel.tried", code, data, actor=by, origin=db.origin))
        began = time.monotonic()
        checks = asyncio.run(
            _try(connector, settings, connectors.open(kept), connectors, allow_private_urls=allow_private_urls)
        )
    finally:
        _AT_ONCE.release()
    verdicts = {check.verdict for check in checks}
    verdict: Verdict = "failed" if "failed" in verdicts else "works" if "works" in verdicts else "untried"
    return Tried(channel=code, connector=connector.name, verdict=verdict, took_ms=_ms(began), checks=checks)


class _Watched:
    """A Sender that takes no longer than a person waits, and remembers how the last request ended."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.forget()

    def forget(self) -> None:
        self.status: int | None = None
        self.trouble: NotReachable | None = None

    async def send(self, request: Request) -> Answer:
        self.forget()
        try:
            answer = await self._sender.send(replace(request, timeout_s=min(request.timeout_s, _REQUEST_S)))
        except NotReachable as error:
            self.trouble = error
            raise
        self.status = answer.status
        return answer


class _Impatient:
    """A Limiter for a handful of questions: they go at once, until the channel says that it wants to be left alone."""

    async def turn(self, bucket: str, *, rate_per_s: float, burst: int, weight: float = 1.0) -> None:
        """At once."""

    async def pause(self, seconds: float, *, bucket: str | None = None) -> None:
        """What is asked next comes from a person who was told."""


async def _try(
    connector: Connector,
    settings: dict[str, Any],
    credentials: dict[str, str],
    connectors: Connectors,
    *,
    allow_private_urls: bool,
) -> list[Check]:
    guard = Guard(allow_private=allow_private_urls)
    ends = time.monotonic() + _ALL_S
    checks: list[Check] = []
    async with Caller(guard, ssl.create_default_context()) as caller:
        watched = _Watched(caller)
        connection = Connection(
            settings=settings,
            credentials=credentials,
            sender=watched,
            limiter=_Impatient(),
            tokens=MemoryTokens(),
            notes=MemoryNotes(),
            folders=Doors(guard=guard, local_root=connectors.files_root, timeout_s=_REQUEST_S),
        )
        for capability, ask in _questions(connector):
            is_over = any(check.reason in _ENDS_IT for check in checks) or time.monotonic() > ends
            checks.append(
                _untried(capability, "given_up") if is_over else await _check(connection, watched, capability, ask)
            )
    left = sorted(connector.capabilities - _SILENT - {check.capability for check in checks})
    return [*checks, *(_untried(name, "takes" if name.endswith(".pull") else "writes") for name in left)]


# Nothing to be tried by itself: it goes with another one, or says how that is to be taken.
_SILENT: Final = frozenset({"orders.once", "orders.get", "payments.get", "prices.currency"})
_Ask = Callable[[Connection], Awaitable[Any]]


def _questions(connector: Connector) -> list[tuple[str, _Ask]]:
    """What can be asked without a trace there."""
    if getattr(connector, "passes_files", False):
        # To read a file is to take it: what is listed is left where it is.
        listed: _Ask = _listed
        return [("files", listed)]
    can, since = connector.capabilities, datetime.now(UTC) - _SINCE
    other: Any = connector
    asks: dict[str, _Ask] = {
        "listings.pull": lambda c: connector.pull_listings(c, None),
        "stock.pull": lambda c: connector.pull_stock(c, None),
        "orders.pull": lambda c: connector.pull_orders(c, None, since=since),
        "sales.pull": lambda c: connector.pull_sales(c, None, since=since),
        "prices.pull": lambda c: other.pull_prices(c, None),
        "counts.pull": lambda c: other.pull_counts(c, None, since=since),
        "node_stock.pull": lambda c: other.pull_node_stock(c, None),
        "shipping.pull": lambda c: other.pull_shipments(c, None, since=since),
    }
    found = [(name, ask) for name, ask in asks.items() if name in can]
    if not found and "payments.get" in can:
        found.append(("payments.get", lambda c: _no_payment(other, c)))
    return found


async def _no_payment(provider: PaymentProvider, connection: Connection) -> None:
    """Whether it believes who we are, by asking for what is not there. Raises Refused, Unavailable."""
    paid = await provider.get_payment(connection, _NO_PAYMENT)
    if paid.fate in {Fate.RETRY, Fate.UNKNOWN}:
        raise Unavailable(paid.message)
    if paid.fate is Fate.REFUSED:
        raise Refused(paid.message, code=paid.code)


class _Listed(NamedTuple):
    """How many files there are, and what is to be said of folders."""

    files: int
    said: str


async def _listed(connection: Connection) -> _Listed:
    """Files in the folders that the settings name. Raises NotReachable, Refused."""
    assert connection.folders is not None, "it was given"
    settings = connection.settings
    names = {"": "", **{said: name for name, said in settings.items() if name.endswith("_folder") and said}}
    found, missing = 0, list[str]()
    try:
        async with connection.folders.open(
            settings["url"], host_key=settings.get("host_key") or "", credentials=connection.credentials
        ) as folder:
            for name in sorted(names):
                # It may not be there before its first file is; a name that was misspelt is not there either.
                try:
                    found += len(await folder.entries(name))
                except NoSuchFile:
                    missing.append(f"{name!r} ({names[name]})" if name else "the folder itself")
    except ValueError as error:
        raise Refused(str(error)) from None
    return _Listed(files=found, said=f"not there, so without a file: {', '.join(missing)}" if missing else "")


async def _check(connection: Connection, watched: _Watched, capability: str, ask: _Ask) -> Check:
    watched.forget()
    began = time.monotonic()
    reason: Reason | None = None
    said, read, rejects = "", None, list[Reject]()
    try:
        async with asyncio.timeout(_CHECK_S):
            found = await ask(connection)
        if isinstance(found, Page):
            read, rejects = len(found.records), list(found.rejects)
        elif isinstance(found, _Listed):
            read, said = found.files, found.said
        if rejects and not read:
            reason = "unreadable"
        said = rejects[0].why if rejects else said
    except TimeoutError:
        reason, said = "slow", f"no answer within {_CHECK_S:g} s"
    except NotReachable as error:
        reason, said = _unreached(error), str(error)
    except (Unavailable, Refused) as error:
        reason, said = reason_of(error, watched.status, watched.trouble), str(error)
    except Exception as error:  # one that is not ours may raise anything
        reason, said = "unreadable", f"{type(error).__name__}: {error}"
    return Check(
        capability=capability,
        verdict="works" if reason is None else "failed",
        reason=reason,
        remedy=None if reason is None else REMEDIES[reason],
        status=watched.status,
        said=connection.hide(said)[:500],
        took_ms=_ms(began),
        read=read,
        rejected=len(rejects) if read is not None else None,
    )


def reason_of(error: Unavailable | Refused, status: int | None, trouble: NotReachable | None) -> Reason:
    """Why a question failed. status: of the last answer; trouble: why there was none. Pure."""
    if trouble is not None:
        return _unreached(trouble)
    if isinstance(error, Refused) and error.is_unauthorised:
        # GraphQL says with 200 that it knows us and will not.
        knows_us = status == 403 or (status == 200 and error.code not in {"login", "oauth", "secret"})
        return "no_permission" if knows_us else "wrong_key"
    match status:
        case None:
            return "refused" if isinstance(error, Refused) else "unreachable"
        case 401:
            return "wrong_key"
        case 403:
            return "no_permission"
        case 429:
            return "busy"
        case _ if status >= 500:
            return "vendor_fails"
        case _ if 300 <= status < 400 or status in (404, 405, 410):
            return "wrong_address"
        case _:
            pass
    if isinstance(error, Unavailable):  # a good status, and a page for people
        return "wrong_address" if status < 300 else "busy"
    return "unreadable" if error.code == "unreadable" else "refused"


def _unreached(error: NotReachable) -> Reason:
    reasons: dict[str, Reason] = {"private": "private_address", "time": "slow", "key": "wrong_key"}
    return reasons.get(error.cause, "unreachable")


def _untried(capability: str, reason: Reason) -> Check:
    return Check(capability=capability, verdict="untried", reason=reason, remedy=REMEDIES[reason])


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
