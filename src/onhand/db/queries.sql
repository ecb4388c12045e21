-- name: write_event
-- xid, pos and at have defaults: the transaction's own.
INSERT INTO event (kind, subject, actor, origin, reason, data)
VALUES (%(kind)s, %(subject)s, %(actor)s, %(origin)s, %(reason)s, %(data)s::jsonb);

-- name: write_events
-- One round trip for many; pos follows the order of the arrays.
INSERT INTO event (kind, subject, actor, origin, reason, data)
SELECT kind, subject, %(actor)s, %(origin)s, %(reason)s, data::jsonb
FROM unnest(%(kinds)s::text[], %(subjects)s::text[], %(data)s::text[])
    WITH ORDINALITY AS e (kind, subject, data, ord)
ORDER BY ord;

-- name: read_events
-- Only below the horizon, where every transaction has ended: a row that appears later sorts after all of these.
-- A cursor on pos alone loses whoever took its pos early and committed late.
SELECT xid::text::bigint AS xid, pos, at, kind, subject, actor, origin, reason, data
FROM event
WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
  AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY event.xid, event.pos
LIMIT %(limit)s;

-- name: has_hidden_events
-- Committed, but above the horizon: some transaction that began earlier still runs.
SELECT EXISTS (
    SELECT FROM event
    WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
      AND xid >= pg_snapshot_xmin(pg_current_snapshot())
);

-- name: head
SELECT xid::text::bigint AS xid, pos FROM event
WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY event.xid DESC, event.pos DESC
LIMIT 1;

-- name: get_cursor
SELECT xid::text::bigint AS xid, pos FROM consumer_cursor WHERE name = %(name)s;

-- name: advance_cursor
-- Forward only: a consumer that was slow must not take a faster twin back.
INSERT INTO consumer_cursor AS c (name, xid, pos)
VALUES (%(name)s, %(xid)s::bigint::text::xid8, %(pos)s)
ON CONFLICT (name) DO UPDATE
SET xid = excluded.xid, pos = excluded.pos, updated_at = now()
WHERE (c.xid, c.pos) < (excluded.xid, excluded.pos);

-- name: horizon_age
-- Seconds that the oldest writing transaction of the whole server has been open, other databases included:
-- it holds back every consumer.
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - since)), 0)::float8
FROM (
    SELECT xact_start AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    UNION ALL
    SELECT prepared FROM pg_prepared_xacts
) AS open_transaction;

-- name: epoch
SELECT value #>> '{}' FROM setting WHERE name = 'epoch';

-- name: renew_epoch
INSERT INTO setting (name, value) VALUES ('epoch', to_jsonb(gen_random_uuid()::text))
ON CONFLICT (name) DO UPDATE SET value = excluded.value
RETURNING value #>> '{}';

-- name: claim_key
-- A second request with the key waits here until the transaction of the first has ended.
INSERT INTO idempotency (actor, route, key, body_hash, status, answer)
VALUES (%(actor)s, %(route)s, %(key)s, %(body_hash)s, 0, '')
ON CONFLICT DO NOTHING;

-- name: find_key
SELECT body_hash, status, answer FROM idempotency
WHERE key = %(key)s AND actor = %(actor)s AND route = %(route)s;

-- name: finish_key
UPDATE idempotency SET status = %(status)s, answer = %(answer)s
WHERE key = %(key)s AND actor = %(actor)s AND route = %(route)s AND status = 0;

-- name: purge_keys
DELETE FROM idempotency WHERE created_at < now() - make_interval(hours => %(hours)s);
