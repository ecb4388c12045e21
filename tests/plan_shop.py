"""A shop whose stock is planned over HTTP."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np

from onhand.flows.forecasts import job as forecasts
from onhand.flows.forecasts.run import make
from onhand.flows.plans.job import KIND, WORK
from onhand.jobs.store import finish_job, take_job
from onhand.jobs.worker import work

NODES = {"lyon": (45.76, 4.84), "berlin": (52.52, 13.4), "nantes": (47.22, -1.55)}
SKUS = ("MUG", "PLATE")


def today():
    """Asked each time: a run of the tests may go past midnight."""
    return datetime.now(UTC).date()


class Shop:
    """Two items at three nodes, with eight weeks of sales over their counters, and no stock yet."""

    def __init__(self, server):
        self.server, self.client = server, server.client
        for sku in SKUS:
            item = {"name": sku, "weight_g": 500, "unit_cost_minor": 400, "price_minor": 1000, "currency": "EUR"}
            self.put(f"/v1/items/{sku}", item | {"category": "kitchen"})
        for code in NODES:
            self.node(code)

    def node(self, code, **more):
        latitude, longitude = NODES[code]
        node = {"name": code, "node_type": "store", "country": "DE", "timezone": "UTC"}
        self.put(f"/v1/nodes/{code}", node | {"latitude": latitude, "longitude": longitude} | more)

    def put(self, path, body):
        assert self.client.put(path, json=body).status_code in (200, 201)

    def post(self, path, body=None, status=200):
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def sell(self, daily, *, prices=(1000,), weeks=8):
        """Sales of `daily` {(sku, node): units a day}; prices take turns by week, demand follows them."""
        draw, rows = np.random.default_rng(1), []
        for back in range(1, weeks * 7 + 1):
            price = prices[back // 7 % len(prices)]
            for (sku, node), mean in daily.items():
                units = int(draw.poisson(mean * (price / prices[0]) ** -2.0))
                day = (today() - timedelta(days=back)).isoformat()
                rows.append({"sku": sku, "day": day, "quantity": units, "node": node, "price_minor": price})
        results = self.post("/v1/sales/batch", {"sales": rows})["results"]
        assert {r["status"] for r in results} == {"created"}

    def stock(self, units, kind="receipt", **more):
        entries = [
            {"kind": kind, "sku": sku, "node": node, "quantity": quantity} | more
            for (sku, node), quantity in units.items()
        ]
        results = self.post("/v1/stock/entries", {"entries": entries})["results"]
        assert {r["status"] for r in results} == {"applied"}, results

    def lanes(self, *pairs, **more):
        rows = [{"from": a, "to": b, "days": 1, "unit_cost_minor": 10} | more for a, b in pairs]
        results = self.post("/v1/lanes/batch", {"lanes": rows})["results"]
        assert all(r["status"] in ("created", "updated") for r in results), results

    def supply(self, **more):
        row = {"supplier": "Keramik Nord", "lead_days": [5, 6, 9], "multiple": 6}
        rows = [{"sku": sku, "node": "berlin"} | row | more for sku in SKUS]
        results = self.post("/v1/supply/batch", {"supply": rows})["results"]
        assert all(r["status"] != "rejected" for r in results), results

    def plan(self, kind, **more):
        """Plan, and what came of it: (its result, its open proposals)."""
        job_id = self.post("/v1/plans/run", {"kind": kind} | more, status=202)["job_id"]
        self.work()
        job = self.client.get(f"/v1/jobs/{job_id}").json()
        assert (job["state"], job["error"]) == ("done", None)
        return self.client.get(f"/v1/jobs/{job_id}/result").json(), self.proposals(job_id=job_id)

    def work(self):
        """What a worker does, in this process."""
        with self.server.app.db.connection() as conn:
            taken = take_job(conn, [KIND], lease_s=60)
        work(self.server.app.db.url, WORK, asdict(taken))

    def forecast(self, **settings):
        """A forecast that is kept, made in this process."""
        asked = self.post("/v1/forecasts/run", {"ablate": False} | settings, status=202)
        db = self.server.app.db
        with db.connection() as conn:
            taken = take_job(conn, [forecasts.KIND], lease_s=60)
        result = make(db, asked["run_id"], today(), lambda *_: None)
        with db.connection() as conn:
            finish_job(conn, taken, result)

    def proposals(self, **where):
        return self.client.get("/v1/proposals", params=where).json()["data"]

    def approve(self, proposal, status=200):
        return self.post(f"/v1/proposals/{proposal['proposal_id']}/approve", status=status)

    def rows(self, **where):
        return {(r["sku"], r["node"]): r for r in self.client.get("/v1/stock", params=where).json()["data"]}
