"""A real Medusa storefront: installed from npm once, started on loopback, with a catalogue, shoppers and a merchant.

Everything here speaks to it as they would, by its HTTP interfaces; nothing of ours is used. Its database is one of the
PostgreSQL server of the tests.
"""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("ONHAND_TEST_CACHE", HERE.parents[2] / ".cache")) / "medusa-2.21.2"
INSTALL_S = 900
MIGRATE_S = 300


def why_not():
    """Why there is no storefront here; None once one is installed. It has 715 MB, so it is installed for those only who
    ask for it by ONHAND_MEDUSA=1; where it is there, it is used."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (FOLDER / "installed").exists():
            return None
        if not os.environ.get("ONHAND_MEDUSA"):
            return "Medusa (715 MB) is not installed; ONHAND_MEDUSA=1 installs it"
        shutil.copy(HERE / "package.json", FOLDER)
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            return f"npm cannot install Medusa: {done.stderr.strip()[-300:]}"
        (FOLDER / "installed").touch()
    return None


def url_of(database):
    """The URL of a database as Node reads it: the folder of a socket stands for the host."""
    parts = {name: quote(str(value), safe="") for name, value in conninfo_to_dict(database).items()}
    who = f"{parts['user']}:{parts.get('password', '')}"
    return f"postgresql://{who}@{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts['dbname']}"


class Storefront:
    """url; `place`: id of its stock location; `items`: {sku: id of the inventory item}."""

    def __init__(self, database):
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DATABASE_URL": url_of(database), "MEDUSA_DISABLE_TELEMETRY": "true", "NODE_ENV": "production",
        }  # fmt: skip
        self.process = None
        self.token = self.key = None
        self.items, self.variants = {}, {}

    def run(self, *command):
        done = subprocess.run(
            ["npx", "medusa", *command], cwd=FOLDER, env=self.environment, capture_output=True, text=True,
            timeout=MIGRATE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]

    def start(self):
        self.log = (FOLDER / "server.log").open("w")
        self.process = subprocess.Popen(
            ["node", "node_modules/@medusajs/cli/cli.js", "start", "-H", "127.0.0.1", "-p", str(self.port)],
            cwd=FOLDER, env=self.environment, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                is_up = self.process.poll() is None and time.monotonic() < until
                assert is_up, (FOLDER / "server.log").read_text()[-2000:]
                time.sleep(0.2)  # it tells nobody when it is ready
        self.token = self("POST", "/auth/user/emailpass", email="admin@example.org", password="secret12345")["token"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def __call__(self, method, path, **body):
        headers = {"content-type": "application/json"}
        if path.startswith("/store"):
            headers["x-publishable-api-key"] = self.key
        elif self.token:
            headers["authorization"] = f"Bearer {self.token}"
        raw = json.dumps(body).encode() if method != "GET" else None
        request = urllib.request.Request(self.url + path, raw, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:1000]}") from None

    def found(self):
        """A place that ships, a region that pays, a key for shoppers and one for us."""
        self.channel = self("GET", "/admin/sales-channels")["sales_channels"][0]["id"]
        self.place = self("POST", "/admin/stock-locations", name="Here")["stock_location"]["id"]
        self("POST", f"/admin/stock-locations/{self.place}/sales-channels", add=[self.channel])
        self("POST", f"/admin/stock-locations/{self.place}/fulfillment-providers", add=["manual_manual"])
        self("POST", f"/admin/stock-locations/{self.place}/fulfillment-sets", name="Post", type="shipping")
        told = self("GET", f"/admin/stock-locations/{self.place}?fields=*fulfillment_sets")
        post = told["stock_location"]["fulfillment_sets"][0]["id"]
        zones = [{"type": "country", "country_code": "us"}]
        told = self("POST", f"/admin/fulfillment-sets/{post}/service-zones", name="US", geo_zones=zones)
        zone = told["fulfillment_set"]["service_zones"][0]["id"]
        self.profile = self("GET", "/admin/shipping-profiles")["shipping_profiles"][0]["id"]
        self.option = self(
            "POST", "/admin/shipping-options", name="Standard", service_zone_id=zone, shipping_profile_id=self.profile,
            provider_id="manual_manual", price_type="flat", prices=[{"currency_code": "usd", "amount": 5}],
            type={"label": "Standard", "description": "x", "code": "standard"},
            rules=[{"attribute": "enabled_in_store", "value": "true", "operator": "eq"}],
        )["shipping_option"]["id"]  # fmt: skip
        self.region = self(
            "POST", "/admin/regions", name="US", currency_code="usd", countries=["us"],
            payment_providers=["pp_system_default"],
        )["region"]["id"]  # fmt: skip
        keys = self("GET", "/admin/api-keys?type=publishable")["api_keys"]
        self.key = keys[0]["token"]
        self("POST", f"/admin/api-keys/{keys[0]['id']}/sales-channels", add=[self.channel])
        self.secret = self("POST", "/admin/api-keys", title="onhand", type="secret")["api_key"]["token"]

    def offer(self, sku, stock, price=19.99):
        """A product whose stock is counted."""
        told = self(
            "POST", "/admin/products", title=sku, status="published", shipping_profile_id=self.profile,
            options=[{"title": "Size", "values": ["One"]}], sales_channels=[{"id": self.channel}],
            variants=[
                {"title": "One", "sku": sku, "manage_inventory": True, "options": {"Size": "One"},
                 "prices": [{"currency_code": "usd", "amount": price}]}
            ],
        )  # fmt: skip
        self.variants[sku] = told["product"]["variants"][0]["id"]
        found = self("GET", f"/admin/inventory-items?sku={sku}")["inventory_items"][0]["id"]
        self.items[sku] = found
        self("POST", f"/admin/inventory-items/{found}/location-levels", location_id=self.place, stocked_quantity=stock)

    def cart(self, sku, quantity):
        """A cart that is ready to be paid."""
        address = {
            "first_name": "Ada", "last_name": "Byron", "address_1": "1 Main", "city": "New York", "province": "NY",
            "postal_code": "10001", "country_code": "us", "phone": "+12125550100",
        }  # fmt: skip
        cart = self(
            "POST", "/store/carts", region_id=self.region, email="ada@example.org", shipping_address=address,
            items=[{"variant_id": self.variants[sku], "quantity": quantity}],
        )["cart"]["id"]  # fmt: skip
        self("POST", f"/store/carts/{cart}/shipping-methods", option_id=self.option)
        payment = self("POST", "/store/payment-collections", cart_id=cart)["payment_collection"]["id"]
        self("POST", f"/store/payment-collections/{payment}/payment-sessions", provider_id="pp_system_default")
        return cart

    def buy(self, sku, quantity):
        """An order, paid for."""
        return self("POST", f"/store/carts/{self.cart(sku, quantity)}/complete")["order"]

    def order(self, order_id):
        fields = "+status,+fulfillment_status,*fulfillments,*fulfillments.labels,*fulfillments.items"
        return self("GET", f"/admin/orders/{order_id}?fields={fields}")["order"]

    def level(self, sku):
        """Stocked, reserved."""
        told = self("GET", f"/admin/inventory-items/{self.items[sku]}/location-levels")["inventory_levels"][0]
        return told["stocked_quantity"], told["reserved_quantity"]


@contextmanager
def storefront(database):
    """A storefront with its merchant's settings, until the block ends. database: how to connect to an empty one."""
    shutil.copy(HERE / "medusa-config.js", FOLDER)
    front = Storefront(database)
    front.run("db:migrate")
    front.run("user", "-e", "admin@example.org", "-p", "secret12345")
    front.start()
    try:
        front.found()
        yield front
    finally:
        front.stop()
