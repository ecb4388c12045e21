"""Values of channels and listings: as stored, and the strict documents that callers write."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from onhand.base.fields import INT4_MAX, MONEY_MAX, Attributes, Code, Currency, Name, ShortText, Strict
from onhand.channels.gates.settings import ALPHA, LAG_MAX_S

# The channel itself calls this interface: nothing to talk to.
CONNECTOR: Final = "api"

ListingStatus = Literal["active", "paused", "closed"]
_Units = Annotated[int, Field(ge=0, le=INT4_MAX)]


class GateIn(Strict):
    """Units that the channel is not told of, against sales that we hear of too late. Limits what `/v1/availability`
    and publication tell; orders are not refused for it."""

    mode: Annotated[
        Literal["fixed", "percent", "adaptive"],
        Field(description="fixed: `units`; percent: `percent` of what there is; adaptive: computed"),
    ] = "fixed"
    units: _Units = 0
    percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    floor: Annotated[_Units, Field(description="units hidden at least, in any mode")] = 0
    cap: Annotated[_Units | None, Field(description="units hidden at most, in any mode")] = None
    alpha: Annotated[
        float, Field(gt=0, lt=1, description="adaptive: oversold orders per order that are accepted, over time")
    ] = ALPHA
    penalty_minor: Annotated[
        int | None,
        Field(gt=0, le=MONEY_MAX, description="adaptive: what an oversell costs; then money decides, and not `alpha`"),
    ] = None
    lag_s: Annotated[
        float | None,
        Field(
            ge=0,
            le=LAG_MAX_S,
            description="adaptive: how long the channel shows an old number, until that is measured; of a channel that "
            "calls us, how often it asks. Left out: a minute",
        ),
    ] = None


class QuotaIn(Strict):
    """Units by sku that other channels are not told of, and the most that this one is. Limits what `/v1/availability`
    publishes; orders of any channel may take them: enforcement comes with the channel connectors."""

    units_by_sku: Annotated[dict[Code, _Units], Field(max_length=10_000)] = {}


class OversellIn(Strict):
    """What it costs when an order of the channel cannot be served: by it is decided who gets the last unit that two
    channels sold. In minor units of the channel's currency."""

    penalty_minor: Annotated[
        int, Field(ge=0, le=MONEY_MAX, description="of an order that is cancelled, beyond its margin")
    ] = 0
    late_minor_per_day: Annotated[int, Field(ge=0, le=MONEY_MAX, description="of a day that an order waits")] = 0
    cancel: Annotated[
        bool, Field(description="cancel at once what nothing can serve, when another order got the last units")
    ] = False


class ChannelIn(Strict):
    """What a caller says of a channel; the whole of it, what is left out returns to its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Web shop",
                    "connector": "api",
                    "node_group": "EUROPE",
                    "currency": "EUR",
                    "priority": 10,
                    "margin_rate": 0.35,
                    "gate": {"units": 2},
                }
            ]
        }
    )

    name: Annotated[Name | None, Field(description="default: its code")] = None
    connector: Annotated[
        ShortText,
        Field(description="what it is talked to by, `onhand channel connectors` lists them; `api`: it calls us"),
    ] = CONNECTOR
    nodes: Annotated[
        list[Code] | None,
        Field(min_length=1, max_length=5_000, description="codes; neither nodes nor node_group: every node"),
    ] = None
    node_group: Code | None = None
    currency: Currency
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000, description="kept, not used yet")] = 0
    margin_rate: Annotated[
        float | None, Field(ge=0, le=1, description="of prices; decides with `oversell` who gets the last unit")
    ] = None
    gate: GateIn = GateIn()
    quota: QuotaIn | None = None
    oversell: OversellIn = OversellIn()
    settings: Annotated[Attributes, Field(description="as the connector asks for them; of `api`: anything")] = {}
    credentials: Annotated[
        dict[ShortText, Annotated[str, Field(max_length=20_000)]] | None,
        Field(
            max_length=40,
            description="write-only, kept sealed; as the connector asks for them. Left out: as they are, if they are "
            "sent to the same address. "
            "`<name>_before` is the one before, while a secret is being exchanged",
        ),
    ] = None
    prices: Annotated[
        bool,
        Field(
            description="it takes our prices: those of the catalogue are written to its listings, in its currency "
            "only. Left out: prices are kept there"
        ),
    ] = False
    active: bool = True


class ListingIn(Strict):
    """One item offered on one channel, by the names it has there."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"external_id": "gid-4711", "external_sku": "mug-blue", "status": "active"}]}
    )

    external_id: Annotated[ShortText, Field(min_length=1)] | None = None
    external_sku: Annotated[ShortText, Field(min_length=1)] | None = None
    status: ListingStatus = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel as last committed, without its credentials; nodes and node_group None: every node."""

    channel_id: int
    code: str
    name: str
    connector: str
    nodes: list[str] | None
    node_group: str | None
    currency: str
    priority: int
    margin_rate: float | None
    gate: dict[str, Any] = field(default_factory=dict[str, Any])
    quota: dict[str, Any] = field(default_factory=dict[str, Any])
    oversell: dict[str, Any] = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    prices: bool = False
    active: bool = True
    updated_at: datetime | None = None

    def content(self) -> tuple[object, ...]:
        """All that a caller can write: equal content means nothing to write."""
        return (
            self.name,
            self.connector,
            self.nodes,
            self.node_group,
            self.currency,
            self.priority,
            self.margin_rate,
            # As text: Python takes true and 1 for equal.
            json.dumps([self.gate, self.quota, self.oversell, self.settings], sort_keys=True),
            self.prices,
            self.active,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing as last committed."""

    channel: str
    sku: str
    external_id: str | None
    external_sku: str | None
    status: str
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A channel that we talk to by a connector, as the database has it; `sealed`: its credentials."""

    channel_id: int
    code: str
    connector: str
    currency: str
    settings: dict[str, Any]
    sealed: str | None = field(repr=False)
    prices: bool
    active: bool
    created_at: datetime
    updated_at: datetime


def channel_of(code: str, channel: ChannelIn, settings: dict[str, Any], nodes: list[str] | None) -> Channel:
    """The channel that a document describes, before it has an id; `nodes` in the order of their ids."""
    return Channel(
        channel_id=0,
        code=code,
        name=channel.name or code,
        connector=channel.connector,
        nodes=nodes,
        node_group=channel.node_group,
        currency=channel.currency,
        priority=channel.priority,
        margin_rate=channel.margin_rate,
        gate=channel.gate.model_dump(),
        quota=channel.quota.model_dump() if channel.quota else {},
        oversell=channel.oversell.model_dump(),
        settings=settings,
        prices=channel.prices,
        active=channel.active,
    )


def channel_problems(
    channel: ChannelIn,
    *,
    node_ids: Mapping[str, int],
    groups: Collection[str],
    skus: Collection[str],
) -> list[tuple[str, str]]:
    """(path, message) of what a channel document gets wrong about the rest of the world. Pure.

    node_ids, groups, skus  those of the document that exist
    """
    errors: list[tuple[str, str]] = []
    if channel.connector == CONNECTOR and channel.credentials:
        errors.append(("credentials", f"connector {CONNECTOR!r} takes none"))
    if channel.connector == CONNECTOR and channel.prices:
        errors.append(
            ("prices", f"connector {CONNECTOR!r} calls us: there is nowhere to write them, it reads /v1/items")
        )
    if channel.nodes is not None and channel.node_group is not None:
        errors.append(("node_group", "expected nodes or node_group, not both"))
    errors += node_problems(channel.nodes or [], node_ids)
    if channel.node_group is not None and channel.node_group not in groups:
        errors.append(("node_group", f"no node group {channel.node_group!r}"))
    if channel.gate.cap is not None and channel.gate.floor > channel.gate.cap:
        errors.append(("gate.floor", "expected floor from 0 to cap"))
    if channel.quota is not None:
        errors += [
            (f"quota.units_by_sku.{sku}", f"no item {sku!r}") for sku in channel.quota.units_by_sku if sku not in skus
        ]
    return errors[:100]


def node_problems(codes: Collection[str], known: Mapping[str, int]) -> list[tuple[str, str]]:
    """(path, message) of codes that name no node, or one twice."""
    errors: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, code in enumerate(codes):
        if code not in known:
            errors.append((f"nodes[{number}]", f"no node {code!r}"))
        elif code in seen:
            errors.append((f"nodes[{number}]", f"{code!r} stands twice"))
        seen.add(code)
    return errors
