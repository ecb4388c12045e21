"""The elasticity that a decision of the moment goes by: the item's own, its category's, or the usual one, and which."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.demand.elasticity import elasticities
from onhand.flows.demand.sales import import_sales
from onhand.planning.elasticity import USUAL_ELASTICITY

TODAY = datetime.now(UTC).date()
PRICES = (1000, 700, 1000, 850)


def sales(sku, elasticity, *, seed, prices=PRICES, weeks=40, until=TODAY):
    """Some 30 units a day at the first price, which changes every second week."""
    draw = np.random.default_rng(seed)
    rows = []
    for back in range(1, weeks * 7 + 1):
        price = prices[(back - 1) // 14 % len(prices)]
        units = int(draw.poisson(30 * (price / prices[0]) ** -elasticity))
        day = (until - timedelta(days=back)).isoformat()
        rows.append({"sku": sku, "day": day, "quantity": units, "region": "DE", "price_minor": price})
    return rows


def found(merchant, *skus, until=TODAY):
    with merchant.db.connection() as conn:
        return elasticities(conn, skus, until)


def in_category(merchant, *skus):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET category = 'mugs' WHERE sku = ANY (%s)", (list(skus),))


@pytest.mark.parametrize("elasticity", [1.3, 4.0])
def test_an_item_whose_price_changed_answers_for_itself(merchant, elasticity):
    import_sales(merchant.db, sales("A", elasticity, seed=1), by=SYSTEM)
    answer = found(merchant, "A")["A"]
    assert (answer.rests_on, answer.changes) == ("own", 19)
    assert answer.value == pytest.approx(elasticity, abs=0.4)
    assert answer.error < 0.3


def test_an_item_whose_price_never_changed_answers_as_its_category_does(merchant):
    in_category(merchant, "A", "B", "C", "D")
    rows = [row for n, sku in enumerate("BCD") for row in sales(sku, 1.3, seed=n)]
    import_sales(merchant.db, [*rows, *sales("A", 4.0, seed=9, prices=(1000,))], by=SYSTEM)
    answers = found(merchant, "A")
    assert set(answers) == {"A"}, "the others are looked at, not asked for"
    answer = answers["A"]
    assert (answer.rests_on, answer.changes) == ("category", 0)
    assert answer.value == pytest.approx(1.3, abs=0.6)
    assert answer.error > found(merchant, "B")["B"].error


@pytest.mark.parametrize("prices", [(1000,), None])
def test_without_prices_that_changed_it_is_the_usual_one(merchant, prices):
    in_category(merchant, "A", "B")
    if prices:
        rows = [row for n, sku in enumerate("AB") for row in sales(sku, 2.0, seed=n, prices=prices)]
        import_sales(merchant.db, rows, by=SYSTEM)
    answer = found(merchant, "A")["A"]
    assert (answer.value, answer.rests_on, answer.changes) == (USUAL_ELASTICITY, "usual", 0)
    assert answer.error > 1


def test_two_changes_tell_nothing(merchant):
    rows = sales("A", 6.0, seed=1, weeks=6, prices=(1000, 700, 850))
    import_sales(merchant.db, rows, by=SYSTEM)
    answer = found(merchant, "A")["A"]
    assert (answer.value, answer.rests_on, answer.changes) == (USUAL_ELASTICITY, "usual", 2)


def test_what_came_afterwards_is_not_looked_at(merchant):
    """Prices that we raised because much was wanted would look as if dearer goods sold better."""
    before = TODAY - timedelta(days=28)
    dearer = [row | {"quantity": 200, "price_minor": 1500} for row in sales("A", 0, seed=3, weeks=4)]
    import_sales(merchant.db, [*sales("A", 3.0, seed=1, until=before), *dearer], by=SYSTEM)
    assert found(merchant, "A", until=before)["A"].value == pytest.approx(3.0, abs=0.4)
    assert found(merchant, "A")["A"].value < 2
