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
-- The cursor may stand inside a row: what is at or before it has been consumed.
SELECT e.xid::text::bigint AS xid, u.pos, e.at, e.kind, u.subject, e.actor, e.origin, e.reason, u.data
FROM event e, unfold_v1(e) u
WHERE (e.xid, e.pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
  AND (e.xid, u.pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.pos, u.pos
LIMIT %(limit)s;

-- name: read_brief
-- Rows as they stand, without what an event says: of a row of orders the first hundred, of stock which items.
SELECT xid::text::bigint AS xid, pos, kind, CASE WHEN orders IS NULL THEN ARRAY[subject] ELSE orders[1:100]::text[] END AS subjects,
       coalesce(cardinality(orders), 1) AS count,
       CASE WHEN kind = 'stock.changed' THEN ARRAY(SELECT jsonb_array_elements_text(data -> 'items')::int) END AS items
FROM event
WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
  AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY event.xid, event.pos
LIMIT %(limit)s;

-- name: has_hidden_events
-- Committed, but above the horizon: some transaction that began earlier still runs.
-- ORDER BY makes it the index's work also while a young table has no statistics.
SELECT EXISTS (
    SELECT FROM event
    WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
      AND xid >= pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY event.xid, event.pos
    LIMIT 1
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

-- name: try_keys
-- Waits where a transaction under way holds one of them; always rolled back.
INSERT INTO idempotency (actor, route, key, body_hash, status, answer)
SELECT actor, %(route)s, key, '', 0, '' FROM unnest(%(actors)s::int[], %(keys)s::text[]) AS k (actor, key)
ORDER BY key
ON CONFLICT DO NOTHING;

-- name: find_key
SELECT body_hash, status, answer FROM idempotency
WHERE key = %(key)s AND actor = %(actor)s AND route = %(route)s;

-- name: finish_key
UPDATE idempotency SET status = %(status)s, answer = %(answer)s
WHERE key = %(key)s AND actor = %(actor)s AND route = %(route)s AND status = 0;

-- name: purge_keys
DELETE FROM idempotency WHERE created_at < now() - make_interval(hours => %(hours)s);

-- name: has_foreign_history
-- No transaction of this cluster can have written a visible row with an id that has not been given out yet:
-- such events came with a copy from another cluster, and would stay hidden until ids have grown past theirs.
SELECT EXISTS (SELECT FROM event WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()));

-- name: renumber_events
-- One old transaction id for the whole history and positions in its order, with the room that rows of orders need. The
-- id is one that no event has, so that no key is taken twice meanwhile; those below 600 belong to the making of the
-- cluster.
CREATE TEMPORARY TABLE renumbered ON COMMIT DROP AS
SELECT xid, pos, given.new_xid, 8192 * row_number() OVER (ORDER BY xid, pos) AS new_pos
FROM event, (
    SELECT n::text::xid8 AS new_xid FROM generate_series(3, 599) n
    WHERE NOT EXISTS (SELECT FROM event WHERE xid = n::text::xid8) ORDER BY n LIMIT 1
) AS given;

-- name: index_renumbered
CREATE UNIQUE INDEX ON renumbered (xid, pos);

-- name: move_cursors
-- To the last event that was consumed: in the row that the cursor stands in, else the last one of the row before.
UPDATE consumer_cursor c
SET xid = (SELECT new_xid FROM renumbered LIMIT 1),
    pos = coalesce((SELECT r.new_pos - r.pos + c.pos FROM renumbered r
                    WHERE r.xid = c.xid AND r.pos = event_row_v1(c.pos)),
                   (SELECT new_pos FROM renumbered r WHERE (r.xid, r.pos) < (c.xid, c.pos)
                    ORDER BY r.xid DESC, r.pos DESC LIMIT 1), 0)
WHERE EXISTS (SELECT FROM renumbered);

-- name: move_events
UPDATE event e SET xid = r.new_xid, pos = r.new_pos FROM renumbered r WHERE (e.xid, e.pos) = (r.xid, r.pos);

-- name: referring_tables
SELECT table_name::text FROM information_schema.columns
WHERE table_schema = current_schema() AND column_name IN ('event_xid', 'event_pos')
GROUP BY table_name HAVING count(*) = 2;

-- name: move_references
UPDATE {} t SET event_xid = r.new_xid, event_pos = r.new_pos - r.pos + t.event_pos
FROM renumbered r WHERE r.xid = t.event_xid AND r.pos = event_row_v1(t.event_pos);

-- name: continue_positions
SELECT setval(pg_get_serial_sequence('event', 'pos'), coalesce(max(pos), 0) + 8192, false) FROM event;

-- name: own_relations
-- What a database holds besides what belongs to the server and to extensions.
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1;
