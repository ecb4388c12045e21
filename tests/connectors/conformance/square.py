"""A merchant at Square on the bench: the fake, in this process."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, Delivery, InProcess
from onhand.twin.fakes.square import Shop

URL = "https://onhand.test/v1/channels/till/inbound"


class SquareBench(Bench):
    page = 100

    def __init__(self):
        self.shop = Shop(token="EAAA7c1d93b05f2e84a6", hook_secret="hook-b1946ac92492d234")
        super().__init__(
            {"url": "http://square.test", "place": self.shop.place, "version": "2025-08-20"},
            {"access_token": self.shop.token, "webhook_secret": self.shop.hook_secret},
        )

    def sender(self):
        return InProcess(self.shop.app())

    def is_write(self, request):
        return request.method == "PUT" or request.url.endswith("/batch-create")

    def offer(self, sku, units):
        return self.shop.add_product(sku, units)

    def offer_uncounted(self, sku):
        self.shop.uncounted.add(self.shop.add_product(sku, 0))

    def show(self, external_id, units):
        self.shop.count(external_id, units)

    def withdraw(self, external_id):
        del self.shop.variations[external_id]

    def buy(self, lines, *, at=None):
        return self.shop.buy(lines, at=at)["id"]

    def sell(self, external_id, units):
        self.shop.sell(external_id, units)

    def change(self, order_id, *, at=None):
        order = self.shop.orders[order_id]
        order["version"] += 1
        order["updated_at"] = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def say(self, order_id, word):
        self.shop.orders[order_id]["state"] = word

    def spoil(self, order_id):
        self.shop.orders[order_id]["line_items"] = "none"

    def message(self, order_id, *, secret=None):
        kept = self.shop.hook_secret
        self.shop.hook_secret = kept if secret is None else secret
        headers, body = self.shop.deliver("order.updated", self.shop.orders[order_id], URL)
        self.shop.hook_secret = kept
        return Delivery(headers=headers, body=body, url=URL)

    def shown(self, external_id):
        return self.shop.stock(external_id)

    def is_cancelled(self, order_id):
        return all(f["state"] == "CANCELED" for f in self.shop.orders[order_id]["fulfillments"])

    def parcels(self, order_id):
        ended = [f for f in self.shop.orders[order_id]["fulfillments"] if f["state"] == "COMPLETED"]
        return [f["shipment_details"]["tracking_number"] for f in ended]


make = SquareBench
