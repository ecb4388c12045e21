"""Somebody who has never seen the inside adds a cost term: the file of the documentation, word for word, and what they
then find in plans, answers, explanations, policies and listings. Programs of their own, as it is installed."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from tests.cli.test_serve import run, serving

PAGE = Path(__file__).parents[2] / "docs/how-to/add-a-cost-term.md"
FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n+```\w+\n(?P<text>.*?)^```$", re.M | re.S)
ISLAND, MAINLAND = "18565", "18055"  # Hiddensee, Rostock
SERVICE = {
    "code": "parcel",
    "currency": "EUR",
    "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [9000], "prices_minor": [[500]]},
    "transit_days": {"p50": 1, "p95": 1},
}
# The shop on the island is dearer by 200.
NODES = {
    code: {
        "name": code, "node_type": "store", "country": "DE", "postal_code": postal_code, "latitude": 54.1,
        "longitude": 12.1, "timezone": "UTC", "handling_cost_minor": handling, "cutoff": "23:59",
        "working_days": [1, 2, 3, 4, 5, 6, 7],
    }
    for code, postal_code, handling in (("ROSTOCK", MAINLAND, 100), ("HIDDENSEE", ISLAND, 300))
}  # fmt: skip


def destination(postal_code):
    return {"country": "DE", "postal_code": postal_code, "latitude": 54.1, "longitude": 12.1}


NETWORK = {
    "items": [{"sku": "A", "name": "A", "weight_g": 10, "price_minor": 1000, "currency": "EUR"}],
    "nodes": [{"code": code, **node} for code, node in NODES.items()],
    "carriers": [{"code": "C", "name": "C", "services": [SERVICE]}],
    "stock": [{"sku": "A", "node": node, "available": 9} for node in NODES],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the term as installing it would leave it: its module, and what its `pyproject.toml` declares."""
    folder = tmp_path_factory.mktemp("site")
    files = {m["name"]: m["text"] for m in FILE.finditer(PAGE.read_text("utf-8"))}
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    assert len(files) == 1, "it is one file"
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    groups = project["entry-points"].items()
    (info / "entry_points.txt").write_text(
        "".join(f"[{g}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items()) for g, points in groups), "utf-8"
    )
    return folder


@pytest.fixture
def without(tmp_path):
    """The environment of programs that do not have it."""
    return os.environ | {"ONHAND_HOME": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def having(without, site):
    """The environment of programs that have it."""
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return without | {"PYTHONPATH": path}


def in_python(env, program, *given):
    """What a program of one's own prints; it reads `given` as JSON."""
    made = subprocess.run(
        [sys.executable, "-c", f"import json, sys\ngiven = json.load(sys.stdin)\n{program}"],
        env=env, input=json.dumps(given), capture_output=True, text=True, check=False,
        timeout=280,  # the first program of a new state compiles it, which a busy machine takes long for
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


SOURCE = """
import dataclasses, onhand
from onhand.sourcing.policy import STANDARD
network, orders, weights = given
margin = STANDARD.objectives["margin"]
policies = [STANDARD]
for weight in weights:
    weighed = dataclasses.replace(margin, weights={"ferry": weight})
    policies.append(dataclasses.replace(STANDARD, objectives={"margin": weighed}))
plans = [[plan.to_dict() for plan in onhand.source(orders, network, policy=policy)] for policy in policies]
print(json.dumps(plans, default=str))
"""


def test_it_stands_in_plans_and_decides_them(having):
    orders = [{"destination": destination(code), "lines": [{"sku": "A", "quantity": 1}]} for code in (ISLAND, MAINLAND)]
    plain, off, half = in_python(having, SOURCE, NETWORK, orders, [0, 0.5])
    found = [
        [(f["node"], f["cost"]["ferry"]) for plan in plans for f in plan["fulfilments"]] for plans in (plain, off, half)
    ]
    # The ferry asks 300, the shop on the island 200 more: that is cheaper, unless the ferry weighs half of it.
    assert found == [
        [("HIDDENSEE", 0), ("ROSTOCK", 0)],
        [("ROSTOCK", 0), ("ROSTOCK", 0)],
        [("ROSTOCK", 150), ("ROSTOCK", 0)],
    ]
    alone = NETWORK | {"stock": NETWORK["stock"][:1]}
    ((island, _),) = in_python(having, SOURCE, alone, orders, [])
    (f,) = island["fulfilments"]
    assert (f["node"], f["cost"]["ferry"]) == ("ROSTOCK", 300)
    assert f["cost_minor"] == pytest.approx(sum(f["cost"].values()))


SIMULATE = """
import dataclasses, onhand
from onhand.sourcing.policy import STANDARD
network, orders = given
off = dataclasses.replace(STANDARD.objectives["margin"], weights={"ferry": 0})
without = dataclasses.replace(STANDARD, objectives={"margin": off})
(found,) = onhand.simulate(orders, network, policies=[without, STANDARD])
ferry, cost, paid = (found.of(key) for key in ("term_ferry", "cost_minor", "paid_minor"))
print(json.dumps([ferry.metric.name, ferry.baseline, ferry.candidate, cost.candidate, paid.baseline, paid.difference]))
"""


def test_simulations_count_it(having):
    """Ten orders from the mainland, five of them to an island."""
    alone = NETWORK | {"stock": [{"sku": "A", "node": "ROSTOCK", "available": 90}]}
    orders = [
        {
            "destination": destination(code), "lines": [{"sku": "A", "quantity": 1}],
            "placed_at": f"2026-03-02T08:{n:02}:00Z",
        }
        for n, code in enumerate([ISLAND, MAINLAND] * 5)
    ]  # fmt: skip
    label, without, having_it, cost, paid, more = in_python(having, SIMULATE, alone, orders)
    assert (label, without, having_it) == ("Ferry", 0, 150) and cost > 750
    # A parcel of 500, handling of 100, and for every other order the ferry: it is on the bill whether it weighs or not.
    assert (paid, more) == (750, 0)


def test_it_is_listed_and_policies_may_weigh_it(having, without, tmp_path):
    listed = run(having, "terms")
    assert listed.returncode == 0, listed.stderr
    row = next(line for line in listed.stdout.splitlines() if line.startswith("ferry"))
    for said in ("each fulfilment", "yes", "onhand-ferry 1.0", "What the ferry asks"):
        assert said in row
    assert "shipping" in listed.stdout and "built-in" in listed.stdout
    as_json = json.loads(run(having, "terms", "--json").stdout)
    assert as_json[-1]["name"] == "ferry" and len(as_json) == 11
    (tmp_path / "good.yaml").write_text("weights: {ferry: 0}\n")
    (tmp_path / "bad.yaml").write_text("weights: {fery: 2}\n")
    assert run(having, "policy", "lint", "--strict", "good.yaml").returncode == 0
    bad = run(having, "policy", "lint", "bad.yaml")
    assert bad.returncode == 1
    assert "error: weights.fery: no cost term is called 'fery' here; did you mean 'ferry'?" in bad.stdout
    assert "ferry" not in run(without, "terms").stdout
    missing = run(without, "policy", "lint", "good.yaml")
    assert missing.returncode == 1 and "install what brings it" in missing.stdout


def test_one_that_cannot_be_used_is_named(having, site, tmp_path):
    broken = tmp_path / "onhand_ferry.py"
    broken.write_text("summary = ''\n")
    path = having["PYTHONPATH"]
    listed = run(having | {"PYTHONPATH": os.pathsep.join((str(tmp_path), path))}, "terms")
    assert listed.returncode == 1
    assert "error: cost term ferry: cannot be used: ValueError: it has no `summary`" in listed.stderr


def test_it_stands_in_answers_and_explanations_and_stays_when_it_is_gone(having, without, dsn):
    having, without = ({**env, "ONHAND_DATABASE_URL": dsn} for env in (having, without))
    order = {
        "channel": "web", "external_id": "1", "currency": "EUR", "destination": destination(ISLAND),
        "lines": [{"line_id": "1", "sku": "A", "quantity": 1, "price_minor": 1000}],
    }  # fmt: skip
    with serving(having) as (program, client):

        def call(method, path, body=None):
            answer = client.request(method, path, json=body)
            assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
            return answer.json()

        call("PUT", "/v1/items/A", {"name": "A", "weight_g": 10})
        for code, node in NODES.items():
            call("PUT", f"/v1/nodes/{code}", node)
        call("PUT", "/v1/carriers/C", {"name": "C", "services": [SERVICE]})
        call("PUT", "/v1/channels/web", {"currency": "EUR"})
        entry = {"kind": "receipt", "sku": "A", "node": "ROSTOCK", "quantity": 9}
        call("POST", "/v1/stock/entries", {"entries": [entry]})
        placed = call("POST", "/v1/orders", order)
        (f,) = placed["fulfilments"]
        assert f["cost"]["ferry"] == 300 and f["cost_minor"] == sum(f["cost"].values())
        asked = {"channel": "web", "destination": destination(ISLAND), "lines": [{"sku": "A", "quantity": 1}]}
        options = call("POST", "/v1/promises", asked)["options"]
        assert [o["fulfilments"][0]["cost"]["ferry"] for o in options] == [300] * len(options) != []
        # Off by the policy: not asked, and not shown.
        call("PUT", "/v1/policies/standard", {"weights": {"ferry": 0}})
        call("POST", "/v1/policies/standard/promote", {"to": "active", "why": "test"})
        for number in range(2, 8):  # a policy is in force when the process has heard of it
            second = call("POST", "/v1/orders", order | {"external_id": str(number)})
            if call("GET", f"/v1/plans/{second['plan_id']}")["policy"] == "standard@2":
                break
            threading.Event().wait(0.5)
        assert "ferry" not in second["fulfilments"][0]["cost"]
        kept = call("GET", f"/v1/plans/{placed['plan_id']}")
        assert kept["reproduced"] and kept["candidates"][0]["cost"]["ferry"] == 300
        assert client.get("/readyz").json()["checks"].keys() == {"database", "schema", "state"}
        assert program.end() == 0
    for env in (having, without):
        shown = run(env, "explain", "web/1")
        assert shown.returncode == 0, shown.stderr
        heading = next(line for line in shown.stdout.splitlines() if "in all" in line)
        assert "ferry" in heading.split()
        explained = json.loads(run(env, "explain", "web/1", "--json").stdout)
        assert explained["reproduced"] and explained["decision"] == placed
