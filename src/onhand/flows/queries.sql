-- Statements that cross capabilities: only a flow may, inside its one transaction.

-- name: find_orders
-- Answers given before, by (channel, external id) and by idempotency key, in one look: body and order of each.
SELECT k.n, o.body_hash, o.order_id::text, i.body_hash, i.answer
FROM unnest(%s::int[], %s::text[], %s::int[], %s::text[]) WITH ORDINALITY AS k (channel_id, external_id, actor, key, n)
LEFT JOIN orders o ON o.channel_id = k.channel_id AND o.external_id = k.external_id
LEFT JOIN idempotency i ON i.key = k.key AND i.actor = k.actor AND i.route = '/v1/orders'
WHERE o.order_id IS NOT NULL OR i.key IS NOT NULL

-- name: try_orders
-- Waits where a transaction under way is placing one of them; always rolled back.
INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at, request, lines, actor)
SELECT gen_random_uuid(), channel_id, external_id, '', 'held', 'XXX', now(), '{}', '[]', 0
FROM unnest(%s::int[], %s::text[]) AS k (channel_id, external_id)
ORDER BY channel_id, external_id
ON CONFLICT DO NOTHING

-- name: node_facts
SELECT n.node_id, n.code, n.node_type, n.country, n.region, n.postal_code,
       ARRAY(SELECT g.code FROM node_group g WHERE n.node_id = ANY (g.node_ids) ORDER BY g.code), n.attributes
FROM node n ORDER BY n.node_id;

-- name: emails
SELECT customer_id::text, email FROM customer WHERE customer_id = ANY (%s::uuid[]) AND email IS NOT NULL;

-- name: add_outcome
INSERT INTO policy_outcome AS o (state_id, version, orders, planned, cost, cost_sq, co2_g, co2_sq, splits, late, unfillable)
VALUES (%(state_id)s, %(version)s, %(orders)s, %(planned)s, %(cost)s, %(cost_sq)s, %(co2_g)s, %(co2_sq)s, %(splits)s,
    %(late)s, %(unfillable)s)
ON CONFLICT (state_id, version) DO UPDATE SET orders = o.orders + excluded.orders, planned = o.planned + excluded.planned,
    cost = o.cost + excluded.cost, cost_sq = o.cost_sq + excluded.cost_sq, co2_g = o.co2_g + excluded.co2_g,
    co2_sq = o.co2_sq + excluded.co2_sq, splits = o.splits + excluded.splits, late = o.late + excluded.late,
    unfillable = o.unfillable + excluded.unfillable;

-- name: outcomes
SELECT version, orders, planned, cost, cost_sq, co2_g, co2_sq, splits, late, unfillable
FROM policy_outcome WHERE state_id = %(state_id)s;

-- name: with_canary
SELECT name FROM policy_state WHERE state = 'canary' AND ended_at IS NULL ORDER BY name;

-- name: find_overdue
-- Orders of which units wait without a date for longer than that.
SELECT q.order_id::text
FROM queue_line q JOIN orders o USING (order_id)
WHERE q.inbound_id IS NULL AND q.queue IN ('to_source', 'rejected', 'unfillable', 'backorder', 'held')
  AND q.since <= %(before)s - make_interval(hours => %(hours)s)
GROUP BY q.order_id, o.placed_at ORDER BY o.placed_at, q.order_id LIMIT %(limit)s;

-- name: lock_reservation
SELECT status, order_id FROM reservation WHERE reservation_id = %s FOR UPDATE

-- name: use_reservation
UPDATE reservation SET order_id = %s WHERE reservation_id = %s

-- name: lock_stock
-- Every position of these items, locked in (item, node) order before any of them is read into the arrays.
WITH locked AS MATERIALIZED (
    SELECT p.item_id, p.node_id, p.on_hand - p.unavailable - p.allocated AS free, p.version, p.safety_stock
    FROM stock_position p WHERE p.item_id = ANY (%b::int[])
    ORDER BY p.item_id, p.node_id
    FOR UPDATE
)
SELECT array_agg(item_id), array_agg(node_id), array_agg(free), array_agg(version),
       array_agg(coalesce(safety_stock, n.safety_stock_default))
FROM locked JOIN node n USING (node_id)

-- name: lock_inbound
SELECT inbound_id, line_no, item_id, node_id, quantity - received - promised, expected_at, confidence
FROM inbound_line
WHERE item_id = ANY (%s::int[]) AND received < quantity
ORDER BY inbound_id, line_no
FOR UPDATE

-- name: add_queue_lines
-- Units that wait; those with dated supply are counted as promised on it.
WITH added AS (
    INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity, inbound_id, inbound_line, node_id, expected_at)
    SELECT * FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::text[], %s::int[], %s::uuid[], %s::int[], %s::int[],
        %s::timestamptz[])
    RETURNING inbound_id, inbound_line, quantity
)
UPDATE inbound_line i SET promised = i.promised + a.units
FROM (SELECT inbound_id, inbound_line, sum(quantity)::int AS units FROM added WHERE inbound_id IS NOT NULL GROUP BY 1, 2) a
WHERE i.inbound_id = a.inbound_id AND i.line_no = a.inbound_line

-- name: changes
-- What a process's memory must learn between two places of the outbox; its own order events are no news to it.
SELECT kind, data FROM event
WHERE (xid, pos) > (%s::text::xid8, %s) AND (xid, pos) <= (%s::text::xid8, %s)
  AND (kind IN ('item.changed', 'policy.changed', 'outlook.changed') OR (kind = 'network.changed' AND data ->> 'kind' IS DISTINCT FROM 'listing') OR (kind = 'stock.changed' AND origin <> %s))
ORDER BY xid, pos

-- name: find_servable
-- Orders that wait for units which a shelf of their channel has now, or which some inbound line has to promise; and
-- those whose supply has come and went to others.
-- What was tried in vain is left alone for a while, so that it does not stand in the way of younger orders.
SELECT o.order_id::text
FROM (
    SELECT q.order_id, q.item_id, sum(q.quantity) AS units, bool_or(q.inbound_id IS NULL) AS is_undated,
           bool_or(l.received >= l.quantity) AS has_come
    FROM queue_line q
    LEFT JOIN inbound_line l ON l.inbound_id = q.inbound_id AND l.line_no = q.inbound_line
    WHERE q.queue IN ('to_source', 'rejected', 'unfillable', 'backorder', 'preorder')
      AND (q.tried_at IS NULL OR q.tried_at <= now() - make_interval(secs => %(again_after_s)s))
    GROUP BY q.order_id, q.item_id
) w
JOIN item i USING (item_id)
JOIN orders o USING (order_id)
JOIN channel c USING (channel_id)
LEFT JOIN node_group g ON g.code = c.node_group
WHERE o.queue IS DISTINCT FROM 'held'
  AND (
    ((i.release_at IS NULL OR i.release_at <= now()) AND w.units <= (
        SELECT sum(p.on_hand - p.unavailable - p.allocated) FROM stock_position p JOIN node n USING (node_id)
        WHERE p.item_id = w.item_id AND n.active AND p.on_hand - p.unavailable - p.allocated > 0
          AND (coalesce(c.node_ids, g.node_ids) IS NULL OR p.node_id = ANY (coalesce(c.node_ids, g.node_ids)))))
    OR w.has_come
    OR (w.is_undated AND (o.request::json ->> 'allow_backorder') IS DISTINCT FROM 'false' AND EXISTS (
        SELECT FROM inbound_line l
        WHERE l.item_id = w.item_id AND l.received < l.quantity AND l.quantity - l.received - l.promised > 0))
  )
GROUP BY o.order_id
ORDER BY o.placed_at, o.order_id
LIMIT %(limit)s

-- name: find_unreleased
-- Orders sourced whole of which nobody has begun to work on any part, those that leave first; of the open fulfilments
-- only, by their index. Those up to and with the one where the last round ended come last.
SELECT o.order_id::text, f.leaves
FROM (
    SELECT order_id, min(ship_by) AS leaves
    FROM fulfilment
    WHERE status IN ('allocated', 'accepted', 'packed', 'partly_shipped')
    GROUP BY order_id
    HAVING bool_and(status = 'allocated') AND min(ship_by) > %(after)s
) f
JOIN orders o USING (order_id)
WHERE o.status = 'sourced' AND o.queue IS NULL AND o.placed_at > %(since)s
ORDER BY coalesce((f.leaves, o.order_id) <= (%(ended_leaves)s::timestamptz, %(ended_id)s::uuid), false),
         f.leaves, o.order_id
LIMIT %(limit)s

-- name: mark_tried
UPDATE queue_line SET tried_at = now() WHERE order_id = ANY (%(ids)s::uuid[])

-- name: find_promised
-- Orders that wait for supply promised at these positions.
SELECT DISTINCT q.order_id::text
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS t (item_id, node_id)
JOIN queue_line q ON q.item_id = t.item_id AND q.node_id = t.node_id
WHERE q.inbound_id IS NOT NULL

-- name: find_oversold
-- Positions with more promised than is there, and the open fulfilments that may give way: what is not packed before what
-- is, among those the order placed last first. Enough of them to cover the shortage, the one that crosses it included.
SELECT order_id, fulfilment_no, item_id, node_id
FROM (
    SELECT f.order_id::text AS order_id, f.fulfilment_no, p.item_id, p.node_id, p.oversold,
           sum(l.quantity - l.shipped) OVER w - (l.quantity - l.shipped) AS before, rank() OVER w AS place
    FROM stock_position p
    JOIN fulfilment f ON f.node_id = p.node_id AND f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped')
    JOIN fulfilment_line l ON l.order_id = f.order_id AND l.fulfilment_no = f.fulfilment_no AND l.item_id = p.item_id
    JOIN orders o ON o.order_id = f.order_id
    WHERE p.oversold > 0 AND l.quantity > l.shipped
    WINDOW w AS (
        PARTITION BY p.item_id, p.node_id
        ORDER BY f.status IN ('packed', 'partly_shipped'), o.placed_at DESC, f.order_id DESC, f.fulfilment_no, l.line_no
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
) v
WHERE before < oversold
ORDER BY item_id, node_id, place
LIMIT %(limit)s

-- name: order_ends
-- Ids ascend with time: the first order after a moment, and the last.
SELECT (SELECT order_id::text FROM orders WHERE order_id >= %(since)s::uuid ORDER BY order_id LIMIT 1),
       (SELECT order_id::text FROM orders ORDER BY order_id DESC LIMIT 1)

-- name: sample_orders
-- Of every stretch of time the first orders, by the primary key: a shop with millions of orders is asked no more than a
-- small one.
SELECT s.stretch, o.order_id, extract(epoch FROM o.placed_at)::float8, o.channel_id, o.request, o.lines
FROM unnest(%(starts)s::uuid[], %(ends)s::uuid[]) WITH ORDINALITY AS s (start_id, end_id, stretch)
CROSS JOIN LATERAL (
    SELECT order_id, placed_at, channel_id, request, lines FROM orders
    WHERE order_id >= s.start_id AND order_id < s.end_id
    ORDER BY order_id LIMIT %(each)s
) AS o

-- name: answered_lines
-- What nodes have said of the lines of these orders: how many they took on, and refused.
SELECT f.node_id, (p ->> 1)::int, extract(hour FROM o.placed_at)::int, count(*),
       count(*) FILTER (WHERE f.reason = ANY (%(reasons)s)
                          AND (f.status = 'rejected' OR coalesce((p ->> 4)::int, 0) > 0))
FROM fulfilment f
JOIN orders o USING (order_id)
CROSS JOIN json_array_elements(f.pieces::json) AS p
WHERE f.order_id = ANY (%(ids)s::uuid[])
  AND (f.status IN ('accepted', 'packed', 'partly_shipped', 'shipped', 'delivered') OR f.reason = ANY (%(reasons)s))
GROUP BY 1, 2, 3

-- name: next_supply
SELECT item_id, extract(epoch FROM min(expected_at))::float8 FROM inbound_line
WHERE received < quantity GROUP BY item_id

-- name: local_values
-- Positions with a markdown or with sales to who walks in: what clearing a unit brings, price and cost of the item, and
-- the units sold in the days since, with their squares.
WITH sold AS (
    SELECT item_id, node_id, sum(units) AS units, sum(units * units) AS squares
    FROM (
        SELECT item_id, node_id, -sum(quantity)::float8 AS units FROM ledger_entry
        WHERE kind = 'adjustment' AND reason = 'sale' AND d_on_hand < 0
          AND occurred_at > to_timestamp(%(since)s) AND occurred_at <= to_timestamp(%(now)s)
        GROUP BY item_id, node_id, (occurred_at AT TIME ZONE 'UTC')::date
    ) AS daily
    GROUP BY item_id, node_id
), cleared AS (
    SELECT item_id, node_id, value_minor FROM markdown
    WHERE until IS NULL OR until >= (to_timestamp(%(now)s) AT TIME ZONE 'UTC')::date
)
SELECT item_id, node_id, c.value_minor, i.price_minor, i.unit_cost_minor, coalesce(s.units, 0), coalesce(s.squares, 0)
FROM sold s FULL JOIN cleared c USING (item_id, node_id) JOIN item i USING (item_id)

-- name: to_ask
-- Fulfilments at a node that nobody has taken on, soonest first, and who they go to. What is held is not asked for.
SELECT f.order_id::text, f.fulfilment_no, c.name, c.email, c.phone, c.address
FROM fulfilment f
JOIN node n ON n.node_id = f.node_id AND n.code = %(node)s
JOIN orders o ON o.order_id = f.order_id
LEFT JOIN customer c ON c.customer_id = o.customer_id
WHERE f.status = 'allocated' AND o.status <> 'held' AND o.queue IS DISTINCT FROM 'held'
ORDER BY f.ship_by, f.order_id, f.fulfilment_no
LIMIT %(limit)s;

-- name: names_there
SELECT i.sku, coalesce(l.external_sku, l.external_id)
FROM listing l JOIN item i ON i.item_id = l.item_id
WHERE l.channel_id = %(channel_id)s AND i.sku = ANY (%(skus)s) AND coalesce(l.external_sku, l.external_id) IS NOT NULL;

-- name: held_there
-- What is on hand at a node that somebody else runs, and of that what was asked for and has not left.
WITH held AS (
    SELECT l.item_id, sum(l.quantity - l.shipped)::int AS units
    FROM fulfilment f
    JOIN node n ON n.node_id = f.node_id AND n.code = %(node)s
    JOIN fulfilment_line l USING (order_id, fulfilment_no)
    WHERE f.status IN ('accepted', 'packed', 'partly_shipped') OR (f.status = 'allocated' AND EXISTS (
        SELECT FROM channel_note WHERE channel_id = %(channel_id)s
          AND name = %(asked)s::text || f.order_id || '-f' || f.fulfilment_no))
    GROUP BY l.item_id
)
SELECT i.sku, p.on_hand, coalesce(h.units, 0)
FROM stock_position p
JOIN node n ON n.node_id = p.node_id AND n.code = %(node)s
JOIN item i USING (item_id)
LEFT JOIN held h USING (item_id);

-- name: is_shipped
SELECT 1 FROM shipment WHERE order_id = %(order_id)s AND fulfilment_no = %(number)s AND tracking = %(tracking)s;

-- name: find_contested
-- Units that wait without a date while orders of other channels, on which nobody has begun to work, hold such units; each
-- once for as long as it waits.
SELECT q.order_id::text, q.item_id, sum(q.quantity)::int
FROM queue_line q JOIN orders o USING (order_id)
WHERE q.queue IN ('to_source', 'unfillable', 'rejected') AND q.inbound_id IS NULL AND o.queue IS DISTINCT FROM 'held'
  AND NOT EXISTS (SELECT FROM arbitration a WHERE a.order_id = q.order_id AND a.item_id = q.item_id AND a.at >= q.since)
  AND EXISTS (
    SELECT FROM stock_position p JOIN fulfilment f ON f.node_id = p.node_id AND f.status = 'allocated'
    JOIN fulfilment_line l ON l.order_id = f.order_id AND l.fulfilment_no = f.fulfilment_no AND l.item_id = p.item_id
    JOIN orders h ON h.order_id = f.order_id
    WHERE p.item_id = q.item_id AND p.allocated > 0 AND h.channel_id <> o.channel_id AND h.status = 'sourced')
GROUP BY q.order_id, q.item_id, o.placed_at ORDER BY o.placed_at, q.order_id LIMIT %(limit)s

-- name: find_holders
-- Orders of other channels that hold units of an item on nodes that the waiting order's channel ships from, and on which
-- nobody has begun to work: those placed last first.
SELECT h.order_id::text
FROM orders o
JOIN channel c USING (channel_id)
LEFT JOIN node_group g ON g.code = c.node_group
JOIN fulfilment f ON f.status = 'allocated'
    AND (coalesce(c.node_ids, g.node_ids) IS NULL OR f.node_id = ANY (coalesce(c.node_ids, g.node_ids)))
JOIN fulfilment_line l ON l.order_id = f.order_id AND l.fulfilment_no = f.fulfilment_no AND l.item_id = %(item)s
JOIN orders h ON h.order_id = f.order_id AND h.channel_id <> o.channel_id AND h.status = 'sourced'
WHERE o.order_id = %(order_id)s AND l.quantity > l.shipped
GROUP BY h.order_id, h.placed_at ORDER BY h.placed_at DESC, h.order_id LIMIT %(limit)s

-- name: trade_of
-- What arbitration asks of channels: margin, penalty, cost of a day.
SELECT channel_id, coalesce(margin_rate, 0)::float8, coalesce((oversell ->> 'penalty_minor')::bigint, 0),
       coalesce((oversell ->> 'late_minor_per_day')::bigint, 0), coalesce((oversell ->> 'cancel')::bool, false)
FROM channel WHERE channel_id = ANY (%(channels)s::int[])

-- name: ways_of
-- What else there is for an item: dated supply that is not promised; units at nodes the channel does not ship from.
SELECT 'backorder', min(l.expected_at), NULL FROM inbound_line l
WHERE l.item_id = %(item)s AND l.received < l.quantity AND l.quantity - l.received - l.promised >= %(units)s
HAVING count(*) > 0
UNION ALL
(SELECT 'transfer', NULL, n.code FROM stock_position p JOIN node n USING (node_id)
 JOIN channel c ON c.channel_id = %(channel)s LEFT JOIN node_group g ON g.code = c.node_group
 WHERE p.item_id = %(item)s AND n.active AND p.on_hand - p.unavailable - p.allocated >= %(units)s
   AND coalesce(c.node_ids, g.node_ids) IS NOT NULL AND NOT p.node_id = ANY (coalesce(c.node_ids, g.node_ids))
 ORDER BY p.node_id LIMIT 1)
UNION ALL
(SELECT 'substitute', NULL, s.sku FROM item i
 CROSS JOIN LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(i.attributes -> 'substitutes') = 'array'
     THEN i.attributes -> 'substitutes' ELSE '[]' END) WITH ORDINALITY AS t (sku, n)
 JOIN item s ON s.sku = t.sku
 WHERE i.item_id = %(item)s AND %(units)s <= (
     SELECT sum(p.on_hand - p.unavailable - p.allocated) FROM stock_position p WHERE p.item_id = s.item_id)
 ORDER BY t.n LIMIT 1)

-- name: add_arbitration
INSERT INTO arbitration (order_id, item_id, units, served, gave_way, outcome, sentence)
VALUES (%(order_id)s, %(item)s, %(units)s, %(served)s, %(gave_way)s::uuid[], %(outcome)s, %(sentence)s)

-- name: lock_follower
-- One follows at a time; another has nothing to wait for.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0))

-- name: next_changes
-- The place of the last of the next settled events, how many they are, and the orders that they may be about. A
-- reservation's event names the order that took it as well, which is told of by itself.
WITH e AS MATERIALIZED (
    SELECT xid, pos, kind, orders, data FROM event
    WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY event.xid, event.pos
    LIMIT %(limit)s
), single AS (
    SELECT data FROM e
    WHERE orders IS NULL AND kind LIKE ANY (%(kinds)s::text[])
      AND coalesce(data ->> 'change', '') <> ALL (%(ignores)s::text[])
)
SELECT (SELECT xid::text::bigint FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT pos FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT count(*) FROM e),
       ARRAY(
           SELECT unnest(orders)::text FROM e WHERE orders IS NOT NULL
           UNION
           SELECT data ->> 'order_id' FROM single WHERE data ->> 'order_id' IS NOT NULL
           UNION
           SELECT jsonb_array_elements_text(data -> 'orders') FROM single WHERE jsonb_typeof(data -> 'orders') = 'array'
       )
