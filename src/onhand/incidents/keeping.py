"""What of a pass is worth writing, and telling. Pure.

Findings change a little with every pass: an order that is stuck has been so for another minute. Written is what says
something else than what is kept, and all of it once in a while, so that what is shown is never old; told (as an event)
is what somebody would act on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from onhand.incidents.group import Change
from onhand.incidents.model import Finding, Incident, Kind, Subject

REFRESHED: Final = timedelta(minutes=15)
"""What is kept of an incident is never older than this, as long as there is evidence."""

# A finding says something else when its loss is another by a tenth, or its confidence by a twentieth.
_LOSS_SHARE, _CONFIDENCE = 0.1, 0.05
# An incident is told of again when its risk, or the number of its findings, is another by a quarter.
_TOLD_SHARE: Final = 0.25

Key = tuple[Kind, Subject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An incident as it is kept. told_minor, told_findings: its risk and its findings when it was told of last."""

    incident_id: str
    incident: Incident
    currency: str
    dismissed_at: datetime | None
    told_minor: int
    told_findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event: its kind, the incident it is about, and what it says."""

    kind: str
    incident_id: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What is to be written of a pass.

    incidents  that are new or another; merged_in: id of the wider one by id
    findings   (incident_id, finding) that are new or another; dropped (incident_id, subject) that are no more
    seen       ids of which only is to be written that there still is evidence
    told       events
    """

    incidents: Sequence[Stored] = ()
    merged_in: Mapping[str, str]
    findings: Sequence[tuple[str, Finding]] = ()
    dropped: Sequence[tuple[str, Subject]] = ()
    seen: Sequence[str] = ()
    told: Sequence[Told] = ()


def writes(
    known: Mapping[Key, Stored], change: Change, currency: str, now: datetime, new_id: Callable[[], str]
) -> Writes:
    """What is to be written of a change of the incidents of one currency.

    known  as they are kept, the input of `change` among them
    """
    incidents: list[Stored] = []
    findings: list[tuple[str, Finding]] = []
    dropped: list[tuple[str, Subject]] = []
    seen: list[str] = []
    told: list[Told] = []
    ids = {key: stored.incident_id for key, stored in known.items()}
    for opened in change.opened:
        old = known.get(opened.key)
        # Evidence that is back so soon is the same incident again, and one that was dismissed stays so.
        again = old is not None and opened.opened_at < now
        stored = Stored(
            incident_id=old.incident_id if old is not None and again else new_id(), incident=opened, currency=currency,
            dismissed_at=old.dismissed_at if old is not None and again else None, told_minor=round(opened.risk_minor),
            told_findings=len(opened.findings),
        )  # fmt: skip
        ids[opened.key] = stored.incident_id
        incidents.append(stored)
        findings += [(stored.incident_id, finding) for finding in opened.findings]
        if old is not None and again:
            dropped += [(stored.incident_id, subject) for subject in _gone(old.incident, opened)]
        if stored.dismissed_at is None:
            told.append(_told("incident.opened", stored, {"again": again}))
    for updated in change.updated:
        old = known[updated.key]
        is_due = now - old.incident.seen_at >= REFRESHED
        before = {f.subject: f for f in old.incident.findings}
        goes_on = [_as_old(f, before.get(f.subject)) for f in updated.findings]
        changed = [f for f in goes_on if is_due or _says_another(before.get(f.subject), f)]
        gone = _gone(old.incident, updated)
        if not changed and not gone:
            continue
        written = {f.subject: f for f in changed}
        # What is not written stays as it is kept, and the sums are those of what is kept.
        kept = replace(
            updated, findings=tuple(written.get(f.subject, before.get(f.subject, f)) for f in updated.findings)
        )
        stored = replace(old, incident=kept)
        if old.dismissed_at is None and _is_news(stored):
            stored = replace(stored, told_minor=round(kept.risk_minor), told_findings=len(kept.findings))
            told.append(_told("incident.updated", stored, {"was_risk_minor": old.told_minor}))
        incidents.append(stored)
        findings += [(stored.incident_id, finding) for finding in changed]
        dropped += [(stored.incident_id, subject) for subject in gone]
    for same in change.unchanged:
        old = known[same.key]
        if same.seen_at - old.incident.seen_at >= REFRESHED:
            seen.append(old.incident_id)
    merged: dict[str, str] = {}
    for closed in change.closed:
        stored = replace(known[closed.key], incident=closed)
        incidents.append(stored)
        wider = None
        if closed.merged_in is not None:
            wider = merged[stored.incident_id] = ids[closed.kind, closed.merged_in]
        facts = {"merged_in": wider, "was_dismissed": stored.dismissed_at is not None}
        told.append(_told("incident.closed", stored, facts))
    return Writes(incidents=incidents, merged_in=merged, findings=findings, dropped=dropped, seen=seen, told=told)


def _gone(old: Incident, new: Incident) -> list[Subject]:
    there = {f.subject for f in new.findings}
    return [f.subject for f in old.findings if f.subject not in there]


def _as_old(finding: Finding, before: Finding | None) -> Finding:
    """Evidence that goes on is as old as it was."""
    return finding if before is None or before.since >= finding.since else replace(finding, since=before.since)


def _says_another(old: Finding | None, new: Finding) -> bool:
    return (
        old is None
        or old.causes != new.causes
        or abs(new.confidence - old.confidence) > _CONFIDENCE
        or abs(new.loss_minor - old.loss_minor) > _LOSS_SHARE * max(old.loss_minor, 1)
    )


def _is_news(stored: Stored) -> bool:
    risk, count = round(stored.incident.risk_minor), len(stored.incident.findings)
    return (
        abs(risk - stored.told_minor) > _TOLD_SHARE * max(stored.told_minor, 1)
        or abs(count - stored.told_findings) > _TOLD_SHARE * stored.told_findings
    )  # fmt: skip


def _told(kind: str, stored: Stored, more: Mapping[str, object]) -> Told:
    incident = stored.incident
    data: dict[str, object] = {
        "incident_id": stored.incident_id, "kind": incident.kind.value,
        "cause": [incident.cause.what, *incident.cause.key],
        "loss_minor": incident.loss_minor, "risk_minor": round(incident.risk_minor), "currency": stored.currency,
        "confidence": round(incident.confidence, 4), "findings": len(incident.findings),
        "sentence": incident.findings[0].sentence,
    }  # fmt: skip
    return Told(kind=kind, incident_id=stored.incident_id, data=data | dict(more))
