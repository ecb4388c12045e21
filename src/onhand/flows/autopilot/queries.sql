-- name: open_proposals
-- Those that gain most first: of two for the same units the better one is done.
SELECT p.proposal_id::text AS proposal_id, p.kind, i.sku, n.code AS node, f.code AS source, p.quantity, p.cost_minor,
       p.currency, p.created_at, p.expected_at, p.effect, p.basis
FROM proposal p
JOIN item i USING (item_id)
JOIN node n ON n.node_id = p.node_id
LEFT JOIN node f ON f.node_id = p.from_node_id
LEFT JOIN autopilot_action a ON a.reference = 'proposal:' || p.proposal_id
WHERE p.status = 'proposed' AND p.expires_at > %(now)s AND p.kind = ANY (%(kinds)s) AND a.action_id IS NULL
ORDER BY (p.effect ->> 'money_minor')::bigint DESC, p.proposal_id
LIMIT %(limit)s;

-- name: proposal
SELECT status, item_id, node_id, created_at, expected_at, effect, (basis ->> 'horizon_days')::int AS horizon_days
FROM proposal WHERE proposal_id = %(proposal_id)s;

-- name: out_share
-- Share of a time in which a position had nothing to sell; NULL: it was never heard of.
SELECT sum(CASE WHEN free <= 0 THEN seconds ELSE 0 END) / nullif(sum(seconds), 0)
FROM (
    SELECT extract(epoch FROM least(until, %(until)s) - greatest(at, %(since)s)) AS seconds, free
    FROM (
        SELECT recorded_at AS at, on_hand - unavailable - allocated AS free,
               coalesce(lead(recorded_at) OVER (ORDER BY version), 'infinity') AS until
        FROM ledger_entry
        WHERE item_id = %(item_id)s AND node_id = %(node_id)s AND recorded_at < %(until)s
    ) AS stretches
    WHERE until > %(since)s AND at < %(until)s
) AS told;

-- name: order_outcome
-- What became of an order: its failures in money beside lateness, which is counted by the promise that it is judged by.
SELECT o.status,
       (SELECT max(delivered_at) FROM shipment s WHERE s.order_id = o.order_id) AS delivered_at,
       EXISTS (SELECT FROM shipment s WHERE s.order_id = o.order_id) AS is_shipped,
       o.status NOT IN ('delivered', 'cancelled') AND EXISTS (
           SELECT FROM shipment s JOIN shipment t ON t.carrier IS NOT DISTINCT FROM s.carrier
               AND t.shipped_at BETWEEN s.shipped_at - %(around)s::interval AND s.shipped_at + %(around)s::interval
           WHERE s.order_id = o.order_id AND t.delivered_at IS NOT NULL
       ) AS is_told,
       coalesce((
           SELECT sum(c.minor) FROM cost_entry c
           WHERE c.order_id = o.order_id AND c.kind = 'actual' AND c.cause <> ALL (%(not_ours)s) AND c.term <> 'lateness'
             AND c.at >= %(since)s
       ), 0)::bigint AS failures_minor,
       coalesce((
           SELECT sum(c.minor) FROM cost_entry c
           WHERE c.order_id = o.order_id AND c.kind = 'actual' AND c.cause IS NOT NULL AND c.term = 'lateness'
       ), 0)::bigint AS late_minor,
       coalesce((
           SELECT sum((l.quantity - l.cancelled)
                      * greatest(l.price_minor - coalesce(i.unit_cost_minor, l.price_minor * %(rate)s), 0))
           FROM order_line l JOIN item i USING (item_id) WHERE l.order_id = o.order_id
       ), 0)::float8 AS margin_minor
FROM orders o WHERE o.order_id = %(order_id)s::uuid;

-- name: position_outcome
-- Share of a time in which a position had nothing to sell (NULL: it was never heard of), and how often its node looked
-- for the item in vain.
WITH k AS (
    SELECT i.item_id, n.node_id FROM item i, node n WHERE i.sku = %(sku)s AND n.code = %(node)s
), stretches AS (
    SELECT e.recorded_at AS at, e.on_hand - e.unavailable - e.allocated AS free,
           coalesce(lead(e.recorded_at) OVER (ORDER BY e.version), 'infinity') AS until
    FROM ledger_entry e JOIN k USING (item_id, node_id) WHERE e.recorded_at < %(until)s
), told AS (
    SELECT extract(epoch FROM least(until, %(until)s) - greatest(at, %(since)s)) AS seconds, free
    FROM stretches WHERE until > %(since)s AND at < %(until)s
)
SELECT (SELECT sum(CASE WHEN free <= 0 THEN seconds ELSE 0 END) / nullif(sum(seconds), 0) FROM told),
       (SELECT count(*) FROM ledger_entry e JOIN k USING (item_id, node_id)
        WHERE e.kind = 'damage' AND e.reason = 'not_found'
          AND e.recorded_at >= %(since)s AND e.recorded_at < %(until)s);

-- name: earned
-- Orders of a channel, a listing or an item that were placed in a time. Bundles count as they were ordered.
SELECT coalesce(sum(earned), 0)::float8, coalesce(sum(penalty) FILTER (WHERE is_unserved), 0)::float8
FROM (
    SELECT o.order_id, max(coalesce((c.oversell ->> 'penalty_minor')::bigint, 0)) AS penalty,
           sum((l.quantity - l.cancelled)
               * greatest(l.price_minor - coalesce(i.unit_cost_minor, l.price_minor * %(rate)s), 0)) AS earned,
           EXISTS (SELECT FROM cost_entry e WHERE e.order_id = o.order_id AND e.cause = %(unserved)s) AS is_unserved
    FROM orders o JOIN channel c USING (channel_id) JOIN order_line l USING (order_id) JOIN item i USING (item_id)
    WHERE o.order_id >= %(first)s AND o.placed_at >= %(since)s AND o.placed_at < %(until)s
      AND (%(channel)s::text IS NULL OR c.code = %(channel)s) AND (%(sku)s::text IS NULL OR i.sku = %(sku)s)
    GROUP BY o.order_id
) AS of_orders;
