-- name: known
-- Incidents of these kinds that stand, or that were closed a short while ago, the standing ones first. Nobody dismisses
-- one of them until the transaction ends.
SELECT incident_id::text, kind, cause_what, cause_key, currency, opened_at, seen_at, closed_at, dismissed_at, told_minor,
       told_findings
FROM incident
WHERE kind = ANY (%(kinds)s) AND (closed_at IS NULL OR closed_at >= %(since)s)
ORDER BY closed_at DESC NULLS FIRST, incident_id
FOR UPDATE;

-- name: kinds
SELECT incident_id::text, kind FROM incident WHERE incident_id = ANY (%(ids)s::uuid[]);

-- name: findings
SELECT incident_id::text, subject_what, subject_key, numbers, sentence, loss_minor, confidence, since, causes
FROM incident_finding WHERE incident_id = ANY (%(ids)s::uuid[]);

-- name: write_incidents
-- New ones, and those that are another: one row each.
INSERT INTO incident AS i (incident_id, kind, cause_what, cause_key, status, loss_minor, risk_minor, confidence, currency,
    since, opened_at, seen_at, closed_at, dismissed_at, merged_in, told_minor, told_findings)
SELECT r.incident_id, r.kind, r.cause_what, r.cause_key, r.status, r.loss_minor, r.risk_minor, r.confidence, r.currency,
       r.since, r.opened_at, r.seen_at, r.closed_at, r.dismissed_at, r.merged_in, r.told_minor, r.told_findings
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
    incident_id uuid, kind text, cause_what text, cause_key text[], status text, loss_minor bigint, risk_minor bigint,
    confidence float8, currency text, since timestamptz, opened_at timestamptz, seen_at timestamptz,
    closed_at timestamptz, dismissed_at timestamptz, merged_in uuid, told_minor bigint, told_findings int)
ON CONFLICT (incident_id) DO UPDATE SET
    status = excluded.status, loss_minor = excluded.loss_minor, risk_minor = excluded.risk_minor,
    confidence = excluded.confidence, since = excluded.since, seen_at = excluded.seen_at, closed_at = excluded.closed_at,
    merged_in = excluded.merged_in, told_minor = excluded.told_minor, told_findings = excluded.told_findings;

-- name: write_findings
INSERT INTO incident_finding (incident_id, subject_what, subject_key, numbers, sentence, loss_minor, confidence, since, causes)
SELECT r.incident_id, r.subject_what, r.subject_key, r.numbers, r.sentence, r.loss_minor, r.confidence, r.since, r.causes
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
    incident_id uuid, subject_what text, subject_key text[], numbers jsonb, sentence text, loss_minor bigint,
    confidence float8, since timestamptz, causes jsonb)
ON CONFLICT (incident_id, subject_what, subject_key) DO UPDATE SET
    numbers = excluded.numbers, sentence = excluded.sentence, loss_minor = excluded.loss_minor,
    confidence = excluded.confidence, since = excluded.since, causes = excluded.causes;

-- name: drop_findings
DELETE FROM incident_finding f
USING jsonb_to_recordset(%(rows)s::jsonb) AS r (incident_id uuid, subject_what text, subject_key text[])
WHERE f.incident_id = r.incident_id AND (f.subject_what, f.subject_key) = (r.subject_what, r.subject_key);

-- name: seen
UPDATE incident SET seen_at = %(now)s WHERE incident_id = ANY (%(ids)s::uuid[]);

-- name: lock
SELECT status FROM incident WHERE incident_id = %(incident_id)s FOR UPDATE;

-- name: dismiss
UPDATE incident SET status = 'dismissed', dismissed_at = %(now)s, actor = %(actor)s, reason = %(reason)s
WHERE incident_id = %(incident_id)s;

-- name: get
SELECT i.*, m.cause_what AS wider_what, m.cause_key AS wider_key,
       (SELECT count(*)::int FROM incident_finding f WHERE f.incident_id = i.incident_id) AS findings
FROM incident i LEFT JOIN incident m ON m.incident_id = i.merged_in
WHERE i.incident_id = %(incident_id)s;

-- name: list
-- The currency that is asked for comes first, then by its letters; in each the dearest first.
SELECT i.*, m.cause_what AS wider_what, m.cause_key AS wider_key,
       (SELECT count(*)::int FROM incident_finding f WHERE f.incident_id = i.incident_id) AS findings
FROM incident i LEFT JOIN incident m ON m.incident_id = i.merged_in
WHERE (%(status)s::text IS NULL OR i.status = %(status)s)
  AND (%(kind)s::text IS NULL OR i.kind = %(kind)s)
  AND (%(currency)s::text IS NULL OR i.currency = %(currency)s)
  AND (%(begin)s::timestamptz IS NULL OR coalesce(i.closed_at, 'infinity') >= %(begin)s)
  AND (%(end)s::timestamptz IS NULL OR i.opened_at < %(end)s)
  AND (%(what)s::text IS NULL OR i.cause_what = %(what)s OR EXISTS (
        SELECT FROM incident_finding f WHERE f.incident_id = i.incident_id AND f.subject_what = %(what)s))
  AND (%(about)s::text IS NULL OR %(about)s = ANY (i.cause_key) OR EXISTS (
        SELECT FROM incident_finding f WHERE f.incident_id = i.incident_id AND %(about)s = ANY (f.subject_key)))
  AND (%(after)s::boolean IS FALSE
       OR (CASE i.currency WHEN %(main)s THEN '' ELSE i.currency END, -i.risk_minor, i.incident_id)
          > (%(after_currency)s, %(after_risk)s, %(after_id)s::uuid))
ORDER BY CASE i.currency WHEN %(main)s THEN '' ELSE i.currency END, i.risk_minor DESC, i.incident_id
LIMIT %(limit)s;

-- name: findings_of
-- The dearest first.
SELECT subject_what, subject_key, numbers, sentence, loss_minor, confidence, since, causes
FROM incident_finding WHERE incident_id = %(incident_id)s
ORDER BY loss_minor * confidence DESC, subject_what, subject_key LIMIT %(limit)s;

-- name: ending_in
-- People name an incident by the end of its id.
SELECT incident_id::text FROM incident WHERE replace(incident_id::text, '-', '') LIKE '%%' || %(end)s
ORDER BY incident_id DESC LIMIT 2;

-- name: looks
SELECT detector, tried_at, looked_at, problem, findings, took_ms FROM incident_look;

-- name: look
INSERT INTO incident_look AS l (detector, tried_at, looked_at, problem, findings, took_ms)
VALUES (%(detector)s, %(now)s, CASE WHEN %(problem)s::text IS NULL THEN %(now)s::timestamptz END, %(problem)s, %(findings)s,
    %(took_ms)s)
ON CONFLICT (detector) DO UPDATE SET
    tried_at = excluded.tried_at, looked_at = coalesce(excluded.looked_at, l.looked_at), problem = excluded.problem,
    findings = CASE WHEN excluded.problem IS NULL THEN excluded.findings ELSE l.findings END, took_ms = excluded.took_ms;

-- name: purge
-- What has been over for so long; those that others were merged in go when these have gone.
DELETE FROM incident i WHERE closed_at < %(before)s
  AND NOT EXISTS (SELECT FROM incident n WHERE n.merged_in = i.incident_id);
