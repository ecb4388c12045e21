"""A shop with ninety days behind it and one of everything that may go wrong: rows as its flows would have written them,
but in the past, which no flow can write."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from onhand.base.ids import new_id, new_ids, texts
from onhand.demand.forecasts import store as forecasts
from onhand.demand.forecasts.model import Rows, Settings
from onhand.demand.panel import Forecast

DAYS = 90
ITEMS = ("A", "B", "C", "D", "E", "F")
NODES = ("berlin", "munich", "hamburg", "paris")
WEB, MARKET = 1, 2


def fill(db, now):
    """Everything; what is wrong is told of where it is planted."""
    random = np.random.default_rng(3)
    with db.connect() as conn, conn.transaction():
        _masters(conn)
        _orders(conn, now, random)
        _counters(conn, now, random)
        _channels(conn, now)
        _supply(conn, now)
        _sales(conn, now)
    _forecasts(db, now)


def _masters(conn):
    # C costs more than it is sold for.
    for number, sku in enumerate(ITEMS, 1):
        conn.execute(
            "INSERT INTO item (item_id, sku, name, price_minor, unit_cost_minor, currency, category)"
            " VALUES (%s, %s, 'x', 2000, %s, 'EUR', 'kitchen')", (number, sku, 2600 if sku == "C" else 1200)
        )  # fmt: skip
    for number, code in enumerate(NODES, 1):
        # paris can do five orders a day.
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone, working_days,"
            " capacity_orders) VALUES (%s, %s, 'x', 'store', 'DE', 50, 8, 'UTC', '{1,2,3,4,5,6,7}', %s)",
            (number, code, 5 if code == "paris" else 10_000),
        )
        conn.execute("INSERT INTO demand_place (node_id, timezone) VALUES (%s, 'UTC')", (number,))
    conn.execute(
        "INSERT INTO channel (channel_id, code, name, currency, margin_rate, gate, oversell) VALUES"
        """ (1, 'web', 'x', 'EUR', 0.3, '{"mode": "adaptive"}', '{"penalty_minor": 500}'),"""
        " (2, 'market', 'x', 'EUR', 0.2, '{}', '{}')"
    )


def _orders(conn, now, random):
    """Two orders an hour on web, and one on market until two days ago, from the four nodes in turn; each is packed
    within hours and delivered by dhl after three days or so. The lane from munich takes three days more since 15 days;
    at hamburg one order has been waiting for ten days; the last two are the same one twice."""
    hours = np.arange(DAYS * 24, 6, -0.5)
    channel = np.where(np.arange(len(hours)) % 3 == 2, MARKET, WEB)
    keep = (channel == WEB) | (hours > 48)
    hours, channel = hours[keep], channel[keep]
    rows, parts, parcels, events = [], [], [], []
    for n, (age, of) in enumerate(zip(hours.tolist(), channel.tolist(), strict=True)):
        at = now - timedelta(hours=age)
        order_id = texts(new_ids(1, now_ms=round(at.timestamp() * 1000)))[0]
        node, item = n % 4 + 1, n % 6 + 1
        left = at + timedelta(hours=float(random.exponential(4)))
        days = 3 * float(np.exp(random.normal(0, 0.2))) + (3 if node == 2 and age < 15 * 24 else 0)
        arrived = left + timedelta(days=days)
        is_sent = (left < now and node != 4) or age > 30
        status = "shipped" if is_sent else "sourced"
        state = "shipped" if is_sent else "allocated"
        rows.append((order_id, of, f"{n}", status, at, at, f'[["1", {item}, 1, 2000]]'))
        part_at = left if is_sent else at
        parts.append(
            (order_id, node, state, at.date(), at + timedelta(hours=12), at + timedelta(days=5), part_at, item)
        )
        events.append((at, "order.sourced", None, "{}", [order_id]))
        if is_sent:
            parcels.append((order_id, left, arrived if arrived < now else None))
            events.append((left, "fulfilment.shipped", f"{order_id}-f1", f'{{"node": "{NODES[node - 1]}"}}', None))
    stuck_at = now - timedelta(days=10)
    stuck = texts(new_ids(1, now_ms=round(stuck_at.timestamp() * 1000)))[0]
    rows.append((stuck, WEB, "stuck", "sourced", stuck_at, stuck_at, '[["1", 1, 2, 2000]]'))
    parts.append((stuck, 3, "allocated", stuck_at.date(), stuck_at, stuck_at, stuck_at, 1))
    customer = new_id()
    conn.execute("INSERT INTO customer (customer_id, email) VALUES (%s, 'ada@example.org')", (customer,))
    twice = []
    for name, minutes in (("first", 40), ("again", 30)):
        at = now - timedelta(minutes=minutes)
        order_id = texts(new_ids(1, now_ms=round(at.timestamp() * 1000)))[0]
        twice.append(order_id)
        rows.append((order_id, WEB, name, "sourced", at, at, '[["1", 4, 1, 2000], ["2", 5, 2, 2000]]'))
        parts.append((order_id, 1, "allocated", at.date(), at + timedelta(hours=12), at, at, 4))
        events.append((at, "order.sourced", None, "{}", [order_id]))
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at, created_at,"
            " request, lines, actor) VALUES (%s, %s, %s, '', %s, 'EUR', %s, %s,"
            """ '{"destination": {"country": "DE"}}', %s, 0)""", rows,
        )  # fmt: skip
        cursor.executemany(
            "INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, carrier, ship_day, ship_by,"
            " deliver_by, lines, units, cost_minor, cost, co2_g, pieces, updated_at)"
            " VALUES (%s, 1, 1, %s, %s, 'dhl', %s, %s, %s, 1, 1, 400, '[]', 0, '[[1, ' || %s || ', 1]]', %s)",
            [(i, n, s, d, by, due, item, at) for i, n, s, d, by, due, at, item in parts],
        )
        cursor.executemany(
            "INSERT INTO shipment (order_id, shipment_no, fulfilment_no, carrier, shipped_at, delivered_at)"
            " VALUES (%s, 1, 1, 'dhl', %s, %s)", parcels,
        )  # fmt: skip
        cursor.executemany(
            "INSERT INTO shipment_line VALUES (%s, 1, 1, 1, 1)", [(order_id,) for order_id, _, _ in parcels]
        )
        cursor.executemany(
            "INSERT INTO event (at, kind, subject, actor, origin, data, orders) VALUES (%s, %s, %s, 0, 1, %s, %s)",
            events,
        )
        cursor.execute("UPDATE orders SET customer_id = %s WHERE order_id = ANY (%s)", (customer, twice))


def _counters(conn, now, random):
    """Customers take two of each item a day from each node; nobody has taken A at berlin for 20 days. Of B and E
    little is left."""
    for item in range(1, 7):
        for node in range(1, 5):
            entries = [(now - timedelta(days=60), "receipt", {2: 150, 5: 200}.get(item, 500), None)]
            for day in range(59, 0, -1):
                units = int(random.poisson(2))
                if units and not ((item, node) == (1, 1) and day <= 20):
                    entries.append((now - timedelta(days=day, hours=1), "adjustment", -units, "sale"))
            on_hand = 0
            for version, (at, kind, units, reason) in enumerate(entries, 1):
                on_hand += units
                conn.execute(
                    "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,"
                    " d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, reason, occurred_at,"
                    " recorded_at) VALUES (%s, %s, %s, %s, %s, %s, 0, 0, 0, %s, 0, 0, 0, 0, %s, %s, %s)",
                    (item, node, version, kind, units, units, on_hand, reason, at, at),
                )
            conn.execute(
                "INSERT INTO stock_position (item_id, node_id, on_hand, version) VALUES (%s, %s, %s, %s)",
                (item, node, on_hand, len(entries)),
            )


def _channels(conn, now):
    """market cannot be reached, and a tenth of its listings showed another number; web let 12 of its orders
    through that nothing could serve, one of which waits."""
    conn.execute(
        "INSERT INTO channel_health (channel_id, at, publication, reconciled_at, drift) VALUES (2, %s,"
        """ '{"breaker": "open", "last_error": "503 from the shop"}', %s,"""
        """ '{"read": 200, "foreign": 15, "lost": 5, "unheard": 0}')""",
        (now - timedelta(seconds=5), now - timedelta(hours=3)),
    )
    conn.execute("INSERT INTO channel_gate (channel_id, alpha, tau) VALUES (1, 0.001, 1)")
    since = now - timedelta(hours=2)
    ids = texts(new_ids(12, now_ms=round(since.timestamp() * 1000)))
    for number, order_id in enumerate(ids):
        conn.execute(
            "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at, created_at,"
            """ request, lines, actor) VALUES (%s, 1, %s, '', %s, 'EUR', %s, %s, '{}', '[["1", 6, 3, 2000]]', 0)""",
            (order_id, f"over-{number}", "unfillable" if number == 0 else "cancelled", since, since),
        )
    conn.execute(
        "INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity, since)"
        " VALUES (%s, 1, 6, 'unfillable', 3, %s)",
        (ids[0], since),
    )
    conn.execute(
        "INSERT INTO event (at, kind, actor, origin, data, orders)"
        """ VALUES (%s, 'order.unfillable', 0, 1, '{"queue": "unfillable"}', %s)""", (since, ids[::-1]),
    )  # fmt: skip


def _supply(conn, now):
    """acme has always been ten days late. What it was to bring yesterday of E is not there."""
    for number in range(30):
        due = now - timedelta(days=100 + 5 * number)
        inbound_id = new_id()
        conn.execute(
            "INSERT INTO inbound (inbound_id, reference, node_id, supplier, created_at, closed_at, actor)"
            " VALUES (%s, %s, 1, 'acme', %s, %s, 0)",
            (inbound_id, f"PO-{number}", due - timedelta(days=30), due + timedelta(days=10)),
        )
        conn.execute("INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, received, expected_at)"
                     " VALUES (%s, 1, 5, 1, 100, 100, %s)", (inbound_id, due))  # fmt: skip
    inbound_id = new_id()
    conn.execute(
        "INSERT INTO inbound (inbound_id, reference, node_id, supplier, created_at, actor)"
        " VALUES (%s, 'PO-LATE', 1, 'acme', %s, 0)", (inbound_id, now - timedelta(days=20)),
    )  # fmt: skip
    conn.execute("INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, expected_at)"
                 " VALUES (%s, 1, 5, 1, 3000, %s)", (inbound_id, now - timedelta(days=1)))  # fmt: skip


def _sales(conn, now):
    """Lines as demand: B is wanted ten times as often as it ever was, D is sold for a tenth of its price today, and E
    more than there is of it within two weeks."""
    conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('DE', 'UTC')")
    place = conn.execute("SELECT place_id FROM demand_place WHERE region = 'DE'").fetchone()[0]
    lines = []
    for day in range(60):
        for item in (2, 4, 5):
            at = now - timedelta(days=day, minutes=5)
            wanted = {2: 40 if day == 0 else 4, 4: 4, 5: 120}[item]
            price = 200 if (item, day) == (4, 0) else 2000
            order_id = texts(new_ids(1, now_ms=round(at.timestamp() * 1000)))[0]
            lines.append((order_id, item, place, (now - timedelta(days=day)).date(), wanted, price))
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO demand_line (order_id, line_no, item_id, place_id, channel_id, day, hour, units, price_minor)"
            " VALUES (%s, 1, %s, %s, 1, %s, 12, %s, %s)", lines,
        )  # fmt: skip


def _forecasts(db, now):
    """B is forecast at four a day; forecasts were good until eight days ago, and are bad since."""
    settings = Settings(horizon=10, levels=(0.1, 0.5, 0.9))
    random = np.random.default_rng(4)
    with db.connection() as conn:
        place = conn.execute("SELECT place_id FROM demand_place WHERE region = 'DE'").fetchone()[0]
    for back in range(40, 0, -1):
        origin = (now - timedelta(days=back)).date()
        mean = np.full((1, 10), 4.0)
        made = Forecast(
            levels=np.array(settings.levels), mean=mean, quantiles=np.stack([mean - 2, mean, mean + 2], axis=2)
        )
        rows = Rows(item=np.array([2]), place=np.array([place]), channel=np.array([-1]), segment=np.array([3]),
                    scale=np.ones(1), champion=made, challenger=None, baseline=made)  # fmt: skip
        run_id, job_id = new_id(), new_id()
        loss = float(random.normal(1.0, 0.1)) + (0.8 if back <= 8 else 0.0)

        def work(conn, run_id=run_id, job_id=job_id, origin=origin, rows=rows, loss=loss, back=back):
            conn.execute("INSERT INTO job (job_id, kind, request, actor) VALUES (%s, 'forecast', '{}', 7)", (job_id,))
            forecasts.add_run(conn, run_id, job_id, replace(settings), origin)
            forecasts.add_series(conn, run_id, rows, done=0, until=2)
            forecasts.finish_run(conn, run_id, [{"segment": "lumpy", "in_charge": "model"}])
            conn.execute("UPDATE forecast_run SET scored = 1, finished_at = %s WHERE run_id = %s",
                         (now - timedelta(days=back - 1, hours=1), run_id))  # fmt: skip
            conn.execute(
                "INSERT INTO forecast_score (run_id, segment, part, sums, near, whole)"
                " VALUES (%s, 3, 'champion', %s::jsonb, '{}', '{}')",
                (run_id, f'{{"scaled": [1], "loss": [{loss}]}}'),
            )

        db.transact(work)


def go_on(db, now):
    """What comes later: rows of the next days, whatever it is about. None of it is known at `now`."""
    later = now + timedelta(hours=2)
    random = np.random.default_rng(9)
    with db.connect() as conn, conn.transaction():
        ids = texts(new_ids(300, now_ms=round(later.timestamp() * 1000)))
        customer = conn.execute("SELECT customer_id FROM customer").fetchone()[0]
        for n, order_id in enumerate(ids):
            at = later + timedelta(minutes=n)
            conn.execute(
                "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at,"
                " created_at, customer_id, request, lines, actor) VALUES (%s, %s, %s, '', 'sourced', 'EUR', %s, %s, %s,"
                """ '{"destination": {"country": "DE"}}', '[["1", 4, 1, 2000], ["2", 5, 2, 2000]]', 0)""",
                (order_id, n % 2 + 1, f"later-{n}", at, at, customer),
            )
            conn.execute(
                "INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, carrier, ship_day, ship_by,"
                " deliver_by, lines, units, cost_minor, cost, co2_g, pieces, updated_at)"
                " VALUES (%s, 1, 1, 4, %s, 'dhl', %s, %s, %s, 1, 1, 400, '[]', 0, '[[1, 4, 1]]', %s)",
                (order_id, "shipped" if n % 2 else "allocated", at.date(), at, at, at),
            )
            conn.execute(
                "INSERT INTO event (at, kind, actor, origin, data, orders)"
                " VALUES (%s, 'order.unfillable', 0, 1, '{}', %s)",
                (at, [order_id]),
            )
            if n % 2:
                conn.execute(
                    "INSERT INTO shipment (order_id, shipment_no, fulfilment_no, carrier, shipped_at, delivered_at)"
                    " VALUES (%s, 1, 1, 'dhl', %s, %s)", (order_id, at, at + timedelta(days=9)),
                )  # fmt: skip
            else:
                conn.execute("INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity, since)"
                             " VALUES (%s, 1, %s, 'to_source', 4, %s)", (order_id, n % 6 + 1, at))  # fmt: skip
            conn.execute(
                "INSERT INTO demand_line (order_id, line_no, item_id, place_id, channel_id, day, hour, units,"
                " price_minor) SELECT %s, 1, %s, place_id, 1, %s, 12, 30, %s FROM demand_place WHERE region = 'DE'",
                (order_id, n % 6 + 1, at.date(), 100 + n),
            )
        for item in range(1, 7):
            for node in range(1, 5):
                units, version = conn.execute(
                    "SELECT on_hand, version FROM stock_position WHERE (item_id, node_id) = (%s, %s)", (item, node)
                ).fetchone()
                sold = int(random.integers(1, units)) if item % 2 else units
                conn.execute(
                    "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,"
                    " d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, reason, occurred_at,"
                    " recorded_at) VALUES (%s, %s, %s, 'adjustment', %s, %s, 0, 0, 0, %s, 0, 0, 0, 0, 'sale', %s, %s)",
                    (item, node, version + 1, -sold, -sold, units - sold, later, later),
                )
                conn.execute("UPDATE stock_position SET on_hand = on_hand - %s, version = version + 1"
                             " WHERE (item_id, node_id) = (%s, %s)", (sold, item, node))  # fmt: skip
        conn.execute("INSERT INTO channel_message (channel_id, dedupe, topic, body, status, received_at, error)"
                     " VALUES (1, 'later', 'order', 'x', 'parked', %s, 'unreadable')", (later,))  # fmt: skip
        for number in range(40):
            inbound_id = new_id()
            conn.execute(
                "INSERT INTO inbound (inbound_id, reference, node_id, supplier, created_at, closed_at, actor)"
                " VALUES (%s, %s, 1, 'acme', %s, %s, 0)",
                (inbound_id, f"LATER-{number}", later, later + timedelta(days=1)),
            )
            conn.execute("INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, received,"
                         " expected_at) VALUES (%s, 1, 5, 1, 10, 10, %s)", (inbound_id, later))  # fmt: skip


def noon():
    """A moment in the past whose day is not just beginning: what is sold today is there already."""
    return datetime.combine(datetime.now(UTC).date() - timedelta(days=5), datetime.min.time(), UTC) + timedelta(
        hours=15
    )
