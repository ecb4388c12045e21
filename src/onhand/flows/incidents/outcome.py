"""What an incident came to in money, as far as it is known: what its steps booked, what came of what they acted on and
of what they left undone to compare with, and what its orders have cost since."""

from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.db import queries
from onhand.incidents.store import Kept

SQL = queries(__file__)


def outcome_of(conn: Connection[TupleRow], incident: Kept) -> dict[str, Any]:
    """Money of an incident, in minor units of its currency; None where nobody knows (yet)."""
    asked = {"incident_id": incident.incident_id, "currency": incident.currency}
    with conn.cursor(row_factory=dict_row) as rows:
        booked = rows.execute(SQL["outcome_booked"], asked).fetchall()
        arms = {row.pop("held_out"): row for row in rows.execute(SQL["outcome_targets"], asked).fetchall()}
        failures = rows.execute(SQL["outcome_failures"], asked | {"since": incident.opened_at}).fetchone()
    assert failures is not None, "it counts"
    acted = arms.get(False)
    waits = [arm.pop("next_judged_at") for arm in arms.values()]
    saved = None if acted is None or not acted["judged"] else acted["judged_stake_minor"] - acted["lost_minor"]
    return {
        "booked_minor": sum(row["minor"] for row in booked), "booked": booked,
        "acted": acted, "held_out": arms.get(True),
        "saved_minor": saved,
        "next_judged_at": min((at for at in waits if at is not None), default=None),
        "orders": failures["orders"], "failures_minor": failures["minor"] if failures["orders"] else None,
    }  # fmt: skip
