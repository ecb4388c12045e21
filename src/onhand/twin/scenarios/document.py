"""What a scenario says: a merchant's weeks, and what goes wrong in them. YAML, checked with places."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

from importlib import resources
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from onhand.base.fields import Code, Name, Strict
from onhand.documents.findings import Finding, by_place, found_at, found_in, validate
from onhand.documents.text import Document, Unreadable, read
from onhand.errors import InvalidInput
from onhand.incidents.playbooks.store import shipped as playbooks

NAMES: Final = ("black_friday", "carrier_strike", "viral_item", "store_phantoms", "supplier_late", "marketplace_outage")
"""The six that autopilot is measured by."""
OTHERS: Final = ("double_clicks", "deaf_marketplace", "wrong_prices", "stray_parcels", "forgetful_nodes")
"""Small ones, of failures that these do not have: every playbook that ships has its scenario."""
SHIPPED: Final = NAMES + OTHERS
"""Those that come with the package."""

CARRIERS: Final = ("northpost", "swift")
CHANNELS: Final = ("web", "marketplace", "social")

_Share = Annotated[float, Field(ge=0, le=1)]
_Day = Annotated[float, Field(ge=0, le=60, description="of the counted days, from 0")]
_Days = Annotated[float, Field(gt=0, le=60)]


class _EventIn(Strict):
    from_day: _Day = 0.0
    days: _Days = 60.0
    title: Annotated[Name | None, Field(description="of its chapter, where the demo tells it as a story")] = None
    text: Annotated[str | None, Field(min_length=1, max_length=600, description="of that chapter")] = None


class CarrierDelay(_EventIn):
    """Parcels that a carrier takes over in these days need longer, and a few more are lost."""

    kind: Literal["carrier_delay"]
    carrier: Literal["northpost", "swift"]
    nodes: Annotated[_Share, Field(description="share of the nodes that it picks up from so slowly")] = 1.0
    delay_days: Annotated[float, Field(ge=0, le=30)] = 0.0
    lost: _Share = 0.0


class DemandSurge(_EventIn):
    """Some items are wanted by more people."""

    kind: Literal["demand_surge"]
    items: Annotated[int, Field(ge=1, le=1_000, description="how many; the usual ones that sell well first")] = 1
    factor: Annotated[float, Field(gt=0, le=100)]
    foreseen: Annotated[bool, Field(description="stock was bought for it, and nodes were staffed")] = False


class NodeSlow(_EventIn):
    """Some nodes do less than they said."""

    kind: Literal["node_slow"]
    nodes: Annotated[int, Field(ge=1, le=20)] = 1
    share: Annotated[_Share, Field(description="of what they said")]


class Phantoms(_EventIn):
    """From a day on records of stores say what is not there."""

    kind: Literal["phantoms"]
    share: Annotated[_Share, Field(description="of items at stores")]


class SupplierDelay(_EventIn):
    """What suppliers were to deliver in these days comes later, or not all of it."""

    kind: Literal["supplier_delay"]
    suppliers: Annotated[int, Field(ge=1, le=6)] = 1
    delay_days: Annotated[float, Field(ge=0, le=60)] = 0.0
    short: Annotated[_Share, Field(description="of the units, that never come")] = 0.0


class ChannelOutage(_EventIn):
    """A channel goes on selling, but neither tells its orders nor takes new numbers; they come when it is over."""

    kind: Literal["channel_outage"]
    channel: Literal["web", "marketplace", "social"] = "marketplace"


class PaymentFailures(_EventIn):
    """Payments of some orders fail, and some of those are paid a day later."""

    kind: Literal["payment_failures"]
    share: _Share
    recovered: _Share = 0.6


class DuplicateOrders(_EventIn):
    """Some orders of a channel come twice within minutes; their customers want them once."""

    kind: Literal["duplicate_orders"]
    channel: Literal["web", "marketplace", "social"] = "web"
    share: _Share


class DeafMarketplace(_EventIn):
    """The marketplace takes no new numbers: it tells its orders, and sells what is gone. Closing a listing works."""

    kind: Literal["deaf_marketplace"]


class WrongPrices(_EventIn):
    """A feed writes wrong prices of some items; more people buy what is far too cheap."""

    kind: Literal["wrong_prices"]
    items: Annotated[int, Field(ge=1, le=1_000)] = 1
    factor: Annotated[float, Field(gt=0, lt=1, description="over the usual price")] = 0.1


class StrayParcels(_EventIn):
    """Single parcels go astray: they come days later, whatever the lane."""

    kind: Literal["stray_parcels"]
    share: _Share
    delay_days: Annotated[float, Field(gt=0, le=30)] = 5.0


class ForgottenOrders(_EventIn):
    """Some nodes forget some of their orders: nobody works on them."""

    kind: Literal["forgotten_orders"]
    nodes: Annotated[int, Field(ge=1, le=20)] = 1
    share: _Share


Event = Annotated[
    CarrierDelay
    | DemandSurge
    | NodeSlow
    | Phantoms
    | SupplierDelay
    | ChannelOutage
    | PaymentFailures
    | DuplicateOrders
    | DeafMarketplace
    | WrongPrices
    | StrayParcels
    | ForgottenOrders,
    Field(discriminator="kind"),
]


class Scenario(Strict):
    """Weeks of a merchant with 20 nodes, two carriers from each, six suppliers and three channels."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
    description: Name
    days: Annotated[int, Field(ge=3, le=60, description="that are counted; two weeks lie before them")] = 21
    orders_per_day: Annotated[int, Field(ge=20, le=5_000)] = 800
    items: Annotated[int, Field(ge=20, le=1_000)] = 240
    cover_days: Annotated[float, Field(ge=1, le=60, description="that stock is bought for, beyond lead times")] = 6.0
    phantoms: Annotated[_Share, Field(description="of items at stores, from the beginning")] = 0.005
    lost: Annotated[_Share, Field(description="of parcels")] = 0.001
    payment_failures: _Share = 0.005
    events: Annotated[list[Event], Field(max_length=50)] = []
    playbooks: Annotated[list[Code], Field(max_length=50, description="that ship and answer what goes wrong here")] = []


def schema() -> dict[str, Any]:
    """JSON Schema of a scenario, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Scenario.model_json_schema(by_alias=True)


def parse(text: str) -> tuple[Scenario | None, list[Finding]]:
    """A scenario, and what is wrong with it, by place; None where it cannot be used."""
    found: list[Finding] = []
    try:
        document = read(text)
    except Unreadable as error:
        return None, [found_at("error", error.place, "", str(error), error.remedy)]
    scenario = validate(document, Scenario, found, what="a scenario", begin="name:")
    if scenario is not None:
        found += _odd(document, scenario)
    return (None if any(f.severity == "error" for f in found) else scenario), by_place(found)


def _odd(document: Document, scenario: Scenario) -> list[Finding]:
    """What can be lived through and is most likely not meant."""
    found: list[Finding] = []
    for n, event in enumerate(scenario.events):
        place = "events", n
        if event.from_day >= scenario.days:
            message = f"begins after the {scenario.days} days that are counted"
            found.append(found_in(document, (*place, "from_day"), "error", message, "begin earlier, or add days"))
        if isinstance(event, DemandSurge | WrongPrices) and event.items > scenario.items:
            message = f"there are {scenario.items} items"
            found.append(found_in(document, (*place, "items"), "error", message, "choose fewer, or add items"))
        if isinstance(event, CarrierDelay) and not event.delay_days and not event.lost:
            found.append(found_in(document, place, "warning", "changes nothing", "say delay_days, or lost"))
        if isinstance(event, SupplierDelay) and not event.delay_days and not event.short:
            found.append(found_in(document, place, "warning", "changes nothing", "say delay_days, or short"))
    for n, name in enumerate(scenario.playbooks):
        if name not in playbooks():
            remedy = f"say one of {', '.join(playbooks())}"
            found.append(found_in(document, ("playbooks", n), "warning", "no playbook of that name ships", remedy))
    return found


def shipped(name: str) -> Scenario:
    """A scenario that comes with the package. Raises InvalidInput."""
    if name not in SHIPPED:
        raise InvalidInput.at("scenario", f"no scenario {name!r}: expected one of {', '.join(SHIPPED)}, or a file")
    scenario, found = parse(text_of(name))
    assert scenario is not None, f"{name}: {found}"
    return scenario


def text_of(name: str) -> str:
    """The document of a scenario that comes with the package."""
    return resources.files("onhand.twin.scenarios").joinpath("shipped", f"{name}.yaml").read_text("utf-8")
