"""What this process tells Prometheus. Numbers and route names only: nothing of customers or keys.

With several API processes (`serve --workers`) the request histogram covers all of them; gauges are
those of the process that answers.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

REQUEST_SECONDS = Histogram(
    "onhand_http_request_seconds",
    "Time from the request's head to the end of the answer.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.06, 0.1, 0.25, 1, 2.5, 10),
)
HOT_REQUEST_SECONDS = Histogram(
    "onhand_hot_request_seconds",
    "The same for the hot routes, whatever they answered.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.06, 0.1, 0.25, 1, 2.5, 10),
)


class _Gauges(Collector):
    """Functions that are asked at each scrape."""

    def __init__(self) -> None:
        self.functions: dict[str, tuple[str, Callable[[], float]]] = {}
        self.groups: dict[str, tuple[Mapping[str, str], Callable[[], Mapping[str, Mapping[str, float]]]]] = {}

    def collect(self) -> Iterator[Metric]:
        for name, (text, function) in list(self.functions.items()):
            try:
                value = function()
            except Exception as error:  # a database that is away must not hide the other numbers
                log.debug("no value for a gauge", name=name, error=str(error))
                continue
            yield GaugeMetricFamily(name, text, value=value)
        for label, (texts, group) in list(self.groups.items()):
            try:
                values = group()
            except Exception as error:
                log.debug("no values for gauges", label=label, error=str(error))
                continue
            for name, text in texts.items():
                family = GaugeMetricFamily(name, text, labels=[label])
                for key, value in values.get(name, {}).items():
                    family.add_metric([key], value)
                yield family

    def describe(self) -> list[Metric]:
        return []  # registering must not call the functions


_gauges = _Gauges()
REGISTRY.register(_gauges)


def register_gauge(name: str, text: str, function: Callable[[], float]) -> None:
    """Report `function()` as the gauge `name` (such as `onhand_order_queue_depth`) at each scrape.

    It runs in a worker thread and must be quick. A later call with the same name replaces it.
    """
    _gauges.functions[name] = (text, function)


def register_group(
    label: str, texts: Mapping[str, str], function: Callable[[], Mapping[str, Mapping[str, float]]]
) -> None:
    """Report gauges by `label`: `function()` tells the values of each name in `texts`, asked once a scrape."""
    _gauges.groups[label] = (texts, function)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(_gauges)
    return generate_latest(registry)


# What was measured lately, for those who do not scrape --------------------------------------------

Buckets = list[tuple[float, float]]
"""(upper bound in seconds, observations up to it), bounds ascending to infinity"""


def hot_buckets(method: str, route: str) -> Buckets:
    """The histogram of a hot route since the server began, of all its processes."""
    counts: dict[float, float] = {}
    for family in _families():
        for sample in family.samples:
            of = sample.labels
            if sample.name.endswith("_bucket") and (of["method"], of["route"]) == (method, route):
                bound = float(of["le"])
                counts[bound] = counts.get(bound, 0.0) + sample.value
    return sorted(counts.items())


def _families() -> Iterator[Metric]:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        yield from HOT_REQUEST_SECONDS.collect()
        return
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    for family in registry.collect():
        if family.name == "onhand_hot_request_seconds":
            yield family


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """Where `share` of the observations lie below, in seconds, as Prometheus estimates it: evenly within a bucket, and
    at most the last bound that there is. None without any."""
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    low = below = 0.0
    for bound, up_to in buckets:
        if up_to >= share * total:
            if math.isinf(bound):
                return low
            return low + (bound - low) * ((share * total - below) / (up_to - below) if up_to > below else 1.0)
        low, below = bound, up_to
    return low


class Lately:
    """What was added to a histogram in about the last `window_s`, as often as somebody looks.

    Without an earlier look, or if nothing was added since, it is all there was since the server began.
    """

    def __init__(self, read: Callable[[], Buckets], window_s: float = 60.0) -> None:
        self._read = read
        self._window_s = window_s
        self._looks: deque[tuple[float, Buckets]] = deque()

    def look(self, now: float | None = None) -> tuple[Buckets, float | None]:
        """(counts, seconds that they are of; None: since the server began)"""
        now = time.monotonic() if now is None else now
        counts = self._read()
        # The last look that lies outside the window stays: from it on the window is whole.
        while len(self._looks) > 1 and self._looks[1][0] <= now - self._window_s:
            self._looks.popleft()
        before = self._looks[0] if self._looks else None
        self._looks.append((now, counts))
        if before is not None:
            earlier = dict(before[1])
            added = [(bound, count - earlier.get(bound, 0.0)) for bound, count in counts]
            if added and added[-1][1] > 0:
                return added, now - before[0]
        return counts, None
