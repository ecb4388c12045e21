"""What is compiled ahead is all that is needed later."""

import subprocess
import sys

import pytest

pytest.importorskip("numba")

AHEAD = """
from onhand.sourcing import warm
warm.warm_kernel()
{more}
from onhand.base import compiled
from onhand.sourcing import interleave, kernel
from onhand.ledger.stack import stack
needed = kernel.source_batch, interleave.interleave, stack
before = compiled.compiled_here()
{later}
print(compiled.compiled_here()[len(before):], [len(f.signatures) for f in needed])
"""
ORDERS = """
from onhand.bench import sourcing
sourcing.kernel(20, orders=1_000, rounds=1)
sourcing.prices_s(items=50, nodes=5, regions=3, samples=500)
sourcing.simulate_s(orders=500, nodes=5)
"""
TOGETHER = """
from tests.library.test_source_batch import draw, plan
for seed in range(6):
    network, orders = draw(seed, nodes=3 + seed % 3, items=4, orders=8 + 6 * seed)
    if seed % 2:
        network["nodes"][0]["capacity"] = {"orders": 2}
    plan(orders, network, time_limit_s=0.5)
assert warm.is_together_kept()
"""
ALL = """
from onhand.channels.gates import demand, gate
from onhand.cli import run
from onhand.incidents.detect import kernels
from onhand.sourcing import kernel, shadow
assert run(["warm"]) == 0
loops = kernel.source_batch, shadow.climb, demand.observe, gate.decide, kernels.lane_sums, kernels.absent
print([f.__name__ for f in loops if not f.signatures])
"""


def run(program: str) -> str:
    """What it prints in a process of its own."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def later(more: str, program: str) -> str:
    """What a fresh process still compiles."""
    return run(AHEAD.format(more=more, later=program))


def test_orders_prices_and_simulations_need_no_more_than_the_kernel() -> None:
    assert later("", ORDERS) == "[] [1, 1, 1]"


def test_plans_made_together_need_no_more_than_what_is_warmed() -> None:
    assert later("warm.warm_together()", TOGETHER) == "[] [1, 1, 1]"


def test_onhand_warm_leaves_a_worker_nothing_to_compile() -> None:
    """Servers, demos and copies of later tests too: each of theirs would have it compiled apart, and break that off."""
    assert run(ALL).splitlines()[-1] == "[]"
