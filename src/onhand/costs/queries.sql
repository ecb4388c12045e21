-- name: booked
-- What is booked of some orders by what they tell themselves, and how often.
SELECT order_id::text, source, kind, term, item_id, cause, sum(minor)::bigint, max(turn)
FROM cost_entry WHERE order_id = ANY (%(orders)s::uuid[]) AND derived
GROUP BY 1, 2, 3, 4, 5, 6;

-- name: booked_by_sources
SELECT order_id::text, source, kind, term, item_id, cause, sum(minor)::bigint, max(turn)
FROM cost_entry
WHERE NOT derived AND (order_id IS NULL OR order_id = ANY (%(orders)s::uuid[])) AND source = ANY (%(sources)s)
GROUP BY 1, 2, 3, 4, 5, 6;

-- name: add_entries
INSERT INTO cost_entry (order_id, source, derived, kind, term, item_id, cause, turn, minor, currency, fulfilment_no,
    shipment_no, node_id, carrier, channel_id, at)
SELECT order_id, source, %(derived)s, kind, term, item_id, cause, turn, minor, currency, fulfilment_no, shipment_no,
    node_id, carrier, channel_id, at
FROM unnest(%(orders)s::uuid[], %(sources)s::text[], %(kinds)s::text[], %(terms)s::text[], %(items)s::int[],
        %(causes)s::text[], %(turns)s::int[], %(minors)s::bigint[], %(currencies)s::text[], %(fulfilments)s::smallint[],
        %(shipments)s::smallint[], %(nodes)s::int[], %(carriers)s::text[], %(channels)s::int[],
        %(moments)s::timestamptz[])
    AS c (order_id, source, kind, term, item_id, cause, turn, minor, currency, fulfilment_no, shipment_no, node_id,
        carrier, channel_id, at)
ON CONFLICT DO NOTHING;

-- name: last_entries
-- What an entry that takes back a cost says of its place.
SELECT DISTINCT ON (order_id, source, kind, term, item_id, cause)
    order_id::text, source, kind, term, item_id, cause, currency, fulfilment_no, shipment_no, node_id, carrier,
    channel_id, at
FROM cost_entry WHERE order_id = ANY (%(orders)s::uuid[]) AND derived
ORDER BY order_id, source, kind, term, item_id, cause, turn DESC;

-- name: last_by_sources
SELECT DISTINCT ON (order_id, source, kind, term, item_id, cause)
    order_id::text, source, kind, term, item_id, cause, currency, fulfilment_no, shipment_no, node_id, carrier,
    channel_id, at
FROM cost_entry
WHERE NOT derived AND (order_id IS NULL OR order_id = ANY (%(orders)s::uuid[])) AND source = ANY (%(sources)s)
ORDER BY order_id, source, kind, term, item_id, cause, turn DESC;

-- name: channels_of_orders
SELECT order_id::text, channel_id FROM orders WHERE order_id = ANY (%(orders)s::uuid[]);

-- name: costed_orders
SELECT o.order_id::text, o.channel_id, o.currency, o.placed_at, o.deliver_by, o.lines,
       o.request::json ->> 'hold' IS NOT NULL, o.request::json ->> 'objective'
FROM orders o WHERE o.order_id = ANY (%(orders)s::uuid[]);

-- name: costed_fulfilments
SELECT f.order_id::text, f.fulfilment_no, f.plan_no, f.node_id, f.carrier, f.ship_by, f.deliver_by, f.parcels, f.reason,
       f.cost, f.pieces, p.at, p.policy, f.status
FROM fulfilment f
LEFT JOIN LATERAL (
    SELECT at, policy FROM plan WHERE plan.order_id = f.order_id AND plan.plan_no = f.plan_no LIMIT 1
) p ON true
WHERE f.order_id = ANY (%(orders)s::uuid[])
ORDER BY f.order_id, f.fulfilment_no;

-- name: costed_shipments
SELECT order_id::text, fulfilment_no, shipment_no, carrier, shipped_at, delivered_at
FROM shipment WHERE order_id = ANY (%(orders)s::uuid[]) ORDER BY order_id, shipment_no;

-- name: costed_returns
SELECT r.order_id::text, r.return_no, l.line_no, l.item_id, r.node_id, l.quantity, r.disposition, r.returned_at
FROM order_return r JOIN order_return_line l USING (order_id, return_no)
WHERE r.order_id = ANY (%(orders)s::uuid[]) ORDER BY 1, 2, 3, 4;

-- name: costed_exchanges
-- Of a step that was put back, what was on its way already stays.
SELECT o.order_id, (l ->> 0)::int, l ->> 1, (l ->> 2)::int, i.kind, s.at,
       s.undone_at IS NOT NULL AND NOT coalesce(s.undone -> 'orders_left' ? o.order_id, false)
FROM unnest(%(orders)s::text[]) AS o (order_id)
JOIN run_step s ON s.kind = 'substitute'
    AND s.undo @> jsonb_build_object('orders', jsonb_build_array(jsonb_build_array(o.order_id)))
JOIN run r USING (run_id) JOIN incident i ON i.incident_id = r.subject
CROSS JOIN LATERAL jsonb_array_elements(s.undo -> 'orders') AS x (row)
CROSS JOIN LATERAL jsonb_array_elements(x.row -> 1) AS l
WHERE x.row ->> 0 = o.order_id
ORDER BY 1, s.at, 2;

-- name: costed_charges
SELECT reference, order_id::text, term, minor, currency, at, carrier, fulfilment_no, shipment_no, cause
FROM cost_charge WHERE order_id = ANY (%(orders)s::uuid[]) ORDER BY reference;

-- name: backed
-- Units that a node had when whoever ordered them cancelled (as demand/fold has it).
SELECT f.order_id::text, m.line_id, i.item_id, sum(m.quantity)::int
FROM fulfilment f
JOIN event e ON e.subject = f.order_id::text || '-f' || f.fulfilment_no
CROSS JOIN LATERAL jsonb_to_recordset(e.data -> 'lines') AS m (line_id text, sku text, quantity int)
JOIN item i ON i.sku = m.sku
WHERE f.order_id = ANY (%(orders)s::uuid[])
  AND e.kind LIKE 'fulfilment.%%' AND e.data ->> 'change' = 'cancel' AND (e.actor <> 0 OR e.reason LIKE 'channel %%')
GROUP BY 1, 2, 3;

-- name: ended
-- Units that we cancelled ourselves, and why: nobody paid, or a playbook had it done because of an incident.
SELECT e.subject, c.line_id, CASE WHEN e.reason = 'payment: declined' THEN 'unpaid' ELSE i.kind END, sum(c.quantity)::int
FROM event e
CROSS JOIN LATERAL jsonb_to_recordset(e.data -> 'cancelled') AS c (line_id text, quantity int)
LEFT JOIN incident i ON e.reason LIKE 'playbook %% for incident %%' AND i.incident_id::text = right(e.reason, 36)
WHERE e.subject = ANY (%(orders)s::text[]) AND e.kind LIKE 'order.%%' AND e.data ->> 'change' = 'cancel'
  AND (e.reason = 'payment: declined' OR i.kind IS NOT NULL)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: unit_costs
SELECT item_id, unit_cost_minor, currency FROM item
WHERE item_id = ANY (%(items)s::int[]) AND unit_cost_minor IS NOT NULL AND currency IS NOT NULL;

-- name: policy_documents
SELECT v.name || '@' || v.version, v.document FROM policy_version v
WHERE v.name || '@' || v.version = ANY (%(labels)s);

-- name: shipments_of_tracking
SELECT s.tracking, s.carrier, s.order_id::text, s.fulfilment_no, s.shipment_no, o.currency
FROM shipment s JOIN orders o USING (order_id) WHERE s.tracking = ANY (%(numbers)s)
ORDER BY s.tracking, s.shipped_at DESC, s.order_id;

-- name: currencies_of_orders
SELECT order_id::text, currency FROM orders WHERE order_id = ANY (%(orders)s::uuid[]);

-- name: lock_charges
SELECT reference, order_id::text, term, minor, currency, at, carrier, fulfilment_no, shipment_no, cause
FROM cost_charge WHERE reference = ANY (%(references)s) ORDER BY reference FOR UPDATE;

-- name: write_charges
INSERT INTO cost_charge AS c (reference, order_id, fulfilment_no, shipment_no, term, minor, currency, carrier, cause, at,
    actor)
SELECT *, %(actor)s FROM unnest(%(references)s::text[], %(orders)s::uuid[], %(fulfilments)s::smallint[],
    %(shipments)s::smallint[], %(terms)s::text[], %(minors)s::bigint[], %(currencies)s::text[], %(carriers)s::text[],
    %(causes)s::text[], %(moments)s::timestamptz[])
ON CONFLICT (reference) DO UPDATE
SET order_id = excluded.order_id, fulfilment_no = excluded.fulfilment_no, shipment_no = excluded.shipment_no,
    term = excluded.term, minor = excluded.minor, currency = excluded.currency, carrier = excluded.carrier,
    cause = excluded.cause, at = excluded.at, actor = excluded.actor, recorded_at = now();

-- name: report
-- One row for each key and currency. What has not shipped: promised by fulfilments that nothing has left of.
WITH e AS (
    SELECT c.order_id, c.kind, c.minor, c.currency, c.cause,
           c.kind = 'promised' AND f.status IN ('allocated', 'accepted', 'packed', 'rejected', 'cancelled') AS is_open,
           CASE %(by)s
               WHEN 'channel' THEN h.code WHEN 'node' THEN n.code WHEN 'carrier' THEN c.carrier WHEN 'item' THEN i.sku
               WHEN 'cause' THEN c.cause WHEN 'term' THEN c.term
               ELSE to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
           END AS key
    FROM cost_entry c
    LEFT JOIN fulfilment f USING (order_id, fulfilment_no)
    LEFT JOIN channel h ON h.channel_id = c.channel_id AND %(by)s = 'channel'
    LEFT JOIN node n ON n.node_id = c.node_id AND %(by)s = 'node'
    LEFT JOIN item i ON i.item_id = c.item_id AND %(by)s = 'item'
    WHERE (%(since)s::timestamptz IS NULL OR c.at >= %(since)s::timestamptz)
      AND (%(until)s::timestamptz IS NULL OR c.at < %(until)s::timestamptz)
), summed AS (
    SELECT key, currency, count(DISTINCT order_id) AS orders,
           coalesce(sum(minor) FILTER (WHERE kind = 'promised'), 0)::bigint AS promised_minor,
           coalesce(sum(minor) FILTER (WHERE is_open), 0)::bigint AS not_shipped_minor,
           coalesce(sum(minor) FILTER (WHERE kind = 'actual'), 0)::bigint AS actual_minor,
           coalesce(sum(minor) FILTER (WHERE cause IS NOT NULL), 0)::bigint AS failures_minor
    FROM e GROUP BY key, currency
)
SELECT key, currency, orders, promised_minor, not_shipped_minor, actual_minor,
       actual_minor - (promised_minor - not_shipped_minor) AS difference_minor, failures_minor
FROM summed
WHERE (coalesce(key, '') COLLATE "C", key IS NULL, currency) > (%(key)s, %(is_null)s, %(currency)s)
ORDER BY coalesce(key, '') COLLATE "C", key IS NULL, currency
LIMIT %(limit)s;

-- name: entries_of_order
SELECT c.entry_id, c.at, c.kind, c.term, c.minor, c.currency, c.cause, c.fulfilment_no AS fulfilment,
       c.shipment_no AS shipment, i.sku, n.code AS node, c.carrier, c.source
FROM cost_entry c LEFT JOIN item i USING (item_id) LEFT JOIN node n USING (node_id)
WHERE c.order_id = %(order)s::uuid AND c.entry_id > %(after)s
ORDER BY c.entry_id LIMIT %(limit)s;

-- name: order_totals
SELECT currency, coalesce(sum(minor) FILTER (WHERE kind = 'promised'), 0)::bigint,
       coalesce(sum(minor) FILTER (WHERE kind = 'actual'), 0)::bigint,
       coalesce(sum(minor) FILTER (WHERE cause IS NOT NULL), 0)::bigint
FROM cost_entry WHERE order_id = %(order)s::uuid GROUP BY currency ORDER BY currency;
