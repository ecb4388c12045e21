"""From a request to an order that can be decided: every check that needs no lock."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from xxhash import xxh3_128_digest

from onhand.base.dates import YEARS, microseconds
from onhand.base.money import is_currency
from onhand.catalog.catalogue import Catalogue
from onhand.errors import FieldError, InvalidInput
from onhand.network.compiled import METHODS, Channel, Network
from onhand.network.places import locate
from onhand.orders.intake import COUNTRY_CODES, LINES_MAX, MONEY_MAX, QUANTITY_MAX, Destination, OrderIn, PaymentIn
from onhand.orders.model import Order
from onhand.sourcing import custom
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Ask

UNITS_MAX = 2_000_000_000
assert LINES_MAX * QUANTITY_MAX <= UNITS_MAX, "only bundles can exceed it"
TOTAL_MINOR_MAX = 2**63 - 1
# So few lines cannot come to more.
FEW_LINES = TOTAL_MINOR_MAX // (QUANTITY_MAX * MONEY_MAX)
UNPRINTABLE = "expected printable characters only"
_UNLOCATABLE = "destination cannot be located: send latitude and longitude, or a known country"

_encode = msgspec.json.encode
_NO_ITEMS = frozenset[int]()


class World(Protocol):
    """What intake reads of the running system."""

    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def network(self) -> Network: ...
    @property
    def policy(self) -> Policy: ...


class NotInNetwork(FieldError):
    """Names something that the network of this process does not have, or has otherwise."""

    __slots__ = ()


class NotKnown(InvalidInput):
    """Refused for what memory does not know: another process may just have set it up (see second_look.py)."""

    def __init__(self, errors: list[FieldError], skus: list[str]) -> None:
        super().__init__(errors)
        self._skus = skus

    @property
    def skus(self) -> list[str]:
        return self._skus

    @property
    def is_about_network(self) -> bool:
        return any(isinstance(e, NotInNetwork) for e in self.errors)


def refusal(errors: list[FieldError], skus: list[str]) -> InvalidInput:
    """What to raise for `errors`, among them that there are no `skus`."""
    error = NotKnown(errors, skus)
    return error if skus or error.is_about_network else InvalidInput(errors)


class OrderLine(msgspec.Struct, kw_only=True, gc=False):
    """An order line with its item; components of a bundle as (item_id, units per bundle)."""

    line_no: int
    line_id: str
    item_id: int
    quantity: int
    components: tuple[tuple[int, int], ...] = ()

    def wants(self) -> Iterable[tuple[int, int]]:
        """(item_id, units) that leave the shelf for it."""
        if not self.components:
            return ((self.item_id, self.quantity),)
        return tuple((item, units * self.quantity) for item, units in self.components)


class Intake(msgspec.Struct, kw_only=True, gc=False):
    """A checked order on its way to a decision.

    line_of   per demand row of `ask` the order line it belongs to, -1 where several share it
    held      why it must wait for a person, or None
    preorder  items that are not released yet
    """

    channel: Channel
    order: OrderIn
    placed_us: int
    lines: list[OrderLine]
    ask: Ask
    line_of: list[int]
    hash: bytes
    actor: int
    reason: str | None = None
    key: str | None = None
    held: str | None = None
    unlocatable: bool = False
    reservation_id: str | None = None
    preorder: frozenset[int] = frozenset()

    @property
    def external_id(self) -> str:
        return self.order.external_id

    @property
    def name(self) -> tuple[int, str]:
        """What no two orders share: channel_id and external id."""
        return self.channel.channel_id, self.order.external_id

    @property
    def is_simple(self) -> bool:
        """Whether the fast path may decide it: nothing but shelf stock is involved."""
        return self.held is None and self.reservation_id is None and not self.preorder


def prepare(
    world: World,
    order: OrderIn,
    *,
    actor: int,
    reason: str | None = None,
    key: str | None,
    now: datetime,
    body_hash: bytes | None = None,
) -> Intake:
    """Check `order` against catalogue and network. `body_hash` is its `hash_order`, where the caller has it.

    Raises NotKnown (which deserves a second look) or InvalidInput, naming every field that is wrong.
    """
    network, policy, catalogue = world.network, world.policy, world.catalogue
    errors: list[FieldError] = []
    channel = network.channels.get(order.channel)
    if channel is None or not channel.active:
        channel = active_channel(network, order.channel, errors)
    if not is_currency(order.currency):
        errors.append(FieldError("currency", f"{order.currency!r} is no ISO 4217 currency"))
    if not order.external_id.isprintable():
        errors.append(FieldError("external_id", UNPRINTABLE))
    if order.placed_at is not None and order.placed_at.year not in YEARS:
        errors.append(FieldError("placed_at", f"expected a year from {YEARS[0]} to {YEARS[-1]}"))
    lines, unknown = _lines(catalogue, order, errors)
    demand, line_of = _demand(lines)
    # Sums only where they can be too large.
    if catalogue.bundles and sum(units for _, units in demand) > UNITS_MAX:
        errors.append(FieldError("lines", f"expected at most {UNITS_MAX} units in all"))
    if len(order.lines) > FEW_LINES and sum(line.quantity * line.price_minor for line in order.lines) > TOTAL_MINOR_MAX:
        errors.append(FieldError("lines", f"expected prices times quantities of at most {TOTAL_MINOR_MAX} in all"))
    destination = order.destination
    check_country(destination, errors)
    latitude, longitude, unlocatable = place_of(destination)
    method = order.method
    pickup = 0
    if method != "ship" or order.pickup_node is not None:
        pickup = pickup_of(network, channel, method, order.pickup_node, errors)
    if order.service is not None and order.service not in network.service_codes:
        errors.append(NotInNetwork("service", f"no carrier offers {order.service!r}"))
    if order.payment is not None:
        _check_payment(network, order.payment, errors)
    reservation_id = None
    if order.reservation_id is not None:
        reservation_id = _uuid(order.reservation_id, "reservation_id", errors)
    if errors or channel is None:
        raise refusal(errors, unknown)
    if pickup:
        unlocatable = False
        if method == "ship_to_store":
            latitude, longitude = _node_place(network, pickup)
    releases = catalogue.releases
    preorder = (
        frozenset(i for i, _ in demand if (at := releases.get(i)) is not None and at > now) if releases else _NO_ITEMS
    )
    return Intake(
        channel=channel,
        order=order,
        placed_us=microseconds(order.placed_at or now),
        lines=lines,
        line_of=line_of,
        ask=Ask(
            demand=demand,
            latitude=latitude,
            longitude=longitude,
            channel=channel,
            place=(destination.country, destination.region or "", destination.postal_code),
            method=method,
            service=order.service,
            pickup_node=pickup if method == "pickup" else 0,
            fulfilments_max=policy.fulfilments_max if order.allow_split else 1,
            objective=policy.index(order.objective),
            residential=destination.residential,
            prices=_prices([line.price_minor for line in order.lines], lines, demand, catalogue)
            if are_prices_read(network, policy)
            else [],
        ),
        hash=body_hash or hash_order(_encode(order)),
        actor=actor,
        reason=reason,
        key=key,
        held=_UNLOCATABLE if unlocatable else order.hold,
        unlocatable=unlocatable,
        reservation_id=reservation_id,
        preorder=preorder,
    )


def are_prices_read(network: Network, policy: Policy) -> bool:
    """Whether a decision may depend on what is paid: for duty, for a floor, or because terms of others look at it."""
    return network.duties.has_duties or policy.reads_prices or bool(custom.installed())


def hash_order(canonical: bytes) -> bytes:
    """128 bits that tell a repeat from another order under the same name; of the order as JSON again.

    Not cryptographic, which takes ten times as long: who can make two orders with one hash has sent both.
    """
    return xxh3_128_digest(canonical)


def rebuild_ask(world: World, order: Order, channel: Channel, *, priced: bool = False) -> Ask | None:
    """The ask of an order that is sourced again, for everything that is in it; None while its destination cannot be
    located. priced: with prices even where no decision depends on them."""
    network, policy, wish = world.network, world.policy, order.wishes
    latitude, longitude, unlocatable = place_of(wish.destination)
    pickup = network.node_ids.get(wish.pickup_node or "", 0)
    if wish.method == "ship_to_store" and pickup:
        latitude, longitude, unlocatable = *_node_place(network, pickup), False
    if unlocatable and wish.method != "pickup":
        return None
    destination = wish.destination
    bought = [
        OrderLine(line_no=n.line_no, line_id=n.line_id, item_id=n.item_id, quantity=n.quantity, components=n.components)
        for n in order.lines
    ]
    demand, _ = _demand(bought)
    return Ask(
        demand=demand,
        prices=_prices([n.price_minor for n in order.lines], bought, demand, world.catalogue)
        if priced or are_prices_read(network, policy)
        else [],
        latitude=latitude,
        longitude=longitude,
        channel=channel,
        place=(destination.country, destination.region or "", destination.postal_code),
        method=wish.method,
        service=wish.service,
        pickup_node=pickup if wish.method == "pickup" else 0,
        fulfilments_max=policy.fulfilments_max if wish.allow_split else 1,
        objective=policy.index(wish.objective),
        residential=destination.residential,
    )


def active_channel(network: Network, code: str, errors: list[FieldError]) -> Channel | None:
    """The channel of that code; None with an entry in `errors` when there is none that takes orders."""
    channel = network.channels.get(code)
    if channel is None:
        errors.append(NotInNetwork("channel", f"no channel {code!r}; PUT /v1/channels/{code} first"))
    elif not channel.active:
        errors.append(NotInNetwork("channel", f"channel {code!r} is not active"))
    return channel


def _check_payment(network: Network, payment: PaymentIn, errors: list[FieldError]) -> None:
    provider = network.channels.get(payment.provider)
    if provider is None or not provider.active or not provider.is_connected:
        message = f"{payment.provider!r} takes no payments: PUT /v1/channels/{{code}} with the connector of a provider"
        errors.append(NotInNetwork("payment.provider", message))
    if not payment.token and not payment.authorisation:
        errors.append(FieldError("payment.token", "required, unless authorisation names one that is there already"))


def _lines(catalogue: Catalogue, order: OrderIn, errors: list[FieldError]) -> tuple[list[OrderLine], list[str]]:
    """The lines, and the skus that are not known."""
    ids, bundles = catalogue.ids, catalogue.bundles
    lines: list[OrderLine] = []
    seen: set[str] = set()
    unknown: list[str] = []
    for number, line in enumerate(order.lines):
        if line.line_id in seen:
            errors.append(FieldError(f"lines[{number}].line_id", f"{line.line_id!r} stands twice in this order"))
        seen.add(line.line_id)
        if not line.line_id.isprintable():
            errors.append(FieldError(f"lines[{number}].line_id", UNPRINTABLE))
        item_id = ids.get(line.sku)
        if item_id is None:
            unknown.append(line.sku)
            errors.append(FieldError(f"lines[{number}].sku", f"no item {line.sku!r}"))
            continue
        lines.append(
            OrderLine(
                line_no=number + 1,
                line_id=line.line_id,
                item_id=item_id,
                quantity=line.quantity,
                components=bundles.get(item_id, ()),
            )
        )
    return lines, unknown


def _demand(lines: list[OrderLine]) -> tuple[list[tuple[int, int]], list[int]]:
    """Units by item, bundles exploded and summed before any check; and the line of each row, -1 if several."""
    if len(lines) == 1 and not lines[0].components:
        return [(lines[0].item_id, lines[0].quantity)], [1]
    units: dict[int, int] = {}
    line_of: dict[int, int] = {}
    for line in lines:
        for item, quantity in line.wants():
            if item in units:
                units[item] += quantity
                line_of[item] = -1
            else:
                units[item] = quantity
                line_of[item] = line.line_no
    return list(units.items()), list(line_of.values())


def _prices(
    prices: Sequence[int], lines: Sequence[OrderLine], demand: Sequence[tuple[int, int]], catalogue: Catalogue
) -> list[tuple[float, float]]:
    """(price, cost) of one unit of each demand row; a bundle's price is shared alike by the units in it."""
    paid: dict[int, float] = {}
    for line, price_minor in zip(lines, prices, strict=True):
        wants = list(line.wants())
        price = price_minor * line.quantity / sum(units for _, units in wants)
        for item, units in wants:
            paid[item] = paid.get(item, 0.0) + price * units
    return [(paid[item] / units, float(catalogue.unit_cost[item])) for item, units in demand]


def check_country(destination: Destination, errors: list[FieldError]) -> None:
    if destination.country not in COUNTRY_CODES:
        errors.append(FieldError("destination.country", "expected two letters from A to Z, such as DE"))


def place_of(destination: Destination) -> tuple[float, float, bool]:
    """(latitude, longitude, whether it could not be located)."""
    if destination.latitude is not None and destination.longitude is not None:
        return destination.latitude, destination.longitude, False
    place = locate(
        destination.country,
        destination.region,
        destination.postal_code,
        destination.latitude,
        destination.longitude,
    )
    if place is None:
        return 0.0, 0.0, True
    return place.latitude, place.longitude, False


def pickup_of(
    network: Network,
    channel: Channel | None,
    method: str,
    code: str | None,
    errors: list[FieldError],
) -> int:
    if method == "ship":
        if code is not None:
            errors.append(FieldError("pickup_node", 'only with method "pickup" or "ship_to_store"'))
        return 0
    node = network.node_ids.get(code or "", 0)
    if code is None:
        errors.append(FieldError("pickup_node", f"required for method {method!r}"))
    elif not node or not network.methods[node] & METHODS["pickup"]:
        errors.append(NotInNetwork("pickup_node", f"no active node {code!r} offers pickup"))
    elif channel is not None and method == "pickup" and node not in network.channel_nodes(channel):
        errors.append(NotInNetwork("pickup_node", f"{code!r} is no node of channel {channel.code!r}"))
    return node


def _node_place(network: Network, node: int) -> tuple[float, float]:
    return math.degrees(network.latitude[node]), math.degrees(network.longitude[node])


def _uuid(text: str, path: str, errors: list[FieldError]) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        errors.append(FieldError(path, f"expected a UUID, got {text!r}"))
        return None
