"""Set-up data: items, nodes, node groups, carriers, channels, listings. How they answer: setup_answers.py; what else
the network needs: routes_network.py."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from starlette.responses import Response

import onhand.catalog.store as catalog_store
import onhand.channels.store as channel_store
import onhand.network.store as network_store
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.routing import routes
from onhand.api.setup_answers import (
    BATCH_MAX,
    AnyRow,
    DryRun,
    Filter,
    ListOut,
    RowOut,
    Sku,
    TheCode,
    after_code,
    found,
    get_options,
    is_change,
    list_options,
    page_answer,
    post_options,
    put_answer,
    put_options,
    results_answer,
    take_over_network,
    without,
)
from onhand.app import App
from onhand.base.fields import Country
from onhand.base.results import RowResult
from onhand.catalog.model import Item, ItemIn, ItemRow
from onhand.channels.model import (
    Channel,
    ChannelIn,
    GateIn,
    ListingIn,
    ListingStatus,
    OversellIn,
    QuotaIn,
)
from onhand.errors import DatabaseUnavailable
from onhand.flows import set_up
from onhand.network.model import (
    Carrier,
    CarrierIn,
    Node,
    NodeGroupIn,
    NodeIn,
    NodeRow,
    NodeType,
    Service,
)

router = routes("set-up")


# Answers: documentation only, rows are written out as they are ------------------------------------


class _Times(BaseModel):
    created_at: datetime
    updated_at: datetime


class ItemOut(ItemRow, _Times):
    """An item."""


class NodeOut(NodeRow, _Times):
    """A node."""


class NodeGroupOut(NodeGroupIn):
    """A node group."""

    code: str
    updated_at: datetime


class LearnedTransitOut(BaseModel):
    """Days that a service really takes, beside those declared for the same shipments. Without a lane or a node: of the
    whole service, whose declared times are all corrected by `p50_factor` and `spread_factor`."""

    service: str
    lane: Annotated[str | None, Field(description="key of a lane that the service declares")] = None
    node: Annotated[str | None, Field(description="from there to `country`, or to `region` of it")] = None
    country: str | None = None
    region: str | None = None
    p50: float
    p95: float
    p50_declared: float
    p95_declared: float
    delivered: Annotated[int, Field(description="shipments it was learned of")]
    on_their_way: Annotated[int, Field(description="and those that say that it takes longer than until now")]
    p50_factor: float | None = None
    spread_factor: Annotated[float | None, Field(description="of the logarithm of p95 over p50")] = None


class CarrierOut(BaseModel):
    """A carrier, as declared and as learned of its deliveries."""

    code: str
    name: str
    services: list[Service]
    transit: Annotated[
        Literal["learned", "declared"], Field(description="what promises rest on, once enough is learned")
    ]
    learned: list[LearnedTransitOut]
    learned_at: datetime | None
    active: bool
    updated_at: datetime


class ChannelOut(BaseModel):
    """A channel; credentials are never shown."""

    code: str
    name: str
    connector: str
    nodes: list[str] | None
    node_group: str | None
    currency: str
    priority: int
    margin_rate: float | None
    gate: GateIn
    quota: QuotaIn | None
    oversell: OversellIn
    settings: dict[str, Any]
    prices: bool
    active: bool
    updated_at: datetime


class ListingOut(BaseModel):
    """A listing."""

    channel: str
    sku: str
    external_id: str | None
    external_sku: str | None
    status: ListingStatus
    updated_at: datetime


class ItemResults(BaseModel):
    """What became of each row, in their order."""

    class ItemResult(RowOut):
        """A row, by its own name."""

        sku: str | None

    results: list[ItemResult]


class NodeResults(BaseModel):
    """What became of each row, in their order."""

    class NodeResult(RowOut):
        """A row, by its own name."""

        node: str | None

    results: list[NodeResult]


class ItemBatch(BaseModel):
    """Up to 5,000 items; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"sku": "MUG-BLUE", "name": "Enamel mug, blue", "weight_g": 340},
                        {"sku": "PLATE-BLUE", "name": "Enamel plate, blue", "weight_g": 420, "category": "kitchen"},
                    ]
                }
            ]
        },
    )

    items: Annotated[list[Annotated[ItemRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class NodeBatch(BaseModel):
    """Up to 5,000 nodes; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "nodes": [
                        {
                            "code": "LYON",
                            "name": "Lyon warehouse",
                            "node_type": "warehouse",
                            "country": "FR",
                            "latitude": 45.73,
                            "longitude": 4.84,
                            "timezone": "Europe/Paris",
                        }
                    ]
                }
            ]
        },
    )

    nodes: Annotated[list[Annotated[NodeRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class ItemList(ListOut):
    """A page of items."""

    data: list[ItemOut]


class NodeList(ListOut):
    """A page of nodes."""

    data: list[NodeOut]


class NodeGroupList(ListOut):
    """A page of node groups."""

    data: list[NodeGroupOut]


class CarrierList(ListOut):
    """A page of carriers."""

    data: list[CarrierOut]


class ChannelList(ListOut):
    """A page of channels."""

    data: list[ChannelOut]


class ListingList(ListOut):
    """A page of listings."""

    data: list[ListingOut]


def _take_over_items(app: App, skus: Sequence[str]) -> None:
    # It is committed: what fails here, the follower does a moment later.
    with suppress(DatabaseUnavailable):
        if skus:
            app.state.learn_items(list(skus))


# Items --------------------------------------------------------------------------------------------


@router.put("/v1/items/{sku:path}", **put_options(ItemOut))
def put_item(sku: Sku, body: ItemIn, app: TheApp, by: By) -> Response:
    """Create or replace an item. With `components` it is a bundle: it holds no stock of its own, and ordering it takes
    its components.
    """
    written, item = set_up.set_item(app.db, sku, body, by=by)
    if written != "unchanged":
        _take_over_items(app, [sku])
    return put_answer(written, public_item(item), "items", sku)


@router.get("/v1/items/{sku:path}", **get_options(ItemOut))
def get_item(sku: Sku, app: TheApp) -> Response:
    """One item."""
    with app.db.connection() as conn:
        item = catalog_store.get_item(conn, sku)
    return found("item", sku, item and public_item(item))


@router.get("/v1/items", **list_options(ItemList))
def list_items(
    app: TheApp,
    page: Annotated[Page, pages("items", str)],
    category: Filter = None,
    bundle: Annotated[bool | None, Query(description="only bundles, or no bundles")] = None,
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="part of a sku or a name")] = None,
) -> Response:
    """Items by sku."""
    with app.db.connection() as conn:
        rows = catalog_store.list_items(
            conn, after=after_code(page), limit=page.limit + 1, category=category, bundle=bundle, q=q
        )
    return page_answer(page.answer(rows, lambda item: (item.sku,), public_item))


@router.post("/v1/items/batch", **post_options(ItemResults))
def post_items(body: ItemBatch, app: TheApp, by: By, once: OnceDep, dry_run: DryRun = False) -> Response:
    """Create or replace up to 5,000 items. A bad row never blocks a good one; bundles may name items of the same batch,
    wherever they stand in it.
    """
    results: list[RowResult] = []
    answer = once.run(
        lambda transact: results.extend(set_up.set_items(app.db, body.items, by=by, transact=transact)),
        answer=lambda rows: results_answer(rows, "sku"),
        is_trial=dry_run,
    )
    _take_over_items(app, [r.key for r in results if r.key is not None and is_change(r)])
    return answer


# Nodes --------------------------------------------------------------------------------------------


@router.put("/v1/nodes/{code:path}", **put_options(NodeOut))
def put_node(code: TheCode, body: NodeIn, app: TheApp, by: By) -> Response:
    """Create or replace a node."""
    written, node = set_up.set_node(app.db, code, body, by=by)
    take_over_network(app, written != "unchanged")
    return put_answer(written, public_node(node), "nodes", code)


@router.get("/v1/nodes/{code:path}", **get_options(NodeOut))
def get_node(code: TheCode, app: TheApp) -> Response:
    """One node."""
    with app.db.connection() as conn:
        node = network_store.get_node(conn, code)
    return found("node", code, node and public_node(node))


@router.get("/v1/nodes", **list_options(NodeList))
def list_nodes(
    app: TheApp,
    page: Annotated[Page, pages("nodes", str)],
    node_type: NodeType | None = None,
    country: Country | None = None,
    active: bool | None = None,
) -> Response:
    """Nodes by code."""
    with app.db.connection() as conn:
        rows = network_store.list_nodes(
            conn,
            after=after_code(page),
            limit=page.limit + 1,
            node_type=node_type,
            country=country,
            active=active,
        )
    return page_answer(page.answer(rows, lambda node: (node.code,), public_node))


@router.post("/v1/nodes/batch", **post_options(NodeResults))
def post_nodes(body: NodeBatch, app: TheApp, by: By, once: OnceDep, dry_run: DryRun = False) -> Response:
    """Create or replace up to 5,000 nodes. A bad row never blocks a good one."""
    results: list[RowResult] = []
    answer = once.run(
        lambda transact: results.extend(set_up.set_nodes(app.db, body.nodes, by=by, transact=transact)),
        answer=lambda rows: results_answer(rows, "node"),
        is_trial=dry_run,
    )
    take_over_network(app, any(map(is_change, results)))
    return answer


# Node groups --------------------------------------------------------------------------------------


@router.put("/v1/node-groups/{code:path}", **put_options(NodeGroupOut))
def put_node_group(code: TheCode, body: NodeGroupIn, app: TheApp, by: By) -> Response:
    """Create or replace a node group."""
    written, group = set_up.set_node_group(app.db, code, body, by=by)
    take_over_network(app, written != "unchanged")
    return put_answer(written, group, "node-groups", code)


@router.get("/v1/node-groups/{code:path}", **get_options(NodeGroupOut))
def get_node_group(code: TheCode, app: TheApp) -> Response:
    """One node group."""
    with app.db.connection() as conn:
        return found("node_group", code, network_store.get_group(conn, code))


@router.get("/v1/node-groups", **list_options(NodeGroupList))
def list_node_groups(app: TheApp, page: Annotated[Page, pages("node-groups", str)]) -> Response:
    """Node groups by code."""
    with app.db.connection() as conn:
        rows = network_store.list_groups(conn, after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda group: (group.code,)))


# Carriers -----------------------------------------------------------------------------------------


@router.put("/v1/carriers/{code:path}", **put_options(CarrierOut))
def put_carrier(code: TheCode, body: CarrierIn, app: TheApp, by: By) -> Response:
    """Create or replace a carrier with all its services and rate tables."""
    written, carrier = set_up.set_carrier(app.db, code, body, by=by)
    take_over_network(app, written != "unchanged")
    return put_answer(written, public_carrier(carrier), "carriers", code)


@router.get("/v1/carriers/{code:path}", **get_options(CarrierOut))
def get_carrier(code: TheCode, app: TheApp) -> Response:
    """One carrier."""
    with app.db.connection() as conn:
        carrier = network_store.get_carrier(conn, code)
    return found("carrier", code, carrier and public_carrier(carrier))


@router.get("/v1/carriers", **list_options(CarrierList))
def list_carriers(app: TheApp, page: Annotated[Page, pages("carriers", str)]) -> Response:
    """Carriers by code."""
    with app.db.connection() as conn:
        rows = network_store.list_carriers(conn, after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda carrier: (carrier.code,), public_carrier))


# Channels -----------------------------------------------------------------------------------------


@router.put("/v1/channels/{code}", **put_options(ChannelOut))
def put_channel(code: TheCode, body: ChannelIn, app: TheApp, by: By) -> Response:
    """Create or replace a channel. With neither `nodes` nor `node_group` every node serves it. Credentials that are
    left out stay as they are, unless a setting that says where they are sent is another: then they are required.
    """
    written, channel = set_up.set_channel(app.db, code, body, by=by, connectors=app.connectors)
    take_over_network(app, written != "unchanged")
    return put_answer(written, public_channel(channel), "channels", code)


@router.get("/v1/channels/{code}", **get_options(ChannelOut))
def get_channel(code: TheCode, app: TheApp) -> Response:
    """One channel, without its credentials."""
    with app.db.connection() as conn:
        channel = channel_store.get_channel(conn, code)
    return found("channel", code, channel and public_channel(channel))


@router.get("/v1/channels", **list_options(ChannelList))
def list_channels(app: TheApp, page: Annotated[Page, pages("channels", str)]) -> Response:
    """Channels by code."""
    with app.db.connection() as conn:
        rows = channel_store.list_channels(conn, after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda channel: (channel.code,), public_channel))


# Listings -----------------------------------------------------------------------------------------


@router.put("/v1/listings/{channel}/{sku:path}", **put_options(ListingOut, 404))
def put_listing(channel: TheCode, sku: Sku, body: ListingIn, app: TheApp, by: By) -> Response:
    """Offer an item on a channel, or change how."""
    written, listing = set_up.set_listing(app.db, channel, sku, body, by=by)
    return put_answer(written, listing, "listings", channel, sku)


@router.get("/v1/listings/{channel}/{sku:path}", **get_options(ListingOut))
def get_listing(channel: TheCode, sku: Sku, app: TheApp) -> Response:
    """One listing."""
    with app.db.connection() as conn:
        return found("listing", f"{channel}/{sku}", channel_store.get_listing(conn, channel, sku))


@router.get("/v1/listings", **list_options(ListingList))
def list_listings(
    app: TheApp,
    page: Annotated[Page, pages("listings", str, str)],
    channel: Filter = None,
    sku: Filter = None,
    status: ListingStatus | None = None,
) -> Response:
    """Listings by channel and sku."""
    after = ("", "") if page.after is None else (str(page.after[0]), str(page.after[1]))
    with app.db.connection() as conn:
        rows = channel_store.list_listings(
            conn, after=after, limit=page.limit + 1, channel=channel, sku=sku, status=status
        )
    return page_answer(page.answer(rows, lambda listing: (listing.channel, listing.sku)))


# Rows as the API shows them -----------------------------------------------------------------------


def public_item(item: Item) -> dict[str, Any]:
    """An item, without its id."""
    return without(item, "item_id")


def public_node(node: Node) -> dict[str, Any]:
    """A node, without its id."""
    row = without(node, "node_id")
    row["capacity"] = {limit: row.pop(f"capacity_{limit}") for limit in ("orders", "lines", "units")}
    row["docks"] = {way: row.pop(f"dock_{way}") for way in ("units_out", "units_in")}
    return row


def public_carrier(carrier: Carrier) -> dict[str, Any]:
    """A carrier, without its id."""
    row = without(carrier, "carrier_id", "document")
    learned = [{k: v for k, v in of.items() if k != "spread"} for of in carrier.learned or []]
    transit = carrier.document.get("transit", "learned")
    return row | {"services": carrier.document["services"], "transit": transit, "learned": learned}


def public_channel(channel: Channel) -> dict[str, Any]:
    """A channel, without its id."""
    row = without(channel, "channel_id")
    return row | {"quota": channel.quota or None, "oversell": OversellIn().model_dump() | channel.oversell}
