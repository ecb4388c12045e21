"""A WooCommerce on the bench: the fake, in this process."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, Delivery, InProcess
from onhand.connectors._sdk.filling import minor_units
from onhand.twin.fakes.woocommerce import Shop


class WooBench(Bench):
    page = 100
    currency = "USD"

    def __init__(self):
        self.shop = Shop(key="ck_1f0c7a6b5d4e", secret="cs_93b1d7e2a4c85f60", hook_secret="hook-52f8a17c6e3d")
        super().__init__(
            {"url": "http://woo.test"},
            {
                "consumer_key": self.shop.key,
                "consumer_secret": self.shop.secret,
                "webhook_secret": self.shop.hook_secret,
            },
        )

    def sender(self):
        return InProcess(self.shop.app())

    def offer(self, sku, units):
        return str(self.shop.add_product(sku, units))

    def offer_uncounted(self, sku):
        self.shop.products[self.shop.add_product(sku, 0)] |= {"manage_stock": False, "stock_quantity": None}

    def show(self, external_id, units):
        self.shop.products[int(external_id)]["stock_quantity"] = units

    def withdraw(self, external_id):
        del self.shop.products[int(external_id)]
        for order in self.shop.orders.values():
            for line in order["line_items"]:
                if line["product_id"] == int(external_id):
                    # What the real one says of a product that was deleted.
                    line["product_id"], line["sku"] = 0, None

    def buy(self, lines, *, at=None):
        return str(self.shop.buy({int(listing): units for listing, units in lines.items()}, at=at)["id"])

    def change(self, order_id, *, at=None):
        moment = (at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
        self.shop.orders[int(order_id)]["date_modified_gmt"] = moment.isoformat(timespec="seconds")

    def say(self, order_id, word):
        self.shop.orders[int(order_id)]["status"] = word

    def spoil(self, order_id):
        self.shop.orders[int(order_id)]["line_items"] = "none"

    def message(self, order_id, *, secret=None):
        kept = self.shop.hook_secret
        self.shop.hook_secret = kept if secret is None else secret
        headers, body = self.shop.deliver(self.shop.orders[int(order_id)])
        self.shop.hook_secret = kept
        return Delivery(headers=headers, body=body)

    def shown(self, external_id):
        return self.shop.products[int(external_id)]["stock_quantity"]

    def asked(self, external_id):
        return minor_units(self.shop.products[int(external_id)]["regular_price"], "USD")

    def is_cancelled(self, order_id):
        return self.shop.orders[int(order_id)]["status"] == "cancelled"

    def parcels(self, order_id):
        order = self.shop.orders[int(order_id)]
        tracking = [m["value"] for m in order["meta_data"] if m["key"] == "_onhand_tracking"]
        return tracking if order["status"] == "completed" else []


make = WooBench
