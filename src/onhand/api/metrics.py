"""What this process tells Prometheus. Numbers and route names only: nothing of customers or keys.

With several API processes (`serve --workers`) the request histogram covers all of them; gauges are
those of the process that answers.
"""

import os
from collections.abc import Callable, Iterator, Mapping

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
