-- name: affected_orders
-- Ids only: they are locked and looked at again before anything is done. Work in hand of a node is found by the index
-- fulfilment_work, parcels under way by fulfilment_under_way, what waits for an item by queue_line_item.
WITH lane AS (
    SELECT n.node_id, l.carrier, l.place
    FROM unnest(%(lane_nodes)s::text[], %(lane_carriers)s::text[], %(lane_places)s::text[]) AS l (node, carrier, place)
    JOIN node n ON n.code = l.node
), wanted AS (
    SELECT i.item_id, n.node_id, c.channel_id
    FROM unnest(%(skus)s::text[], %(sku_nodes)s::text[], %(sku_channels)s::text[]) AS t (sku, node, channel)
    JOIN item i USING (sku) LEFT JOIN node n ON n.code = t.node LEFT JOIN channel c ON c.code = t.channel
    WHERE (t.node = '' OR n.node_id IS NOT NULL) AND (t.channel = '' OR c.channel_id IS NOT NULL)
), at_node AS (
    SELECT f.order_id, f.node_id, f.carrier, f.pieces FROM fulfilment f
    WHERE f.node_id IN (
        SELECT node_id FROM lane UNION SELECT node_id FROM node WHERE code = ANY (%(nodes)s::text[])
        UNION SELECT node_id FROM wanted WHERE node_id IS NOT NULL
        UNION SELECT node_id FROM node WHERE %(carriers)s::text[] <> '{}' OR EXISTS (SELECT FROM wanted WHERE node_id IS NULL))
      AND (f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped') OR f.status = 'shipped')
      AND f.status = ANY (%(statuses)s::text[])
), found AS (
    SELECT f.order_id FROM at_node f JOIN lane l USING (node_id) JOIN orders o USING (order_id)
    WHERE f.carrier = l.carrier
      AND l.place IN (o.request::json #>> '{destination,country}', o.request::json #>> '{destination,region}')
    UNION
    SELECT order_id FROM at_node WHERE carrier = ANY (%(carriers)s::text[])
    UNION
    SELECT order_id FROM at_node WHERE node_id IN (SELECT node_id FROM node WHERE code = ANY (%(nodes)s::text[]))
    UNION
    SELECT f.order_id FROM at_node f JOIN orders o USING (order_id), json_array_elements(f.pieces::json) p, wanted w
    WHERE (p ->> 1)::int = w.item_id AND (w.node_id IS NULL OR w.node_id = f.node_id)
      AND (w.channel_id IS NULL OR w.channel_id = o.channel_id)
      AND (p ->> 2)::int > coalesce((p ->> 3)::int, 0)
    UNION
    SELECT q.order_id FROM queue_line q JOIN wanted w USING (item_id) WHERE %(waiting)s AND w.node_id IS NULL AND w.channel_id IS NULL
    UNION
    SELECT q.order_id FROM queue_line q JOIN inbound i USING (inbound_id)
    WHERE %(waiting)s AND i.reference = ANY (%(references)s::text[])
    UNION
    SELECT order_id FROM orders WHERE order_id = ANY (%(ids)s::uuid[]) AND status NOT IN ('cancelled', 'delivered')
    UNION
    SELECT order_id FROM orders WHERE external_id = ANY (%(numbers)s::text[]) AND status NOT IN ('cancelled', 'delivered')
)
SELECT order_id::text FROM found WHERE order_id > %(after)s::uuid ORDER BY order_id LIMIT %(limit)s;

-- name: listings
SELECT c.code, i.sku FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
WHERE (c.code, i.sku) IN (SELECT * FROM unnest(%(channels)s::text[], %(skus)s::text[]))
   OR i.sku = ANY (%(all_of)s::text[])
ORDER BY c.code, i.sku;

-- name: customer
SELECT 1 FROM customer WHERE customer_id = %(customer_id)s FOR UPDATE;

-- name: opt_out
INSERT INTO message_opt_out (customer_id) VALUES (%(customer_id)s) ON CONFLICT DO NOTHING;

-- name: opt_in
DELETE FROM message_opt_out WHERE customer_id = %(customer_id)s;

-- name: give_up_sending
-- A worker died while it sent these: nobody knows whether they left, so they are not sent again.
UPDATE customer_message SET status = 'unknown', why = 'its worker ended while it was being sent', lease_until = NULL
WHERE status = 'sending' AND lease_until < clock_timestamp();

-- name: next_message
-- One that a person had written belongs to no run and costs nothing. What somebody else was told of is theirs to send.
SELECT m.message_id, m.key, m.order_id::text, m.promise_no, m.template, m.failures, r.run_id::text, i.status AS incident,
    coalesce(i.kind, '') AS kind, coalesce(i.currency, '') AS currency
FROM customer_message m LEFT JOIN run r USING (run_id) LEFT JOIN incident i ON i.incident_id = r.subject
WHERE m.status = 'due' AND m.due_at <= %(now)s AND m.told_at IS NULL
ORDER BY m.due_at, m.message_id LIMIT 1 FOR UPDATE OF m SKIP LOCKED;

-- name: message
SELECT m.message_id, m.key, m.order_id::text, m.promise_no, m.template, m.status, m.why, r.run_id::text,
    i.status AS incident, coalesce(i.kind, '') AS kind, coalesce(i.currency, '') AS currency
FROM customer_message m LEFT JOIN run r USING (run_id) LEFT JOIN incident i ON i.incident_id = r.subject
WHERE m.message_id = %(message_id)s FOR UPDATE OF m;

-- name: told
UPDATE customer_message SET told_at = %(now)s, why = NULL WHERE message_id = %(message_id)s;

-- name: taken
UPDATE customer_message SET status = 'sent', sent_at = %(now)s, why = NULL WHERE message_id = %(message_id)s;

-- name: nobody_sends
-- Once each, so that it is said once.
UPDATE customer_message SET why = %(why)s
WHERE status = 'due' AND due_at <= %(now)s AND told_at IS NULL AND why IS DISTINCT FROM %(why)s;

-- name: facts_of_message
-- What it says, as it is now. told: the day that the customer expects, of a message that has left or else what the order
-- was promised first; a promise in between that nobody told is nothing to them.
SELECT o.external_id, ch.code AS channel, o.status, o.placed_at, o.deliver_by, o.request, c.email, c.name,
       x.customer_id IS NOT NULL AS is_unwanted, pay.status AS payment, p.deliver_by AS promised, p.withdrawn_at,
       CASE WHEN heard.promise_no IS NOT NULL THEN heard.deliver_by
            WHEN first.promise_no IS NOT NULL THEN first.was ELSE o.deliver_by END AS told,
       (SELECT string_agg((l.quantity - l.cancelled) || ' x ' || it.sku, ', ' ORDER BY l.line_no)
        FROM order_line l JOIN item it USING (item_id)
        WHERE l.order_id = o.order_id AND l.quantity > l.cancelled) AS items
FROM orders o JOIN channel ch USING (channel_id)
LEFT JOIN customer c ON c.customer_id = o.customer_id AND c.erased_at IS NULL
LEFT JOIN message_opt_out x ON x.customer_id = c.customer_id
LEFT JOIN payment pay ON pay.order_id = o.order_id
LEFT JOIN new_promise p ON p.order_id = o.order_id AND p.promise_no = %(promise_no)s
LEFT JOIN LATERAL (
    SELECT q.promise_no, q.deliver_by FROM customer_message m JOIN new_promise q USING (order_id, promise_no)
    WHERE m.order_id = o.order_id AND m.status IN ('sending', 'sent', 'unknown') ORDER BY q.promise_no DESC LIMIT 1
) AS heard ON true
LEFT JOIN LATERAL (
    SELECT promise_no, was FROM new_promise WHERE order_id = o.order_id ORDER BY promise_no LIMIT 1
) AS first ON true
WHERE o.order_id = %(order_id)s
FOR UPDATE OF o;

-- name: put_off
UPDATE customer_message SET due_at = %(due_at)s, told_at = NULL WHERE message_id = %(message_id)s;

-- name: drop_message
UPDATE customer_message SET status = 'dropped', why = %(why)s WHERE message_id = %(message_id)s;

-- name: sending
UPDATE customer_message SET status = 'sending', lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE message_id = %(message_id)s;

-- name: sent
UPDATE customer_message SET status = 'sent', sent_at = %(now)s, lease_until = NULL, why = NULL
WHERE message_id = %(message_id)s AND status = 'sending';

-- name: not_sent
-- The server said no before it took the message.
UPDATE customer_message SET status = %(status)s, failures = failures + 1, due_at = %(due_at)s, why = %(why)s,
    lease_until = NULL
WHERE message_id = %(message_id)s AND status = 'sending';

-- name: is_unknown
UPDATE customer_message SET status = 'unknown', why = %(why)s, lease_until = NULL
WHERE message_id = %(message_id)s AND status = 'sending';

-- name: promise
-- The rows of the orders are locked. What was promised anew before is withdrawn: the latest holds.
WITH new AS (
    SELECT t.order_id, t.was, t.deliver_by,
           1 + coalesce((SELECT max(promise_no) FROM new_promise p WHERE p.order_id = t.order_id), 0) AS promise_no
    FROM unnest(%(ids)s::uuid[], %(was)s::timestamptz[], %(deliver_by)s::timestamptz[]) AS t (order_id, was, deliver_by)
), older AS (
    UPDATE new_promise p SET withdrawn_at = %(now)s
    FROM new WHERE p.order_id = new.order_id AND p.withdrawn_at IS NULL
)
INSERT INTO new_promise (order_id, promise_no, run_id, deliver_by, was, at)
SELECT order_id, promise_no, %(run_id)s, deliver_by, was, %(now)s FROM new
RETURNING order_id::text, promise_no;

-- name: write_messages
-- Once for the same words about the same order and day, whatever run says them; what was not sent yet of a promise that
-- was withdrawn tells of the new one. Who has no address, was erased or does not want them gets none.
INSERT INTO customer_message (key, run_id, step_no, order_id, promise_no, template, due_at)
SELECT %(words)s || '/' || t.order_id || '/'
       || coalesce(to_char(p.deliver_by AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), ''),
    %(run_id)s, %(step_no)s, t.order_id, t.promise_no, %(template)s::jsonb, %(now)s
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[]) AS t (order_id, promise_no)
LEFT JOIN new_promise p USING (order_id, promise_no)
JOIN orders o USING (order_id)
JOIN customer c USING (customer_id)
WHERE c.email IS NOT NULL AND c.erased_at IS NULL
  AND NOT EXISTS (SELECT FROM message_opt_out x WHERE x.customer_id = c.customer_id)
ORDER BY t.order_id
ON CONFLICT (key) WHERE status <> 'dropped' DO UPDATE
SET promise_no = excluded.promise_no, run_id = excluded.run_id, step_no = excluded.step_no
WHERE customer_message.status = 'due' AND customer_message.promise_no <> excluded.promise_no
RETURNING message_id;

-- name: withdrawn_promises
SELECT deliver_by FROM new_promise WHERE order_id = %(order_id)s AND withdrawn_at IS NOT NULL;

-- name: foretold
-- When parcels under way are there with 95 %, as foretold last; NULL: nothing is foretold.
SELECT s.fulfilment_no, max(s.shipped_at + make_interval(secs => 86400 * f.days[7]))
FROM shipment s LEFT JOIN LATERAL (
    SELECT days FROM delivery_forecast f
    WHERE f.order_id = s.order_id AND f.shipment_no = s.shipment_no ORDER BY forecast_no DESC LIMIT 1
) AS f ON true
WHERE s.order_id = %(order_id)s AND s.delivered_at IS NULL
GROUP BY s.fulfilment_no;
