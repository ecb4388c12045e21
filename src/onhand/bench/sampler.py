"""A profiler that needs no installation: runs a program with a thread that looks at the others.

`python -m onhand.bench.sampler SAMPLES onhand.cli:run serve --port 8080` calls that function with
the rest as its list of arguments, and writes SAMPLES when it ends.

Every 5 ms each thread's current function is charged with the CPU time that thread used since the
last look, so that waiting costs nothing. A look needs the interpreter lock: work inside C code that
keeps the lock is charged to whatever runs when it lets go, a little late. Linux only.
"""

import atexit
import importlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.005


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds charged to one place."""

    place: str
    cpu_s: float


class Sampler:
    """Charges CPU time to places, second by second of the wall clock."""

    def __init__(self) -> None:
        self._charged: Counter[tuple[int, str]] = Counter()  # nanoseconds by (second, place)
        self._last_ns: dict[int, int] = {}

    def start(self) -> None:
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(INTERVAL_S)
            self.look()

    def look(self) -> None:
        second = int(time.time())
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  no other way in
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if frame is None or thread is threading.current_thread():
                continue
            used = self._used_ns(thread.native_id or 0)
            if used:
                self._charged[second, place(frame)] += used

    def _used_ns(self, native_id: int) -> int:
        """CPU time of a thread since the last look."""
        try:
            now = int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0])
        except OSError:
            return 0  # it ended meanwhile
        before = self._last_ns.get(native_id, now)
        self._last_ns[native_id] = now
        return now - before

    def save(self, path: Path) -> None:
        rows = [[second, place, ns] for (second, place), ns in self._charged.items()]
        path.write_text(json.dumps(rows), "utf-8")


def place(frame: FrameType) -> str:
    """The innermost function of ours, and the package it called into when it is not ours that runs;
    without one of ours the package alone."""
    running = _package(frame)
    at: FrameType | None = frame
    while at is not None:
        module = str(at.f_globals.get("__name__", ""))
        if module.startswith("onhand.") and module != __name__:
            name = f"{module.removeprefix('onhand.')}.{at.f_code.co_qualname}"
            return name if running == "onhand" else f"{name} > {running}"
        at = at.f_back
    return running


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?")).partition(".")[0]


def costs(path: Path, windows: Sequence[tuple[float, float]]) -> list[Cost]:
    """What was charged within `windows` (begin, end as of time.time()), dearest first."""
    total: Counter[str] = Counter()
    for second, where, ns in json.loads(path.read_text("utf-8")):
        # Whole seconds only: the first and last second of a run belong to its set-up as well.
        if any(begin <= second and second + 1 <= end for begin, end in windows):
            total[where] += ns
    return [Cost(where, ns / 1e9) for where, ns in total.most_common()]


def main() -> None:
    path, entry, *arguments = sys.argv[1:]
    sampler = Sampler()
    sampler.start()
    atexit.register(sampler.save, Path(path))
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)(arguments))


if __name__ == "__main__":
    main()
