"""Domains of the autopilot that went back to people by themselves."""

from onhand.autopilot import store
from onhand.flows.incidents.scene import Scene, Seen, by_currency
from onhand.incidents.detect.autopilot import Oscillating, Returned, findings


def returned(scene: Scene) -> Seen:
    """Those whose mode nobody has set since."""
    rows = [r for r in store.list_domains(scene.conn) if r.returned is not None and r.changed_at <= scene.now]
    currency = {r.domain: r.rails().currency or scene.currency for r in rows}
    oscillating = [
        Oscillating(
            domain=r.domain, on=r.returned["on"], turns=r.returned["turns"], spent_minor=r.returned["spent_minor"],
            since=r.changed_at,
        )
        for r in rows if r.returned is not None and r.returned_for == "oscillates"
    ]  # fmt: skip
    worse = [
        Returned(
            domain=r.domain, actions=r.returned["actions"], promised=r.returned["promised"],
            saved=r.returned["saved"], missed_minor=r.returned["missed_minor"], reason=r.reason or "",
            since=r.changed_at,
        )
        for r in rows if r.returned is not None and r.returned_for == "worse_than_promised"
    ]  # fmt: skip
    found = findings(oscillating, worse)
    return Seen(findings=by_currency(found, [currency[f.subject.key[0]] for f in found]))
