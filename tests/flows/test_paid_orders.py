"""Many orders at once through the database and the fake Stripe: declined, cancelled, shipped and returned in parts, on
a wire that fails now and then. In the end goods and money agree, to the cent, of each order and in all.

ONHAND_PAID_ORDERS sets how many (default 16; `make bench` takes 500), ONHAND_SEED repeats them.
"""

import json
import os
import random
import time
from datetime import timedelta

import httpx2
from tests.connectors.running import serving
from tests.flows.paying import Till

from onhand.errors import Conflict
from onhand.twin.fakes.stripe import Account

ORDERS = int(os.environ.get("ONHAND_PAID_ORDERS", "16"))
SEED = int(os.environ.get("ONHAND_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
HOUR = timedelta(hours=1)


def test_goods_and_money_of_many_orders_agree(merchant, tmp_path):
    print(f"ONHAND_SEED={SEED} ONHAND_PAID_ORDERS={ORDERS}")
    rng, account = random.Random(SEED), Account(now=lambda: merchant.now)
    merchant.stock("berlin", A=ORDERS * 20, B=ORDERS * 20)
    app = account.app()
    with serving(app) as url:
        till = Till(merchant, account, url, tmp_path, captures=rng.choice(("one", "many")))
        orders = [new_order(till, rng, n) for n in range(ORDERS)]
        began = time.monotonic()
        kinds = ({"status": 0, "after": True}, {"status": 500}, {"status": 503}, {"status": 504, "after": True})
        faults = [rng.choice(kinds) | {"skip": rng.randrange(ORDERS)} for _ in range(ORDERS // 8)]
        httpx2.post(f"{url}/_fake/faults", content=json.dumps(faults)).raise_for_status()
        till.work()
        for _ in range(3):
            for order_id in orders:
                happen(till, order_id, rng)
            till.work(after=rng.randrange(1, 30) * HOUR)
        assert any(come_back(till, order_id) for order_id in orders), "something comes back, whatever chance would have"
        app._faults.clear()
        for _ in range(5):  # until the last decline is over
            till.work(after=75 * HOUR)
        seconds = time.monotonic() - began
        for order_id in orders:
            found = till.payment(order_id)
            worth = found["invoiced_minor"] - found["credited_minor"]
            assert found["captured_minor"] - found["refunded_minor"] == worth, (order_id, found["status"])
            assert all(o["state"] in ("done", "failed") for o in found["operations"])
        ours, theirs = till.totals(), account.totals()
        till.close()
    assert (ours["capture"], ours["refund"]) == (theirs["capture"], theirs["refund"])
    assert ours["capture"] > ours["refund"] > 0
    # A hold of which nobody was told for a day is not ours any more; it lapses by itself.
    assert ours["authorise"] <= theirs["authorise"]
    print(f"{ORDERS} orders in {seconds:.1f} s: {ours}, {account.repeats} repeats")


def new_order(till, rng, n):
    """Of two lines, by somebody whose bank pays mostly."""
    token = rng.choices(("pm_ok", "pm_later_2", "pm_declined"), (8, 1, 1))[0]
    lines = [(sku, rng.randrange(1, 5), rng.randrange(1, 9_999)) for sku in ("A", "KIT")]
    return till.place(*lines, token=f"{token}_{n}", tax=rng.randrange(5_000))


def happen(till, order_id, rng):
    """Something or other to an order."""
    order = till.merchant.order(order_id)
    line = rng.choice(order.lines)
    try:
        match rng.randrange(4):
            case 0 | 1:
                # Not before the bank has agreed: what leaves earlier may never be paid.
                if not order.held and till.payment(order_id)["authorised_minor"] and line.open > line.shipped:
                    till.ship(order_id, **{line.line_id: rng.randrange(1, line.open - line.shipped + 1)})
            case 2:
                till.bring_back(order_id, **{line.line_id: 1})
            case _:
                till.cancel(order_id, **{line.line_id: 1})
    except Conflict:
        return  # it is too late, or too early


def come_back(till, order_id):
    """Whether a unit of it comes back: something has to have left."""
    for line in till.merchant.order(order_id).lines:
        try:
            till.bring_back(order_id, **{line.line_id: 1})
        except Conflict:
            continue
        return True
    return False
