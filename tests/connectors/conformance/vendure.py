"""A Vendure on the bench: a small fake, in this process. The real one is in test_vendure.py."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, InProcess
from onhand.twin.fakes.vendure import Shop


class VendureBench(Bench):
    page = 100

    def __init__(self):
        self.shop = Shop(username="merchant-1c9", password="pw-6e1d09ab7c52")
        super().__init__(
            {"url": "https://vendure.test", "place": self.shop.place},
            {"username": self.shop.username, "password": self.shop.password},
        )

    def sender(self):
        return InProcess(self.shop.app())

    def is_write(self, request):
        return super().is_write(request) and b"login" not in request.body

    def _level(self, external_id):
        return self.shop.variants[external_id]["stockLevels"][0]

    def offer(self, sku, units):
        variant = self.shop.add_product(sku, units)
        # A second place, whose numbers are not ours.
        self.shop.variants[variant]["stockLevels"].append(
            {"stockLocationId": "2", "stockOnHand": 77, "stockAllocated": 0}
        )
        return variant

    def show(self, external_id, units):
        level = self._level(external_id)
        level["stockOnHand"] = units + level["stockAllocated"]

    def withdraw(self, external_id):
        del self.shop.variants[external_id]

    def buy(self, lines, *, at=None):
        return self.shop.buy(lines, at=at)["id"]

    def change(self, order_id, *, at=None):
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        self.shop.orders[order_id]["updatedAt"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def say(self, order_id, word):
        self.shop.orders[order_id]["state"] = word

    def spoil(self, order_id):
        self.shop.orders[order_id]["lines"][0]["quantity"] = 1.5

    def shown(self, external_id):
        level = self._level(external_id)
        return level["stockOnHand"] - level["stockAllocated"]

    def is_cancelled(self, order_id):
        return self.shop.orders[order_id]["state"] == "Cancelled"

    def parcels(self, order_id):
        return [f["trackingCode"] for f in self.shop.orders[order_id]["fulfillments"] if f["state"] == "Shipped"]


make = VendureBench
