"""What the world has seen: counts, latencies, queues, stock. Fed by the actors, read by the view."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from onhand.twin.world import Json

# Latencies are of the last half minute, rates of the last minutes.
WINDOW_S: Final = 30.0
RATE_SECONDS: Final = 300
_LATENCIES_MAX: Final = 20_000
_EVENTS_MAX: Final = 40

OPEN_STATES: Final = ("allocated", "accepted", "packed", "partly_shipped", "shipped")


@dataclass(slots=True)
class Latencies:
    """Answer times of one kind of call over the last WINDOW_S."""

    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_LATENCIES_MAX))
    _ever: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_MAX))

    def add(self, seconds: float) -> None:
        self._seen.append((time.monotonic(), seconds))
        self._ever.append(seconds)

    def quantiles_ms(self, *qs: float) -> list[float] | None:
        """None before the first answer."""
        horizon = time.monotonic() - WINDOW_S
        while self._seen and self._seen[0][0] < horizon:
            self._seen.popleft()
        return _quantiles_ms([seconds for _, seconds in self._seen], qs)

    def all_ms(self, *qs: float) -> list[float] | None:
        """The same of the whole run, or the last part of a long one."""
        return _quantiles_ms(self._ever, qs)


def _quantiles_ms(seconds: Iterable[float], qs: Iterable[float]) -> list[float] | None:
    ordered = sorted(seconds)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1e3 for q in qs] if ordered else None


class Rate:
    """How many per second, second by second."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._seconds: deque[int] = deque(maxlen=RATE_SECONDS)
        self._now = 0
        self._count = 0

    def add(self) -> None:
        self._turn()
        self._count += 1

    def history(self, seconds: int) -> list[int]:
        """Counts of the last whole seconds, oldest first; shorter when it has not run that long."""
        self._turn()
        return list(self._seconds)[-seconds:]

    def mean(self, seconds: int) -> float:
        """Per second, over the last whole seconds."""
        recent = self.history(seconds)
        return sum(recent) / len(recent) if recent else float(self._count)

    def _turn(self) -> None:
        now = int(time.monotonic() - self._began)
        while self._now < now:
            self._seconds.append(self._count)
            self._count = 0
            self._now += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Stock of one node at one moment, in units."""

    on_hand: int = 0
    available: int = 0
    allocated: int = 0
    unavailable: int = 0
    inbound: int = 0
    oversold: int = 0
    positions: int = 0


@dataclass(slots=True)
class Line:
    """A channel at a vendor, in numbers of this run.

    passes_files  it is neither told numbers nor asked
    bought    paid orders there; heard: those that we have, and how long after
    cancelled of the bought: their shoppers changed their mind there
    reconciled  times that all it shows had to be read and compared, at the end
    sold_out  visitors who found that not so many were shown
    oversold  orders that we could not serve in full when we heard of them
    health    how the channel is doing, as GET /v1/channels/{code}/health says
    fake      its weather and its messages, as the fake says
    """

    connector: str
    passes_files: bool = False
    bought: int = 0
    sold_out: int = 0
    cancelled: int = 0
    reconciled: int = 0
    oversold: int = 0
    heard: int = 0
    hearing: Latencies = field(default_factory=Latencies)
    health: Json = field(default_factory=dict[str, object])
    fake: Json = field(default_factory=dict[str, object])

    @property
    def oversold_share(self) -> float:
        """Of the orders that we have heard of."""
        return self.oversold / max(1, self.heard)

    @property
    def lag_ms(self) -> tuple[float, float] | None:
        """p50 and p99 of the time from a change of stock to the channel's acknowledgement; None: it is not told."""
        if self.passes_files:
            return None
        lag: Json = self.health.get("lag_ms") or {}
        return (lag["p50"], lag["p99"]) if lag else None

    @property
    def stale_s(self) -> float | None:
        """Age of the number that was verified longest ago."""
        staleness: Json = self.health.get("staleness") or {}
        return staleness.get("oldest_s")

    @property
    def queue(self) -> int:
        """Listings that do not show what they should."""
        return self.health.get("queue_depth") or 0

    @property
    def last_error(self) -> str:
        """Of what it was told."""
        return self.health.get("last_error") or ""

    @property
    def status(self) -> str:
        """In a word."""
        if self._of("weather").get("is_down"):
            return "down"
        return "files" if self.passes_files else str(self.health.get("status", "new"))

    @property
    def outages(self) -> int:
        """Of its interface, so far."""
        return self._of("weather").get("outages", 0)

    @property
    def lost(self) -> int:
        """Messages that never came, so far."""
        return self._of("messages").get("lost", 0)

    def _of(self, part: str) -> Json:
        return self.fake.get(part) or {}


@dataclass(slots=True)
class Board:
    """One run in numbers; everything counts from the start of this run unless it says otherwise.

    counts   by name: orders, lines, units, sourced, backordered, unfillable, held, split, promises, reservations,
             cancelled, returned, rejected, delivered, shipped, receipts, busy (answers 503), errors (answers 5xx)
    shelves  by node, as last read from /v1/stock
    queues   orders that wait, by queue, as last read from /v1/orders
    parcels  fulfilments that are not delivered yet, by status
    load     the same, by node, without the shipped ones
    lines    channels at vendors, by code
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    rate: Rate = field(default_factory=Rate)
    orders: Latencies = field(default_factory=Latencies)
    promises: Latencies = field(default_factory=Latencies)
    shelves: dict[str, Shelf] = field(default_factory=dict[str, Shelf])
    queues: dict[str, str] = field(default_factory=dict[str, str])
    parcels: Counter[str] = field(default_factory=Counter[str])
    load: Counter[str] = field(default_factory=Counter[str])
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    events: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=_EVENTS_MAX))
    problems: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    clock: Callable[[], float] = lambda: 0.0

    def heard(self, name: str, status: int, seconds: float) -> None:
        """An answer came: keep its time, count what should not be."""
        if name == "/v1/orders" and status == 201:
            self.orders.add(seconds)
            self.rate.add()
        elif name == "/v1/promises" and status == 200:
            self.promises.add(seconds)
            self.counts["promises"] += 1
        if status == 503:
            self.counts["busy"] += 1
        elif status >= 500:
            self.counts["errors"] += 1
            self.problem(f"{name} answered {status}")

    def placed(self, answer: Json, order: Json) -> None:
        """An order was answered 201."""
        self.counts["orders"] += 1
        self.counts["lines"] += len(order["lines"])
        self.counts["units"] += sum(line["quantity"] for line in order["lines"])
        self.counts[answer["status"]] += 1
        self.counts["split"] += len(answer["fulfilments"]) > 1

    def taken_in(self, status: str) -> None:
        """An order of a channel at a vendor is ours now."""
        self.rate.add()
        self.counts["orders"] += 1
        self.counts[status] += 1

    def shelf(self, node: str, rows: Iterable[Json]) -> None:
        """All positions of a node were read."""
        listed = list(rows)
        self.shelves[node] = Shelf(
            positions=len(listed),
            **{
                name: sum(row.get(name) or 0 for row in listed)
                for name in ("on_hand", "available", "allocated", "unavailable", "inbound", "oversold")
            },
        )

    def moved(self, node: str, before: str | None, after: str) -> None:
        """A fulfilment of `node` went from one status to another."""
        for status, by in ((before, -1), (after, 1)):
            if status in OPEN_STATES:
                self.parcels[status] += by
                if status != "shipped":
                    self.load[node] += by

    def event(self, kind: str, text: str) -> None:
        self.events.append((clock_text(self.clock()), kind, text))

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def total(self, name: str) -> int:
        """Units over all nodes, of one column of Shelf."""
        return sum(getattr(shelf, name) for shelf in self.shelves.values())

    @property
    def split_share(self) -> float:
        """Share of sourced orders with more than one fulfilment."""
        return self.counts["split"] / max(1, self.counts["sourced"] + self.counts["backordered"])

    def end(self) -> None:
        """The shops have closed."""
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the shops were open."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began


def clock_text(clock_s: float) -> str:
    """Simulated time of day, HH:MM."""
    minutes = int(clock_s // 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
