"""From evidence to a finished reroute, and how many steps of playbooks a second one worker takes.

    python benchmarks/playbooks.py [--orders 1000] [--runs 200] [--times 3] [--json]

Makes an embedded server in a temporary folder, with durable commits, and a merchant with four nodes; places orders of
three lines at one of them; then writes an incident of a slow lane and takes the time until a worker has moved all of
them to other nodes: reroute_s (best of --times; each time they are moved back by undo, undo_s, which is measured too).
guarded_s: the same within guardrails, where a tenth is held out and each order is written down to be judged.
steps_per_s: runs of one-step playbooks, each step a transaction with its record, its undo and its event.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from onhand.autopilot.model import Domain, Guardrails, Verdict
from onhand.base.actor import SYSTEM, Actor
from onhand.base.ids import new_id
from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.flows.autopilot.switch import set_domain
from onhand.flows.intake import prepare
from onhand.flows.place_orders import Desk
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.commands import set_playbook, undo_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.record_entries import record_entries
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.orders.intake import OrderIn

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLACES = {"berlin": (52.5, 13.4), "munich": (48.1, 11.6), "hamburg": (53.5, 10.0), "cologne": (50.9, 7.0)}
CARRIER = {
    "services": [
        {
            "code": "standard",
            "rate_table": {
                "by": "distance_km", "distance_km": [200, 800, None], "weights_g": [1000, 10000],
                "prices_minor": [[400, 700], [500, 900], [800, 1500]],
            },
            "transit_days": {"p50": 2, "p95": 4},
        }
    ]
}  # fmt: skip
ITEMS = 50
REROUTE = """\
summary: Move what has not left.
on: [lane_slow]
steps:
  - do: reroute
"""
TICKET = """\
summary: Tell people.
on: [margin_breach]
steps:
  - do: open_ticket
    title: A margin is gone
"""


def act(conn: object, action: object, /, *, now: datetime) -> Verdict:  # noqa: ARG001
    return Verdict(do="act", code="within", detail="")


def open_shop(db: Database) -> State:
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name, weight_g) SELECT n, 'I' || n, 'x', 300"
            f" FROM generate_series(1, {ITEMS}) n"
        )
        for n, (code, (latitude, longitude)) in enumerate(PLACES.items(), 1):
            conn.execute(
                "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
                " handling_cost_minor) VALUES (%s, %s, 'x', 'warehouse', 'DE', %s, %s, 'Europe/Berlin', 100)",
                (n, code, latitude, longitude),
            )
        conn.execute("INSERT INTO carrier VALUES (1, 'dhl', 'DHL', %s)", (json.dumps(CARRIER),))
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'web', 'EUR')")
    state = State(db, now=lambda: NOW)
    state.load()
    rows = [
        EntryIn(kind="receipt", sku=f"I{n}", node=node, quantity=100_000)
        for n in range(1, ITEMS + 1)
        for node in PLACES
    ]
    recorded = record_entries(db, state.catalogue, state.network.node_ids, rows, SYSTEM, now=NOW)
    state.take([i for i, _ in recorded.positions], [n for _, n in recorded.positions])
    return state


def place(state: State, count: int) -> None:
    desk = Desk(state)
    latitude, longitude = PLACES["berlin"]
    bodies = [
        {
            "channel": "web", "external_id": str(n), "currency": "EUR",
            "destination": {"country": "DE", "postal_code": "10115", "latitude": latitude, "longitude": longitude},
            "lines": [
                {
                    "line_id": str(k), "sku": f"I{1 + (n * 7 + k * 13) % ITEMS}", "quantity": 1 + k % 2,
                    "price_minor": 900,
                }
                for k in range(3)
            ],
        }
        for n in range(count)
    ]  # fmt: skip
    for first in range(0, count, 500):
        some = [msgspec.convert(body, OrderIn) for body in bodies[first : first + 500]]
        desk.place([prepare(state, body, actor=0, key=None, now=NOW) for body in some])
    desk.close()


def incident(
    db: Database, kind: str, what: str, key: list[str], numbers: dict[str, float], loss_minor: int = 1_000
) -> str:
    incident_id = new_id()
    with db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
            " currency, since, opened_at, seen_at) VALUES (%s, %s, %s, %s, %s, %s, 0.9, 'EUR', %s, %s, %s)",
            (incident_id, kind, what, key, loss_minor, loss_minor * 9 // 10, NOW, NOW, NOW),
        )
        conn.execute(
            "INSERT INTO incident_finding VALUES (%s, %s, %s, %s, 'seen', %s, 0.9, %s, '[]')",
            (incident_id, what, key, json.dumps(numbers), loss_minor, NOW),
        )
    return incident_id


def at_berlin(db: Database) -> int:
    with db.connection() as conn:
        row = conn.execute("SELECT count(*) FROM fulfilment WHERE node_id = 1 AND status = 'allocated'").fetchone()
    assert row is not None
    return row[0]


def measure(db: Database, orders: int, many: int, times: int) -> dict[str, float]:
    state = open_shop(db)
    set_playbook(db, "carrier-lane-slow", REROUTE, by=SYSTEM)
    set_playbook(db, "price-outlier", TICKET, by=SYSTEM)
    place(state, orders)
    assert at_berlin(db) == orders
    moved, back = rerouted(db, state, Runner(state, permit=act), orders, times)
    rails = Guardrails.model_validate({"orders_per_hour": 1_000_000, "cool_down_s": 0, "hold_out_share": 0.1})
    with db.connection() as conn:
        set_domain(db, conn, Domain.REROUTE, "auto", rails, now=NOW, by=SYSTEM)
    # To and fro a third time would be taken for an oscillation.
    guarded, _ = rerouted(db, state, Runner(state), orders, min(times, 2))
    for n in range(many):
        incident(db, "margin_breach", "item", [f"I{n}"], {"margin_rate": 0.0, "floor": 0.1, "orders": 3})
    begin_runs(db, now=NOW)
    begun = time.perf_counter()
    taken = Runner(state, permit=act).work()
    steps = taken / (time.perf_counter() - begun)
    return {
        "orders": orders, "reroute_s": min(moved), "undo_s": min(back), "guarded_s": min(guarded), "runs": taken,
        "steps_per_s": steps,
    }  # fmt: skip


def rerouted(db: Database, state: State, runner: Runner, orders: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds until all orders but those held out have left Berlin, and until they are back."""
    moved: list[float] = []
    back: list[float] = []
    for n in range(times):
        begun = time.perf_counter()
        lane, loss = ["berlin", "dhl", "DE"], 1_000 * orders
        incident_id = incident(db, "lane_slow", "lane", lane, {"delay_days": 2.0}, loss)
        begin_runs(db, now=NOW)
        runner.work()
        moved.append(time.perf_counter() - begun)
        with db.connection() as conn:
            held_out = conn.execute("SELECT count(*) FROM autopilot_target WHERE held_out AND void IS NULL").fetchone()
        assert held_out is not None and at_berlin(db) == held_out[0] < orders / 4
        begun = time.perf_counter()
        undo_runs(state, incident_id, by=Actor(reason=f"time {n}"))
        runner.work()
        back.append(time.perf_counter() - begun)
        assert at_berlin(db) == orders
        with db.connection() as conn:
            conn.execute("UPDATE incident SET status = 'closed', closed_at = now()")
    return moved, back


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="onhand-playbooks-"))
    home.chmod(0o755)
    try:
        server = Server.ensure(home)
        try:
            migrate(server.url)
            with Database.open(server.url) as db:
                report = measure(db, given.orders, given.runs, given.times)
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(report) if given.json else "\n".join(f"{name:12} {value:.4g}" for name, value in report.items()))
    return 0 if report["reroute_s"] <= 30 else 1


if __name__ == "__main__":
    sys.exit(main())
