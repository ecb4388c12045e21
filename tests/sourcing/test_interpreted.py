"""Without Numba, or with it switched off, the same code decides the same, only slower."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tests.sourcing.test_large_orders import draw_large
from tests.sourcing.worlds import Plan, Running, World, draw, draw_huge, plans

from onhand.sourcing import kernel

ROOT = Path(__file__).parents[2]
BLOCKED = "import sys; sys.modules['numba'] = None; "
PROGRAM = "from tests.sourcing.test_interpreted import report; report()"


def draw_all() -> list[World]:
    """Some hundreds of orders of every kind."""
    worlds = [draw(Random(seed), orders=3) for seed in range(90)]
    worlds += [draw_huge(Random(seed)) for seed in range(150)]
    sizes = [(9, 3, 3), (12, 6, 12), (3, 5, 3)]
    worlds += [
        draw_large(Random(seed), lines=lines, nodes=nodes, patterns=patterns)
        for seed in range(8)
        for lines, nodes, patterns in sizes
    ]
    return worlds


def decided() -> list[dict[str, object]]:
    """Plans and records of all orders, JSON-ready."""
    rows: list[dict[str, object]] = []
    for world in draw_all():
        running = Running.of(world)
        decisions = running.decide(world.orders, consume=True)
        words = int(decisions.record_first[-1])
        rows.append({"cost": 0, "record": decisions.record[:words].tolist()})
        rows += [_row(plan) for plan in plans(decisions, running.network)]
    return rows


def _row(plan: Plan | None) -> dict[str, object]:
    if plan is None:
        return {"cost": -1}
    names = ("node", "service", "slot", "departs", "deliver", "lines", "units")
    return {
        "cost": plan.cost,
        "method": plan.method,
        "fulfilments": [
            [getattr(f, name) for name in names] + sorted(map(list, f.picks.items())) for f in plan.fulfilments
        ],
    }


def report() -> None:
    """Print them, and whether the kernel was compiled."""
    is_compiled = hasattr(kernel.source_batch, "signatures")
    sys.stdout.write(json.dumps({"compiled": is_compiled, "rows": decided()}))


@pytest.mark.parametrize(
    ("program", "environment"),
    [(PROGRAM, {"NUMBA_DISABLE_JIT": "1"}), (BLOCKED + PROGRAM, {})],
    ids=["switched off", "not installed"],
)
def test_the_interpreted_solver_decides_the_same(program: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert not answer["compiled"] and hasattr(kernel.source_batch, "signatures")
    expected = json.loads(json.dumps(decided()))
    assert len(answer["rows"]) == len(expected) > 400
    for interpreted, compiled in zip(answer["rows"], expected, strict=True):
        assert interpreted.pop("cost") == pytest.approx(compiled.pop("cost"), rel=1e-12)
        assert interpreted == compiled
