"""kill -9 of the process that publishes, wherever it is with a write: the channel comes to show the ledger's number,
nothing is sent again more often than somebody died, and then word for word under its key; and never do two processes
publish to one channel beside each other.

Two `onhand worker` run all the time: the one that does not publish takes over, and the dead one is started again. The
channel is a process of its own that knows requests by their keys and can hold them.

ONHAND_CRASHES sets the number of kills (default 6, one at each point; half as many where a channel compares).
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import httpx2
import psycopg
import pytest
from tests.flows.ours import program, wait_until

from onhand.base.actor import SYSTEM
from onhand.channels.model import ChannelIn, ListingIn
from onhand.flows.accounts import Connectors
from onhand.flows.record_entries import record_entries
from onhand.flows.set_up import set_channel, set_listing
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.twin.fakes.stall import COMPARING, DOCUMENT

KILLS = int(os.environ.get("ONHAND_CRASHES", "6"))
SEED = int(os.environ.get("ONHAND_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
SKUS = "ABCDE"
LEADS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1869113697 AND granted"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
# What a server process has begun it ends, though its client is dead; unless it dies too.
BREAK_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
# When a worker that does not publish has asked last whether it may.
LOOKED = (
    "SELECT max(query_start) FROM pg_stat_activity WHERE application_name = 'onhand dedicated'"
    " AND query LIKE %s AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1869113697)"
)


class Installation:
    """A channel with five listings at a stall, and two workers."""

    def __init__(self, db, home, url, document):
        self.db, self.home, self.url = db, home, url
        self.kind = document.split()[1]
        folder = home / "connectors" / "stall"
        folder.mkdir(parents=True)
        (folder / "connector.yaml").write_text(document.replace("comparing_stall", "stall"))
        channel = ChannelIn.model_validate({"currency": "EUR", "connector": "stall", "settings": {"url": url}})
        set_channel(db, "shop", channel, by=SYSTEM, connectors=Connectors(home))
        self.state = State(db)
        self.state.load()
        self.ledger = dict.fromkeys(SKUS, 0)
        for sku in SKUS:
            set_listing(db, "shop", sku, ListingIn(external_id=f"shop-{sku}"), by=SYSTEM)
        self.log = (home / "workers.log").open("ab")
        self.workers = {}
        self.kills = 0

    def start(self):
        worker = program("worker", dsn=self.db.url, home=self.home, log=self.log)
        self.workers[worker.pid] = worker

    def stop(self):
        for worker in self.workers.values():
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            worker.wait()
        self.log.close()

    def kill(self, pid):
        worker = self.workers.pop(pid)
        os.killpg(pid, signal.SIGKILL)
        worker.wait()
        self.kills += 1

    def other_looks(self):
        """Wait until the worker that does not publish has asked whether it may, from now on."""
        (before,) = self.rows(LOOKED, "%pg_try_advisory_lock%")[0]
        wait_until(lambda: self.rows(LOOKED, "%pg_try_advisory_lock%")[0][0] not in (None, before), self.tail)

    def change(self, rng, skus=SKUS):
        """Units of one of the items come in or go."""
        sku = rng.choice(skus)
        units = rng.choice([n for n in (-2, -1, 1, 2, 3) if self.ledger[sku] + n >= 0])
        self.ledger[sku] += units
        entry = EntryIn(kind="adjustment", sku=sku, node="N1", quantity=units, reason="test")
        recorded = record_entries(self.db, self.state.catalogue, self.state.network.node_ids, [entry], SYSTEM)
        assert [r.status for r in recorded.results] == ["applied"]

    def tell(self, path, **body):
        httpx2.post(f"{self.url}/_fake/{path}", json=body).raise_for_status()

    def stall(self):
        return httpx2.get(f"{self.url}/_fake/journal").json()

    def shows(self):
        """Wait until the stall shows what the ledger has, and it is known here that it does."""
        wanted = {f"shop-{sku}": n for sku, n in self.ledger.items()}
        wait_until(lambda: self.stall()["shown"] == wanted, lambda: (wanted, self.stall()["shown"], self.tail()))
        unsettled = "SELECT count(*) FROM published WHERE sent_key IS NOT NULL"
        wait_until(lambda: self.rows(unsettled) == [(0,)], self.tail)

    def leader(self):
        """The process that sent the last write."""
        return self.stall()["journal"][-1]["pid"]

    def rows(self, sql, *values):
        with self.db.connection() as conn:
            return conn.execute(sql, values).fetchall()

    def tail(self):
        return (self.home / "workers.log").read_text(errors="replace")[-3000:]

    @contextmanager
    def locked(self, table):
        """Nobody writes to the table meanwhile."""
        with psycopg.connect(self.db.url) as conn:
            conn.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
            conn.rollback()

    def waits_for(self, words):
        wait_until(lambda: self.rows(WAITS, f"%{words}%") != [(0,)], self.tail)

    # Where it dies --------------------------------------------------------------------------------------------------

    def dies_before_it_is_recorded(self, rng, leader):
        with self.locked("published"):
            self.change(rng)
            self.waits_for("INSERT INTO published")
            self.kill(leader)
            if rng.random() < 0.5:
                self.rows(BREAK_OFF, "%INSERT INTO published%")

    def dies_before_it_is_sent(self, rng, leader):
        with self.locked("channel_bucket"):
            self.change(rng)
            self.waits_for("INSERT INTO channel_bucket")
            assert self.rows("SELECT count(*) FROM published WHERE sent_key IS NOT NULL") != [(0,)]
            self.kill(leader)

    def dies_before_it_takes_effect(self, rng, leader):
        self._dies_held(rng, leader, where="before")

    def dies_before_it_is_answered(self, rng, leader):
        self._dies_held(rng, leader, where="after")

    def _dies_held(self, rng, leader, *, where):
        self.tell("hold", where=where)
        self.change(rng)
        wait_until(lambda: self.stall()["held"], self.tail)
        self.kill(leader)
        if rng.random() < 0.5:
            self.change(rng)
        self.tell("let-go")

    def dies_before_the_answer_is_recorded(self, rng, leader):
        self.tell("hold", where="after")
        self.change(rng)
        wait_until(lambda: self.stall()["held"], self.tail)
        with self.locked("published"):
            self.tell("let-go")
            self.waits_for("INSERT INTO published")
            self.kill(leader)
            self.rows(BREAK_OFF, "%INSERT INTO published%")

    def dies_anywhere(self, rng, leader):
        for _ in range(rng.randrange(1, 12)):
            self.change(rng)
        self.kill(leader)


POINTS = (
    Installation.dies_before_it_is_recorded, Installation.dies_before_it_is_sent,
    Installation.dies_before_it_takes_effect, Installation.dies_before_it_is_answered,
    Installation.dies_before_the_answer_is_recorded, Installation.dies_anywhere,
)  # fmt: skip


@pytest.fixture
def stall():
    program = [sys.executable, str(Path(__file__).with_name("held_stall.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture(params=[DOCUMENT, COMPARING], ids=["setting", "comparing"])
def installation(shop, stall, tmp_path, request):
    made = Installation(shop, tmp_path, stall, request.param)
    try:
        made.start()
        made.shows()
        made.start()
        yield made
    finally:
        made.stop()


def check(journal, kills):
    """Of what was sent: what came twice came as it had been, and no more often than somebody died."""
    sent = {}
    for write in journal:
        assert sent.setdefault(write["key"], write["items"]) == write["items"], "another thing under a key"
    again = Counter(write["key"] for write in journal)
    assert max(again.values()) <= 2, again.most_common(3)
    assert sum(again.values()) - len(again) <= kills, again
    # Whoever publishes does so until he dies.
    turns = [pid for pid, _ in groupby(write["pid"] for write in journal if write["pid"])]
    assert len(turns) == len(set(turns)) <= kills + 1, turns


@pytest.mark.timeout(900)
def test_whenever_the_publishing_worker_is_killed_the_channel_comes_to_show_the_ledgers_number(installation):
    print(f"ONHAND_SEED={SEED}")
    rng = random.Random(SEED)
    inst = installation
    repeats = Counter()
    points = POINTS if inst.kind == "stall" else POINTS[2:5]
    for kill in range(KILLS * len(points) // len(POINTS)):
        point = points[kill % len(points)]
        inst.other_looks()
        inst.change(rng)
        inst.shows()
        before = len(inst.stall()["journal"])
        point(inst, rng, inst.leader())
        assert inst.rows(LEADS)[0][0] <= 1
        inst.shows()
        journal = inst.stall()["journal"]
        check(journal, inst.kills)
        repeats[point.__name__] += sum(write["is_repeat"] for write in journal[before:])
        inst.start()
    journal = inst.stall()["journal"]
    print(f"{inst.kills} kills, {len(journal)} requests, sent again: {dict(repeats)}")
    assert repeats["dies_before_the_answer_is_recorded"], "nothing was sent again: nothing was proved"


@pytest.mark.parametrize("installation", [DOCUMENT], ids=["setting"], indirect=True)
def test_a_worker_that_stands_still_keeps_its_channel_and_one_that_loses_its_lock_lets_go(installation):
    rng = random.Random(SEED)
    inst = installation

    inst.change(rng)
    inst.shows()
    inst.other_looks()
    leader, known = inst.leader(), len(inst.stall()["journal"])
    os.kill(leader, signal.SIGSTOP)
    inst.change(rng)
    inst.other_looks()
    inst.other_looks()
    assert len(inst.stall()["journal"]) == known, "nobody else publishes: it may be in the middle of a write"
    os.kill(leader, signal.SIGCONT)
    inst.shows()
    check(inst.stall()["journal"], 0)
    # Its connection breaks, and with it the lock; the process lives.
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1869113697 AND granted"
    ((old,),) = inst.rows(held)
    inst.rows("SELECT pg_terminate_backend(%s)", old)
    for _ in range(5):
        inst.change(rng)
    inst.shows()
    wait_until(lambda: [pid for (pid,) in inst.rows(held)] not in ([], [old]), inst.tail)
    inst.change(rng)
    inst.shows()
    assert all(n <= 2 for n in Counter(write["key"] for write in inst.stall()["journal"]).values())
    turns = [pid for pid, _ in groupby(write["pid"] for write in inst.stall()["journal"])]
    assert len(turns) <= 3, turns
