-- name: lock_playbook
-- Versions are numbered without a gap.
SELECT pg_advisory_xact_lock(hashtextextended('onhand playbook ' || %(name)s, 0));

-- name: latest
SELECT DISTINCT ON (name) name, version, document, text, created_at, actor AS created_by
FROM playbook ORDER BY name, version DESC;

-- name: get_version
SELECT name, version, document, text, created_at, actor AS created_by
FROM playbook WHERE name = %(name)s AND version = %(version)s;

-- name: add_version
INSERT INTO playbook (name, version, document, text, actor)
VALUES (%(name)s, %(version)s, %(document)s::jsonb, %(text)s, %(actor)s);

-- name: get_incidents
SELECT incident_id::text, kind, cause_what, cause_key, status, loss_minor, risk_minor, confidence, currency, opened_at,
    seen_at
FROM incident WHERE incident_id = ANY (%(ids)s::uuid[]);

-- name: findings
SELECT incident_id::text, subject_what, subject_key, numbers, loss_minor, confidence FROM incident_finding
WHERE incident_id = ANY (%(ids)s::uuid[])
ORDER BY incident_id, loss_minor * confidence DESC, subject_what, subject_key;

-- name: open_incidents
SELECT i.incident_id::text, i.kind, ARRAY(
    SELECT r.name FROM run r
    WHERE r.kind = 'playbook' AND r.subject = i.incident_id
      AND (r.finished_at IS NULL OR (r.status = 'undone' AND r.created_at >= i.opened_at))
)
FROM incident i WHERE i.status = 'open' ORDER BY i.risk_minor DESC, i.incident_id LIMIT %(limit)s;

-- name: wake_ended
UPDATE run r SET due_at = %(now)s, status = CASE WHEN r.status = 'needs_approval' THEN 'ready' ELSE r.status END
FROM incident i
WHERE r.kind = 'playbook' AND r.finished_at IS NULL AND i.incident_id = r.subject AND i.status <> 'open'
  AND (r.due_at > %(now)s OR r.status = 'needs_approval');
