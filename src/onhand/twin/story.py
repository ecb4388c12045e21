"""A scenario as a story: chapters in turn, and what each of them does to the town of the demo. Pure.

A day of a scenario is an hour of the town, where parcels take hours and not days (nodes.py), as suppliers do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from onhand.twin.fakes.weather import Sky
from onhand.twin.scenarios.document import (
    CarrierDelay,
    ChannelOutage,
    DeafMarketplace,
    DemandSurge,
    DuplicateOrders,
    Event,
    ForgottenOrders,
    NodeSlow,
    PaymentFailures,
    Phantoms,
    Scenario,
    StrayParcels,
    SupplierDelay,
    WrongPrices,
)
from onhand.twin.world import World

DAY_S: Final = 3600.0
"""Simulated seconds of the town that a day of a scenario takes."""
_BUYERS_OF_BARGAINS: Final = 4.0
# Who stands in the town for the carriers and channels of scenarios.
_CARRIERS: Final = {"northpost": "northpost", "swift": "velo"}
_VENDORS: Final = {"web": "woocommerce", "marketplace": "amazon", "social": "shopify"}
_OWN: Final = {"web": "web", "marketplace": "web", "social": "app"}
# So long that nothing ends by itself.
_EVER_S: Final = 1e7

About = tuple[str, str]
"""What a chapter is about: ("item" | "node" | "channel" | "carrier", its code)."""


@dataclass(slots=True)
class Trouble:
    """What is wrong in the town now; whoever works there looks at it. Empty: nothing.

    surge       sku -> factor of the people who want it          prices     sku -> factor of its price
    slow        node -> share of what it does                    refuses    node -> more fulfilments that it rejects
    forgets     node -> share of fulfilments it never works on   carriers   carrier -> more hours on the way
    stray       (share of parcels, more hours)                   doubled    channel -> share of orders that come twice
    supply      (more hours, share of the units that never come)
    skies       channel -> how its vendor's weather is changed
    """

    surge: dict[str, float] = field(default_factory=dict[str, float])
    prices: dict[str, float] = field(default_factory=dict[str, float])
    slow: dict[str, float] = field(default_factory=dict[str, float])
    refuses: dict[str, float] = field(default_factory=dict[str, float])
    forgets: dict[str, float] = field(default_factory=dict[str, float])
    carriers: dict[str, float] = field(default_factory=dict[str, float])
    stray: tuple[float, float] = (0.0, 0.0)
    doubled: dict[str, float] = field(default_factory=dict[str, float])
    supply: tuple[float, float] = (0.0, 0.0)
    skies: dict[str, Callable[[Sky], Sky]] = field(default_factory=dict[str, Callable[[Sky], Sky]])

    def become(self, events: Sequence[Event], world: World) -> None:
        """Be what these events make of the town, and nothing else."""
        fresh = Trouble()
        for event in events:
            _add(fresh, event, world)
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(fresh, name))


def _down(sky: Sky) -> Sky:
    return replace(sky, down_every_s=1e-3, down_for_s=_EVER_S)


def _deaf(sky: Sky) -> Sky:
    return replace(sky, apply_s=_EVER_S)


def _add(trouble: Trouble, event: Event, world: World) -> None:
    match event:
        case DemandSurge():
            trouble.surge |= dict.fromkeys(talked_of(world, event.items), event.factor)
        case WrongPrices():
            trouble.prices |= dict.fromkeys(_best(world, event.items), event.factor)
            trouble.surge |= dict.fromkeys(_best(world, event.items), _BUYERS_OF_BARGAINS)
        case NodeSlow():
            trouble.slow |= dict.fromkeys(_nodes(world, event.nodes), event.share)
        case Phantoms():
            trouble.refuses |= dict.fromkeys(_stores(world), event.share)
        case ForgottenOrders():
            trouble.forgets |= dict.fromkeys(_nodes(world, event.nodes), event.share)
        case CarrierDelay():
            trouble.carriers[_CARRIERS[event.carrier]] = event.delay_days
        case StrayParcels():
            trouble.stray = event.share, event.delay_days
        case SupplierDelay():
            trouble.supply = event.delay_days, event.short
        case DuplicateOrders():
            trouble.doubled[_OWN[event.channel]] = event.share
        case ChannelOutage():
            trouble.skies[_VENDORS[event.channel]] = _down
        case DeafMarketplace():
            trouble.skies[_VENDORS["marketplace"]] = _deaf
        case PaymentFailures():
            pass  # nobody pays in this town


def about(event: Event, world: World) -> list[About]:
    """What to look at while it happens."""
    match event:
        case DemandSurge():
            return [("item", sku) for sku in talked_of(world, event.items)]
        case WrongPrices():
            return [("item", sku) for sku in _best(world, event.items)]
        case NodeSlow() | ForgottenOrders():
            return [("node", code) for code in _nodes(world, event.nodes)]
        case Phantoms():
            return [("node", code) for code in _stores(world)]
        case CarrierDelay():
            return [("carrier", _CARRIERS[event.carrier])]
        case DuplicateOrders():
            return [("channel", _OWN[event.channel])]
        case ChannelOutage():
            return [("channel", _VENDORS[event.channel])]
        case DeafMarketplace():
            return [("channel", _VENDORS["marketplace"])]
        case StrayParcels() | SupplierDelay() | PaymentFailures():
            return []


def talked_of(world: World, count: int) -> list[str]:
    """Plain items that everybody wants at once. They sell well, and not best, as in scenarios: of these twenty times as
    many would be more orders than the town can place."""
    return ranked(world)[len(world.items) // 8 :][:count]


def _best(world: World, count: int) -> list[str]:
    """The plain items that sell best."""
    return ranked(world)[:count]


def ranked(world: World) -> list[str]:
    """Plain items, the one that sells best first."""
    bundles = {item["sku"] for item in world.items if "components" in item}
    best = sorted(zip(world.popularity, world.skus, strict=True), reverse=True)
    return [sku for _, sku in best if sku not in bundles]


def _nodes(world: World, count: int) -> list[str]:
    """Those that keep most."""
    return [site.code for site in sorted(world.sites, key=lambda site: -site.stock_weight)][:count]


def _stores(world: World) -> list[str]:
    return [site.code for site in world.sites if site.node_type == "store"]


# Chapters -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """from_day: of the scenario. events: numbers of those that are on from here."""

    from_day: float
    title: str
    text: str
    events: tuple[int, ...] = ()
    about: tuple[About, ...] = ()


def chapters(scenario: Scenario, world: World) -> list[Chapter]:
    """In turn: how it is before, each event's beginning and end, and how it is afterwards."""
    turns: dict[float, list[tuple[bool, int]]] = {}
    for n, event in enumerate(scenario.events):
        turns.setdefault(event.from_day, []).append((True, n))
        if (ends := event.from_day + event.days) < scenario.days:
            turns.setdefault(ends, []).append((False, n))
    found: list[Chapter] = []
    if 0.0 not in turns:
        found.append(Chapter(from_day=0.0, title="An ordinary week", text=scenario.description))
    on: list[int] = []
    for day in sorted(turns):
        began = [n for begins, n in turns[day] if begins]
        on = [n for n in on if (False, n) not in turns[day]] + began
        told = [scenario.events[n] for n in began]
        seen = [one for n in on for one in about(scenario.events[n], world)]
        if told:
            title = "; ".join(event.title or _TITLES[event.kind] for event in told)
            text = " ".join(event.text or _says(event) for event in told)
        else:
            ended = [scenario.events[n] for begins, n in turns[day] if not begins]
            title = "Over: " + "; ".join(event.title or _TITLES[event.kind] for event in ended)
            text = "It has ended; what it left behind is worked off."
        found.append(Chapter(from_day=day, title=title, text=text, events=tuple(on), about=tuple(dict.fromkeys(seen))))
    found.append(Chapter(from_day=float(scenario.days), title="How it ended", text="Nothing is wrong any more."))
    return found


_TITLES: Final[Mapping[str, str]] = {
    "carrier_delay": "A carrier is slow",
    "demand_surge": "Some items are wanted by everybody",
    "node_slow": "Nodes fall behind",
    "phantoms": "Shelves are emptier than their records",
    "supplier_delay": "Suppliers are late",
    "channel_outage": "A channel falls silent",
    "payment_failures": "Payments fail",
    "duplicate_orders": "Orders come twice",
    "deaf_marketplace": "The marketplace takes no new numbers",
    "wrong_prices": "Prices are wrong",
    "stray_parcels": "Parcels go astray",
    "forgotten_orders": "Nodes forget orders",
}


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _says(event: Event) -> str:
    """What happens, for a chapter without a text of its own."""
    match event:
        case DemandSurge():
            known = "It was foreseen." if event.foreseen else "Nobody foresaw it."
            return f"{event.items} items are wanted by {event.factor:g} times as many people. {known}"
        case WrongPrices():
            return (
                f"{event.items} items cost {_percent(event.factor)} of their price in our shops, and word gets round."
            )
        case NodeSlow():
            return f"{event.nodes} nodes do {_percent(event.share)} of what they said."
        case Phantoms():
            return f"Stores do not find the goods for {_percent(event.share)} of what they are asked for."
        case ForgottenOrders():
            return f"{event.nodes} nodes never work on {_percent(event.share)} of what they are sent."
        case CarrierDelay():
            return f"Parcels of {_CARRIERS[event.carrier]} need {event.delay_days:g} days longer."
        case StrayParcels():
            return f"{_percent(event.share)} of the parcels come {event.delay_days:g} days late."
        case SupplierDelay():
            late = f"What suppliers were to bring comes {event.delay_days:g} days later"
            return f"{late}; {_percent(event.short)} never comes."
        case DuplicateOrders():
            return f"{_percent(event.share)} of the orders of {_OWN[event.channel]} are sent twice."
        case ChannelOutage():
            return f"{_VENDORS[event.channel]} goes on selling, but tells nothing and takes no new numbers."
        case DeafMarketplace():
            return "It goes on selling by the numbers that it was told last."
        case PaymentFailures():
            return f"{_percent(event.share)} of the payments fail. Nobody pays in this town: nothing is to be seen."
