-- name: get_channel
SELECT channel_id, code, name, connector,
       CASE WHEN node_ids IS NOT NULL THEN
           ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (c.node_ids) ORDER BY n.node_id) END AS nodes,
       node_group, currency, priority, margin_rate, gate, quota, oversell, settings, prices, active, updated_at
FROM channel c WHERE code = %(code)s;

-- name: list_channels
SELECT channel_id, code, name, connector,
       CASE WHEN node_ids IS NOT NULL THEN
           ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (c.node_ids) ORDER BY n.node_id) END AS nodes,
       node_group, currency, priority, margin_rate, gate, quota, oversell, settings, prices, active, updated_at
FROM channel c WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: write_channel
-- Under the lock of the network: ids stay dense.
INSERT INTO channel (channel_id, code, name, connector, node_ids, node_group, currency, priority, margin_rate, gate,
    quota, oversell, settings, prices, active, credentials)
SELECT coalesce(max(channel_id), 0) + 1, %(code)s, %(name)s, %(connector)s, %(node_ids)s::int[], %(node_group)s,
    %(currency)s, %(priority)s, %(margin_rate)s, %(gate)s::jsonb, %(quota)s::jsonb,
    %(oversell)s::jsonb, %(settings)s::jsonb, %(prices)s, %(active)s,
    %(sealed)s
FROM channel
ON CONFLICT (code) DO UPDATE SET
    name = excluded.name, connector = excluded.connector, node_ids = excluded.node_ids,
    node_group = excluded.node_group, currency = excluded.currency, priority = excluded.priority,
    margin_rate = excluded.margin_rate, gate = excluded.gate, quota = excluded.quota,
    oversell = excluded.oversell, settings = excluded.settings, prices = excluded.prices,
    active = excluded.active, credentials = excluded.credentials, updated_at = now();

-- name: list_connected
SELECT channel_id, code, connector, currency, settings, credentials AS sealed, prices, active, created_at, updated_at
FROM channel WHERE connector <> %(api)s ORDER BY channel_id;

-- name: get_sealed
SELECT credentials FROM channel WHERE code = %(code)s;

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

-- name: match_offers
SELECT DISTINCT ON (t.sku) t.sku, i.item_id, i.sku, l.external_id, coalesce(l.status, 'active'), l.item_id IS NULL
FROM unnest(%(skus)s::text[]) AS t (sku)
LEFT JOIN listing named ON named.channel_id = %(channel_id)s AND named.external_sku = t.sku
JOIN item i ON i.item_id = coalesce(named.item_id, (SELECT item_id FROM item WHERE item.sku = t.sku))
LEFT JOIN listing l ON l.channel_id = %(channel_id)s AND l.item_id = i.item_id
WHERE t.sku <> '' ORDER BY t.sku, i.item_id;

-- name: write_listings
INSERT INTO listing (channel_id, item_id, external_id, external_sku, status)
SELECT %(channel_id)s, t.* FROM unnest(%(items)s::int[], %(ids)s::text[], %(skus)s::text[], %(statuses)s::text[]) AS t
ON CONFLICT (channel_id, item_id) DO UPDATE SET
    external_id = excluded.external_id, external_sku = excluded.external_sku, status = excluded.status,
    updated_at = now();

-- name: load_availability
-- All that available to sell and available to promise of some items rest on, in one round trip: rows of one shape,
-- tagged. The ledger entry of a position's version is its last one, found by the only index of the ledger.
-- 0 position: item, node, on_hand, unavailable, allocated, oversold, safety_stock, version, entry_id
SELECT 0::int2, p.item_id, p.node_id, p.on_hand, p.unavailable, p.allocated, p.oversold,
       coalesce(p.safety_stock, n.safety_stock_default), p.version, e.entry_id
FROM unnest(%(items)s::int[]) AS t (item_id)
JOIN stock_position p ON p.item_id = t.item_id
JOIN node n ON n.node_id = p.node_id AND n.active
LEFT JOIN ledger_entry e ON e.item_id = p.item_id AND e.node_id = p.node_id AND e.version = p.version
UNION ALL
-- 1 supply: item, node, units neither received nor promised, day expected (since 1970, UTC), whether it is overdue
SELECT 1, l.item_id, l.node_id, (l.quantity - l.received - l.promised),
       ((l.expected_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01'), (l.expected_at < now())::int, 0, 0, 0, 0
FROM unnest(%(items)s::int[]) AS t (item_id)
JOIN inbound_line l ON l.item_id = t.item_id AND l.received < l.quantity AND l.received + l.promised < l.quantity
UNION ALL
-- 2 demand: item, -, units that wait with no supply behind them
SELECT 2, t.item_id, 0, q.units, 0, 0, 0, 0, 0, 0
FROM unnest(%(items)s::int[]) AS t (item_id)
CROSS JOIN LATERAL (SELECT sum(quantity)::bigint AS units FROM queue_line q
                    WHERE q.item_id = t.item_id AND q.inbound_id IS NULL) q
WHERE q.units IS NOT NULL
UNION ALL
-- 3 quota: item, channel, units
SELECT 3, i.item_id, c.channel_id, (c.quota -> 'units_by_sku' ->> i.sku)::int, 0, 0, 0, 0, 0, 0
FROM channel c
CROSS JOIN unnest(%(items)s::int[]) AS t (item_id)
JOIN item i ON i.item_id = t.item_id
WHERE c.active AND c.quota <> '{}' AND c.quota -> 'units_by_sku' ? i.sku
UNION ALL
-- 4 gate: mode, channel, units, millionths of a percent, floor, cap
SELECT 4, CASE c.gate ->> 'mode' WHEN 'adaptive' THEN 0 WHEN 'percent' THEN 2 ELSE 1 END, c.channel_id,
       coalesce((c.gate ->> 'units')::int, 0), round(coalesce((c.gate ->> 'percent')::float8, 0) * 1e6)::int,
       coalesce((c.gate ->> 'floor')::int, 0), (c.gate ->> 'cap')::int, 0, 0, 0
FROM channel c
WHERE c.gate ->> 'mode' IN ('adaptive', 'percent') OR (c.gate ->> 'units')::int > 0 OR (c.gate ->> 'floor')::int > 0
UNION ALL
-- 5 computed gate: item, channel, units
SELECT 5, g.item_id, g.channel_id, g.units, 0, 0, 0, 0, 0, 0
FROM unnest(%(items)s::int[]) AS t (item_id)
JOIN listing_gate g ON g.item_id = t.item_id;

-- name: load_availability_at
-- The positions as the ledger had them at a past moment; nodes, safety stock, gates and quotas as they are now.
SELECT 0::int2, p.item_id, p.node_id, e.on_hand, e.unavailable, e.allocated, e.oversold,
       coalesce(p.safety_stock, n.safety_stock_default), e.version, e.entry_id
FROM unnest(%(items)s::int[]) AS t (item_id)
JOIN stock_position p ON p.item_id = t.item_id
JOIN node n ON n.node_id = p.node_id AND n.active
CROSS JOIN LATERAL (
    SELECT e.* FROM ledger_entry e
    WHERE e.item_id = p.item_id AND e.node_id = p.node_id AND e.recorded_at <= %(at)s
    ORDER BY e.version DESC LIMIT 1
) e
UNION ALL
SELECT 3, i.item_id, c.channel_id, (c.quota -> 'units_by_sku' ->> i.sku)::int, 0, 0, 0, 0, 0, 0
FROM channel c
CROSS JOIN unnest(%(items)s::int[]) AS t (item_id)
JOIN item i ON i.item_id = t.item_id
WHERE c.active AND c.quota <> '{}' AND c.quota -> 'units_by_sku' ? i.sku
UNION ALL
SELECT 4, CASE c.gate ->> 'mode' WHEN 'adaptive' THEN 0 WHEN 'percent' THEN 2 ELSE 1 END, c.channel_id,
       coalesce((c.gate ->> 'units')::int, 0), round(coalesce((c.gate ->> 'percent')::float8, 0) * 1e6)::int,
       coalesce((c.gate ->> 'floor')::int, 0), (c.gate ->> 'cap')::int, 0, 0, 0
FROM channel c
WHERE c.gate ->> 'mode' IN ('adaptive', 'percent') OR (c.gate ->> 'units')::int > 0 OR (c.gate ->> 'floor')::int > 0
UNION ALL
SELECT 5, g.item_id, g.channel_id, g.units, 0, 0, 0, 0, 0, 0
FROM unnest(%(items)s::int[]) AS t (item_id)
JOIN listing_gate g ON g.item_id = t.item_id;

-- name: lock_rules
SELECT code, gate, quota FROM channel WHERE code = ANY (%(codes)s::text[]) ORDER BY channel_id FOR UPDATE;

-- name: set_rules
UPDATE channel SET gate = %(gate)s::jsonb, quota = %(quota)s::jsonb, updated_at = now() WHERE code = %(code)s;

-- name: lock_statuses
SELECT c.code, i.sku, l.status
FROM unnest(%(channels)s::text[], %(skus)s::text[]) AS t (channel, sku)
JOIN channel c ON c.code = t.channel JOIN item i ON i.sku = t.sku JOIN listing l USING (channel_id, item_id)
ORDER BY l.channel_id, l.item_id
FOR UPDATE OF l;

-- name: set_statuses
UPDATE listing l SET status = t.status, updated_at = now()
FROM unnest(%(channels)s::text[], %(skus)s::text[], %(statuses)s::text[]) AS t (channel, sku, status)
JOIN channel c ON c.code = t.channel JOIN item i ON i.sku = t.sku
WHERE (l.channel_id, l.item_id) = (c.channel_id, i.item_id);
