"""What exists: nodes, carriers, channels, items, opening stock. Pure: one seed, one world.

The documents are those of the public interface, as JSON values.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from onhand.twin.places import CITIES, City

Json = dict[str, Any]

CURRENCY: Final = "EUR"
# Demand of one simulated day: 20 orders a second when a minute takes a second (--speed 60).
ORDERS_PER_DAY: Final = 28_800
UNITS_PER_ORDER: Final = 2.6
# Stock lasts this many simulated days, and comes again at half of it.
COVER_DAYS: Final = 0.8
ITEMS: Final = 500
BUNDLES: Final = 12

# Popularity falls with rank as 1 / (rank + shift) ** exponent: the first of 500 items sells about 3 % of all units.
_ZIPF_SHIFT = 6.0
_ZIPF_EXPONENT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A node: its document, and how it works in the simulated world."""

    code: str
    document: Json
    stock_weight: float
    reject_rate: float
    # Median simulated minutes to accept, pack and hand over.
    accept_min: float
    pack_min: float
    ship_min: float

    @property
    def node_type(self) -> str:
        return str(self.document["node_type"])

    @property
    def offers_pickup(self) -> bool:
        return "pickup" in self.document["methods"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A channel: its document, its share of all orders, and its shoppers' habits as probabilities."""

    code: str
    document: Json
    share: float
    asks_first: float = 0.0
    reserves: float = 0.0
    picks_up: float = 0.0
    express: float = 0.0
    lines: Sequence[float] = (1.0,)
    night_owl: float = 0.0

    @property
    def nodes(self) -> list[str]:
        return list(self.document["nodes"])


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything a run starts from. targets: (sku, node) -> units the shelf should hold."""

    seed: int
    sites: tuple[Site, ...]
    carriers: Mapping[str, Json]
    shops: tuple[Shop, ...]
    items: tuple[Json, ...]
    skus: tuple[str, ...]
    popularity: tuple[float, ...]
    targets: Mapping[tuple[str, str], int]
    prices_minor: Mapping[str, int]
    cities: tuple[City, ...] = CITIES

    def site(self, code: str) -> Site:
        return next(s for s in self.sites if s.code == code)


def build(seed: int) -> World:
    """The world of `seed`; equal seeds give equal worlds."""
    draw = random.Random(f"onhand world {seed}")  # noqa: S311 - a simulation, no secret
    items = _items(draw)
    ranked = list(range(ITEMS))
    draw.shuffle(ranked)
    raw = [1 / (rank + _ZIPF_SHIFT) ** _ZIPF_EXPONENT for rank in ranked]
    total = sum(raw)
    popularity = tuple(weight / total for weight in raw)
    return World(
        seed=seed,
        sites=SITES,
        carriers=CARRIERS,
        shops=SHOPS,
        items=tuple(items),
        skus=tuple(item["sku"] for item in items),
        popularity=popularity,
        targets=_targets(draw, items, popularity),
        prices_minor={item["sku"]: item["price_minor"] for item in items},
    )


def cumulative(weights: Sequence[float]) -> list[float]:
    """Running sums, as `random.choices(cum_weights=...)` wants them."""
    return list(accumulate(weights))


# Items --------------------------------------------------------------------------------------------

# category: (sku prefix, nouns, median weight g, median price minor units)
_CATEGORIES: Final = {
    "kitchen": ("KIT", ("mug", "plate", "bowl", "teapot", "kettle", "pan", "jar", "board"), 620, 1_690),
    "living": ("LIV", ("vase", "frame", "clock", "tray", "basket", "mirror", "candle"), 900, 2_490),
    "textiles": ("TEX", ("blanket", "cushion", "towel", "curtain", "apron", "rug"), 780, 2_990),
    "lighting": ("LUX", ("lamp", "lantern", "string lights", "shade", "torch"), 1_150, 3_990),
    "garden": ("GAR", ("planter", "watering can", "bird house", "gloves", "hose", "parasol"), 1_900, 2_790),
    "toys": ("TOY", ("puzzle", "train", "bear", "blocks", "kite", "game"), 520, 1_990),
    "stationery": ("STA", ("notebook", "pen set", "cards", "planner", "stamp"), 240, 990),
    "bath": ("BAT", ("soap dish", "mat", "brush", "dispenser", "hamper"), 700, 1_790),
}
_ADJECTIVES: Final = ("enamel", "oak", "linen", "glass", "steel", "ceramic", "woven", "cork", "copper", "wool")
_COLOURS: Final = ("blue", "sand", "moss", "red", "black", "white", "amber", "grey", "rose", "navy")
# The supplier ships these from its own shelves.
DROP_SHIPPED: Final = "garden"


def _items(draw: random.Random) -> list[Json]:
    plain = [_item(draw, number) for number in range(1, ITEMS - BUNDLES + 1)]
    return plain + [_bundle(draw, number, plain) for number in range(1, BUNDLES + 1)]


def _item(draw: random.Random, number: int) -> Json:
    categories = list(_CATEGORIES)
    category = categories[number % len(categories)]
    prefix, nouns, weight_g, price_minor = _CATEGORIES[category]
    noun, adjective, colour = draw.choice(nouns), draw.choice(_ADJECTIVES), draw.choice(_COLOURS)
    grams = max(40, round(weight_g * draw.lognormvariate(0, 0.6)))
    # Packed goods weigh about 0.2 kg a litre; edges in the proportions of a shoe box.
    edge_mm = (grams / 0.2 * 1000 / 1.5) ** (1 / 3)
    price = max(290, round(price_minor * draw.lognormvariate(0, 0.45) / 100) * 100 - 10)
    return {
        "sku": f"{prefix}-{number:04d}",
        "name": f"{adjective} {noun}, {colour}".capitalize(),
        "weight_g": grams,
        "length_mm": round(edge_mm * 1.5),
        "width_mm": round(edge_mm),
        "height_mm": round(edge_mm),
        "unit_cost_minor": round(price * draw.uniform(0.35, 0.55)),
        "price_minor": price,
        "currency": CURRENCY,
        "category": category,
    }


def _bundle(draw: random.Random, number: int, plain: Sequence[Json]) -> Json:
    """Two to four items that are sold together, for a tenth less."""
    parts = [part for part in draw.sample(list(plain), draw.randint(2, 4)) if part["category"] != DROP_SHIPPED]
    parts = parts or [plain[0]]
    components = [{"sku": part["sku"], "quantity": draw.choice((1, 1, 2))} for part in parts]
    price = sum(p["price_minor"] * c["quantity"] for p, c in zip(parts, components, strict=True))
    return {
        "sku": f"SET-{number:04d}",
        "name": f"Gift set {number}",
        "price_minor": round(price * 0.9),
        "currency": CURRENCY,
        "category": "sets",
        "components": components,
    }


# Stock --------------------------------------------------------------------------------------------


def _targets(draw: random.Random, items: Sequence[Json], popularity: Sequence[float]) -> dict[tuple[str, str], int]:
    """Shelf targets: an item lies in one, two or three warehouses, often at the 3PL, and in some stores.

    Every channel ships from every warehouse, so that each can sell everything; what is missing where makes the splits.
    """
    units_per_day = ORDERS_PER_DAY * UNITS_PER_ORDER
    share = {item["sku"]: p for item, p in zip(items, popularity, strict=True)}
    for item, p in zip(items, popularity, strict=True):
        for part in item.get("components", ()):  # a bundle holds no stock: its parts do
            share[part["sku"]] += p * part["quantity"]
    median = sorted(popularity)[ITEMS // 2]
    targets: dict[tuple[str, str], int] = {}
    for item in items:
        if "components" in item:
            continue
        sku = item["sku"]
        held = [site for site in SITES if _holds(draw, site, item, popular=share[sku] >= median)]
        if not any(site.node_type == "warehouse" for site in held):
            held.append(draw.choice([site for site in SITES if site.node_type == "warehouse"]))
        whole = sum(site.stock_weight for site in held)
        for site in held:
            units = units_per_day * COVER_DAYS * share[sku] * site.stock_weight / whole
            targets[sku, site.code] = max(2 if site.node_type == "store" else 6, math.ceil(units))
    return targets


def _holds(draw: random.Random, site: Site, item: Json, *, popular: bool) -> bool:
    chance = {
        "warehouse": 0.8 if popular else 0.5,
        "third_party": 0.85 if popular else 0.5,
        "store": 0.6 if popular else 0.3,
        "supplier": 1.0 if item["category"] == DROP_SHIPPED else 0.0,
    }[site.node_type]
    return draw.random() < chance


# The network: the same for every seed ------------------------------------------------------------------

# Limits that the usual speeds do not reach: capacity is counted and shown, and decides only in a long, fast run.
_CAPACITY: Final = {
    "warehouse": {"orders": 1_000_000, "units": 5_000_000},
    "third_party": {"orders": 600_000, "units": 3_000_000},
    "store": {"orders": 200_000, "units": 1_000_000},
    "supplier": {"orders": 200_000, "units": 1_000_000},
}
_HANDLING_MINOR: Final = {"warehouse": 140, "third_party": 190, "store": 310, "supplier": 240}
_STOCK_WEIGHT: Final = {"warehouse": 1.0, "third_party": 0.5, "store": 0.16, "supplier": 0.9}
_REJECT_RATE: Final = {"warehouse": 0.002, "third_party": 0.005, "store": 0.02, "supplier": 0.01}
_MINUTES: Final = {
    "warehouse": (1.5, 4, 7),
    "third_party": (2, 6, 9),
    "store": (3, 8, 12),
    "supplier": (6, 10, 20),
}


def _site(
    code: str, name: str, node_type: str, country: str, postal_code: str, latitude: float, longitude: float, zone: str
) -> Site:
    accept_min, pack_min, ship_min = _MINUTES[node_type]
    return Site(
        code=code,
        document={
            "name": name,
            "node_type": node_type,
            "country": country,
            "postal_code": postal_code,
            "latitude": latitude,
            "longitude": longitude,
            "timezone": zone,
            "handling_cost_minor": _HANDLING_MINOR[node_type],
            "cutoff": "18:00" if node_type in ("warehouse", "third_party") else "16:00",
            "working_days": [1, 2, 3, 4, 5, 6] if node_type != "supplier" else [1, 2, 3, 4, 5],
            "capacity": _CAPACITY[node_type],
            "methods": ["ship", "pickup"] if node_type == "store" else ["ship"],
            "safety_stock_default": 1 if node_type == "store" else 0,
            "co2_g_per_order": 120 if node_type == "store" else 60,
        },
        stock_weight=_STOCK_WEIGHT[node_type],
        reject_rate=_REJECT_RATE[node_type],
        accept_min=accept_min,
        pack_min=pack_min,
        ship_min=ship_min,
    )


SITES: Final = (
    _site("VENLO", "Venlo distribution centre", "warehouse", "NL", "5928 LA", 51.39, 6.12, "Europe/Amsterdam"),
    _site("LYON", "Lyon distribution centre", "warehouse", "FR", "69800", 45.70, 4.95, "Europe/Paris"),
    _site("POZNAN", "Poznan distribution centre", "warehouse", "PL", "62-080", 52.44, 16.75, "Europe/Warsaw"),
    _site("PARIS", "Store Paris Marais", "store", "FR", "75004", 48.86, 2.36, "Europe/Paris"),
    _site("BERLIN", "Store Berlin Mitte", "store", "DE", "10119", 52.53, 13.40, "Europe/Berlin"),
    _site("MUNICH", "Store Munich Altstadt", "store", "DE", "80331", 48.14, 11.57, "Europe/Berlin"),
    _site("MILAN", "Store Milan Brera", "store", "IT", "20121", 45.47, 9.19, "Europe/Rome"),
    _site("MADRID", "Store Madrid Salamanca", "store", "ES", "28001", 40.43, -3.69, "Europe/Madrid"),
    _site("VIENNA", "Store Vienna Neubau", "store", "AT", "1070", 48.20, 16.35, "Europe/Vienna"),
    _site("COPENHAGEN", "Store Copenhagen Indre By", "store", "DK", "1150", 55.68, 12.58, "Europe/Copenhagen"),
    _site("BARCELONA-3PL", "Partner hub Barcelona", "third_party", "ES", "08820", 41.31, 2.08, "Europe/Madrid"),
    _site("PORTO-MAKER", "Garden maker Porto", "supplier", "PT", "4470", 41.22, -8.65, "Europe/Lisbon"),
)


def _service(
    code: str, prices_minor: list[list[int]], transit: list[tuple[float, float]], cutoff: str, co2: float
) -> Json:
    return {
        "code": code,
        "rate_table": {
            "by": "distance_km",
            "distance_km": [150, 500, 1_200, None],
            "weights_g": [1_000, 3_000, 10_000, 30_000],
            "prices_minor": prices_minor,
        },
        "currency": CURRENCY,
        "transit_days": [{"p50": p50, "p95": p95} for p50, p95 in transit],
        "cutoff": cutoff,
        "co2_g_per_tonne_km": co2,
        "dimensional_divisor": 5_000,
    }


CARRIERS: Final = {
    "northpost": {
        "name": "Northpost",
        "services": [
            _service(
                "standard",
                [[390, 480, 690, 1290], [440, 560, 820, 1590], [560, 720, 1090, 2190], [690, 920, 1490, 2990]],
                [(1.2, 2), (1.8, 3), (2.8, 5), (4, 7)],
                "18:30",
                70,
            ),
            _service(
                "express",
                [[790, 940, 1290, 2290], [990, 1190, 1690, 2990], [1490, 1790, 2590, 4490], [1990, 2490, 3690, 6490]],
                [(0.6, 1), (0.9, 1.5), (1.2, 2), (1.8, 3)],
                "17:00",
                240,
            ),
            # By road in two days, as most carriers have between the two: less is waited for at hubs.
            _service(
                "priority",
                [[520, 630, 880, 1600], [600, 750, 1090, 2050], [780, 990, 1480, 2850], [990, 1290, 2050, 4050]],
                [(0.9, 1.5), (1.2, 2), (1.8, 3), (2.6, 4.2)],
                "18:00",
                85,
            ),
        ],
    },
    "velo": {
        "name": "Velo Parcels",
        "services": [
            _service(
                "standard",
                [[340, 450, 720, 1490], [460, 610, 940, 1890], [640, 840, 1290, 2690], [840, 1090, 1790, 3590]],
                [(1, 1.8), (2, 3.2), (3.2, 5.5), (4.5, 8)],
                "17:30",
                45,
            ),
            _service(
                "express",
                [[690, 890, 1390, 2690], [1090, 1290, 1890, 3390], [1690, 2090, 2990, 5190], [2290, 2890, 4290, 7490]],
                [(0.4, 0.8), (0.9, 1.6), (1.4, 2.4), (2, 3.4)],
                "16:00",
                190,
            ),
            # By rail (24 g in network/emission_factors.csv) and cargo bike: greener, slower and a little dearer.
            _service(
                "eco",
                [[400, 490, 700, 1300], [450, 570, 840, 1620], [580, 740, 1120, 2240], [710, 950, 1530, 3060]],
                [(1.6, 3), (2.6, 4), (3.8, 6), (5, 8)],
                "17:30",
                28,
            ),
        ],
    },
}


def _codes(*types: str) -> list[str]:
    return [site.code for site in SITES if site.node_type in types]


SHOPS: Final = (
    Shop(
        code="web",
        document={
            "name": "Web shop",
            "nodes": _codes("warehouse", "store", "supplier"),
            "currency": CURRENCY,
            "priority": 10,
            "margin_rate": 0.42,
        },
        share=0.55,
        asks_first=0.35,
        reserves=0.12,
        express=0.15,
        lines=(0.46, 0.27, 0.15, 0.08, 0.04),
        night_owl=0.3,
    ),
    Shop(
        code="marketplace",
        document={
            "name": "Marketplace",
            "nodes": _codes("warehouse", "third_party"),
            "currency": CURRENCY,
            "priority": 5,
            "margin_rate": 0.24,
        },
        share=0.30,
        lines=(0.82, 0.14, 0.04),
        express=0.05,
        night_owl=0.6,
    ),
    Shop(
        code="app",
        document={
            "name": "App and tills",
            "nodes": _codes("warehouse", "store"),
            "currency": CURRENCY,
            "priority": 20,
            "margin_rate": 0.38,
        },
        share=0.15,
        asks_first=0.5,
        reserves=0.2,
        picks_up=0.45,
        express=0.25,
        lines=(0.6, 0.25, 0.1, 0.05),
    ),
)
