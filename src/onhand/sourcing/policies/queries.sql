-- name: add_policy
INSERT INTO policy (name) VALUES (%(name)s) ON CONFLICT DO NOTHING;

-- name: lock_policy
-- Writers of one policy take turns, so that versions are numbered without gaps and states change one after the other.
SELECT FROM policy WHERE name = %(name)s FOR UPDATE;

-- name: latest_version
SELECT v.name, v.version, v.document, v.text, v.hash, v.created_at, v.created_by, s.state, s.share, s.at AS since, s.why
FROM policy_version v
JOIN policy_state s ON s.name = v.name AND s.version = v.version AND s.ended_at IS NULL
WHERE v.name = %(name)s ORDER BY v.version DESC LIMIT 1;

-- name: get_version
SELECT v.name, v.version, v.document, v.text, v.hash, v.created_at, v.created_by, s.state, s.share, s.at AS since, s.why
FROM policy_version v
JOIN policy_state s ON s.name = v.name AND s.version = v.version AND s.ended_at IS NULL
WHERE v.name = %(name)s AND v.version = %(version)s;

-- name: in_force
SELECT v.name, v.version, v.document, v.text, v.hash, v.created_at, v.created_by, s.state, s.share, s.at AS since, s.why,
       s.state_id
FROM policy_state s JOIN policy_version v USING (name, version)
WHERE s.name = %(name)s AND s.ended_at IS NULL AND s.state IN ('active', 'canary', 'shadow');

-- name: add_version
INSERT INTO policy_version (name, version, document, text, hash, created_by)
VALUES (%(name)s, %(version)s, %(document)s::jsonb, %(text)s, %(hash)s, %(by)s);

-- name: standings
-- What was before a version that is active no more is what its last time as the active one says.
SELECT s.version, s.state, s.share,
       (SELECT a.preceded FROM policy_state a
        WHERE a.name = s.name AND a.version = s.version AND a.state = 'active'
        ORDER BY a.state_id DESC LIMIT 1) AS preceded
FROM policy_state s WHERE s.name = %(name)s AND s.ended_at IS NULL ORDER BY s.version;

-- name: end_state
UPDATE policy_state SET ended_at = now() WHERE name = %(name)s AND version = %(version)s AND ended_at IS NULL;

-- name: begin_state
INSERT INTO policy_state (name, version, state, share, preceded, by, why)
VALUES (%(name)s, %(version)s, %(state)s, %(share)s, %(preceded)s, %(by)s, %(why)s);

-- name: list_policies
SELECT p.name, max(s.version) AS latest,
       max(s.version) FILTER (WHERE s.state = 'active') AS active,
       max(s.version) FILTER (WHERE s.state = 'canary') AS canary,
       max(s.share) AS share,
       max(s.version) FILTER (WHERE s.state = 'shadow') AS shadow,
       max(s.at) AS updated_at, (array_agg(s.by ORDER BY s.state_id DESC))[1] AS updated_by
FROM policy p JOIN policy_state s ON s.name = p.name AND s.ended_at IS NULL
WHERE p.name > %(after)s AND (%(name)s::text IS NULL OR p.name = %(name)s)
GROUP BY p.name ORDER BY p.name LIMIT %(limit)s;

-- name: list_versions
-- Newest first, at most a thousand: what people look through.
SELECT v.version, s.state, s.share, s.at AS since, s.why, v.created_at, v.created_by
FROM policy_version v
JOIN policy_state s ON s.name = v.name AND s.version = v.version AND s.ended_at IS NULL
WHERE v.name = %(name)s ORDER BY v.version DESC LIMIT 1000;

-- name: history
SELECT version, state, share, at, ended_at, by, why
FROM policy_state WHERE name = %(name)s AND version = %(version)s ORDER BY state_id;

