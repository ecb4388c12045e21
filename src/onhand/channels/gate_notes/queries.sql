-- name: computed
-- Channels whose gates are computed.
SELECT array_agg(channel_id ORDER BY channel_id) FROM channel WHERE active AND gate ->> 'mode' = 'adaptive';

-- name: sales_heard
-- Units that channels sold, as the outbox tells between two places: orders as they were placed, and what tills sold;
-- parts of bundles. `first` marks one row of each sale.
SELECT s.* FROM (
    SELECT e.xid, e.pos, o.channel_id, coalesce(c.item::int, l.item_id) AS item_id,
           l.quantity * coalesce(c.per::int, 1) AS units,
           extract(epoch FROM e.at)::float8 AS heard_s, extract(epoch FROM o.placed_at)::float8 AS sold_s,
           l.line_no = 1 AND coalesce(c.n, 1) = 1 AS first
    FROM event e CROSS JOIN LATERAL unnest(e.orders) AS one (order_id) JOIN orders o USING (order_id)
    JOIN order_line l USING (order_id)
    LEFT JOIN LATERAL jsonb_each_text(nullif(l.components, 'null')) WITH ORDINALITY AS c (item, per, n) ON true
    WHERE (e.xid, e.pos) > (%(xid)s::text::xid8, %(pos)s) AND (e.xid, e.pos) <= (%(to_xid)s::text::xid8, %(to_pos)s)
      AND e.orders IS NOT NULL
    UNION ALL
    SELECT e.xid, e.pos, (e.data ->> 'channel_id')::int, (e.data ->> 'item_id')::int, (e.data ->> 'units')::int,
           extract(epoch FROM e.at)::float8, extract(epoch FROM (e.data ->> 'sold_at')::timestamptz)::float8, true
    FROM event e
    WHERE (e.xid, e.pos) > (%(xid)s::text::xid8, %(pos)s) AND (e.xid, e.pos) <= (%(to_xid)s::text::xid8, %(to_pos)s)
      AND e.kind = 'sale.booked'
) s ORDER BY heard_s, xid, pos;

-- name: oldest_order
-- The first of the last orders, so many at most, and how many there are. Ids of orders grow with time: the key is read
-- backwards.
SELECT order_id::text, extract(epoch FROM created_at)::float8, count(*) OVER () FROM (
    SELECT order_id, created_at FROM orders WHERE order_id >= %(first)s::uuid ORDER BY order_id DESC LIMIT %(limit)s
) o ORDER BY order_id LIMIT 1;

-- name: sales_in_all
-- Units by item and channel between two moments.
SELECT coalesce(c.item::int, l.item_id), o.channel_id, sum(l.quantity * coalesce(c.per::int, 1))::float8
FROM orders o JOIN order_line l USING (order_id)
LEFT JOIN LATERAL jsonb_each_text(nullif(l.components, 'null')) AS c (item, per) ON true
WHERE o.order_id >= %(first)s::uuid AND o.created_at >= to_timestamp(%(began)s) AND o.created_at < to_timestamp(%(recent)s)
GROUP BY 1, 2;

-- name: sales_one_by_one
-- The same from a moment on, each.
SELECT o.channel_id, coalesce(c.item::int, l.item_id), l.quantity * coalesce(c.per::int, 1),
       extract(epoch FROM o.created_at)::float8
FROM orders o JOIN order_line l USING (order_id)
LEFT JOIN LATERAL jsonb_each_text(nullif(l.components, 'null')) AS c (item, per) ON true
WHERE o.order_id >= %(first)s::uuid AND o.created_at >= to_timestamp(%(began)s) AND o.created_at >= to_timestamp(%(recent)s)
ORDER BY o.created_at;

-- name: last_sales_of_tills
SELECT (data ->> 'channel_id')::int, (data ->> 'item_id')::int, (data ->> 'units')::int,
       extract(epoch FROM at)::float8
FROM (SELECT data, at FROM event WHERE subject = 'sale' AND kind = 'sale.booked' ORDER BY xid DESC, pos DESC LIMIT %(limit)s) e
WHERE at >= to_timestamp(%(since)s) ORDER BY at;

-- name: mean_orders
-- What a mean order of a channel comes to, of the last ones.
SELECT o.channel_id, avg(v.minor)::float8
FROM (SELECT order_id, channel_id FROM orders WHERE order_id >= %(first)s::uuid ORDER BY order_id DESC LIMIT %(limit)s) o
CROSS JOIN LATERAL (SELECT sum(quantity * price_minor) AS minor FROM order_line l WHERE l.order_id = o.order_id) v
GROUP BY 1;

-- name: supply
-- What is announced, likely and has not come: the first date by item and node. What is promised already is left out.
SELECT array_agg(item_id), array_agg(node_id), array_agg(due) FROM (
    SELECT item_id, node_id, extract(epoch FROM min(expected_at))::float8 AS due FROM inbound_line
    WHERE received < quantity AND received + promised < quantity AND confidence >= 0.5
      AND expected_at > now() - interval '3 days'
    GROUP BY item_id, node_id
) s;

-- name: latencies
SELECT channel_id, latency FROM channel_health WHERE latency <> '{}';

-- name: save_hearing
-- Of a channel that nothing is written to from here: what another process has measured of it stays.
INSERT INTO channel_health AS h (channel_id, latency) VALUES (%(channel_id)s, %(latency)s::jsonb)
ON CONFLICT (channel_id) DO UPDATE SET latency = h.latency || excluded.latency;

-- name: noted
SELECT array_agg(item_id), array_agg(units) FROM listing_gate WHERE channel_id = %(channel_id)s;

-- name: save_gates
INSERT INTO listing_gate AS g (item_id, channel_id, units, stock, seller_id, rate_per_h, usual_per_h, lag_s)
SELECT * FROM unnest(%(items)s::int[], %(channels)s::int[], %(units)s::int[], %(stock)s::int[], %(sellers)s::int[],
    %(rates)s::float8[], %(usual)s::float8[], %(lags)s::float8[])
ON CONFLICT (item_id, channel_id) DO UPDATE SET units = excluded.units, stock = excluded.stock, at = clock_timestamp(),
    seller_id = excluded.seller_id, rate_per_h = excluded.rate_per_h, usual_per_h = excluded.usual_per_h,
    lag_s = excluded.lag_s;

-- name: begin_budget
-- From now on: what was sold before no gate had a part in.
INSERT INTO channel_gate (channel_id, alpha, tau) VALUES (%(channel_id)s, %(alpha)s, %(tau)s)
ON CONFLICT DO NOTHING;

-- name: budgets
SELECT channel_id, alpha, tau, seen FROM channel_gate;

-- name: due_budgets
-- Locked: nobody learns from the same orders.
SELECT channel_id, alpha, tau, seen, extract(epoch FROM learned_to)::float8 FROM channel_gate
WHERE channel_id = ANY (%(channels)s::int[]) AND learned_to <= to_timestamp(%(until)s) - make_interval(secs => %(every_s)s)
ORDER BY channel_id FOR UPDATE;

-- name: set_budget
UPDATE channel_gate SET alpha = %(alpha)s, tau = %(tau)s, seen = %(seen)s WHERE channel_id = %(channel_id)s;

-- name: save_budget
UPDATE channel_gate SET tau = %(tau)s, seen = %(seen)s, learned_to = to_timestamp(%(until)s), orders = %(orders)s,
    oversold = %(oversold)s
WHERE channel_id = %(channel_id)s;

-- name: oversold_orders
-- Orders of a channel that were placed in a period, and those among them that could not be served in full when they were
-- placed (but for what was sold ahead), or had to give way afterwards.
SELECT count(*), count(*) FILTER (WHERE short OR EXISTS (
    SELECT FROM fulfilment f WHERE f.order_id = placed.order_id AND f.reason = 'oversold'))
FROM (
    SELECT o.order_id, e.kind IN ('order.backordered', 'order.unfillable') AND coalesce(e.data ->> 'queue', '') <> 'preorder' AS short
    FROM event e CROSS JOIN LATERAL unnest(e.orders) AS one (order_id) JOIN orders o USING (order_id)
    WHERE e.orders IS NOT NULL AND e.at >= to_timestamp(%(since)s) AND e.at < to_timestamp(%(until)s)
      AND o.channel_id = %(channel_id)s
) placed;

-- name: list_gates
-- Those that changed last.
SELECT i.sku, g.units, g.stock, g.at, s.code AS seller, g.rate_per_h, g.usual_per_h, g.lag_s
FROM listing_gate g JOIN channel c USING (channel_id) JOIN item i USING (item_id) LEFT JOIN channel s ON s.channel_id = g.seller_id
WHERE c.code = %(code)s AND (%(sku)s::text IS NULL OR i.sku = %(sku)s) AND (g.units > 0 OR %(sku)s::text IS NOT NULL)
ORDER BY g.at DESC, i.sku LIMIT %(limit)s;

-- name: get_budget
SELECT b.alpha, b.tau, b.seen, b.learned_to, b.orders, b.oversold
FROM channel_gate b JOIN channel c USING (channel_id) WHERE c.code = %(code)s;
