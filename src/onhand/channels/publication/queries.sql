-- name: lead
-- One process publishes to a channel at a time; its lock dies with its connection.
SELECT pg_try_advisory_lock(1869113697, %(channel_id)s);

-- name: unlead
SELECT pg_advisory_unlock(1869113697, %(channel_id)s);

-- name: leads
-- The channels that this connection holds.
SELECT coalesce(array_agg(objid::int), '{}') FROM pg_locks
WHERE locktype = 'advisory' AND classid = 1869113697 AND pid = pg_backend_pid() AND granted;

-- name: load_sellers
-- Channels, and the active nodes they sell from.
SELECT c.channel_id, c.code, c.connector, c.active, c.gate, c.quota, c.margin_rate, c.priority,
       ARRAY(SELECT n.node_id FROM node n
             WHERE n.active AND (coalesce(c.node_ids, g.node_ids) IS NULL OR n.node_id = ANY (coalesce(c.node_ids, g.node_ids)))
             ORDER BY n.node_id) AS node_ids
FROM channel c LEFT JOIN node_group g ON g.code = c.node_group ORDER BY c.channel_id;

-- name: quota_items
SELECT sku, item_id FROM item WHERE sku = ANY (%(skus)s::text[]);

-- name: load_listings
-- Columns as arrays: rows of so many would each cost a Python object. What was sent is in unsettled_writes.
SELECT array_agg(l.item_id), array_agg(coalesce(l.external_id, l.external_sku, i.sku)),
       array_agg(coalesce(l.external_sku, i.sku)), array_agg((l.status = 'active')::int),
       array_agg(coalesce(p.shown_units, -1)), array_agg(coalesce(extract(epoch FROM p.shown_at), 0)::float8),
       array_agg(coalesce(extract(epoch FROM p.verified_at), 0)::float8),
       array_agg(coalesce(p.failures, 0)), array_agg(coalesce(extract(epoch FROM p.next_try_at), 0)::float8)
FROM (SELECT * FROM listing
      WHERE channel_id = %(channel_id)s AND status <> 'closed' AND item_id > %(after)s
        AND (%(items)s::int[] IS NULL OR item_id = ANY (%(items)s::int[]))
      ORDER BY item_id LIMIT %(limit)s) l
JOIN item i USING (item_id)
LEFT JOIN published p ON p.channel_id = %(channel_id)s AND p.item_id = l.item_id;

-- name: unsettled_writes
-- Writes that left, or were about to, and whose fate is not known.
SELECT item_id, sent_units, sent_key, sent_batch::text, sent_was FROM published
WHERE channel_id = %(channel_id)s AND sent_key IS NOT NULL;

-- name: save_published
-- Without waiting for the disk: a server that loses power forgets the last of it, and then the numbers are written once
-- more; a process of ours that dies finds it all.
INSERT INTO published AS p (channel_id, item_id, shown_units, shown_at, verified_at, sent_units, sent_key, sent_batch,
    sent_was, failures, next_try_at, last_error, sent_at)
SELECT %(channel_id)s, item_id, nullif(shown, -1), shown_at, verified_at, nullif(sent, -1), sent_key, sent_batch, sent_was,
    failures, next_try_at, last_error, CASE WHEN sent_key IS NOT NULL THEN clock_timestamp() END
FROM unnest(%(item)s::int[], %(shown)s::int[], %(shown_at)s::timestamptz[], %(verified_at)s::timestamptz[],
    %(sent)s::int[], %(sent_key)s::text[], %(sent_batch)s::text[]::uuid[], %(sent_was)s::int[], %(failures)s::int[],
    %(next_try_at)s::timestamptz[], %(last_error)s::text[])
    AS t (item_id, shown, shown_at, verified_at, sent, sent_key, sent_batch, sent_was, failures, next_try_at, last_error),
    (SELECT set_config('synchronous_commit', 'off', true)) AS hurried
ON CONFLICT (channel_id, item_id) DO UPDATE SET
    shown_units = excluded.shown_units, shown_at = coalesce(excluded.shown_at, p.shown_at),
    verified_at = coalesce(excluded.verified_at, p.verified_at), sent_units = excluded.sent_units,
    sent_key = excluded.sent_key, sent_batch = excluded.sent_batch, sent_was = excluded.sent_was,
    sent_at = coalesce(excluded.sent_at, p.sent_at), failures = excluded.failures, next_try_at = excluded.next_try_at,
    last_error = excluded.last_error;

-- name: sold_since
-- What a channel itself has sold of some items since its number was acknowledged, as far as we have heard. Ids of
-- orders grow with time: the key finds the latest.
SELECT w.item_id, sum(l.quantity)::int
FROM unnest(%(items)s::int[], %(since)s::timestamptz[]) AS w (item_id, since)
JOIN orders o ON o.order_id >= %(first)s::uuid AND o.channel_id = %(channel_id)s AND o.created_at > w.since
JOIN order_line l ON l.order_id = o.order_id AND l.item_id = w.item_id
GROUP BY w.item_id;

-- name: changes
-- What may change numbers of channels, of all processes.
SELECT kind, data, extract(epoch FROM at)::float8 FROM event
WHERE (xid, pos) > (%(xid)s::text::xid8, %(pos)s) AND (xid, pos) <= (%(to_xid)s::text::xid8, %(to_pos)s)
  AND kind IN ('stock.changed', 'item.changed', 'network.changed')
ORDER BY xid, pos;

-- name: last_stock_changes
-- Of the last moments: a process's memory may not have taken over yet what it was about to.
SELECT data FROM event WHERE subject = 'stock' AND kind = 'stock.changed' ORDER BY xid DESC, pos DESC LIMIT 1000;

-- name: save_health
-- What was known of its numbers stays while nobody can publish to it: they grow older.
INSERT INTO channel_health AS h (channel_id, at, publication, latency)
VALUES (%(channel_id)s, clock_timestamp(), %(publication)s::jsonb, %(latency)s::jsonb)
ON CONFLICT (channel_id) DO UPDATE SET
    at = excluded.at,
    publication = jsonb_strip_nulls(jsonb_build_object('numbers', h.publication -> 'numbers')) || excluded.publication,
    latency = h.latency || excluded.latency;

-- name: save_reconciled
INSERT INTO channel_health AS h (channel_id, reconciled_at, drift) VALUES (%(channel_id)s, clock_timestamp(), %(drift)s::jsonb)
ON CONFLICT (channel_id) DO UPDATE SET reconciled_at = excluded.reconciled_at, drift = excluded.drift;

-- name: ask_reconcile
-- Whoever publishes to the channel reconciles it within a second.
INSERT INTO channel_health AS h (channel_id, reconciled_at) VALUES (%(channel_id)s, NULL)
ON CONFLICT (channel_id) DO UPDATE SET reconciled_at = NULL, prices_read_at = NULL;

-- name: reconciled_at
SELECT channel_id, extract(epoch FROM reconciled_at)::float8 FROM channel_health;

-- name: get_health
SELECT h.at, h.publication, h.latency, h.reconciled_at, h.drift,
       extract(epoch FROM clock_timestamp() - h.at)::float8 AS age_s
FROM channel_health h JOIN channel c USING (channel_id) WHERE c.code = %(code)s;

-- name: list_health
SELECT c.code, h.publication, h.drift, extract(epoch FROM clock_timestamp() - h.at)::float8
FROM channel_health h JOIN channel c USING (channel_id) ORDER BY c.code;

-- name: failing_listings
SELECT i.sku, p.failures, p.last_error, p.next_try_at, p.shown_units, p.shown_at, p.verified_at
FROM published p JOIN item i USING (item_id) JOIN channel c USING (channel_id)
WHERE c.code = %(code)s AND p.last_error IS NOT NULL ORDER BY p.failures DESC, i.sku LIMIT %(limit)s;

-- name: stalest_listings
-- Those whose number was verified longest ago, or never.
SELECT i.sku, p.shown_units, p.shown_at, p.verified_at, p.failures, p.last_error
FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
LEFT JOIN published p ON p.channel_id = l.channel_id AND p.item_id = l.item_id
WHERE c.code = %(code)s AND l.status = 'active'
ORDER BY p.verified_at NULLS FIRST, i.sku LIMIT %(limit)s;

-- name: told
-- The number that a channel has acknowledged, and the one that is on its way to it.
SELECT i.sku, array_remove(ARRAY[p.shown_units, p.sent_units], NULL)
FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
LEFT JOIN published p ON p.channel_id = l.channel_id AND p.item_id = l.item_id
WHERE c.code = %(code)s AND l.status = 'active' ORDER BY i.sku;

-- name: staleness
SELECT count(*)::int AS listings, count(p.shown_at)::int AS told, count(p.verified_at)::int AS verified,
       extract(epoch FROM clock_timestamp() - min(p.verified_at))::float8 AS oldest_s,
       extract(epoch FROM clock_timestamp() - percentile_disc(0.5) WITHIN GROUP (ORDER BY p.verified_at))::float8 AS p50_s,
       count(*) FILTER (WHERE p.sent_key IS NOT NULL)::int AS under_way,
       count(*) FILTER (WHERE p.last_error IS NOT NULL)::int AS failing
FROM listing l JOIN channel c USING (channel_id)
LEFT JOIN published p ON p.channel_id = l.channel_id AND p.item_id = l.item_id
WHERE c.code = %(code)s AND l.status = 'active';

-- name: channels
SELECT code, name, connector, active FROM channel ORDER BY code;

-- name: listings_of_all
SELECT c.code, count(*)::int FROM listing l JOIN channel c USING (channel_id) WHERE l.status = 'active' GROUP BY c.code;
