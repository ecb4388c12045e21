"""Processes of `onhand demo`: other commands of ours, and the fakes of vendors."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from onhand.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from onhand.settings import Settings

_ONHAND: Final = "from onhand.cli import main; main()"
_FAKES: Final = "demo"
"""Folder under ONHAND_HOME with what the fakes keep."""
_READY_TIMEOUT_S: Final = 180.0
_USUAL_START_S: Final = 6.0
_STOP_TIMEOUT_S: Final = 30.0


class Child:
    """A process that ends with the demo. what: its name in messages."""

    def __init__(self, what: str, arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._what, self._log = what, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, *arguments],
                env=os.environ | environ,
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
            raise DatabaseUnavailable(f"`{self._what}` ended with {self._process.returncode}: {tail}")

    def wait_until_ready(self, url: str, say: Callable[[str | None], None] | None = None) -> None:
        """Until `url` answers 200. Raises DatabaseUnavailable when it does not come up.

        say  told when it takes longer than usual
        """
        where = urlsplit(url)
        assert where.hostname is not None, "an address has a host"
        began = time.monotonic()
        while (waited_s := time.monotonic() - began) < _READY_TIMEOUT_S:
            self.check()
            if waited_s > _USUAL_START_S and say is not None:
                say("starting the API; the first start on a machine compiles the solver, which takes a while")
                say = None
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=5)
            with suppress(OSError):  # it does not listen yet
                connection.request("GET", where.path)
                if connection.getresponse().status == 200:
                    return
            connection.close()
            time.sleep(0.02)
        raise DatabaseUnavailable(f"`{self._what}` is not ready after {_READY_TIMEOUT_S:.0f} s; see {self._log}")


def onhand(settings: "Settings", database_url: str, command: str, *options: str) -> Child:
    """Another `onhand` command: it does not wait for our pictures."""
    environ = {
        "ONHAND_DATABASE_URL": database_url,
        "ONHAND_HOME": str(settings.home),
        "ONHAND_LOG_LEVEL": "warning",
        "ONHAND_ALLOW_PRIVATE_URLS": "true",  # the vendors of this world are on this machine
        "ONHAND_FILES_ROOT": str(files(settings)),
    }
    log = Path(settings.home) / f"demo-{command}.log"
    return Child(f"onhand {command}", ["-c", _ONHAND, command, *options], log, environ)


def fake(settings: "Settings", name: str, port: int, *, speed: float, seed: int) -> Child:
    """A vendor of the simulated world. It goes on where it stopped."""
    folder = Path(settings.home) / _FAKES
    arguments = ["-m", "onhand.twin.fakes", name, "--port", str(port), "--seed", str(seed), "--speed", str(speed)]
    arguments += ["--state", str(folder / f"{name}.state"), "--files", str(files(settings) / name), "--with-parent"]
    made = Child(name, arguments, folder / f"{name}.log", {})
    _port_file(settings, name).write_text(f"{port}\n", "ascii")
    return made


def usual_port(settings: "Settings", name: str, is_free: Callable[[int], bool]) -> int | None:
    """Where a vendor was the last time, if nobody else is there now.

    Before it is told otherwise the server looks for it there, and after some failures it does so more and more rarely.
    """
    with suppress(OSError, ValueError):
        port = int(_port_file(settings, name).read_text("ascii"))
        return port if is_free(port) else None
    return None


def _port_file(settings: "Settings", name: str) -> Path:
    return Path(settings.home) / _FAKES / f"{name}.port"


def files(settings: "Settings") -> Path:
    """Folder of those who pass files."""
    folder = Path(settings.home) / _FAKES / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
