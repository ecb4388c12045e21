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
