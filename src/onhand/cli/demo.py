"""`onhand demo`: the whole product on one machine, with a simulated world that uses it."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from onhand.cli.scenarios import chosen_scenario
from onhand.errors import OnhandError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from onhand.cli.demo_children import Child
    from onhand.db import Database
    from onhand.settings import Settings
    from onhand.twin.board import Board
    from onhand.twin.scenarios.document import Scenario
    from onhand.twin.story import Chapter
    from onhand.twin.street import Stall
    from onhand.twin.town import Town
    from onhand.twin.view import Banner

_HOST: Final = "127.0.0.1"
_PICTURES_PER_S: Final = 4
# A channel may be down, and a message lost, when the world stops.
_SETTLE_S: Final = 60.0
_SETTLE_LOOK_S: Final = 1.0
_RECONCILE_AFTER_S: Final = 20.0
_SCOPES: Final = ("read", "stock:write", "orders:write", "config:write")


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the API; only this machine reaches it.")] = 8080,
    speed: Annotated[
        float, typer.Option(min=1, max=10_000, help="Simulated seconds that pass in a second; 60: a minute a second.")
    ] = 60,
    seed: Annotated[
        int | None, typer.Option(help="Which world to make. If absent, that of the database if there is one, else 1.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Let something go wrong: a name of `onhand twin list`, or a file of yours.")
    ] = None,
    for_s: Annotated[
        float | None,
        typer.Option("--for", min=1, metavar="SECONDS", help="End by itself and check everything; exit 1 if amiss."),
    ] = None,
) -> None:
    """See it work: database, API and a simulated merchant on this machine; nothing else is needed.

    Twelve nodes, 500 items, our own shops and five vendors appear, each in a process of its own: a Shopify, a
    WooCommerce, an Amazon, tills and a third party that pass files. Shoppers order, nodes ship, suppliers deliver.
    Ctrl-C ends it cleanly, and the next `onhand demo` goes on where it stopped. Everything is kept under ONHAND_HOME.
    With --scenario something goes wrong, and the tower of the console tells it chapter by chapter.
    """
    from rich.console import Console

    from onhand.settings import Settings

    console = Console(highlight=False, soft_wrap=True)
    settings = Settings.load()
    chosen = None if scenario is None else chosen_scenario(scenario)
    wish = _Wish(port=_claimed(port), speed=speed, seed=seed, for_s=for_s, scenario=chosen)
    try:
        outcome = _run(console, settings, wish)
    except KeyboardInterrupt as interrupt:
        if (failure := _failure_behind(interrupt)) is not None:
            raise failure from None
        console.print("stopped; `onhand demo` goes on from here")
        return
    _say_goodbye(console, settings, outcome)
    if for_s is not None and not outcome.is_clean:
        raise typer.Exit(1)


def _failure_behind(interrupt: KeyboardInterrupt) -> OnhandError | None:
    """The error that was ending the demo already when somebody lost patience: it says more than that it was stopped."""
    behind = interrupt.__context__
    while behind is not None and not isinstance(behind, OnhandError):
        behind = behind.__context__
    return behind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the command line asks for."""

    port: int
    speed: float
    seed: int | None
    for_s: float | None
    scenario: "Scenario | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a run came to. differences: what the closing check found, None when it was not asked for."""

    board: "Board"
    banner: "Banner"
    ready_s: float
    differences: list[str] | None

    @property
    def is_clean(self) -> bool:
        return not (self.board.total("oversold") or self.board.counts["errors"] or self.differences)


def _run(console: "Console", settings: "Settings", wish: _Wish) -> _Outcome:
    began = time.monotonic()
    _interrupt_on_signals()
    with ExitStack() as resources:
        say = resources.enter_context(_progress(console))
        say("starting the database")
        from onhand.base.actor import SYSTEM
        from onhand.db import Database, migrate
        from onhand.db.embedded import located
        from onhand.flows.keys import create_key, ensure_admin_key, revoke_key

        url = resources.enter_context(located(settings.database_url, settings.home))
        migrate(url)
        db = Database.open(url, pool_max=2)
        resources.callback(db.close)
        # Before the server starts, which would print it to its log.
        admin_key = ensure_admin_key(db, settings.admin_key)
        key = create_key(db, name="demo", scopes=_SCOPES, by=SYSTEM)
        assert key.key is not None, "a new key has its text"
        resources.callback(lambda: revoke_key(db, key.key_id, by=SYSTEM))

        # Likewise: once it answers, others may call it before the world is founded.
        stranger = _stranger(db)

        say("starting the API")
        from onhand.cli.demo_children import fake, onhand, usual_port
        from onhand.twin.board import Board
        from onhand.twin.storefronts import ALL
        from onhand.twin.street import Stall

        stalls = [Stall(front, usual_port(settings, front.code, _is_free) or _claimed(0)) for front in ALL]
        fakes = resources.enter_context(ExitStack())  # they end after the server, which speaks with them
        with onhand(settings, url, "serve", "--host", _HOST, "--port", str(wish.port)) as server:
            # The page is there as soon as it can be: six more processes that start beside the server would delay it.
            server.wait_until_ready(f"http://{_HOST}:{wish.port}/readyz", say)
            page_s = time.monotonic() - began
            vendors = [
                fakes.enter_context(fake(settings, stall.front.code, stall.port, speed=wish.speed, seed=wish.seed or 1))
                for stall in stalls
            ]
            with onhand(settings, url, "worker") as worker:
                stage = _Stage(
                    console=console, settings=settings, wish=wish, db=db, stranger=stranger, stalls=stalls,
                    vendors=vendors, children=(server, worker, *vendors), board=Board(), key=key.key,
                    admin_key=admin_key, say=say, began=began,
                    page_s=page_s,
                )  # fmt: skip
                try:
                    banner, differences = asyncio.run(_live(stage))
                finally:
                    _interrupt_on_signals()  # the event loop had handlers of its own
        if differences is not None:
            differences += _verify(db, say)
        board = stage.board
        return _Outcome(board=board, banner=banner, ready_s=board.began - began, differences=differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a run has at hand once everything has been started."""

    console: "Console"
    settings: "Settings"
    wish: _Wish
    db: "Database"
    stranger: str | None
    stalls: "Sequence[Stall]"
    vendors: "Sequence[Child]"
    children: "Sequence[Child]"
    board: "Board"
    key: str
    admin_key: str | None
    say: "_Say"
    began: float
    page_s: float


def _interrupt_on_signals() -> None:
    """Whatever asks us to end does so as ctrl-C does: what was started is stopped."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


async def _live(stage: _Stage) -> "tuple[Banner, list[str] | None]":
    """Found the world and let it live until ctrl-C, or for the time wished; then what is amiss, if that was asked."""
    from onhand.twin.client import Client
    from onhand.twin.founding import found
    from onhand.twin.town import Town
    from onhand.twin.view import Banner

    wish, board = stage.wish, stage.board
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    url = f"http://{_HOST}:{wish.port}"
    async with Client(url, stage.key, board.heard) as client:
        stage.say("founding the world")
        founded = await found(client, wish.seed, stranger=stage.stranger)
        for vendor, stall in zip(stage.vendors, stage.stalls, strict=True):
            await asyncio.to_thread(vendor.wait_until_ready, f"{stall.url}/_fake/weather")
        banner = Banner(
            url=url,
            home=str(stage.settings.home),
            seed=founded.world.seed,
            run=founded.run,
            speed=wish.speed,
            admin_key=stage.admin_key,
        )
        async with Town(
            founded, client, board, speed=wish.speed, stalls=stage.stalls, scenario=wish.scenario,
            told=partial(_tell, stage),
        ) as town:  # fmt: skip
            await town.street.found(url, partial(_sync, stage), speed=wish.speed)
            await town.street.stock()
            stage.say(None)
            board.began = time.monotonic()
            if not stage.console.is_terminal:
                live_s = board.began - stage.began
                stage.console.print(f"the page is live after {stage.page_s:.1f} s, its world after {live_s:.1f} s")
            if wish.for_s is not None:
                loop.call_later(wish.for_s, stop.set)
            with _screen(stage.console, banner, board) as draw:
                found_amiss: list[str] = []
                after = None if wish.for_s is None else partial(_settle, stage, town, found_amiss)
                living = asyncio.create_task(town.live(stop, after))
                while not living.done():
                    draw()
                    for child in stage.children:
                        child.check()
                    await asyncio.wait([living], timeout=1 / _PICTURES_PER_S)
                await living
            stage.say("finishing")
            await town.close()
    return banner, None if wish.for_s is None else found_amiss


def _tell(stage: _Stage, number: int, chapter: "Chapter") -> None:
    """A chapter begins."""
    stage.board.event("story", f"{number + 1}: {chapter.title}")
    if not stage.console.is_terminal:
        stage.console.print(f"chapter {number + 1}, day {chapter.from_day:g}: {chapter.title}", markup=False)
        stage.console.print(f"  {chapter.text}", markup=False)


async def _sync(stage: _Stage, code: str) -> None:
    """As `onhand channel sync` does. Raises Unavailable, Refused."""
    from onhand.base.actor import Actor
    from onhand.cli.demo_children import files
    from onhand.flows.accounts import Accounts, Connectors
    from onhand.flows.sync_listings import sync_listings

    connectors = Connectors(stage.settings.home, secret_key=stage.settings.secret_key, files_root=files(stage.settings))
    # Of this moment: an account is as its channel was when it was first asked for.
    async with Accounts(stage.db, connectors, allow_private_urls=True) as accounts:
        await sync_listings(stage.db, await accounts.get(code), by=Actor(reason="onhand demo"))


async def _settle(stage: _Stage, town: "Town", amiss: list[str]) -> None:
    """Once nobody buys any more, the channels and we are given some time to agree. amiss: gets what we do not."""
    from onhand.channels.inbound.store import read_now
    from onhand.channels.publication.store import told

    stage.board.end()
    if stage.console.is_terminal:
        stage.board.event("demo", "the shops have closed: hearing what was sold last, and telling the channels")
    else:
        stage.say("hearing what was sold last, and telling the channels")

    def hasten() -> None:
        with stage.db.connection() as conn:
            read_now(conn)

    def ours() -> dict[str, dict[str, tuple[int, ...]]]:
        with stage.db.connection() as conn:
            return {stall.front.code: told(conn, stall.front.code) for stall in stage.stalls if stall.front.lists}

    await asyncio.to_thread(hasten)
    began = time.monotonic()
    give_up_at, reconcile_at = began + _SETTLE_S, began + _RECONCILE_AFTER_S
    while True:
        await asyncio.sleep(_SETTLE_LOOK_S)
        reconciles = time.monotonic() > reconcile_at
        if reconciles:
            reconcile_at += _RECONCILE_AFTER_S
        amiss[:] = await town.differences(await asyncio.to_thread(ours), reconciles=reconciles)
        if not amiss or time.monotonic() > give_up_at:
            return


def _stranger(db: "Database") -> str | None:
    """Code of something that the database holds, None if it is empty."""
    import onhand.catalog.store as catalog_store
    import onhand.channels.store as channel_store
    import onhand.network.store as network_store

    with db.connection() as conn:
        held = [row.code for row in network_store.list_nodes(conn, limit=1)]
        held += [row.sku for row in catalog_store.list_items(conn, limit=1)]
        held += [row.code for row in channel_store.list_channels(conn, limit=1)]
    return next(iter(held), None)


def _verify(db: "Database", say: "_Say") -> list[str]:
    """What `onhand db verify` would print."""
    from onhand.ledger.verify import verify

    say("checking every counter against the ledger")
    with db.connection() as conn:
        return [difference.message for difference in verify(conn)]


def _say_goodbye(console: "Console", settings: "Settings", outcome: _Outcome) -> None:
    from onhand.twin.storefronts import TARGET
    from onhand.twin.view import channel_line

    board, counts = outcome.board, outcome.board.counts
    oversold = board.total("oversold")
    console.print(
        f"[bold]{counts['orders']:,} orders[/] in {board.seconds:,.0f} s"
        f" ({counts['lines']:,} lines, {counts['units']:,} units; warm after {outcome.ready_s:.1f} s)"
    )
    console.print(
        f"  sourced {counts['sourced']:,}, split {board.split_share:.1%}, backordered {counts['backordered']:,},"
        f" unfillable {counts['unfillable']:,}, cancelled {counts['cancelled']:,}"
    )
    console.print(
        f"  shipped {counts['shipped']:,}, delivered {counts['delivered']:,}, returned {counts['returned']:,};"
        f" on hand {board.total('on_hand'):,}, available {board.total('available'):,}"
    )
    style = "bold red" if oversold else "bold green"
    console.print(f"  [{style}]oversold {oversold}[/]")
    for code, channel in board.lines.items():
        console.print(f"  {channel_line(code, channel)}, target {TARGET:.1%}", markup=False)
    if outcome.differences is not None:
        clean = "[green]clean[/]" if not outcome.differences else f"[red]{len(outcome.differences)} differences[/]"
        console.print(f"  verify: {clean}")
        for message in outcome.differences[:10]:
            console.print(f"    {message}", markup=False)
    for problem in list(board.problems)[-5:]:
        console.print(f"  problem: {problem}", markup=False)
    if outcome.banner.admin_key is not None:
        console.print(f"  admin key, shown once: [bold yellow]{outcome.banner.admin_key}[/]")
    again = "onhand demo" if "ONHAND_HOME" not in os.environ else f"ONHAND_HOME={settings.home} onhand demo"
    console.print(f"[bold]{again}[/] goes on where this one stopped; `onhand serve` serves what it left")


# The screen -----------------------------------------------------------------------------------------

_Say = Callable[[str | None], None]


@contextmanager
def _progress(console: "Console") -> Generator[_Say]:
    """Tells what is being done: one changing line on a terminal, else a line each. None: nothing now."""
    if not console.is_terminal:
        yield lambda text: None if text is None else console.print(f"{text} ...")
        return
    status = console.status("")

    def say(text: str | None) -> None:
        if text is None:
            status.stop()
        else:
            status.update(f"{text} ...")
            status.start()

    try:
        yield say
    finally:
        status.stop()


@contextmanager
def _screen(console: "Console", banner: "Banner", board: "Board") -> Generator[Callable[[], None]]:
    """Yields what draws the next picture; without a terminal it prints a line a second."""
    from onhand.twin.view import line, render

    if not console.is_terminal:
        console.print(f"{banner.url} (run {banner.run}, seed {banner.seed}, {banner.speed:g}x, home {banner.home})")
        if banner.admin_key is not None:
            console.print(f"admin key, shown once: {banner.admin_key}")
        last = time.monotonic()

        def log() -> None:
            nonlocal last
            if time.monotonic() - last >= 1:
                last += 1
                console.print(line(board), markup=False)

        yield log
        return
    from rich.live import Live

    with Live(console=console, screen=True, auto_refresh=False) as live:

        def draw() -> None:
            width, height = console.size
            live.update(render(board, banner, width=width, height=height), refresh=True)

        yield draw


def _is_free(port: int) -> bool:
    try:
        return bool(_claimed(port))
    except SettingsError:
        return False


def _claimed(port: int) -> int:
    """A port that is free now; `port` itself unless it is 0. Raises SettingsError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise SettingsError(f"--port: {port} cannot be used ({error.strerror}); choose another, or 0") from None
        return int(probe.getsockname()[1])
