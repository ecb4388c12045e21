-- Statements that cross capabilities: only a flow may, inside its one transaction.

-- name: find_orders
-- Answers given before, by (channel, external id) and by idempotency key, in one look.
SELECT k.n, o.body_hash, p.decision, i.body_hash, kp.decision
FROM unnest(%s::int[], %s::text[], %s::int[], %s::text[]) WITH ORDINALITY AS k (channel_id, external_id, actor, key, n)
LEFT JOIN orders o ON o.channel_id = k.channel_id AND o.external_id = k.external_id
LEFT JOIN plan p ON p.order_id = o.order_id AND p.plan_no = 1
LEFT JOIN idempotency i ON i.key = k.key AND i.actor = k.actor AND i.route = '/v1/orders'
LEFT JOIN plan kp ON kp.order_id = i.answer::uuid AND kp.plan_no = 1
WHERE o.order_id IS NOT NULL OR i.key IS NOT NULL

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
  AND (kind IN ('item.changed', 'network.changed') OR (kind = 'stock.changed' AND origin <> %s))
ORDER BY xid, pos
