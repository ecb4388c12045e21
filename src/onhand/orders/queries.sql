-- name: lock_orders
-- Order rows come first in the lock order of all writers, by id.
SELECT o.order_id::text, o.channel_id, c.code, o.external_id, o.status, o.queue, o.placed_at, o.deliver_by,
       o.customer_id::text, o.request, o.currency, o.lines
FROM orders o JOIN channel c USING (channel_id)
WHERE o.order_id = ANY (%(ids)s::uuid[])
ORDER BY o.order_id
FOR UPDATE OF o;

-- name: lock_free_orders
-- The same, leaving out what somebody else is working on: for sweeps, which come again.
SELECT o.order_id::text, o.channel_id, c.code, o.external_id, o.status, o.queue, o.placed_at, o.deliver_by,
       o.customer_id::text, o.request, o.currency, o.lines
FROM orders o JOIN channel c USING (channel_id)
WHERE o.order_id = ANY (%(ids)s::uuid[])
ORDER BY o.order_id
FOR UPDATE OF o SKIP LOCKED;

-- name: order_fulfilments
SELECT f.order_id::text, f.fulfilment_no, f.plan_no, f.node_id, n.code, f.status, f.carrier, f.service, f.method,
       f.ship_day, f.ship_by, f.deliver_by, f.lines, f.units, f.cost_minor, f.cost, f.co2_g, f.reason, f.updated_at,
       f.pieces, f.parcels, f.lane
FROM fulfilment f JOIN node n USING (node_id)
WHERE f.order_id = ANY (%(ids)s::uuid[])
ORDER BY f.order_id, f.fulfilment_no;

-- name: order_waits
SELECT q.order_id::text, q.queue_line_id, q.line_no, q.item_id, q.queue, q.quantity, q.inbound_id::text, q.inbound_line,
       q.node_id, q.expected_at, coalesce(i.received >= i.quantity, false)
FROM queue_line q LEFT JOIN inbound_line i ON i.inbound_id = q.inbound_id AND i.line_no = q.inbound_line
WHERE q.order_id = ANY (%(ids)s::uuid[])
ORDER BY q.order_id, q.queue_line_id;

-- name: order_numbers
-- The last numbers given to plans, shipments and returns of each order; the first plan came with it.
SELECT o.id::text,
       coalesce((SELECT max(plan_no) FROM later_plan WHERE order_id = o.id), 1),
       coalesce((SELECT max(shipment_no) FROM shipment WHERE order_id = o.id), 0),
       coalesce((SELECT max(return_no) FROM order_return WHERE order_id = o.id), 0)
FROM unnest(%(ids)s::uuid[]) AS o (id);

-- name: skus
SELECT item_id, sku FROM item WHERE item_id = ANY (%(items)s::int[]);

-- name: update_orders
UPDATE orders o
SET status = t.status, queue = t.queue, deliver_by = t.deliver_by, request = coalesce(t.request, o.request),
    lines = coalesce(t.lines, o.lines)
FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(queues)s::text[], %(deliver_by)s::timestamptz[],
    %(requests)s::text[], %(lines)s::text[]) AS t (order_id, status, queue, deliver_by, request, lines)
WHERE o.order_id = t.order_id;

-- name: update_fulfilments
UPDATE fulfilment f SET status = t.status, lines = t.lines, units = t.units, reason = t.reason, pieces = t.pieces,
    updated_at = now()
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[], %(statuses)s::text[], %(lines)s::int[], %(units)s::int[],
    %(reasons)s::text[], %(pieces)s::text[]) AS t (order_id, number, status, lines, units, reason, pieces)
WHERE f.order_id = t.order_id AND f.fulfilment_no = t.number;

-- name: add_fulfilments
INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, carrier, service, method, ship_day, ship_by,
    deliver_by, lines, units, parcels, lane, cost_minor, cost, co2_g, pieces)
SELECT id, number, plan_no, node, status, carrier, service, method, day, ship_by, deliver_by, lines, units, parcels,
    lane, cost_minor, cost, co2_g, pieces
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[], %(plan_nos)s::int[], %(nodes)s::int[], %(statuses)s::text[],
    %(carriers)s::text[], %(services)s::text[], %(methods)s::text[], %(days)s::date[], %(ship_by)s::timestamptz[],
    %(deliver_by)s::timestamptz[], %(lines)s::int[], %(units)s::int[], %(parcels)s::int[], %(lanes)s::text[],
    %(cost_minor)s::bigint[], %(costs)s::text[], %(co2_g)s::bigint[], %(pieces)s::text[])
    AS t (id, number, plan_no, node, status, carrier, service, method, day, ship_by, deliver_by, lines, units, parcels,
    lane, cost_minor, cost, co2_g, pieces);

-- name: drop_waits
DELETE FROM queue_line WHERE queue_line_id = ANY (%(wait_ids)s::bigint[]);

-- name: update_waits
UPDATE queue_line q
SET queue = t.queue, quantity = t.quantity, inbound_id = t.inbound_id, inbound_line = t.inbound_line,
    node_id = t.node_id, expected_at = t.expected_at
FROM unnest(%(wait_ids)s::bigint[], %(queues)s::text[], %(quantities)s::int[], %(inbound_ids)s::uuid[],
    %(inbound_lines)s::int[], %(nodes)s::int[], %(expected)s::timestamptz[])
    AS t (wait_id, queue, quantity, inbound_id, inbound_line, node_id, expected_at)
WHERE q.queue_line_id = t.wait_id;

-- name: add_waits
INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity, inbound_id, inbound_line, node_id, expected_at)
SELECT * FROM unnest(%(ids)s::uuid[], %(line_nos)s::int[], %(items)s::int[], %(queues)s::text[], %(quantities)s::int[],
    %(inbound_ids)s::uuid[], %(inbound_lines)s::int[], %(nodes)s::int[], %(expected)s::timestamptz[]);

-- name: promise_inbound
-- After stock positions in the lock order; the rows are locked in (inbound, line) order before any of them changes.
WITH locked AS MATERIALIZED (
    SELECT i.inbound_id, i.line_no, t.units
    FROM unnest(%(inbound_ids)s::uuid[], %(line_nos)s::int[], %(units)s::int[]) AS t (inbound_id, line_no, units)
    JOIN inbound_line i ON i.inbound_id = t.inbound_id AND i.line_no = t.line_no
    ORDER BY i.inbound_id, i.line_no
    FOR UPDATE OF i
)
UPDATE inbound_line i SET promised = i.promised + l.units
FROM locked l
WHERE i.inbound_id = l.inbound_id AND i.line_no = l.line_no;

-- name: add_plans
INSERT INTO later_plan (order_id, plan_no, network_id, policy, decision, inputs)
SELECT * FROM unnest(%(ids)s::uuid[], %(plan_nos)s::int[], %(networks)s::int[], %(policies)s::text[],
    %(decisions)s::text[], %(inputs)s::bytea[]);

-- name: add_shipment
INSERT INTO shipment (order_id, shipment_no, fulfilment_no, carrier, service, tracking)
VALUES (%(id)s, %(number)s, %(fulfilment)s, %(carrier)s, %(service)s, %(tracking)s);

-- name: add_shipment_lines
INSERT INTO shipment_line (order_id, shipment_no, line_no, item_id, quantity)
SELECT %(id)s, %(number)s, line_no, item, quantity
FROM unnest(%(line_nos)s::int[], %(items)s::int[], %(quantities)s::int[]) AS t (line_no, item, quantity);

-- name: deliver_shipments
-- Those that their carrier has delivered keep their moment.
UPDATE shipment SET delivered_at = coalesce(delivered_at, now()), awaits_rest = false
WHERE order_id = %(id)s AND fulfilment_no = %(fulfilment)s AND (delivered_at IS NULL OR awaits_rest);

-- name: returned_units
SELECT line_no, item_id, sum(quantity)::int FROM order_return_line WHERE order_id = %(id)s GROUP BY line_no, item_id;

-- name: add_return
INSERT INTO order_return (order_id, return_no, node_id, disposition)
VALUES (%(id)s, %(number)s, %(node)s, %(disposition)s);

-- name: add_return_lines
INSERT INTO order_return_line (order_id, return_no, line_no, item_id, quantity)
SELECT %(id)s, %(number)s, line_no, item, quantity
FROM unnest(%(line_nos)s::int[], %(items)s::int[], %(quantities)s::int[]) AS t (line_no, item, quantity);

-- name: read_orders
SELECT o.order_id::text, o.channel_id, c.code, o.external_id, o.status, o.queue, o.placed_at, o.deliver_by,
       o.customer_id::text, o.request, o.currency, o.lines
FROM orders o JOIN channel c USING (channel_id)
WHERE o.order_id = ANY (%(ids)s::uuid[]) ORDER BY o.order_id;

-- name: order_facts
SELECT currency, created_at, actor FROM orders WHERE order_id = %(id)s;

-- name: order_shipments
SELECT s.shipment_no, s.fulfilment_no, s.carrier, s.service, s.tracking, s.shipped_at, s.delivered_at,
       (SELECT jsonb_agg(jsonb_build_object('line_id', l.line_id, 'sku', i.sku, 'quantity', p.quantity)
                         ORDER BY p.line_no, i.sku)
        FROM shipment_line p JOIN order_line l USING (order_id, line_no) JOIN item i ON i.item_id = p.item_id
        WHERE p.order_id = s.order_id AND p.shipment_no = s.shipment_no)
FROM shipment s WHERE s.order_id = %(id)s ORDER BY s.shipment_no;

-- name: order_returns
SELECT r.return_no, n.code, r.disposition, r.returned_at,
       (SELECT jsonb_agg(jsonb_build_object('line_id', l.line_id, 'sku', i.sku, 'quantity', p.quantity)
                         ORDER BY p.line_no, i.sku)
        FROM order_return_line p JOIN order_line l USING (order_id, line_no) JOIN item i ON i.item_id = p.item_id
        WHERE p.order_id = r.order_id AND p.return_no = r.return_no)
FROM order_return r JOIN node n USING (node_id) WHERE r.order_id = %(id)s ORDER BY r.return_no;

-- name: order_plans
SELECT plan_no, at, policy, decision::json ->> 'because',
       CASE WHEN decision IS NULL THEN confidence ELSE (decision::json #>> '{promise,confidence}')::float8 END
FROM plan WHERE order_id = %(id)s ORDER BY plan_no;

-- name: first_plans
-- A sheet is read once, however many of its orders are asked for.
SELECT one.order_id::text, one.decision, s.confidence, o.lines
FROM (SELECT DISTINCT created_at FROM orders WHERE order_id = ANY (%(ids)s::uuid[])) AS placed
JOIN plan_sheet s ON s.at = placed.created_at
CROSS JOIN LATERAL unnest(s.orders, s.decisions) AS one (order_id, decision)
JOIN orders o ON o.order_id = one.order_id
WHERE one.order_id = ANY (%(ids)s::uuid[]);

-- name: first_fulfilments
-- As they were planned: what is left out here is all of them that may change.
SELECT f.order_id::text, f.fulfilment_no, n.code, f.carrier, f.service, f.cost, f.cost_minor, f.co2_g, f.ship_by,
       f.deliver_by, f.pieces
FROM fulfilment f JOIN node n USING (node_id)
WHERE f.order_id = ANY (%(ids)s::uuid[]) AND f.plan_no = 1
ORDER BY f.order_id, f.fulfilment_no;

-- name: timeline
-- Everything that was told about an order, its fulfilments and its returns, in order. Of its beginning tells a row that
-- it may share with others of that moment.
SELECT e.kind, u.subject, e.at, e.actor, e.reason, u.data
FROM event e, unfold_v1(e) u
WHERE (e.subject = ANY (%(subjects)s::text[])
       OR (e.orders IS NOT NULL AND e.at = (SELECT created_at FROM orders WHERE order_id = %(id)s)))
  AND u.subject = ANY (%(subjects)s::text[])
ORDER BY e.xid, e.pos, u.pos;

-- name: list_orders
-- Newest first; order ids are ordered by time. sku matches what was ordered and the components of bundles.
-- No index serves sku, node, status and q: each would cost every new order. What is rare is looked for among all
-- orders (of 200,000: a sku 0.3 s, a node 0.2 s, the others 0.03 s; a tenth of it where `from` or `to` leaves few), so
-- the caller sets a limit of time. OFFSET 0 keeps to one order after the other: a page of what is common ends soon,
-- a plan that gathers all lines of the sku first would not.
SELECT o.order_id::text, c.code AS channel, o.external_id, o.status, o.queue, o.currency, o.placed_at, o.created_at,
       o.deliver_by, o.customer_id::text, l.lines, l.units, l.total_minor
FROM orders o
JOIN channel c USING (channel_id)
CROSS JOIN LATERAL (
    SELECT count(*)::int AS lines, sum(quantity)::int AS units, sum(quantity::numeric * price_minor) AS total_minor
    FROM order_line WHERE order_id = o.order_id
) l
WHERE (%(after)s::uuid IS NULL OR o.order_id < %(after)s)
  AND (%(status)s::text IS NULL OR o.status = %(status)s)
  AND (%(queue)s::text IS NULL OR o.queue = %(queue)s)
  AND (%(channel)s::text IS NULL OR c.code = %(channel)s)
  AND (%(from)s::timestamptz IS NULL OR o.placed_at >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR o.placed_at < %(to)s)
  AND (%(customer)s::uuid IS NULL OR o.customer_id = %(customer)s)
  AND (%(q)s::text IS NULL OR o.external_id ILIKE %(pattern)s OR o.order_id::text LIKE %(pattern)s)
  AND (%(sku)s::text IS NULL OR EXISTS (
        SELECT FROM order_line x WHERE x.order_id = o.order_id
          AND (x.item_id = (SELECT item_id FROM item WHERE sku = %(sku)s)
               OR x.components ? (SELECT item_id::text FROM item WHERE sku = %(sku)s))
        OFFSET 0))
  AND (%(node)s::text IS NULL OR EXISTS (
        SELECT FROM fulfilment f WHERE f.order_id = o.order_id
          AND f.node_id = (SELECT node_id FROM node WHERE code = %(node)s)
          AND f.status NOT IN ('cancelled', 'rejected')
        OFFSET 0))
ORDER BY o.order_id DESC
LIMIT %(limit)s;

-- name: find_customers
SELECT customer_id::text, email, name, phone, address, created_at, erased_at
FROM customer WHERE lower(email) = lower(%(email)s);

-- name: get_customer
SELECT customer_id::text, email, name, phone, address, created_at, erased_at
FROM customer WHERE customer_id = %(id)s;

-- name: lock_customer
SELECT erased_at FROM customer WHERE customer_id = %(id)s FOR UPDATE;

-- name: erase_customer
UPDATE customer SET email = NULL, name = NULL, phone = NULL, address = NULL, erased_at = now()
WHERE customer_id = %(id)s RETURNING erased_at;

-- name: orders_of_customer
SELECT order_id::text FROM orders WHERE customer_id = %(id)s ORDER BY order_id;

-- name: update_requests
UPDATE orders o SET request = t.request
FROM unnest(%(ids)s::uuid[], %(requests)s::text[]) AS t (order_id, request)
WHERE o.order_id = t.order_id;

-- name: queue_depths
-- From the index orders_queue_due alone. The oldest id is of the oldest order: ids are ordered by time.
SELECT queue, count(*)::int AS orders, min(placed_at) AS oldest_at,
       (count(*) FILTER (WHERE deliver_by < %(now)s))::int AS broken,
       (count(*) FILTER (WHERE deliver_by IS NULL AND placed_at < %(waited)s))::int AS overstayed,
       min(deliver_by) FILTER (WHERE deliver_by >= %(now)s) AS next_due_at
FROM orders WHERE queue IS NOT NULL
GROUP BY queue;

-- name: work_in_hand
-- What nodes are to ship, from the index fulfilment_work alone.
SELECT count(*)::int AS fulfilments, (count(*) FILTER (WHERE ship_by < %(now)s))::int AS past_due,
       min(ship_by) AS oldest_at
FROM fulfilment WHERE status IN ('allocated', 'accepted', 'packed', 'partly_shipped');

-- name: orders_between
-- Orders that came between each two neighbours of these ids; from the key alone, for ids are ordered by time.
SELECT (SELECT count(*) FROM orders WHERE order_id >= b.low::uuid AND order_id < b.high::uuid)::int
FROM unnest(%(lows)s::uuid[], %(highs)s::uuid[]) WITH ORDINALITY AS b (low, high, n)
ORDER BY b.n;

-- name: flows
-- Of the newest orders only, so that a busy hour costs no more than a quiet one. Where an order goes without a place of
-- its own has latitude and longitude NULL.
WITH newest AS (
    SELECT order_id, request::json -> 'destination' AS goes FROM orders
    WHERE order_id >= %(since)s::uuid ORDER BY order_id DESC LIMIT %(orders)s
), going AS (
    SELECT order_id, upper(goes ->> 'country') AS country, goes ->> 'region' AS region,
           (goes ->> 'latitude')::float8 AS latitude, (goes ->> 'longitude')::float8 AS longitude
    FROM newest
)
SELECT n.code AS node, g.country, g.region, count(DISTINCT g.order_id)::int AS orders, sum(f.units)::int AS units,
       avg(g.latitude) AS latitude, avg(g.longitude) AS longitude
FROM going g
JOIN fulfilment f ON f.order_id = g.order_id AND f.order_id >= %(since)s::uuid
JOIN node n USING (node_id)
WHERE f.status NOT IN ('cancelled', 'rejected')
GROUP BY n.code, g.country, g.region
ORDER BY orders DESC, n.code, g.country, g.region
LIMIT %(limit)s;

-- name: oldest_of_newest
-- Where the newest orders begin, if there are more of them than are looked at.
SELECT o.order_id::text FROM orders o
WHERE o.order_id >= %(since)s::uuid ORDER BY o.order_id DESC OFFSET %(orders)s - 1 LIMIT 1;
