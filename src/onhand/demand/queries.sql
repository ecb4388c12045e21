-- name: node_places
-- Every node is a place: what is bought over its counter arises there.
INSERT INTO demand_place (node_id, timezone)
SELECT node_id, timezone FROM node n
WHERE NOT EXISTS (SELECT FROM demand_place p WHERE p.node_id = n.node_id)
ORDER BY node_id
ON CONFLICT DO NOTHING;

-- name: region_places
-- Days of a region are those of a node in it, else of one in its country, else of most nodes.
INSERT INTO demand_place (region, timezone)
SELECT r.region, coalesce(
    (SELECT n.timezone FROM node n WHERE demand_region_v1(n.country, n.region) = r.region ORDER BY n.node_id LIMIT 1),
    (SELECT n.timezone FROM node n WHERE n.country = split_part(r.region, '-', 1) ORDER BY n.node_id LIMIT 1),
    (SELECT n.timezone FROM node n GROUP BY n.timezone ORDER BY count(*) DESC, n.timezone LIMIT 1),
    'UTC')
FROM unnest(%(regions)s::text[]) AS r (region)
WHERE NOT EXISTS (SELECT FROM demand_place p WHERE p.region = r.region)
ORDER BY r.region
ON CONFLICT DO NOTHING;

-- name: place_ids
SELECT p.place_id, n.code, p.region FROM demand_place p LEFT JOIN node n USING (node_id)
WHERE n.code = ANY (%(nodes)s::text[]) OR p.region = ANY (%(regions)s::text[]);

-- name: item_ids
SELECT sku, item_id FROM item WHERE sku = ANY (%(skus)s::text[]);

-- name: bundles
SELECT DISTINCT bundle_id FROM bundle_component WHERE bundle_id = ANY (%(items)s::int[]);

-- name: node_ids
SELECT code, node_id FROM node WHERE code = ANY (%(codes)s::text[]);

-- name: channel_ids
SELECT code, channel_id FROM channel WHERE code = ANY (%(codes)s::text[]);

-- name: lock_sales
-- Imports wait for each other: they touch the same days in any order.
SELECT pg_advisory_xact_lock(hashtextextended('onhand imported sales', 0));

-- name: sales
SELECT s.item_id, s.place_id, s.channel_id, s.day, s.units, s.price_minor, s.stock_out_hours::float8
FROM unnest(%(items)s::int[], %(places)s::int[], %(channels)s::int[], %(days)s::date[])
    AS t (item_id, place_id, channel_id, day)
JOIN imported_sale s USING (item_id, place_id, channel_id, day);

-- name: write_sales
INSERT INTO imported_sale AS s (item_id, place_id, channel_id, day, units, price_minor, stock_out_hours)
SELECT * FROM unnest(%(items)s::int[], %(places)s::int[], %(channels)s::int[], %(days)s::date[], %(units)s::int[],
    %(prices)s::bigint[], %(hours)s::real[])
ON CONFLICT (item_id, place_id, channel_id, day) DO UPDATE
SET units = excluded.units, price_minor = excluded.price_minor, stock_out_hours = excluded.stock_out_hours,
    updated_at = now();

-- name: lock_signals
-- Whoever tells values of these names waits for others who do: what is a correction depends on what was there.
SELECT pg_advisory_xact_lock(hashtextextended('onhand signal ' || name, 0))
FROM (SELECT DISTINCT name FROM unnest(%(names)s::text[]) AS t (name) ORDER BY name) AS n;

-- name: signals
SELECT s.signal_id, s.name, i.sku, s.category, n.code, s.region, s.known_ahead, s.fill, s.begun_at
FROM signal s LEFT JOIN item i ON i.item_id = s.item_id LEFT JOIN node n ON n.node_id = s.node_id
WHERE s.name = ANY (%(names)s::text[]);

-- name: add_signals
INSERT INTO signal (name, item_id, category, node_id, region, known_ahead, fill, begun_at)
SELECT t.name, i.item_id, t.category, n.node_id, t.region, t.known_ahead, t.fill, %(begun)s
FROM unnest(%(names)s::text[], %(skus)s::text[], %(categories)s::text[], %(nodes)s::text[], %(regions)s::text[],
    %(known_ahead)s::boolean[], %(fills)s::text[]) WITH ORDINALITY
    AS t (name, sku, category, node, region, known_ahead, fill, n)
LEFT JOIN item i ON i.sku = t.sku
LEFT JOIN node n ON n.code = t.node
ORDER BY t.n
RETURNING signal_id;

-- name: set_fill
UPDATE signal SET fill = %(fill)s WHERE signal_id = %(signal_id)s;

-- name: values_of
SELECT v.signal_id, v.at, nullif(v.known_at, '-infinity'), v.value
FROM unnest(%(signals)s::int[], %(ats)s::timestamptz[]) AS t (signal_id, at)
JOIN signal_value v USING (signal_id, at);

-- name: add_values
INSERT INTO signal_value (signal_id, at, known_at, value)
SELECT signal_id, at, coalesce(known_at, '-infinity'), value
FROM unnest(%(signals)s::int[], %(ats)s::timestamptz[], %(known)s::timestamptz[], %(values)s::float8[])
    AS t (signal_id, at, known_at, value);

-- name: list_signals
SELECT s.name, jsonb_strip_nulls(jsonb_build_object('sku', i.sku, 'category', s.category, 'node', n.code,
           'region', s.region)) AS scope,
       s.known_ahead, s.fill, v.moments AS values, v.told - v.moments AS corrections, v.first_at, v.last_at,
       v.recorded_at, s.signal_id AS position
FROM signal s
LEFT JOIN item i ON i.item_id = s.item_id
LEFT JOIN node n ON n.node_id = s.node_id
CROSS JOIN LATERAL (
    SELECT count(*) AS told, count(DISTINCT at) AS moments, min(at) AS first_at, max(at) AS last_at,
           max(recorded_at) AS recorded_at
    FROM signal_value WHERE signal_id = s.signal_id
) AS v
WHERE (s.name, s.signal_id) > (%(after_name)s::text, %(after_id)s::int)
  AND (%(name)s::text IS NULL OR s.name = %(name)s)
  AND (%(sku)s::text IS NULL OR i.sku = %(sku)s)
  AND (%(node)s::text IS NULL OR n.code = %(node)s)
  AND (%(region)s::text IS NULL OR s.region = %(region)s)
ORDER BY s.name, s.signal_id
LIMIT %(limit)s;

-- name: delete_signals
DELETE FROM signal WHERE name = %(name)s RETURNING 1;

-- name: known_signals
-- What was known when the origin began, by value of each moment the last that was: of a signal that is known ahead for
-- any day, of others only for days before. as_recorded: only what had been written by then.
SELECT DISTINCT ON (v.signal_id, v.at)
       v.signal_id::bigint, (extract(epoch FROM v.at) * 1000000)::bigint, v.value
FROM signal_value v JOIN signal s USING (signal_id)
WHERE v.known_at < %(origin)s::timestamptz
  AND (NOT %(as_recorded)s OR v.recorded_at < %(origin)s::timestamptz)
  AND v.at < CASE WHEN s.known_ahead THEN %(until)s::timestamptz ELSE %(origin)s::timestamptz END
  AND (%(names)s::text[] IS NULL OR s.name = ANY (%(names)s::text[]))
ORDER BY v.signal_id, v.at, v.known_at DESC;

-- name: all_signals
SELECT s.signal_id, s.name, i.sku, s.category, n.code, s.region, s.known_ahead, s.fill, s.begun_at
FROM signal s LEFT JOIN item i ON i.item_id = s.item_id LEFT JOIN node n ON n.node_id = s.node_id
WHERE %(names)s::text[] IS NULL OR s.name = ANY (%(names)s::text[])
ORDER BY s.signal_id;

-- name: get_feed
SELECT name, document, active, next_at, read_at, written, rejected, reject, failures, error,
       secrets IS NOT NULL AS has_secrets, updated_at
FROM signal_feed WHERE name = %(name)s;

-- name: list_feeds
SELECT name, document, active, next_at, read_at, written, rejected, reject, failures, error,
       secrets IS NOT NULL AS has_secrets, updated_at
FROM signal_feed WHERE name > %(after)s ORDER BY name LIMIT %(limit)s;

-- name: lock_feed
SELECT secrets FROM signal_feed WHERE name = %(name)s FOR UPDATE;

-- name: write_feed
-- Read at once: whoever sets it up sees whether it works.
INSERT INTO signal_feed AS f (name, document, secrets, active)
VALUES (%(name)s, %(document)s::jsonb, %(secrets)s, %(active)s)
ON CONFLICT (name) DO UPDATE
SET document = excluded.document, secrets = excluded.secrets, active = excluded.active, next_at = now(), failures = 0,
    error = NULL, updated_at = now();

-- name: delete_feed
DELETE FROM signal_feed WHERE name = %(name)s RETURNING 1;

-- name: take_feed
-- Held by being due again only after the time that reading may take: one that died with its worker is read then.
UPDATE signal_feed SET next_at = now() + make_interval(secs => %(lease_s)s)
WHERE name = (
    SELECT name FROM signal_feed WHERE active AND next_at <= now() ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING name, document, secrets, updated_at, failures;

-- name: end_feed
-- In the transaction of the values. Nothing when the feed was changed meanwhile: then it is read again anyway.
UPDATE signal_feed
SET next_at = now() + make_interval(secs => %(every_s)s), read_at = now(), written = %(written)s,
    rejected = %(rejected)s, reject = %(reject)s, failures = 0, error = NULL
WHERE name = %(name)s AND updated_at = %(updated_at)s AND active
RETURNING 1;

-- name: fail_feed
UPDATE signal_feed
SET next_at = now() + make_interval(secs => %(again_s)s), failures = failures + 1, error = %(error)s
WHERE name = %(name)s AND updated_at = %(updated_at)s;
