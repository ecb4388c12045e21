"""The SQL of playbooks' versions, and of incidents as a playbook sees them."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db import queries
from onhand.incidents.model import Subject
from onhand.incidents.playbooks.facts import Case, Seen
from onhand.incidents.playbooks.lint import lint
from onhand.incidents.playbooks.model import PlaybookIn

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A playbook as it was written. created_by: key, 0: it ships with the program."""

    name: str
    version: int
    document: dict[str, Any]
    text: str
    created_at: datetime | None
    created_by: int

    def playbook(self) -> PlaybookIn:
        """The document as a value; fields that did not exist when it was written have their defaults."""
        return PlaybookIn.model_validate(self.document)


@functools.cache
def shipped() -> dict[str, str]:
    """Texts of the playbooks that ship, by name."""
    folder = resources.files(__package__ or "")
    return {
        file.name.removesuffix(".yaml"): file.read_text("utf-8")
        for file in sorted(folder.iterdir(), key=lambda f: f.name)
        if file.name.endswith(".yaml")
    }


def lock_playbook(conn: Connection[TupleRow], name: str) -> None:
    """Nobody else writes a version of it until the transaction ends."""
    conn.execute(SQL["lock_playbook"], {"name": name})


def latest(conn: Connection[TupleRow]) -> list[Version]:
    """The latest version of each playbook, by name: those that were written, and of the others what ships."""
    with conn.cursor(row_factory=class_row(Version)) as rows:
        written = {v.name: v for v in rows.execute(SQL["latest"]).fetchall()}
    kept = [_shipped(name, text) for name, text in shipped().items() if name not in written]
    return sorted([*written.values(), *kept], key=lambda version: version.name)


def latest_of(conn: Connection[TupleRow], name: str) -> Version | None:
    """The latest version of one playbook."""
    return next((version for version in latest(conn) if version.name == name), None)


def get_version(conn: Connection[TupleRow], name: str, version: int) -> Version | None:
    """A version that was written."""
    with conn.cursor(row_factory=class_row(Version)) as rows:
        return rows.execute(SQL["get_version"], {"name": name, "version": version}).fetchone()


def add_version(
    conn: Connection[TupleRow], name: str, number: int, playbook: PlaybookIn, text: str, *, by: int
) -> None:
    """Write a version; the playbook is locked."""
    document = json.dumps(playbook.model_dump(mode="json", by_alias=True))
    values = {"name": name, "version": number, "document": document, "text": text, "actor": by}
    conn.execute(SQL["add_version"], values)


def kept_version(conn: Connection[TupleRow], version: Version) -> int:
    """The number of a version that a run can keep: what ships is written down when it is first used."""
    if version.version == 0:
        lock_playbook(conn, version.name)
        written = [v for v in latest(conn) if v.name == version.name and v.version]
        if written:
            return written[0].version
        add_version(conn, version.name, 1, version.playbook(), version.text, by=0)
        return 1
    return version.version


@functools.cache
def _shipped(name: str, text: str) -> Version:
    playbook = lint(text).playbook
    assert playbook is not None, f"{name}.yaml ships and is unfit for use"
    document = playbook.model_dump(mode="json", by_alias=True)
    return Version(name=name, version=0, document=document, text=text, created_at=None, created_by=0)


def get_case(conn: Connection[TupleRow], incident_id: str) -> Case | None:
    """An incident with its findings, the most money at risk first."""
    return get_cases(conn, [incident_id]).get(incident_id)


def get_cases(conn: Connection[TupleRow], incident_ids: Sequence[str]) -> dict[str, Case]:
    """The same of several, by id."""
    values = {"ids": list(incident_ids)}
    rows = conn.execute(SQL["get_incidents"], values).fetchall()
    findings: dict[str, list[TupleRow]] = {}
    for incident_id, *finding in conn.execute(SQL["findings"], values):
        findings.setdefault(incident_id, []).append(tuple(finding))
    return {row[0]: _case(row, findings.get(row[0], [])) for row in rows}


def waiting_cases(conn: Connection[TupleRow], *, limit: int) -> list[tuple[str, str, list[str]]]:
    """(incident_id, kind, names) of open incidents, the most money at risk first; names of playbooks that need not
    begin for it: their run is open, or was taken back since the incident opened."""
    return conn.execute(SQL["open_incidents"], {"limit": limit}).fetchall()


def wake_ended(conn: Connection[TupleRow], now: datetime) -> int:
    """Runs of incidents that are over are due now; how many."""
    return conn.execute(SQL["wake_ended"], {"now": now}).rowcount


def _case(row: TupleRow, findings: list[TupleRow]) -> Case:
    incident_id, kind, what, key, status, loss, risk, confidence, currency, opened_at, seen_at = row
    return Case(
        incident_id=incident_id, kind=kind, cause=Subject(what, tuple(key)), status=status, loss_minor=loss,
        risk_minor=risk, confidence=confidence, currency=currency, opened_at=opened_at, seen_at=seen_at,
        findings=tuple(
            Seen(subject=Subject(w, tuple(k)), numbers=_numbers(numbers), loss_minor=loss, confidence=confidence)
            for w, k, numbers, loss, confidence in findings
        ),
    )  # fmt: skip


def _numbers(document: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in document.items() if isinstance(value, (int, float))}
