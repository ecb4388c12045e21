"""An account at Amazon on the bench: the fake, in this process. What it accepts takes effect when the kit lets it."""

from datetime import UTC, datetime

from onhand.connectors import completed, find
from onhand.connectors._sdk.conformance import Bench, InProcess
from onhand.connectors._sdk.filling import minor_units
from onhand.twin.fakes import amazon, sqs


def _said(moment):
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AmazonBench(Bench):
    page = 100
    currency = "USD"
    others = ("/auth/", "/_store/")  # signing in, and where documents lie: not of the interface that is described

    def __init__(self):
        self.account = amazon.Account(
            client_secret="lwa-secret-7d1c93be5a20", refresh_token="Atzr|4be0917f3c6d2a85", aws_key_id="AKIA93D1F07B2C",
            aws_secret="aws-secret-0c8e5f71d2a9", speed=1_000_000.0,
        )  # fmt: skip
        url = "http://amazon.test"
        given = {
            "url": url, "token_url": f"{url}/auth/o2/token", "seller_id": self.account.seller_id,
            "marketplace_id": self.account.marketplace_id, "queue_url": f"{url}{sqs.PATH}", "queue_wait_s": 0,
            "node": "fba",
        }  # fmt: skip
        super().__init__(
            completed(find("amazon").connector.settings, given),
            {
                "client_id": self.account.client_id, "client_secret": self.account.client_secret,
                "refresh_token": self.account.refresh_token, "aws_access_key_id": self.account.queue.key_id,
                "aws_secret_access_key": self.account.queue.secret,
            },
        )  # fmt: skip

    def sender(self):
        return InProcess(self.account.app())

    def is_write(self, request):
        return request.method != "GET" and "/auth/" not in request.url

    async def settle(self):
        self.account.advance(self.account.feed_lag_s + 1)
        self.account.advance(self.account.lag_s + 1)

    def offer(self, sku, units):
        return self.account.add_product(sku, units)

    def offer_uncounted(self, sku):
        self.account.listings[self.account.add_product(sku, 0)].is_amazons = True

    def show(self, external_id, units):
        self.account.listings[external_id].quantity = units

    def withdraw(self, external_id):
        del self.account.listings[external_id]

    def buy(self, lines, *, at=None):
        order = self.account.buy(lines, force=True)
        order["createdTime"] = order["lastUpdatedTime"] = _said(at or datetime.now(UTC))
        return order["orderId"]

    def change(self, order_id, *, at=None):
        self.account.orders[order_id]["lastUpdatedTime"] = _said(at or datetime.now(UTC))

    def say(self, order_id, word):
        self.account.orders[order_id]["fulfillment"]["fulfillmentStatus"] = word

    def spoil(self, order_id):
        self.account.orders[order_id]["orderItems"] = "none"

    def shown(self, external_id):
        return self.account.listings[external_id].quantity

    def asked(self, external_id):
        return minor_units(self.account.listings[external_id].price, "USD")

    def parcels(self, order_id):
        return [package["trackingNumber"] for package in self.account.orders[order_id]["packages"]]


make = AmazonBench
