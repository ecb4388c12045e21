"""The console in Chromium, against the real server: how soon it is there, how smoothly it scrolls, and what it costs.

    python benchmarks/console.py [--items 20000] [--nodes 50] [--streams 200] [--seconds 3] [--rounds 12] [--json]

Makes an embedded PostgreSQL with durable commits in a temporary folder, a merchant with stock of every item at every
node, and 2,000 orders. Then: the tower, opened warm (its files are in the browser's cache); the grid of stock under a
mouse wheel; and orders placed with no console open and with 200, turn by turn, each once the server rests: a single
turn is worth little, what a machine does beside them moves it by a third. Exits with 1 if a floor is missed.
"""

import argparse
import asyncio
import gzip
import math
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import psycopg
from playwright.sync_api import Browser, Page, sync_playwright
from psycopg import sql
from psycopg.conninfo import make_conninfo
from rich.console import Console

from onhand.api.console import built
from onhand.bench.errors import BenchError
from onhand.bench.report import Measure, at_least, at_most, machine, median, relative, to_json, to_table
from onhand.bench.under_test import ApiProcess, cpu_s, serving
from onhand.bench.world import World, fill_positions
from onhand.db.embedded import Server
from onhand.db.migrate import migrate

PAINT_S, INTERACTIVE_S, FRAMES_PER_S, SHARE, APP_BYTES = 0.5, 1.5, 50.0, 0.9, 150_000
OPENED = 5
ROOMS = (
    "", "stock", "orders", "policies", "channels", "demand", "planning", "incidents", "campaigns", "settings",
)  # fmt: skip
WHEEL_PX, WHEEL_S = 240, 8.0
CONNECTIONS, ORDERS_PER_S_MAX = 64, 15_000
# It rests when so small a share of a processor is at work.
RESTS, LOOK_S, RESTED_WITHIN_S = 0.1, 0.5, 120.0
# What two rooms follow, as the console asks for it: the tower, and the list of orders.
KINDS = ("incident.*,network.changed", "fulfilment.*,order.*")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
# Not loaded before somebody needs them.
LAZY = ("echarts-", "NetworkMap-")

# Runs before the page: when it was painted first, which tasks were long, and when a room's title was there.
WATCH = """
window.seen = {paint: null, long: [], title: null};
new PerformanceObserver(list => { for (const e of list.getEntries())
    if (e.name === 'first-contentful-paint') seen.paint = e.startTime; }).observe({type: 'paint', buffered: true});
new PerformanceObserver(list => { for (const e of list.getEntries())
    seen.long.push([e.startTime, e.duration]); }).observe({type: 'longtask', buffered: true});
new MutationObserver((_, watch) => { if (document.querySelector('main h1')) {
    seen.title = performance.now(); watch.disconnect(); } }).observe(document, {childList: true, subtree: true});
"""
FRAMES = """
() => { window.frames_ms = []; let last = null;
  const step = now => {
    if (last !== null) frames_ms.push(now - last);
    last = now;
    window.frame = requestAnimationFrame(step); };
  window.frame = requestAnimationFrame(step); }
"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--streams", type=int, default=200, help="consoles that are open")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run of orders")
    parser.add_argument("--rounds", type=int, default=12, help="of orders without and with consoles")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    chromium = os.environ.get("ONHAND_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        say("there is no Chromium: `apt-get install chromium`, or say where it is in ONHAND_CHROMIUM")
        return 2
    if not built().is_built:
        say("the console has not been built: `make console`")
        return 2
    with tempfile.TemporaryDirectory(prefix="onhand-console-") as folder, Server.ensure(Path(folder)) as server:
        facts = machine(server.url)
        url = _fresh(server)
        with serving(url, Path(folder)) as api:
            say(f"setting up {given.items} items and {given.nodes} nodes")
            World.build(api, given.items, given.nodes)
        say(f"stock at {fill_positions(url)} positions")
        with serving(url, Path(folder)) as api:
            world = World(api, given.items, given.nodes)
            world.send(world.batch_requests(8, 250), seconds=60, connections=4)
            measures = [*_page(chromium, api), *_consoles(world, given.streams, given.seconds, given.rounds)]
    if given.json:
        print(to_json(facts, measures))
    else:
        Console().print(to_table(facts, measures))
    return 0 if all(measure.ok for measure in measures if measure.floor) else 1


def _fresh(server: Server) -> str:
    name = "onhand_console"
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(server.url, dbname=name)
    migrate(url)
    return url


# In the browser ----------------------------------------------------------------------------------------------------


def _page(chromium: str, api: ApiProcess) -> list[Measure]:
    with sync_playwright() as playwright, _open(playwright.chromium.launch(executable_path=chromium, args=FLAGS)) as it:
        context = it.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(f"sessionStorage.setItem('onhand.key', {api.key!r})")
        context.add_init_script(WATCH)
        page = context.new_page()
        base = f"http://127.0.0.1:{api.port}"
        thread: Any = context.new_cdp_session(page)
        # Processor time of the page's own thread: what it needs does not depend on who else works on the machine.
        thread.send("Performance.enable", {"timeDomain": "threadTicks"})
        paints, ready = zip(*(_opened(page, base) for _ in range(OPENED + 1)), strict=True)
        frames, busy_ms = _scrolled(page, base, lambda: _busy_s(thread))
        code = _app_bytes(page, base)
    return [
        # The first time nothing is in the browser's cache.
        at_most("tower, first contentful paint, warm", median(paints[1:]), "s", PAINT_S),
        at_most("tower, interactive, warm", median(ready[1:]), "s", INTERACTIVE_S),
        at_most("tower, interactive, cold", ready[0], "s", INTERACTIVE_S, floor=0),
        at_least("stock grid, scrolling", 1000 / median(frames), "frames/s", FRAMES_PER_S),
        at_most(
            "stock grid, frame at p95", sorted(frames)[int(0.95 * len(frames))], "ms", 1000 / FRAMES_PER_S, floor=0
        ),
        at_most("stock grid, processor time a frame", busy_ms, "ms", 1000 / FRAMES_PER_S, floor=0),
        at_most("app code of the largest room, gzip", max(code.values()), "bytes", APP_BYTES),
    ]


@contextmanager
def _open(browser: Browser) -> Generator[Browser]:
    try:
        yield browser
    finally:
        browser.close()


def _opened(page: Page, base: str) -> tuple[float, float]:
    """(first contentful paint, interactive) of the tower, in seconds: its title is there, and no long task runs."""
    say("opening the tower")
    page.goto(f"{base}/")
    page.locator("main h1").first.wait_for()
    # All of it has been read, and what is drawn of that may be a long task too.
    page.locator("main .bones").first.wait_for(state="detached")
    seen = page.evaluate("seen")
    at = seen["title"]
    for start, took in sorted(seen["long"]):
        if start <= at:
            at = max(at, start + took)
    return seen["paint"] / 1000, at / 1000


def _busy_s(thread: Any) -> float:
    """Processor seconds of the page's thread so far; `thread` is a CDPSession, whose answers have no types."""
    metrics = thread.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def _scrolled(page: Page, base: str, busy_s: Callable[[], float]) -> tuple[list[float], float]:
    """Milliseconds between frames while the wheel turns over the grid of stock, and of the thread's work a frame."""
    say("scrolling the grid")
    page.goto(f"{base}/stock?measure=on_hand")
    page.locator(".grid [role=rowheader] a").first.wait_for()
    box = page.locator(".grid").bounding_box()
    assert box is not None, "it is on the page"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.evaluate(FRAMES)
    before = busy_s()
    until = time.monotonic() + WHEEL_S
    while time.monotonic() < until:
        page.mouse.wheel(0, WHEEL_PX)
    page.evaluate("cancelAnimationFrame(frame)")
    frames: list[float] = page.evaluate("frames_ms")
    busy_ms = 1000 * (busy_s() - before) / len(frames)
    where = page.evaluate("document.querySelector('.grid').scrollTop")
    page.wait_for_timeout(1000)
    if where < 10 * WHEEL_PX:
        raise BenchError(f"the grid moved by {where} pixels only")
    if page.locator(".grid [role=rowheader] a").count() == 0:
        raise BenchError("nothing is shown where the grid was scrolled to")
    if page.locator(".grid [role=row]").count() > 100:
        raise BenchError("the grid draws more rows than can be seen")
    return frames, busy_ms


def _app_bytes(page: Page, base: str) -> dict[str, int]:
    """Of the code that a browser loads to show each room, without charts and map, as `gzip -9` leaves it."""
    size = {
        path.name: len(gzip.compress(path.read_bytes(), 9))
        for path in (files("onhand.api") / "console" / "assets").iterdir()
        if path.name.endswith(".js") and not path.name.startswith(LAZY)
    }
    found: dict[str, int] = {}
    for room in ROOMS:
        page.goto(f"{base}/{room}")
        page.locator("main h1").first.wait_for()
        loaded: list[str] = page.evaluate("performance.getEntriesByType('resource').map(e => e.name.split('/').pop())")
        found[room] = sum(size.get(name, 0) for name in set(loaded))
    return found


# Orders beside consoles --------------------------------------------------------------------------------------------


def _consoles(world: World, streams: int, seconds: float, rounds: int) -> list[Measure]:
    runs: dict[bool, list[Run]] = {False: [], True: []}
    heard = 0
    _orders(world, 1.0)
    for number in range(1, rounds + 1):
        say(f"orders without and with {streams} consoles: round {number} of {rounds}")
        # Who is first in a round takes turns too.
        for is_open in (False, True) if number % 2 else (True, False):
            with Consoles(world.api, streams if is_open else 0) as open_:
                _rest(world.api)
                runs[is_open].append(_orders(world, seconds))
                heard += open_.heard
    if not heard:
        raise BenchError("no console heard of any order")
    (with_, dear), (without, cheap) = (
        (mean(of) for of in zip(*runs[is_open], strict=True)) for is_open in (True, False)
    )
    ratios = [beside[0] / alone[0] for beside, alone in zip(runs[True], runs[False], strict=True)]
    error = stdev(ratios) / math.sqrt(rounds) if rounds > 1 else math.nan
    say(f"orders with consoles to orders without, round by round: {mean(ratios):.3f} +- {error:.3f} (standard error)")
    return [
        relative(
            f"orders with {streams} consoles open", with_, "orders/s", without, floor=SHARE, against="none open"
        ),
        # Beside other work rates go up and down; what an order costs does not.
        relative(
            "the same, orders a second of the server's processor time", 1 / dear, "orders/s", 1 / cheap, floor=0,
            against="none open",
        ),
    ]  # fmt: skip


def _rest(api: ApiProcess) -> None:
    """Wait until the server has followed the orders of the run before: costs and demand are worked out behind them, and
    what one run leaves undone would slow the next. Raises BenchError."""
    until = time.monotonic() + RESTED_WITHIN_S
    while time.monotonic() < until:
        before = cpu_s(api.pid)
        time.sleep(LOOK_S)
        if cpu_s(api.pid) - before < RESTS * LOOK_S:
            return
    raise BenchError(f"the server was still at work {RESTED_WITHIN_S:g} s after the orders")


Run = tuple[float, float]
"""(orders a second, processor seconds of the server an order)"""


def _orders(world: World, seconds: float) -> Run:
    requests = world.order_requests(int(seconds * ORDERS_PER_S_MAX))
    before = cpu_s(world.api.pid)
    outcome = world.send(requests, seconds=seconds, connections=CONNECTIONS)
    return outcome.rate_per_s, (cpu_s(world.api.pid) - before) / outcome.ok


class Consoles:
    """So many open streams of events, as consoles hold them, read in a thread of their own."""

    def __init__(self, api: ApiProcess, count: int) -> None:
        self._api = api
        self._count = count
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._hold(),), daemon=True)
        self.heard = 0

    def __enter__(self) -> "Consoles":
        self._thread.start()
        if not self._ready.wait(60):
            raise BenchError(f"{self._count} streams were not open after a minute")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _hold(self) -> None:
        self._stop = asyncio.Event()
        opened = await asyncio.gather(*(self._connect(path) for path in self._paths()))
        reading = [asyncio.create_task(self._read(reader)) for reader, _ in opened]
        self._ready.set()
        await self._stop.wait()
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for _, writer in opened:
            writer.close()

    def _paths(self) -> Iterator[str]:
        for number in range(self._count):
            yield f"/v1/events?gathered=true&kinds={KINDS[number % len(KINDS)]}"

    async def _connect(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._api.port)
        writer.write(self._api.request("GET", path))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise BenchError(f"a stream was refused: {head[:200]!r}")
        return reader, writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while some := await reader.read(65536):
            self.heard += some.count(b"event: gathered")


if __name__ == "__main__":
    sys.exit(main())
