-- name: add_message
-- A repeat changes nothing.
INSERT INTO channel_message (channel_id, dedupe, topic, body) VALUES (%(channel_id)s, %(dedupe)s, %(topic)s, %(body)s)
ON CONFLICT (channel_id, dedupe) DO NOTHING RETURNING message_id;

-- name: claim_messages
-- The oldest that are due, for as long as the lease: whoever claimed them may die. SKIP LOCKED: a rival takes others.
UPDATE channel_message m SET attempts = attempts + 1, next_try_at = now() + make_interval(secs => %(lease_s)s)
WHERE message_id IN (
    SELECT message_id FROM channel_message
    WHERE channel_id = %(channel_id)s AND status = 'due' AND next_try_at <= now()
    ORDER BY next_try_at, message_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING message_id, topic, body, received_at, attempts;

-- name: lock_message
-- A worker that was slower than its lease finds that another has done it.
SELECT FROM channel_message WHERE message_id = %(message_id)s AND status = 'due' FOR UPDATE;

-- name: finish_messages
UPDATE channel_message SET status = 'done', body = NULL, error = NULL, done_at = now()
WHERE message_id = ANY (%(ids)s::bigint[]) AND status = 'due';

-- name: fail_message
-- seconds NULL: parked.
UPDATE channel_message SET error = %(error)s,
    status = CASE WHEN %(seconds)s::float8 IS NULL THEN 'parked' ELSE 'due' END,
    next_try_at = now() + make_interval(secs => coalesce(%(seconds)s::float8, 0))
WHERE message_id = %(message_id)s AND status = 'due';

-- name: list_messages
SELECT message_id, topic, status, received_at, next_try_at, attempts, error, done_at
FROM channel_message
WHERE channel_id = %(channel_id)s AND message_id > %(after)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY message_id LIMIT %(limit)s;

-- name: retry_message
UPDATE channel_message SET status = 'due', attempts = 0, next_try_at = now(), error = NULL
WHERE channel_id = %(channel_id)s AND message_id = %(message_id)s AND status <> 'done'
RETURNING message_id, topic, status, received_at, next_try_at, attempts, error, done_at;

-- name: purge_messages
-- Repeats come within days.
DELETE FROM channel_message WHERE message_id IN (
    SELECT message_id FROM channel_message WHERE status = 'done' AND done_at < now() - interval '30 days' LIMIT 10000);

-- name: channel_id
SELECT channel_id FROM channel WHERE code = %(code)s;

-- name: add_orders
-- What was never heard of. Rows are locked in the order of their ids, here and in lock_orders: no deadlocks.
INSERT INTO channel_order (channel_id, external_id, said, said_at, read_at)
SELECT %(channel_id)s, external_id, said, said_at, read_at
FROM unnest(%(ids)s::text[], %(said)s::text[], %(said_at)s::timestamptz[], %(read_at)s::timestamptz[])
    AS t (external_id, said, said_at, read_at)
ORDER BY external_id
ON CONFLICT DO NOTHING RETURNING external_id;

-- name: lock_orders
SELECT external_id, version, taken, said, said_at, read_at, wanted, status, order_id::text
FROM channel_order WHERE channel_id = %(channel_id)s AND external_id = ANY (%(ids)s::text[])
ORDER BY external_id FOR UPDATE;

-- name: update_said
UPDATE channel_order SET version = version + 1, said = %(said)s, said_at = %(said_at)s, read_at = %(read_at)s,
    heard_at = now(), attempts = 0, next_try_at = now()
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s;

-- name: behind
-- Orders that are to follow what was heard; of those with unknown names only the ones that have become known. And those
-- that stand here unknown to whoever took down what was heard of them.
SELECT external_id FROM channel_order
WHERE channel_id = %(channel_id)s AND taken < version AND next_try_at <= now() AND status <> 'unknown_sku'
UNION
SELECT external_id FROM channel_order o
WHERE channel_id = %(channel_id)s AND taken < version AND status = 'unknown_sku' AND (
    next_try_at <= now()
    OR EXISTS (SELECT FROM listing l WHERE l.channel_id = o.channel_id AND l.external_id = ANY (o.missing))
    OR EXISTS (SELECT FROM listing l WHERE l.channel_id = o.channel_id AND l.external_sku = ANY (o.missing))
    OR EXISTS (SELECT FROM item i WHERE i.sku = ANY (o.missing)))
UNION
SELECT external_id FROM channel_order o
WHERE channel_id = %(channel_id)s AND may_stand AND order_id IS NULL
  AND EXISTS (SELECT FROM orders r WHERE r.channel_id = o.channel_id AND r.external_id = o.external_id)
LIMIT %(limit)s;

-- name: set_may_stand
UPDATE channel_order SET may_stand = true WHERE channel_id = %(channel_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: set_found
-- Whatever was done about it when there was none of ours is to be done anew.
UPDATE channel_order o SET order_id = t.order_id, taken = least(taken, version - 1)
FROM unnest(%(ids)s::text[], %(order_ids)s::uuid[]) AS t (external_id, order_id)
WHERE o.channel_id = %(channel_id)s AND o.external_id = t.external_id;

-- name: set_taken
-- said NULL: as it was. Only what was followed: something newer may have been heard meanwhile. Whoever has followed less
-- than another has by now says nothing: what was wanted then would be ordered twice.
UPDATE channel_order SET taken = greatest(taken, %(version)s), status = %(status)s, problem = %(problem)s, missing = NULL,
    wanted = coalesce(%(wanted)s, wanted), order_id = coalesce(%(order_id)s::uuid, order_id), attempts = 0,
    said = CASE WHEN version = %(version)s THEN coalesce(%(said)s, said) ELSE said END
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s AND taken <= %(version)s;

-- name: set_wanted
UPDATE channel_order SET wanted = %(wanted)s
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s AND taken = %(taken)s;

-- name: set_stuck
UPDATE channel_order SET status = %(status)s, problem = %(problem)s, missing = %(missing)s::text[],
    wanted = coalesce(%(wanted)s, wanted), order_id = coalesce(%(order_id)s::uuid, order_id), attempts = attempts + 1,
    next_try_at = CASE WHEN %(seconds)s::float8 IS NULL THEN 'infinity'
                       ELSE now() + make_interval(secs => %(seconds)s::float8) END
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s AND version = %(version)s AND taken < version;

-- name: set_problem
UPDATE channel_order SET problem = %(problem)s
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s AND status = 'taken' AND problem IS DISTINCT FROM %(problem)s;

-- name: list_orders
SELECT external_id, order_id::text, status, problem, said::json ->> 'status' AS channel_status, said_at, heard_at,
       taken < version AS is_behind, attempts
FROM channel_order
WHERE channel_id = %(channel_id)s AND external_id > %(after)s AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (NOT %(problems)s OR problem IS NOT NULL)
ORDER BY external_id LIMIT %(limit)s;

-- name: retry_order
UPDATE channel_order SET taken = least(taken, version - 1), next_try_at = now(), attempts = 0
WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s AND status IN ('unknown_sku', 'refused', 'new')
RETURNING external_id;

-- name: skus_of
-- What the channel's names stand for: its id, its sku there, our sku.
SELECT l.external_id, l.external_sku, i.sku FROM listing l JOIN item i USING (item_id)
WHERE l.channel_id = %(channel_id)s AND (l.external_id = ANY (%(ids)s::text[]) OR l.external_sku = ANY (%(skus)s::text[]))
UNION ALL
SELECT NULL, NULL, sku FROM item WHERE sku = ANY (%(skus)s::text[]);

-- name: lock_orders_naming
-- What was said of orders and names somebody; rows are locked in the order of their ids, as everywhere.
SELECT channel_id, external_id, said FROM channel_order
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w (word) WHERE strpos(lower(said), lower(word)) > 0)
ORDER BY channel_id, external_id FOR UPDATE;

-- name: erase_said
UPDATE channel_order SET said = %(said)s WHERE channel_id = %(channel_id)s AND external_id = %(external_id)s;

-- name: lock_bodies
SELECT message_id, body FROM channel_message WHERE body IS NOT NULL ORDER BY message_id FOR UPDATE;

-- name: erase_body
UPDATE channel_message SET body = %(body)s WHERE message_id = %(message_id)s;

-- name: orders_here
SELECT external_id, order_id::text FROM orders
WHERE channel_id = %(channel_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: claim_reading
INSERT INTO channel_reading (channel_id, kind) VALUES (%(channel_id)s, %(kind)s) ON CONFLICT DO NOTHING;

-- name: take_reading
-- One process at a time reads, for as long as the lease.
UPDATE channel_reading SET next_at = now() + make_interval(secs => %(lease_s)s)
WHERE channel_id = %(channel_id)s AND kind = %(kind)s AND next_at <= now()
RETURNING at, since, failures, asked;

-- name: hasten_readings
-- Also what somebody has begun to read: he may be dead, and two who read do no harm.
UPDATE channel_reading SET next_at = now() WHERE channel_id = %(channel_id)s AND next_at > now();

-- name: save_reading
-- Asked for while it was read (or slower than its lease): it stays due, for what was asked for came later.
UPDATE channel_reading SET at = %(at)s, failures = 0, error = NULL,
    ended_at = CASE WHEN %(ended)s THEN coalesce(%(heard_until)s::timestamptz, now()) ELSE ended_at END,
    next_at = CASE WHEN next_at <= now() THEN next_at ELSE now() + make_interval(secs => %(seconds)s) END
WHERE channel_id = %(channel_id)s AND kind = %(kind)s;

-- name: sales_until
-- All that was sold there until then is booked: it was read, and of what was read nothing waits to be booked.
SELECT least(r.ended_at, (
    SELECT min(m.received_at) FROM channel_message m
    WHERE m.channel_id = r.channel_id AND m.status = 'due' AND m.topic = %(topic)s AND m.received_at > r.since))
FROM channel_reading r WHERE r.channel_id = %(channel_id)s AND r.kind = 'sales';

-- name: ask_reading
-- Whoever listens to the channel does it within a second or two.
INSERT INTO channel_reading AS r (channel_id, kind, asked) VALUES (%(channel_id)s, %(kind)s, 1)
ON CONFLICT (channel_id, kind) DO UPDATE SET next_at = now(), failures = 0, error = NULL, asked = r.asked + 1
RETURNING asked;

-- name: place_reading
UPDATE channel_reading SET at = %(at)s WHERE channel_id = %(channel_id)s AND kind = %(kind)s;

-- name: fail_reading
UPDATE channel_reading SET failures = failures + 1, error = %(error)s,
    next_at = now() + make_interval(secs => %(seconds)s)
WHERE channel_id = %(channel_id)s AND kind = %(kind)s;

-- name: read_now
-- Orders of a week are not compared for it: that is asked for by itself.
UPDATE channel_reading SET next_at = now() WHERE kind <> 'reconcile' AND next_at > now();

-- name: readings
SELECT kind, since, next_at, failures, error, ended_at FROM channel_reading WHERE channel_id = %(channel_id)s ORDER BY kind;

-- name: told_of
-- What channels may have to be told of, between two places of the outbox: order ids.
SELECT DISTINCT data ->> 'order_id' FROM event
WHERE (xid, pos) > (%s::text::xid8, %s) AND (xid, pos) <= (%s::text::xid8, %s)
  AND (kind IN ('fulfilment.shipped', 'fulfilment.partly_shipped', 'order.cancelled')
       OR (kind LIKE 'order.%%' AND data ? 'cancelled'));

-- name: only_one
-- One process at a time writes notices.
SELECT pg_try_advisory_xact_lock(hashtext('onhand notices'));

-- name: add_notices
-- Parcels of orders that channels told us of, and cancellations that were not theirs. An order whose last units were
-- cancelled after a parcel is complete by that: its last parcel is told again, for channels that hear of the last only.
WITH ours AS (
    SELECT o.order_id, o.channel_id, o.status, c.said::json ->> 'status' AS there
    FROM orders o JOIN channel_order c ON c.channel_id = o.channel_id AND c.external_id = o.external_id
    WHERE o.order_id = ANY (%(ids)s::uuid[])
), parcels AS (
    INSERT INTO channel_notice AS n (channel_id, order_id, kind, shipment_no)
    SELECT o.channel_id, o.order_id, 'parcel', s.shipment_no FROM ours o JOIN shipment s USING (order_id)
    ORDER BY o.order_id, s.shipment_no
    ON CONFLICT (order_id, kind, shipment_no) DO NOTHING
), again AS (
    UPDATE channel_notice n SET status = 'due', next_try_at = now()
    FROM ours o
    WHERE n.order_id = o.order_id AND n.kind = 'parcel' AND n.status = 'done' AND o.status = 'shipped' AND o.there = 'open'
      AND n.error = 'not_told'
      AND n.shipment_no = (SELECT max(shipment_no) FROM shipment s WHERE s.order_id = o.order_id)
)
INSERT INTO channel_notice (channel_id, order_id, kind)
SELECT channel_id, order_id, 'cancel' FROM ours WHERE status = 'cancelled' AND there NOT IN ('cancelled', 'completed')
ORDER BY order_id
ON CONFLICT (order_id, kind, shipment_no) DO NOTHING;

-- name: add_part_notices
-- Units that we cancelled of orders that go on, and that the channel still wants by what was followed last; each time
-- another notice, as the one before may be on its way. What is to be told is worked out when it is.
INSERT INTO channel_notice (channel_id, order_id, kind, shipment_no)
SELECT o.channel_id, o.order_id, 'cancel',
       1 + coalesce((SELECT max(shipment_no) FROM channel_notice n WHERE n.order_id = o.order_id AND n.kind = 'cancel'), 0)
FROM orders o JOIN channel_order c ON c.channel_id = o.channel_id AND c.external_id = o.external_id
WHERE o.order_id = ANY (%(ids)s::uuid[]) AND o.status <> 'cancelled'
  AND c.said::json ->> 'status' NOT IN ('cancelled', 'completed')
  AND EXISTS (
    SELECT FROM order_line l, json_each_text(c.wanted::json) AS w
    WHERE l.order_id = o.order_id AND w.key = l.line_id AND l.cancelled > 0 AND l.quantity - l.cancelled < w.value::int)
ORDER BY o.order_id;

-- name: claim_notices
-- Written before anything is sent. Parcels of one order one after the other.
UPDATE channel_notice SET attempts = attempts + 1, sent_at = now(),
    next_try_at = now() + make_interval(secs => %(lease_s)s)
WHERE notice_id IN (
    SELECT notice_id FROM channel_notice n
    WHERE channel_id = %(channel_id)s AND status = 'due' AND next_try_at <= now()
      AND NOT EXISTS (SELECT FROM channel_notice e WHERE e.order_id = n.order_id AND e.kind = n.kind AND e.status = 'due'
                        AND e.shipment_no < n.shipment_no)
    ORDER BY notice_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING notice_id, order_id::text, kind, shipment_no, attempts;

-- name: shipped
-- A parcel as it left, whether it was the last one, and the units of each line that were complete before and with it.
SELECT s.carrier, s.service, s.tracking, s.shipped_at, n.code, o.external_id, o.lines,
       NOT EXISTS (SELECT FROM shipment t WHERE t.order_id = s.order_id AND t.shipment_no > s.shipment_no)
           AND o.status IN ('shipped', 'delivered') AS is_complete,
       (SELECT json_agg(json_build_array(l.line_no, l.item_id, l.shipment_no, l.quantity)) FROM shipment_line l
        WHERE l.order_id = s.order_id AND l.shipment_no <= s.shipment_no)
FROM shipment s
JOIN orders o USING (order_id)
JOIN fulfilment f ON f.order_id = s.order_id AND f.fulfilment_no = s.fulfilment_no
JOIN node n USING (node_id)
WHERE s.order_id = %(order_id)s AND s.shipment_no = %(number)s;

-- name: cancelled
SELECT external_id FROM orders WHERE order_id = %(order_id)s;

-- name: end_notice
UPDATE channel_notice SET status = %(status)s, error = %(error)s, done_at = CASE WHEN %(status)s = 'done' THEN now() END,
    next_try_at = now() + make_interval(secs => %(seconds)s)
WHERE notice_id = %(notice_id)s;

-- name: list_notices
SELECT notice_id, order_id::text, kind, shipment_no, status, attempts, created_at, next_try_at, sent_at, done_at, error
FROM channel_notice
WHERE channel_id = %(channel_id)s AND notice_id > %(after)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY notice_id LIMIT %(limit)s;

-- name: retry_notices
UPDATE channel_notice SET status = 'due', attempts = 0, next_try_at = now()
WHERE order_id = %(order_id)s AND status <> 'due'
RETURNING notice_id;

-- name: ours_since
-- Orders of ours that the channel should know, with what was heard of them.
SELECT c.external_id, o.order_id::text FROM channel_order c
JOIN orders o ON o.channel_id = c.channel_id AND o.external_id = c.external_id
WHERE c.channel_id = %(channel_id)s AND c.said_at >= %(since)s AND c.said_at < %(before)s;

-- name: not_taken
-- Of some orders those that wait for somebody to look at them, and why.
SELECT external_id, status, problem FROM channel_order
WHERE channel_id = %(channel_id)s AND external_id = ANY (%(ids)s::text[]) AND status IN ('unknown_sku', 'refused');

-- name: add_report
INSERT INTO channel_orders_report (channel_id, asked, since, seen, lost, changed, differing, findings)
VALUES (%(channel_id)s, %(asked)s, %(since)s, %(seen)s, %(lost)s, %(changed)s, %(differing)s, %(findings)s::jsonb)
RETURNING report_id;

-- name: list_reports
SELECT report_id, since, at, seen, lost, changed, differing, findings FROM channel_orders_report
WHERE channel_id = %(channel_id)s AND report_id < %(before)s ORDER BY report_id DESC LIMIT %(limit)s;

-- name: reported_of
SELECT asked FROM channel_orders_report WHERE report_id = %(report_id)s;

-- name: list_rulings
SELECT a.arbitration_id, a.at, a.order_id::text, i.sku, a.units, a.served::text, a.gave_way::text[], a.outcome, a.sentence
FROM arbitration a JOIN item i USING (item_id)
WHERE a.arbitration_id < %(before)s ORDER BY a.arbitration_id DESC LIMIT %(limit)s;
