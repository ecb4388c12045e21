-- A period as it can be replayed. Orders are of the moment they were placed, and so is what was booked with them in one
-- transaction (the clock of the database is the same throughout); other entries are of the moment they occurred at. So a
-- history that was imported later is read as well as one that was recorded while it happened.

-- name: orders
-- Cancelled orders are left out with everything they did to stock.
SELECT o.order_id::text, o.channel_id, c.code, o.external_id, o.status, o.queue, o.placed_at, o.customer_id::text,
       o.request, o.currency, o.lines, u.email
FROM orders o
JOIN channel c USING (channel_id)
LEFT JOIN customer u USING (customer_id)
WHERE o.placed_at >= %(begins)s AND o.placed_at < %(ends)s AND o.status <> 'cancelled'
ORDER BY o.placed_at, o.order_id
LIMIT %(limit)s;

-- name: orders_before
-- A sample of the orders of the weeks before: every n-th, and n. Nobody knew then which of them would be cancelled.
SELECT o.order_id::text, o.channel_id, c.code, o.external_id, o.status, o.queue, o.placed_at, o.customer_id::text,
       o.request, o.currency, o.lines, u.email, s.every
FROM (
    SELECT order_id, row_number() OVER (ORDER BY placed_at, order_id) AS n,
           greatest(1, count(*) OVER () / %(sample)s) AS every
    FROM orders WHERE placed_at >= %(since)s AND placed_at < %(begins)s
) AS s
JOIN orders o USING (order_id)
JOIN channel c USING (channel_id)
LEFT JOIN customer u USING (customer_id)
WHERE s.n %% s.every = 0
ORDER BY o.placed_at, o.order_id;

-- name: positions
-- What was available when the period began: what is now, less all that has happened since.
SELECT array_agg(p.item_id), array_agg(p.node_id),
       array_agg((p.on_hand - p.unavailable - p.allocated - coalesce(since.units, 0))::int),
       array_agg(coalesce(p.safety_stock, n.safety_stock_default))
FROM stock_position p
JOIN node n USING (node_id)
LEFT JOIN (
    SELECT e.item_id, e.node_id, sum(e.d_on_hand - e.d_unavailable - e.d_allocated) AS units
    FROM ledger_entry e LEFT JOIN orders o ON o.order_id = e.ref
    WHERE e.item_id = ANY (%(items)s::int[])
      AND (o.placed_at >= %(begins)s OR (e.occurred_at >= %(begins)s AND e.occurred_at IS DISTINCT FROM o.created_at))
    GROUP BY e.item_id, e.node_id
) since USING (item_id, node_id)
WHERE p.item_id = ANY (%(items)s::int[]);

-- name: moves
-- What happened in the period otherwise than by its orders. Goods that come back from these are counted: the customer
-- would have sent them back under any policy.
SELECT array_agg(extract(epoch FROM e.occurred_at)::float8 ORDER BY e.occurred_at, e.entry_id),
       array_agg(e.item_id ORDER BY e.occurred_at, e.entry_id),
       array_agg(e.node_id ORDER BY e.occurred_at, e.entry_id),
       array_agg((e.d_on_hand - e.d_unavailable - e.d_allocated) ORDER BY e.occurred_at, e.entry_id),
       array_agg((e.d_on_hand > 0 AND i.inbound_id IS NOT NULL)::int ORDER BY e.occurred_at, e.entry_id)
FROM ledger_entry e
LEFT JOIN orders o ON o.order_id = e.ref
LEFT JOIN inbound i ON i.reference = e.reference AND i.node_id = e.node_id
WHERE e.item_id = ANY (%(items)s::int[])
  AND e.occurred_at >= %(begins)s AND e.occurred_at < %(ends)s AND e.occurred_at IS DISTINCT FROM o.created_at
  AND (o.order_id IS NULL OR o.placed_at < %(begins)s OR e.kind = 'return')
  AND e.d_on_hand - e.d_unavailable - e.d_allocated <> 0;

-- name: inbound
-- Units that were on their way when the period began, or were announced in it, less those that orders from before wait
-- for.
SELECT extract(epoch FROM i.created_at)::float8, extract(epoch FROM l.expected_at)::float8, l.item_id, l.node_id,
       l.quantity - l.received
       + coalesce((SELECT sum(e.d_on_hand) FROM ledger_entry e
                   WHERE e.item_id = l.item_id AND e.node_id = l.node_id AND e.reference = i.reference
                     AND e.occurred_at >= %(begins)s), 0)
       - coalesce((SELECT sum(q.quantity) FROM queue_line q JOIN orders o USING (order_id)
                   WHERE q.inbound_id = l.inbound_id AND q.inbound_line = l.line_no AND o.placed_at < %(begins)s), 0)
FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE l.item_id = ANY (%(items)s::int[]) AND i.created_at < %(ends)s
ORDER BY l.item_id, l.expected_at, l.inbound_id, l.line_no;

-- name: capacity
-- What orders from before the period have promised of its days.
SELECT f.node_id, f.ship_day - DATE '1970-01-01', count(*), sum(f.lines), sum(f.units)
FROM fulfilment f JOIN orders o USING (order_id)
WHERE f.ship_day >= %(begins)s::date - 2 AND o.placed_at < %(begins)s AND f.status NOT IN ('cancelled', 'rejected')
GROUP BY f.node_id, f.ship_day;

-- name: parcels
-- The same of what carriers take, as far as it is limited now.
SELECT f.carrier, f.service, l.lane, CASE l.lane WHEN '' THEN f.node_id ELSE 0 END AS node_id,
       f.ship_day - DATE '1970-01-01' AS day, sum(f.parcels)::bigint
FROM fulfilment f
JOIN orders o USING (order_id)
JOIN parcel_limit l ON l.carrier = f.carrier AND l.service = f.service AND l.lane IN ('', f.lane)
WHERE f.ship_day >= %(begins)s::date - 2 AND o.placed_at < %(begins)s AND f.status NOT IN ('cancelled', 'rejected')
GROUP BY 1, 2, 3, 4, 5;

-- name: rejections
-- Lines that nodes were given in the period, and those of them that they rejected.
SELECT f.node_id, sum(greatest(f.lines, 1)), sum(greatest(f.lines, 1)) FILTER (WHERE f.status = 'rejected')
FROM fulfilment f JOIN orders o USING (order_id)
WHERE o.placed_at >= %(begins)s AND o.placed_at < %(ends)s AND f.status <> 'cancelled'
GROUP BY f.node_id;
