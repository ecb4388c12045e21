-- name: worth_of_positions
-- What a unit earns (all it is sold for where nobody said what it costs), and how many are free at other nodes.
SELECT i.item_id, k.node_id, coalesce(greatest(i.price_minor - coalesce(i.unit_cost_minor, 0), 0), 0)::float8,
       (SELECT coalesce(sum(greatest(p.on_hand - p.unavailable - p.allocated, 0)), 0)::int FROM stock_position p
        WHERE p.item_id = k.item_id AND p.node_id <> k.node_id)
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS k (item_id, node_id) JOIN item i USING (item_id);

-- name: trade_of_positions
-- What a unit earns, what is free at other nodes, and what was served from there a day: allocated, or sold over the
-- counter.
SELECT i.sku, n.code,
       coalesce(greatest(i.price_minor - i.unit_cost_minor, 0), i.price_minor * %(rate)s, 0)::float8,
       (SELECT coalesce(sum(greatest(p.on_hand - p.unavailable - p.allocated, 0)), 0)::int FROM stock_position p
        WHERE p.item_id = i.item_id AND p.node_id <> n.node_id),
       (SELECT coalesce(sum(e.quantity), 0)::float8 / %(days)s FROM ledger_entry e
        WHERE e.item_id = i.item_id AND e.node_id = n.node_id AND e.recorded_at > %(since)s
          AND (e.kind = 'allocate' OR e.kind = 'adjustment' AND e.reason = 'sale' AND e.d_on_hand < 0))
FROM unnest(%(skus)s::text[], %(nodes)s::text[]) AS k (sku, node) JOIN item i USING (sku) JOIN node n ON n.code = k.node;

-- name: unavailable_since
-- Units that became unavailable at positions since a run first set some aside there, or available again, by others. What
-- a count finds missing is left out: it says nothing of whose they are.
SELECT k.sku, k.node, coalesce(sum(e.d_unavailable), 0)::int
FROM unnest(%(skus)s::text[], %(nodes)s::text[]) AS k (sku, node) JOIN item i USING (sku) JOIN node n ON n.code = k.node
JOIN LATERAL (
    SELECT min(version) AS first FROM ledger_entry
    WHERE item_id = i.item_id AND node_id = n.node_id AND reference = %(reference)s AND reason = %(reason)s
) AS ours ON true
JOIN ledger_entry e ON e.item_id = i.item_id AND e.node_id = n.node_id AND e.version > ours.first
WHERE e.kind <> 'count' AND e.reference IS DISTINCT FROM %(reference)s
GROUP BY k.sku, k.node;

-- name: promised_for_incident
-- As far as nothing else has changed what is promised since: then it is a promise like any other.
SELECT p.order_id::text, (
    SELECT f.was FROM new_promise f JOIN run r USING (run_id)
    WHERE f.order_id = p.order_id AND r.subject = %(incident_id)s::uuid ORDER BY f.promise_no LIMIT 1)
FROM new_promise p JOIN run r USING (run_id) JOIN orders o USING (order_id)
WHERE p.order_id = ANY (%(ids)s::uuid[]) AND r.subject = %(incident_id)s::uuid AND p.withdrawn_at IS NULL
  AND p.deliver_by = o.deliver_by;

-- name: withdraw
UPDATE new_promise p SET withdrawn_at = %(now)s
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[]) AS t (order_id, promise_no)
WHERE (p.order_id, p.promise_no) = (t.order_id, t.promise_no) AND p.withdrawn_at IS NULL;

-- name: stand_again
-- What these took the place of is promised again.
UPDATE new_promise p SET withdrawn_at = NULL
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[]) AS t (order_id, promise_no)
JOIN new_promise mine USING (order_id, promise_no) JOIN orders o USING (order_id)
WHERE p.order_id = t.order_id AND p.promise_no < t.promise_no AND p.withdrawn_at = mine.at
  AND p.deliver_by = o.deliver_by;

-- name: drop_messages
WITH dropped AS (
    UPDATE customer_message SET status = 'dropped', why = 'taken back'
    WHERE message_id = ANY (%(ids)s) AND status = 'due' RETURNING message_id
)
SELECT (SELECT count(*) FROM dropped), (
    SELECT count(*) FROM customer_message WHERE message_id = ANY (%(ids)s) AND status IN ('sending', 'sent', 'unknown'));

-- name: unit_costs
SELECT item_id, coalesce(unit_cost_minor, 0) FROM item WHERE item_id = ANY (%(items)s);

-- name: of_channels
-- Orders that a channel still speaks of: it says what is in them.
SELECT order_id::text FROM channel_order WHERE order_id = ANY (%(ids)s::uuid[]);

-- name: substitutes
-- The other item of each, as its attribute names it; bundles neither take part nor take a place.
SELECT i.item_id, o.item_id, o.sku, coalesce(o.unit_cost_minor, 0) - coalesce(i.unit_cost_minor, 0)
FROM item i JOIN item o ON o.sku = i.attributes ->> %(attribute)s
WHERE i.sku = ANY (%(skus)s::text[]) AND i.item_id <> o.item_id
  AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id IN (i.item_id, o.item_id));

-- name: free_units
SELECT p.item_id, sum(greatest(p.on_hand - p.unavailable - p.allocated, 0))
FROM stock_position p WHERE p.item_id = ANY (%(items)s) GROUP BY p.item_id;

-- name: ask_counts
INSERT INTO count_request (item_id, node_id, run_id, at)
SELECT i.item_id, n.node_id, %(run_id)s, %(now)s
FROM unnest(%(skus)s::text[], %(nodes)s::text[]) AS t (sku, node)
JOIN item i ON i.sku = t.sku JOIN node n ON n.code = t.node
ORDER BY i.item_id, n.node_id
ON CONFLICT DO NOTHING
RETURNING (SELECT sku FROM item i WHERE i.item_id = count_request.item_id),
          (SELECT code FROM node n WHERE n.node_id = count_request.node_id);

-- name: withdraw_counts
DELETE FROM count_request c USING item i, node n
WHERE i.item_id = c.item_id AND n.node_id = c.node_id AND c.run_id = %(run_id)s
  AND (i.sku, n.code) IN (SELECT * FROM unnest(%(skus)s::text[], %(nodes)s::text[]))
RETURNING i.sku, n.code;

-- name: sources
-- Nodes with an open lane to this one and units of the item beyond their safety stock, the most first.
SELECT l.from_node_id, n.code, l.days, l.unit_cost_minor, l.units_per_day,
       p.on_hand - p.unavailable - p.allocated - coalesce(p.safety_stock, n.safety_stock_default) AS free
FROM lane l JOIN node n ON n.node_id = l.from_node_id JOIN stock_position p ON p.node_id = l.from_node_id
WHERE l.to_node_id = %(node_id)s AND l.active AND n.active AND p.item_id = %(item_id)s
  AND p.on_hand - p.unavailable - p.allocated > coalesce(p.safety_stock, n.safety_stock_default)
ORDER BY free DESC, l.from_node_id;

-- name: take_back_inbound
-- Only while nothing of it has come and nobody was promised any of it.
WITH open AS (
    SELECT i.inbound_id FROM inbound i
    WHERE i.reference = %(reference)s AND i.closed_at IS NULL
      AND NOT EXISTS (SELECT FROM inbound_line l WHERE l.inbound_id = i.inbound_id AND (l.received > 0 OR l.promised > 0))
    FOR UPDATE
), lines AS (
    DELETE FROM inbound_line l USING open WHERE l.inbound_id = open.inbound_id RETURNING l.inbound_id
)
SELECT DISTINCT inbound_id::text FROM lines;

-- name: drop_inbound
DELETE FROM inbound WHERE inbound_id = %(inbound_id)s;

-- name: inbound_lines
SELECT i.reference, coalesce(i.supplier, ''), l.item_id, i.node_id
FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE i.reference = ANY (%(references)s::text[]) AND i.closed_at IS NULL AND l.received < l.quantity
ORDER BY i.reference, l.item_id;
