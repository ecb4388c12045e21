"""The random batch is the one whose figures are quoted, and it is measured against a proved bound."""

import numpy as np

from onhand.bench import shared_batch


def test_instance_is_the_same_for_the_same_seed_and_scarce() -> None:
    options, shared = shared_batch.instance(50)
    again, _ = shared_batch.instance(50)
    other, _ = shared_batch.instance(50, seed=3)
    assert np.array_equal(options.cost, again.cost)
    assert not np.array_equal(options.line_first, other.line_first)
    # 50 nodes cannot take all lines, let alone where they are cheap: the optimum refuses 99 of them.
    assert len(options.line_first) == 1001
    assert shared.capacity[:, 1].sum() < 1.4 * len(options.item)


def test_measure_of_50_nodes() -> None:
    """The optimum of this instance is 31,095.4 (a MIP solver, 27 s): no plan is cheaper, and no bound is above it."""
    measure = shared_batch.measure(50, seconds=1.0)
    assert measure.bound <= 31_095.44 <= measure.cost + 0.01
    assert measure.gap == (measure.cost - measure.bound) / measure.bound
    assert measure.seconds < 10.0
