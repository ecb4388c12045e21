"""A real Vendure storefront: installed from npm once, started on loopback, with a catalogue, shoppers and a merchant.

Everything here speaks to it as they would, by its GraphQL interfaces; nothing of ours is used.
"""

import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("ONHAND_TEST_CACHE", HERE.parents[2] / ".cache")) / "vendure-3.7.3"
INSTALL_S = 600


def why_not():
    """Why there is no storefront here; None once one is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (FOLDER / "installed").exists():
            return None
        shutil.copy(HERE / "package.json", FOLDER)
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            return f"npm cannot install Vendure: {done.stderr.strip()[-300:]}"
        (FOLDER / "installed").touch()
    return None


class Api:
    """One session at one of its interfaces; of a document with several fields the last one is answered."""

    def __init__(self, url):
        self.url, self.token = url, None

    def __call__(self, document, **variables):
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        body = json.dumps({"query": document, "variables": variables}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=60) as answer:
            self.token = answer.headers.get("vendure-auth-token") or self.token
            said = json.load(answer)
        if said.get("errors"):
            raise AssertionError(said["errors"])
        return list(said["data"].values())[-1]


class Storefront:
    """url; `place`: id of its stock location; `variants`: {sku: id}."""

    def __init__(self, database=":memory:"):
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = database
        self.process = None
        self.variants = {}
        self.up = threading.Event()  # it answers

    def start(self):
        environment = os.environ | {
            "PORT": str(self.port), "DATABASE": self.database, "VENDURE_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        shutil.copy(HERE / "server.js", FOLDER / "server.js")
        self.process = subprocess.Popen(
            ["node", "server.js"],
            cwd=FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("UP"):
                break
        else:
            raise AssertionError("".join(said)[-2000:])
        # Its pipe must not fill up.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.admin = Api(f"{self.url}/admin-api")
        self.admin('mutation { login(username: "superadmin", password: "superadmin") { __typename } }')
        self.up.set()

    def kill(self):
        self.up.clear()
        self.process.kill()
        self.process.wait()

    def found(self):
        """A country, a tax rate, a way of shipping and of paying."""
        admin = self.admin
        country = admin(
            'mutation { createCountry(input: {code: "US", enabled: true,'
            ' translations: [{languageCode: en, name: "United States"}]}) { id } }'
        )["id"]
        zone = admin('mutation ($m: [ID!]) { createZone(input: {name: "US", memberIds: $m}) { id } }', m=[country])[
            "id"
        ]
        channel = admin("{ activeChannel { id } }")["id"]
        admin(
            "mutation ($i: UpdateChannelInput!) { updateChannel(input: $i) { __typename } }",
            i={"id": channel, "defaultTaxZoneId": zone, "defaultShippingZoneId": zone},
        )
        self.tax = admin('mutation { createTaxCategory(input: {name: "std", isDefault: true}) { id } }')["id"]
        admin(
            "mutation ($i: CreateTaxRateInput!) { createTaxRate(input: $i) { id } }",
            i={"name": "none", "enabled": True, "value": 0, "categoryId": self.tax, "zoneId": zone},
        )
        named = {"translations": [{"languageCode": "en", "name": "Standard", "description": ""}]}
        self.shipping = admin(
            "mutation ($i: CreateShippingMethodInput!) { createShippingMethod(input: $i) { id } }",
            i={
                "code": "standard", "fulfillmentHandler": "manual-fulfillment",
                "checker": {"code": "default-shipping-eligibility-checker",
                            "arguments": [{"name": "orderMinimum", "value": "0"}]},
                "calculator": {"code": "default-shipping-calculator",
                               "arguments": [{"name": "rate", "value": "500"}, {"name": "includesTax", "value": "auto"},
                                             {"name": "taxRate", "value": "0"}]},
            } | named,
        )["id"]  # fmt: skip
        admin(
            "mutation ($i: CreatePaymentMethodInput!) { createPaymentMethod(input: $i) { id } }",
            i={"code": "dummy", "enabled": True,
               "handler": {"code": "dummy-payment-handler",
                           "arguments": [{"name": "automaticSettle", "value": "true"}]}} | named,
        )  # fmt: skip
        self.place = admin("{ stockLocations { items { id } } }")["items"][0]["id"]

    def offer(self, sku, units, price_minor=1999):
        """A product that can be bought; its variant's id."""
        admin = self.admin
        product = admin(
            "mutation ($i: CreateProductInput!) { createProduct(input: $i) { id } }",
            i={"enabled": True,
               "translations": [{"languageCode": "en", "name": sku, "slug": sku.lower(), "description": ""}]},
        )["id"]  # fmt: skip
        (variant,) = admin(
            "mutation ($i: [CreateProductVariantInput!]!) { createProductVariants(input: $i) { id } }",
            i=[{"productId": product, "sku": sku, "price": price_minor, "trackInventory": "TRUE",
                "taxCategoryId": self.tax, "stockLevels": [{"stockLocationId": self.place, "stockOnHand": units}],
                "translations": [{"languageCode": "en", "name": sku}]}],
        )  # fmt: skip
        self.variants[sku] = variant["id"]
        return variant["id"]

    def levels(self, sku):
        """(on hand, allocated) of a product."""
        variant = self.admin(
            "query ($id: ID!) { productVariant(id: $id)"
            " { stockLevels { stockLocationId stockOnHand stockAllocated } } }",
            id=self.variants[sku],
        )
        (level,) = [x for x in variant["stockLevels"] if x["stockLocationId"] == self.place]
        return level["stockOnHand"], level["stockAllocated"]

    def order(self, order_id):
        """An order as the merchant sees it."""
        return self.admin(
            "query ($id: ID!) { order(id: $id) { id code state lines { id quantity }"
            " fulfillments { id state method trackingCode lines { orderLineId quantity } } } }",
            id=order_id,
        )

    def placed(self):
        """{id: state} of all orders that shoppers have paid for, whatever became of them."""
        found = {}
        while True:
            page = self.admin(
                "query ($skip: Int!) { orders(options: {filter: {active: {eq: false}}, sort: {id: ASC}, take: 100,"
                " skip: $skip}) { items { id state } } }",
                skip=len(found),
            )["items"]  # fmt: skip
            found |= {order["id"]: order["state"] for order in page}
            if len(page) < 100:
                return found

    def buy(self, sku, quantity):
        """A shopper's whole way from the cart to paid: the order, or the error that stopped him."""
        shop = Api(f"{self.url}/shop-api")
        added = shop(
            "mutation ($v: ID!, $q: Int!) { addItemToOrder(productVariantId: $v, quantity: $q) { __typename"
            " ... on Order { id } ... on ErrorResult { errorCode } } }",
            v=self.variants[sku], q=quantity,
        )  # fmt: skip
        if added["__typename"] != "Order":
            return added
        shop(
            'mutation { setCustomerForOrder(input: {firstName: "Ada", lastName: "Byron",'
            ' emailAddress: "ada@example.org"}) { __typename } }'
        )
        shop(
            'mutation { setOrderShippingAddress(input: {fullName: "Ada Byron", streetLine1: "1 Main", city: "New York",'
            ' postalCode: "10001", countryCode: "US"}) { __typename } }'
        )
        method = shop("{ eligibleShippingMethods { id } }")[0]["id"]
        shop("mutation ($i: [ID!]!) { setOrderShippingMethod(shippingMethodId: $i) { __typename } }", i=[method])
        shop('mutation { transitionOrderToState(state: "ArrangingPayment") { __typename } }')
        return shop(
            'mutation { addPaymentToOrder(input: {method: "dummy", metadata: {}}) { __typename'
            " ... on Order { id code state } ... on ErrorResult { errorCode message } } }"
        )


class Shopper:
    """Somebody who wants `quantity` of `sku` and does not give up when the shop goes away: he comes back with the cart
    he had, and looks whether he has paid already."""

    def __init__(self, front, sku, quantity=1, *, tries=20):
        self.front, self.sku, self.quantity, self.tries = front, sku, quantity, tries
        self.shop = Api(f"{front.url}/shop-api")
        self.code = None  # of his order
        self.came_back = 0

    def check_out(self):
        """("paid", id), or ("sold out at ...", None)."""
        for _ in range(self.tries):
            try:
                return self._go_on()
            except urllib.error.HTTPError:
                raise
            except (OSError, http.client.HTTPException):
                self.came_back += 1
                assert self.front.up.wait(120), "the shop does not come back"
        raise AssertionError(f"the shop broke off {self.tries} times")

    def _go_on(self):
        shop, order = self.shop, None
        if self.came_back:
            order = shop("{ activeOrder { code state lines { id } } }")
        if order is None and self.code is not None:
            placed = shop("query ($code: String!) { orderByCode(code: $code) { id state } }", code=self.code)
            assert placed["state"] == "PaymentSettled", placed
            return "paid", placed["id"]
        if order is None or not order["lines"]:
            order = shop(
                "mutation ($v: ID!, $q: Int!) { addItemToOrder(productVariantId: $v, quantity: $q) { __typename"
                " ... on Order { code state } ... on ErrorResult { errorCode } } }",
                v=self.front.variants[self.sku], q=self.quantity,
            )  # fmt: skip
            if order.get("errorCode") == "INSUFFICIENT_STOCK_ERROR":
                return "sold out at the cart", None
        self.code = order["code"]
        if order["state"] == "AddingItems":
            moved = shop(
                "mutation ($m: [ID!]!) { a: setCustomerForOrder(input: {"
                ' firstName: "Ada", lastName: "Byron", emailAddress: "ada@example.org"}) { __typename }'
                ' b: setOrderShippingAddress(input: {fullName: "Ada Byron", streetLine1: "1 Main",'
                ' city: "New York", postalCode: "10001", countryCode: "US"}) { __typename }'
                " c: setOrderShippingMethod(shippingMethodId: $m) { __typename }"
                ' d: transitionOrderToState(state: "ArrangingPayment") { __typename'
                " ... on OrderStateTransitionError { transitionError } } }",
                m=[self.front.shipping],
            )
            if "transitionError" in moved:
                assert "stock" in moved["transitionError"], moved
                return "sold out at the till", None
        paid = shop(
            'mutation { addPaymentToOrder(input: {method: "dummy", metadata: {}}) { __typename'
            " ... on Order { id state } ... on ErrorResult { errorCode message } } }"
        )
        assert paid.get("state") == "PaymentSettled", paid
        return "paid", paid["id"]


@contextmanager
def storefront(database=":memory:"):
    """A storefront that is set up; killed in the end."""
    front = Storefront(database)
    front.start()
    try:
        front.found()
        yield front
    finally:
        front.kill()
