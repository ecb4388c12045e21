"""Channels and listings: what is refused, what comes back."""

import pytest
from pydantic import ValidationError
from tests.events import settled

from onhand.base.actor import SYSTEM
from onhand.base.fields import reject_reasons
from onhand.channels import store
from onhand.channels.model import ChannelIn, GateIn, ListingIn
from onhand.errors import InvalidInput, NotFound
from onhand.flows.set_up import set_channel, set_items, set_listing, set_node_group, set_nodes
from onhand.network.model import NodeGroupIn

NODE = {
    "name": "x",
    "node_type": "store",
    "country": "FR",
    "latitude": 1,
    "longitude": 2,
    "timezone": "UTC",
}


@pytest.fixture
def world(db):
    """Nodes A and B, group G, items I and J."""
    set_nodes(db, [NODE | {"code": c} for c in "AB"], by=SYSTEM)
    set_node_group(db, "G", NodeGroupIn(name="G", nodes=["A"]), by=SYSTEM)
    set_items(db, [{"sku": s, "name": s} for s in "IJ"], by=SYSTEM)
    return db


def put(db, **change):
    return set_channel(db, "web", ChannelIn.model_validate({"currency": "EUR"} | change), by=SYSTEM)


def told(db):
    with db.connection() as conn:
        return [e.data for e in settled(conn) if e.data.get("kind") in ("channel", "listing")]


def test_a_channel_comes_back_as_written(world):
    document = {
        "name": "Web shop",
        "nodes": ["B", "A"],
        "priority": 5,
        "margin_rate": 0.25,
        "gate": {"units": 2},
        "quota": {"units_by_sku": {"I": 10}},
        "settings": {"theme": 1},
    }
    written, channel = put(world, **document)
    assert written == "created"
    assert (channel.channel_id, channel.connector, channel.nodes) == (1, "api", ["A", "B"])
    for name in ("name", "priority", "margin_rate", "quota", "settings"):
        assert getattr(channel, name) == document[name]
    assert channel.gate == GateIn(units=2).model_dump()
    assert put(world, **document) == ("unchanged", channel)
    written, channel = put(world, node_group="G", active=False)
    assert (written, channel.nodes, channel.node_group, channel.name) == ("updated", None, "G", "web")
    assert (channel.quota, channel.margin_rate, channel.active) == ({}, None, False)
    assert told(world) == [{"kind": "channel", "code": "web"}] * 2


BAD = [
    ({"currency": "EUX"}, "currency"),
    ({"currency": None}, "currency"),
    ({"connector": "ftp"}, "connector"),
    ({"nodes": ["A", "Z"]}, "nodes[1]"),
    ({"nodes": ["A", "A"]}, "nodes[1]"),
    ({"nodes": []}, "nodes"),
    ({"nodes": "A"}, "nodes"),
    ({"node_group": "Z"}, "node_group"),
    ({"nodes": ["A"], "node_group": "G"}, "node_group"),
    ({"priority": 1.5}, "priority"),
    ({"priority": 2**40}, "priority"),
    ({"margin_rate": 1.01}, "margin_rate"),
    ({"margin_rate": float("nan")}, "margin_rate"),
    ({"gate": {"units": -1}}, "gate.units"),
    ({"gate": {"unit": 1}}, "gate.unit"),
    ({"gate": {"mode": "auto"}}, "gate.mode"),
    ({"gate": {"mode": "percent", "percent": 101.0}}, "gate.percent"),
    ({"gate": {"mode": "adaptive", "alpha": 0.0}}, "gate.alpha"),
    ({"gate": {"mode": "adaptive", "penalty_minor": 0}}, "gate.penalty_minor"),
    ({"gate": {"mode": "adaptive", "lag_s": -1.0}}, "gate.lag_s"),
    ({"gate": {"floor": 3, "cap": 2}}, "gate.floor"),
    ({"gate": None}, "gate"),
    ({"quota": {"units_by_sku": {"Z": 1}}}, "quota.units_by_sku.Z"),
    ({"quota": {"units_by_sku": {"I": -1}}}, "quota.units_by_sku.I"),
    ({"credentials": {"token": "x"}}, "credentials"),
    ({"channel_id": 1}, "channel_id"),
]


@pytest.mark.parametrize(("change", "path"), BAD, ids=lambda case: ascii(case)[:50])
def test_a_bad_channel_is_refused_by_name_and_nothing_is_written(world, change, path):
    try:
        put(world, **change)
        raise AssertionError("accepted")
    except ValidationError as error:
        paths = [p for p, _ in reject_reasons(error)]
    except InvalidInput as error:
        paths = [e.path for e in error.errors]
    assert path in paths
    with world.connection() as conn:
        assert store.list_channels(conn, limit=9) == []


def test_a_listing_needs_both_its_channel_and_its_item(world):
    listing = ListingIn(external_id="x-1", status="paused")
    with pytest.raises(NotFound) as caught:
        set_listing(world, "web", "I", listing, by=SYSTEM)
    assert caught.value.code == "channel.not_found"
    put(world)
    with pytest.raises(NotFound) as caught:
        set_listing(world, "web", "Z", listing, by=SYSTEM)
    assert caught.value.code == "item.not_found"
    written, row = set_listing(world, "web", "I", listing, by=SYSTEM)
    assert (written, row.channel, row.sku, row.external_id, row.external_sku, row.status) == (
        "created",
        "web",
        "I",
        "x-1",
        None,
        "paused",
    )
    assert set_listing(world, "web", "I", listing, by=SYSTEM) == ("unchanged", row)
    assert set_listing(world, "web", "I", ListingIn(), by=SYSTEM)[1].status == "active"
    assert told(world)[1:] == [{"kind": "listing", "code": "web/I"}] * 2
    with pytest.raises(ValidationError):
        ListingIn.model_validate({"status": "deleted"})


def test_listings_page_by_channel_and_sku(world):
    for channel in ("web", "app"):
        set_channel(world, channel, ChannelIn(currency="EUR"), by=SYSTEM)
        for sku in "JI":
            set_listing(world, channel, sku, ListingIn(), by=SYSTEM)
    with world.connection() as conn:

        def keys(**where):
            return [(row.channel, row.sku) for row in store.list_listings(conn, limit=where.pop("limit", 9), **where)]

        assert keys() == [("app", "I"), ("app", "J"), ("web", "I"), ("web", "J")]
        assert keys(limit=2, after=("app", "I")) == [("app", "J"), ("web", "I")]
        assert keys(channel="web") == [("web", "I"), ("web", "J")]
        assert keys(sku="J", status="active") == [("app", "J"), ("web", "J")]
        assert keys(status="closed") == []
