"""History of demand from orders, counters and imports, on a real database."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from onhand.base.actor import SYSTEM, Actor
from onhand.demand.model import RAW, Corrections
from onhand.flows.cancel_order import cancel_order
from onhand.flows.demand.fold import fold
from onhand.flows.demand.history import load_history
from onhand.flows.demand.sales import import_sales
from onhand.flows.fulfil import reject, ship
from onhand.flows.return_order import return_order
from onhand.orders.decide import Amount

MONDAY = date(2026, 3, 2)
CUSTOMER = Actor(key_id=7, reason="changed my mind")


def history(merchant, until=date(2026, 4, 1), **options):
    """{(sku, where, day): row} of the history before `until`, orders folded."""
    fold(merchant.db)
    with merchant.db.connection() as conn:
        made = load_history(conn, until=until, **options)
    where = pl.coalesce("node", "region").alias("where")
    rows = made.days.join(made.series.with_columns(where), on="series").to_dicts()
    return {(r["sku"], r["where"], *([r["channel"]] if r["channel"] else []), r["day"]): r for r in rows}


def units(rows, name="demand"):
    return {key: row[name] for key, row in rows.items()}


def test_demand_arises_where_it_is_sent_on_the_day_it_was_placed(merchant):
    merchant.stock("paris", A=50, B=50)
    merchant.place(("A", 3), ("B", 1))
    merchant.now += timedelta(days=1)
    merchant.place(("A", 2), destination={"country": "FR", "postal_code": "75001"}, to="paris")
    merchant.place(("A", 1), destination={"country": "DE", "region": "Bavaria", "postal_code": "80331"})
    assert units(history(merchant)) == {
        ("A", "DE-BE", MONDAY): 3,
        ("B", "DE-BE", MONDAY): 1,
        ("A", "FR", date(2026, 3, 3)): 2,
        ("A", "DE", date(2026, 3, 3)): 1,
    }, "Paris ships all of it, and none of it is demand of Paris; a region that is no code is none"


def test_a_pickup_is_demand_of_its_node(merchant):
    merchant.stock("munich", A=5)
    merchant.place(("A", 2), method="pickup", pickup_node="munich")
    assert units(history(merchant)) == {("A", "munich", MONDAY): 2}


def test_bundles_are_demand_of_their_components(merchant):
    merchant.stock("berlin", A=20, B=20)
    placed = merchant.place(("KIT", 3), ("A", 1))
    rows = history(merchant)
    assert units(rows) == {("A", "DE-BE", MONDAY): 7, ("B", "DE-BE", MONDAY): 3}
    assert rows["A", "DE-BE", MONDAY]["price_minor"] == 100, "of the line that is A itself"
    assert rows["B", "DE-BE", MONDAY]["price_minor"] is None
    cancel_order(merchant.state, placed["order_id"], [Amount("1", 1)], by=CUSTOMER)
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 5, ("B", "DE-BE", MONDAY): 2}


def test_days_are_those_of_the_place(merchant):
    merchant.stock("berlin", A=20)
    merchant.now = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    merchant.place(("A", 1))
    assert units(history(merchant)) == {("A", "DE-BE", date(2026, 3, 3)): 1}, "half past midnight in Berlin"


def test_an_order_counts_when_it_was_placed_not_when_we_heard_of_it(merchant):
    merchant.stock("berlin", A=20)
    merchant.place(("A", 1), placed_at=datetime(2025, 12, 24, 12, tzinfo=UTC))
    assert units(history(merchant)) == {("A", "DE-BE", date(2025, 12, 24)): 1}


def test_what_the_customer_cancels_was_not_wanted(merchant):
    merchant.stock("berlin", A=20)
    placed = merchant.place(("A", 5))
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 5}
    cancel_order(merchant.state, placed["order_id"], [Amount("1", 2)], by=CUSTOMER)
    rows = history(merchant)
    assert units(rows) == {("A", "DE-BE", MONDAY): 3}
    assert units(rows, "cancelled") == {("A", "DE-BE", MONDAY): 2}
    assert units(history(merchant, corrections=Corrections(cancellations=False))) == {("A", "DE-BE", MONDAY): 5}


def test_what_is_cancelled_for_lack_of_stock_was_wanted(merchant):
    placed = merchant.place(("A", 5))
    cancel_order(merchant.state, placed["order_id"], by=CUSTOMER)
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 5}
    assert merchant.rows("SELECT cancelled, unserved FROM demand_line") == [(0, 5)], "he waited for all of it"


def test_an_order_that_was_held_to_its_end_was_no_demand(merchant):
    merchant.stock("berlin", A=9)
    for sku in ("A", "B"):  # there is no B
        placed = merchant.place((sku, 5), hold="looks like fraud")
        cancel_order(merchant.state, placed["order_id"], by=CUSTOMER)
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 0, ("B", "DE-BE", MONDAY): 0}


def test_what_a_node_could_not_ship_and_the_customer_gave_up_was_wanted(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 5))
    reject(merchant.state, placed["fulfilments"][0]["fulfilment_id"], "not_found", by=Actor(key_id=9))
    cancel_order(merchant.state, placed["order_id"], by=CUSTOMER)
    assert units(history(merchant, corrections=Corrections(stock_outs=False))) == {("A", "DE-BE", MONDAY): 5}


def test_returns_are_taken_off_when_asked(merchant):
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 4))
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], by=SYSTEM)
    merchant.now += timedelta(days=9)
    return_order(merchant.state, placed["order_id"], "berlin", [Amount("1", 1)], "restock", by=SYSTEM)
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 4}
    assert units(history(merchant, corrections=Corrections(net_returns=True))) == {("A", "DE-BE", MONDAY): 3}


def test_orders_of_a_batch_and_channels_apart(merchant):
    with merchant.db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (2, 'market', 'm', 'EUR')")
    merchant.state.reload_network()
    merchant.stock("berlin", A=90)
    merchant.place_many([([("A", 1)], {}), ([("A", 2)], {}), ([("A", 4)], {"channel": "market"})])
    assert units(history(merchant)) == {("A", "DE-BE", MONDAY): 7}
    assert units(history(merchant, by_channel=True)) == {
        ("A", "DE-BE", "web", MONDAY): 3, ("A", "DE-BE", "market", MONDAY): 4,
    }  # fmt: skip


def test_folding_again_changes_nothing_and_is_done_once(merchant):
    merchant.stock("berlin", A=9)
    merchant.place_many([([("A", 1)], {}) for _ in range(5)])
    assert fold(merchant.db) == 5
    assert fold(merchant.db) == 0
    before = merchant.rows("SELECT xmin::text, * FROM demand_line ORDER BY order_id")
    with merchant.db.connection() as conn:
        conn.execute("DELETE FROM consumer_cursor WHERE name = 'demand'")
    assert fold(merchant.db) == 5
    assert merchant.rows("SELECT xmin::text, * FROM demand_line ORDER BY order_id") == before, "no row is written anew"


def test_while_one_folds_another_does_nothing(merchant):
    merchant.stock("berlin", A=9)
    merchant.place(("A", 1))
    with merchant.db.connection() as conn, conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('onhand demand', 0))")
        assert fold(merchant.db) == 0
    assert fold(merchant.db) == 1


# Counters and imports -----------------------------------------------------------------------------


def sold(merchant, quantity, at, reason="sale", reference="web 1"):
    """A counter in Berlin sells A, by an adjustment as tills make it."""
    with merchant.db.connection() as conn:
        on_hand = conn.execute(
            "UPDATE stock_position SET on_hand = on_hand - %s, version = version + 1 WHERE item_id = 1 AND node_id = 1"
            " RETURNING on_hand, version",
            (quantity,),
        ).fetchone()
        conn.execute(
            "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,"
            " d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, reason, reference,"
            " occurred_at, recorded_at)"
            " VALUES (1, 1, %s, 'adjustment', %s, %s, 0, 0, 0, %s, 0, 0, 0, 0, %s, %s, %s, %s)",
            (on_hand[1], -quantity, -quantity, on_hand[0], reason, reference, at, at),
        )


def test_what_counters_sell_is_demand_of_their_node(merchant):
    merchant.stock("berlin", A=20)
    monday = datetime(2026, 3, 2, 15, tzinfo=UTC)
    sold(merchant, 3, monday)
    sold(merchant, -1, monday + timedelta(hours=1))
    sold(merchant, 2, monday + timedelta(days=1), reference=None)
    sold(merchant, 5, monday, reason="broken")
    raw = history(merchant, corrections=RAW, by_channel=True)
    assert units(raw) == {("A", "berlin", "web", MONDAY): 3, ("A", "berlin", date(2026, 3, 3)): 2}
    net = history(merchant, corrections=Corrections(net_returns=True, stock_outs=False))
    assert units(net) == {("A", "berlin", MONDAY): 2, ("A", "berlin", date(2026, 3, 3)): 2}


def imported(merchant, *rows):
    return import_sales(merchant.db, rows, by=SYSTEM)


def test_imports_say_what_was_sold_before(merchant):
    row = {"sku": "A", "day": "2026-02-02", "quantity": 4}
    results = imported(
        merchant, row | {"node": "berlin", "price_minor": 900}, row | {"region": "DE-BY"}, row | {"channel": "web"}
    )
    assert [r.status for r in results] == ["created"] * 3
    rows = history(merchant)
    assert units(rows) == {("A", where, date(2026, 2, 2)): 4 for where in ("berlin", "DE-BY", "")}
    assert rows["A", "berlin", date(2026, 2, 2)]["price_minor"] == 900
    again = imported(merchant, row | {"node": "berlin", "price_minor": 900}, row | {"region": "DE-BY", "quantity": 0})
    assert [r.status for r in again] == ["unchanged", "updated"]
    assert units(history(merchant)) == {("A", "berlin", date(2026, 2, 2)): 4, ("A", "", date(2026, 2, 2)): 4}


def test_bad_rows_of_an_import_are_told_and_stop_no_other(merchant):
    row = {"sku": "A", "day": "2026-02-02", "quantity": 4}
    results = imported(
        merchant, row, row, row | {"sku": "Z"}, row | {"node": "rome"}, row | {"node": "berlin", "region": "DE"},
        row | {"channel": "fax"}, row | {"sku": "KIT"}, row | {"quantity": -1}, row | {"day": "2026-02-30"}, 7,
        row | {"region": "Bavaria"},
    )  # fmt: skip
    assert [r.status for r in results] == ["created"] + ["rejected"] * 10
    paths = [error.path for r in results[1:] for error in r.errors]
    assert paths == ["day", "sku", "node", "region", "channel", "sku", "quantity", "day", "", "region"]
    assert "already, as row 0" in results[1].errors[0].message
    assert "components" in results[6].errors[0].message


# Stock-outs ---------------------------------------------------------------------------------------


def test_a_region_is_out_while_every_node_is(merchant):
    """Ten days of 4; then Berlin and Munich run out, one at midnight of the 12th, the other at noon of the 12th."""
    for day in range(2, 12):
        imported(merchant, {"sku": "A", "region": "DE-BE", "channel": "web", "day": f"2026-03-{day:02}", "quantity": 4})
    zone = timedelta(hours=-1)  # Berlin is an hour ahead
    with merchant.db.connection() as conn:
        for node, moments in (
            (1, [(2, 0, 9), (12, 0, 0), (14, 0, 9)]),
            (2, [(2, 0, 9), (12, 12, 0)]),
        ):
            conn.execute(
                "INSERT INTO stock_position (item_id, node_id, on_hand, version) VALUES (1, %s, 0, 3)", (node,)
            )
            before = 0
            for version, (day, hour, on_hand) in enumerate(moments, 1):
                at = datetime(2026, 3, day, hour, tzinfo=UTC) + zone
                conn.execute(
                    "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,"
                    " d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, occurred_at,"
                    " recorded_at)"
                    " VALUES (1, %s, %s, 'count', %s, %s, 0, 0, 0, %s, 0, 0, 0, 0, %s, %s)",
                    (node, version, on_hand, on_hand - before, on_hand, at, at),
                )
                before = on_hand
            conn.execute("UPDATE stock_position SET on_hand = %s WHERE node_id = %s", (before, node))
            conn.execute("UPDATE stock_position SET version = %s WHERE node_id = %s", (len(moments), node))
    rows = history(merchant, until=date(2026, 3, 20))
    shares = {key[2].day: round(row["open_share"], 3) for key, row in rows.items() if row["open_share"] < 1}
    assert shares == {12: 0.5, 13: 0.0}, "back on the 14th"
    out = rows["A", "DE-BE", date(2026, 3, 13)]
    assert out["units"] == 0 and out["lost"] == out["demand"] > 0.5
    raw = history(merchant, until=date(2026, 3, 20), corrections=RAW)
    assert raw["A", "DE-BE", date(2026, 3, 13)]["demand"] == 0
    with merchant.db.connection() as conn:
        conn.execute("UPDATE channel SET node_ids = '{2}' WHERE channel_id = 1")
    rows = history(merchant, until=date(2026, 3, 20))
    shares = {key[2].day: round(row["open_share"], 3) for key, row in rows.items() if row["open_share"] < 1}
    assert shares == {12: 0.5} | dict.fromkeys(range(13, 20), 0.0), "a channel of Munich only"


def test_units_behind_safety_stock_are_not_for_sale(merchant):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE node SET safety_stock_default = 5 WHERE code = 'berlin'")
    imported(merchant, {"sku": "A", "node": "berlin", "day": "2026-01-02", "quantity": 4})
    merchant.stock("berlin", A=5)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE ledger_entry SET occurred_at = '2026-01-05T11:00Z', recorded_at = '2026-01-05T11:00Z'")
    rows = history(merchant, until=date(2026, 1, 7))
    assert {key[2].day: round(row["open_share"], 6) for key, row in rows.items()} == {2: 1.0, 5: 0.5, 6: 0.0}


def test_a_night_without_stock_misses_little_where_people_buy_by_day(merchant):
    imported(merchant, {"sku": "A", "node": "berlin", "day": "2026-01-02", "quantity": 4})
    merchant.stock("berlin", A=5)
    merchant.stock("berlin", kind="count", A=0)
    merchant.stock("berlin", A=5)
    hours = ("2026-01-03T12:00Z", "2026-01-04T23:00Z", "2026-01-05T06:00Z")  # midnight to seven in Berlin
    with merchant.db.connection() as conn:
        for version, at in enumerate(hours, 1):
            conn.execute(
                "UPDATE ledger_entry SET occurred_at = %s, recorded_at = %s WHERE version = %s", (at, at, version)
            )
    (share,) = [r["open_share"] for k, r in history(merchant, until=date(2026, 1, 7)).items() if k[2].day == 5]
    assert share == pytest.approx(17 / 24), "of hours that nobody knows anything of"
    with merchant.db.connection() as conn:
        conn.execute(
            "INSERT INTO demand_line (order_id, line_no, item_id, place_id, channel_id, day, hour, units)"
            " SELECT '01900000-0000-7000-8000-000000000001', n, 2, 1, 1, '2025-12-30', 8 + n % 12, 1"
            " FROM generate_series(1, 1200) n"
        )
    (share,) = [
        r["open_share"] for k, r in history(merchant, until=date(2026, 1, 7)).items() if k[2:] == (date(2026, 1, 5),)
    ]
    assert share > 0.99


def test_an_import_may_tell_of_hours_without_stock(merchant):
    for day in range(1, 29):
        imported(merchant, {"sku": "A", "node": "berlin", "day": f"2026-02-{day:02}", "quantity": 3})
    row = {"sku": "A", "node": "berlin", "day": "2026-02-14", "quantity": 1, "stock_out_hours": 16}
    assert [r.status for r in imported(merchant, row)] == ["updated"]
    found = history(merchant, until=date(2026, 3, 1))["A", "berlin", date(2026, 2, 14)]
    assert found["open_share"] == pytest.approx(1 / 3) and found["demand"] == pytest.approx(1 + 2 / 3 * 3, abs=0.1)


def test_only_days_before_until_only_asked_items_and_places(merchant):
    merchant.stock("berlin", A=20, B=20)
    merchant.place(("A", 1), ("B", 1))
    merchant.now += timedelta(days=1)
    merchant.place(("A", 2))
    assert units(history(merchant, until=date(2026, 3, 3), items=["A"])) == {("A", "DE-BE", MONDAY): 1}
    assert history(merchant, items=["Z"]) == {} and history(merchant, until=MONDAY) == {}
    assert history(merchant, places=[]) == {}


def test_events_of_the_shop_name_what_was_imported(merchant):
    imported(merchant, {"sku": "A", "day": "2026-02-02", "quantity": 4})
    told = merchant.rows("SELECT data FROM event WHERE kind = 'sales.imported'")
    assert told == [({"rows": 1, "from": "2026-02-02", "to": "2026-02-02"},)], json.dumps(told, default=str)
