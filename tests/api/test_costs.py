"""/v1/costs and `onhand costs`, by what docs/how-to/cost-to-serve.md shows."""

import json
import re
from pathlib import Path

import pytest
from tests.shop import open_shop
from typer.testing import CliRunner

from onhand.cli import build

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "cost-to-serve.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```(json|csv)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def shop(server):
    made = open_shop(server.client)
    made.call("POST", f"/v1/fulfilments/{made.fulfilments[0]}/ship", {"carrier": "dhl", "tracking": "00340434"})
    return made


def of(shop, by, key):
    rows = shop.call("GET", f"/v1/costs?by={by}&limit=1000")["data"]
    return next((row for row in rows if row["key"] == key), None)


def test_what_the_page_tells_of_charges(shop):
    order = shop.orders["shelf"]
    before = shop.call("GET", f"/v1/orders/{order}/costs")
    assert before["totals"][0]["failures_minor"] == 0
    planned = sum(e["minor"] for e in before["data"] if (e["kind"], e["term"]) == ("actual", "shipping"))
    assert planned > 0, "it has left"
    charges = json.loads(BLOCKS["json"].replace("0195f0c2-1111-7000-8000-000000000001", order))
    answer = shop.call("POST", "/v1/costs", charges)
    assert [row["status"] for row in answer["results"]] == ["created", "created"]
    after = shop.call("GET", f"/v1/orders/{order}/costs?limit=1000")
    assert {e["cause"]: e["minor"] for e in after["data"] if e["cause"] == "address_correction"} == {
        "address_correction": 350
    }
    assert sum(e["minor"] for e in after["data"] if e["kind"] == "actual" and e["term"] == "shipping") == 612 + 350
    assert after["totals"][0]["failures_minor"] == 612 - planned + 350
    assert of(shop, "cause", "invoice")["failures_minor"] == 612 - planned


def test_rows_and_pages_of_the_report(shop):
    rows = shop.call("GET", "/v1/costs?by=term")["data"]
    assert {row["key"] for row in rows} >= {"shipping", "handling", "lateness"}
    for row in rows:
        assert row["difference_minor"] == row["actual_minor"] - row["promised_minor"] + row["not_shipped_minor"]
    first = shop.call("GET", "/v1/costs?by=term&limit=1")
    second = shop.call("GET", f"/v1/costs?by=term&limit=1&cursor={first['next_cursor']}")
    assert first["data"] + second["data"] == rows[:2]
    assert shop.client.get("/v1/costs?by=mood").status_code == 422
    assert shop.client.get("/v1/costs?from=2026-03-02&to=2026-03-01").status_code == 422
    assert shop.call("GET", "/v1/costs?to=2020-01-01")["data"] == []
    assert shop.client.get("/v1/orders/0195f0c2-1111-7000-8000-000000000001/costs").status_code == 404


def test_reading_costs_and_telling_them_need_their_scopes(server):
    key = server.client.post("/v1/keys", json={"name": "till", "scopes": ["read"]}).json()["key"]
    with server.as_key(key) as client:
        assert client.get("/v1/costs").status_code == 200
        assert client.post("/v1/costs", json={"charges": []}).status_code == 403


def test_the_file_is_imported_and_the_table_shown(shop, dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "invoice.csv").write_text(BLOCKS["csv"])
    done = CliRunner().invoke(build(), ["import", "costs", "invoice.csv"])
    assert done.exit_code == 1, "one of the two names nothing"
    assert "created" in done.output
    assert "no shipment of carrier 'dhl' has the number '99999999'" in (tmp_path / "costs.rejects.jsonl").read_text()
    assert of(shop, "term", "shipping")["actual_minor"] != of(shop, "term", "shipping")["promised_minor"]
    shown = CliRunner().invoke(build(), ["costs", "--by", "cause"])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"invoice +│ EUR │ +1 │", shown.output)
    rows = json.loads(CliRunner().invoke(build(), ["costs", "--by", "term", "--json"]).output)
    assert {row["key"] for row in rows} >= {"shipping", "handling"}
    assert CliRunner().invoke(build(), ["costs", "--from", "yesterday"]).exit_code != 0
