"""A shop in the words of `rest_generic` on the bench, in this process."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, Delivery, InProcess
from onhand.twin.fakes.generic import Shop


class GenericBench(Bench):
    page = 100

    def __init__(self):
        self.shop = Shop(
            token="tok-0e2f71c9a84b", secret="whsec_b25lIHRoaW5nIG9yIHR3bw==",
            hook_secret="whsec_dHdvIHRoaW5ncyBvciBvbmU=",
        )  # fmt: skip
        super().__init__(*self.account())

    def account(self):
        credentials = {"token": self.shop.token, "webhook_secret": self.shop.hook_secret}
        return {"url": "http://shop.test/api", "place": ""}, credentials

    def sender(self):
        return InProcess(self.shop.app())

    def offer(self, sku, units):
        return self.shop.add_product(sku, units)

    def show(self, external_id, units):
        self.shop.items[external_id]["quantity"] = units

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
        self.shop.orders[order_id]["lines"] = "none"

    def message(self, order_id, *, secret=None):
        kept = self.shop.hook_secret
        self.shop.hook_secret = kept if secret is None else secret
        headers, body = self.shop.deliver(self.shop.orders[order_id])
        self.shop.hook_secret = kept
        return Delivery(headers=headers, body=body)

    def shown(self, external_id):
        return self.shop.items[external_id]["quantity"]

    def asked(self, external_id):
        return self.shop.items[external_id]["price_minor"]

    def is_cancelled(self, order_id):
        return self.shop.orders[order_id]["status"] == "cancelled"

    def parcels(self, order_id):
        return [parcel["tracking"] for parcel in self.shop.orders[order_id]["parcels"]]


make = GenericBench
