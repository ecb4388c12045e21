-- name: lock_shipments
-- Of tracking numbers or of keys, locked in one order.
SELECT s.order_id::text, s.shipment_no, s.carrier, s.tracking, s.shipped_at
FROM shipment s
WHERE (s.order_id, s.shipment_no) IN (
    SELECT order_id, shipment_no FROM shipment WHERE tracking = ANY (%(trackings)s::text[])
    UNION ALL
    SELECT order_id, shipment_no FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[]) AS t (order_id, shipment_no))
ORDER BY s.order_id, s.shipment_no
FOR UPDATE;

-- name: add_events
-- The numbers of those that were new.
WITH told AS (
    SELECT * FROM unnest(%(ns)s::int[], %(order_ids)s::uuid[], %(shipment_nos)s::smallint[], %(carriers)s::text[],
        %(trackings)s::text[], %(milestones)s::text[], %(ats)s::timestamptz[], %(places)s::text[], %(codes)s::text[],
        %(texts)s::text[], %(dedupes)s::bytea[])
        AS t (n, order_id, shipment_no, carrier, tracking, milestone, at, place, code, text, dedupe)
), added AS (
    INSERT INTO tracking_event (order_id, shipment_no, carrier, tracking, milestone, at, place, carrier_code, carrier_text,
        source, dedupe, actor)
    SELECT order_id, shipment_no, carrier, tracking, milestone, at, place::jsonb, code, text, %(source)s, dedupe, %(actor)s
    FROM told ORDER BY dedupe, order_id, shipment_no
    ON CONFLICT DO NOTHING
    RETURNING dedupe, order_id, shipment_no
)
SELECT min(t.n)
FROM added a JOIN told t ON t.dedupe = a.dedupe AND (t.order_id, t.shipment_no) IS NOT DISTINCT FROM (a.order_id, a.shipment_no)
GROUP BY a.dedupe, a.order_id, a.shipment_no ORDER BY 1;

-- name: follow_scans
-- Bring shipments up to date with their scans; the rows are locked.
UPDATE shipment s SET milestone = t.milestone, scanned_at = t.scanned_at
FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[]) AS k (order_id, shipment_no)
JOIN LATERAL (
    SELECT milestone, scanned_at FROM shipment_scans v WHERE (v.order_id, v.shipment_no) = (k.order_id, k.shipment_no)
) t ON true
WHERE (s.order_id, s.shipment_no) = (k.order_id, k.shipment_no);

-- name: find_matches
-- Shipments that have appeared lately for scans that waited for them. Asked from the side of shipments: carriers may tell
-- of any number of parcels that are none of ours.
SELECT e.event_id, s.order_id::text, s.shipment_no
FROM shipment s JOIN tracking_event e ON e.order_id IS NULL AND e.tracking = s.tracking AND (s.carrier = e.carrier OR s.carrier IS NULL)
WHERE s.shipped_at >= now() - make_interval(secs => %(lately_s)s)
  AND s.shipped_at BETWEEN e.at - make_interval(days => %(days_before)s) AND e.at + make_interval(days => %(days_after)s)
ORDER BY e.event_id LIMIT %(limit)s;

-- name: move_events
-- What somebody else has moved meanwhile is not there any more.
WITH gone AS (
    DELETE FROM tracking_event WHERE event_id = ANY (%(event_ids)s) AND order_id IS NULL RETURNING *
)
INSERT INTO tracking_event (order_id, shipment_no, carrier, tracking, milestone, at, place, carrier_code, carrier_text,
    source, dedupe, recorded_at, actor)
SELECT k.order_id, k.shipment_no, g.carrier, g.tracking, g.milestone, g.at, g.place, g.carrier_code, g.carrier_text,
       g.source, g.dedupe, g.recorded_at, g.actor
FROM gone g JOIN unnest(%(event_ids)s::bigint[], %(order_ids)s::uuid[], %(numbers)s::smallint[])
    AS k (event_id, order_id, shipment_no) USING (event_id)
ORDER BY g.dedupe, k.order_id, k.shipment_no
ON CONFLICT DO NOTHING;

-- name: find_to_deliver
-- Orders with a shipment that is scanned as delivered and not followed: not delivered by our books yet, or of a
-- fulfilment that waited for the rest of it, which has come.
SELECT s.order_id::text
FROM shipment s JOIN fulfilment f USING (order_id, fulfilment_no)
WHERE s.milestone = 'delivered' AND (s.delivered_at IS NULL OR s.awaits_rest)
  AND (s.delivered_at IS NULL OR (f.status = 'shipped' AND NOT EXISTS (
      SELECT FROM shipment o WHERE (o.order_id, o.fulfilment_no) = (s.order_id, s.fulfilment_no)
          AND o.delivered_at IS NULL AND o.milestone IS DISTINCT FROM 'delivered')))
GROUP BY s.order_id ORDER BY min(s.scanned_at), s.order_id LIMIT %(limit)s;

-- name: deliver_scanned
-- Each as the carrier's first scan has it; never before it left, by our books.
UPDATE shipment s SET delivered_at = greatest(t.delivered_at, s.shipped_at), awaits_rest = true
FROM shipment_scans t
WHERE s.order_id = ANY (%(ids)s::uuid[]) AND s.delivered_at IS NULL AND s.milestone = 'delivered'
  AND (t.order_id, t.shipment_no) = (s.order_id, s.shipment_no);

-- name: whole
-- Fulfilments all of whose shipments are delivered, of which some wait for that.
SELECT order_id::text, fulfilment_no FROM shipment WHERE order_id = ANY (%(ids)s::uuid[])
GROUP BY order_id, fulfilment_no HAVING bool_and(delivered_at IS NOT NULL) AND bool_or(awaits_rest);

-- name: purge_waiting
DELETE FROM tracking_event WHERE order_id IS NULL AND recorded_at < %(before)s;

-- name: forget_texts
-- What carriers wrote in their own words of the parcels of a person.
UPDATE tracking_event e SET carrier_text = NULL, place = NULL
FROM orders o WHERE o.customer_id = %(customer_id)s AND e.order_id = o.order_id
  AND (e.carrier_text IS NOT NULL OR e.place IS NOT NULL);

-- name: list_shipments
SELECT s.order_id::text, s.shipment_no, s.fulfilment_no, n.code AS node, s.carrier, s.service, s.tracking, s.milestone,
       s.shipped_at, s.scanned_at, s.delivered_at, f.deliver_by, s.p_late, s.likely_late_since, d.made_at, d.days
FROM shipment s
JOIN fulfilment f USING (order_id, fulfilment_no)
JOIN node n USING (node_id)
LEFT JOIN delivery_forecast d
    ON (d.order_id, d.shipment_no, d.forecast_no) = (s.order_id, s.shipment_no, s.forecasts)
WHERE (%(order_id)s::uuid IS NULL OR (s.order_id, s.shipment_no) = (%(order_id)s::uuid, %(shipment_no)s::smallint))
  AND (%(node)s::text IS NULL OR n.code = %(node)s)
  AND (%(carrier)s::text IS NULL OR s.carrier = %(carrier)s)
  AND (%(is_open)s::boolean IS NULL OR (s.delivered_at IS NULL) = %(is_open)s)
  AND (%(status)s::text IS NULL OR CASE WHEN s.delivered_at IS NOT NULL THEN 'delivered'
                                        ELSE coalesce(s.milestone, 'shipped') END = %(status)s)
  AND (%(p_late_min)s::float8 IS NULL OR (s.delivered_at IS NULL AND s.p_late >= %(p_late_min)s))
  AND (%(shipped_at)s::timestamptz IS NULL
       OR (s.shipped_at, s.order_id, s.shipment_no) < (%(shipped_at)s, %(after_order)s::uuid, %(after_no)s::smallint))
ORDER BY s.shipped_at DESC, s.order_id DESC, s.shipment_no DESC
LIMIT %(limit)s;

-- name: events_of
SELECT milestone, at, place, carrier_code AS code, carrier_text AS text, source, recorded_at
FROM tracking_event WHERE (order_id, shipment_no) = (%(order_id)s::uuid, %(shipment_no)s::smallint)
ORDER BY at, milestone_rank_v1(milestone), event_id;

-- name: forecasts_of
SELECT made_at, milestone, days, due_at, p_late
FROM delivery_forecast WHERE (order_id, shipment_no) = (%(order_id)s::uuid, %(shipment_no)s::smallint)
ORDER BY forecast_no;

-- name: recent
-- The latest shipments that somebody carried.
SELECT s.order_id::text, s.shipment_no FROM shipment s JOIN fulfilment f USING (order_id, fulfilment_no)
WHERE f.method <> 'pickup' AND s.shipped_at >= %(since)s AND s.milestone IS DISTINCT FROM 'returned'
ORDER BY s.shipped_at DESC, s.order_id DESC, s.shipment_no DESC LIMIT %(limit)s;

-- name: to_foretell
-- New ones and those that were scanned since.
SELECT s.order_id::text, s.shipment_no FROM shipment s JOIN fulfilment f USING (order_id, fulfilment_no)
WHERE f.method <> 'pickup' AND s.delivered_at IS NULL AND (s.foretold_at IS NULL OR s.scanned_at IS DISTINCT FROM s.foretold_of)
  AND s.shipped_at >= %(since)s
ORDER BY s.shipped_at DESC LIMIT %(limit)s;

-- name: to_foretell_again
-- Each day without a delivery says something, too.
SELECT s.order_id::text, s.shipment_no FROM shipment s JOIN fulfilment f USING (order_id, fulfilment_no)
WHERE f.method <> 'pickup' AND s.delivered_at IS NULL AND s.shipped_at >= %(since)s AND s.foretold_at < %(before)s
ORDER BY s.foretold_at LIMIT %(limit)s;

-- name: facts
-- What forecasts are made of. Moments in days since 1970; scans: of each milestone the first.
SELECT s.order_id::text, s.shipment_no, s.carrier, s.service, n.code, n.latitude, n.longitude, f.units,
       extract(epoch FROM s.shipped_at)::float8 / 86400, extract(epoch FROM s.delivered_at)::float8 / 86400,
       extract(epoch FROM f.deliver_by)::float8 / 86400, (o.request::json -> 'destination')::text,
       s.milestone, extract(epoch FROM s.scanned_at)::float8 / 86400, s.scanned_at, t.scans, n.country, n.region
FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[]) AS k (order_id, shipment_no)
JOIN shipment s USING (order_id, shipment_no)
JOIN fulfilment f USING (order_id, fulfilment_no)
JOIN node n USING (node_id)
JOIN orders o USING (order_id)
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(milestone, first) AS scans
    FROM (SELECT milestone, extract(epoch FROM min(at))::float8 / 86400 AS first FROM tracking_event e
          WHERE (e.order_id, e.shipment_no) = (k.order_id, k.shipment_no) GROUP BY milestone) m
) t ON s.milestone IS NOT NULL
ORDER BY s.shipped_at, s.order_id, s.shipment_no;

-- name: lock_foretold
-- Shipments that are still on their way and as they were when the forecast was made; who works on one, foretells it.
SELECT s.order_id::text, s.shipment_no, s.forecasts, s.likely_late_since, s.p_late, d.days
FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[], %(scanned)s::timestamptz[]) AS k (order_id, shipment_no, scanned_at)
JOIN shipment s USING (order_id, shipment_no)
LEFT JOIN delivery_forecast d ON (d.order_id, d.shipment_no, d.forecast_no) = (s.order_id, s.shipment_no, s.forecasts)
WHERE s.delivered_at IS NULL AND s.scanned_at IS NOT DISTINCT FROM k.scanned_at
ORDER BY s.order_id, s.shipment_no
FOR UPDATE OF s SKIP LOCKED;

-- name: add_forecasts
INSERT INTO delivery_forecast (order_id, shipment_no, forecast_no, made_at, milestone, days, due_at, p_late)
SELECT k.order_id, k.shipment_no, k.forecast_no, %(now)s, k.milestone, ARRAY(SELECT json_array_elements_text(k.days::json)::float8),
       to_timestamp(k.due * 86400), k.p_late
FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[], %(forecast_nos)s::smallint[], %(milestones)s::text[],
    %(days)s::text[], %(dues)s::float8[], %(p_lates)s::float8[])
    AS k (order_id, shipment_no, forecast_no, milestone, days, due, p_late);

-- name: note_forecasts
UPDATE shipment s SET forecasts = k.forecasts, p_late = k.p_late, likely_late_since = k.since, foretold_at = %(now)s,
    foretold_of = s.scanned_at
FROM unnest(%(order_ids)s::uuid[], %(numbers)s::smallint[], %(forecast_nos)s::smallint[], %(p_lates)s::float8[],
    %(sinces)s::timestamptz[]) AS k (order_id, shipment_no, forecasts, p_late, since)
WHERE (s.order_id, s.shipment_no) = (k.order_id, k.shipment_no);

-- name: has_much
-- Whether so many have been delivered lately, and any is on its way.
SELECT (SELECT count(*) FROM (SELECT FROM shipment WHERE delivered_at >= %(since)s AND shipped_at >= %(since)s LIMIT %(many)s) x) >= %(many)s
    AND EXISTS (SELECT FROM shipment WHERE delivered_at IS NULL AND shipped_at >= %(since)s);

-- name: get_feed
SELECT carrier_id, code, tracking AS document, secret FROM carrier WHERE code = %(code)s;

-- name: lock_feed
SELECT carrier_id, code, tracking AS document, secret FROM carrier WHERE code = %(code)s FOR UPDATE;

-- name: write_feed
UPDATE carrier SET tracking = %(document)s::jsonb, secret = %(secret)s WHERE code = %(code)s;

-- name: add_message
-- A repeat changes nothing.
INSERT INTO carrier_message (carrier_id, dedupe, body) VALUES (%(carrier_id)s, %(dedupe)s, %(body)s)
ON CONFLICT (carrier_id, dedupe) DO NOTHING RETURNING message_id;

-- name: lock_messages
SELECT m.message_id, c.code, m.body, c.tracking AS document
FROM carrier_message m JOIN carrier c USING (carrier_id)
WHERE m.status = 'due' ORDER BY m.message_id LIMIT %(limit)s FOR UPDATE OF m SKIP LOCKED;

-- name: end_message
UPDATE carrier_message SET status = %(status)s, scans = %(scans)s, skipped = %(skipped)s, error = %(error)s, done_at = now(),
    body = CASE WHEN %(status)s = 'done' THEN NULL ELSE body END
WHERE message_id = %(message_id)s;

-- name: read_again
-- What could not be read may be readable by another map.
UPDATE carrier_message SET status = 'due' WHERE carrier_id = %(carrier_id)s AND status = 'parked';

-- name: list_messages
SELECT m.message_id, c.code AS carrier, m.status, m.received_at, m.scans, m.skipped, m.error, m.done_at
FROM carrier_message m JOIN carrier c USING (carrier_id)
WHERE (%(code)s::text IS NULL OR c.code = %(code)s) AND (%(status)s::text IS NULL OR m.status = %(status)s)
  AND (%(before)s::bigint IS NULL OR m.message_id < %(before)s)
ORDER BY m.message_id DESC LIMIT %(limit)s;

-- name: purge_messages
DELETE FROM carrier_message WHERE status = 'done' AND done_at < %(before)s;
