-- name: get_channel
SELECT channel_id, code, name, connector,
       CASE WHEN node_ids IS NOT NULL THEN
           ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (c.node_ids) ORDER BY n.node_id) END AS nodes,
       node_group, currency, priority, margin_rate, gate, quota, settings, active, updated_at
FROM channel c WHERE code = %(code)s;

-- name: list_channels
SELECT channel_id, code, name, connector,
       CASE WHEN node_ids IS NOT NULL THEN
           ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (c.node_ids) ORDER BY n.node_id) END AS nodes,
       node_group, currency, priority, margin_rate, gate, quota, settings, active, updated_at
FROM channel c WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: write_channel
-- Under the lock of the network: ids stay dense.
INSERT INTO channel (channel_id, code, name, connector, node_ids, node_group, currency, priority, margin_rate, gate,
    quota, settings, active)
SELECT coalesce(max(channel_id), 0) + 1, %(code)s, %(name)s, %(connector)s, %(node_ids)s::int[], %(node_group)s,
    %(currency)s, %(priority)s, %(margin_rate)s, %(gate)s::jsonb, %(quota)s::jsonb, %(settings)s::jsonb, %(active)s
FROM channel
ON CONFLICT (code) DO UPDATE SET
    name = excluded.name, connector = excluded.connector, node_ids = excluded.node_ids,
    node_group = excluded.node_group, currency = excluded.currency, priority = excluded.priority,
    margin_rate = excluded.margin_rate, gate = excluded.gate, quota = excluded.quota, settings = excluded.settings,
    active = excluded.active, updated_at = now();

-- name: ids_of_listing
-- The row of a channel and an item, locked against a second writer of the same listing; NULLs where there is none.
SELECT (SELECT channel_id FROM channel WHERE code = %(channel)s FOR UPDATE),
       (SELECT item_id FROM item WHERE sku = %(sku)s);

-- name: get_listing
SELECT c.code AS channel, i.sku, l.external_id, l.external_sku, l.status, l.updated_at
FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
WHERE c.code = %(channel)s AND i.sku = %(sku)s;

-- name: list_listings
SELECT c.code AS channel, i.sku, l.external_id, l.external_sku, l.status, l.updated_at
FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
WHERE (c.code, i.sku) > (%(after_channel)s, %(after_sku)s)
  AND (%(channel)s::text IS NULL OR c.code = %(channel)s)
  AND (%(sku)s::text IS NULL OR i.sku = %(sku)s)
  AND (%(status)s::text IS NULL OR l.status = %(status)s)
ORDER BY c.code, i.sku LIMIT %(limit)s;

-- name: write_listing
INSERT INTO listing (channel_id, item_id, external_id, external_sku, status)
VALUES (%(channel_id)s, %(item_id)s, %(external_id)s, %(external_sku)s, %(status)s)
ON CONFLICT (channel_id, item_id) DO UPDATE SET
    external_id = excluded.external_id, external_sku = excluded.external_sku, status = excluded.status,
    updated_at = now();
