"""Forecasts over HTTP: asked for, made by a worker in a process of its own, read, judged, and made every day."""

import threading
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from onhand.api.paging import encode_cursor
from onhand.flows.campaigns.read import find_items, read_demand
from onhand.flows.demand.outlook import USUAL
from onhand.flows.forecasts import learn
from onhand.flows.forecasts.job import KIND, WORK
from onhand.flows.forecasts.run import make
from onhand.jobs import store as jobs
from onhand.jobs.worker import run_next
from onhand.planning.campaigns.outlook import LEVELS

TODAY = datetime.now(UTC).date()
NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"
SKUS = ("MUG-BLUE", "MUG-RED", "PLATE")


@pytest.fixture
def shop(server):
    """Sales of three items in two regions until ten days ago."""
    draw = np.random.default_rng(1)
    rows = [
        {"sku": sku, "day": f"{TODAY - timedelta(days=back)}", "quantity": int(draw.poisson(level)), "region": of}
        for back in range(10, 10 + 12 * 7)
        for sku, level in zip(SKUS, (12, 8, 3), strict=True)
        for of in ("DE", "FR")
    ]  # fmt: skip
    for path, body in (
        ("/v1/items/batch", {"items": [{"sku": sku, "name": sku} for sku in SKUS]}),
        ("/v1/nodes/batch", {"nodes": [{"code": "BERLIN", "name": "x", "node_type": "store", "country": "DE",
                                        "latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}]}),
        ("/v1/sales/batch", {"sales": rows}),
    ):  # fmt: skip
        results = server.client.post(path, json=body).json()["results"]
        assert {r["status"] for r in results} == {"created"}, results[0]
    return server


def ask(server, **body) -> dict:
    asked = server.client.post("/v1/forecasts/run", json={"horizon": 7, "ablate": False} | body)
    assert asked.status_code == 202, asked.text
    return asked.json()


def forecast(server, **body) -> dict:
    """Asked for, and made in this process: to start another one takes seconds."""
    asked, db = ask(server, **body), server.app.db
    with db.connection() as conn:
        taken = jobs.take_job(conn, [KIND], lease_s=60)
    result = make(db, asked["run_id"], TODAY, lambda *_: None)
    with db.connection() as conn:
        jobs.finish_job(conn, taken, result)
    return asked


@pytest.fixture(autouse=True)
def _without_trees(monkeypatch):
    monkeypatch.setattr(learn, "has_trees", lambda: False)


def test_a_forecast_is_made_in_a_process_of_its_own_and_read(shop):
    client = shop.client
    assert client.get("/v1/forecasts").json() == {"data": [], "next_cursor": None}
    asked = ask(shop, levels=[0.1, 0.5, 0.9])
    assert run_next(shop.app.db, {KIND: WORK}, threading.Event())
    job = client.get(f"/v1/jobs/{asked['job_id']}").json()
    assert (job["state"], job["error"], job["progress"]["stage"]) == ("done", None, "scoring")
    whole = client.get(f"/v1/forecasts/runs/{asked['run_id']}").json()
    origin = TODAY - timedelta(days=9)
    assert (whole["origin"], whole["series"], whole["state"]) == (origin.isoformat(), 6, "done")
    assert whole["champion"]["why"] == "first" and whole["challenger"] is None
    assert sum(s["series"] for s in whole["segments"]) == 6
    (row,) = client.get("/v1/forecasts?sku=MUG-BLUE&region=FR").json()["data"]
    assert (row["sku"], row["region"], row["node"], row["run_id"]) == ("MUG-BLUE", "FR", None, asked["run_id"])
    assert row["in_charge"] in ("model", "baseline") and row["backtest"]["loss_baseline"] >= 0
    assert [p["from"] for p in row["periods"]] == [(origin + timedelta(days=n)).isoformat() for n in range(7)]
    for period in row["periods"]:
        assert period["mean"] == pytest.approx(12, rel=0.4)
        assert period["quantiles"]["0.1"] <= period["quantiles"]["0.5"] <= period["quantiles"]["0.9"]
    assert client.get("/v1/forecasts?node=BERLIN").json()["data"] == []
    runs = client.get("/v1/forecasts/runs").json()["data"]
    assert [(r["run_id"], r["realised"]) for r in runs] == [(asked["run_id"], None)]
    result = client.get(f"/v1/jobs/{asked['job_id']}/result").json()
    assert (result["run_id"], result["series"]) == (asked["run_id"], 6)


def test_pages_stay_with_their_run(shop):
    client = shop.client
    first = forecast(shop)
    seen, cursor = [], ""
    for n in range(3):
        page = client.get(f"/v1/forecasts?limit=2{cursor}").json()
        seen += [(r["sku"], r["region"], r["run_id"]) for r in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
        if n == 0:
            forecast(shop)
    assert page["next_cursor"] is None
    assert {(sku, region) for sku, region, _ in seen} == {(sku, r) for sku in SKUS for r in ("DE", "FR")}
    assert {run for _, _, run in seen} == {first["run_id"]}
    again = client.get(f"/v1/forecasts?run_id={first['run_id']}&sku=PLATE").json()["data"]
    assert {r["run_id"] for r in again} == {first["run_id"]}


def test_a_cursor_of_nowhere_is_refused(shop):
    for name, position, path in (
        ("forecasts", ("x", 1, 1, 1), "/v1/forecasts"),
        ("forecast-runs", ("x",), "/v1/forecasts/runs"),
    ):
        answer = shop.client.get(f"{path}?cursor={encode_cursor(name, position)}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "cursor")


def test_what_came_is_told_of_a_run(shop):
    asked = forecast(shop, origin=(TODAY - timedelta(days=30)).isoformat())
    (run,) = shop.client.get("/v1/forecasts/runs").json()["data"]
    assert (run["scored_periods"], run["realised"]["segment"], run["realised"]["part"]) == (7, "all", "champion")
    realised = run["realised"]
    assert abs(realised["bias"]) < 0.4
    assert set(realised["coverage"]) == {"0.5", "0.8", "0.9", "0.95"}
    whole = shop.client.get(f"/v1/forecasts/runs/{asked['run_id']}").json()
    assert realised in whole["realised"]
    assert whole["drift"][0]["periods"] == 7


def test_one_key_asks_once(shop):
    keyed = {"Idempotency-Key": "monday"}
    first, again = (shop.client.post("/v1/forecasts/run", json={}, headers=keyed).json() for _ in range(2))
    assert first == again
    other = shop.client.post("/v1/forecasts/run", json={"horizon": 3}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    assert len(shop.client.get("/v1/forecasts/runs").json()["data"]) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"horizon": 0}, "horizon"),
        ({"freq": "H"}, "freq"),
        ({"levels": [0.5, 0.1]}, "levels"),
        ({"levels": [0.5, 1.0]}, "levels[1]"),
        ({"origin": (TODAY + timedelta(days=2)).isoformat()}, "origin"),
        ({"origin": "tomorrow"}, "origin"),
        ({"levles": [0.5]}, "levles"),
    ],
)
def test_what_cannot_be_forecast_is_told_at_once(shop, body, path):
    answer = shop.client.post("/v1/forecasts/run", json=body)
    assert answer.status_code == 422, answer.text
    assert [e["path"] for e in answer.json()["errors"]] == [path]


def test_without_demand_there_is_nothing_to_forecast(server):
    answer = server.client.post("/v1/forecasts/run", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "forecast.no_demand")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/forecasts?sku=NOTHING", "item.not_found"),
        ("/v1/forecasts?node=NOWHERE", "node.not_found"),
        (f"/v1/forecasts?run_id={NOBODY}", "forecast_run.not_found"),
        (f"/v1/forecasts/runs/{NOBODY}", "forecast_run.not_found"),
    ],
)
def test_what_is_not_there_is_not_found(shop, path, code):
    forecast(shop)
    answer = shop.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_a_schedule_is_kept(shop):
    unset = shop.client.get("/v1/forecasts/schedule")
    assert unset.status_code == 200, unset.text
    assert [unset.json()[k] for k in ("active", "hour", "horizon", "next_at", "by")] == [False, 3, 42, None, None]
    made = shop.client.put("/v1/forecasts/schedule", json={"hour": 4, "horizon": 14})
    assert made.status_code == 200, made.text
    assert (made.json()["hour"], made.json()["horizon"], made.json()["active"]) == (4, 14, True)
    assert shop.client.get("/v1/forecasts/schedule").json() == made.json()
    off = shop.client.put("/v1/forecasts/schedule", json={"active": False}).json()
    assert (off["active"], off["horizon"]) == (False, 42)


def test_campaigns_rest_on_the_forecast_that_is_kept(shop):
    """Ten times what was forecast, so that it shows."""
    db, first = shop.app.db, TODAY - timedelta(days=9)

    def expected():
        with db.connection() as conn:
            items = find_items(conn, ["MUG-BLUE", "PLATE"], [])
            return read_demand(conn, first, 5, items, np.arange(len(items.sku), dtype=np.int32)), items.sku

    (usual, _, on), skus = expected()
    assert on == USUAL
    asked = forecast(shop)
    (made, _, on), _ = expected()
    assert on == f"forecast run {asked['run_id']}"
    assert made.mean.shape == usual.mean.shape
    assert not np.array_equal(made.mean, usual.mean)
    assert made.mean[skus.index("MUG-BLUE")] == pytest.approx(np.full(5, 24.0), rel=0.4)
    assert (np.diff(made.quantiles, axis=2) >= 0).all()
    row = made.quantiles[skus.index("MUG-BLUE"), 0]
    assert row[-1] - row[0] < 2 * (usual.quantiles[skus.index("MUG-BLUE"), 0, -1] + 5)
    assert len(LEVELS) == row.size


def test_days_that_no_forecast_covers_are_as_the_last_weeks_were(shop):
    forecast(shop)
    with shop.app.db.connection() as conn:
        items = find_items(conn, ["PLATE"], [])
        far = read_demand(conn, date.today(), 20, items, np.zeros(len(items.sku), np.int32))[0]  # noqa: DTZ011
    assert far.mean.shape[1] == 20


def test_an_item_is_told_as_one_fan_and_by_what_came_of_it(shop):
    client = shop.client
    assert client.get("/v1/forecasts/items/MUG-BLUE").json() == {
        "sku": "MUG-BLUE", "forecast": None, "accuracy": None,
    }  # fmt: skip
    origin = TODAY - timedelta(days=30)
    # Of its 28 days 21 have come: it keeps its series.
    old = forecast(shop, horizon=28, origin=origin.isoformat())
    new = forecast(shop, horizon=14)
    whole = client.get("/v1/forecasts/items/MUG-BLUE").json()
    parts = client.get("/v1/forecasts?sku=MUG-BLUE").json()["data"]
    fan = whole["forecast"]
    assert (fan["run_id"], fan["series"], len(fan["periods"])) == (new["run_id"], 2, 14)
    for n, period in enumerate(fan["periods"]):
        assert period["mean"] == pytest.approx(sum(p["periods"][n]["mean"] for p in parts), abs=1e-3)
        widths = [p["periods"][n]["quantiles"]["0.95"] - p["periods"][n]["quantiles"]["0.05"] for p in parts]
        # Wider than the wider of both, and not as wide as both together.
        assert max(widths) < period["quantiles"]["0.95"] - period["quantiles"]["0.05"] < sum(widths)

    accuracy = whole["accuracy"]
    assert (accuracy["run_id"], accuracy["periods"], accuracy["series"]) == (old["run_id"], 21, 2)
    assert accuracy["to"] == (origin + timedelta(days=20)).isoformat()
    _check_by_hand(client, old["run_id"], origin, accuracy)
    one = client.get("/v1/forecasts/items/MUG-BLUE?region=FR").json()
    assert (one["forecast"]["series"], one["accuracy"]["series"]) == (1, 1)
    assert one["forecast"]["periods"][0]["mean"] == next(p for p in parts if p["region"] == "FR")["periods"][0]["mean"]


def _check_by_hand(client, run_id, origin, accuracy):
    """WAPE, bias and coverage from the days of the demand and the stored forecast."""
    came, off, within = 0.0, 0.0, []
    last = origin + timedelta(days=20)
    units = {}
    for row in client.get(f"/v1/demand?sku=MUG-BLUE&from={origin - timedelta(days=7)}&to={last}").json()["data"]:
        units[row["region"], row["day"]] = row["demand"]
    total, again = 0.0, 0.0
    for series in client.get(f"/v1/forecasts?run_id={run_id}&sku=MUG-BLUE").json()["data"]:
        for n, period in enumerate(series["periods"][:21]):
            real = units.get((series["region"], period["from"]), 0.0)
            naive = (origin - timedelta(days=7) + timedelta(days=n % 7)).isoformat()
            came, total = came + real, total + period["mean"]
            off += abs(period["mean"] - real)
            again += abs(units.get((series["region"], naive), 0.0) - real)
            within.append(period["quantiles"]["0.25"] <= real <= period["quantiles"]["0.75"])
    assert accuracy["forecast"]["wape"] == pytest.approx(off / came, abs=1e-4)
    assert accuracy["forecast"]["bias"] == pytest.approx(total / came - 1, abs=1e-4)
    assert accuracy["forecast"]["coverage"]["0.5"] == pytest.approx(sum(within) / len(within), abs=1e-4)
    assert accuracy["seasonal_naive"]["wape"] == pytest.approx(again / came, abs=1e-4)
    # Last week again is as wrong as a week is from the one before; the mean is better.
    assert accuracy["forecast"]["rmsse"] < accuracy["seasonal_naive"]["rmsse"] == pytest.approx(1, abs=0.35)
    assert accuracy["seasonal_naive"]["coverage"] == {}


def test_a_forecast_that_has_just_been_made_has_no_accuracy(shop):
    forecast(shop, horizon=14, origin=(TODAY - timedelta(days=9)).isoformat())
    assert shop.client.get("/v1/forecasts/items/PLATE").json()["accuracy"] is None


@pytest.mark.parametrize(
    ("query", "what"), [("NOTHING", "item"), ("PLATE?node=NOWHERE", "node"), ("PLATE?channel=none", "channel")]
)
def test_an_item_a_node_and_a_channel_must_be_known_to_be_told_of(shop, query, what):
    for path in ("items", "contributions"):
        answer = shop.client.get(f"/v1/forecasts/{path}/{query}")
        assert (answer.status_code, answer.json()["code"]) == (404, f"{what}.not_found")


def test_who_knows_no_contributions_says_why(shop):
    told = {"sku": "MUG-BLUE", "reason": "no_forecast", "explained": None}
    assert shop.client.get("/v1/forecasts/contributions/MUG-BLUE").json() == told
    forecast(shop)
    assert shop.client.get("/v1/forecasts/contributions/MUG-BLUE").json() == told | {"reason": "no_trees"}
