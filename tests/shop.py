"""A small shop with one of everything, made through the public interface: for tests that want ids to lead somewhere."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

BERLIN = {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38}
_PLACES = {"berlin": (52.5, 13.4), "munich": (48.1, 11.6), "hamburg": (53.5, 10.0)}
_SERVICE = {
    "code": "parcel",
    "rate_table": {
        "by": "distance_km",
        "distance_km": [200, 800, None],
        "weights_g": [1000, 30000],
        "prices_minor": [[400, 700], [500, 900], [800, 1500]],
    },
    "currency": "EUR",
    "transit_days": [{"p50": 1, "p95": 2}, {"p50": 2, "p95": 3}, {"p50": 3, "p95": 5}],
    "co2_g_per_tonne_km": 80,
}
ITEMS = ("MUG-BLUE", "MUG-RED", "PLATE", "LAMP")
SOON = "2035-01-01T08:00:00Z"


@dataclass(slots=True)
class Shop:
    """What there is: ids by kind, as they stand in paths and bodies."""

    client: httpx2.Client
    skus: list[str] = field(default_factory=list[str])
    nodes: list[str] = field(default_factory=list[str])
    channels: list[str] = field(default_factory=list[str])
    orders: dict[str, str] = field(default_factory=dict[str, str])
    fulfilments: list[str] = field(default_factory=list[str])
    customers: list[str] = field(default_factory=list[str])
    reservations: list[str] = field(default_factory=list[str])
    inbound: str = ""
    webhook: str = ""
    key_id: int = 0

    def call(self, method: str, path: str, body: object = None, *, status: int | None = None) -> Any:
        """One request that succeeds; its answer."""
        answer = self.client.request(method, path, json=body)
        expected = (200, 201) if status is None else (status,)
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def order(self, external_id: str, *lines: tuple[str, int], **more: object) -> Any:
        """Place an order of (sku, units) lines; its answer."""
        body = {
            "channel": "web",
            "external_id": external_id,
            "currency": "EUR",
            "destination": BERLIN,
            "lines": [
                {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 1000}
                for n, (sku, units) in enumerate(lines, 1)
            ],
        }
        return self.call("POST", "/v1/orders", body | more, status=201)


def open_shop(client: httpx2.Client, units: int = 1000) -> Shop:
    """Items, a bundle, an item to come, nodes, a group, a carrier, a carton, a duty, a markdown, channels, a listing,
    stock, supply, a reservation, orders in every queue, a webhook, a policy and a key."""
    shop = Shop(client, [*ITEMS, "SET", "NEXT-YEAR"], list(_PLACES), ["web", "market"])
    for sku in ITEMS:
        item = {"name": sku, "weight_g": 400, "price_minor": 1000, "currency": "EUR", "category": "kitchen"}
        shop.call("PUT", f"/v1/items/{sku}", item)
    parts = [{"sku": "MUG-BLUE", "quantity": 2}, {"sku": "PLATE", "quantity": 1}]
    shop.call("PUT", "/v1/items/SET", {"name": "set", "components": parts})
    shop.call("PUT", "/v1/items/NEXT-YEAR", {"name": "to come", "release_at": SOON})
    for code, (latitude, longitude) in _PLACES.items():
        node = {
            "name": code, "node_type": "store", "country": "DE", "latitude": latitude, "longitude": longitude,
            "timezone": "Europe/Berlin", "handling_cost_minor": 100, "methods": ["ship", "pickup"],
            "capacity": {"orders": 100_000} if code == "hamburg" else {},
        }  # fmt: skip
        shop.call("PUT", f"/v1/nodes/{code}", node)
    shop.call("PUT", "/v1/node-groups/SOUTH", {"name": "south", "nodes": ["munich"]})
    shop.call("PUT", "/v1/carriers/dhl", {"name": "DHL", "services": [_SERVICE]})
    carton = {"inner_length_mm": 300, "inner_width_mm": 200, "inner_height_mm": 150, "cost_minor": 38}
    shop.call("PUT", "/v1/cartons/M", carton)
    duty = {
        "name": "into Switzerland", "to_countries": ["CH"], "valid_from": "2026-01-01", "duty_rate": 0.1,
        "currency": "EUR", "source": "test",
    }  # fmt: skip
    shop.call("PUT", "/v1/duties/CH", duty)
    shop.call("PUT", "/v1/channels/web", {"currency": "EUR"})
    shop.call("PUT", "/v1/channels/market", {"currency": "EUR", "node_group": "SOUTH"})
    shop.call("PUT", "/v1/listings/web/MUG-BLUE", {"external_id": "4711", "status": "active"})
    entries = [
        {"kind": "receipt", "sku": sku, "node": node, "quantity": units} for sku in ITEMS[:3] for node in _PLACES
    ]
    shop.call("POST", "/v1/stock/entries", {"entries": entries})
    markdown = {"sku": "MUG-BLUE", "node": "berlin", "value_minor": 490}
    shop.call("POST", "/v1/markdowns/batch", {"markdowns": [markdown]})
    supply = [{"sku": sku, "quantity": 500, "expected_at": SOON} for sku in ("LAMP", "NEXT-YEAR")]
    inbound = shop.call("POST", "/v1/inbound", {"reference": "PO-1", "node": "berlin", "lines": supply})
    shop.inbound = inbound["inbound_id"]
    held = {"channel": "web", "lines": [{"sku": "MUG-RED", "quantity": 1}], "ttl_s": 86_400}
    for _ in range(2):
        shop.reservations.append(shop.call("POST", "/v1/reservations", held)["reservation_id"])
    person = {"name": "Ada Berg", "email": "ada@example.org", "address": {"street": "Rosenweg 1"}}
    for name, lines, more in (
        ("shelf", [("MUG-BLUE", 2), ("SET", 1)], {"customer": person}),
        ("split", [("MUG-RED", units + units // 2)], {}),
        ("supply", [("LAMP", 3)], {}),
        ("release", [("NEXT-YEAR", 1)], {}),
        ("never", [("PLATE", 1_000_000)], {}),
        *((f"held-{n}", [("PLATE", 1)], {"hold": "check the address"}) for n in range(10)),
    ):
        answer = shop.order(name, *lines, **more)
        shop.orders[name] = answer["order_id"]
        shop.fulfilments += [f["fulfilment_id"] for f in answer["fulfilments"]]
    more = len(shop.fulfilments)
    for n in range(40):
        answer = shop.order(f"more-{n}", ("MUG-BLUE", 1), ("PLATE", 2), customer={"email": f"{n}@example.org"})
        shop.orders[f"more-{n}"] = answer["order_id"]
        shop.fulfilments.append(answer["fulfilments"][0]["fulfilment_id"])
    for fulfilment_id in shop.fulfilments[more + 4 : more + 16]:
        shop.call("POST", f"/v1/fulfilments/{fulfilment_id}/ship")
    for email in ("ada@example.org", "1@example.org", "2@example.org"):
        (customer,) = shop.call("GET", f"/v1/customers?email={email}")["data"]
        shop.customers.append(customer["customer_id"])
    # Public, and never called: no worker runs here.
    shop.webhook = shop.call("POST", "/v1/webhooks", {"url": "https://1.1.1.1/hook"})["webhook_id"]
    # A policy by which nothing is decided, so that it may be moved about.
    for most in (1, 2, 3):
        shop.call("PUT", "/v1/policies/trial", {"limits": {"fulfilments_max": most}})
    for version, state in ((1, "active"), (2, "active"), (3, "canary")):
        shop.call("POST", "/v1/policies/trial/promote", {"version": version, "to": state, "why": "set-up"})
    shop.key_id = shop.call("POST", "/v1/keys", {"name": "till", "scopes": ["read"]})["key_id"]
    return shop
