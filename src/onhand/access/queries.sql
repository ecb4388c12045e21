-- name: add_key
-- ON CONFLICT: a key set by hand is stored at every start.
INSERT INTO api_key (name, prefix, hash, scopes, expires_at)
VALUES (%(name)s, %(prefix)s, %(hash)s, %(scopes)s, %(expires_at)s)
ON CONFLICT (hash) DO NOTHING
RETURNING key_id, name, prefix, scopes, created_at, expires_at, revoked_at;

-- name: find_live
SELECT key_id, name, scopes FROM api_key WHERE hash = %(hash)s AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now());

-- name: list_keys
-- By id: a revoked key stays, since the audit log refers to it.
SELECT key_id, name, prefix, scopes, created_at, expires_at, revoked_at FROM api_key
WHERE (%(after)s::bigint IS NULL OR key_id > %(after)s)
  AND (NOT %(live)s OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
ORDER BY key_id LIMIT %(limit)s;

-- name: list_keys_back
-- The same, newest first.
SELECT key_id, name, prefix, scopes, created_at, expires_at, revoked_at FROM api_key
WHERE (%(after)s::bigint IS NULL OR key_id < %(after)s)
  AND (NOT %(live)s OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
ORDER BY key_id DESC LIMIT %(limit)s;

-- name: get_key
SELECT key_id, name, prefix, scopes, created_at, expires_at, revoked_at FROM api_key WHERE key_id = %(key_id)s;

-- name: revoke
UPDATE api_key SET revoked_at = now() WHERE key_id = %(key_id)s AND revoked_at IS NULL
RETURNING key_id, name, prefix, scopes, created_at, expires_at, revoked_at;

-- name: lock_admin_keys
-- Keeps two processes that start together from creating two first keys.
SELECT pg_advisory_xact_lock(hashtext('onhand first admin key'));

-- name: count_admin_keys
SELECT count(*) FROM api_key WHERE 'admin' = ANY (scopes) AND revoked_at IS NULL
  AND expires_at IS NULL;  -- one that ends lets nobody in tomorrow

-- name: list_audit
-- Newest first. Run unprepared, so that the planner sees which filters are absent and drops them.
-- The subject is looked for among rows by two indexes: its own rows, and of an order the one it shares.
SELECT e.xid::text::bigint AS xid, u.pos, e.at, e.kind, u.subject, e.actor, k.name AS actor_name, e.reason, u.data
FROM event e CROSS JOIN LATERAL unfold_v1(e) u LEFT JOIN api_key k ON k.key_id = e.actor
WHERE (%(xid)s::bigint IS NULL OR (
        (e.xid, e.pos) <= (%(xid)s::bigint::text::xid8, event_row_v1(%(pos)s::bigint))
        AND (e.xid, u.pos) < (%(xid)s::bigint::text::xid8, %(pos)s::bigint)))
  AND (%(subject)s::text IS NULL OR e.subject = %(subject)s OR (
        %(order_id)s::uuid IS NOT NULL AND e.orders IS NOT NULL
        AND e.at = (SELECT created_at FROM orders WHERE order_id = %(order_id)s::uuid)))
  AND (%(subject)s::text IS NULL OR u.subject = %(subject)s)
  AND (%(actor)s::int IS NULL OR e.actor = %(actor)s)
  AND (%(kind)s::text IS NULL OR e.kind = %(kind)s)
  AND (%(prefix)s::text IS NULL OR starts_with(e.kind, %(prefix)s))
  AND (%(from)s::timestamptz IS NULL OR e.at >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR e.at < %(to)s)
ORDER BY e.xid DESC, e.pos DESC, u.pos DESC
LIMIT %(limit)s;
