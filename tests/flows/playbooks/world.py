"""A merchant in trouble: incidents as detectors write them, and all that a playbook may change, to be compared."""

import json
import re
from datetime import timedelta

from onhand.autopilot.model import Verdict
from onhand.base.ids import new_id
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.run import Runner

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def act(conn, action, /, *, now):
    """Guardrails that allow everything."""
    return Verdict(do="act", code="within", detail="")


def recommend(conn, action, /, *, now):
    """Guardrails that leave everything to people."""
    return Verdict(do="recommend", code="recommends", detail="a person decides")


class Trouble:
    """A merchant's incidents and runs. `permit` stands for the guardrails."""

    def __init__(self, merchant, permit=act):
        self.merchant = merchant
        self.permit = permit

    def incident(self, kind, *findings, cause=None, confidence=0.9, loss=10_000):
        """Findings (what, key, numbers) of one incident; its id."""
        incident_id = new_id()
        now = self.merchant.now
        what, key = cause or findings[0][:2]
        with self.merchant.db.connection() as conn, conn.transaction():
            conn.execute(
                "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
                " currency, since, opened_at, seen_at) VALUES (%s, %s, %s, %s, %s, %s, %s, 'EUR', %s, %s, %s)",
                (
                    incident_id,
                    kind,
                    what,
                    list(key),
                    loss * len(findings),
                    int(loss * len(findings) * confidence),
                    confidence,
                    now,
                    now,
                    now,
                ),
            )
            for subject, subject_key, numbers in findings:
                conn.execute(
                    "INSERT INTO incident_finding VALUES (%s, %s, %s, %s, 'seen', %s, %s, %s, '[]')",
                    (incident_id, subject, list(subject_key), json.dumps(numbers), loss, confidence, now),
                )
        return incident_id

    def close(self, incident_id):
        """The evidence is gone."""
        with self.merchant.db.connection() as conn:
            conn.execute(
                "UPDATE incident SET status = 'closed', closed_at = %s WHERE incident_id = %s",
                (self.merchant.now, incident_id),
            )

    def runner(self, **more):
        return Runner(self.merchant.state, permit=self.permit, **more)

    def begin(self):
        """Incidents begin runs."""
        return begin_runs(self.merchant.db, now=self.merchant.now)

    def turn(self, **more):
        """What a worker does in one turn."""
        self.begin()
        return self.runner(**more).work()

    def later(self, minutes=1, **more):
        """Some time passes, and a worker takes its turn."""
        self.merchant.now += timedelta(minutes=minutes)
        return self.turn(**more)

    def runs(self):
        return self.merchant.rows("SELECT name, status, step_no, why, error FROM run ORDER BY name, run_id")

    def trace(self):
        """What was done, a line each."""
        rows = self.merchant.rows(
            "SELECT r.name, s.step_no, s.part_no, s.kind, s.outcome, s.why, s.result::text, s.orders, s.units,"
            " s.cost_minor, s.undone::text FROM run_step s JOIN run r USING (run_id)"
            " ORDER BY r.name, r.run_id, s.step_no, s.part_no"
        )
        return [_UUID.sub("RUN", line(*row)) for row in rows]

    def everything(self):
        """Stock, prices, listings, gates, orders and what nodes hold of them, promises, open counts and messages."""
        rows = self.merchant.rows
        return {
            "stock": rows(
                "SELECT item_id, node_id, on_hand, unavailable, allocated, oversold, safety_stock FROM stock_position"
                " ORDER BY 1, 2"
            ),
            "prices": rows("SELECT sku, price_minor FROM item ORDER BY 1"),
            "listings": rows(
                "SELECT channel_id, item_id, external_id, external_sku, status FROM listing ORDER BY 1, 2"
            ),
            "channels": rows("SELECT code, gate, quota FROM channel ORDER BY 1"),
            "orders": rows("SELECT order_id, status, queue, deliver_by FROM orders ORDER BY 1"),
            "lines": rows(
                "SELECT order_id, item_id, quantity - cancelled FROM order_line WHERE quantity > cancelled"
                " ORDER BY 1, 2"
            ),
            "held": rows(
                "SELECT f.order_id, f.node_id, l.item_id, sum(l.quantity - l.shipped) FROM fulfilment f"
                " JOIN fulfilment_line l USING (order_id, fulfilment_no)"
                " WHERE f.status NOT IN ('cancelled', 'rejected') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            ),
            "waiting": rows("SELECT order_id, item_id, sum(quantity) FROM queue_line GROUP BY 1, 2 ORDER BY 1, 2"),
            "inbound": rows("SELECT reference, closed_at FROM inbound ORDER BY 1"),
            "counts": rows("SELECT item_id, node_id FROM count_request ORDER BY 1, 2"),
            "messages": rows("SELECT order_id FROM customer_message WHERE status IN ('due', 'sending') ORDER BY 1"),
            "promises": rows("SELECT order_id FROM new_promise WHERE withdrawn_at IS NULL ORDER BY 1"),
        }


def line(name, step, part, kind, outcome, why, result, orders, units, cost, undone):
    said = f"{name} {step}.{part} {kind}: {outcome}"
    said += f" ({why})" if why else ""
    said += f" {result}" if result != "{}" else ""
    said += "".join(f" {what}={n}" for what, n in (("orders", orders), ("units", units), ("cost", cost)) if n)
    return said + (f" -> undone {undone}" if undone else "")
