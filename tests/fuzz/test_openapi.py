"""The whole OpenAPI document against the running API, by schemathesis: what the document promises is what is answered.

Requests are made from the document (its examples, its limits, sound and broken values; chains of operations), and ids
lead to real objects most of the time. ONHAND_FUZZ=n makes n times as many; ONHAND_SEED sets the seed.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import schemathesis
from schemathesis import Case, HookContext, Response, engine
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder

from onhand.channels.inbound.store import add_message
from onhand.flows.campaigns import job as campaigns
from onhand.flows.forecasts.run import make
from onhand.flows.incidents.scene import Detector, Scene, Seen
from onhand.flows.incidents.watch import Watch
from onhand.flows.payments.tend import tend
from onhand.flows.plans import job as plans
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.simulation import job as simulation
from onhand.incidents.model import Finding, Kind, Subject
from onhand.incidents.store import list_incidents
from onhand.jobs.worker import run_next

from ..api.conftest import Server  # noqa: TID252
from ..events import settle  # noqa: TID252
from ..shop import Shop, open_shop  # noqa: TID252

SEED = int(os.environ.get("ONHAND_SEED", "1"))
TIMES = int(os.environ.get("ONHAND_FUZZ", "1"))
EXAMPLES = 10
# A stream has no end to wait for: tests/api/test_events.py.
ENDLESS = "/v1/events"

CONNECTED, STUCK, PROVIDER = "partner", "order-1", "cards"
# To be tried: at an address that nobody calls.
NEAR = "near"
SIGNALS = [f"signal-{n}" for n in range(20)]
# Days of a campaign.
_SOON, _THEN = ((datetime.now(UTC) + timedelta(days=n)).date().isoformat() for n in (3, 6))
_BEGINS, _ENDS = "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"
OPEN = ("/healthz", "/readyz", "/metrics", "/sign-in")
# What succeeded when the shop was made: so many fields have to be right together, or so much else has to be left as it
# is, that chance may not draw it again.
PREPARED = {
    "POST /v1/campaigns/assess", "POST /v1/channels/{code}/reconcile", "POST /v1/orders/{order_id}/reroute",
    "POST /v1/webhooks",
}  # fmt: skip

# There is no identity provider here, and no key of its that could be laid down (tests/api/test_sign_in.py), nor a
# world that tells a story (tests/twin/test_story.py); and at night nobody is written to (tests/api/test_repromise.py).
ELSEWHERE = {
    "GET /sign-in/begin", "GET /sign-in/callback", "POST /sign-in/key", "DELETE /v1/key", "PUT /v1/story/pace",
    "POST /v1/messages/{message_id}/take",
}  # fmt: skip

# What a schema can say, in the words of pydantic and msgspec: a sound request is never refused for these. Other
# reasons (an unknown sku, two rows that contradict each other) are beyond schemas.
_SAID_BY_SCHEMA = re.compile(
    r"(required$|unknown field|object contains unknown|input should be|expected (str|int|float|bool|object|array)"
    r"|(string|list|dictionary|value|data) should)"
)
# JSON Schema calls 5.0 an integer; we do not, on any route.
_IS_A_FLOAT = re.compile(r"expected int( \| null)?, got float|input should be a valid integer$")


@pytest.mark.timeout(900)
def test_every_answer_is_as_documented(server: Server) -> None:
    print(f"ONHAND_SEED={SEED} ONHAND_FUZZ={TIMES}")
    shop = open_shop(server.client)
    # What is compiled for the first time takes longer than any request may.
    server.client.post("/v1/plans/run", json={"kind": "sourcing", "apply": False}, timeout=240).raise_for_status()
    jobs = _some_jobs(server, shop)
    message_id = _connected(server, shop)
    _a_carrier_that_tells(shop)
    _some_signals(shop)
    campaign = _a_campaign(server, shop)
    proposals = _some_proposals(server, shop)
    incidents = _some_incidents(server)
    forecast = _a_forecast(server, shop)
    payments = _some_payments(server, shop)
    runs = _some_runs(server)
    shop.call("POST", f"/v1/channels/{CONNECTED}/reconcile", status=202)
    shop.call("POST", f"/v1/orders/{shop.orders['more-39']}/reroute", {"exclude": ["berlin"]})
    config = _config(server, shop, jobs, message_id, campaign, proposals, incidents, forecast, payments, runs)
    schema = schemathesis.openapi.from_url(f"{server.base_url}/openapi.json", config=config)
    schema.hook(filter_failure)
    seen: dict[str, Counter[int]] = {op.ok().label: Counter() for op in schema.get_all_operations()}
    failures: dict[tuple[str, str], str] = {}
    for event in engine.from_schema(schema).execute():
        assert not isinstance(event, events.FatalError), event
        if isinstance(event, events.NonFatalError):
            failures[event.label, str(event.value)[:300]] = ""
        if isinstance(event, events.ScenarioFinished):
            for case_id, interaction in event.recorder.interactions.items():
                if interaction.response is not None:
                    label = event.recorder.cases[case_id].value.operation.label
                    seen[label][interaction.response.status_code] += 1
            for label, failure, sample in _failures(event.recorder):
                failures.setdefault((label, failure), sample)
    print(sum(map(Counter.total, seen.values())), "requests")
    assert not failures, "\n\n".join(f"{label}: {text}\n{sample}" for (label, text), sample in failures.items())
    # Requests of one operation use up what another needs (a shipped order cannot be rerouted), in an order that chance
    # decides: that hides a success now and then, not two.
    never = {label: dict(counts) for label, counts in seen.items() if not any(s // 100 == 2 for s in counts)}
    assert len(never.keys() - PREPARED - ELSEWHERE) <= 1, f"never succeeded: {never}"
    for label, counts in seen.items():
        assert label.endswith(OPEN) or any(s // 100 == 4 for s in counts), f"{label} never refused: {counts}"


def _some_runs(server: Server) -> list[str]:
    """Incidents whose playbook waits for a person."""
    incidents = [str(uuid4()) for _ in range(24)]
    with server.app.db.connection() as conn:
        for n, incident_id in enumerate(incidents):
            conn.execute(
                "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
                " currency, since, opened_at, seen_at)"
                " VALUES (%s, 'margin_breach', 'item', %s, 100, 90, 0.9, 'EUR', now(), now(), now())",
                (incident_id, [f"sku-{n}"]),
            )
            conn.execute(
                "INSERT INTO incident_finding VALUES (%s, 'item', %s, '{}', 'a margin is gone', 100, 0.9, now(), '[]')",
                (incident_id, [f"sku-{n}"]),
            )
    begin_runs(server.app.db, now=server.app.state.now())
    Runner(server.app.state).work()
    return incidents


def _some_jobs(server: Server, shop: Shop) -> list[str]:
    """Simulations that wait, and one that is done: no worker runs here."""
    period = {"from": _BEGINS, "to": _ENDS, "version": 1}
    path = "/v1/policies/standard/simulate"
    jobs = [shop.call("POST", path, period, status=202)["job_id"] for _ in range(8)]
    assert run_next(server.app.db, {simulation.KIND: simulation.WORK}, threading.Event())
    return [jobs[0]] * 4 + jobs[1:]


def _connected(server: Server, shop: Shop) -> int:
    """A channel that is connected, with a message and an order that wait; the message's id. No worker calls it."""
    document = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://1.1.1.1"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs", "webhook_secret": "hook"},
    }  # fmt: skip
    shop.call("PUT", f"/v1/channels/{CONNECTED}", document)
    shop.call("PUT", f"/v1/channels/{NEAR}", document | {"settings": {"url": "https://10.0.0.1"}})
    with server.app.db.connection() as conn:
        row = conn.execute("SELECT channel_id FROM channel WHERE code = %s", (CONNECTED,)).fetchone()
        assert row is not None
        add_message(conn, row[0], dedupe="1", topic="order.updated", body=b"{}")
        conn.execute(
            "INSERT INTO channel_order (channel_id, external_id, said, said_at, read_at, status)"
            " VALUES (%s, %s, '{\"status\": \"open\"}', now(), now(), 'refused')",
            (row[0], STUCK),
        )
    (message,) = shop.call("GET", f"/v1/channels/{CONNECTED}/messages")["data"]
    return message["message_id"]


def _a_carrier_that_tells(shop: Shop) -> None:
    scans = {"tracking": "number", "milestone": {"path": "status", "table": {"AR": "at_hub"}}, "at": "moment(time)"}
    feed = {"verify": {"scheme": "shared", "header": "X-Key"}, "secret": "agreed upon", "map": scans}
    shop.call("PUT", "/v1/carriers/dhl/tracking", feed)


def _some_signals(shop: Shop) -> None:
    """Signals and feeds of them, enough to delete. No worker fetches any."""
    rows = [{"name": name, "at": "2026-03-01", "value": 1} for name in SIGNALS]
    shop.call("POST", "/v1/signals", {"signals": rows})
    feed = {"url": "https://1.1.1.1/x.csv", "format": "csv", "columns": {"at": "day", "value": "mean"}}
    for name in SIGNALS:
        shop.call("PUT", f"/v1/signal-feeds/{name}", feed)


def _a_campaign(server: Server, shop: Shop) -> tuple[str, str]:
    """An assessment that is done, and the campaign that it has become."""
    plan = {"items": ["MUG-BLUE"], "from": _SOON, "to": _THEN, "uplift": 0.5, "paths": 20, "other_dates": []}
    job_id = shop.call("POST", "/v1/campaigns/assess", plan, status=202)["job_id"]
    assert run_next(server.app.db, {campaigns.KIND: campaigns.WORK}, threading.Event())
    accepted = shop.call("POST", "/v1/campaigns", {"job_id": job_id, "name": "mugs"})
    return job_id, accepted["campaign_id"]


def _some_proposals(server: Server, shop: Shop) -> list[str]:
    """Safety stocks that nobody has decided on, of what has sold now well, now badly."""
    today = datetime.now(UTC).date()
    sales = [
        {"sku": sku, "node": node, "day": (today - timedelta(days=n)).isoformat(), "quantity": n * n % 7}
        for n in range(1, 57)
        for sku in shop.skus[:3]
        for node in shop.nodes[:2]
    ]
    shop.call("POST", "/v1/sales/batch", {"sales": sales})
    rows = [
        {"sku": sku, "supplier": "Keramik Nord", "lead_days": [5, 9], "unit_cost_minor": 400} for sku in shop.skus[:3]
    ]
    shop.call("POST", "/v1/supply/batch", {"supply": rows})
    shop.call("POST", "/v1/lanes/batch", {"lanes": [{"from": shop.nodes[0], "to": shop.nodes[1], "days": 2}]})
    plan = {"kind": "safety_stock", "valid_hours": 300, "settings": {"service_level": 0.98}}
    shop.call("POST", "/v1/plans/run", plan, status=202)
    assert run_next(server.app.db, {plans.KIND: plans.WORK}, threading.Event())
    found = [row["proposal_id"] for row in shop.call("GET", "/v1/proposals")["data"]]
    assert len(found) > 1
    return found


def _some_incidents(server: Server) -> list[str]:
    """Incidents that nobody has decided on. No worker looks for others, or closes these."""
    now = datetime.now(UTC)

    def look(_: Scene) -> Seen:
        subjects = [Subject("channel", (f"c{n}",)) for n in range(12)]
        found = [
            Finding(kind=Kind.CHANNEL_SILENT, subject=s, numbers={"orders": 3.0}, sentence="no orders", loss_minor=100,
                    confidence=0.9, since=now)
            for s in subjects
        ]  # fmt: skip
        return Seen(findings={"EUR": found})

    detector = Detector(name="made", kinds=frozenset({Kind.CHANNEL_SILENT}), every=timedelta(hours=1), look=look)
    Watch(server.app.db, now=lambda: now, detectors=(detector,)).look()
    with server.app.db.connection() as conn:
        found = [str(kept.incident_id) for kept in list_incidents(conn, main="EUR", limit=100)]
    assert len(found) == 12
    return found


def _a_forecast(server: Server, shop: Shop) -> str:
    """A forecast that is made, of some weeks of sales; its run."""
    today = datetime.now(UTC).date()
    rows = [
        {"sku": sku, "day": f"{today - timedelta(days=back)}", "quantity": back % 5, "region": "DE"}
        for back in range(1, 36)
        for sku in ("MUG-BLUE", "PLATE")
    ]
    shop.call("POST", "/v1/sales/batch", {"sales": rows})
    run_id = shop.call("POST", "/v1/forecasts/run", {"horizon": 7}, status=202)["run_id"]
    make(server.app.db, run_id, today, lambda *_: None)
    shop.call("PUT", "/v1/forecasts/schedule", {"hour": 3})
    shop.call("PUT", "/v1/plans/schedule", {"hour": 5})
    return run_id


def _some_payments(server: Server, shop: Shop) -> list[str]:
    """Orders that are to be paid at an account that nobody asks: no worker runs here."""
    document = {"currency": "EUR", "connector": "stripe", "credentials": {"api_key": "sk_test_1"}}
    shop.call("PUT", f"/v1/channels/{PROVIDER}", document | {"settings": {"url": "https://1.1.1.1"}})
    payment = {"provider": PROVIDER, "token": "pm_1"}
    ids = [shop.order(f"paid-{n}", ("MUG-BLUE", 1), payment=payment)["order_id"] for n in range(4)]
    with server.app.db.connection() as conn:
        settle(conn)
    assert tend(server.app.state) == len(ids)
    return ids


def _failures(recorder: ScenarioRecorder) -> Iterator[tuple[str, str, str]]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                response = recorder.interactions[case_id].response
                answer = "" if response is None else f"{response.status_code} {response.text[:500]}"
                label = recorder.cases[case_id].value.operation.label
                yield label, f"{failure.title}: {failure.message[:300]}", f"{check.failure_info.code_sample}\n{answer}"


def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether a failure is one: what a schema cannot say is not."""
    if failure.title == "Schema-valid request rejected":
        problem = response.json()
        reasons = [e["message"] for e in problem.get("errors", ())]
        said = [r for r in reasons if _SAID_BY_SCHEMA.match(r) and not _IS_A_FLOAT.match(r)]
        return bool(said) or (not reasons and problem["code"] != "idempotency.key_reused")
    if failure.title == "Schema-violating request accepted" and response.status_code == 200:
        # A batch answers for each row, a linter in words.
        answer = response.json()
        if answer.get("is_usable") is False:
            return False
        results = answer.get("results", ())
        return all(row["status"] != "rejected" for row in results)
    # An item or a node may be called "batch", and any text may be asked for as a plan, so GET and PUT are there too.
    return failure.title != "Allow header mismatch" or not case.path.endswith(("/batch", "/plans/run"))


def _config(
    server: Server,
    shop: Shop,
    jobs: list[str],
    message_id: int,
    campaign: tuple[str, str],
    proposals: list[str],
    incidents: list[str],
    forecast: str,
    payments: list[str],
    runs: list[str],
) -> schemathesis.Config:
    groups = {
        "sku": shop.skus,
        "node": shop.nodes,
        "channel": shop.channels,
        "code": [*shop.nodes, *shop.channels, "dhl", "SOUTH", "M", "CH"],
        "reservation_id": shop.reservations,
        "order_id": list(shop.orders.values()),
        "fulfilment_id": shop.fulfilments,
        "plan_id": [f"{order_id}-p1" for order_id in shop.orders.values()],
        "customer_id": shop.customers,
        "inbound_id": [shop.inbound],
        "webhook_id": [shop.webhook],
        "job_id": jobs,
        "line_id": ["1", "2"],
        "proposal_id": proposals,
        "payment_id": payments,
        "provider": [PROVIDER],
        "incident_id": incidents,
        "shipment_id": [f"{order_id}-s1" for order_id in shop.orders.values()],
    }
    shipped = [shop.orders[f"more-{n}"] for n in range(4, 16)]
    # Steps that only some are ready for: more-0 to more-3 are still at their nodes, and the last ones as well.
    ready = [shop.orders[f"more-{n}"] for n in (*range(4), *range(16, 24))]
    fresh = [shop.orders[f"more-{n}"] for n in range(24, 39)]
    steps = {
        "/v1/fulfilments/{fulfilment_id}/deliver": [f"{order_id}-f1" for order_id in shipped],
        "/v1/fulfilments/{fulfilment_id}/ship": [f"{order_id}-f1" for order_id in ready],
        "/v1/orders/{order_id}/release": [order_id for name, order_id in shop.orders.items() if "held" in name],
        "/v1/orders/{order_id}/hold": fresh[:6],  # what is held is not rerouted
        "/v1/orders/{order_id}/reroute": fresh[6:],
        "/v1/proposals/{proposal_id}/approve": proposals[::2],
        "/v1/proposals/{proposal_id}/dismiss": proposals[1::2],
        "/v1/incidents/{incident_id}/runs": runs,
        "/v1/incidents/{incident_id}/approve": runs[::2],
        "/v1/incidents/{incident_id}/undo": runs[1::2],
        "/v1/incidents/{incident_id}/dismiss": incidents[::2],
        "/v1/jobs/{job_id}/cancel": jobs[4:],
        "/v1/jobs/{job_id}/result": jobs[:1],
        "/v1/signals/{name}": SIGNALS,
        "/v1/signal-feeds/{name}": SIGNALS,
        "/v1/orders/{order_id}/payment": payments,
    }
    lists = groups | {"shipped": shipped, "policy": ["trial"] * 4 + ["standard"], "version": [1, 2, 3]} | steps
    lists |= {"category": ["kitchen"], "carrier": ["dhl"]}
    lists |= {"begins": [_BEGINS], "ends": [_ENDS], "connected": [CONNECTED], "message": [message_id], "stuck": [STUCK]}
    lists |= {"near": [NEAR], "connector": ["woocommerce", "csv_feed"]}
    lists |= {"soon": [_SOON], "then": [_THEN], "assessed": [campaign[0]], "campaign": [campaign[1]], "mug": ["PLATE"]}
    of_campaigns = {
        "/v1/campaigns": {"body.job_id": "assessed"},
        "/v1/campaigns/assess": {"body.from": "soon", "body.to": "then", "body.items[*]": "mug"},
        "/v1/campaigns/{campaign_id}": {"path.campaign_id": "campaign"},
        "/v1/campaigns/{campaign_id}/cancel": {"path.campaign_id": "campaign"},
    }
    lists["forecast"] = [forecast]
    of_forecasts = {
        "/v1/forecasts": {"query.run_id": "forecast"},
        "/v1/forecasts/runs/{run_id}": {"path.run_id": "forecast"},
    }
    of_channels = {
        "/v1/carriers/{code}/tracking": {"path.code": "carrier"},
        "/v1/channels/{code}/reconcile": {"path.code": "connected"},
        "/v1/channels/{code}/test": {"path.code": "near"},
        "/v1/connectors/{name}": {"path.name": "connector"},
        "/v1/channels/{code}/orders/retry": {"path.code": "connected", "body.external_id": "stuck"},
        "/v1/channels/{code}/messages/{message_id}/retry": {"path.code": "connected", "path.message_id": "message"},
    }
    places = [("path", 0.8), ("query", 0.5), ("body", 0.8)]
    names = {
        **{f"{place}.{name}": (name, p) for name in groups for place, p in places},
        "body.order_id": ("shipped", 0.9),  # a return
        "path.name": ("policy", 0.9),
        "path.version": ("version", 0.8),
        "body.version": ("version", 0.8),
        "body.from": ("begins", 0.9),
        "body.to": ("ends", 0.9),
        "body.against": ("version", 0.8),
        "body.exclude[*]": ("node", 0.9),
        "body.lines[*].line_id": ("line_id", 0.9),
        "body.lines[*].sku": ("sku", 0.9),
        "body.entries[*].sku": ("sku", 0.9),
        "body.entries[*].node": ("node", 0.9),
        "body.markdowns[*].sku": ("sku", 0.9),
        "body.markdowns[*].node": ("node", 0.9),
        "body.supply[*].sku": ("sku", 0.9),
        "body.supply[*].node": ("node", 0.9),
        "body.lanes[*].from": ("node", 0.9),
        "body.lanes[*].to": ("node", 0.9),
        "body.items[*]": ("sku", 0.9),
        "body.nodes[*]": ("node", 0.9),
        "body.payment.provider": ("provider", 0.9),
        "body.categories[*]": ("category", 0.9),
    }
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "base-url": server.base_url,
            "headers": {"Authorization": f"Bearer {server.admin_key}"},
            "dictionaries": {name: {"values": values} for name, values in lists.items()},
            "parameters": {key: {"dictionary": name, "probability": p} for key, (name, p) in names.items()},
            "generation": {"max-examples": EXAMPLES * TIMES, "deterministic": True, "no-shrink": True},
            "phases": {"stateful": {"max-steps": 5}},
            "operations": [
                {"include-path": ENDLESS, "enabled": False},
                *(
                    {"include-path": path, "parameters": {f"path.{name}": {"dictionary": path, "probability": 0.8}}}
                    for path in steps
                    for name in re.findall(r"{(.*)}", path)
                ),
                *(
                    {
                        "include-path": path,
                        "parameters": {key: {"dictionary": name, "probability": 0.8} for key, name in wanted.items()},
                    }
                    for path, wanted in (of_channels | of_campaigns | of_forecasts).items()
                ),
            ],
            "checks": {"max_response_time": 10},
            "request-timeout": 20,
            "continue-on-failure": True,
            "cache": {"enabled": False},
            "warnings": False,
        }
    )
