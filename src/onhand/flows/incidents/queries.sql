-- What detectors look at, read set by set. Moments are Unix microseconds; what was recorded after the moment that is asked
-- about is left out.

-- name: lock_watch
-- Held as long as the connection is.
SELECT pg_try_advisory_lock(hashtextextended('onhand incidents', 0));

-- name: changes
-- What the next settled events tell of.
WITH e AS MATERIALIZED (
    SELECT xid, pos, kind, orders, data FROM event
    WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY event.xid, event.pos
    LIMIT %(limit)s
), position AS MATERIALIZED (
    SELECT DISTINCT i.id::int AS item_id, n.id::int AS node_id
    FROM e, jsonb_array_elements_text(e.data -> 'items') WITH ORDINALITY AS i (id, place)
    JOIN jsonb_array_elements_text(e.data -> 'nodes') WITH ORDINALITY AS n (id, place) USING (place)
    WHERE e.kind = 'stock.changed'
)
SELECT (SELECT xid::text::bigint FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT pos FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT count(*) FROM e),
       ARRAY(
           SELECT unnest(orders) FROM e WHERE orders IS NOT NULL
           UNION
           SELECT (data ->> 'order_id')::uuid FROM e
           WHERE orders IS NULL AND (kind LIKE 'order.%%' OR kind LIKE 'fulfilment.%%')
       ),
       coalesce((SELECT array_agg(item_id ORDER BY item_id, node_id) FROM position), '{}'),
       coalesce((SELECT array_agg(node_id ORDER BY item_id, node_id) FROM position), '{}');

-- name: currency
-- Ids of orders grow with time: the key is read backwards.
SELECT currency FROM (
    SELECT currency, 2 AS weight FROM (SELECT currency FROM orders ORDER BY order_id DESC LIMIT 10000) o
    UNION ALL
    SELECT currency, 1 FROM channel WHERE active AND NOT EXISTS (SELECT FROM orders)
) c GROUP BY currency ORDER BY sum(weight) DESC, currency LIMIT 1;

-- name: nodes
SELECT node_id, code FROM node;

-- name: channels
SELECT channel_id, code, currency, active, margin_rate, coalesce((oversell ->> 'penalty_minor')::bigint, 0),
       coalesce((oversell ->> 'late_minor_per_day')::bigint, 0)
FROM channel;

-- name: items
SELECT item_id, sku, price_minor, unit_cost_minor, currency FROM item WHERE item_id = ANY (%(ids)s::int[]);

-- Orders ---------------------------------------------------------------------------------------------------------------

-- name: stays
-- Where orders wait: fulfilments that a node has to work on, those that are due within a day; and lines in queues, dated
-- ones from when they were due. `state` is a place in orders.STATES.
SELECT f.order_id, array_position(%(states)s, f.status)::bigint - 1, f.node_id::bigint,
       (extract(epoch FROM f.updated_at) * 1000000)::bigint
FROM fulfilment f
WHERE f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped')
  AND f.updated_at <= %(now)s AND f.ship_by <= %(now)s + interval '1 day'
  AND (%(ids)s::uuid[] IS NULL OR f.order_id = ANY (%(ids)s::uuid[]))
UNION ALL
SELECT q.order_id, array_position(%(states)s, q.queue)::bigint - 1, 0::bigint,
       (extract(epoch FROM greatest(q.since, q.expected_at)) * 1000000)::bigint
FROM queue_line q
WHERE q.since <= %(now)s AND coalesce(q.expected_at, q.since) <= %(now)s
  AND (%(ids)s::uuid[] IS NULL OR q.order_id = ANY (%(ids)s::uuid[]));

-- name: past_stays
-- How long orders stayed in each state, of the last events. A fulfilment begins when its plan was made, and every event of
-- it begins a new stay, as whatever happens to it moves its row; a queue begins with an event of the order that names it.
WITH told AS MATERIALIZED (
    SELECT xid, pos, at, kind, subject, orders, data FROM event
    WHERE xid >= coalesce((SELECT e.xid FROM event e WHERE e.orders IS NOT NULL AND e.at >= %(since)s ORDER BY e.at LIMIT 1), '0'::xid8)
      AND at >= %(since)s AND at <= %(now)s
      AND (kind LIKE 'fulfilment.%%' OR kind LIKE 'order.%%')
    ORDER BY event.xid DESC, event.pos DESC LIMIT %(limit)s
), moment AS (
    SELECT subject, xid, pos, at, split_part(kind, '.', 2) AS state, data ->> 'node' AS node
    FROM told WHERE kind LIKE 'fulfilment.%%'
    UNION ALL
    SELECT o.order_id || '-f' || f.fulfilment_no, '0'::xid8, 0, o.created_at, 'allocated', n.code
    FROM told t CROSS JOIN LATERAL unnest(t.orders) AS one (order_id)
    JOIN orders o USING (order_id) JOIN fulfilment f USING (order_id) JOIN node n USING (node_id)
    WHERE t.orders IS NOT NULL AND f.plan_no = 1
    UNION ALL
    SELECT subject, xid, pos, at, data ->> 'queue', NULL FROM told WHERE kind LIKE 'order.%%' AND orders IS NULL
    UNION ALL
    SELECT one.order_id::text, t.xid, t.pos, t.at, t.data ->> 'queue', NULL
    FROM told t CROSS JOIN LATERAL unnest(t.orders) AS one (order_id) WHERE t.orders IS NOT NULL
), stay AS (
    SELECT state, node, at, lead(at) OVER (PARTITION BY subject ORDER BY xid, pos) AS left_at FROM moment
)
SELECT array_position(%(states)s, s.state)::bigint - 1, coalesce(n.node_id, 0)::bigint,
       (extract(epoch FROM coalesce(s.left_at, %(now)s) - s.at) / 3600)::float8, (s.left_at IS NOT NULL)::int::bigint
FROM stay s LEFT JOIN node n ON n.code = s.node
WHERE s.state = ANY (%(states)s) AND coalesce(s.left_at, %(now)s) >= s.at;

-- name: order_facts
-- What some orders are to people, and what they are worth.
SELECT o.order_id, o.channel_id, o.external_id, o.currency,
       coalesce((SELECT sum((l ->> 2)::bigint * (l ->> 3)::bigint) FROM json_array_elements(o.lines::json) l), 0)::float8,
       coalesce((SELECT sum(f.cost_minor) FROM fulfilment f
                 WHERE f.order_id = o.order_id AND f.status NOT IN ('cancelled', 'rejected')), 0)::float8
FROM orders o WHERE o.order_id = ANY (%(ids)s::uuid[]);

-- name: recent_orders
-- Who ordered what, where to: numbers that are equal where these are. -1: not known. A place without its street is no
-- address: many live there. Baskets are items with their units, in whatever order they were named. Last: nothing of it has
-- been sent.
SELECT o.order_id, (extract(epoch FROM o.placed_at) * 1000000)::bigint,
       coalesce(hashtextextended(o.customer_id::text, 0) & 9223372036854775807, -1),
       coalesce(hashtextextended(nullif(c.address, '{}')::text, 0) & 9223372036854775807, -1),
       (SELECT hashtextextended(string_agg((l ->> 1) || 'x' || (l ->> 2), ' ' ORDER BY (l ->> 1)::int, (l ->> 2)::int), 0)
                   & 9223372036854775807
        FROM json_array_elements(o.lines::json) l),
       (o.status IN ('sourced', 'backordered', 'held', 'unfillable'))::int::bigint
FROM orders o LEFT JOIN customer c USING (customer_id)
WHERE o.order_id >= %(first)s::uuid AND o.placed_at > %(since)s AND o.placed_at <= %(now)s AND o.status <> 'cancelled';

-- name: past_orders
-- The last ones of a longer time.
SELECT o.order_id, (extract(epoch FROM o.placed_at) * 1000000)::bigint,
       coalesce(hashtextextended(o.customer_id::text, 0) & 9223372036854775807, -1),
       coalesce(hashtextextended(nullif(c.address, '{}')::text, 0) & 9223372036854775807, -1),
       (SELECT hashtextextended(string_agg((l ->> 1) || 'x' || (l ->> 2), ' ' ORDER BY (l ->> 1)::int, (l ->> 2)::int), 0)
                   & 9223372036854775807
        FROM json_array_elements(o.lines::json) l),
       (o.status IN ('sourced', 'backordered', 'held', 'unfillable'))::int::bigint
FROM orders o LEFT JOIN customer c USING (customer_id)
WHERE o.order_id >= %(first)s::uuid AND o.placed_at > %(since)s AND o.placed_at <= %(now)s AND o.status <> 'cancelled'
ORDER BY o.order_id DESC LIMIT %(limit)s;

-- name: orders_of_customers
-- The same, of the customers of some orders.
SELECT o.order_id, (extract(epoch FROM o.placed_at) * 1000000)::bigint,
       coalesce(hashtextextended(o.customer_id::text, 0) & 9223372036854775807, -1),
       coalesce(hashtextextended(nullif(c.address, '{}')::text, 0) & 9223372036854775807, -1),
       (SELECT hashtextextended(string_agg((l ->> 1) || 'x' || (l ->> 2), ' ' ORDER BY (l ->> 1)::int, (l ->> 2)::int), 0)
                   & 9223372036854775807
        FROM json_array_elements(o.lines::json) l),
       (o.status IN ('sourced', 'backordered', 'held', 'unfillable'))::int::bigint
FROM (
    SELECT order_id FROM orders WHERE order_id = ANY (%(ids)s::uuid[])
    UNION
    SELECT s.order_id FROM orders n JOIN orders s ON s.customer_id = n.customer_id
    WHERE n.order_id = ANY (%(ids)s::uuid[])
) AS these
JOIN orders o USING (order_id)
LEFT JOIN customer c USING (customer_id)
WHERE o.placed_at > %(since)s AND o.placed_at <= %(now)s AND o.status <> 'cancelled';

-- Stock ----------------------------------------------------------------------------------------------------------------

-- name: oversold
-- Units that were promised and are not there: on a shelf, since the entry that took them; or of orders in queues without a
-- date. By item.
WITH shelf AS (
    SELECT p.item_id, sum(p.oversold) AS units, min(e.at) AS since
    FROM stock_position p CROSS JOIN LATERAL (
        SELECT max(e.recorded_at) AS at FROM ledger_entry e
        WHERE (e.item_id, e.node_id) = (p.item_id, p.node_id) AND e.d_oversold > 0 AND e.recorded_at <= %(now)s
    ) e
    WHERE p.oversold > 0 AND e.at IS NOT NULL AND (%(items)s::int[] IS NULL OR p.item_id = ANY (%(items)s::int[]))
    GROUP BY p.item_id
), waiting AS (
    SELECT q.item_id, sum(q.units) AS units, count(*) AS orders, min(q.since) AS since,
           sum(CASE WHEN c.currency = coalesce(i.currency, %(main)s) THEN coalesce((c.oversell ->> 'penalty_minor')::bigint, 0) END)
               AS penalty_minor
    FROM (
        SELECT item_id, order_id, sum(quantity) AS units, min(since) AS since FROM queue_line
        WHERE queue IN ('to_source', 'rejected', 'unfillable') AND since <= %(now)s
          AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]))
        GROUP BY item_id, order_id
    ) q
    JOIN item i USING (item_id) JOIN orders o USING (order_id) JOIN channel c USING (channel_id)
    GROUP BY q.item_id
)
SELECT item_id::bigint, coalesce(s.units, 0)::bigint, coalesce(w.units, 0)::bigint, coalesce(w.orders, 0)::bigint,
       coalesce(w.penalty_minor, 0)::float8, (extract(epoch FROM least(s.since, w.since)) * 1000000)::bigint,
       (coalesce((SELECT sum(p.on_hand - p.unavailable - p.allocated) FROM stock_position p WHERE p.item_id = t.item_id), 0)
        - coalesce((SELECT sum(e.d_on_hand - e.d_unavailable - e.d_allocated) FROM ledger_entry e
                    WHERE e.item_id = t.item_id AND e.recorded_at > %(now)s), 0))::bigint
FROM (SELECT coalesce(s.item_id, w.item_id) AS item_id FROM shelf s FULL JOIN waiting w USING (item_id)) AS t
LEFT JOIN shelf s USING (item_id) LEFT JOIN waiting w USING (item_id);

-- name: items_of_orders
SELECT DISTINCT q.item_id FROM queue_line q WHERE q.order_id = ANY (%(ids)s::uuid[])
UNION
SELECT DISTINCT (l ->> 1)::int FROM orders o, json_array_elements(o.lines::json) l WHERE o.order_id = ANY (%(ids)s::uuid[]);

-- name: categories
SELECT category FROM item GROUP BY category ORDER BY category NULLS FIRST;

-- name: currencies
SELECT currency FROM item WHERE currency IS NOT NULL GROUP BY currency ORDER BY currency;

-- name: positions
-- Positions whose record says that units are there: what customers took off the shelf in the last weeks, for how long there
-- was something to take, and when there last was proof of it. Time with units there is a sum over the moments at which
-- they came or ran out, so that nothing has to be sorted: each counts until `now`, with its sign, and what was open at the
-- beginning follows from what is open in the end. What was entered after `now` is undone.
WITH later AS (
    SELECT item_id, node_id, sum(d_on_hand) AS on_hand, sum(d_unavailable) AS unavailable
    FROM ledger_entry WHERE recorded_at > %(now)s
      AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[]))
    GROUP BY item_id, node_id
), entry AS (
    SELECT item_id, node_id, kind, reason, d_on_hand, extract(epoch FROM %(now)s - recorded_at)::float8 AS age_s,
           (on_hand > unavailable)::int - (on_hand - d_on_hand > unavailable - d_unavailable)::int AS turn,
           kind = 'adjustment' AND reason = 'sale' AND d_on_hand < 0 AS is_sale
    FROM ledger_entry
    WHERE recorded_at > %(since)s AND recorded_at <= %(now)s
      AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[]))
), moved AS (
    SELECT item_id, node_id,
           sum(-d_on_hand) FILTER (WHERE is_sale) AS units,
           sum(-d_on_hand) FILTER (WHERE is_sale AND age_s < %(recent_s)s) AS recent_units,
           min(age_s) FILTER (WHERE d_on_hand <> 0 OR kind = 'count') AS proof_s,
           count(*) FILTER (WHERE kind = 'damage' AND reason = 'not_found') AS rejections,
           sum(turn) AS turns, sum(turn * age_s) AS open_s
    FROM entry GROUP BY item_id, node_id
)
SELECT p.item_id::bigint, p.node_id::bigint, coalesce(c.place, 1) - 1, u.place - 1, coalesce(m.units, 0)::float8,
       coalesce(m.recent_units, 0)::float8,
       (coalesce(m.open_s, 0) + (1 - coalesce(m.turns, 0)) * %(window_s)s)::float8 / 86400,
       coalesce(m.proof_s, %(window_s)s)::float8 / 86400, coalesce(m.rejections, 0),
       coalesce(greatest(i.price_minor - i.unit_cost_minor, 0), i.price_minor * %(rate)s, 0)::float8
FROM stock_position p
JOIN item i USING (item_id)
LEFT JOIN unnest(%(categories)s::text[]) WITH ORDINALITY AS c (name, place) ON c.name = coalesce(i.category, '')
JOIN unnest(%(currencies)s::text[]) WITH ORDINALITY AS u (name, place) ON u.name = coalesce(i.currency, %(main)s)
LEFT JOIN moved m USING (item_id, node_id)
LEFT JOIN later l USING (item_id, node_id)
WHERE p.on_hand - coalesce(l.on_hand, 0) > p.unavailable - coalesce(l.unavailable, 0)
  AND (%(items)s::int[] IS NULL OR p.item_id = ANY (%(items)s::int[]) AND p.node_id = ANY (%(nodes)s::int[]));

-- name: moved_positions
-- Positions that entries were recorded at.
SELECT DISTINCT item_id::bigint, node_id::bigint FROM ledger_entry WHERE recorded_at > %(since)s AND recorded_at <= %(now)s;

-- name: rejections
-- Of nodes that looked for an item and did not find it.
SELECT item_id::bigint, node_id::bigint, extract(epoch FROM %(now)s - recorded_at)::float8 / 86400
FROM ledger_entry
WHERE recorded_at > %(since)s AND recorded_at <= %(now)s AND kind = 'damage' AND reason = 'not_found'
  AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[]));

-- name: squares
-- Squares of what each item sold over the counter of each node on a day.
SELECT item_id::bigint, node_id::bigint, sum(units * units)::float8
FROM (
    SELECT item_id, node_id, sum(quantity)::float8 AS units FROM ledger_entry
    WHERE kind = 'adjustment' AND reason = 'sale' AND d_on_hand < 0
      AND recorded_at > %(since)s AND recorded_at <= %(now)s
    GROUP BY item_id, node_id, occurred_at::date
) d GROUP BY item_id, node_id;

-- name: counts
-- Counts that found nothing where the record had something, and days that positions with counts were watched.
SELECT count(*) FILTER (WHERE on_hand = 0 AND d_on_hand < 0)::float8,
       coalesce(count(DISTINCT (item_id, node_id)), 0) * %(window_s)s::float8 / 86400
FROM ledger_entry WHERE kind = 'count' AND recorded_at > %(since)s AND recorded_at <= %(now)s;

-- Channels -------------------------------------------------------------------------------------------------------------

-- name: orders_by_hour
SELECT channel_id::bigint, floor(extract(epoch FROM created_at) / 3600)::bigint, count(*),
       (extract(epoch FROM max(created_at)) * 1000000)::bigint
FROM orders WHERE order_id >= %(first)s::uuid AND created_at > %(since)s AND created_at <= %(now)s
GROUP BY 1, 2;

-- name: last_orders
SELECT channel_id::bigint, (extract(epoch FROM max(created_at)) * 1000000)::bigint
FROM orders WHERE order_id >= %(first)s::uuid AND created_at <= %(now)s
GROUP BY 1;

-- name: order_values
-- What an order of each channel comes to, of the last ones in the channel's currency; and how many an hour there are.
SELECT o.channel_id, avg(v.minor)::float8,
       (count(*) / greatest(extract(epoch FROM %(now)s - min(o.created_at)) / 3600, 1))::float8
FROM (SELECT order_id, channel_id, currency, created_at, lines FROM orders
      WHERE order_id >= %(first)s::uuid AND created_at <= %(now)s ORDER BY order_id DESC LIMIT 5000) o
JOIN channel c ON c.channel_id = o.channel_id AND c.currency = o.currency
CROSS JOIN LATERAL (SELECT sum((l ->> 2)::bigint * (l ->> 3)::bigint) AS minor FROM json_array_elements(o.lines::json) l) v
GROUP BY 1;

-- name: readings
-- What the last reconciliation of each channel found.
SELECT channel_id, coalesce((drift ->> 'read')::bigint, 0), coalesce((drift ->> 'foreign')::bigint, 0),
       coalesce((drift ->> 'lost')::bigint, 0), coalesce((drift ->> 'unheard')::bigint, 0),
       (extract(epoch FROM reconciled_at) * 1000000)::bigint
FROM channel_health JOIN channel USING (channel_id)
WHERE active AND reconciled_at > %(since)s AND reconciled_at <= %(now)s AND drift <> '{}';

-- name: faults
-- How channels fare that are written to: a publisher writes down every two seconds how it is doing.
SELECT c.channel_id,
       coalesce(h.publication ->> 'breaker' = 'open' OR h.publication ->> 'not_connected' IS NOT NULL, false),
       coalesce(h.publication ->> 'not_connected', h.publication ->> 'last_error', p.error, m.error, ''),
       coalesce(p.listings, 0), coalesce(p.failing, 0), coalesce(m.parked, 0) + coalesce(o.parked, 0) + coalesce(n.parked, 0),
       (extract(epoch FROM least(p.since, m.since, o.since, n.since, h.at)) * 1000000)::bigint
FROM channel c
LEFT JOIN channel_health h ON h.channel_id = c.channel_id AND h.at > %(now)s - interval '5 minutes' AND h.at <= %(now)s
LEFT JOIN (
    SELECT channel_id, count(*) AS listings, count(*) FILTER (WHERE last_error IS NOT NULL) AS failing,
           max(last_error) AS error, min(coalesce(shown_at, sent_at)) FILTER (WHERE last_error IS NOT NULL) AS since
    FROM published WHERE coalesce(sent_at, shown_at, '-infinity') <= %(now)s GROUP BY channel_id
) p ON p.channel_id = c.channel_id
LEFT JOIN (
    SELECT channel_id, count(*) AS parked, max(error) AS error, min(received_at) AS since
    FROM channel_message WHERE status = 'parked' AND received_at <= %(now)s GROUP BY channel_id
) m ON m.channel_id = c.channel_id
LEFT JOIN (
    SELECT channel_id, count(*) AS parked, min(heard_at) AS since
    FROM channel_order WHERE status IN ('unknown_sku', 'refused') AND heard_at <= %(now)s GROUP BY channel_id
) o ON o.channel_id = c.channel_id
LEFT JOIN (
    SELECT channel_id, count(*) AS parked, min(created_at) AS since
    FROM channel_notice WHERE status = 'refused' AND created_at <= %(now)s AND created_at > %(since)s GROUP BY channel_id
) n ON n.channel_id = c.channel_id
WHERE c.active;

-- name: gate_outcomes
-- Of channels whose gates are computed: orders of the last days, and those that could not be served in full when they were
-- placed (but for what was sold ahead), or had to give way afterwards.
SELECT placed.channel_id, g.alpha, count(*), count(*) FILTER (WHERE placed.short OR EXISTS (
    SELECT FROM fulfilment f WHERE f.order_id = placed.order_id AND f.reason = 'oversold'))
FROM (
    SELECT o.order_id, o.channel_id,
           e.kind IN ('order.backordered', 'order.unfillable') AND coalesce(e.data ->> 'queue', '') <> 'preorder' AS short
    FROM event e CROSS JOIN LATERAL unnest(e.orders) AS one (order_id) JOIN orders o USING (order_id)
    WHERE e.orders IS NOT NULL AND e.at > %(since)s AND e.at <= %(now)s
) placed
JOIN channel_gate g USING (channel_id)
JOIN channel c USING (channel_id)
WHERE c.active AND c.gate ->> 'mode' = 'adaptive'
GROUP BY placed.channel_id, g.alpha;

-- Nodes ----------------------------------------------------------------------------------------------------------------

-- name: working_nodes
-- What nodes can do in a day by their own word, and when they are closed.
SELECT node_id, code, timezone, capacity_units, capacity_lines, capacity_orders, working_days, closed_days, holidays
FROM node WHERE active ORDER BY node_id;

-- name: open_work
-- What nodes have to do yet, by the day it is to leave: fulfilments, lines, units.
SELECT node_id::bigint, (ship_day - date '1970-01-01')::bigint, count(*), sum(lines)::bigint, sum(units)::bigint
FROM fulfilment
WHERE status IN ('allocated', 'accepted', 'packed', 'partly_shipped') AND updated_at <= %(now)s
GROUP BY node_id, ship_day;

-- name: past_work
-- What was to leave nodes on each of the last days, done or not.
SELECT f.node_id::bigint, (f.ship_day - date '1970-01-01')::bigint, count(*), sum(f.lines)::bigint, sum(f.units)::bigint
FROM orders o JOIN fulfilment f USING (order_id)
WHERE o.order_id >= %(first)s::uuid AND o.created_at <= %(now)s AND f.status NOT IN ('cancelled', 'rejected')
  AND f.ship_day >= %(since)s::date AND f.ship_day < %(now)s::date
GROUP BY f.node_id, f.ship_day;

-- name: shipped_work
-- What has left nodes on each of the last days.
SELECT f.node_id::bigint, (s.shipped_at::date - date '1970-01-01')::bigint, count(*), sum(l.lines)::bigint, sum(l.units)::bigint
FROM orders o
JOIN shipment s USING (order_id)
JOIN fulfilment f USING (order_id, fulfilment_no)
CROSS JOIN LATERAL (SELECT count(*) AS lines, coalesce(sum(quantity), 0) AS units FROM shipment_line l
                    WHERE (l.order_id, l.shipment_no) = (s.order_id, s.shipment_no)) l
WHERE o.order_id >= %(first)s::uuid AND s.shipped_at >= %(since)s::date AND s.shipped_at < %(now)s::date
GROUP BY 1, 2;

-- Supply ---------------------------------------------------------------------------------------------------------------

-- name: past_inbound
-- Lines of suppliers that have come: how late their document was closed, and what came of it.
SELECT coalesce(i.supplier, ''), (extract(epoch FROM i.closed_at - l.expected_at) / 86400)::float8,
       (l.received::float8 / l.quantity)
FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE i.closed_at > %(since)s AND i.closed_at <= %(now)s AND i.kind IN ('purchase', 'shipping_notice');

-- name: open_inbound
-- Lines of suppliers that are awaited, and what there is of the item meanwhile, at all nodes.
SELECT i.reference, l.line_no, coalesce(i.supplier, ''), l.item_id,
       (extract(epoch FROM l.expected_at) * 1000000)::bigint, (l.quantity - l.received)::float8,
       (coalesce((SELECT sum(p.on_hand - p.unavailable - p.allocated) FROM stock_position p WHERE p.item_id = l.item_id), 0)
        - coalesce((SELECT sum(e.d_on_hand - e.d_unavailable - e.d_allocated) FROM ledger_entry e
                    WHERE e.item_id = l.item_id AND e.recorded_at > %(now)s), 0))::float8
FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE i.closed_at IS NULL AND i.created_at <= %(now)s AND l.received < l.quantity
  AND i.kind IN ('purchase', 'shipping_notice')
ORDER BY i.reference, l.line_no;

-- name: daily_demand
-- Units a day that were wanted of some items in the last weeks, wherever; over the counter too.
SELECT item_id, (sum(units) / %(days)s)::float8 FROM (
    SELECT item_id, units - cancelled AS units FROM demand_line
    WHERE item_id = ANY (%(items)s::int[]) AND day >= %(since)s::date AND day <= %(now)s::date
      AND order_id < %(before)s::uuid
    UNION ALL
    SELECT item_id, -d_on_hand FROM ledger_entry
    WHERE item_id = ANY (%(items)s::int[]) AND reason = 'sale' AND occurred_at >= %(since)s AND occurred_at <= %(now)s
) d GROUP BY item_id;

-- name: next_inbound
-- Days until the next supply of some items.
SELECT item_id, (extract(epoch FROM min(expected_at) - %(now)s) / 86400)::float8
FROM inbound_line WHERE item_id = ANY (%(items)s::int[]) AND received < quantity AND expected_at > %(now)s GROUP BY item_id;

-- Lanes ----------------------------------------------------------------------------------------------------------------

-- name: shipments
-- From where; by whom and to where, as a number that is equal where these are; when it left and arrived (-1: it is under
-- way), and was to arrive; of which channel, and whether in the currency of most orders; days to the delivery at 10, 50
-- and 90 % as they were foretold when it left (-1: they were not). What was foretold later knows of the way.
SELECT f.node_id::bigint, hashtextextended(concat_ws('/', s.carrier, o.request::json #>> '{destination,country}'), 0),
       (extract(epoch FROM s.shipped_at) * 1000000)::bigint,
       coalesce((extract(epoch FROM CASE WHEN s.delivered_at <= %(now)s THEN s.delivered_at END) * 1000000)::bigint, -1),
       (extract(epoch FROM f.deliver_by) * 1000000)::bigint, o.channel_id::bigint, (o.currency = %(main)s)::int::bigint,
       coalesce(d.days[2], -1), coalesce(d.days[4], -1), coalesce(d.days[6], -1)
FROM orders o
JOIN shipment s USING (order_id)
JOIN fulfilment f USING (order_id, fulfilment_no)
LEFT JOIN delivery_forecast d ON (d.order_id, d.shipment_no, d.forecast_no) = (s.order_id, s.shipment_no, 1)
    AND d.milestone IS NULL AND d.made_at <= least(s.shipped_at + interval '1 day', %(now)s)
WHERE o.order_id >= %(first)s::uuid AND s.shipped_at > %(since)s AND s.shipped_at <= %(now)s AND f.method = 'ship'
ORDER BY o.order_id DESC LIMIT %(limit)s;

-- name: ways
-- The carriers and countries of the same, by that number.
SELECT DISTINCT hashtextextended(concat_ws('/', s.carrier, o.request::json #>> '{destination,country}'), 0),
       coalesce(s.carrier, ''), coalesce(o.request::json #>> '{destination,country}', '')
FROM orders o
JOIN shipment s USING (order_id)
WHERE o.order_id >= %(first)s::uuid AND s.shipped_at > %(since)s AND s.shipped_at <= %(now)s;

-- Money ----------------------------------------------------------------------------------------------------------------

-- name: margins
-- What the last orders of each listing brought and cost: revenue of their lines, the items' costs, and the share of what it costs to
-- send them. Orders in another currency than the channel's, and lines of items whose cost nobody knows, are left out.
WITH line AS (
    SELECT o.order_id, o.channel_id, (l ->> 1)::int AS item_id, ((l ->> 2)::bigint - coalesce((l ->> 5)::bigint, 0)) AS units,
           (l ->> 3)::bigint AS price_minor
    FROM (SELECT * FROM orders
          WHERE order_id >= %(first)s::uuid AND created_at > %(since)s AND created_at <= %(now)s AND status <> 'cancelled'
          ORDER BY order_id DESC LIMIT %(limit)s) o
    JOIN channel c ON c.channel_id = o.channel_id AND c.currency = o.currency
    CROSS JOIN LATERAL json_array_elements(o.lines::json) AS l
), whole AS (
    SELECT order_id, sum(units * price_minor)::float8 AS minor FROM line GROUP BY order_id
), sent AS (
    SELECT f.order_id, sum(f.cost_minor)::float8 AS minor FROM fulfilment f JOIN whole USING (order_id)
    WHERE f.status NOT IN ('cancelled', 'rejected') GROUP BY f.order_id
)
SELECT l.channel_id::bigint, l.item_id::bigint, (l.units * l.price_minor)::float8,
       (l.units * i.unit_cost_minor + coalesce(s.minor, 0) * l.units * l.price_minor / w.minor)::float8
FROM line l
JOIN channel c USING (channel_id)
JOIN item i ON i.item_id = l.item_id AND coalesce(i.currency, c.currency) = c.currency
JOIN whole w USING (order_id)
LEFT JOIN sent s USING (order_id)
WHERE l.units > 0 AND i.unit_cost_minor IS NOT NULL AND w.minor > 0;

-- name: floors
-- The least margin that a channel's settings ask for.
SELECT channel_id, (settings ->> 'margin_floor')::float8 FROM channel
WHERE jsonb_typeof(settings -> 'margin_floor') = 'number';

-- name: prices
-- What items were sold for on each channel, and when; lines of bundles' components have no price.
SELECT d.channel_id::bigint, d.item_id::bigint, d.price_minor::float8, (d.day - date '1970-01-01')::bigint, sum(d.units)::bigint
FROM demand_line d
WHERE d.day > %(since)s::date AND d.day <= %(now)s::date AND d.price_minor > 0 AND d.order_id < %(before)s::uuid
GROUP BY 1, 2, 3, 4;

-- name: categories_of
SELECT item_id, coalesce(category, '') FROM item WHERE item_id = ANY (%(items)s::int[]);

-- Demand ---------------------------------------------------------------------------------------------------------------

-- name: wanted_today
-- What was wanted on a day, until now: by item and place. since: the least id of an order of such a day, whose ids lie
-- together.
SELECT item_id::bigint, place_id::bigint, sum(units)::float8 FROM (
    SELECT item_id, place_id, units FROM demand_line
    WHERE day = %(day)s::date AND order_id >= %(since)s::uuid AND order_id < %(before)s::uuid
    UNION ALL
    SELECT e.item_id, p.place_id, -e.d_on_hand
    FROM ledger_entry e JOIN demand_place p ON p.node_id = e.node_id
    WHERE e.kind = 'adjustment' AND e.reason = 'sale' AND e.d_on_hand < 0
      AND e.occurred_at >= %(day)s::date AND e.occurred_at < %(day)s::date + 1 AND e.occurred_at <= %(now)s
) d GROUP BY item_id, place_id HAVING sum(units) >= %(least)s;

-- name: free_units
-- Units of some items that were free then, by node; those of all nodes together stand under 0.
SELECT item_id, coalesce(node_id, 0), sum(units)::float8 FROM (
    SELECT item_id, node_id, on_hand - unavailable - allocated AS units FROM stock_position WHERE item_id = ANY (%(items)s::int[])
    UNION ALL
    SELECT item_id, node_id, -(d_on_hand - d_unavailable - d_allocated) FROM ledger_entry
    WHERE item_id = ANY (%(items)s::int[]) AND recorded_at > %(now)s
) AS free
GROUP BY GROUPING SETS ((item_id, node_id), (item_id));

-- name: scores
-- Losses of the model in charge, by segment and day: of each day the forecast from the latest origin counts.
SELECT DISTINCT ON (r.kind, s.segment, r.origin) r.kind, s.segment, r.origin, s.sums
FROM forecast_run r JOIN forecast_score s USING (run_id)
WHERE s.part = 'champion' AND r.finished_at <= %(now)s AND r.origin > %(since)s::date AND r.scored > 0
ORDER BY r.kind, s.segment, r.origin, r.run_id DESC;

-- name: worth_of_demand
-- Units a day that were wanted of all items in the last weeks, and what a unit earns, in one currency.
SELECT coalesce(sum(d.units) / %(days)s, 0)::float8,
       coalesce(sum(d.units * coalesce(i.price_minor - i.unit_cost_minor, i.price_minor * %(rate)s, 0)) / nullif(sum(d.units), 0), 0)::float8
FROM demand_line d JOIN item i USING (item_id)
WHERE d.day > %(since)s::date AND d.day <= %(now)s::date AND d.order_id < %(before)s::uuid
  AND coalesce(i.currency, %(main)s) = %(main)s;

-- name: foretold_shipments
-- Shipments on their way that were ever likely enough to be late, or are late, with all that was foretold of them:
-- [when, in Unix microseconds, chance, days].
SELECT s.order_id::text, s.shipment_no, o.channel_id, n.code, s.carrier, o.request::json -> 'destination' ->> 'country',
       (extract(epoch FROM s.shipped_at) * 1000000)::bigint, (extract(epoch FROM f.deliver_by) * 1000000)::bigint, t.made
FROM shipment s
JOIN fulfilment f USING (order_id, fulfilment_no)
JOIN node n USING (node_id)
JOIN orders o USING (order_id)
JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array((extract(epoch FROM d.made_at) * 1000000)::bigint, d.p_late, to_jsonb(d.days))) AS made,
           max(d.p_late) AS p_late
    FROM delivery_forecast d
    WHERE (d.order_id, d.shipment_no) = (s.order_id, s.shipment_no) AND d.made_at <= %(now)s AND d.p_late IS NOT NULL
) t ON t.made IS NOT NULL
WHERE s.delivered_at IS NULL AND s.milestone IS DISTINCT FROM 'delivered' AND s.milestone IS DISTINCT FROM 'returned'
  AND s.shipped_at BETWEEN %(since)s AND %(now)s
  AND (t.p_late >= %(p_late_min)s OR f.deliver_by < %(now)s)
ORDER BY s.shipped_at, s.order_id, s.shipment_no;

-- name: outcome_booked
-- What steps of an incident's runs have booked, messages that they sent included. What was taken back is 0.
SELECT run_id::text, step, sum(minor)::bigint AS minor
FROM (
    SELECT r.run_id, s.step_no AS step, c.minor
    FROM run r JOIN run_step s USING (run_id)
    JOIN cost_entry c ON c.order_id IS NULL AND c.source = 'run ' || r.run_id || ' ' || s.step_no || '.' || s.part_no
    WHERE r.kind = 'playbook' AND r.subject = %(incident_id)s::uuid AND NOT c.derived AND c.currency = %(currency)s
    UNION ALL
    SELECT r.run_id, m.step_no, c.minor
    FROM run r JOIN customer_message m USING (run_id)
    JOIN cost_entry c ON c.order_id = m.order_id AND c.source = 'message ' || m.message_id
    WHERE r.kind = 'playbook' AND r.subject = %(incident_id)s::uuid AND NOT c.derived AND c.currency = %(currency)s
) AS booked
GROUP BY run_id, step HAVING sum(minor) <> 0
ORDER BY run_id, step;

-- name: outcome_targets
-- What steps acted on, and what they left undone to compare with, as far as it says anything.
SELECT t.held_out, count(*)::int AS things, sum(t.stake_minor)::bigint AS stake_minor, count(t.judged_at)::int AS judged,
       coalesce(sum(t.stake_minor) FILTER (WHERE t.judged_at IS NOT NULL), 0)::bigint AS judged_stake_minor,
       sum(t.lost_minor)::bigint AS lost_minor, min(t.judge_at) FILTER (WHERE t.judged_at IS NULL) AS next_judged_at
FROM run r
JOIN autopilot_target t ON t.reference >= 'run:' || r.run_id || '/' AND t.reference < 'run:' || r.run_id || '0'
WHERE r.kind = 'playbook' AND r.subject = %(incident_id)s::uuid AND t.void IS NULL
GROUP BY t.held_out;

-- name: outcome_failures
-- Failures of the orders that an incident names, or that its steps acted on, left alone or wrote about, booked since.
WITH named AS (
    SELECT subject_key[1] AS id FROM incident_finding
    WHERE incident_id = %(incident_id)s::uuid AND subject_what = 'order'
    UNION
    SELECT t.key[2] FROM run r
    JOIN autopilot_target t ON t.reference >= 'run:' || r.run_id || '/' AND t.reference < 'run:' || r.run_id || '0'
    WHERE r.kind = 'playbook' AND r.subject = %(incident_id)s::uuid AND t.key[1] = 'order'
    UNION
    SELECT m.order_id::text FROM run r JOIN customer_message m USING (run_id)
    WHERE r.kind = 'playbook' AND r.subject = %(incident_id)s::uuid
), ids AS (
    SELECT id::uuid AS order_id FROM named WHERE id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
)
SELECT (SELECT count(*)::int FROM ids) AS orders,
       coalesce((SELECT sum(c.minor) FROM cost_entry c JOIN ids USING (order_id)
                 WHERE c.cause IS NOT NULL AND c.currency = %(currency)s AND c.at >= %(since)s
                   AND c.source NOT LIKE 'message %%'), 0)::bigint AS minor;
