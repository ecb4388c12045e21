-- name: add_webhook
INSERT INTO webhook (webhook_id, url, kinds, secret, actor)
VALUES (%(webhook_id)s, %(url)s, %(kinds)s, %(secret)s, %(actor)s)
RETURNING webhook_id::text AS webhook_id, url, kinds, active, created_at, disabled_at, failing_since;

-- name: get_webhook
SELECT webhook_id::text AS webhook_id, url, kinds, active, created_at, disabled_at, failing_since
FROM webhook WHERE webhook_id = %(webhook_id)s;

-- name: list_webhooks
-- By id, which is by time of creation.
SELECT webhook_id::text AS webhook_id, url, kinds, active, created_at, disabled_at, failing_since
FROM webhook WHERE %(after)s::uuid IS NULL OR webhook_id > %(after)s
ORDER BY webhook.webhook_id LIMIT %(limit)s;

-- name: delete_webhook
-- Its deliveries go with it.
DELETE FROM webhook WHERE webhook_id = %(webhook_id)s;

-- name: enable_webhook
-- What was given up while it was off stays dead until it is replayed.
UPDATE webhook SET active = true, disabled_at = NULL, failing_since = NULL WHERE webhook_id = %(webhook_id)s
RETURNING webhook_id::text AS webhook_id, url, kinds, active, created_at, disabled_at, failing_since;

-- name: disable_webhook
UPDATE webhook SET active = false, disabled_at = now() WHERE webhook_id = %(webhook_id)s AND active;

-- name: bury_due
UPDATE webhook_delivery SET status = 'dead', last_error = 'the webhook was disabled'
WHERE webhook_id = %(webhook_id)s AND status = 'due';

-- name: fan_out
-- One delivery per new event and endpoint that wants its kind. A webhook is told of what begins after it was made.
-- The last event of the batch is the new cursor, also when nobody wants it.
WITH batch AS (
    SELECT e.xid, u.pos, e.at, e.kind FROM event e, unfold_v1(e) u
    WHERE (e.xid, e.pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
      AND (e.xid, u.pos) > (%(xid)s::bigint::text::xid8, %(pos)s)
      AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.xid, e.pos, u.pos
    LIMIT %(limit)s
), added AS (
    INSERT INTO webhook_delivery (webhook_id, event_xid, event_pos)
    SELECT w.webhook_id, b.xid, b.pos
    FROM batch b JOIN webhook w ON w.active AND b.at >= w.created_at AND EXISTS (
        SELECT FROM unnest(w.kinds) AS k
        WHERE k = b.kind OR (right(k, 1) = '*' AND starts_with(b.kind, left(k, -1))))
    ORDER BY b.xid, b.pos
    ON CONFLICT DO NOTHING
)
SELECT xid::text::bigint AS xid, pos, (SELECT count(*) FROM batch) AS events
FROM batch ORDER BY batch.xid DESC, batch.pos DESC LIMIT 1;

-- name: is_wanted
SELECT EXISTS (SELECT FROM webhook w CROSS JOIN LATERAL unnest(w.kinds) AS k
    WHERE w.active AND (k = %(kind)s OR (right(k, 1) = '*' AND starts_with(%(kind)s, left(k, -1)))));

-- name: has_active
SELECT EXISTS (SELECT FROM webhook WHERE active);

-- name: due
-- The next few of each endpoint that is free: one that waits or fails does not fill the answer.
SELECT w.webhook_id::text AS webhook_id, w.url, w.secret, w.failing_since, d.delivery_id, d.status, d.attempts,
       d.created_at, d.due_at, d.last_error, d.delivered_at, d.event_xid::text::bigint AS event_xid, d.event_pos,
       e.kind, u.subject, e.at, u.data
FROM webhook w
CROSS JOIN LATERAL (
    SELECT * FROM webhook_delivery d
    WHERE d.webhook_id = w.webhook_id AND d.status = 'due' AND d.due_at <= now()
    ORDER BY d.due_at, d.event_xid, d.event_pos
    LIMIT %(each)s
) d
JOIN event e ON e.xid = d.event_xid AND e.pos = event_row_v1(d.event_pos)
JOIN LATERAL unfold_v1(e) u ON u.pos = d.event_pos
WHERE w.active AND w.webhook_id <> ALL (%(busy)s::uuid[])
ORDER BY w.webhook_id, d.due_at, d.event_xid, d.event_pos
LIMIT %(limit)s;

-- name: record_delivered
UPDATE webhook_delivery d SET status = 'delivered', attempts = attempts + 1, delivered_at = now(), last_error = NULL
WHERE delivery_id = ANY (%(ids)s);

-- name: record_failed
-- due_at NULL: given up.
UPDATE webhook_delivery SET attempts = attempts + 1, last_error = %(error)s, due_at = coalesce(%(due_at)s, due_at),
    status = CASE WHEN %(due_at)s::timestamptz IS NULL THEN 'dead' ELSE 'due' END
WHERE delivery_id = %(delivery_id)s AND status = 'due';

-- name: mark_healthy
UPDATE webhook SET failing_since = NULL WHERE webhook_id = %(webhook_id)s AND failing_since IS NOT NULL;

-- name: mark_failing
UPDATE webhook SET failing_since = coalesce(failing_since, now()) WHERE webhook_id = %(webhook_id)s
RETURNING failing_since;

-- name: hurry
-- After an outage: whatever waits for its next try is tried now.
UPDATE webhook_delivery SET due_at = now() WHERE webhook_id = %(webhook_id)s AND status = 'due' AND due_at > now();

-- name: list_deliveries
-- The page first: unfolding costs by the orders of a batch, and only what is shown is worth that.
SELECT d.delivery_id, d.webhook_id::text AS webhook_id, d.event_xid::text::bigint AS event_xid, d.event_pos, d.status,
       d.attempts, d.created_at, d.due_at, d.last_error, d.delivered_at, e.kind, u.subject, e.at, u.data
FROM (
    SELECT * FROM webhook_delivery d
    WHERE d.webhook_id = %(webhook_id)s AND d.delivery_id > %(after)s
      AND (%(status)s::text IS NULL OR d.status = %(status)s)
    ORDER BY d.delivery_id LIMIT %(limit)s
) d
JOIN event e ON e.xid = d.event_xid AND e.pos = event_row_v1(d.event_pos)
JOIN LATERAL unfold_v1(e) u ON u.pos = d.event_pos
ORDER BY d.delivery_id;

-- name: replay_dead
UPDATE webhook_delivery SET status = 'due', attempts = 0, created_at = now(), due_at = now()
WHERE webhook_id = %(webhook_id)s AND status = 'dead';

-- name: replay_from
-- Events that were fanned out already; those after the cursor come by themselves.
INSERT INTO webhook_delivery AS d (webhook_id, event_xid, event_pos)
SELECT w.webhook_id, e.xid, u.pos
FROM webhook w
JOIN event e ON EXISTS (
    SELECT FROM unnest(w.kinds) AS k
    WHERE k = e.kind OR (right(k, 1) = '*' AND starts_with(e.kind, left(k, -1))))
CROSS JOIN LATERAL unfold_v1(e) u
WHERE w.webhook_id = %(webhook_id)s
  AND (e.xid, e.pos) >= (%(xid)s::bigint::text::xid8, %(pos)s)
  AND (e.xid, u.pos) >= (%(xid)s::bigint::text::xid8, %(pos)s)
  AND (e.xid, e.pos) <= (%(until_xid)s::bigint::text::xid8, event_row_v1(%(until_pos)s))
  AND (e.xid, u.pos) <= (%(until_xid)s::bigint::text::xid8, %(until_pos)s)
ORDER BY e.xid, e.pos, u.pos
ON CONFLICT (webhook_id, event_xid, event_pos) DO UPDATE
SET status = 'due', attempts = 0, created_at = now(), due_at = now(), last_error = NULL, delivered_at = NULL;

-- name: backlog
SELECT count(*) FROM webhook_delivery WHERE status = 'due';

-- name: purge
-- What was delivered is kept as long as a failure may take, then forgotten.
DELETE FROM webhook_delivery WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_delivery
    WHERE status = 'delivered' AND delivered_at < now() - interval '3 days'
    LIMIT 10000);

-- name: lead
-- One process delivers at a time; the lock goes with its connection, however it ends.
SELECT pg_try_advisory_lock(hashtext('onhand webhooks'));
