"""`python -m onhand.twin.fakes NAME --port N [--seed S]`: one fake vendor as a process of its own, until ctrl-C."""

import argparse
import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from onhand.twin.fakes.directory import stand
from onhand.twin.fakes.stands import Stand

_SAVE_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.5


def main() -> None:
    """Serve the fake that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m onhand.twin.fakes", description=__doc__)
    parser.add_argument("name", help="of the vendor: amazon, shopify, woocommerce, square, ...")
    parser.add_argument("--port", type=int, required=True, help="only this machine reaches it")
    parser.add_argument("--seed", type=int, default=1, help="of its weather")
    parser.add_argument("--speed", type=float, default=1.0, help="of the limits of Amazon and Shopify, times theirs")
    parser.add_argument("--state", type=Path, help="a file that keeps what it is like, for the next time")
    parser.add_argument("--files", type=Path, help="folder of those who pass files")
    parser.add_argument("--with-parent", action="store_true", help="end when whoever started it has ended")
    given = parser.parse_args()
    try:
        made = stand(given.name, seed=given.seed, speed=given.speed, files=given.files)
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    if given.state is not None:
        made.load(given.state)
    asyncio.run(serve(made, given.port, state=given.state, with_parent=given.with_parent))


class _Server(uvicorn.Server):
    """A server that leaves signals to us: its own way ends the process before its state is kept."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def end(self) -> None:
        """Finish what is under way."""
        self.should_exit = True


async def serve(made: Stand, port: int, *, state: Path | None = None, with_parent: bool = False) -> None:
    """Serve it until a signal says otherwise; then its state is kept."""
    config = uvicorn.Config(made, host="127.0.0.1", port=port, log_level="warning", access_log=False, lifespan="off")
    server = _Server(config)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, server.end)
    beside = [asyncio.create_task(made.run()), asyncio.create_task(_keep(made, state))]
    if with_parent:
        beside.append(asyncio.create_task(_watch(server, os.getppid())))
    try:
        await server.serve()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if state is not None:
            made.save(state)


async def _keep(made: Stand, state: Path | None) -> None:
    while state is not None:
        await asyncio.sleep(_SAVE_EVERY_S)
        made.save(state)


async def _watch(server: _Server, parent: int) -> None:
    """An orphan is adopted by another process: nobody is there who would end it."""
    while os.getppid() == parent:
        await asyncio.sleep(_LOOK_EVERY_S)
    server.end()


if __name__ == "__main__":
    main()
