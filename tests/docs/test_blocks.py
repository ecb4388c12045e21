"""Every block of every page is run: by the page's own test, by the lint of its kind of document, or here, after
`<!-- shop -->` and the like, from the page's own text on a shop of every kind of thing. What cannot be: NOT_RUN."""

import json
import os
import re
import shlex
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import polars as pl
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.connectors.harbour import HARBOUR
from tests.pages import Background, Block, Shell, every_block, free_port
from tests.shop import Shop, open_shop

from onhand import cli
from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.app import App
from onhand.flows.campaigns import job as campaigns
from onhand.flows.forecasts import job as forecasts
from onhand.flows.plans import job as plans
from onhand.flows.simulation import job as simulation
from onhand.jobs.worker import run_next
from onhand.settings import Settings
from onhand.sourcing.policies.lint import lint as lint_policy
from onhand.twin.fakes.market import Market
from onhand.twin.fakes.woocommerce import Shop as WooCommerce
from onhand.twin.scenarios.document import parse as parse_scenario

from ..api.conftest import _serving  # noqa: TID252
from ..conftest import at, broken_invariants  # noqa: TID252

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TODAY = datetime.now(UTC).date()
SECRET = "what-seals-credentials-here"

# Blocks that nothing runs, by page and first line, and why that is so. Nothing else may be without a test.
_HOURS = "minutes to hours, and data of others: `make bench`"
_PARTS = "a bench for a shop of one's own; the whole way with one is examples/add_a_channel.md, run by tests/examples"
_FIGURES = "shows what a shop of some weeks came to; the words are those of "
_TALE = "of the demo alone: tests/twin/test_story.py and tests/cli/test_demo.py"
NOT_RUN: dict[str, dict[str, str]] = {
    "README.md": {"make test": "this is it"},
    "CONTRIBUTING.md": {"make setup": "the README's test sets up and starts the demo", "make check": "CI, and this"},
    "benchmarks/README.md": {"": _HOURS},
    "docs/tutorial.md": {"make setup": "the README's test does it"},
    "docs/how-to/amazon.md": {"ONHAND_SECRET_CLIENT_ID=": "needs an account at Amazon; the fake has tests of its own"},
    "docs/how-to/console.md": {"make console": "needs a terminal; `make check` and `make test` do the rest"},
    "docs/how-to/describe-a-channel.md": {
        "onhand channel lint corner_shop --contract": "needs what a vendor publishes: test_contracts.py",
        "corner_shop/connector.yaml:24:9": _FIGURES + "tests/connectors/test_contracts.py",
        "onhand channel kit ./corner_shop --bench": _PARTS,
        "from onhand.connectors._sdk.conformance": _PARTS,
        "[project.entry-points": "a part of a package of one's own: tests/cli/test_channel_kit.py",
        "onhand channel kit my_package": "needs that package: tests/cli/test_channel_kit.py",
    },
    "docs/how-to/gates.md": {"hear 14.8 s": _FIGURES + "tests/channels/gates/test_words.py"},
    "docs/how-to/learned-lanes.md": {"standard@3: proposed": _FIGURES + "tests/flows/test_lanes.py"},
    "docs/how-to/mcp.md": {
        "claude mcp add": "a program of others", '{ "servers"': "settings of a program of others",
        '{ "mcpServers"': "settings of programs of others; what they start: tests/mcp/test_stdio.py",
    },
    "docs/how-to/plan-stock.md": {"rebalance by the same": _FIGURES + "tests/cli/test_plan.py"},
    "docs/how-to/scenarios.md": {
        "$ onhand twin run": "takes minutes, and the demo does not end: tests/twin/test_scenarios.py",
        "$ onhand demo": _TALE, "curl -X PUT $ONHAND/v1/story": _TALE,
    },
    "docs/how-to/simulated-vendors.md": {"onhand demo": "takes a minute and more; tests/cli/test_demo.py does it"},
    "docs/how-to/track-shipments.md": {"pip install karrio": "needs karrio and an account at DHL"},
}  # fmt: skip
# Pages with a test of their own that takes their blocks of these languages without marks.
ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "docs/how-to/add-a-cost-term.md": ("tests/newcomer/test_cost_term.py", ("sh",)),
    "docs/how-to/cost-to-serve.md": ("tests/api/test_costs.py", ("console", "json", "csv")),
    "docs/how-to/detectors.md": ("tests/incidents/test_page.py", ("python",)),
    "docs/how-to/incidents.md": ("tests/cli/test_incidents.py", ("sh", "json")),
    "docs/how-to/payments.md": ("tests/api/test_payments.py", ("", "json")),
    "docs/how-to/policies.md": ("tests/docs/test_blocks.py", ("",)),
    "docs/how-to/predict-deliveries.md": ("tests/library/test_delivery.py", ("python",)),
    "docs/how-to/scenarios.md": ("tests/docs/test_blocks.py", ("text",)),
    "docs/how-to/track-shipments.md": ("tests/api/test_tracking.py", ("python", "json")),
}


def pages() -> list[str]:
    named = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md"]
    written = [page for page in sorted(DOCS.rglob("*.md")) if "reference" not in page.parts]  # by the product
    return [str(page.relative_to(ROOT)) for page in (*named, *written)]


def blocks_of(page: str) -> list[Block]:
    return every_block((ROOT / page).read_text("utf-8"))


# What a reader has ----------------------------------------------------------------------------------------------------

Prepared = Callable[["Reader"], None]
KINDS = {module.KIND: module.WORK for module in (campaigns, forecasts, plans, simulation)}


@dataclass(slots=True)
class World:
    """A server with a shop behind it, and the places that its channels sell at."""

    app: App
    dsn: str
    url: str
    key: str
    client: httpx2.Client
    shop: Shop
    woo: str
    market: str
    corner: str


@dataclass(slots=True)
class Reader:
    """Somebody who does what a page says, in a folder of his own."""

    world: World
    cwd: Path
    env: dict[str, str]
    programs: Background
    vendor: str = ""
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    # What a page writes -> what this reader has instead.
    own: dict[str, str] = field(default_factory=dict[str, str])
    # What a page writes for an id -> where it stands in what was printed, the last that is found.
    ids: dict[str, str] = field(default_factory=dict[str, str])
    # What has to have happened before a command that says this.
    before: dict[str, Callable[[], object]] = field(default_factory=dict[str, Callable[[], object]])
    printed: str = ""

    def has(self, text: str) -> str:
        for written, owned in self.own.items():
            text = text.replace(written, owned)
        for written, pattern in self.ids.items():
            if written in text:
                found = re.findall(pattern, self.printed, re.M)
                assert found, f"nothing was printed that {written} stands for: {self.printed[-2000:]}"
                text = text.replace(written, found[-1])
        return text

    def leave_running(self, line: str) -> None:
        port = free_port()
        self.vendor = f"http://127.0.0.1:{port}"
        line = line.replace("--port 3977", f"--port {port}")
        self.programs.start(line, self.cwd, self.env, f"{self.vendor}/_fake/weather")

    def work(self) -> None:
        """What a worker would have done by now."""
        while run_next(self.world.app.db, KINDS, threading.Event()):
            pass


def lines_of(text: str) -> Iterator[str]:
    """The commands of a block, each with the lines that it goes on in."""
    whole = ""
    for line in text.splitlines():
        whole += line.removeprefix("$ ") if not whole else f"\n{line}"
        if whole.endswith("\\"):
            continue
        try:
            words = shlex.split(whole, comments=True)
        except ValueError:  # a quotation goes on
            continue
        if words:
            yield whole
        whole = ""
    assert not whole.strip(), f"not a whole command: {whole}"


@contextmanager
def working(reader: Reader, words: list[str]) -> Iterator[None]:
    """A worker, for those commands that wait for one."""
    if words[1:3] != ["channel", "reconcile"]:
        yield
        return
    stop = threading.Event()
    worker = threading.Thread(target=reader.world.app.run_worker, args=(stop,), daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(30)


ASSIGNED = re.compile(r"\w+=")


def run_command(reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """One command. Those of onhand run in this process, which has long been started; all others in a shell."""
    for said, act in reader.before.items():
        if said in line:
            act()
    line = reader.has(line)
    words = [os.path.expandvars(word) for word in shlex.split(line.replace("\\\n", " "), comments=True)]
    if words[0] == "export":
        reader.env |= dict(word.split("=", 1) for word in words[1:])
        return
    if words[:3] == ["python", "-m", "onhand.twin.fakes"]:
        reader.leave_running(line)
        return
    given = {}
    while ASSIGNED.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    capsys.readouterr()
    if words[0] == "onhand" and not set("|<>;&") & set(re.sub(r"(['\"]).*?\1", "", line)):
        with monkeypatch.context() as patch, working(reader, words):
            for name, value in (reader.env | given).items():
                patch.setenv(name, value)
            patch.chdir(reader.cwd)
            code = cli.run(words[1:])
        said = capsys.readouterr()
        assert code == 0, f"{line}\n{said.out[-2000:]}\n{said.err[-2000:]}"
        printed = said.out
    else:
        printed = Shell(reader.cwd / ".shell", reader.cwd, reader.env, 60).run(line)
    reader.printed += printed


def run_block(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], block: Block
) -> None:
    if block.how == "file":
        (reader.cwd / block.of).write_text(reader.has(block.text), "utf-8")
    elif block.how in ("request", "row"):
        method, path = block.of.split()
        body = json.loads(reader.has(block.text))
        base = reader.vendor if path.startswith("/_fake") else ""
        answer = reader.world.client.request(
            method, f"{base}{reader.has(path)}", json=body if block.how == "request" else None
        )
        assert answer.status_code in (200, 201, 202), f"{block.of}: {answer.text}"
        assert '"status":"rejected"' not in answer.text, answer.text
        if block.how == "row":
            assert answer.json()["data"][0].keys() == body.keys()
        reader.printed += answer.text
    elif block.language == "python":
        with monkeypatch.context() as patch:
            patch.chdir(reader.cwd)
            exec(compile(reader.has(block.text), "page", "exec"), reader.names)
    else:
        for line in lines_of(block.text):
            run_command(reader, monkeypatch, capsys, line)


# What a page begins with ----------------------------------------------------------------------------------------------


def day(offset: int) -> str:
    return (TODAY + timedelta(days=offset)).isoformat()


PREPARED: dict[str, Prepared] = {}


def prepares(page: str) -> Callable[[Prepared], Prepared]:
    def keep(made: Prepared) -> Prepared:
        PREPARED[page] = made
        return made

    return keep


JOB = {"019cae2a-...": r'"job_id": ?"([0-9a-f-]{36})"'}


@prepares("docs/how-to/campaigns.md")
def _campaigns(reader: Reader) -> None:
    reader.own = {"2026-03-14": day(5), "2026-03-20": day(9), '"discount"': '"paths": 20, "discount"'}
    reader.ids, reader.before = JOB, {"/result": reader.work}


@prepares("docs/how-to/simulate-a-policy.md")
def _simulate(reader: Reader) -> None:
    reader.world.shop.call("PUT", "/v1/policies/standard", {"objective": "speed"})
    dates = {"2026-02-01": day(-1), "2026-03-01": day(1)}
    reader.own = dates | {'"version": 4': '"version": 1', '"pareto": true': '"pareto": false'}
    again = {"version": 1, "from": f"{day(-1)}T00:00:00Z", "to": f"{day(1)}T00:00:00Z"}

    def ask_again() -> None:
        asked = reader.world.client.post("/v1/policies/standard/simulate", json=again | {"orders_max": 20})
        reader.printed += asked.text

    reader.ids, reader.before = JOB, {"/result": reader.work, "/cancel": ask_again}


def _woocommerce(reader: Reader) -> None:
    reader.own = {"https://shop.example": reader.world.woo, "ck_...": "ck_fake", "cs_...": "cs_fake"}
    reader.env |= {"ONHAND_SECRET_CONSUMER_KEY": "ck_fake", "ONHAND_SECRET_CONSUMER_SECRET": "cs_fake"}


@prepares("docs/how-to/connect-a-channel.md")
def _connect(reader: Reader) -> None:
    reader.world.shop.call("PUT", "/v1/node-groups/EUROPE", {"name": "Europe", "nodes": ["berlin", "munich"]})
    _woocommerce(reader)


@prepares("docs/how-to/prices.md")
def _prices(reader: Reader) -> None:
    _woocommerce(reader)


@prepares("docs/how-to/gates.md")
def _gates(reader: Reader) -> None:
    _woocommerce(reader)


@prepares("docs/how-to/describe-a-channel.md")
def _describe(reader: Reader) -> None:
    reader.own = {
        "./corner_shop url=https://shop.example": f"./corner_shop url={reader.world.corner} --allow-private-urls",
        "https://shop.example/api": f"{reader.world.market}/seller --allow-private-urls",
        "ONHAND_SECRET_TOKEN=...": "ONHAND_SECRET_TOKEN=of-the-administration",
        "https://shop.example": reader.world.woo,
    }  # fmt: skip
    reader.own |= {"ck_...": "ck_fake", "cs_...": "cs_fake"}
    reader.env["ONHAND_SECRET_TOKEN"] = Market().key
    lyon = {"name": "Lyon", "node_type": "store", "country": "FR", "latitude": 45.76, "longitude": 4.84}
    reader.world.shop.call("PUT", "/v1/nodes/LYON", lyon | {"timezone": "Europe/Paris"})
    (reader.cwd / "shop.yaml").write_text(HARBOUR)


@prepares("docs/how-to/demand-and-signals.md")
def _demand(reader: Reader) -> None:
    rows = "".join(f"MUG-BLUE,{day(-back)},{3 + back % 5},DE\n" for back in range(1, 60))
    (reader.cwd / "history.csv").write_text(f"sku,day,quantity,region\n{rows}")
    reader.names["db"] = reader.world.app.db


def _history() -> pl.DataFrame:
    draw = np.random.default_rng(3)
    days = [TODAY - timedelta(days=back) for back in range(120, 0, -1)]
    return pl.concat(
        pl.DataFrame({"unique_id": [name] * 120, "ds": days, "y": draw.poisson(mean, 120)})
        for name, mean in (("shirt-berlin", 4.0), ("shirt-lyon", 2.0), ("mug-berlin", 6.0), ("mug-lyon", 3.0))
    )


@prepares("docs/how-to/forecast-demand.md")
def _forecast(reader: Reader) -> None:
    history = _history()
    days = [TODAY + timedelta(days=n) for n in range(-120, 28)]
    static = pl.DataFrame(
        [{"unique_id": name, "category": name.split("-")[0], "region": name.split("-")[1]}
         for name in history["unique_id"].unique()]
    )  # fmt: skip
    reader.names |= {
        "history": history, "static": static,
        "known": pl.DataFrame({"ds": days, "promotion": [n % 30 == 0 for n in range(len(days))]}),
        "past": pl.DataFrame({"ds": days[:120], "warmth": [float(n % 9) for n in range(120)]}),
    }  # fmt: skip
    (reader.cwd / "history").mkdir()
    history.write_parquet(reader.cwd / "history/all.parquet")
    static.write_parquet(reader.cwd / "static.parquet")


@prepares("docs/how-to/forecast-runs.md")
def _forecast_runs(reader: Reader) -> None:
    _sales(reader)
    history = _history()
    history.write_csv(reader.cwd / "sales.csv")
    days = [TODAY + timedelta(days=n) for n in range(-120, 0)]
    pl.DataFrame({"ds": days, "price": [1.0 - (n % 30 == 0) / 5 for n in range(120)]}).write_parquet(
        reader.cwd / "prices.parquet"
    )
    pl.DataFrame({"unique_id": history["unique_id"].unique(), "kind": "a"}).write_csv(reader.cwd / "items.csv")
    # The rest is the same with fewer models and origins, in a tenth of the time.
    reader.own = {"forecast backtest": "forecast backtest --no-trees", "--origins 3": "--origins 1",
                  "--origins 6": "--horizon 7 --origins 2",
                  "forecast run": "forecast run --no-ablate"}  # fmt: skip


def _sales(reader: Reader) -> None:
    """Ten weeks of what was wanted."""
    draw = np.random.default_rng(1)
    rows = [
        {"sku": sku, "day": day(-back), "quantity": int(draw.poisson(mean)), "region": "DE", "price_minor": 1000}
        for back in range(1, 71)
        for sku, mean in (("MUG-BLUE", 9), ("MUG-RED", 4), ("PLATE", 2))
    ]
    reader.world.shop.call("POST", "/v1/sales/batch", {"sales": rows})


def _shelves(reader: Reader, sku: str, source: str, target: str) -> None:
    """`target` sells what lies in `source`, and what it has runs out."""
    call, draw = reader.world.shop.call, np.random.default_rng(2)
    for code, place in ((source, (45.76, 4.84)), (target, (52.52, 13.4))):
        node = {"name": code, "node_type": "store", "country": "DE", "timezone": "UTC"}
        call("PUT", f"/v1/nodes/{code}", node | {"latitude": place[0], "longitude": place[1]})
    item = {"name": "mug", "category": "kitchen", "unit_cost_minor": 400, "price_minor": 1000, "currency": "EUR"}
    call("PUT", f"/v1/items/{sku}", item | {"weight_g": 400})
    rows = [{"sku": sku, "day": day(-back), "quantity": int(draw.poisson(20)), "node": target} for back in range(1, 57)]
    call("POST", "/v1/sales/batch", {"sales": rows})
    # What another page has forecast knows nothing of this: the last eight weeks speak then.
    with reader.world.app.db.connection() as conn:
        conn.execute("DELETE FROM forecast_run")
    entries = [
        {"kind": "receipt", "sku": sku, "node": node, "quantity": units} for node, units in ((source, 70), (target, 3))
    ]
    call("POST", "/v1/stock/entries", {"entries": entries})


@prepares("docs/how-to/plan-stock.md")
def _plan_stock(reader: Reader) -> None:
    _shelves(reader, "MUG-BLUE", "LYON", "BERLIN")
    reader.own = {'["mon", "thu"]': '["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'}  # on every day that this runs
    reader.before = {"/v1/proposals?": reader.work}
    reader.ids = {
        "019cae2a-...": r'"proposal_id": ?"([0-9a-f-]{36})"', "90b08d30": r"^([0-9a-f]{8}) +purchase ",
        "45e56bba": r"^([0-9a-f]{8}) +safety stock ",
    }  # fmt: skip
    history = _history()
    names = history["unique_id"].unique(maintain_order=True)
    ahead = [TODAY + timedelta(days=n) for n in range(14)]
    by_node = [
        {"sku": "tee", "node": node, "ds": on, "mean": mean, "q0.1": 0.4 * mean, "q0.5": mean, "q0.9": 1.6 * mean}
        for node, mean in (("a", 2.0), ("b", 0.1))
        for on in ahead
    ]
    reader.names |= {
        "history": history, "lead_times": pl.DataFrame({"days": [3, 4, 4, 9]}),
        "lanes": pl.DataFrame({"source": ["mug-lyon"], "target": ["mug-berlin"], "lead_days": [2]}),
        "carrying": pl.DataFrame({"unique_id": names, "carrying_minor": [1] * 4}),
        "by_node": pl.DataFrame(by_node),
        "ways": pl.DataFrame({"source": "b", "target": "a", "lead_days": [2], "cost_minor": 30}),
        "docks": None, "moved_lately": None,
        "stock": pl.DataFrame({"sku": "tee", "node": ["a", "b"], "available": [0, 60], "worth_minor": 900}),
        "items": pl.DataFrame({"sku": ["tee"], "weight_kg": [0.2]}),
    }  # fmt: skip


@prepares("docs/how-to/plan-together.md")
def _plan_together(reader: Reader) -> None:
    place = {"country": "DE", "latitude": 52.5, "longitude": 13.4}
    rates = {"by": "distance_km", "distance_km": [None], "weights_g": [9000], "prices_minor": [[500]]}
    service = {"code": "parcel", "currency": "EUR", "rate_table": rates, "transit_days": {"p50": 1, "p95": 2}}
    node = {"code": "N", "name": "N", "node_type": "store", "timezone": "UTC", "handling_cost_minor": 100}
    reader.names |= {
        "orders": [{"destination": place, "lines": [{"sku": "A", "quantity": 1}]}] * 3,
        "network": {
            "items": [{"sku": "A", "name": "A", "weight_g": 10, "price_minor": 1000, "currency": "EUR"}],
            "nodes": [node | place], "carriers": [{"code": "C", "name": "C", "services": [service]}],
            "stock": [{"sku": "A", "node": "N", "available": 2}],
        },
    }  # fmt: skip
    reader.own = {"time_limit_s=10": "time_limit_s=1"}


@prepares("docs/how-to/files-and-edi.md")
def _files(reader: Reader) -> None:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIJ" + "A" * 42
    reader.own = {"AAAA...": key}


@prepares("docs/how-to/track-shipments.md")
def _track(reader: Reader) -> None:
    shop = reader.world.shop
    (f,) = shop.order("tracked", ("PLATE", 1))["fulfilments"]
    shop.call("POST", f"/v1/fulfilments/{f['fulfilment_id']}/ship", {"carrier": "dhl", "tracking": "JD014600"})
    reader.own = {"2026-03-04T06:10:00Z": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


@prepares("docs/how-to/policies.md")
def _policies(reader: Reader) -> None:
    reader.own = {"http://localhost:8080": reader.world.url}


@prepares("docs/how-to/twin.md")
def _twin(reader: Reader) -> None:
    (reader.cwd / "mine.yaml").write_text("objective: speed\n")
    reader.own = {"--days 28": "--days 2 --orders-per-day 60", "--orders-per-day 5000": "--days 2 --orders-per-day 60"}


@prepares("README.md")
def _readme(reader: Reader) -> None:
    (reader.cwd / "greener.yaml").write_text("objective: sustainability\n")
    reader.world.shop.call("PUT", "/v1/policies/standard", {"objective": "sustainability"})
    _shelves(reader, "TEA-100", "TOUR-LYON", "TOUR-BERLIN")
    lane = {"from": "TOUR-LYON", "to": "TOUR-BERLIN", "days": 1, "unit_cost_minor": 20}
    reader.world.shop.call("POST", "/v1/lanes/batch", {"lanes": [lane]})
    reader.ids = {"PROPOSAL": r"^([0-9a-f]{8}) +transfer "}
    rows = "".join(f"MUG-RED,{day(-back)},{3 + back % 5},DE\n" for back in range(1, 60))
    (reader.cwd / "sales.csv").write_text(f"sku,day,quantity,region\n{rows}")
    reader.own = {"2026-10-01": day(-1), "2026-11-01": day(1),
                  "forecast backtest": "forecast backtest --no-trees --horizon 7 --origins 2",
                  "forecast run": "forecast run --no-ablate --horizon 7"}  # fmt: skip


# Running it -----------------------------------------------------------------------------------------------------------


def _corner_shop() -> Starlette:
    """What `onhand channel new` begins with talks to: a shop that has nothing."""

    async def nothing(request: Request) -> JSONResponse:
        return JSONResponse({request.url.path.rsplit("/", 1)[-1]: []})

    return Starlette(routes=[Route("/api/orders", nothing), Route("/api/items", nothing)])


@pytest.fixture(scope="module")
def world(server_url: str, admin: psycopg.Connection, template: str) -> Iterator[World]:
    name = f"t_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    dsn = at(server_url, name)
    woo, market = WooCommerce(), Market()
    woo.currency = "EUR"
    for sku in ("MUG-BLUE", "MUG-RED"):
        woo.add_product(sku, 5)
    try:
        with ExitStack() as stack:
            app = stack.enter_context(App.open(Settings(database_url=dsn, secret_key=SECRET, allow_private_urls=True)))
            key = ensure_admin_key(app.db, None)
            assert key is not None
            served = [
                stack.enter_context(_serving(asgi))
                for asgi in (create_api(app), woo.app(), market.app(), _corner_shop())
            ]
            headers = {"Authorization": f"Bearer {key}"}
            client = stack.enter_context(httpx2.Client(base_url=served[0], headers=headers, timeout=60))
            yield World(app, dsn, served[0], key, client, open_shop(client), *served[1:])
        assert broken_invariants(dsn) == []
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def reader(world: World, tmp_path: Path) -> Iterator[Reader]:
    programs = Background(tmp_path / "programs.log", 60)
    own = {name: value for name, value in os.environ.items() if not name.startswith("ONHAND_")}
    yield Reader(world, tmp_path, own | {
        "ONHAND_DATABASE_URL": world.dsn, "ONHAND_HOME": str(tmp_path / "home"), "ONHAND_SECRET_KEY": SECRET,
        "ONHAND_ALLOW_PRIVATE_URLS": "true", "ONHAND_URL": world.url, "ONHAND": world.url,
        "KEY": world.key, "ONHAND_KEY": world.key,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "200",
    }, programs)  # fmt: skip
    programs.stop()


OURS = ("request", "row", "file", "shop")
# Their requests and files have tests of their own, which look at what comes of them too.
SEEN_ELSEWHERE = ("docs/how-to/add-a-cost-term.md", "docs/how-to/network-data.md", "docs/how-to/autopilot.md")
RUN = [p for p in pages() if p not in SEEN_ELSEWHERE and any(b.how in OURS for b in blocks_of(p))]


@pytest.mark.skipif(shutil.which("curl") is None, reason="THE PAGES ARE NOT TESTED: there is no curl")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN)
def test_a_page_does_what_it_says(
    page: str, reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PREPARED.get(page, lambda _: None)(reader)
    for block in blocks_of(page):
        if block.how in OURS:
            run_block(reader, monkeypatch, capsys, block)


def test_every_block_is_run_or_said_not_to_be() -> None:
    unknown, used = [], set[tuple[str, str]]()
    for page in pages():
        by, languages = ELSEWHERE.get(page, ("", ()))
        assert not by or Path(page).name in (ROOT / by).read_text("utf-8"), f"{by} does not know {page}"
        for block in blocks_of(page):
            # YAML is linted: test_pages.py.
            if block.how or block.language == "yaml" or (by and block.language in languages):
                continue
            text = " ".join(block.text.split())
            beginning = next((b for b in NOT_RUN.get(page, {}) if text.startswith(b)), None)
            if beginning is None:
                unknown.append(f"{page}: {text[:80]}")
            else:
                used.add((page, beginning))
    assert unknown == [], "run it, or say in NOT_RUN why nobody can"
    assert used == {(page, beginning) for page, told in NOT_RUN.items() for beginning in told}, (
        "it is not there any more"
    )


def test_findings_that_pages_show_are_what_is_found() -> None:
    policy = "rules:\n  - name: a\n    when: order.wieght_g < 5000\n"
    scenario = "name: mine\ndescription: x\ndays: 14\nevents:\n"
    scenario += "  - {kind: node_slow, from_day: 14, days: 2, nodes: 1, share: 1}\n"
    for page, language, file, found in (
        ("policies.md", "", "my-policy.yaml", lint_policy(policy).errors),
        ("scenarios.md", "text", "mine.yaml", parse_scenario(scenario)[1]),
    ):
        (shown,) = [b.text for b in blocks_of(f"docs/how-to/{page}") if (b.how, b.language) == ("", language)]
        assert [f"{file}:{one}" for one in found] == shown.splitlines()
