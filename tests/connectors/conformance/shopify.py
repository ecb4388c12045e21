"""A Shopify on the bench: the fake, in this process."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, Delivery, InProcess
from onhand.connectors._sdk.filling import minor_units
from onhand.twin.fakes.shopify import Shop


def _z(moment):
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class ShopifyBench(Bench):
    page = 50
    currency = "USD"

    def __init__(self):
        self.shop = Shop(token="shpat_4f1b7c0e9d2a8563", hook_secret="hook-7d21c9e8b04f", restore_per_s=1e6)
        super().__init__(
            {"url": "https://fake.myshopify.test", "place": self.shop.place, "version": "2026-07"},
            {"access_token": self.shop.token, "webhook_secret": self.shop.hook_secret},
        )

    def sender(self):
        return InProcess(self.shop.app())

    def offer(self, sku, units):
        return self.shop.add_product(sku, units)

    def show(self, external_id, units):
        self.shop.items[external_id]["available"] = units

    def withdraw(self, external_id):
        del self.shop.items[external_id]
        for order in self.shop.orders.values():
            for node in order["lineItems"]["nodes"]:
                if node["variant"] and node["variant"]["inventoryItem"]["id"] == external_id:
                    node["variant"] = None

    def buy(self, lines, *, at=None):
        return self.shop.buy(lines, at=None if at is None else _z(at))["id"]

    def change(self, order_id, *, at=None):
        order = self.shop.orders[order_id]
        order["updatedAt"] = _z(at or datetime.now(UTC))
        order["email"] += "x"

    def say(self, order_id, word):
        self.shop.orders[order_id]["displayFinancialStatus"] = word

    def spoil(self, order_id):
        self.shop.orders[order_id]["createdAt"] = "yesterday"

    def message(self, order_id, *, secret=None):
        kept = self.shop.hook_secret
        self.shop.hook_secret = kept if secret is None else secret
        headers, body = self.shop.deliver(self.shop.orders[order_id])
        self.shop.hook_secret = kept
        return Delivery(headers=headers, body=body)

    def shown(self, external_id):
        return self.shop.items[external_id]["available"]

    def asked(self, external_id):
        return minor_units(self.shop.items[external_id]["price"], "USD")

    def is_cancelled(self, order_id):
        return self.shop.orders[order_id]["cancelledAt"] is not None

    def parcels(self, order_id):
        return [f["trackingInfo"][0]["number"] for f in self.shop.orders[order_id]["fulfillments"]]


make = ShopifyBench
