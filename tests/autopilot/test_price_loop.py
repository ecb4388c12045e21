"""The loop of scarce stock and its price, and the loop of a safety stock, under inputs that make bad loops swing.

A price is asked once a day, by what was wanted the day before and what is left; what is wanted answers to it. Supply
comes at the end of a horizon. The true elasticity is another than the one that is reckoned with.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.autopilot.decide import corrected
from onhand.incidents.playbooks.throttle import Bounds, throttled_price

BEGUN = 10_000
BOUNDS = Bounds(step_max=0.15, total_max=1.0)
BELIEVED = 2.62
DAYS = 40


@dataclass
class Shop:
    """units: left; prices: asked day by day."""

    units: float
    elasticity: float = BELIEVED
    prices: list[int] = field(default_factory=lambda: [BEGUN])

    def run(self, demand, *, days=DAYS, seed=None):
        """demand: day -> units wanted at the first price; seed: drawn around it."""
        random = np.random.default_rng(seed or 0)
        wanted_at_first = float(demand(0))
        for day in range(days):
            price = self.prices[-1]
            mean = demand(day) * math.exp(-self.elasticity * (price / BEGUN - 1))
            wanted = float(random.poisson(mean)) if seed is not None else mean
            self.units = max(self.units - wanted, 0.0)
            seen = wanted if day else wanted_at_first
            self.prices.append(
                throttled_price(
                    price_minor=price,
                    begun_minor=BEGUN,
                    rate_per_day=seen,
                    units=self.units,
                    days=days - day - 1,
                    elasticity=BELIEVED,
                    bounds=BOUNDS,
                )
            )
        return self


def test_a_price_at_which_stock_lasts_is_left_alone():
    assert set(Shop(units=10 * DAYS).run(lambda day: 10.0).prices) == {BEGUN}


@pytest.mark.parametrize("elasticity", [BELIEVED, 1.3, 4.0])
def test_a_step_is_followed_to_the_run_out_price_and_not_beyond(elasticity):
    """Twice as much is wanted from day 5 on: the price at which what is left then would just last is not passed by more
    than a fifth of the way, and most of the way is gone after a week."""
    shop = Shop(units=10 * DAYS, elasticity=elasticity).run(lambda day: 20.0 if day >= 5 else 10.0)
    left, days = 10 * (DAYS - 5), DAYS - 5
    goal = BEGUN * (1 + math.log(20 * days / left) / elasticity)
    assert max(shop.prices) - BEGUN <= 1.2 * (goal - BEGUN), shop.prices
    assert shop.prices[5 + 7] - BEGUN >= 0.8 * min(goal - BEGUN, max(shop.prices) - BEGUN), shop.prices
    assert shop.prices == sorted(shop.prices)


def test_a_ramp_is_followed_in_one_direction():
    shop = Shop(units=10 * DAYS).run(lambda day: 10 + min(day, 20) / 2)
    assert shop.prices == sorted(shop.prices) and BEGUN < shop.prices[-1] <= 2 * BEGUN


def test_a_square_wave_does_not_ratchet_the_price_up():
    """Never more than what its highest level asks for."""
    shop = Shop(units=12 * DAYS).run(lambda day: 16.0 if (day // 2) % 2 else 8.0)
    highest = BEGUN * (1 + math.log(16 / 12) / BELIEVED)
    assert max(shop.prices) - BEGUN <= 1.2 * (highest - BEGUN), shop.prices


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_noise_moves_a_price_little(seed):
    shop = Shop(units=140 * DAYS).run(lambda day: 100.0, seed=seed)
    assert max(shop.prices) <= 1.05 * BEGUN, shop.prices


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.01, 1))
def test_a_correction_ends_where_it_leads_and_never_turns(begins, ends, share):
    """Half of the way at a time, or another share: it comes there, in one direction, and never passes it."""
    path = [begins]
    while path[-1] != ends:
        path.append(corrected(ends, path[-1], share))
        assert len(path) < 3_000
    assert all(abs(ends - b) < abs(ends - a) for a, b in pairwise(path))
    assert all(min(begins, ends) <= n <= max(begins, ends) for n in path)
    assert corrected(ends, ends, share) == ends
    # No more than its share at once, but for the unit that it takes to end.
    assert all(abs(b - a) <= max(math.ceil(abs(ends - a) * share), 1) for a, b in pairwise(path))
