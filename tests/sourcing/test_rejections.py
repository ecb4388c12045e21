"""What is learned of rejections: the closed form, and better guesses than counting."""

import numpy as np
import pytest

from onhand.sourcing.rejections import HOURS, PRIOR_LINES, Answered, learn, strength


def answered(*rows: tuple[int, int, int, int, int]) -> Answered:
    """Of (node, item, hour, lines, rejected)."""
    columns = np.array(rows, np.int32).reshape(-1, 5).T
    return Answered(node=columns[0], item=columns[1], hour=columns[2], lines=columns[3], rejected=columns[4])


def test_without_answers_every_node_is_alike():
    found = learn(answered(), items=3, nodes=4)
    assert found.share.shape == (HOURS, 4)
    assert np.allclose(found.share, 1 / PRIOR_LINES)
    assert found.ratio.size == 0


def test_the_strength_is_that_of_the_closed_form():
    # Two cells of 10 lines, 1 and 5 rejected, expected share 0.3: Q = 10 (0.04 + 0.04) / 0.21.
    lines, rejected = np.array([10.0, 10.0, 0.0]), np.array([1.0, 5.0, 0.0])
    rho = (0.8 / 0.21 - 2) / 18
    assert strength(lines, rejected, np.full(3, 0.3)) == pytest.approx(1 / rho - 1)


def test_nodes_that_scatter_no_more_than_chance_are_hardly_told_apart():
    even = answered(*((k, 1, 9, 100, 10) for k in range(1, 6)), (6, 1, 9, 2, 1))
    share = learn(even, items=2, nodes=7).share[9]
    assert share[6] == pytest.approx(share[1], rel=0.05)
    uneven = answered(*((k, 1, 9, 100, 2) for k in range(1, 5)), (5, 1, 9, 100, 60))
    share = learn(uneven, items=2, nodes=6).share[9]
    assert share[5] > 0.4 and share[1] < 0.05


def test_an_item_that_is_rejected_everywhere_is_expected_to_be_at_a_new_node_too():
    rows = [(k, i, 9, 50, 20 if i == 1 else 2) for k in (1, 2, 3) for i in (1, 2, 3)]
    found = learn(answered(*rows), items=4, nodes=5)
    assert found.ratio[1, 4] > 2 > found.ratio[2, 4]
    assert found.ratio[1, 1] > 2 > found.ratio[3, 1]


def test_shrinkage_beats_counting_on_simulated_answers():
    """Log loss on lines that were not learned from, of rejections drawn by node, hour and item."""
    random = np.random.default_rng(4)
    nodes, items, count = 25, 40, 6_000
    by_node, by_item = random.beta(2, 38, nodes), random.gamma(3, 1 / 3, items)
    by_hour = np.where(np.arange(HOURS) >= 17, 2.0, 0.8)
    node, item, hour = (random.integers(1, n, 2 * count).astype(np.int32) for n in (nodes, items, HOURS))
    truth = np.minimum(by_node[node] * by_hour[hour] * by_item[item], 0.9)
    rejected = (random.random(2 * count) < truth).astype(np.int32)
    ones = np.ones(count, np.int32)
    first, then = slice(0, count), slice(count, None)
    found = learn(
        Answered(node=node[first], item=item[first], hour=hour[first], lines=ones, rejected=rejected[first]),
        items,
        nodes,
    )

    def loss(share):
        p = np.clip(share, 1e-3, 1 - 1e-3)
        return float(-np.where(rejected[then], np.log(p), np.log(1 - p)).mean())

    def counted(*at):
        cells = [a.astype(np.int64) for a in at]
        flat = np.ravel_multi_index(cells, [50] * len(cells))
        x = np.bincount(flat[first], rejected[first], 50 ** len(cells))
        n = np.bincount(flat[first], minlength=50 ** len(cells))
        overall = rejected[first].mean()
        return np.where(n > 0, x / np.maximum(n, 1), overall)[flat[then]]

    learned = found.share[hour[then], node[then]] * found.ratio[item[then], node[then]]
    best = loss(truth[then])
    assert loss(learned) < min(loss(counted(node)), loss(counted(node, hour)), loss(counted(node, item)))
    assert loss(learned) - best < 0.5 * (loss(np.full(count, rejected[first].mean())) - best)
