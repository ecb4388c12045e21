"""A Medusa on the bench: a small fake, in this process. The real one is in test_medusa.py."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, InProcess
from onhand.twin.fakes.medusa import Shop


class MedusaBench(Bench):
    page = 50

    def __init__(self):
        self.shop = Shop(key="sk_4f1c8e2ab97d6035")
        super().__init__({"url": "http://medusa.test", "place": self.shop.place}, {"api_key": self.shop.key})

    def sender(self):
        return InProcess(self.shop.app())

    def offer(self, sku, units):
        item = self.shop.add_product(sku, units)
        # A second place, whose numbers are not ours.
        elsewhere = self.shop.level(item) | {"id": f"{item}-2", "location_id": "sloc_2", "stocked_quantity": 77}
        self.shop.items[item]["location_levels"].append(elsewhere)
        return item

    def offer_uncounted(self, sku):
        self.shop.items[self.shop.add_product(sku, 0)]["location_levels"] = []

    def show(self, external_id, units):
        level = self.shop.level(external_id)
        level["stocked_quantity"] = units + level["reserved_quantity"]

    def withdraw(self, external_id):
        del self.shop.items[external_id]

    def buy(self, lines, *, at=None):
        return self.shop.buy(lines, at=at)["id"]

    def change(self, order_id, *, at=None):
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        self.shop.orders[order_id]["updated_at"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def say(self, order_id, word):
        self.shop.orders[order_id]["status"] = word

    def spoil(self, order_id):
        self.shop.orders[order_id]["items"] = "none"

    def shown(self, external_id):
        level = self.shop.level(external_id)
        return level["stocked_quantity"] - level["reserved_quantity"]

    def is_cancelled(self, order_id):
        return self.shop.orders[order_id]["status"] == "canceled"

    def parcels(self, order_id):
        return [label["tracking_number"] for f in self.shop.orders[order_id]["fulfillments"] for label in f["labels"]]


make = MedusaBench
