-- name: regions_of_orders
SELECT DISTINCT demand_region_v1(r.request #>> '{destination,country}', r.request #>> '{destination,region}')
FROM orders o CROSS JOIN LATERAL (SELECT o.request::json AS request) r
WHERE o.order_id = ANY (%(ids)s::uuid[]);

-- name: fold_orders
-- Lines of orders as they stand. What a customer cancelled is what a node had for him, and all of an order that was
-- held back to the end; the rest of what was cancelled waited for stock in vain.
WITH asked AS MATERIALIZED (
    SELECT o.order_id, o.channel_id, o.lines::json AS lines, o.placed_at, r.request ->> 'hold' IS NOT NULL AS is_held,
           CASE WHEN r.request ->> 'method' IN ('pickup', 'ship_to_store') THEN r.request ->> 'pickup_node' END AS node,
           demand_region_v1(r.request #>> '{destination,country}', r.request #>> '{destination,region}') AS region
    FROM orders o CROSS JOIN LATERAL (SELECT o.request::json AS request) r
    WHERE o.order_id = ANY (%(ids)s::uuid[])
), told AS MATERIALIZED (
    SELECT a.order_id, a.channel_id, a.lines, a.is_held, coalesce(there.place_id, sent.place_id) AS place_id,
           a.placed_at AT TIME ZONE coalesce(there.timezone, sent.timezone) AS local
    FROM asked a
    LEFT JOIN node n ON n.code = a.node
    LEFT JOIN demand_place there ON there.node_id = n.node_id
    LEFT JOIN demand_place sent ON sent.region = a.region
), line AS MATERIALIZED (
    SELECT t.order_id, x.n::smallint AS line_no, l ->> 0 AS line_id, part.item_id, t.place_id, t.channel_id,
           t.local::date AS day, extract(hour FROM t.local)::smallint AS hour, t.is_held,
           least((l ->> 2)::bigint * part.per, 2147483647)::int AS units,
           least(coalesce((l ->> 5)::bigint, 0) * part.per, 2147483647)::int AS gone,
           least(coalesce((l ->> 7)::bigint, 0) * part.per, 2147483647)::int AS returned,
           CASE WHEN l ->> 8 IS NULL THEN (l ->> 3)::bigint END AS price_minor
    FROM told t, json_array_elements(t.lines) WITH ORDINALITY AS x (l, n), LATERAL (
        SELECT (l ->> 1)::int AS item_id, 1 AS per WHERE l ->> 8 IS NULL
        UNION ALL
        SELECT key::int, value::int FROM json_each_text(CASE WHEN l ->> 8 IS NULL THEN '{}' ELSE l -> 8 END)
    ) AS part
), backed AS (
    SELECT f.order_id, m.line_id, i.item_id, sum(m.quantity)::int AS units
    FROM fulfilment f
    JOIN event e ON e.subject = f.order_id::text || '-f' || f.fulfilment_no
    CROSS JOIN LATERAL jsonb_to_recordset(e.data -> 'lines') AS m (line_id text, sku text, quantity int)
    JOIN item i ON i.sku = m.sku
    WHERE f.order_id IN (SELECT order_id FROM line WHERE gone > 0)
      AND e.kind LIKE 'fulfilment.%%' AND e.data ->> 'change' = 'cancel'
      AND (e.actor <> 0 OR e.reason LIKE 'channel %%')
    GROUP BY 1, 2, 3
)
INSERT INTO demand_line AS d (order_id, line_no, item_id, place_id, channel_id, day, hour, units, cancelled, unserved,
    returned, price_minor)
SELECT l.order_id, l.line_no, l.item_id, l.place_id, l.channel_id, l.day, l.hour, l.units, c.cancelled,
       l.gone - c.cancelled, l.returned, l.price_minor
FROM line l
LEFT JOIN backed b USING (order_id, line_id, item_id)
CROSS JOIN LATERAL (SELECT CASE WHEN l.is_held THEN l.gone ELSE least(l.gone, coalesce(b.units, 0)) END AS cancelled) c
ON CONFLICT (order_id, line_no, item_id) DO UPDATE
SET place_id = excluded.place_id, day = excluded.day, hour = excluded.hour, units = excluded.units,
    cancelled = excluded.cancelled, unserved = excluded.unserved, returned = excluded.returned
WHERE (d.place_id, d.day, d.hour, d.units, d.cancelled, d.unserved, d.returned)
   IS DISTINCT FROM (excluded.place_id, excluded.day, excluded.hour, excluded.units, excluded.cancelled,
                     excluded.unserved, excluded.returned);

-- name: item_lines
-- How much there is to load of each item.
SELECT i.item_id, coalesce(l.lines, 0) + coalesce(s.days, 0)
FROM item i
LEFT JOIN (
    SELECT item_id, count(*) AS lines FROM demand_line
    WHERE %(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]) GROUP BY item_id
) l USING (item_id)
LEFT JOIN (
    SELECT item_id, count(*) AS days FROM imported_sale
    WHERE %(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]) GROUP BY item_id
) s USING (item_id)
WHERE %(items)s::int[] IS NULL OR i.item_id = ANY (%(items)s::int[])
ORDER BY i.item_id;

-- name: order_lines
-- All columns as bigint and none NULL: see demand/store.py `fetch`.
SELECT item_id::bigint, place_id::bigint, channel_id::bigint, (day - date '1970-01-01')::bigint, units::bigint,
       cancelled::bigint, returned::bigint, coalesce(price_minor, -1)
FROM demand_line
WHERE item_id BETWEEN %(first)s AND %(last)s AND day < %(until)s::date
  AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]))
  AND (%(places)s::int[] IS NULL OR place_id = ANY (%(places)s::int[]));

-- name: other_sales
-- What was imported, and what counters sold: entries of the ledger with the reason `sale`, counts of what was left too.
SELECT item_id::bigint, place_id::bigint, channel_id::bigint, (day - date '1970-01-01')::bigint, units::bigint,
       0::bigint, 0::bigint, coalesce(price_minor, -1)
FROM imported_sale
WHERE item_id BETWEEN %(first)s AND %(last)s AND day < %(until)s::date
  AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]))
  AND (%(places)s::int[] IS NULL OR place_id = ANY (%(places)s::int[]))
UNION ALL
SELECT e.item_id::bigint, p.place_id::bigint, coalesce(c.channel_id, 0)::bigint, (t.day - date '1970-01-01')::bigint,
       greatest(-e.d_on_hand, 0)::bigint, 0::bigint, greatest(e.d_on_hand, 0)::bigint, (-1)::bigint
FROM ledger_entry e
JOIN demand_place p ON p.node_id = e.node_id
CROSS JOIN LATERAL (SELECT (e.occurred_at AT TIME ZONE p.timezone)::date AS day) t
LEFT JOIN channel c ON c.code = split_part(e.reference, ' ', 1)
WHERE e.reason = 'sale' AND e.kind IN ('adjustment', 'count') AND e.d_on_hand <> 0
  AND e.item_id BETWEEN %(first)s AND %(last)s AND t.day < %(until)s::date
  AND (%(items)s::int[] IS NULL OR e.item_id = ANY (%(items)s::int[]))
  AND (%(places)s::int[] IS NULL OR p.place_id = ANY (%(places)s::int[]));

-- name: told_stock_outs
SELECT item_id::bigint, place_id::bigint, channel_id::bigint, (day - date '1970-01-01')::bigint,
       (stock_out_hours / 24)::float8
FROM imported_sale
WHERE stock_out_hours > 0 AND item_id BETWEEN %(first)s AND %(last)s AND day < %(until)s::date
  AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]))
  AND (%(places)s::int[] IS NULL OR place_id = ANY (%(places)s::int[]));

-- name: stock_turns
-- Moments at which a position began or ended to have a unit that may be sold: more than its safety stock of today, of
-- which no history is kept. The order is that of the ledger, and no moment lies before an earlier one, nor after it was
-- recorded. 0: it was first heard of without one.
SELECT item_id::bigint, node_id::bigint, (extract(epoch FROM at) * 1000000)::bigint,
       CASE WHEN is_open THEN 1 WHEN before IS NULL THEN 0 ELSE -1 END::bigint
FROM (
    SELECT item_id, node_id, at, is_open, lag(is_open) OVER (PARTITION BY item_id, node_id ORDER BY version) AS before
    FROM (
        SELECT e.item_id, e.node_id, e.version,
               max(least(e.occurred_at, e.recorded_at)) OVER of_position AS at,
               e.on_hand - e.unavailable - e.allocated > coalesce(p.safety_stock, n.safety_stock_default) AS is_open
        FROM ledger_entry e
        JOIN stock_position p USING (item_id, node_id)
        JOIN node n USING (node_id)
        WHERE e.item_id BETWEEN %(first)s AND %(last)s
          AND (%(items)s::int[] IS NULL OR e.item_id = ANY (%(items)s::int[]))
        WINDOW of_position AS (PARTITION BY e.item_id, e.node_id ORDER BY e.version)
    ) AS moments
) AS turns
WHERE is_open IS DISTINCT FROM before AND at < %(end)s::timestamptz;

-- name: hours
-- Of the last lines of orders that were heard of before the day that is asked for: ids of orders ascend with time.
SELECT hour, count(*)
FROM (
    SELECT hour, day FROM demand_line WHERE order_id < %(before)s::uuid ORDER BY order_id DESC LIMIT 20000
) AS latest
WHERE day < %(until)s::date
GROUP BY hour;

-- name: places
SELECT p.place_id, n.node_id, n.code, coalesce(p.region, demand_region_v1(n.country, n.region)), p.timezone
FROM demand_place p LEFT JOIN node n USING (node_id);

-- name: channels
SELECT c.channel_id, c.code, coalesce(c.node_ids, g.node_ids)
FROM channel c LEFT JOIN node_group g ON g.code = c.node_group;

-- name: shipping_nodes
SELECT node_id FROM node WHERE active;

-- name: item_names
SELECT item_id, sku, category FROM item WHERE item_id = ANY (%(items)s::int[]);

-- name: nodes_that_send
SELECT code, latitude, longitude FROM node
WHERE active AND node_type <> 'supplier' AND 'ship' = ANY (methods) ORDER BY node_id;

-- name: destinations
-- Of the latest orders that are sent somewhere: ids of orders ascend with time. A degree's tenth is near enough.
SELECT demand_region_v1(d ->> 'country', d ->> 'region'), d ->> 'country', d ->> 'region',
       CASE WHEN d ->> 'latitude' IS NULL THEN d ->> 'postal_code' END,
       round((d ->> 'latitude')::numeric, 1)::float8, round((d ->> 'longitude')::numeric, 1)::float8, count(*)
FROM (
    SELECT request::json AS request FROM orders WHERE order_id < %(before)s::uuid ORDER BY order_id DESC LIMIT 20000
) AS latest, LATERAL (SELECT request -> 'destination' AS d) AS sent
WHERE coalesce(request ->> 'method', 'ship') = 'ship'
GROUP BY 1, 2, 3, 4, 5, 6;

-- name: with_others
-- Items that are named, and others of their categories, those that were set up first.
WITH named AS (
    SELECT item_id, sku, category FROM item WHERE sku = ANY (%(skus)s)
), others AS (
    SELECT i.item_id, i.sku, i.category FROM item i
    WHERE i.category IN (SELECT category FROM named) AND i.item_id NOT IN (SELECT item_id FROM named)
      AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
    ORDER BY i.item_id LIMIT %(others_max)s
)
SELECT sku, coalesce(category, ''), true FROM named
UNION ALL SELECT sku, coalesce(category, ''), false FROM others
ORDER BY 1;
