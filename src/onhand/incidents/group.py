"""From findings to incidents: once each, by cause, the dearest first, open until the evidence ends. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from onhand.incidents.model import Finding, Incident, Kind, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What keeps incidents from flickering: a band between opening and closing, and a time to wait.

    open_at, close_at   confidence from which one opens, and below which a finding is no evidence any more
    quiet               without evidence for this long, it is closed
    again_within        evidence that comes back this soon after that opens the same incident again
    """

    open_at: float = 0.5
    close_at: float = 0.3
    quiet: timedelta = timedelta(hours=6)
    again_within: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        if not 0 <= self.close_at <= self.open_at <= 1:
            raise ValueError(f"expected 0 <= close_at <= open_at <= 1: {self!r}")
        if min(self.quiet, self.again_within) < timedelta(0):
            raise ValueError(f"expected times of at least 0: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """When findings with causes of their own come from a wider one: this many of its parts have one, and this share of
    all its parts, where that number is known."""

    parts_min: int = 3
    share_min: float = 0.5

    def __post_init__(self) -> None:
        if self.parts_min < 2 or not 0 <= self.share_min <= 1:
            raise ValueError(f"expected parts_min >= 2 and share_min in [0, 1]: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a pass made of the incidents: each tuple with the most money at risk first, unchanged in no other."""

    opened: tuple[Incident, ...]
    updated: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    unchanged: tuple[Incident, ...]


def once_each(findings: Iterable[Finding]) -> list[Finding]:
    """One finding of a kind for a subject: the surest (then the dearest), since the earliest. O(n)."""
    best: dict[tuple[Kind, Subject], Finding] = {}
    for finding in findings:
        key = finding.kind, finding.subject
        known = best.get(key)
        if known is None:
            best[key] = finding
            continue
        first, second = sorted((known, finding), key=_precedence)
        best[key] = first if first.since <= second.since else replace(first, since=second.since)
    return list(best.values())


def by_cause(
    findings: Collection[Finding],
    *,
    parts: Mapping[Subject, int] | None = None,
    standing: Collection[tuple[Kind, Subject]] = (),
    width: Width | None = None,
) -> dict[tuple[Kind, Subject], list[Finding]]:
    """Findings of a kind under the widest cause that explains them.

    findings  once each
    parts     how many parts a wide cause has: lanes of a carrier; those not named are not known
    standing  causes that are open: they keep what they explain, however few of their parts are left
    width     see Width

    A strike that slows 30 lanes of a carrier is one group, two slow lanes of 40 are two. Causes are looked at level by
    level, the widest first; what one explains is not looked at again.
    """
    width = width or Width()
    kept = set(standing)
    left = list(findings)
    groups: dict[tuple[Kind, Subject], list[Finding]] = defaultdict(list)
    for level in range(max((len(f.causes) for f in left), default=0) - 1, -1, -1):
        under: dict[tuple[Kind, Subject], list[Finding]] = defaultdict(list)
        for finding in left:
            if level < len(finding.causes):
                under[finding.kind, finding.causes[level]].append(finding)
        taken: set[int] = set()
        for key, members in under.items():
            # How many narrower causes there are under it; where it is the narrowest itself, it takes what is left.
            inner = {f.causes[level - 1] for f in members} if level else set[Subject]()
            whole = (parts or {}).get(key[1], 0)
            explains = len(inner) >= width.parts_min and len(inner) >= width.share_min * whole
            if level == 0 or key in kept or explains:
                groups[key].extend(members)
                taken.update(map(id, members))
        left = [f for f in left if id(f) not in taken]
    return dict(groups)


def ranked(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """The most money at risk first; then by kind and cause, so that equal input gives equal order."""
    return tuple(sorted(incidents, key=lambda i: (-i.risk_minor, i.kind, i.cause)))


def reconciled(
    known: Collection[Incident],
    findings: Iterable[Finding],
    now: datetime,
    *,
    looked_at: Collection[Kind] | None = None,
    parts: Mapping[Subject, int] | None = None,
    patience: Patience | None = None,
    width: Width | None = None,
) -> Change:
    """What the findings of this pass make of the incidents known until now.

    known      open incidents, and closed ones young enough to open again; at most one of a kind and cause
    findings   of this pass
    looked_at  kinds whose detectors ran; incidents of others keep waiting. None: all of them
    parts, patience, width  see by_cause, Patience, Width

    A second pass with the same findings opens and closes nothing. Raises ValueError if an incident comes twice.
    """
    patience = patience or Patience()
    before = {i.key: i for i in known}
    if len(before) != len(known):
        raise ValueError("expected at most one incident of a kind and cause")
    standing = [key for key, i in before.items() if i.closed_at is None]
    evidence = [f for f in once_each(findings) if f.confidence >= patience.close_at]
    groups = by_cause(evidence, parts=parts, standing=standing, width=width)

    opened: list[Incident] = []
    updated: list[Incident] = []
    closed: list[Incident] = []
    unchanged: list[Incident] = []
    for key, members in groups.items():
        found = tuple(sorted(members, key=lambda f: (-f.risk_minor, f.subject)))
        old = before.get(key)
        if old is not None and old.closed_at is None:
            new = replace(old, findings=found, seen_at=now)
            (unchanged if new.findings == old.findings else updated).append(new)
        elif max(f.confidence for f in found) >= patience.open_at:
            recent = old is not None and old.closed_at is not None and now - old.closed_at <= patience.again_within
            begun = old.opened_at if old is not None and recent else now
            opened.append(Incident(kind=key[0], cause=key[1], findings=found, opened_at=begun, seen_at=now))

    place = {(f.kind, f.subject): key for key, members in groups.items() for f in members}
    here = {i.key for i in (*opened, *updated, *unchanged)}
    for key, old in before.items():
        if old.closed_at is not None or key in groups:
            continue
        wider = {place.get((f.kind, f.subject)) for f in old.findings} & here
        if wider:
            _, cause = min(k for k in wider if k is not None)
            closed.append(replace(old, closed_at=now, merged_in=cause))
        elif (looked_at is None or old.kind in looked_at) and now - old.seen_at >= patience.quiet:
            closed.append(replace(old, closed_at=now))
        else:
            unchanged.append(old)
    return Change(opened=ranked(opened), updated=ranked(updated), closed=ranked(closed), unchanged=ranked(unchanged))


def _precedence(finding: Finding) -> tuple[float, float, str]:
    return -finding.confidence, -finding.loss_minor, finding.sentence
