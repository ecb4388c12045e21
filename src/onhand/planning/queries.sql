-- name: take_turns
-- Plans are kept one after the other: of two of the same scope the later one supersedes what the earlier one proposed.
SELECT pg_advisory_xact_lock(hashtextextended('onhand proposals', 0));

-- name: supersede
-- Open proposals of the same plan for the same items and nodes: what is newer knows better.
UPDATE proposal SET status = 'superseded'
WHERE status = 'proposed' AND plan = %(plan)s AND item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[])
  AND (from_node_id IS NULL OR from_node_id = ANY (%(nodes)s::int[]));

-- name: add
INSERT INTO proposal (proposal_id, job_id, plan, kind, item_id, node_id, from_node_id, supplier, quantity, price_minor,
    cost_minor, currency, act_by, expected_at, expires_at, effect, basis, explanation, created_at)
SELECT r.proposal_id, %(job_id)s, %(plan)s, r.kind, i.item_id, n.node_id, f.node_id, r.supplier, r.quantity,
       r.price_minor, r.cost_minor, i.currency, r.act_by, r.expected_at, r.expires_at, r.effect, %(basis)s::jsonb,
       r.explanation, %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (proposal_id uuid, kind text, sku text, node text, source text,
    supplier text, quantity int, price_minor bigint, cost_minor bigint, act_by date, expected_at date,
    expires_at timestamptz, effect jsonb, explanation text)
JOIN item i USING (sku)
JOIN node n ON n.code = r.node
LEFT JOIN node f ON f.code = r.source;

-- name: lock
SELECT p.plan, p.kind, p.status, p.item_id, i.sku, p.node_id, n.code AS node, p.from_node_id, p.supplier, p.quantity,
       p.price_minor, p.created_at, p.expected_at, p.expires_at, p.basis, p.decided_at, p.inbound_id
FROM proposal p JOIN item i USING (item_id) JOIN node n USING (node_id)
WHERE p.proposal_id = %(proposal_id)s FOR UPDATE OF p;

-- name: take_part
-- It is decided on for so many units only; of its cost the same share.
UPDATE proposal SET quantity = %(quantity)s,
    cost_minor = CASE WHEN kind = 'transfer' THEN cost_minor * %(quantity)s / quantity ELSE cost_minor END
WHERE proposal_id = %(proposal_id)s;

-- name: decide
UPDATE proposal SET status = %(status)s, decided_at = %(now)s, actor = %(actor)s, reason = %(reason)s,
    inbound_id = %(inbound_id)s, expected_at = coalesce(%(expected_at)s, expected_at)
WHERE proposal_id = %(proposal_id)s;

-- name: replaces
-- Beside what the proposal rests on: only who undoes it reads that.
UPDATE proposal SET basis = basis || jsonb_build_object('replaced', %(before)s::jsonb)
WHERE proposal_id = %(proposal_id)s;

-- name: decide_undone
-- It is dismissed, and remembers that it had been approved.
UPDATE proposal SET status = 'dismissed', decided_at = %(now)s, actor = %(actor)s, reason = %(reason)s,
    inbound_id = NULL, basis = basis || '{"undone": true}'
WHERE proposal_id = %(proposal_id)s;

-- name: sent_today
-- Units that have left over a lane on a day (UTC), by approved proposals.
SELECT coalesce(sum(quantity), 0)::bigint FROM proposal
WHERE kind = 'transfer' AND status = 'approved' AND (from_node_id, node_id) = (%(source)s, %(target)s)
  AND decided_at >= %(day)s::date::timestamp AT TIME ZONE 'UTC'
  AND decided_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC';

-- name: docked_today
-- Units that have been sent out of a node, and to a node, on a day (UTC), by approved proposals.
SELECT coalesce(sum(quantity) FILTER (WHERE from_node_id = %(source)s), 0)::bigint,
       coalesce(sum(quantity) FILTER (WHERE node_id = %(target)s), 0)::bigint
FROM proposal
WHERE kind = 'transfer' AND status = 'approved' AND (from_node_id = %(source)s OR node_id = %(target)s)
  AND decided_at >= %(day)s::date::timestamp AT TIME ZONE 'UTC'
  AND decided_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC';

-- name: purge
-- What is over: not approved in time, dismissed, superseded, done, or come in full. What is on its way is followed,
-- however long that takes. Nothing is over before it was proposed, which the index knows.
DELETE FROM proposal WHERE proposal_id IN (
    SELECT p.proposal_id FROM proposal p LEFT JOIN inbound i USING (inbound_id)
    WHERE p.created_at < %(before)s
      AND CASE WHEN p.status IN ('proposed', 'superseded') THEN p.expires_at
               WHEN p.status = 'approved' THEN i.closed_at
               ELSE p.decided_at END < %(before)s
    LIMIT 10000 FOR UPDATE OF p SKIP LOCKED);

-- name: get
SELECT * FROM proposal_shown_v1(%(now)s) WHERE proposal_id = %(proposal_id)s;

-- name: list
SELECT * FROM proposal_shown_v1(%(now)s)
WHERE proposal_id < %(before)s
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(plan)s::text IS NULL OR plan = %(plan)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(sku)s::text IS NULL OR sku = %(sku)s)
  AND (%(node)s::text IS NULL OR %(node)s IN (node, source))
  AND (%(job_id)s::uuid IS NULL OR job_id = %(job_id)s)
ORDER BY proposal_id DESC LIMIT %(limit)s;

-- name: ending_in
-- People name a proposal by the end of its id.
SELECT proposal_id::text FROM proposal WHERE replace(proposal_id::text, '-', '') LIKE '%%' || %(end)s
ORDER BY proposal_id DESC LIMIT 2;

-- name: best_of
SELECT * FROM proposal_shown_v1(%(now)s)
WHERE proposal_id = ANY (%(ids)s::uuid[])
ORDER BY (effect ->> 'money_minor')::bigint DESC, proposal_id LIMIT %(limit)s;
