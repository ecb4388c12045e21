"""The SQL of policies, their versions and states."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db import queries
from onhand.sourcing.policies.lifecycle import Move, Standing, State
from onhand.sourcing.policies.model import PolicyIn, canonical, fingerprint

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version with its present state. `hash` is the SHA-256 of its document in canonical form."""

    name: str
    version: int
    document: dict[str, Any]
    text: str
    hash: bytes
    created_at: datetime
    created_by: int
    state: State
    share: float | None
    since: datetime
    why: str | None
    state_id: int = 0

    @property
    def label(self) -> str:
        """As plans name it."""
        return f"{self.name}@{self.version}"

    def policy(self) -> PolicyIn:
        """The document as a value; fields that did not exist when it was written have their defaults."""
        return PolicyIn.model_validate(self.document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A version in a list."""

    version: int
    state: State
    share: float | None
    since: datetime
    why: str | None
    created_at: datetime
    created_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A state that a version had from `at` to `ended_at` (None: it has it)."""

    version: int
    state: State
    share: float | None
    at: datetime
    ended_at: datetime | None
    by: int
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A policy in a list: numbers of versions, None where there is none. `share` is the canary's."""

    name: str
    latest: int
    active: int | None
    canary: int | None
    share: float | None
    shadow: int | None
    updated_at: datetime
    updated_by: int


def lock_policy(conn: Connection[TupleRow], name: str, *, create: bool = False) -> bool:
    """Nobody else writes this policy until the transaction ends. False if there is none."""
    if create:
        conn.execute(SQL["add_policy"], {"name": name})
    return conn.execute(SQL["lock_policy"], {"name": name}).fetchone() is not None


def latest_version(conn: Connection[TupleRow], name: str) -> Version | None:
    """The version that was written last, whatever its state."""
    with conn.cursor(row_factory=class_row(Version)) as rows:
        return rows.execute(SQL["latest_version"], {"name": name}).fetchone()


def get_version(conn: Connection[TupleRow], name: str, version: int) -> Version | None:
    """One version."""
    with conn.cursor(row_factory=class_row(Version)) as rows:
        return rows.execute(SQL["get_version"], {"name": name, "version": version}).fetchone()


def in_force(conn: Connection[TupleRow], name: str) -> dict[State, Version]:
    """The versions that decide or watch: at most one each of `active`, `canary` and `shadow`."""
    with conn.cursor(row_factory=class_row(Version)) as rows:
        return {v.state: v for v in rows.execute(SQL["in_force"], {"name": name})}


def add_version(conn: Connection[TupleRow], name: str, version: int, policy: PolicyIn, text: str, *, by: int) -> None:
    """Write a version, a draft, under `lock_policy`.

    version  the next number
    text     as it was written
    by       key id, 0 the system
    """
    document = policy.document()
    conn.execute(
        SQL["add_version"],
        {
            "name": name,
            "version": version,
            "document": canonical(document),
            "text": text,
            "hash": fingerprint(document),
            "by": by,
        },
    )
    move(conn, name, [Move(version=version, state="draft")], by=by)


def standings(conn: Connection[TupleRow], name: str) -> list[Standing]:
    """The state of every version, by number."""
    with conn.cursor(row_factory=class_row(Standing)) as rows:
        return rows.execute(SQL["standings"], {"name": name}).fetchall()


def move(conn: Connection[TupleRow], name: str, moves: Sequence[Move], *, by: int) -> None:
    """Carry out what lifecycle.py decided, in its order, under `lock_policy`."""
    for step in moves:
        conn.execute(SQL["end_state"], {"name": name, "version": step.version})
        conn.execute(
            SQL["begin_state"],
            {
                "name": name,
                "version": step.version,
                "state": step.state,
                "share": step.share,
                "preceded": step.preceded,
                "by": by,
                "why": step.why,
            },
        )


def list_policies(conn: Connection[TupleRow], *, after: str = "", limit: int, name: str | None = None) -> list[Summary]:
    """Policies with a name above `after` (byte order), or the one called `name`."""
    with conn.cursor(row_factory=class_row(Summary)) as rows:
        return rows.execute(SQL["list_policies"], {"after": after, "limit": limit, "name": name}).fetchall()


def list_versions(conn: Connection[TupleRow], name: str) -> list[Brief]:
    """Versions of a policy, newest first, at most a thousand."""
    with conn.cursor(row_factory=class_row(Brief)) as rows:
        return rows.execute(SQL["list_versions"], {"name": name}).fetchall()


def history(conn: Connection[TupleRow], name: str, version: int) -> list[Stretch]:
    """The states a version has had, oldest first."""
    with conn.cursor(row_factory=class_row(Stretch)) as rows:
        return rows.execute(SQL["history"], {"name": name, "version": version}).fetchall()
