"""The profiler charges the thread that works, at the place of ours that it works for."""

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from onhand.base import ids
from onhand.bench.sampler import Cost, Sampler, costs, place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_busy_thread_is_counted_and_a_waiting_one_is_not(tmp_path: Path) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            json.dumps(list(range(1000)))

    sampler = Sampler()
    threads = [threading.Thread(target=busy), threading.Thread(target=stop.wait)]
    for thread in threads:
        thread.start()
    began = time.time()
    while time.time() - began < 2.2:  # at least one whole second lies inside
        sampler.look()
    stop.set()
    for thread in threads:
        thread.join()
    sampler.save(tmp_path / "samples")
    shares = {c.place: c.share for c in costs(tmp_path / "samples", [(began, time.time())])}
    # The busy one is found in its own frame or in the library it calls; other tests may have left threads behind.
    assert sum(shares.get(at, 0) for at in ("json", __name__.partition(".")[0])) > 0.7
    assert shares.get("threading", 0) < 0.2


def test_nothing_is_counted_any_more_when_it_is_written() -> None:
    sampler = Sampler()
    sampler.start()
    assert "sampler" in {thread.name for thread in threading.enumerate()}
    sampler.stop()
    assert "sampler" not in {thread.name for thread in threading.enumerate()}


def test_only_whole_seconds_of_the_windows_count(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    path.write_text(json.dumps([[10, "a", 100], [11, "b", 30], [11, "a", 10], [12, "a", 70]]))
    assert costs(path, [(10.5, 12.5)]) == [Cost("b", 0.75), Cost("a", 0.25)]


def test_a_place_is_the_innermost_function_of_ours() -> None:
    """A frame of another package that ours called into is charged to ours, and says so."""
    found: list[str] = []

    class Spy:
        def __len__(self) -> int:
            found.append(place(sys._getframe()))
            return 16

    name = ids.__name__.removeprefix("onhand.")
    namespace = {"__name__": ids.__name__}
    exec("def ours(spy):\n    return len(spy)", namespace)
    namespace["ours"](Spy())
    assert found[0].startswith(f"{name}:ours > ")
