"""The street on a real database: what vendors sold and show is compared with what we have; and it comes to agree."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.connectors.running import serving

from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.app import App
from onhand.base.actor import SYSTEM
from onhand.channels.inbound.store import read_now
from onhand.channels.publication.store import told
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.sync_listings import sync_listings
from onhand.settings import Settings
from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.clock import Clock
from onhand.twin.fakes.directory import stand
from onhand.twin.fakes.weather import Sky
from onhand.twin.founding import found
from onhand.twin.storefronts import ALL, FRONTS, own
from onhand.twin.street import Stall, Street
from onhand.twin.world import build

GIVE_UP_S = 60
TO = {"country": "DE", "postal_code": "10115", "city": "Berlin", "name": "Ada Byron", "email": "ada@example.org"}
# No message ever comes: whatever we hear of, we have read.
MUTE = [replace(front, sky=Sky(message_delay_s=(0.1, 0.1), lost=1.0)) for front in FRONTS if front.code != "amazon"]


@pytest.fixture
def app(dsn: str, tmp_path: Path) -> Iterator[App]:
    settings = Settings(database_url=dsn, home=tmp_path, allow_private_urls=True, files_root=tmp_path)
    with App.open(settings) as made:
        yield made


@contextmanager
def working(app: App) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=app.run_worker, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@asynccontextmanager
async def street(app: App, url: str, stalls: list[Stall], tmp_path: Path) -> AsyncIterator[Street]:
    async def sync(code: str) -> None:
        async with Accounts(app.db, Connectors(tmp_path), allow_private_urls=True) as accounts:
            await sync_listings(app.db, await accounts.get(code), by=SYSTEM)

    key = ensure_admin_key(app.db, None)
    assert key is not None
    async with Client(url, key, lambda *_: None) as client:
        founded = await found(client, 1, stranger=None)
        async with Street(stalls, founded.world, client, Clock(60, 0.0), Board(), founded.run) as made:
            await made.found(url, sync, speed=60)
            yield made


@contextmanager
def standing(app: App) -> Iterator[tuple[str, list[Stall]]]:
    """Our server, and the mute fronts."""
    with serving(create_api(app)) as url, serving(stand("shopify")) as one, serving(stand("woocommerce")) as two:
        ports = [int(found.rpartition(":")[2]) for found in (one, two)]
        yield url, [Stall(front, port) for front, port in zip(MUTE, ports, strict=True)]


def buy(stall: Stall, **units: int) -> str:
    body = {"lines": units, "to": TO}
    answer = httpx2.post(f"{stall.url}/_fake/checkout", json=body, trust_env=False)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ours(app: App, stalls: list[Stall]) -> dict[str, Any]:
    with app.db.connection() as conn:
        return {stall.front.code: told(conn, stall.front.code) for stall in stalls}


def test_vendors_and_we_come_to_agree_though_no_message_comes(app, tmp_path) -> None:
    sku = build(1).skus[0]

    async def agreed(made: Street, stalls: list[Stall]) -> None:
        give_up_at = time.monotonic() + GIVE_UP_S
        while True:
            differing = await made.differing(await asyncio.to_thread(ours, app, stalls))
            missing = await made.missing()
            if not any(differing.values()) and not any(missing.values()):
                return
            assert time.monotonic() < give_up_at, (missing, {code: rows[:3] for code, rows in differing.items()})
            await asyncio.sleep(0.05)

    async def scenario(url: str, stalls: list[Stall]) -> None:
        async with street(app, url, stalls, tmp_path) as made:
            told_nothing = await made.differing({stall.front.code: {sku: (5,)} for stall in stalls})
            assert told_nothing == {stall.front.code: [f"{sku} shows 0, not 5"] for stall in stalls}
            with working(app):
                await agreed(made, stalls)
                bought = {stall.front.code: [await asyncio.to_thread(buy, stall, **{sku: 2})] for stall in stalls}
                assert await made.missing() == bought, "nobody has told us"
                with app.db.connection() as conn:
                    read_now(conn)
                await agreed(made, stalls)
            assert await made.missing() == {stall.front.code: [] for stall in stalls}
            shown = await made.differing({stall.front.code: {sku: (-2,)} for stall in stalls})
            assert all(rows for rows in shown.values())

    with standing(app) as (url, stalls):
        asyncio.run(scenario(url, stalls))
    with app.db.connection() as conn:
        rows = conn.execute(
            "SELECT count(*), sum(l.quantity) FROM orders o JOIN order_line l USING (order_id)"
        ).fetchall()
    assert rows == [(2, 4)]


def test_shares_make_a_whole() -> None:
    world = own(build(1))
    assert sum(s.share for s in world.shops) + sum(f.shop.share for f in ALL) == pytest.approx(1)
    assert len({front.code for front in ALL}) == len(ALL)
    sites = {site.code for site in world.sites}
    assert all(set(front.shop.nodes) <= sites for front in ALL)


def test_where_a_fake_is_goes_into_its_settings() -> None:
    amazon = next(front for front in FRONTS if front.connector == "amazon").channel("http://here:1", speed=10)
    assert amazon["settings"]["queue_url"].startswith("http://here:1/")
    assert amazon["settings"]["overrides"]["plans"]["getOrder"]["rate_per_s"] == 5
