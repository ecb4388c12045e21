"""The experiment of gates: shops by seed, an honest search, figures that add up, a picture."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from onhand.bench import gates, gates_report
from onhand.bench.gates import Buffer, FixedSearch, Score, Setting
from onhand.channels.gates import Bursts

NOTHING = Buffer(units=(0,) * 4, of_stock=(0.0,) * 4, of_base=(0.0,) * 4)


@pytest.fixture(scope="module")
def world():
    return gates.draw(3, items=30, days=4.0)


def test_a_shop_is_its_seed_and_has_the_bursts_it_says(world):
    again = gates.draw(3, items=30, days=4.0)
    assert (again.shop.at_h == world.shop.at_h).all()
    assert (gates.draw(4, items=30, days=4.0).shop.base != world.shop.base).any()
    orders = [gates.draw(seed, items=200).shop for seed in range(2)]
    expected = gates.STARTS_PER_H * 3.0 * 9.0
    for shop in orders:
        # Orders over what the median item would have sold, the spread of items taken out by their base stock.
        mean = shop.base - np.sqrt(shop.base)
        assert shop.at_h.size == pytest.approx(mean.sum() * 7 / 2, rel=0.1)
        assert expected == pytest.approx(0.5625)
        assert all((np.diff(shop.at_h[a:b]) >= 0).all() for a, b in zip(shop.first[:-1], shop.first[1:], strict=True))


def test_bursts_on_one_channel_bring_as_many_orders():
    everywhere = gates.draw(5, items=400).shop.at_h.size
    alone = gates.draw(5, items=400, one_channel=1.0).shop.at_h.size
    assert alone == pytest.approx(everywhere, rel=0.05)


def test_a_descent_never_ends_above_its_start_and_each_change_was_looked_at(world):
    search = FixedSearch([world], Setting())

    def cost(of: Score) -> float:
        return of.lost + 4.0 * of.total

    best = search.descend(NOTHING, cost)
    assert cost(search.look(best)) < cost(search.look(NOTHING))
    assert all(cost(of) >= cost(search.look(best)) - 1e-9 for of in search.seen.values())
    front = [search.look(buffer) for buffer in search.front(lambda of: of.total)]
    assert all(a.total < b.total and a.lost > b.lost for a, b in pairwise(front))
    for of in search.seen.values():
        line = gates.lost_at(front, of.total)
        assert math.isnan(line) or of.lost >= line - 1e-9


def test_more_hidden_oversells_less_and_loses_more(world):
    none = gates.score_fixed([world], Setting(), NOTHING)
    much = gates.score_fixed([world], Setting(), replace(NOTHING, of_base=(0.0, 10.0, 20.0, 70.0)))
    assert much.total < none.total
    assert much.lost > none.lost


def test_computed_gates_follow_the_price_of_risk(world):
    dear, cheap = (gates.score_computed([world], Setting(), [tau] * 4, Bursts()) for tau in (0.005, 0.5))
    assert dear.total < cheap.total
    assert dear.lost > cheap.lost


def test_lost_sales_at_a_share_lie_between_the_points():
    points = [Score(by_channel=(), total=t, lost=lost, writes=0.0) for t, lost in ((0.2, 1.0), (0.1, 3.0), (0.4, 0.0))]
    assert gates.lost_at(points, 0.15) == pytest.approx(2.0)
    assert gates.lost_at(points, 0.3) == pytest.approx(0.5)
    assert math.isnan(gates.lost_at(points, 0.05))


def report(*, worst=0.08, less_total=0.5, less_each=0.4):
    score = Score(by_channel=(0.01, 0.02, 0.03, worst), total=0.1, lost=0.7, writes=3.0)
    return gates_report.Report(
        seconds=1.0,
        looked_at=9,
        bursts=Bursts(),
        taus_together=(0.1,) * 4,
        taus_each=(0.1,) * 4,
        went=[],
        fixed_curve=[(NOTHING, score), (NOTHING, replace(score, total=0.3, lost=0.2))],
        fixed_each_curve=[score],
        curve=[score, replace(score, total=0.3)],
        each_curve=[score],
        none=score,
        together=score,
        each=score,
        fixed_each=(NOTHING, replace(score, lost=1.2)),
        fixed_lost=1.4,
        less_total=less_total,
        less_each=less_each,
    )


def test_every_floor_can_be_missed():
    assert report().ok
    assert not report(worst=0.101).ok
    assert not report(less_total=0.39).ok
    assert not report(less_each=0.29).ok
    assert not report(less_total=math.nan).ok
    assert "all floors are met" in gates_report.table(report())
    assert "A FLOOR IS MISSED" in gates_report.table(report(less_each=0.0))


def test_the_picture_shows_both_curves_twice():
    drawn = gates_report.picture(report())
    assert drawn.count("<polyline") == 4
    assert drawn.startswith("<svg") and drawn.endswith("</svg>\n")
