"""Write policies in immutable versions and move the versions along their life."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.channels.store as channel_store
import onhand.network.store as network_store
from onhand.base.actor import SYSTEM, Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, FieldError, InvalidInput, NotFound
from onhand.flows.transactor import Transactor
from onhand.sourcing.policies import store
from onhand.sourcing.policies.guards import Breach, Metrics, judge
from onhand.sourcing.policies.lifecycle import Move, Refused, State, decide_promotion, decide_rollback
from onhand.sourcing.policies.lint import Finding, Known, Linted, lint
from onhand.sourcing.policies.store import Version

T = TypeVar("T")

_EVERY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a text: the version it is, whether that is new, and what lint warns of."""

    version: Version
    is_new: bool
    warnings: Sequence[Finding]


def known_names(conn: Connection[TupleRow]) -> Known:
    """What a policy may name."""
    carriers = network_store.list_carriers(conn, limit=_EVERY)
    return Known(
        groups={group.code for group in network_store.list_groups(conn, limit=_EVERY)},
        nodes={node.code for node in network_store.list_nodes(conn, limit=_EVERY)},
        channels={channel.code for channel in channel_store.list_channels(conn, limit=_EVERY)},
        services={service["code"] for carrier in carriers for service in carrier.document["services"]},
    )


def lint_policy(db: Database, text: str, *, today: date | None = None) -> Linted:
    """What is wrong with a text, in this network; with `today`, of its days too."""
    with db.connection() as conn:
        known = known_names(conn)
    return lint(text, known=known, today=today)


def set_policy(db: Database, name: str, text: str, *, by: Actor) -> Written:
    """Write a new version, a draft; or find that the latest one says the same. Raises InvalidInput with every error."""
    linted = lint_policy(db, text)
    policy = linted.policy
    if policy is None:
        raise InvalidInput([FieldError(finding.path, in_words(finding)) for finding in linted.errors])

    def work(conn: Connection[TupleRow]) -> tuple[Version, bool]:
        store.lock_policy(conn, name, create=True)
        latest = store.latest_version(conn, name)
        # By meaning, not by text or hash: a field that a later version of onhand adds has its default in both.
        if latest is not None and latest.policy() == policy:
            return latest, False
        number = 1 if latest is None else latest.version + 1
        store.add_version(conn, name, number, policy, text, by=by.key_id)
        _tell(db, conn, name, [Move(version=number, state="draft")], by)
        written = store.get_version(conn, name, number)
        assert written is not None, "it was just written"
        return written, True

    version, is_new = db.transact(work)
    db.notify()
    return Written(version=version, is_new=is_new, warnings=linted.findings)


def in_words(finding: Finding) -> str:
    """A finding with its place and its remedy, in one line."""
    return f"line {finding.line}, column {finding.column}: {finding.message}; {finding.remedy}"


def promote_policy(
    db: Database,
    name: str,
    *,
    to: State,
    version: int | None = None,
    share: float | None = None,
    why: str | None = None,
    by: Actor,
    transact: Transactor | None = None,
) -> list[Move]:
    """Move a version along its life, and what it replaces into retirement; see `lifecycle.decide_promotion`.

    Raises NotFound, InvalidInput, Conflict. The same again moves nothing.
    """

    def work(conn: Connection[TupleRow]) -> list[Move]:
        standings = _locked(conn, name)
        if version is not None and all(standing.version != version for standing in standings):
            raise NotFound("policy_version", f"{name}@{version}")
        return _carry_out(
            db, conn, name, decide_promotion(name, standings, to=to, version=version, share=share, why=why), by
        )

    return _notified(db, (transact or db.transact)(work))


def roll_back_policy(db: Database, name: str, *, why: str, by: Actor, transact: Transactor | None = None) -> list[Move]:
    """Take the canary back, or return to the version that was active before. Raises NotFound, Conflict."""

    def work(conn: Connection[TupleRow]) -> list[Move]:
        return _carry_out(db, conn, name, decide_rollback(name, _locked(conn, name), why), by)

    return _notified(db, (transact or db.transact)(work))


def watch_canary(db: Database, name: str, *, canary: tuple[int, Metrics], active: tuple[int, Metrics]) -> Breach | None:
    """Take the canary back if it breaks one of its guards; answers which, and None if all is well.

    canary, active  (version, what its orders came to); ignored if these are no longer the versions in force
    """

    def work(conn: Connection[TupleRow]) -> Breach | None:
        store.lock_policy(conn, name)
        now = store.in_force(conn, name)
        tried = now.get("canary")
        if tried is None or "active" not in now or (tried.version, now["active"].version) != (canary[0], active[0]):
            return None
        breach = judge(tried.policy().guards, canary[1], active[1])
        if breach is not None:
            why = f"guard: {breach}"
            by = Actor(key_id=SYSTEM.key_id, reason=why)
            _carry_out(db, conn, name, decide_rollback(name, store.standings(conn, name), why), by)
        return breach

    return _notified(db, db.transact(work))


def _locked(conn: Connection[TupleRow], name: str) -> list[store.Standing]:
    if not store.lock_policy(conn, name):
        raise NotFound("policy", name)
    return store.standings(conn, name)


def _carry_out(
    db: Database, conn: Connection[TupleRow], name: str, decided: list[Move] | Refused, by: Actor
) -> list[Move]:
    if isinstance(decided, Refused):
        field = _FIELDS.get(decided.code)
        raise InvalidInput.at(field, decided.message) if field else Conflict(decided.code, decided.message)
    if decided:
        store.move(conn, name, decided, by=by.key_id)
        _tell(db, conn, name, decided, by)
    return decided


# Refusals that a better request avoids, by the field it needs.
_FIELDS = {"policy.share": "share", "policy.reason_missing": "why"}


def _tell(db: Database, conn: Connection[TupleRow], name: str, moves: Sequence[Move], by: Actor) -> None:
    """One event for what happens together; the version that matters is the last."""
    last = moves[-1]
    data = {
        "name": name,
        "version": last.version,
        "state": last.state,
        "share": last.share,
        "moves": [{"version": step.version, "state": step.state} for step in moves],
        "why": last.why,
    }
    write_event(conn, "policy.changed", name, data, actor=by, origin=db.origin)


def _notified(db: Database, result: T) -> T:
    db.notify()
    return result
