"""A real Vendure sells the same units as two other channels, and more of them than there are: no paid order is lost."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from tests.connectors.vendure.storefront import storefront, why_not
from tests.flows.channels import Storefront

from onhand.base.actor import SYSTEM, Actor
from onhand.connectors._sdk.values import Fate, Write
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import ship
from onhand.flows.intake import prepare
from onhand.flows.place_orders import Desk
from onhand.orders.intake import OrderIn

VENDURE = {
    "currency": "USD", "connector": "vendure", "credentials": {"username": "superadmin", "password": "superadmin"},
}  # fmt: skip
UNITS, CHECKOUTS, OTHERS = 60, 200, 20
pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("vendure")]


@pytest.fixture
def front(tmp_path):
    if (reason := why_not()) is not None:
        pytest.skip(f"NO STOREFRONT TO TEST AGAINST: {reason}")
    with storefront(str(tmp_path / "shop.sqlite")) as made:
        yield made


def everything(shop, step, most=60):
    """`step` until it has nothing to do; time passes meanwhile."""
    for _ in range(most):
        shop.now_due()
        if not step():
            return
    raise AssertionError(f"{step} never ends")


def test_every_paid_order_ends_shipped_or_cancelled_with_a_reason(merchant, front, tmp_path):
    with merchant.db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (2, 'market', 'm', 'EUR')")
    merchant.stock("berlin", A=UNITS)
    variant = front.offer("A", UNITS)
    shop = Storefront(merchant, None, front.url, tmp_path, code="v", document=VENDURE, place=front.place)
    shop.list("A", variant)
    shop.tell()
    paid, failed = [], []
    numbers = itertools.count(1)

    def check_out(_):
        try:
            bought = front.buy("A", 1)
        except Exception as error:  # the shop was killed in the middle of it
            failed.append(repr(error))
            return
        (paid if bought.get("state") == "PaymentSettled" else failed).append(bought.get("id") or str(bought))

    def sell(channel):
        desk = Desk(merchant.state)
        for _ in range(OTHERS):
            extra = {"channel": channel, "external_id": f"{channel}-{next(numbers)}"}
            order = msgspec.convert(msgspec.to_builtins(merchant.request([("A", 1)], "berlin", extra)), type=OrderIn)
            desk.place([prepare(merchant.state, order, actor=7, key=None, now=merchant.now)])
            time.sleep(0.05)
        desk.close()

    stop = threading.Event()

    def listen():
        while not stop.is_set():
            try:
                shop.now_due()
                shop.poll()
                shop.hear()
            except Exception as error:
                failed.append(repr(error))

    listener = threading.Thread(target=listen)
    listener.start()
    with ThreadPoolExecutor(18) as pool:
        others = [pool.submit(sell, channel) for channel in ("web", "market")]
        checkouts = [pool.submit(check_out, n) for n in range(CHECKOUTS)]
        while sum(c.done() for c in checkouts) < CHECKOUTS // 2:
            time.sleep(0.1)
        front.kill()
        front.start()
        for one in (*others, *checkouts):
            one.result()
    stop.set()
    listener.join()
    print(f"{len(paid)} paid, {len(failed)} not: {sorted(set(failed))[:5]}")
    assert len(paid) > UNITS, "the shop did not oversell: nothing was proved"

    def read():
        shop.now_due()
        shop.poll()
        return shop.do(shop.ear.messages)

    everything(shop, read)
    shop.reconcile()
    # Who waits is told so, who does not is sent his parcel.
    by = Actor(key_id=SYSTEM.key_id, reason="sold out")
    statuses = {}
    for external_id in paid:
        order = shop.order(external_id)
        assert order is not None, f"paid order {external_id} is lost"
        statuses[external_id] = order.status
        if order.status == "sourced":
            ship(merchant.state, order.fulfilment_id(1), carrier="UPS", tracking=f"1Z{external_id}", by=SYSTEM)
        else:
            assert order.status == "unfillable", order
            cancel_order(merchant.state, order.order_id, by=by)
    everything(shop, shop.tell)
    everything(shop, read)
    for external_id in paid:
        ours, theirs = shop.order(external_id), front.order(external_id)["state"]
        assert (ours.status, theirs) in (("shipped", "Shipped"), ("cancelled", "Cancelled")), (ours, theirs)
    shipped = sum(status == "sourced" for status in statuses.values())
    allocated = merchant.rows("SELECT count(*) FROM orders WHERE status = 'sourced'")[0][0]
    assert merchant.position("A", "berlin") == (UNITS - shipped, 0, allocated, 0)
    assert shipped + allocated == UNITS, "not a unit is left while somebody waited"
    assert shop.reconcile()["findings"] == []

    def say(account):
        return account.connector.push_stock(
            account.connection,
            [Write(external_id=variant, quantity=UNITS - shipped - allocated, key="k", place=front.place)],
        )

    assert [o.fate for o in shop.do(say)] == [Fate.DONE]
    on_hand, there = front.levels("A")
    assert on_hand - there == UNITS - shipped - allocated
    shop.close()
    print(f"{shipped} shipped, {len(paid) - shipped} cancelled, {allocated} of the other channels")
