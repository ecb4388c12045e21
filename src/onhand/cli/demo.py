"""`onhand demo`: the whole product on one machine, with a simulated world that uses it."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from onhand.errors import DatabaseUnavailable, OnhandError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from onhand.db import Database
    from onhand.settings import Settings
    from onhand.twin.board import Board
    from onhand.twin.view import Banner

_HOST: Final = "127.0.0.1"
_ONHAND: Final = "from onhand.cli import main; main()"
_READY_TIMEOUT_S: Final = 180.0
_USUAL_START_S: Final = 6.0
_STOP_TIMEOUT_S: Final = 30.0
_PICTURES_PER_S: Final = 4
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
    for_s: Annotated[
        float | None,
        typer.Option("--for", min=1, metavar="SECONDS", help="End by itself and check everything; exit 1 if amiss."),
    ] = None,
) -> None:
    """See it work: database, API and a simulated merchant on this machine; nothing else is needed.

    Twelve nodes, 500 items and three channels appear; shoppers order, nodes ship, suppliers deliver. Ctrl-C ends it
    cleanly, and the next `onhand demo` goes on where it stopped. Everything is kept under ONHAND_HOME.
    """
    from rich.console import Console

    from onhand.settings import Settings

    console = Console(highlight=False, soft_wrap=True)
    settings = Settings.load()
    wish = _Wish(port=_claimed(port), speed=speed, seed=seed, for_s=for_s)
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
        with _Child(settings, url, "serve", "--host", _HOST, "--port", str(wish.port)) as server:
            from onhand.twin.board import Board

            server.wait_until_ready(wish.port, say)
            board = Board()
            with _Child(settings, url, "worker") as worker:
                children = (server, worker)
                try:
                    banner = asyncio.run(
                        _live(console, settings, wish, stranger, children, board, key.key, admin_key, say)
                    )
                finally:
                    _interrupt_on_signals()  # the event loop had handlers of its own
        differences = _verify(db, say) if wish.for_s is not None else None
        return _Outcome(board=board, banner=banner, ready_s=board.began - began, differences=differences)


def _interrupt_on_signals() -> None:
    """Whatever asks us to end does so as ctrl-C does: what was started is stopped."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


async def _live(
    console: "Console",
    settings: "Settings",
    wish: _Wish,
    stranger: str | None,
    children: Sequence["_Child"],
    board: "Board",
    key: str,
    admin_key: str | None,
    say: "_Say",
) -> "Banner":
    """Found the world and let it live until ctrl-C, or for the time wished."""
    from onhand.twin.client import Client
    from onhand.twin.founding import found
    from onhand.twin.town import Town
    from onhand.twin.view import Banner

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    url = f"http://{_HOST}:{wish.port}"
    async with Client(url, key, board.heard) as client:
        say("founding the world")
        founded = await found(client, wish.seed, stranger=stranger)
        banner = Banner(
            url=url,
            home=str(settings.home),
            seed=founded.world.seed,
            run=founded.run,
            speed=wish.speed,
            admin_key=admin_key,
        )
        town = Town(founded, client, board, speed=wish.speed)
        say(None)
        board.began = time.monotonic()
        if wish.for_s is not None:
            loop.call_later(wish.for_s, stop.set)
        with _screen(console, banner, board) as draw:
            living = asyncio.create_task(town.live(stop))
            while not living.done():
                draw()
                for child in children:
                    child.check()
                await asyncio.wait([living], timeout=1 / _PICTURES_PER_S)
            await living
        say("finishing")
        await town.close()
    return banner


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


# The server -----------------------------------------------------------------------------------------


def _claimed(port: int) -> int:
    """A port that is free now; `port` itself unless it is 0. Raises SettingsError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise SettingsError(f"--port: {port} cannot be used ({error.strerror}); choose another, or 0") from None
        return int(probe.getsockname()[1])


class _Child:
    """Another `onhand` command as a process of its own: it does not wait for our pictures."""

    def __init__(self, settings: "Settings", database_url: str, command: str, *options: str) -> None:
        self._command = command
        self._log = Path(settings.home) / f"demo-{command}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-c", _ONHAND, command, *options],
                env=os.environ
                | {
                    "ONHAND_DATABASE_URL": database_url,
                    "ONHAND_HOME": str(settings.home),
                    "ONHAND_LOG_LEVEL": "warning",
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # ctrl-C is for us: we stop it when the world has stopped
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Drain it: what is under way is finished."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Raises DatabaseUnavailable, with the end of its log, if it has ended by itself."""
        if self._process.poll() is not None:
            tail = self._log.read_text("utf-8", errors="replace")[-1500:].strip() or "it said nothing"
            raise DatabaseUnavailable(f"`onhand {self._command}` ended with {self._process.returncode}: {tail}")

    def wait_until_ready(self, port: int, say: "_Say") -> None:
        """Until it answers as ready. Raises DatabaseUnavailable when it does not come up."""
        began = time.monotonic()
        is_told = False
        while (waited_s := time.monotonic() - began) < _READY_TIMEOUT_S:
            self.check()
            if waited_s > _USUAL_START_S and not is_told:
                say("starting the API; the first start on a machine compiles the solver, which takes a while")
                is_told = True
            connection = http.client.HTTPConnection(_HOST, port, timeout=5)
            with suppress(OSError):  # it does not listen yet
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            connection.close()
            time.sleep(0.02)
        raise DatabaseUnavailable(f"the API is not ready after {_READY_TIMEOUT_S:.0f} s; see {self._log}")
