"""Send what playbooks have to say to customers, each message at most once.

A message is looked at under the lock of its order just before it leaves: what it would tell may be withdrawn by then,
the order cancelled, the customer erased or unwilling, the cause gone, or it may be night where the order goes. Then it
is marked as being sent, and only then handed to the mail server. Where the server refuses it, it is tried again. Where
nobody knows whether it was taken, because the connection broke after the text or the worker ended, it is never sent
again: better one message too few than a customer who is told twice.
"""

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import msgspec
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.db import Database, queries
from onhand.flows.playbooks.costs import book_message
from onhand.incidents.playbooks.fill import fill, plain
from onhand.incidents.playbooks.quiet import after_quiet, zone_of
from onhand.orders.intake import Wishes

SQL = queries(__file__)
log = structlog.get_logger(__name__)

_LEASE_S: Final = 120.0
_TIMEOUT_S: Final = 30.0
_FAILURES_MAX: Final = 8
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a message says, to whom."""

    to: str
    subject: str
    text: str


class NotTaken(Exception):
    """The server refused the message, or could not be reached: it has not left. is_final: trying again is no use."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        self.is_final = is_final
        super().__init__(why)


class Unclear(Exception):
    """The connection broke after the text was handed over: nobody knows whether it was taken."""


class Mailer(Protocol):
    """Hands a message to a mail server. Raises NotTaken, Unclear."""

    def __call__(self, message: EmailMessage, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """A mail server: `smtp://user:password@host:587` (STARTTLS), `smtps://` (TLS from the beginning), or
    `smtp+plain://` without either, for one on this machine."""

    url: str
    sender: str

    def __call__(self, message: EmailMessage, /) -> None:
        message["From"] = self.sender
        at = urlsplit(self.url)
        try:
            server = self._connect(at.scheme, at.hostname or "localhost", at.port)
            try:
                if at.username:
                    server.login(unquote(at.username), unquote(at.password or ""))
                _hand_over(server, message, self.sender)
            finally:
                server.close()
        except smtplib.SMTPResponseException as error:
            code = error.smtp_code
            raise NotTaken(f"{code} {_text(error.smtp_error)}", is_final=500 <= code < 600) from None
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise NotTaken(f"{code} {_text(said)}", is_final=500 <= code < 600) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotTaken(f"{type(error).__name__}: {error}") from None

    def _connect(self, scheme: str, host: str, port: int | None) -> smtplib.SMTP:
        if scheme == "smtps":
            return smtplib.SMTP_SSL(host, port or 465, timeout=_TIMEOUT_S, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port or 587, timeout=_TIMEOUT_S)
        if scheme != "smtp+plain":
            server.starttls(context=ssl.create_default_context())
        return server


def _hand_over(server: smtplib.SMTP, message: EmailMessage, sender: str) -> None:
    """MAIL, RCPT and DATA by hand: a connection that breaks before the text has left means something else than one
    that breaks after it."""
    server.ehlo_or_helo_if_needed()
    code, said = server.mail(sender)
    if code == 250:
        recipient = str(message["To"])
        code, said = server.rcpt(recipient)
    if code not in (250, 251):
        raise smtplib.SMTPResponseException(code, said)
    try:
        code, said = server.data(message.as_bytes(policy=SMTP))
    except smtplib.SMTPDataError as error:
        raise smtplib.SMTPResponseException(error.smtp_code, error.smtp_error) from None
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        raise Unclear(f"{type(error).__name__}: {error}") from None
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)


def _text(said: object) -> str:
    return plain(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A message that is being sent; its worker has the lease. cost_minor: that it is booked with, for `cause`."""

    message_id: int
    order_id: str
    failures: int
    mail: EmailMessage
    cost_minor: int
    cause: str
    currency: str


def send_messages(
    db: Database,
    mailer: Mailer,
    *,
    now: Callable[[], datetime],
    fault: Callable[[str], None] = lambda _: None,
) -> int:
    """Send what is due, up to 200; how many were handed over. Any number of workers may do it.

    fault  called before and after each message is handed over, for tests that end the process there
    """
    sent = 0
    db.transact(lambda conn: conn.execute(SQL["give_up_sending"]).rowcount)
    for _ in range(_AT_ONCE):
        found = db.transact(lambda conn: _next(conn, now()))
        if found is None:
            break
        if isinstance(found, _Ready):
            sent += _hand(db, mailer, found, now(), fault)
    return sent


def _hand(db: Database, mailer: Mailer, ready: _Ready, now: datetime, fault: Callable[[str], None]) -> int:
    values: dict[str, Any] = {"message_id": ready.message_id, "now": now}
    fault("before")
    try:
        mailer(ready.mail)
    except NotTaken as error:
        is_over = error.is_final or ready.failures + 1 >= _FAILURES_MAX
        again = now + timedelta(minutes=2**ready.failures)
        values |= {"status": "dead" if is_over else "due", "due_at": again, "why": str(error)[:300]}
        db.transact(lambda conn: conn.execute(SQL["not_sent"], values).rowcount)
        return 0
    except Unclear as error:
        values["why"] = str(error)[:300]
        db.transact(lambda conn: conn.execute(SQL["is_unknown"], values).rowcount)
        return 0
    fault("after")
    db.transact(lambda conn: _sent(conn, ready, now))
    return 1


def _sent(conn: Connection[TupleRow], ready: _Ready, now: datetime) -> None:
    values = {"message_id": ready.message_id, "now": now}
    if conn.execute(SQL["sent"], values).rowcount:
        book_message(
            conn, ready.message_id, ready.order_id, ready.cost_minor, cause=ready.cause, currency=ready.currency,
            now=now,
        )  # fmt: skip


def _next(conn: Connection[TupleRow], now: datetime) -> _Ready | str | None:
    """The next message, marked as being sent; or what became of it instead; None: nothing is due."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(SQL["next_message"], {"now": now}).fetchone()
    if row is None:
        return None
    letter = letter_of(conn, row, now)
    if not isinstance(letter, Letter):
        return "not now"
    conn.execute(SQL["sending"], {"message_id": row["message_id"], "lease_s": _LEASE_S})
    return _Ready(
        message_id=row["message_id"], order_id=row["order_id"], failures=row["failures"],
        mail=_mail(row["key"], letter, now), cost_minor=row["template"].get("cost_minor", 0), cause=row["kind"],
        currency=row["currency"],
    )  # fmt: skip


def letter_of(conn: Connection[TupleRow], row: Mapping[str, Any], now: datetime) -> Letter | str | datetime:
    """What a message, a locked row, says if it leaves now. Or why it never does: then it is dropped; or when it may,
    for it is night where the order goes: then it is put off."""
    with conn.cursor(row_factory=dict_row) as cursor:
        name = {"order_id": row["order_id"], "promise_no": row["promise_no"]}
        seen = cursor.execute(SQL["facts_of_message"], name).fetchone()
    key = {"message_id": row["message_id"]}
    why = "the order is gone" if seen is None else _why_not(row, seen)
    if why is not None or seen is None:
        conn.execute(SQL["drop_message"], key | {"why": why})
        return why or ""
    zone = zone_of_request(seen["request"])
    template = row["template"]
    at = after_quiet(now, zone, time.fromisoformat(template["from"]), time.fromisoformat(template["until"]))
    if at > now:
        conn.execute(SQL["put_off"], key | {"due_at": at})
        return at
    values = facts(seen, zone)
    return Letter(
        to=plain(seen["email"]), subject=plain(fill(template["subject"], values)), text=fill(template["text"], values)
    )


def _why_not(row: Mapping[str, Any], seen: Mapping[str, Any]) -> str | None:
    """Why it is not to be said any more."""
    if seen["email"] is None:
        return "nobody to write to"
    if row["template"].get("about") == "payment":
        if seen["payment"] != "declined":
            return "it is not declined any more"
        return "the order is cancelled" if seen["status"] == "cancelled" else None
    if seen["is_unwanted"]:
        return "the customer wants no such messages"
    if seen["status"] in ("cancelled", "delivered"):
        return f"the order is {seen['status']}"
    if row["promise_no"] is None:
        return "the cause is gone" if row["incident"] != "open" else None
    if seen["promised"] is None or seen["withdrawn_at"] is not None or seen["promised"] != seen["deliver_by"]:
        return "what it promises is withdrawn"
    return None


def day_of(moment: datetime, zone: ZoneInfo) -> str:
    """The day there."""
    return moment.astimezone(zone).date().isoformat()


def zone_of_request(request: str) -> ZoneInfo:
    """Of where an order goes."""
    goes_to = msgspec.json.decode(request, type=Wishes).destination
    return zone_of(goes_to.country, goes_to.latitude, goes_to.longitude)


def facts(seen: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """What blanks are filled with, of a row of `facts_of_message`; days are of `zone`."""
    values = {
        "order.number": seen["external_id"],
        "order.channel": seen["channel"],
        "order.items": seen["items"] or "",
        "order.placed_on": day_of(seen["placed_at"], zone),
        "customer.name": seen["name"] or "customer",
    }
    if seen["promised"] is not None:
        values["promise.day"] = day_of(seen["promised"], zone)
    if seen["told"] is not None:
        values["promise.was"] = day_of(seen["told"], zone)
    return values


def _mail(key: str, letter: Letter, now: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["To"] = letter.to
    mail["Subject"] = letter.subject
    mail["Date"] = formatdate(now.timestamp())
    # The same for the same message, whoever sends it.
    mail["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@onhand>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text)
    return mail
