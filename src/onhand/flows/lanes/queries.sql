-- name: served
-- Fulfilments all of whose shipments have come, with what they cost beyond what was promised for them, in order of time.
-- What was sourced again is left out: the time that was lost is no fault of the one that stepped in.
SELECT f.order_id::text, f.fulfilment_no, f.service, n.code, o.currency,
       o.request::json -> 'destination' ->> 'country', o.request::json -> 'destination' ->> 'region',
       o.request::json -> 'destination' ->> 'postal_code',
       sum(CASE c.kind WHEN 'actual' THEN c.minor ELSE -c.minor END)::float8
FROM fulfilment f
JOIN orders o USING (order_id)
JOIN node n ON n.node_id = f.node_id
JOIN (
    SELECT order_id, fulfilment_no, max(delivered_at) AS came, bool_and(delivered_at IS NOT NULL) AS is_there
    FROM shipment GROUP BY 1, 2
) s USING (order_id, fulfilment_no)
JOIN cost_entry c USING (order_id, fulfilment_no)
WHERE s.is_there AND s.came >= %(since)s AND s.came < %(until)s AND f.service IS NOT NULL
  AND f.plan_no = 1 AND c.derived
GROUP BY f.order_id, f.fulfilment_no, f.service, n.code, o.currency, o.request, s.came
ORDER BY s.came, f.order_id, f.fulfilment_no
LIMIT %(limit)s;

-- name: add_proposal
INSERT INTO lane_proposal (name, version, against, since, until, currency, floor_minor, orders, lanes, evidence, actor)
VALUES (%(name)s, %(version)s, %(against)s, %(since)s, %(until)s, %(currency)s, %(floor_minor)s, %(orders)s,
    %(lanes)s::jsonb, %(evidence)s::jsonb, %(by)s)
ON CONFLICT (name, version) DO UPDATE SET
    at = now(), against = excluded.against, since = excluded.since, until = excluded.until, orders = excluded.orders,
    lanes = excluded.lanes, evidence = excluded.evidence;

-- name: list_proposals
SELECT p.name, p.version, p.against, p.at, p.since, p.until, p.currency, p.floor_minor, p.orders, p.lanes, p.evidence,
       s.state, s.share, s.why
FROM lane_proposal p JOIN policy_state s ON s.name = p.name AND s.version = p.version AND s.ended_at IS NULL
WHERE p.name = %(name)s ORDER BY p.version DESC LIMIT %(limit)s;

-- name: is_proposal
SELECT EXISTS (SELECT FROM lane_proposal WHERE name = %(name)s AND version = %(version)s);

-- name: ways
-- Services and nodes that there are.
SELECT ARRAY(SELECT DISTINCT s ->> 'code' FROM carrier c, jsonb_array_elements(c.document -> 'services') s
             WHERE c.active ORDER BY 1),
       ARRAY(SELECT code FROM node WHERE active ORDER BY code);
