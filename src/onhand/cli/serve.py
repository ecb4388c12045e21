"""`onhand serve` and `onhand worker`: the two long-running programs."""

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from onhand.errors import SettingsError
from onhand.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

out = Console(soft_wrap=True, highlight=False)

_WORKERS_MAX = 64
_APART = "_ONHAND_WORKER_APART"
# Requests under way are finished; a client that does not take its answer is not waited for longer.
_GRACE_S = 10


def register(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(worker)


class _Stopped(BaseException):
    """Somebody asked this program to end. No Exception, so that nothing takes it for a failure."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: ONHAND_HOST, 127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on (default: ONHAND_PORT, 8080; 0: any).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=_WORKERS_MAX, help="Server processes.")] = 1,
    *,
    worker_apart: Annotated[
        bool, typer.Option("--worker-apart", help="Leave the work in the background to `onhand worker`.")
    ] = False,
) -> None:
    """Serve the HTTP interface and the console until ctrl-C, and do the work in the background as `onhand worker` does.

    Prints the first admin key once, when there is none yet.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from onhand.cli import logs
    from onhand.db.embedded import located

    settings = Settings.load()
    logs.set_up(settings.log_level)
    # Server processes are started afresh: they learn it from the environment.
    os.environ[_APART] = "1" if worker_apart else ""
    listener = _bind(host or settings.host, settings.port if port is None else port)
    with listener, _until_stopped(), located(settings.database_url, settings.home) as url:
        _show_first_key(url, settings)
        address, bound_port = listener.getsockname()[:2]
        place = f"http://{f'[{address}]' if ':' in address else address}:{bound_port}"
        out.print(f"onhand listens on {place} (console; for programs: {place}/docs); ctrl-C ends it")
        config = uvicorn.Config(
            "onhand.cli.serve:application",
            factory=True,
            workers=workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        if workers == 1:
            uvicorn.Server(config).run([listener])
        else:
            with _shared_metrics():
                Multiprocess(config, [listener]).run()


@contextmanager
def _loading() -> Generator[None]:
    """Load without the garbage collector: next to nothing of what is imported is garbage, and to find that out again
    and again takes a sixth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def application() -> "ASGIApp":
    """What a server process serves, from its settings."""
    with _loading():
        from onhand.api.app import create_api
        from onhand.app import App
        from onhand.cli import logs
        from onhand.mcp.endpoint import PATH, Endpoint

        settings = Settings.load()
        logs.set_up(settings.log_level)
        app = App.open(settings)
    stop = threading.Event()
    background = threading.Thread(target=app.run_worker, args=(stop,), name="onhand worker", daemon=True)
    if not os.environ.get(_APART):
        background.start()

    def close() -> None:
        stop.set()
        if background.is_alive():
            background.join()
        app.close()

    api = create_api(app, on_close=close)
    api.mounted[PATH] = Endpoint(
        api, confirm_above_minor=settings.mcp_confirm_above_minor, origins=settings.mcp_origins
    )
    # Threads that decide hold the interpreter for milliseconds; a request that has come in should not wait that long.
    sys.setswitchinterval(0.001)
    return api


def worker() -> None:
    """Do what nobody waits for, until ctrl-C: expire reservations, source waiting orders, deliver webhooks.

    `onhand serve` does it too, unless told otherwise. Any number may run beside any number of `onhand serve`.
    """
    with _loading():
        from onhand.app import App
        from onhand.cli import logs

        settings = Settings.load()
        logs.set_up(settings.log_level)
    stop = threading.Event()

    def end(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with App.open(settings) as app:
        out.print("onhand worker runs; ctrl-C ends it")
        app.run_worker(stop)


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket, before anything is started: a port in use is told at once. It listens when the server is ready.

    Raises SettingsError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"host: cannot listen on {host}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"port: cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from None
    listener.set_inheritable(True)
    return listener


def _show_first_key(url: str, settings: Settings) -> None:
    from onhand.db import Database, migrate
    from onhand.flows.keys import ensure_admin_key

    migrate(url)
    with Database.open(url, pool_max=1) as db:
        key = ensure_admin_key(db, settings.admin_key)
    if key is not None:
        out.print(f"first admin key, shown this once: {key}")


@contextmanager
def _until_stopped() -> Generator[None]:
    """Run the block until it ends or a signal asks for it; the server passes the signal on when it has shut down, and
    what surrounds the block (the embedded database) still has to be closed."""

    def stop(_signum: int, _frame: FrameType | None) -> Any:
        raise _Stopped

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(_Stopped):
            yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _shared_metrics() -> Generator[None]:
    """Let the server processes keep their request metrics in one folder, so that any of them can show all."""
    import os
    import tempfile

    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="onhand-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
