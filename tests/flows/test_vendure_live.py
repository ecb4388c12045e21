"""A real Vendure sells what two other channels sell too, and all that is ours is `onhand serve`, a process of its own.

Each side is killed with SIGKILL and started again in the middle. Nothing is told to our side but over HTTP, by a
merchant's key or a channel's signature, and nothing to Vendure but by its own interfaces; the other two channels are
stateful fakes that speak their vendors' interfaces to real connectors.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest
from tests.connectors.running import serving
from tests.connectors.vendure.storefront import Shopper, storefront, why_not
from tests.flows.ours import Ours, wait_until

from onhand.twin.fakes import shopify, woocommerce

CHECKOUTS, SHOPPERS_ELSEWHERE = 200, 40
SCARCE, PLENTY, SUPPLY = 120, 400, 15
CHANNELS = ("vendure", "shopify", "woo")
pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("vendure")]


class Elsewhere:
    """Another channel with the same items: a fake and its shoppers, who buy what it shows."""

    def __init__(self, code, fake, url, levels, shown):
        self.code, self.fake, self.url = code, fake, url
        self._levels, self._shown = levels, shown
        self.ids = {sku: fake.add_product(sku, units) for sku, units in {"LAMP": SCARCE, "MUG": PLENTY}.items()}
        self.lowest = {}
        self.sold = []

    def shows(self, sku):
        return self._levels(self.fake)[self.ids[sku]][self._shown]

    def buy(self, sku):
        """One unit of what it shows, if there is any; the order."""
        if self.shows(sku) <= 0:
            return None
        order = httpx2.post(f"{self.url}/_fake/buy", json={"lines": {str(self.ids[sku]): 1}}).json()
        self.sold.append(str(order["id"]))
        return order

    def state(self, external_id):
        """In one word for both kinds."""
        orders = self.fake.orders
        order = orders[external_id] if external_id in orders else orders[int(external_id)]
        if order.get("cancelledAt") or order.get("status") == "cancelled":
            return "cancelled"
        is_sent = order.get("displayFulfillmentStatus") == "FULFILLED" or order.get("status") == "completed"
        return "shipped" if is_sent else "open"


class World:
    """Our side, Vendure and two other channels."""

    def __init__(self, ours, front, others):
        self.ours, self.front, self.others = ours, front, others

    def found(self):
        """A node with stock of both items, three channels that list them."""
        call = self.ours.call
        self.ours.found()
        self.ours.receive(LAMP=SCARCE, MUG=PLENTY)
        documents = {
            "vendure": {
                "settings": {"url": self.front.url, "place": self.front.place, **_quick(200)},
                "credentials": {"username": "superadmin", "password": "superadmin"},
            },
            "shopify": {
                "settings": {"url": self.others[0].url, "place": self.others[0].fake.place, **_quick(200)},
                "credentials": {"access_token": "shpat_fake", "webhook_secret": "hook"},
            },
            "woo": {
                "connector": "woocommerce", "settings": {"url": self.others[1].url, **_quick(200)},
                "credentials": {"consumer_key": "ck_fake", "consumer_secret": "cs_fake", "webhook_secret": "hook"},
            },
        }  # fmt: skip
        for code, document in documents.items():
            call("PUT", f"/v1/channels/{code}", {"connector": code, "currency": "USD"} | document)
        for sku, units in {"LAMP": SCARCE, "MUG": PLENTY}.items():
            ids = [self.front.offer(sku, units), *(str(other.ids[sku]) for other in self.others)]
            for code, external_id in zip(CHANNELS, ids, strict=True):
                call("PUT", f"/v1/listings/{code}/{sku}", {"external_id": external_id})

    def available(self, sku):
        """What our ledger has for sale."""
        return self.ours.call("GET", f"/v1/availability?sku={sku}&channel=vendure")["ats"]

    def shown(self, sku):
        """{channel: units for sale there}, by the channels' own word."""
        on_hand, allocated = self.front.levels(sku)
        return {"vendure": on_hand - allocated} | {other.code: other.shows(sku) for other in self.others}

    def orders(self, channel):
        """{external id: order} of ours."""
        return {o["external_id"]: o for o in self.ours.all(f"/v1/orders?channel={channel}")}

    def reconcile(self):
        for code in CHANNELS:
            self.ours.call("POST", f"/v1/channels/{code}/reconcile")

    def taken_in(self, wanted):
        """Wait until we have all these orders: {channel: ids}."""

        def left():
            return {code: sorted(set(ids) - set(self.orders(code)))[:5] for code, ids in wanted.items()}

        wait_until(lambda: not any(left().values()), left, step=self.reconcile)

    def agree(self):
        """Wait until all channels show what the ledger has, once they were reconciled."""
        began = datetime.now(UTC)
        self.reconcile()

        def health():
            return {code: self.ours.call("GET", f"/v1/channels/{code}/health") for code in CHANNELS}

        def is_read():
            return all(h["reconciled_at"] and datetime.fromisoformat(h["reconciled_at"]) > began
                       for h in health().values())  # fmt: skip

        wait_until(is_read, health)

        def same():
            return all(set(self.shown(sku).values()) == {self.available(sku)} for sku in ("LAMP", "MUG"))

        wait_until(same, lambda: [(s, self.available(s), self.shown(s)) for s in ("LAMP", "MUG")])

    def kill_us(self, *, in_the_middle_of=lambda: True):
        wait_until(in_the_middle_of)
        self.ours.kill()
        self.ours.restart_later()

    def kill_vendure(self):
        self.front.kill()
        self.front.start()

    def ship(self, order_id):
        for fulfilment in self.ours.call("GET", f"/v1/orders/{order_id}")["fulfilments"]:
            if fulfilment["status"] == "allocated":
                self.ours.call("POST", f"/v1/fulfilments/{fulfilment['fulfilment_id']}/ship", {"tracking": "1Z"})

    def sku_of(self, order_id):
        (line,) = self.ours.call("GET", f"/v1/orders/{order_id}")["lines"]
        return line["sku"]

    def rows(self, sql):
        with psycopg.connect(self.ours.dsn) as conn:
            return conn.execute(sql).fetchall()


def _quick(rate):
    """Servers of our own take more than the connector asks of other people's."""
    return {"overrides": {"limits": {"rate_per_s": rate, "burst": rate}}}


@pytest.fixture
def world(dsn, tmp_path):
    if (reason := why_not()) is not None:
        pytest.skip(f"NO STOREFRONT TO TEST AGAINST: {reason}")
    shop, woo = shopify.Shop(restore_per_s=2_000.0), woocommerce.Shop()
    ours = Ours(dsn, tmp_path)
    with storefront(str(tmp_path / "shop.sqlite")) as front, serving(shop.app()) as a, serving(woo.app()) as b:
        others = [
            Elsewhere("shopify", shop, a, lambda fake: fake.items, "available"),
            Elsewhere("woo", woo, b, lambda fake: fake.products, "stock_quantity"),
        ]
        try:
            ours.start()
            made = World(ours, front, others)
            made.found()
            yield made
        finally:
            ours.stop()


def test_an_order_of_a_shopper_ends_as_shipped_there_whoever_dies_meanwhile(world):
    world.agree()
    assert world.shown("LAMP") == dict.fromkeys(CHANNELS, SCARCE)
    outcome, bought = Shopper(world.front, "LAMP", 3).check_out()
    assert outcome == "paid"
    world.ours.kill()  # before it has heard of it
    world.ours.start()
    world.taken_in({"vendure": [bought]})
    order = world.orders("vendure")[bought]
    assert order["status"] == "sourced"
    assert world.available("LAMP") == SCARCE - 3
    wait_until(lambda: all(o.shows("LAMP") == SCARCE - 3 for o in world.others), lambda: world.shown("LAMP"))
    world.front.kill()
    world.ship(order["order_id"])  # which Vendure cannot be told
    told = "SELECT attempts FROM channel_notice WHERE status = 'due'"
    world.kill_us(in_the_middle_of=lambda: world.rows(told) != [])
    world.front.start()

    def there():
        return world.front.order(bought)

    wait_until(lambda: there()["state"] == "Shipped", there)
    (parcel,) = there()["fulfillments"]
    assert (parcel["state"], parcel["trackingCode"], parcel["lines"][0]["quantity"]) == ("Shipped", "1Z", 3)
    # What we wrote while it shipped was of what it had reserved before: seen in its answer, and written again.
    wait_until(lambda: world.front.levels("LAMP") == (SCARCE - 3, 0), lambda: world.front.levels("LAMP"))
    world.agree()
    assert world.shown("LAMP") == dict.fromkeys(CHANNELS, SCARCE - 3)
    assert world.rows("SELECT count(*) FROM orders") == [(1,)]


def rush(world):
    """200 checkouts at once at Vendure, shoppers elsewhere beside them, and either side killed in the middle.

    ({outcome: how many}, {channel: ids of paid orders}, how often a shopper had to come back)
    """
    done = threading.Condition()
    outcomes, paid, came_back = Counter(), {code: [] for code in CHANNELS}, Counter()
    begin = threading.Barrier(CHECKOUTS)

    def check_out(n):
        shopper = Shopper(world.front, "MUG" if n % 4 == 0 else "LAMP")
        begin.wait(60)
        outcome, order_id = shopper.check_out()
        with done:
            outcomes[outcome] += 1
            came_back["shoppers"] += shopper.came_back > 0
            if order_id is not None:
                paid["vendure"].append(order_id)
            done.notify_all()

    def after(share):
        """Wait until that share of the checkouts is over."""
        with done:
            assert done.wait_for(lambda: outcomes.total() >= share * CHECKOUTS, 120), outcomes

    def shop_elsewhere(other):
        for n in range(SHOPPERS_ELSEWHERE):
            after(0.8 * n / SHOPPERS_ELSEWHERE)
            order = other.buy("MUG" if n % 4 == 0 else "LAMP")
            if order is None:
                continue
            paid[other.code].append(str(order["id"]))
            world.ours.deliver(other.code, *other.fake.deliver(order))

    def kill_us():
        after(0.1)
        world.kill_us()

    def kill_vendure():
        after(0.4)
        world.kill_vendure()

    with ThreadPoolExecutor(CHECKOUTS + len(world.others) + 2) as pool:
        works = [pool.submit(check_out, n) for n in range(CHECKOUTS)]
        works += [pool.submit(shop_elsewhere, other) for other in world.others]
        works += [pool.submit(kill_us), pool.submit(kill_vendure)]
        for work in works:
            work.result()
    return outcomes, paid, came_back["shoppers"]


def test_every_paid_order_of_200_checkouts_ends_shipped_backordered_or_cancelled_with_a_reason(world):
    began = time.monotonic()
    world.agree()
    supply = {"sku": "LAMP", "quantity": SUPPLY, "expected_at": (datetime.now(UTC) + timedelta(days=7)).isoformat()}
    world.ours.call("POST", "/v1/inbound", {"reference": "PO-1", "node": "ny", "lines": [supply]})
    outcomes, paid, came_back = rush(world)
    print(f"{dict(outcomes)}; {came_back} came back after the shop died; elsewhere:",
          {code: len(paid[code]) for code in CHANNELS[1:]}, f"{time.monotonic() - began:.0f} s")  # fmt: skip
    assert outcomes.total() == CHECKOUTS
    assert set(outcomes) <= {"paid", "sold out at the cart", "sold out at the till"}, outcomes
    assert came_back, "the shop was not killed in the middle of anything"
    assert sorted(world.front.placed()) == sorted(paid["vendure"]), "by its own word"
    wait_until(
        lambda: max(other.shows("LAMP") for other in world.others) < SCARCE - SHOPPERS_ELSEWHERE,
        lambda: f"the others were not lowered: {world.shown('LAMP')}",
    )

    # Everything that was paid is an order of ours, once; the first had the units, the next the supply.
    world.taken_in(paid)
    ours = {code: world.orders(code) for code in CHANNELS}
    assert {code: sorted(found) for code, found in ours.items()} == {code: sorted(ids) for code, ids in paid.items()}
    orders = [order for found in ours.values() for order in found.values()]
    assert sum(map(len, paid.values())) == len(orders)
    wait_until(lambda: world.rows("SELECT count(*) FROM queue_line WHERE queue = 'to_source'") == [(0,)])
    ends = {code: {i: _end(o) for i, o in world.orders(code).items()} for code in CHANNELS}
    by_end = Counter(end for found in ends.values() for end in found.values())
    print(dict(by_end), f"{time.monotonic() - began:.0f} s")
    assert set(by_end) == {"shipped", "backorder", "cancelled"}, "not oversold: nothing was proved"
    assert by_end["backorder"] == SUPPLY

    # Who waits for nothing is told so, with a reason; who has units is sent them, while our side dies once more.
    works = [(code, i) for code in CHANNELS for i in ours[code] if ends[code][i] != "backorder"]
    for n, (code, external_id) in enumerate(works):
        order_id = ours[code][external_id]["order_id"]
        if n == len(works) // 2:
            world.kill_us()
        if ends[code][external_id] == "shipped":
            world.ship(order_id)
        else:
            world.ours.call("POST", f"/v1/orders/{order_id}/cancel", {}, **{"X-Reason": "sold out"})
    words = {"shipped": "Shipped", "cancelled": "Cancelled", "backorder": "PaymentSettled"}

    def differing():
        placed = world.front.placed()
        there = [(i, placed[i]) for i, end in ends["vendure"].items() if placed[i] != words[end]]
        for other in world.others:
            wanted = {i: end.replace("backorder", "open") for i, end in ends[other.code].items()}
            there += [(i, other.state(i)) for i, end in wanted.items() if other.state(i) != end]
        return there

    wait_until(lambda: not differing(), differing, within_s=120)
    for code in CHANNELS:
        for external_id, order in world.orders(code).items():
            end = ends[code][external_id]
            assert order["status"] == {"backorder": "backordered"}.get(end, end), order
            if end == "cancelled":
                timeline = world.ours.call("GET", f"/v1/orders/{order['order_id']}")["timeline"]
                assert "sold out" in [entry["reason"] for entry in timeline], timeline
    print(f"all told: {time.monotonic() - began:.0f} s")

    # Numbers: each unit is accounted for, and each channel shows what there is.
    sold = Counter(world.sku_of(order["order_id"]) for order in orders if _end(order) == "shipped")
    world.agree()
    assert world.shown("MUG") == dict.fromkeys(CHANNELS, PLENTY - sold["MUG"])
    assert world.shown("LAMP") == dict.fromkeys(CHANNELS, 0)
    assert sold["LAMP"] == SCARCE, "not a unit is left while somebody waits"
    assert world.rows("SELECT sku, on_hand, allocated, oversold FROM stock_position JOIN item USING (item_id)"
                      " ORDER BY sku") == [("LAMP", 0, 0, 0), ("MUG", PLENTY - sold["MUG"], 0, 0)]  # fmt: skip
    # Not asked: how many units Vendure itself calls allocated. It loses count of them under load (seen: 11, with 15
    # such orders open); our number is right all the same, since it is set on top of what Vendure says.
    settled = datetime.now(UTC)
    world.reconcile()

    def reports():
        """The latest of each channel."""
        return [world.ours.call("GET", f"/v1/channels/{code}/order-reports")["data"][0] for code in CHANNELS]

    wait_until(lambda: all(datetime.fromisoformat(r["at"]) > settled for r in reports()), reports, step=world.reconcile)
    assert [report["findings"] for report in reports()] == [[]] * 3
    print(f"{world.ours.kills} kills of ours; done after {time.monotonic() - began:.0f} s")


def _end(order):
    """How an order is to end, by where it stands now."""
    if order["queue"] == "backorder":
        return "backorder"
    return {"sourced": "shipped", "unfillable": "cancelled"}.get(order["status"], order["status"])
