"""Days whose goods and money do not agree, as the worker has held them last."""

from onhand.flows.incidents.scene import Scene, Seen, by_currency
from onhand.incidents.detect.payments import WrongDay, findings
from onhand.payments import store


def unbalanced(scene: Scene) -> Seen:
    """Those that do not balance."""
    wrong = [
        WrongDay(
            day=day, currency=one["currency"], minor=one["minor"], orders=one["orders"], named=tuple(one["named"]),
            over_at=over_at,
        )
        for day, over_at, statements in store.wrong_days(scene.conn, scene.now)
        for one in statements
    ]  # fmt: skip
    found = findings(wrong)
    return Seen(findings=by_currency(found, [f.subject.key[0] for f in found]))
