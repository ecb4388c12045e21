"""The SQL of incidents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.db.queries import queries
from onhand.incidents.keeping import Stored, Writes
from onhand.incidents.model import Finding, Incident, Kind, Subject

SQL = queries(__file__)

Status = Literal["open", "dismissed", "closed"]
Place = tuple[str, int, str]
"""Where a page of incidents ends: currency ('' of the one that comes first), minus risk_minor, incident_id."""

_FINDINGS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An incident as it is shown. wider: the cause that took it over; findings: how many there are."""

    incident_id: UUID
    kind: str
    cause: tuple[str, ...]
    status: Status
    loss_minor: int
    risk_minor: int
    confidence: float
    currency: str
    since: datetime
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None
    dismissed_at: datetime | None
    by: int | None
    reason: str | None
    merged_in: UUID | None
    wider: tuple[str, ...] | None
    findings: int

    def place(self, main: str) -> Place:
        """Where it stands in the list that begins with the currency `main`."""
        return "" if self.currency == main else self.currency, -self.risk_minor, str(self.incident_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a detector is doing; problem: why it could not look when it was tried last."""

    detector: str
    tried_at: datetime
    looked_at: datetime | None
    problem: str | None
    findings: int
    took_ms: int


def lock_known(conn: Connection[TupleRow], kinds: Collection[Kind], *, since: datetime) -> list[Stored]:
    """Incidents of these kinds that stand or were closed since then, with their findings; at most one of a kind, cause
    and currency. Nobody else changes them until the transaction ends."""
    rows = conn.execute(SQL["known"], {"kinds": list(kinds), "since": since}).fetchall()
    first: dict[tuple[str, ...], TupleRow] = {}
    for row in rows:
        first.setdefault((row[1], row[2], *row[3], row[4]), row)
    found = _findings(conn, [row[0] for row in first.values()])
    return [_stored(row, found[row[0]]) for row in first.values()]


def _stored(row: TupleRow, findings: Sequence[Finding]) -> Stored:
    incident_id, kind, what, key, currency, opened_at, seen_at, closed_at, dismissed_at, minor, count = row
    return Stored(
        incident_id=incident_id, currency=currency, dismissed_at=dismissed_at, told_minor=minor, told_findings=count,
        incident=Incident(
            kind=Kind(kind), cause=Subject(what, tuple(key)), opened_at=opened_at, seen_at=seen_at, closed_at=closed_at,
            findings=tuple(sorted(findings, key=lambda f: (-f.risk_minor, f.subject))),
        ),
    )  # fmt: skip


def _findings(conn: Connection[TupleRow], ids: Sequence[str]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {incident_id: [] for incident_id in ids}
    if not ids:
        return found
    kinds = dict(conn.execute(SQL["kinds"], {"ids": list(ids)}).fetchall())
    for incident_id, *columns in conn.execute(SQL["findings"], {"ids": list(ids)}):
        found[incident_id].append(_finding(Kind(kinds[incident_id]), *columns))
    return found


def _finding(
    kind: Kind, what: str, key: Sequence[str], numbers: Mapping[str, float], sentence: str, loss_minor: int,
    confidence: float, since: datetime, causes: Sequence[tuple[str, Sequence[str]]],
) -> Finding:  # fmt: skip
    return Finding(
        kind=kind, subject=Subject(what, tuple(key)), numbers=numbers, sentence=sentence, loss_minor=loss_minor,
        confidence=confidence, since=since, causes=tuple(Subject(w, tuple(k)) for w, k in causes),
    )  # fmt: skip


def save(conn: Connection[TupleRow], done: Writes) -> None:
    """Write what a pass has come to, under `lock_known`."""
    # Those that are closed go first: another of their kind and cause may open with this very pass. And no narrower one
    # can be merged in one that is not there yet.
    closing = [s for s in done.incidents if s.incident.closed_at is not None and s.incident_id not in done.merged_in]
    opening = [s for s in done.incidents if s.incident.closed_at is None]
    merging = [s for s in done.incidents if s.incident_id in done.merged_in]
    for some in (closing, opening, merging):
        if some:
            conn.execute(SQL["write_incidents"], {"rows": _json([_row(s, done.merged_in) for s in some])})
    if done.dropped:
        gone = [{"incident_id": i, "subject_what": s.what, "subject_key": s.key} for i, s in done.dropped]
        conn.execute(SQL["drop_findings"], {"rows": _json(gone)})
    if done.findings:
        conn.execute(SQL["write_findings"], {"rows": _json([_finding_row(i, f) for i, f in done.findings])})


def seen(conn: Connection[TupleRow], ids: Sequence[str], now: datetime) -> None:
    """There still is evidence of these."""
    if ids:
        conn.execute(SQL["seen"], {"ids": list(ids), "now": now})


def _row(stored: Stored, merged_in: Mapping[str, str]) -> dict[str, Any]:
    incident = stored.incident
    is_closed, is_dismissed = incident.closed_at is not None, stored.dismissed_at is not None
    return {
        "incident_id": stored.incident_id, "kind": incident.kind.value, "cause_what": incident.cause.what,
        "cause_key": incident.cause.key, "status": "closed" if is_closed else "dismissed" if is_dismissed else "open",
        "loss_minor": incident.loss_minor, "risk_minor": round(incident.risk_minor), "confidence": incident.confidence,
        "currency": stored.currency, "since": incident.since, "opened_at": incident.opened_at,
        "seen_at": incident.seen_at, "closed_at": incident.closed_at, "dismissed_at": stored.dismissed_at,
        "merged_in": merged_in.get(stored.incident_id), "told_minor": stored.told_minor,
        "told_findings": stored.told_findings,
    }  # fmt: skip


def _finding_row(incident_id: str, finding: Finding) -> dict[str, Any]:
    return {
        "incident_id": incident_id, "subject_what": finding.subject.what, "subject_key": finding.subject.key,
        "numbers": dict(finding.numbers), "sentence": finding.sentence, "loss_minor": finding.loss_minor,
        "confidence": finding.confidence, "since": finding.since, "causes": [(c.what, c.key) for c in finding.causes],
    }  # fmt: skip


def lock_status(conn: Connection[TupleRow], incident_id: str) -> Status | None:
    """How an incident stands until the transaction ends; None: there is none."""
    row = conn.execute(SQL["lock"], {"incident_id": incident_id}).fetchone()
    return None if row is None else row[0]


def dismiss(conn: Connection[TupleRow], incident_id: str, *, actor: int, reason: str | None, now: datetime) -> None:
    """Leave it alone until its evidence ends, under `lock_status`."""
    conn.execute(SQL["dismiss"], {"incident_id": incident_id, "actor": actor, "reason": reason, "now": now})


def get_incident(conn: Connection[TupleRow], incident_id: str) -> Kept | None:
    """An incident by its id."""
    with conn.cursor(row_factory=dict_row) as rows:
        row = rows.execute(SQL["get"], {"incident_id": incident_id}).fetchone()
    return None if row is None else _kept(row)


def findings_of(conn: Connection[TupleRow], kept: Kept, *, limit: int = _FINDINGS_MAX) -> list[Finding]:
    """What an incident rests on, the dearest first."""
    rows = conn.execute(SQL["findings_of"], {"incident_id": kept.incident_id, "limit": limit})
    return [_finding(Kind(kept.kind), *row) for row in rows]


def list_incidents(
    conn: Connection[TupleRow],
    *,
    main: str,
    limit: int,
    after: Place | None = None,
    status: Status | None = None,
    kind: str | None = None,
    currency: str | None = None,
    what: str | None = None,
    about: str | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> list[Kept]:
    """Incidents, those in the currency `main` first, and of each currency the most money at risk first.

    what, about  a word and a part of the key of its cause, or of the subject of one of its findings
    begin, end   that stood at some moment of this time
    """
    place = after or ("", 0, str(UUID(int=0)))
    asked: Mapping[str, object] = {
        "main": main, "limit": limit, "after": after is not None, "after_currency": place[0], "after_risk": place[1],
        "after_id": place[2], "status": status, "kind": kind, "currency": currency, "what": what, "about": about,
        "begin": begin, "end": end,
    }  # fmt: skip
    with conn.cursor(row_factory=dict_row) as rows:
        return [_kept(row) for row in rows.execute(SQL["list"], asked)]


def _kept(row: dict[str, Any]) -> Kept:
    return Kept(
        cause=(row["cause_what"], *row["cause_key"]), by=row["actor"],
        wider=None if row["wider_what"] is None else (row["wider_what"], *row["wider_key"]),
        **{name: row[name] for name in (
            "incident_id", "kind", "status", "loss_minor", "risk_minor", "confidence", "currency", "since", "opened_at",
            "seen_at", "closed_at", "dismissed_at", "reason", "merged_in", "findings",
        )},
    )  # fmt: skip


def ids_ending_in(conn: Connection[TupleRow], end: str) -> list[str]:
    """Ids that end in these hexadecimal digits, at most two."""
    return [incident_id for (incident_id,) in conn.execute(SQL["ending_in"], {"end": end})]


def looks(conn: Connection[TupleRow]) -> dict[str, Look]:
    """How each detector is doing, by its name."""
    with conn.cursor(row_factory=class_row(Look)) as rows:
        return {look.detector: look for look in rows.execute(SQL["looks"])}


def save_look(
    conn: Connection[TupleRow], detector: str, *, now: datetime, problem: str | None, findings: int, took_ms: int
) -> None:
    """Write how a detector fared."""
    values = {"detector": detector, "now": now, "problem": problem, "findings": findings, "took_ms": took_ms}
    conn.execute(SQL["look"], values)


def purge(conn: Connection[TupleRow], before: datetime) -> int:
    """Forget incidents that have been over since then; how many."""
    return conn.execute(SQL["purge"], {"before": before}).rowcount


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
