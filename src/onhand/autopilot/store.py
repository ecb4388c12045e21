"""The SQL of guardrails, and of what was done under them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.autopilot.model import Action, Domain, Guardrails, Judged, Mode, Owner, Past, Target, Used, Verdict
from onhand.base.ids import new_id
from onhand.db.queries import queries

SQL = queries(__file__)

NEWEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
# Of keys as they are sent: no part of a key holds it, because texts hold no control characters.
_SEPARATOR: Final = "\x1f"
ReturnedFor = Literal["worse_than_promised", "oscillates"]
_JUDGED_MAX: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The kill switch; by: key id."""

    stopped: bool
    at: datetime
    by: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRow:
    """A domain as it stands; by: key id, 0 where it returned to `recommend` by itself.

    returned_for, returned  why it did, and numbers of that, until somebody sets its mode
    """

    domain: str
    mode: Mode
    guardrails: dict[str, Any]
    changed_at: datetime
    by: int
    reason: str | None
    returned_for: ReturnedFor | None
    returned: dict[str, Any] | None

    def rails(self) -> Guardrails:
        return rails_of(self.guardrails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An action of which can be told what came of it."""

    action_id: str
    domain: str
    key: list[str]
    reference: str
    held_out: bool
    stake_minor: int
    gain_minor: int
    at: datetime
    judge_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTarget:
    """A target of a step of which can be told what came of it; fields as in Target."""

    reference: str
    key: list[str]
    domain: str
    kind: str
    held_out: bool
    stake_minor: int
    basis: dict[str, Any]
    at: datetime
    judge_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An action as it was written down, and what came of it."""

    action_id: UUID
    domain: str
    key: list[str]
    direction: int
    reference: str
    held_out: bool
    money_minor: int
    currency: str | None
    units: int
    orders: int
    confidence: float
    stake_minor: int
    gain_minor: int
    at: datetime
    judge_at: datetime | None
    lost_minor: int | None
    judged_at: datetime | None
    void: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Why something was left to a person, or not done."""

    reference: str
    domain: str
    verdict: str
    code: str
    detail: str
    at: datetime


def rails_of(document: dict[str, Any]) -> Guardrails:
    return Guardrails.model_validate(document)


def enter(conn: Connection[TupleRow]) -> bool:
    """Begin to act; whether everything is stopped. Whoever turns the switch now waits until this transaction ends."""
    conn.execute(SQL["enter"])
    row = conn.execute(SQL["stopped"]).fetchone()
    assert row is not None, "the switch is a row"
    return row[0]


def turn(conn: Connection[TupleRow], *, stopped: bool, now: datetime, actor: int, reason: str | None) -> None:
    """Stop everything, or resume; waits for those that act."""
    conn.execute(SQL["turn"])
    conn.execute(SQL["set_switch"], {"stopped": stopped, "now": now, "actor": actor, "reason": reason})


def get_switch(conn: Connection[TupleRow]) -> Switch:
    with conn.cursor(row_factory=class_row(Switch)) as rows:
        found = rows.execute(SQL["get_switch"]).fetchone()
    assert found is not None, "the switch is a row"
    return found


def lock_domain(conn: Connection[TupleRow], domain: Domain) -> tuple[Mode, Guardrails]:
    """Nobody else acts in it until the transaction ends."""
    row = conn.execute(SQL["lock_domain"], {"domain": domain.value}).fetchone()
    assert row is not None, "every domain is a row"
    return row[0], rails_of(row[1])


def list_domains(conn: Connection[TupleRow]) -> list[DomainRow]:
    with conn.cursor(row_factory=class_row(DomainRow)) as rows:
        return rows.execute(SQL["domains"]).fetchall()


def set_domain(
    conn: Connection[TupleRow], domain: Domain, mode: Mode, rails: Guardrails, *, now: datetime, actor: int,
    reason: str | None,
) -> None:  # fmt: skip
    """Say what may be done in it, under `lock_domain`."""
    values = {
        "domain": domain.value, "mode": mode, "guardrails": rails.model_dump_json(by_alias=True), "now": now,
        "actor": actor, "reason": reason,
    }  # fmt: skip
    conn.execute(SQL["set_domain"], values)


def return_domain(
    conn: Connection[TupleRow], domain: Domain, reason: str, now: datetime, *, because: ReturnedFor,
    numbers: Mapping[str, Any],
) -> bool:  # fmt: skip
    """From `auto` to `recommend`; False: it was not in `auto`. numbers: what an incident says of it."""
    values = {
        "domain": domain.value, "reason": reason, "now": now, "returned_for": because,
        "returned": msgspec.json.encode(numbers).decode(),
    }  # fmt: skip
    return conn.execute(SQL["return_domain"], values).rowcount == 1


def spent_on(conn: Connection[TupleRow], key: tuple[str, ...], since: datetime) -> int:
    """Minor units that actions on a key have cost."""
    row = conn.execute(SQL["spent_on"], {"key": list(key), "since": since}).fetchone()
    assert row is not None, "sums are a row"
    return row[0]


def add_back(conn: Connection[TupleRow], reference: str, now: datetime) -> None:
    """Write down that an action was put back, if it was one."""
    conn.execute(SQL["add_back"], {"action_id": new_id(), "reference": reference, "now": now})


def find_action(conn: Connection[TupleRow], reference: str) -> tuple[str, bool] | None:
    """(action id, whether it was held out) of what was asked for before under this reference."""
    row = conn.execute(SQL["find"], {"reference": reference}).fetchone()
    return None if row is None else (row[0], row[1])


def used_since(conn: Connection[TupleRow], domain: Domain, since: datetime) -> Used:
    row = conn.execute(SQL["used"], {"domain": domain.value, "since": since}).fetchone()
    assert row is not None, "sums are a row"
    return Used(money_minor=row[0], units=row[1], orders=row[2])


def past_of(conn: Connection[TupleRow], key: tuple[str, ...], since: datetime) -> list[Past]:
    rows = conn.execute(SQL["past"], {"key": list(key), "since": since})
    return [Past(*row) for row in rows]


def lock_owners(conn: Connection[TupleRow], keys: tuple[tuple[str, ...], ...]) -> list[Owner]:
    rows = conn.execute(SQL["owners"], {"keys": _joined(keys)})
    return [Owner(tuple(key), domain, until, cause) for key, domain, until, cause in rows]


class OwnedMeanwhile(Exception):
    """Another domain has acted on it since its owners were read."""


def add_action(conn: Connection[TupleRow], action: Action, now: datetime, *, own: timedelta) -> str:
    """Write down that it is done, and who owns what it acts on; its id.

    Raises OwnedMeanwhile, with nothing written: of what nobody owned there was no row to lock.
    """
    action_id = new_id()
    keys = _joined(action.keys)
    with conn.transaction():
        conn.execute(SQL["add"], _row(action_id, action, now))
        owned = {
            "keys": keys, "domain": action.domain.value, "until": now + own, "action_id": action_id, "at": now,
            "cause": action.cause,
        }  # fmt: skip
        if conn.execute(SQL["own"], owned).rowcount < len(keys):
            raise OwnedMeanwhile
    return action_id


def hold_out(conn: Connection[TupleRow], action: Action, now: datetime) -> str:
    """Write down that it is left undone to compare with, which uses nothing and owns nothing; its id."""
    action_id = new_id()
    unused = {"held_out": True, "money_minor": 0, "units": 0, "orders": 0}
    conn.execute(SQL["add"], _row(action_id, action, now) | unused)
    return action_id


def note(conn: Connection[TupleRow], action: Action, verdict: Verdict, now: datetime) -> None:
    """Say why it is not done, or that this is over."""
    if verdict.do == "act":
        conn.execute(SQL["forget_verdict"], {"reference": action.reference})
        return
    values = {
        "reference": action.reference, "domain": action.domain.value, "verdict": verdict.do, "code": verdict.code,
        "detail": verdict.detail, "at": now,
    }  # fmt: skip
    conn.execute(SQL["note"], values)


def void(conn: Connection[TupleRow], reference: str, why: str) -> None:
    """It shows nothing any more: it was undone, or done by a person though it was held out."""
    conn.execute(SQL["void"], {"reference": reference, "why": why})


def take_due(conn: Connection[TupleRow], now: datetime, limit: int) -> list[Due]:
    """Actions of which can be told what came of them, locked until the transaction ends."""
    with conn.cursor(row_factory=class_row(Due)) as rows:
        return rows.execute(SQL["due"], {"now": now, "limit": limit}).fetchall()


def judge(conn: Connection[TupleRow], action_id: str, lost_minor: int, now: datetime) -> None:
    conn.execute(SQL["judge"], {"action_id": action_id, "lost_minor": lost_minor, "now": now})


def judged_since(conn: Connection[TupleRow], domain: Domain, since: datetime) -> list[Judged]:
    """What came of actions and of targets of steps, the latest of each if there are very many."""
    where = {"domain": domain.value, "since": since, "limit": _JUDGED_MAX}
    with conn.cursor(row_factory=class_row(Judged)) as rows:
        return rows.execute(SQL["judged"], where).fetchall()


def add_targets(
    conn: Connection[TupleRow], reference: str, domain: Domain, kind: str, acted: Sequence[Target],
    held_out: Sequence[Target], now: datetime,
) -> None:  # fmt: skip
    """Write down what a step of this kind acted on, and what it left undone to compare with.

    reference  of the step, "run:<id>/<step>"
    """
    both = [*acted, *held_out]
    if not both:
        return
    values = {
        "reference": reference, "domain": domain.value, "kind": kind, "now": now,
        "keys": [_SEPARATOR.join(t.key) for t in both], "held_out": [n >= len(acted) for n in range(len(both))],
        "stakes": [t.stake_minor for t in both], "gains": [t.gain_minor for t in both],
        "bases": [msgspec.json.encode(t.basis).decode() for t in both], "judge_at": [t.judge_at for t in both],
    }  # fmt: skip
    conn.execute(SQL["add_targets"], values)


def stake_of(conn: Connection[TupleRow], reference: str) -> int | None:
    """Minor units at stake of a target of this step; None: it has none yet."""
    row = conn.execute(SQL["stake_of"], {"reference": reference}).fetchone()
    return None if row is None else row[0]


def take_due_targets(conn: Connection[TupleRow], now: datetime, limit: int) -> list[DueTarget]:
    """Targets of which can be told what came of them, locked until the transaction ends."""
    with conn.cursor(row_factory=class_row(DueTarget)) as rows:
        return rows.execute(SQL["due_targets"], {"now": now, "limit": limit}).fetchall()


def judge_target(conn: Connection[TupleRow], target: DueTarget, lost: int | str, now: datetime) -> None:
    """Minor units that were lost all the same; or why that cannot be told."""
    is_void = isinstance(lost, str)
    values = {
        "reference": target.reference, "key": target.key, "now": None if is_void else now,
        "lost_minor": None if is_void else lost, "void": lost if is_void else None,
    }  # fmt: skip
    conn.execute(SQL["judge_target"], values)


def void_targets(conn: Connection[TupleRow], cause: str, why: str) -> None:
    """Targets of all steps of a run ("run:<id>") show nothing any more."""
    conn.execute(SQL["void_targets"], {"cause": cause, "why": why})


def list_actions(
    conn: Connection[TupleRow], *, limit: int, before: str = NEWEST, domain: Domain | None = None
) -> list[Kept]:
    """Actions, the newest first."""
    where = {"limit": limit, "before": before, "domain": None if domain is None else domain.value}
    with conn.cursor(row_factory=class_row(Kept)) as rows:
        return rows.execute(SQL["actions"], where).fetchall()


def list_verdicts(
    conn: Connection[TupleRow], *, limit: int, before: tuple[datetime, str], domain: Domain | None = None
) -> list[Noted]:
    """What was not done, and why, the newest first."""
    where = {
        "limit": limit, "before_at": before[0], "before": before[1],
        "domain": None if domain is None else domain.value,
    }  # fmt: skip
    with conn.cursor(row_factory=class_row(Noted)) as rows:
        return rows.execute(SQL["verdicts"], where).fetchall()


def purge(conn: Connection[TupleRow], before: datetime) -> None:
    """Forget why old things were not done, and who owned what."""
    conn.execute(SQL["purge"], {"before": before})
    conn.execute(SQL["purge_owners"], {"before": before})


def purge_targets(conn: Connection[TupleRow], before: datetime) -> None:
    """Forget what steps acted on so long ago."""
    conn.execute(SQL["purge_targets"], {"before": before})


def document_of(rails: Guardrails) -> dict[str, Any]:
    return msgspec.json.decode(rails.model_dump_json(by_alias=True))


def _row(action_id: str, action: Action, now: datetime) -> dict[str, Any]:
    return {
        "action_id": action_id, "domain": action.domain.value, "key": list(action.key), "direction": action.direction,
        "reference": action.reference, "held_out": False, "money_minor": action.money_minor,
        "currency": action.currency, "units": action.units, "orders": action.orders, "confidence": action.confidence,
        "stake_minor": action.stake_minor, "gain_minor": action.gain_minor, "at": now, "judge_at": action.judge_at,
    }  # fmt: skip


def _joined(keys: tuple[tuple[str, ...], ...]) -> list[str]:
    return sorted({_SEPARATOR.join(key) for key in keys})
