"""Items that were never sold, in stored forecasts: which, where, how much, and that nothing of later days is in it."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import Settings
from onhand.flows.demand.outlook import read_outlook
from onhand.flows.forecasts import learn, newcomers, panel, run
from onhand.flows.forecasts.coming import Coming
from onhand.flows.forecasts.job import ask
from onhand.flows.forecasts.read import shown_run, shown_series
from onhand.flows.forecasts.run import make

ORIGIN = date(2026, 3, 2)
SETTINGS = Settings(horizon=7, levels=(0.1, 0.5, 0.9), ablate=False)
SHAPE = np.array([0.6, 0.7, 0.8, 1.0, 1.3, 1.6, 1.0])
DE, FR, BERLIN = 1, 2, 3
WEB, MALL = 1, 2


@pytest.fixture(autouse=True)
def _without_trees(monkeypatch):
    monkeypatch.setattr(learn, "has_trees", lambda: False)


@pytest.fixture
def world(db):
    """Mugs 1 to 6 sell about 12 a day in Germany, 4 in France and 2 over the counter of Berlin, plates 7 to 12 about 40
    in Germany. `web` ships from Berlin and Lyon, `mall` from Lyon."""
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name, category)"
            " SELECT n, 'S' || n, 'x', CASE WHEN n <= 6 THEN 'mugs' ELSE 'plates' END FROM generate_series(1, 12) n"
        )
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone) VALUES"
            " (1, 'berlin', 'x', 'store', 'DE', 52.5, 13.4, 'UTC'), (2, 'lyon', 'x', 'store', 'FR', 45.7, 4.8, 'UTC')"
        )
        conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('DE', 'UTC'), ('FR', 'UTC')")
        conn.execute("INSERT INTO demand_place (node_id, timezone) VALUES (1, 'UTC')")
        conn.execute(
            "INSERT INTO channel (channel_id, code, name, currency, node_ids)"
            " VALUES (1, 'web', 'x', 'EUR', NULL), (2, 'mall', 'x', 'EUR', '{2}')"
        )
    sell(db, ORIGIN - timedelta(days=120), 120)
    return db


def sell(db, first, count, *, times=1.0):
    random = np.random.default_rng([1, first.toordinal()])
    sells = [*((item, place) for item in range(1, 7) for place in (DE, FR, BERLIN)), *((n, DE) for n in range(7, 13))]
    level = {DE: 12.0, FR: 4.0, BERLIN: 2.0}
    spread = np.random.default_rng(3).uniform(0.8, 1.25, len(sells))
    sales = "COPY imported_sale (item_id, place_id, channel_id, day, units) FROM STDIN"
    with db.connection() as conn, conn.cursor() as cursor, cursor.copy(sales) as copy:
        for day in (first + timedelta(days=n) for n in range(count)):
            for n, (item, place) in enumerate(sells):
                mean = (40.0 if item > 6 else level[place]) * spread[n] * SHAPE[day.weekday()] * times
                copy.write_row((item, place, 0 if place == BERLIN else WEB, day, int(random.poisson(mean))))


def offer(db, item, category="mugs", *, channels=(), inbound=None, stocked=None):
    """An item that was never sold: listed, on its way to a node, or at a node since a day."""
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name, category) VALUES (%s, %s, 'x', %s)", (item, f"N{item}", category)
        )
        for channel in channels:
            conn.execute("INSERT INTO listing (channel_id, item_id) VALUES (%s, %s)", (channel, item))
        if inbound is not None:
            conn.execute(
                "WITH i AS (INSERT INTO inbound (inbound_id, reference, node_id, actor)"
                " VALUES (gen_random_uuid(), %s, %s, 0) RETURNING inbound_id)"
                " INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, expected_at)"
                " SELECT inbound_id, 1, %s, %s, 10, %s FROM i",
                (f"PO {item}", inbound, item, inbound, at(ORIGIN)),
            )
        if stocked is not None:
            node, day = stocked
            conn.execute(
                "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,"
                " d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, occurred_at)"
                " VALUES (%s, %s, 1, 'receipt', 5, 5, 0, 0, 0, 5, 0, 0, 0, 0, %s)",
                (item, node, at(day)),
            )
            conn.execute(
                "INSERT INTO stock_position (item_id, node_id, on_hand, version) VALUES (%s, %s, 5, 1)", (item, node)
            )


def at(day):
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def forecast(db, settings=SETTINGS, *, today=ORIGIN, origin=None):
    asked = db.transact(lambda conn: ask(conn, settings, at=at(today), by=7, origin=origin))
    made = make(db, asked.run_id, today, lambda *_: None)
    assert made["run_id"] == asked.run_id
    with db.connection() as conn:
        return store.get_run(conn, asked.run_id)


def rows_of(db, made, items):
    """(item, place, channel) -> mean by day, quantiles."""
    with db.connection() as conn:
        rows = store.series_of_items(conn, made, list(items))
    if rows is None:
        return {}
    keys = zip(rows.item.tolist(), rows.place.tolist(), rows.channel.tolist(), strict=True)
    return {
        key: (mean, quantiles)
        for key, mean, quantiles in zip(keys, rows.champion.mean, rows.champion.quantiles, strict=True)
    }


def test_what_is_new_is_forecast_where_its_siblings_sell_and_it_may_be_sold(world):
    with world.connection() as conn:
        conn.execute("UPDATE imported_sale SET day = day - 500 WHERE item_id = 12")
        conn.execute("INSERT INTO listing (channel_id, item_id) VALUES (1, 12)")
    before = rows_of(world, forecast(world), range(1, 13))
    offer(world, 21, inbound=1)
    offer(world, 22, channels=[MALL])
    offer(world, 23, "plates", stocked=(1, ORIGIN))
    offer(world, 24, "lamps", channels=[WEB])
    offer(world, 25)
    offer(world, 26, "plates", channels=[WEB])
    with world.connection() as conn:
        conn.execute("INSERT INTO bundle_component VALUES (26, 1, 2)")
    made = forecast(world)
    found = rows_of(world, made, range(12, 30))
    assert {key[:2] for key in found} == {
        (21, DE), (21, FR), (21, BERLIN),  # on its way to Berlin, which has a counter and ships
        # `mall` never sold anything in a region, and has no counter: what is listed there alone sells nowhere yet
        (23, DE),  # plates sell in Germany alone
        (24, DE), (24, FR), (24, BERLIN),  # of no category that sells: wherever anything does
    }  # fmt: skip
    assert {channel for _, _, channel in found} == {-1}
    # A launch curve of nobody is flat: the level is that of siblings, and so is the week.
    shape = SHAPE[[(ORIGIN + timedelta(days=n)).weekday() for n in range(7)]]
    for key, level in {(21, DE): 12, (21, FR): 4, (21, BERLIN): 2, (23, DE): 40}.items():
        mean, quantiles = found[*key, -1]
        assert mean.mean() == pytest.approx(level, rel=0.35), key
        assert np.corrcoef(mean, shape)[0, 1] > 0.9
        assert (np.diff(quantiles, axis=1) >= 0).all() and quantiles[:, 2].min() > 0
    # Of item 12, at rest, there is none, as ever; those that sell stay as they were.
    after = rows_of(world, made, range(1, 13))
    assert {*after} == {*before} and len(before) == 23
    assert all(np.array_equal(after[key][0], before[key][0]) for key in before)


def test_by_channel_it_has_a_series_for_each_that_lists_it(world):
    offer(world, 21, channels=[WEB])
    offer(world, 22, inbound=1)
    made = forecast(world, Settings(horizon=7, levels=(0.5,), ablate=False, by_channel=True))
    assert {*rows_of(world, made, [21, 22])} == {
        (item, place, channel) for item in (21, 22) for place, channel in ((DE, WEB), (FR, WEB), (BERLIN, 0))
    }
    assert made.series == 24 + 6


def test_it_is_marked_and_read_whoever_is_in_charge(world):
    offer(world, 21, inbound=1)
    made = forecast(world)
    (of,) = (segment for segment in made.segments if segment["segment"] == "never_sold")
    assert (of["in_charge"], of["series"], of["shares"], of["left_out"]) == ("cold_start", 3, {"cold_start": 1.0}, 0)
    mean = sum(mean for mean, _ in rows_of(world, made, [21]).values())
    with world.connection() as conn:
        assert shown_run(conn, made.run_id)["segments"][-1]["in_charge"] == "cold_start"
        shown = [row for _, row in shown_series(conn, made, after=(0, 0, -2), limit=99, sku="N21")]
        outlook = read_outlook(conn, ORIGIN, 7, ["N21"], ["berlin", "lyon"])
        coming = Coming()
        coming.look(conn, ORIGIN)
        while (rates := coming.step(conn)) is None:
            pass
    assert [(row["in_charge"], row["models"], row["segment"]) for row in shown] == [
        ("cold_start", {"cold_start": 1.0}, "never_sold")
    ] * 3
    assert outlook.mean[0].sum(axis=0) == pytest.approx(mean, rel=1e-4)
    assert rates.per_h[rates.items == 21] == pytest.approx(mean.mean() / 24, rel=1e-4)


def test_the_longer_it_is_there_unsold_the_less_is_thought_of_it(world):
    for item, days in ((21, 0), (22, 28), (23, 42), (24, 56)):
        offer(world, item, stocked=(1, ORIGIN - timedelta(days=days)))
    found = rows_of(world, forecast(world), range(21, 25))
    level = {item: found[item, DE, -1][0].mean() for item in (21, 22, 23)}
    assert level[22] == level[21]
    assert level[23] == pytest.approx(level[21] / 2, rel=1e-5)
    assert (24, DE, -1) not in found, "after two months it is not new, it does not sell"


def test_nothing_of_later_days_is_in_it(world):
    offer(world, 21, inbound=1)
    before = rows_of(world, forecast(world), [21])
    sell(world, ORIGIN, 10, times=8)
    with world.connection() as conn:
        # It sells itself, and siblings begin to where none did.
        conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('AT', 'UTC')")
        conn.execute(
            "INSERT INTO imported_sale (item_id, place_id, day, units)"
            " SELECT item, place, %s::date + n, 90"
            " FROM generate_series(0, 9) n, unnest('{21,2}'::int[]) item, unnest('{1,4}'::int[]) place"
            " ON CONFLICT DO NOTHING",
            (ORIGIN,),
        )
    again = forecast(world, today=ORIGIN + timedelta(days=10), origin=ORIGIN)
    after = rows_of(world, again, [21])
    assert {*after} == {*before} and len(before) == 3
    for key, (mean, quantiles) in before.items():
        assert np.array_equal(after[key][0], mean) and np.array_equal(after[key][1], quantiles)
    with world.connection() as conn:
        scores = {(s.segment, s.part): s for s in store.scores_of(conn, [again.run_id])}
    assert max(segment for segment, _ in scores) < 4, "nobody knows since when it was for sale"
    assert scores[-1, "champion"].sums["count"] == [24] * 7


def test_many_are_forecast_some_at_a_time_and_no_more_than_sell(world, monkeypatch):
    monkeypatch.setattr(panel, "SERIES_AT_ONCE", 8)
    monkeypatch.setattr(run, "SERIES_AT_ONCE", 8)
    for item in range(21, 29):
        offer(world, item, channels=[WEB])
    offer(world, 20, inbound=1)
    widths = []
    told = newcomers.Siblings.rows
    monkeypatch.setattr(
        newcomers.Siblings, "rows", lambda self, conn, some: widths.append(len(some)) or told(self, conn, some)
    )
    made = forecast(world)
    found = rows_of(world, made, range(13, 99))
    # 24 series sell: what is on its way and the seven that are newest make 24.
    assert sorted({item for item, _, _ in found}) == [20, *range(22, 29)]
    assert made.series == 48
    assert made.segments[-1]["left_out"] == 1
    assert max(widths) <= 2, "of three series each"
    for place in (DE, FR, BERLIN):
        same = [mean for (_, of, _), (mean, _) in found.items() if of == place]
        assert np.array_equal(np.array(same), np.array(same[:1] * 8)), "whatever is forecast beside it"
        assert same[0].min() > 0
