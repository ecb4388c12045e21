-- name: load_listings
-- With the prices that they are to ask; all, or those of some skus. A listing that is paused has a price all the same.
SELECT l.item_id, coalesce(l.external_id, l.external_sku, i.sku), coalesce(l.external_sku, i.sku),
       i.price_minor, i.currency, p.shown_minor, coalesce(extract(epoch FROM p.shown_at), 0)::float8,
       coalesce(extract(epoch FROM p.verified_at), 0)::float8, p.sent_minor, p.sent_key, p.sent_batch::text,
       coalesce(p.failures, 0), coalesce(extract(epoch FROM p.next_try_at), 0)::float8,
       coalesce(p.is_foreign, false)
FROM listing l JOIN item i USING (item_id)
LEFT JOIN published_price p ON p.channel_id = l.channel_id AND p.item_id = l.item_id
WHERE l.channel_id = %(channel_id)s AND l.status <> 'closed' AND l.item_id > %(after)s
  AND (%(skus)s::text[] IS NULL OR i.sku = ANY (%(skus)s::text[]))
ORDER BY l.item_id LIMIT %(limit)s;

-- name: items_of
SELECT item_id FROM item WHERE sku = ANY (%(skus)s::text[]);

-- name: save
-- Only for the channel as it was when the process took it over: once its account, its currency or its mind has changed,
-- a late process remembers nothing more of it.
WITH still AS MATERIALIZED (
    SELECT channel_id FROM channel
    WHERE channel_id = %(channel_id)s AND updated_at = %(as_of)s AND prices FOR SHARE
)
INSERT INTO published_price AS p (channel_id, item_id, shown_minor, shown_at, verified_at, sent_minor, sent_key,
    sent_batch, failures, next_try_at, is_dead, is_foreign, last_error, sent_at)
SELECT s.channel_id, t.item_id, t.shown, t.shown_at, t.verified_at, t.sent, t.sent_key, t.sent_batch, t.failures,
       t.next_try_at, t.is_dead, t.is_foreign, t.last_error, CASE WHEN t.sent_key IS NOT NULL THEN clock_timestamp() END
FROM still s, jsonb_to_recordset(%(rows)s::jsonb) AS t (item_id int, shown bigint, shown_at timestamptz,
    verified_at timestamptz, sent bigint, sent_key text, sent_batch uuid, failures int, next_try_at timestamptz,
    is_dead boolean, is_foreign boolean, last_error text)
ON CONFLICT (channel_id, item_id) DO UPDATE SET
    shown_minor = excluded.shown_minor, shown_at = coalesce(excluded.shown_at, p.shown_at),
    verified_at = coalesce(excluded.verified_at, p.verified_at), sent_minor = excluded.sent_minor,
    sent_key = excluded.sent_key, sent_batch = excluded.sent_batch, sent_at = coalesce(excluded.sent_at, p.sent_at),
    failures = excluded.failures, next_try_at = excluded.next_try_at, is_dead = excluded.is_dead,
    is_foreign = excluded.is_foreign, last_error = excluded.last_error;

-- name: forget
DELETE FROM published_price WHERE channel_id = %(channel_id)s;

-- name: forget_reading
UPDATE channel_health SET prices_read_at = NULL, price_drift = '{}' WHERE channel_id = %(channel_id)s;

-- name: read_at
SELECT channel_id, extract(epoch FROM prices_read_at)::float8 FROM channel_health;

-- name: save_read
INSERT INTO channel_health AS h (channel_id, prices_read_at, price_drift)
VALUES (%(channel_id)s, clock_timestamp(), %(drift)s::jsonb)
ON CONFLICT (channel_id) DO UPDATE SET prices_read_at = excluded.prices_read_at, price_drift = excluded.price_drift;

-- name: get_read
SELECT prices_read_at, price_drift FROM channel_health h JOIN channel c USING (channel_id) WHERE c.code = %(code)s;

-- name: failing
SELECT i.sku, p.failures, p.is_dead, p.last_error, p.next_try_at, p.shown_minor, p.shown_at, p.verified_at,
       i.price_minor
FROM published_price p JOIN item i USING (item_id) JOIN channel c USING (channel_id)
WHERE c.code = %(code)s AND p.last_error IS NOT NULL ORDER BY p.is_dead DESC, p.failures DESC, i.sku LIMIT %(limit)s;
