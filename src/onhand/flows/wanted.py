"""What policies can ask of orders, wherever those come from: a request, a batch of them, or the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from onhand.catalog.catalogue import Catalogue
from onhand.flows.intake import Intake
from onhand.flows.sheet import Sheet
from onhand.orders.intake import OrderIn
from onhand.orders.model import Order
from onhand.sourcing.policies.asking import Asking, Wanted
from onhand.sourcing.policies.facts import ItemFacts, OrderFacts, order_facts


def of_sheet(asking: Asking, sheet: Sheet, catalogue: Catalogue) -> list[Wanted]:
    """Of orders in columns, to be served in full."""
    wanted: list[Wanted] = []
    at = 0
    for order, (channel_id, external_id), placed_us, size in zip(
        sheet.orders, sheet.names, sheet.placed_us, sheet.line_counts, strict=True
    ):
        facts = partial(_facts_of_request, order, placed_us, sheet.items[at : at + size], catalogue)
        wanted.append(Wanted(facts, order.objective, asking.version_of(channel_id, external_id)))
        at += size
    return wanted


def of_intake(asking: Asking, intake: Intake, catalogue: Catalogue) -> Wanted:
    """Of one order that comes in."""
    items = [line.item_id for line in intake.lines]
    return Wanted(
        facts=partial(_facts_of_request, intake.order, intake.placed_us, items, catalogue),
        objective=intake.order.objective,
        version=asking.version_of(*intake.name),
        may_part=intake.order.allow_split,
    )


def of_order(
    asking: Asking, order: Order, catalogue: Catalogue, *, email: str | None = None, is_waived: bool = False
) -> Wanted:
    """Of an order that is sourced again.

    email      of its customer, as far as a condition asks for it
    is_waived  a person let it go, whatever its profit is
    """
    return Wanted(
        facts=partial(facts_of_order, order, catalogue, email),
        objective=order.wishes.objective,
        version=asking.version_of(order.channel_id, order.external_id),
        is_waived=is_waived,
    )


def _facts_of_request(order: OrderIn, placed_us: int, items: Sequence[int], catalogue: Catalogue) -> OrderFacts:
    to, who = order.destination, order.customer
    return order_facts(
        channel=order.channel,
        method=order.method,
        service=order.service,
        currency=order.currency,
        placed_at=datetime.fromtimestamp(placed_us / 1e6, UTC),
        country=to.country,
        region=to.region,
        postal_code=to.postal_code,
        email=None if who is None else who.email,
        is_customer_known=who is not None,
        items=[
            item_facts(catalogue, item, line.quantity, line.price_minor)
            for item, line in zip(items, order.lines, strict=True)
        ],
    )


def facts_of_order(order: Order, catalogue: Catalogue, email: str | None) -> OrderFacts:
    """What conditions can ask of an order that is kept; email: of its customer."""
    wishes = order.wishes
    return order_facts(
        channel=order.channel,
        method=wishes.method,
        service=wishes.service,
        currency=order.currency,
        placed_at=order.placed_at,
        country=wishes.destination.country,
        region=wishes.destination.region,
        postal_code=wishes.destination.postal_code,
        email=email,
        is_customer_known=order.customer_id is not None,
        items=[item_facts(catalogue, line.item_id, line.quantity, line.price_minor) for line in order.lines],
    )


def item_facts(catalogue: Catalogue, item: int, units: int, price_minor: int) -> ItemFacts:
    """What conditions can ask of one line; a bundle is one item, as heavy as what is in it."""
    parts = catalogue.bundles.get(item) or ((item, 1),)
    return {
        "sku": catalogue.skus[item],
        "category": catalogue.trade_pairs[catalogue.trade_class[item]][1] or "",
        "units": units,
        "price_minor": price_minor,
        "weight_g": sum(int(catalogue.weight_g[part]) * n for part, n in parts),
        "attributes": catalogue.attributes.get(item, {}),
    }
