"""An order with everything that decides about it, as frozen values: lines, fulfilments, and units that wait."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from onhand.network.parcels import OF_NODE
from onhand.orders.intake import Wishes

Unit = tuple[int, int]
"""(line_no, item_id): units of an order line; of a bundle's line by component."""

# What a fulfilment costs, in the order in which its row has it: a new term comes last.
TERMS = (
    "shipping",
    "handling",
    "split",
    "lateness",
    "carbon",
    "tax_duty",
    "capacity_price",
    "opportunity",
    "rejection_risk",
)

Others = tuple[tuple[str, int], ...]
"""(name, minor units) of cost terms of others, those that are not 0."""

# Fulfilments whose units count for nothing any more.
DEAD = frozenset(("cancelled", "rejected"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An ordered line; `quantity`, `cancelled`, `shipped`, `returned` count bundles where the item is one.

    components  of a bundle: (item_id, units per bundle), as they were when it was ordered
    """

    line_no: int
    line_id: str
    item_id: int
    quantity: int
    price_minor: int = 0
    tax_minor: int | None = None
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    components: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """(item_id, units of it per ordered unit)."""
        return self.components or ((self.item_id, 1),)

    @property
    def open(self) -> int:
        """Ordered units that are not cancelled."""
        return self.quantity - self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Units of an order line in a fulfilment; `shipped` of them have left, `released` were planned besides."""

    line_no: int
    item_id: int
    quantity: int
    shipped: int = 0
    released: int = 0

    @property
    def unit(self) -> Unit:
        return self.line_no, self.item_id

    @property
    def left(self) -> int:
        """Units that have not been shipped."""
        return self.quantity - self.shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Fulfilment:
    """Lines of one order leaving one node together. A dead one keeps its pieces: they are its history.

    lines, units  different items and units, as its ship day's capacity counts them
    parcels       of the carrier, as planned: all count until the fulfilment is dead; 0 where nobody carries it
    lane          key of the carrier's lane (network/parcels.py), None: none
    cost          minor units of each of TERMS; cost_of_others: of terms of others, which have a name in the row
    reason        why a node refused it or a part of it, or why it was taken away
    """

    number: int
    plan_no: int
    node_id: int
    node: str
    status: str
    carrier: str | None
    service: str | None
    method: str
    ship_day: date
    ship_by: datetime
    deliver_by: datetime
    lines: int
    units: int
    cost_minor: int
    cost: tuple[int, ...]
    co2_g: int
    pieces: tuple[Piece, ...]
    reason: str | None = None
    updated_at: datetime | None = None
    parcels: int = 0
    lane: str | None = None
    cost_of_others: Others = ()

    @property
    def cost_by_term(self) -> dict[str, int]:
        """Minor units by the name of the term; they add up to `cost_minor`."""
        return by_term(self.cost, self.cost_of_others)

    @property
    def is_live(self) -> bool:
        return self.status not in DEAD

    @property
    def left(self) -> dict[Unit, int]:
        """Units that are still to be shipped; none of a dead one."""
        return {p.unit: p.left for p in self.pieces if p.left} if self.is_live else {}

    @property
    def shipped(self) -> int:
        return sum(p.shipped for p in self.pieces)

    @property
    def parcel_counters(self) -> tuple[tuple[str, int], ...]:
        """(OF_NODE or key of the lane, node_id or 0) of each counter of its parcels; none where nobody carries it."""
        if not self.parcels or self.carrier is None:
            return ()
        of_node = OF_NODE, self.node_id
        return (of_node,) if self.lane is None else (of_node, (self.lane, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Units that no shelf backs yet; with `inbound_id` they are promised from that inbound line, at `node_id`.

    has_come  all of that supply has arrived, and others got it
    wait_id   None until it is stored
    """

    line_no: int
    item_id: int
    queue: str
    quantity: int
    inbound_id: str | None = None
    inbound_line: int | None = None
    node_id: int | None = None
    expected_at: datetime | None = None
    has_come: bool = False
    wait_id: int | None = None

    @property
    def unit(self) -> Unit:
        return self.line_no, self.item_id

    @property
    def is_dated(self) -> bool:
        """Whether supply is on its way for it."""
        return self.inbound_id is not None and not self.has_come


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as loaded under lock.

    held             a person must let it go: nothing ships
    currency         of its prices, ISO 4217
    plans, shipments, returns  how many there were: the next one gets the next number
    skus             of every item in it
    """

    order_id: str
    channel_id: int
    channel: str
    external_id: str
    status: str
    queue: str | None
    placed_at: datetime
    deliver_by: datetime | None
    customer_id: str | None
    wishes: Wishes
    lines: tuple[Line, ...]
    fulfilments: tuple[Fulfilment, ...] = ()
    waiting: tuple[Wait, ...] = ()
    held: bool = False
    currency: str = ""
    plans: int = 1
    shipments: int = 0
    returns: int = 0
    skus: Mapping[int, str]

    @property
    def live(self) -> tuple[Fulfilment, ...]:
        """Fulfilments that are neither cancelled nor rejected."""
        return tuple(f for f in self.fulfilments if f.is_live)

    def line(self, line_no: int) -> Line:
        return next(line for line in self.lines if line.line_no == line_no)

    def fulfilment(self, number: int) -> Fulfilment | None:
        return next((f for f in self.fulfilments if f.number == number), None)

    def fulfilment_id(self, number: int) -> str:
        return f"{self.order_id}-f{number}"


def total(units: Iterable[tuple[Unit, int]]) -> dict[Unit, int]:
    """Units summed by line and item."""
    sums: dict[Unit, int] = {}
    for unit, count in units:
        sums[unit] = sums.get(unit, 0) + count
    return sums


def by_term(cost: Sequence[int], others: Others) -> dict[str, int]:
    """Minor units by the name of the term, built-in ones first."""
    return dict(zip(TERMS, cost, strict=True)) | dict(others)


def split_cost(terms: Sequence[int], names: Sequence[str]) -> tuple[tuple[int, ...], Others]:
    """Minor units of TERMS and, behind them, of further terms `names`, told apart."""
    own = len(TERMS)
    others = zip(names, terms[own:], strict=True)
    return tuple(terms[:own]), tuple((name, minor) for name, minor in others if minor)
