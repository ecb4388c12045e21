"""kill -9 of workers that take money: between asking a provider and writing down what came of it, and elsewhere, two of
them at a time. Their ledger is the judge: nothing is held, captured or refunded twice.

ONHAND_CRASHES sets the number of random kills (default 2: a process takes seconds to start), ONHAND_SEED repeats them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.paying import Till

from onhand.twin.fakes.stripe import Account

KILLS = int(os.environ.get("ONHAND_CRASHES", "2"))
SEED = int(os.environ.get("ONHAND_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
ORDERS = 12

# Only what takes money: the rest of a worker would take a minute to start.
WORKER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from onhand.db import Database
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.payments.cashier import Cashier
from onhand.flows.payments.tend import follow, look_at_due

dsn, home, ahead_s = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])

async def main():
    with Database.open(dsn) as db:
        state = SimpleNamespace(db=db, now=lambda: datetime.now(UTC) + timedelta(seconds=ahead_s))
        async with Accounts(db, Connectors(home), allow_private_urls=True) as accounts:
            print("ready", flush=True)
            while True:
                follow(state)
                while look_at_due(state):
                    pass
                await Cashier(state).work(await accounts.get("cards"))
                await asyncio.sleep(0.02)

asyncio.run(main())
"""


@contextmanager
def working(till, folder, ahead_s=0):
    """A worker as a process of its own, which is killed in the end."""
    command = [sys.executable, "-c", WORKER, till.db.url, str(folder), str(ahead_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_until(true, seconds=40):
    give_up_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)  # another process works, and nothing of ours is told of it


@pytest.fixture
def till(merchant, tmp_path):
    merchant.now = datetime.now(UTC)
    account = Account()
    with serving(account.app()) as url:
        made = Till(merchant, account, url, tmp_path)
        merchant.stock("berlin", A=200)
        yield made
        made.close()
        assert made.totals() == account.totals()


def rows(till, kind):
    return [row for row in till.fake.ledger if row.kind == kind]


def slow(till):
    """The next request takes effect, and its answer takes longer than whoever asked lives."""
    fault = [{"status": 200, "after": True, "delay_s": 6.0, "body": {}, "times": 1}]
    httpx2.post(f"{till.url}/_fake/faults", content=json.dumps(fault)).raise_for_status()


def last(till, order_id):
    operation = till.payment(order_id)["operations"][-1]
    return operation["kind"], operation["state"]


@pytest.mark.timeout(300)
def test_killed_between_asking_and_writing_down_no_money_moves_twice(till, tmp_path):
    order_id = till.place(("A", 2, 1000))
    slow(till)
    with working(till, tmp_path):
        wait_until(lambda: rows(till, "authorise"))
    assert last(till, order_id) == ("authorise", "sent"), "it was killed too late"
    with working(till, tmp_path, 500):
        wait_until(lambda: last(till, order_id) == ("authorise", "done"))
        slow(till)
        till.ship(order_id)
        wait_until(lambda: rows(till, "capture"))
    assert last(till, order_id) == ("capture", "sent")
    with working(till, tmp_path, 1_000):
        wait_until(lambda: last(till, order_id) == ("capture", "done"))
        slow(till)
        till.bring_back(order_id, _1=1)
        wait_until(lambda: rows(till, "refund"))
    assert last(till, order_id) == ("refund", "sent")
    till.merchant.now += timedelta(seconds=1_500)
    till.work()
    assert till.sums(order_id) == ("partly_refunded", 2000, 2000, 1000, 0)
    assert [len(rows(till, kind)) for kind in ("authorise", "capture", "refund")] == [1, 1, 1]
    assert till.fake.repeats == 3, "the provider was not asked with the same key"


@pytest.mark.timeout(600)
def test_two_workers_that_are_killed_at_any_moment_take_each_cent_once(till, tmp_path):
    print(f"ONHAND_SEED={SEED} ONHAND_CRASHES={KILLS}")
    rng = random.Random(SEED)
    orders = [till.place(("A", 3, 1000), tax=571) for _ in range(ORDERS)]
    for n in range(0, ORDERS, 2):
        till.ship(orders[n], **{"1": 2})
    for n in range(KILLS // 2):
        with working(till, tmp_path, n * 300), working(till, tmp_path, n * 300):
            time.sleep(rng.uniform(0.0, 0.4))  # when they are killed is what is tried
    for n in range(0, ORDERS, 3):
        if n % 2 == 0:
            till.bring_back(orders[n], _1=1)
    till.merchant.now = datetime.now(UTC) + timedelta(hours=2)
    till.work()
    till.work(after=timedelta(hours=1))
    shipped, returned = 6 * 2381, 2 * 1190
    sums = till.fake.totals()
    assert sums["capture"] - sums["refund"] == shipped - returned
    assert len(rows(till, "capture")) == 6
