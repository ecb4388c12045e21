"""The console in the system's Chromium, against a real server with a shop behind it."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.api.console import built
from onhand.app import App
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.run import Runner
from onhand.settings import Settings

from ..api.conftest import _serving  # noqa: TID252
from ..conftest import at, broken_invariants  # noqa: TID252
from ..shop import Shop, open_shop  # noqa: TID252

ROOT = Path(__file__).parents[2]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = Path(os.environ.get("ONHAND_SCREENSHOTS", ROOT / ".cache" / "screenshots"))
# As root there is no sandbox, and nothing of the browser's own is to call home.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_MS = 20_000


def _missing(what: str) -> None:
    """A skip that somebody sees; where everything is to be tested, no skip at all."""
    if os.environ.get("CI"):
        pytest.fail(f"the console is not tested: {what}")
    pytest.skip(f"THE CONSOLE IS NOT TESTED: {what}")


# Not of the session: as long as it runs, its event loop runs in this thread, and nobody else can have one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("ONHAND_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _missing("there is no Chromium: `apt-get install chromium`, or say where it is in ONHAND_CHROMIUM")
    if not built().is_built:
        _missing("it has not been built: `make setup`")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@dataclass(slots=True)
class House:
    """A server, the shop behind it, and its keys."""

    url: str
    key: str
    app: App
    client: httpx2.Client
    shop: Shop

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def work(self) -> None:
        """What a worker does about incidents."""
        begin_runs(self.app.db, now=self.app.state.now())
        Runner(self.app.state).work()


@pytest.fixture(scope="module")
def house(server_url: str, admin: psycopg.Connection, template: str, browser: Browser) -> Iterator[House]:
    name = f"t_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    url = at(server_url, name)
    try:
        with App.open(Settings(database_url=url)) as app:
            key = ensure_admin_key(app.db, None)
            assert key is not None
            with (
                _serving(create_api(app)) as base_url,
                httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
            ):
                yield House(base_url, key, app, client, open_shop(client))
        assert broken_invariants(url) == []
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@dataclass(slots=True)
class Seat:
    """A page that somebody is signed in to, and what went wrong in it."""

    page: Page
    house: House
    trouble: list[str] = field(default_factory=list[str])

    def go(self, path: str) -> Page:
        self.page.goto(self.house.url + path)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Everything has been read that the room shows."""
        self.page.locator("main h1").first.wait_for()
        expect(self.page.locator("main .bones")).to_have_count(0, timeout=WAIT_MS)

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def show(self, path: str, title: str, name: str) -> None:
        """A room, light and dark, large and small: without a violation or a failure, not to be scrolled sideways."""
        page = self.go(path)
        expect(page.locator("main h1")).to_contain_text(title)
        assert page.locator("main [role=alert]").count() == 0
        self.shoot(f"{name}-1440-light")
        assert self.axe() == []
        page.emulate_media(color_scheme="dark")
        assert self.axe() == []
        self.shoot(f"{name}-1440-dark")
        page.set_viewport_size({"width": 390, "height": 844})
        self.shoot(f"{name}-390-dark")
        page.emulate_media(color_scheme="light")
        self.shoot(f"{name}-390-light")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

    def axe(self) -> list[str]:
        """Violations that axe-core finds, each with where it is."""
        if not AXE.is_file():
            _missing("axe-core is not there: `rm -r src/onhand/api/console && make setup`")
        # By the protocol, not as an element: the policy of the page runs nothing else.
        self.page.evaluate(AXE.read_text("utf-8") + "\n; 0")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        return [f"{v['id']}: {n['html'][:160]} ({n['failureSummary'][:200]})" for v in found for n in v["nodes"]]


@pytest.fixture
def sit(browser: Browser, house: House) -> Iterator[Callable[..., Seat]]:
    """`sit(key)`: somebody with that key, the admin's if none is told; None: not signed in."""
    seats: list[Seat] = []

    def sit(key: str | None = house.key, *, locale: str = "en-GB", width: int = 1440) -> Seat:
        context = browser.new_context(viewport={"width": width, "height": 900}, locale=locale, color_scheme="light")
        context.set_default_timeout(WAIT_MS)
        if key is not None:
            context.add_init_script(f"sessionStorage.setItem('onhand.key', {key!r})")
        seat = Seat(context.new_page(), house)
        seats.append(seat)
        page = seat.page
        page.on("console", lambda said: seat.trouble.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seat.trouble.append(str(error)))
        page.on("request", lambda asked: _own(asked.url, seat))
        return seat

    def _own(url: str, seat: Seat) -> None:
        if not url.startswith((house.url, "data:", "blob:")):
            seat.trouble.append(f"a request left the machine: {url}")

    yield sit
    for seat in seats:
        with closing(seat.page.context):
            # What the server refuses, the browser reports by itself: a test that provokes that clears it.
            assert seat.trouble == []
