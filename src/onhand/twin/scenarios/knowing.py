"""The bound: a watcher that is told the truth of each moment, and of no later one.

It knows what goes wrong as soon as it begins, how badly, and when late purchases come; it does not know who will come
tomorrow, nor what goes wrong next week. `Auto` with it does what the same playbooks do at their best: what is lost then
is not lost for want of detection. Of orders it is only told which came twice.
"""

from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from onhand.incidents.group import by_cause, once_each
from onhand.incidents.model import Finding, Incident, Kind, Subject
from onhand.twin.scenarios.document import CARRIERS, CHANNELS, Scenario
from onhand.twin.scenarios.responding import Auto
from onhand.twin.scenarios.shop import NODES, node_code, sku
from onhand.twin.scenarios.watching import LANE_NAMES, order_name, supplier_code
from onhand.twin.scenarios.world import Off, Seen, World

Float64 = npt.NDArray[np.float64]
_LOSS_MINOR = 1_000_000
_SPIKE_FACTOR = 1.5


class Knowing:
    """See the head of this file."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.throughput = np.zeros(NODES)

    def look_at_orders(self, seen: Seen) -> tuple[Incident, ...]:
        """Of orders that came twice."""
        again = [o for o in seen.placed if o.is_again and o.day > seen.day - 1]
        return _incidents(seen, [_sure(seen, Kind.ORDER_DUPLICATE, Subject("order", (order_name(o),))) for o in again])

    def usual(self, _: Seen) -> Float64:
        """float64[I], units a day that are wanted without what goes wrong."""
        truth = self._world.truth()
        return truth.wanted / truth.factor

    def per_day(self, _: Seen) -> Float64:
        """float64[I], units a day that are wanted now."""
        return self._world.truth().wanted

    def look(self, seen: Seen) -> tuple[Incident, ...]:
        """Incidents of all that is wrong, sure."""
        truth = self._world.truth()
        self.throughput = seen.declared * truth.work
        found = [*self._lanes(seen, truth.delays), *self._nodes(seen), *self._late(seen)]
        found += [
            _sure(seen, Kind.PHANTOM_STOCK, Subject("item_node", (sku(item), node_code(node))), count_gain_minor=1.0)
            for item, node in np.argwhere(truth.absent).tolist()
        ]
        found += [
            _sure(seen, Kind.DEMAND_SPIKE, Subject("item", (sku(item),)), units=float(truth.wanted[item]),
                  missing_units=1.0, limit_units=0.0)
            for item in np.flatnonzero(truth.factor > _SPIKE_FACTOR).tolist()
        ]  # fmt: skip
        found += [_sure(seen, Kind.CHANNEL_SILENT, Subject("channel", (CHANNELS[c],))) for c in sorted(truth.out)]
        return _incidents(seen, found)

    def _lanes(self, seen: Seen, delays: Float64) -> Iterable[Finding]:
        for lane, (node, carrier) in enumerate(LANE_NAMES):
            days = float(delays[divmod(lane, len(CARRIERS))])
            if days:
                subject = Subject("lane", (node, carrier))
                causes = subject, Subject("carrier", (carrier,))
                yield _sure(seen, Kind.LANE_SLOW, subject, *causes, delay_days=days)

    def _nodes(self, seen: Seen) -> Iterable[Finding]:
        for node in np.flatnonzero(self.throughput < seen.declared).tolist():
            yield _sure(seen, Kind.CAPACITY_BREACH, Subject("node", (node_code(node),)), days_until=0.0)

    def _late(self, seen: Seen) -> Iterable[Finding]:
        for p in seen.purchases:
            if not p.is_in and p.supplier >= 0 and p.arrives > p.due:
                subject = Subject("inbound", (str(p.number),))
                causes = subject, Subject("supplier", (supplier_code(p.supplier),))
                yield _sure(
                    seen, Kind.INBOUND_LATE, subject, *causes, chance=1.0, expected_days_late=p.arrives - p.due,
                    expected_in_days=max(p.arrives - seen.day, 0.0), units_per_day=float(seen.shop.rate[p.item]),
                )  # fmt: skip


def _sure(seen: Seen, kind: Kind, subject: Subject, *causes: Subject, **numbers: float) -> Finding:
    return Finding(
        kind=kind, subject=subject, numbers=numbers, sentence="It is so.", loss_minor=_LOSS_MINOR, confidence=1.0,
        since=seen.now, causes=causes or (subject,),
    )  # fmt: skip


def _incidents(seen: Seen, findings: list[Finding]) -> tuple[Incident, ...]:
    long_ago = seen.now - timedelta(days=2)
    return tuple(
        Incident(kind=kind, cause=cause, findings=tuple(some), opened_at=long_ago, seen_at=seen.now)
        for (kind, cause), some in by_cause(once_each(findings)).items()
    )


def informed(scenario: Scenario, seed: int) -> World:
    """A world in which `Auto` is told the truth; not yet lived through."""
    world = World(scenario, seed, Off())
    world.responder = Auto(watcher=Knowing(world))
    return world
