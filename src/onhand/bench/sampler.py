"""A profiler that needs no installation: runs a program with a thread that looks at the others.

`python -m onhand.bench.sampler SAMPLES onhand.cli:run serve --port 8080` calls that function with the rest as its list
of arguments, and writes SAMPLES when it ends.

Every 5 ms each thread that works is counted once, at the function it is in; a thread in a function that waits counts
only if the kernel says that it runs (then it is in C code: the event loop, the driver). Threads change places more
often than without it, so rates measured under it are not for quoting. Linux only.
"""

import atexit
import importlib
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.005
# A look waits for the interpreter lock at most this long, then takes it in the middle of what runs. With Python's own
# 5 ms it would mostly come when a thread lets go by itself, and find everybody waiting for a socket.
SWITCH_S = 0.0001
# Functions of libraries that wait, or run C code meanwhile: threading, selectors, psycopg, asyncio over uvloop.
_WAITING = {"wait", "select", "poll", "acquire", "accept", "run", "run_until_complete", "run_forever"}


@dataclass(frozen=True, slots=True)
class Cost:
    """A place and its share of all that was counted."""

    place: str
    share: float


class Sampler:
    """Counts where threads work, second by second of the wall clock."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[int, str]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self.look()

    def look(self) -> None:
        second = int(time.time())
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  no other way in
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if frame is None or thread is threading.current_thread():
                continue
            if not _may_wait(frame) or _is_running(thread.native_id or 0):
                self._counted[second, place(frame)] += 1

    def save(self, path: Path) -> None:
        rows = [[second, place, count] for (second, place), count in self._counted.items()]
        path.write_text(json.dumps(rows), "utf-8")


def _may_wait(frame: FrameType) -> bool:
    return frame.f_code.co_name in _WAITING and _package(frame) != "onhand"


def _is_running(native_id: int) -> bool:
    try:
        stat = Path(f"/proc/self/task/{native_id}/stat").read_text()
    except OSError:
        return False  # it ended meanwhile
    return stat.rpartition(")")[2].split()[0] == "R"


def place(frame: FrameType) -> str:
    """The innermost function of ours, and the package it called into when it is not ours that runs;
    without one of ours the package alone."""
    running = _package(frame)
    at: FrameType | None = frame
    while at is not None:
        module = str(at.f_globals.get("__name__", ""))
        if module.startswith("onhand.") and module != __name__:
            name = f"{module.removeprefix('onhand.')}:{at.f_code.co_qualname}"
            return name if running == "onhand" else f"{name} > {running}"
        at = at.f_back
    return running


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?")).partition(".")[0]


def costs(path: Path, windows: Sequence[tuple[float, float]]) -> list[Cost]:
    """Shares of what was counted within `windows` (begin, end as of time.time()), dearest first."""
    total: Counter[str] = Counter()
    for second, where, count in json.loads(path.read_text("utf-8")):
        # Whole seconds only: the first and last second of a run belong to its set-up as well.
        if any(begin <= second and second + 1 <= end for begin, end in windows):
            total[where] += count
    return [Cost(where, count / total.total()) for where, count in total.most_common()]


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    path, entry, *arguments = sys.argv[1:]
    sys.setswitchinterval(SWITCH_S)
    sampler = Sampler()
    sampler.start()
    # What ends first is registered last: what is still counted cannot be written.
    atexit.register(sampler.save, Path(path))
    atexit.register(sampler.stop)
    # A server that has shut down may raise its SIGTERM again, which would end us without a word.
    signal.signal(signal.SIGTERM, _leave)
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)(arguments))


if __name__ == "__main__":
    main()
