-- name: lock_network
-- Writers of nodes, groups, carriers and channels take turns: ids stay dense. Set-up is no hot path. A statement of its
-- own, so that the snapshots of the next ones come after it.
SELECT pg_advisory_xact_lock(hashtextextended('onhand network', 0));

-- name: highest_node_id
SELECT coalesce(max(node_id), 0) FROM node;

-- name: load_nodes
SELECT node_id, code, name, node_type, country, region, postal_code, latitude, longitude, timezone,
       handling_cost_minor, to_char(cutoff, 'HH24:MI') AS cutoff, working_days, closed_days, capacity_orders,
       capacity_lines, capacity_units, methods, safety_stock_default, co2_g_per_order, handling_line_minor,
       handling_unit_minor, labour, holidays, dock_units_out, dock_units_in, attributes, active, created_at, updated_at
FROM node WHERE code = ANY (%(codes)s);

-- name: list_nodes
SELECT node_id, code, name, node_type, country, region, postal_code, latitude, longitude, timezone,
       handling_cost_minor, to_char(cutoff, 'HH24:MI') AS cutoff, working_days, closed_days, capacity_orders,
       capacity_lines, capacity_units, methods, safety_stock_default, co2_g_per_order, handling_line_minor,
       handling_unit_minor, labour, holidays, dock_units_out, dock_units_in, attributes, active, created_at, updated_at
FROM node
WHERE code > %(after)s
  AND (%(node_type)s::text IS NULL OR node_type = %(node_type)s)
  AND (%(country)s::text IS NULL OR country = %(country)s)
  AND (%(active)s::bool IS NULL OR active = %(active)s)
ORDER BY code LIMIT %(limit)s;

-- name: node_ids
SELECT code, node_id FROM node WHERE code = ANY (%(codes)s);

-- name: write_nodes
INSERT INTO node AS n (node_id, code, name, node_type, country, region, postal_code, latitude, longitude, timezone,
    handling_cost_minor, cutoff, working_days, closed_days, capacity_orders, capacity_lines, capacity_units, methods,
    safety_stock_default, co2_g_per_order, handling_line_minor, handling_unit_minor, labour, holidays, dock_units_out,
    dock_units_in, attributes, active)
SELECT node_id, code, name, node_type, country, region, postal_code, latitude, longitude, timezone,
    handling_cost_minor, cutoff, working_days, closed_days, capacity_orders, capacity_lines, capacity_units, methods,
    safety_stock_default, co2_g_per_order, handling_line_minor, handling_unit_minor, nullif(labour, 'null'), holidays,
    dock_units_out, dock_units_in, attributes, active
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (node_id int, code text, name text, node_type text, country text,
    region text, postal_code text, latitude float8, longitude float8, timezone text, handling_cost_minor int,
    cutoff time, working_days smallint[], closed_days date[], capacity_orders int, capacity_lines int,
    capacity_units int, methods text[], safety_stock_default int, co2_g_per_order int,
    handling_line_minor int, handling_unit_minor int, labour jsonb, holidays text, dock_units_out int,
    dock_units_in int, attributes jsonb, active bool)
ON CONFLICT (node_id) DO UPDATE SET
    name = excluded.name, node_type = excluded.node_type, country = excluded.country, region = excluded.region,
    postal_code = excluded.postal_code, latitude = excluded.latitude, longitude = excluded.longitude,
    timezone = excluded.timezone, handling_cost_minor = excluded.handling_cost_minor, cutoff = excluded.cutoff,
    working_days = excluded.working_days, closed_days = excluded.closed_days,
    capacity_orders = excluded.capacity_orders, capacity_lines = excluded.capacity_lines,
    capacity_units = excluded.capacity_units, methods = excluded.methods,
    safety_stock_default = excluded.safety_stock_default, co2_g_per_order = excluded.co2_g_per_order,
    handling_line_minor = excluded.handling_line_minor, handling_unit_minor = excluded.handling_unit_minor,
    labour = excluded.labour, holidays = excluded.holidays, dock_units_out = excluded.dock_units_out,
    dock_units_in = excluded.dock_units_in, attributes = excluded.attributes, active = excluded.active,
    updated_at = now();

-- name: stop_promises
-- Writers of fulfilments wait until we commit, so that none falls between the count and the new limit.
LOCK TABLE fulfilment IN SHARE MODE;

-- name: count_promised
-- The same sum as invariant_capacity_is_promised.
INSERT INTO capacity_day (node_id, day, orders, lines, units)
SELECT node_id, ship_day, count(*), sum(lines), sum(units)
FROM fulfilment
WHERE node_id = ANY (%(node_ids)s::int[]) AND status NOT IN ('cancelled', 'rejected')
GROUP BY node_id, ship_day
ORDER BY node_id, ship_day
ON CONFLICT (node_id, day) DO UPDATE
    SET orders = excluded.orders, lines = excluded.lines, units = excluded.units;

-- name: forget_promised
DELETE FROM capacity_day WHERE node_id = ANY (%(node_ids)s::int[]);

-- name: parcel_limits
SELECT service, lane, parcels FROM parcel_limit WHERE carrier = %(carrier)s;

-- name: write_parcel_limits
-- A limit that stays is changed in place: who counts against it sees the old number or the new one.
WITH gone AS (
    DELETE FROM parcel_limit l
    WHERE l.carrier = %(carrier)s AND NOT EXISTS (
        SELECT FROM unnest(%(services)s::text[], %(lanes)s::text[]) AS t (service, lane)
        WHERE (t.service, t.lane) = (l.service, l.lane))
)
INSERT INTO parcel_limit (carrier, service, lane, parcels)
SELECT %(carrier)s, * FROM unnest(%(services)s::text[], %(lanes)s::text[], %(parcels)s::int[])
ON CONFLICT (carrier, service, lane) DO UPDATE SET parcels = excluded.parcels;

-- name: forget_parcels
DELETE FROM parcel_day k
WHERE k.carrier = %(carrier)s AND NOT EXISTS (
    SELECT FROM parcel_limit l WHERE (l.carrier, l.service, l.lane) = (k.carrier, k.service, k.lane));

-- name: count_parcels
-- The same sum as invariant_parcels_are_promised.
INSERT INTO parcel_day (carrier, service, lane, node_id, day, parcels)
SELECT p.carrier, p.service, p.lane, p.node_id, p.day, p.parcels
FROM parcels_promised p
WHERE p.carrier = %(carrier)s AND NOT EXISTS (
    SELECT FROM parcel_day k
    WHERE (k.carrier, k.service, k.lane, k.node_id, k.day) = (p.carrier, p.service, p.lane, p.node_id, p.day));

-- name: list_groups
SELECT g.code, g.name, g.updated_at,
       ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (g.node_ids) ORDER BY n.node_id) AS nodes
FROM node_group g WHERE g.code > %(after)s ORDER BY g.code LIMIT %(limit)s;

-- name: get_group
SELECT g.code, g.name, g.updated_at,
       ARRAY(SELECT n.code FROM node n WHERE n.node_id = ANY (g.node_ids) ORDER BY n.node_id) AS nodes
FROM node_group g WHERE g.code = %(code)s;

-- name: write_group
INSERT INTO node_group (code, name, node_ids) VALUES (%(code)s, %(name)s, %(node_ids)s::int[])
ON CONFLICT (code) DO UPDATE SET name = excluded.name, node_ids = excluded.node_ids, updated_at = now();

-- name: list_carriers
SELECT carrier_id, code, name, document, active, transit AS learned, transit_at AS learned_at, updated_at
FROM carrier WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: get_carrier
SELECT carrier_id, code, name, document, active, transit AS learned, transit_at AS learned_at, updated_at
FROM carrier WHERE code = %(code)s;

-- name: write_carrier
INSERT INTO carrier (carrier_id, code, name, document, active)
SELECT coalesce(max(carrier_id), 0) + 1, %(code)s, %(name)s, %(document)s::jsonb, %(active)s FROM carrier
ON CONFLICT (code) DO UPDATE SET name = excluded.name, document = excluded.document, active = excluded.active,
    -- What was learned of other services, or of other declared times, means nothing for these.
    transit = CASE WHEN carrier.document -> 'services' = excluded.document -> 'services' THEN carrier.transit END,
    updated_at = now();

-- name: write_transit
-- Unless somebody has changed the services that it was learned of.
UPDATE carrier SET transit = %(transit)s::jsonb, transit_at = %(at)s
WHERE code = %(code)s AND document -> 'services' = %(services)s::jsonb;

-- name: note_transit
UPDATE carrier SET transit_at = %(at)s WHERE code = ANY (%(codes)s);

-- name: list_carton
SELECT code, document, active, updated_at FROM carton WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: get_carton
SELECT code, document, active, updated_at FROM carton WHERE code = %(code)s;

-- name: write_carton
INSERT INTO carton (code, document, active) VALUES (%(code)s, %(document)s::jsonb, %(active)s)
ON CONFLICT (code) DO UPDATE SET document = excluded.document, active = excluded.active, updated_at = now();

-- name: list_duty
SELECT code, document, active, updated_at FROM duty WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: get_duty
SELECT code, document, active, updated_at FROM duty WHERE code = %(code)s;

-- name: write_duty
INSERT INTO duty (code, document, active) VALUES (%(code)s, %(document)s::jsonb, %(active)s)
ON CONFLICT (code) DO UPDATE SET document = excluded.document, active = excluded.active, updated_at = now();

-- name: item_ids
SELECT sku, item_id FROM item WHERE sku = ANY (%(skus)s);

-- name: find_markdowns
SELECT m.item_id, m.node_id, m.value_minor, m.until
FROM unnest(%(item_ids)s::int[], %(node_ids)s::int[]) AS k (item_id, node_id)
JOIN markdown m USING (item_id, node_id);

-- name: write_markdowns
INSERT INTO markdown (item_id, node_id, value_minor, until)
SELECT * FROM unnest(%(item_ids)s::int[], %(node_ids)s::int[], %(values)s::bigint[], %(untils)s::date[])
ON CONFLICT (item_id, node_id) DO UPDATE
    SET value_minor = excluded.value_minor, until = excluded.until, updated_at = now();

-- name: delete_markdowns
DELETE FROM markdown AS m USING unnest(%(item_ids)s::int[], %(node_ids)s::int[]) AS k (item_id, node_id)
WHERE (m.item_id, m.node_id) = (k.item_id, k.node_id);

-- name: list_markdowns
SELECT i.sku, n.code AS node, m.value_minor, m.until, m.updated_at
FROM markdown m JOIN item i USING (item_id) JOIN node n USING (node_id)
WHERE (i.sku, n.code) > (%(sku_after)s::text COLLATE "C", %(node_after)s::text COLLATE "C")
  AND (%(sku)s::text IS NULL OR i.sku = %(sku)s)
  AND (%(node)s::text IS NULL OR n.code = %(node)s)
ORDER BY i.sku, n.code LIMIT %(limit)s;

-- name: load_markdowns
SELECT item_id, node_id, value_minor FROM markdown
WHERE until IS NULL OR until >= %(day)s ORDER BY item_id, node_id;

-- name: items_with_kind
SELECT sku, item_id, EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
FROM item i WHERE sku = ANY (%(skus)s);

-- name: find_lanes
SELECT from_node_id AS first, to_node_id AS second, days, unit_cost_minor, kg_cost_minor, units_per_day, co2_g_per_kg,
       active
FROM unnest(%(firsts)s::int[], %(seconds)s::int[]) AS k (from_node_id, to_node_id)
JOIN lane USING (from_node_id, to_node_id);

-- name: find_supply
SELECT item_id AS first, node_id AS second, supplier, lead_days, review_days, order_days, minimum, multiple,
       unit_cost_minor, order_cost_minor, stockout_minor, carrying_rate, co2_g_per_unit, active
FROM unnest(%(firsts)s::int[], %(seconds)s::int[]) AS k (item_id, node_id)
JOIN supply USING (item_id, node_id);

-- name: write_lanes
INSERT INTO lane (from_node_id, to_node_id, days, unit_cost_minor, kg_cost_minor, units_per_day, co2_g_per_kg, active)
SELECT from_node_id, to_node_id, days, unit_cost_minor, kg_cost_minor, units_per_day, co2_g_per_kg, active
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (from_node_id int, to_node_id int, days smallint, unit_cost_minor int,
    kg_cost_minor int, units_per_day int, co2_g_per_kg int, active boolean)
ON CONFLICT (from_node_id, to_node_id) DO UPDATE SET
    days = excluded.days, unit_cost_minor = excluded.unit_cost_minor, kg_cost_minor = excluded.kg_cost_minor,
    units_per_day = excluded.units_per_day, co2_g_per_kg = excluded.co2_g_per_kg, active = excluded.active,
    updated_at = now();

-- name: write_supply
INSERT INTO supply (item_id, node_id, supplier, lead_days, review_days, order_days, minimum, multiple, unit_cost_minor,
    order_cost_minor, stockout_minor, carrying_rate, co2_g_per_unit, active)
SELECT item_id, node_id, supplier, lead_days, review_days, order_days, minimum, multiple, unit_cost_minor,
    order_cost_minor, stockout_minor, carrying_rate, co2_g_per_unit, active
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (item_id int, node_id int, supplier text, lead_days smallint[],
    review_days smallint, order_days smallint[], minimum int, multiple int, unit_cost_minor bigint,
    order_cost_minor bigint, stockout_minor bigint, carrying_rate float8, co2_g_per_unit int, active boolean)
ON CONFLICT (item_id, node_id) DO UPDATE SET
    supplier = excluded.supplier, lead_days = excluded.lead_days, review_days = excluded.review_days,
    order_days = excluded.order_days, minimum = excluded.minimum, multiple = excluded.multiple,
    unit_cost_minor = excluded.unit_cost_minor, order_cost_minor = excluded.order_cost_minor,
    stockout_minor = excluded.stockout_minor, carrying_rate = excluded.carrying_rate,
    co2_g_per_unit = excluded.co2_g_per_unit, active = excluded.active, updated_at = now();

-- name: list_lanes
SELECT f.code AS source, t.code AS target, l.days, l.unit_cost_minor, l.kg_cost_minor, l.units_per_day, l.co2_g_per_kg,
       l.active, l.updated_at
FROM lane l JOIN node f ON f.node_id = l.from_node_id JOIN node t ON t.node_id = l.to_node_id
WHERE (f.code, t.code) > (%(source_after)s::text COLLATE "C", %(target_after)s::text COLLATE "C")
  AND (%(node)s::text IS NULL OR %(node)s IN (f.code, t.code))
ORDER BY f.code, t.code LIMIT %(limit)s;

-- name: list_supply
-- A blank sorts before every code: the row of every node comes first.
SELECT i.sku, n.code AS node, s.supplier, s.lead_days, s.review_days, s.order_days, s.minimum, s.multiple,
       s.unit_cost_minor, s.order_cost_minor, s.stockout_minor, s.carrying_rate, s.co2_g_per_unit, s.active, s.updated_at
FROM supply s JOIN item i USING (item_id) LEFT JOIN node n USING (node_id)
WHERE (i.sku, coalesce(n.code, ' ')) > (%(sku_after)s::text COLLATE "C", %(node_after)s::text COLLATE "C")
  AND (%(sku)s::text IS NULL OR i.sku = %(sku)s)
  AND (%(node)s::text IS NULL OR n.code = %(node)s)
ORDER BY i.sku, coalesce(n.code, ' ') LIMIT %(limit)s;

-- name: lock_lane
SELECT days, units_per_day FROM lane
WHERE (from_node_id, to_node_id) = (%(source)s, %(target)s) AND active FOR UPDATE;

-- name: lock_docks
-- In the order of their ids, so that two transfers between the same nodes cannot deadlock. Who refers to a node, as
-- every entry does, does not wait for this lock.
SELECT node_id, code, dock_units_out, dock_units_in FROM node
WHERE node_id IN (%(source)s, %(target)s) AND num_nonnulls(dock_units_out, dock_units_in) > 0
ORDER BY node_id FOR NO KEY UPDATE;

-- name: supplier_of
-- A row of the node, even an inactive one, comes before that of every node.
SELECT CASE WHEN active THEN supplier END FROM supply
WHERE item_id = %(item_id)s AND node_id IN (%(node_id)s, %(every)s) ORDER BY node_id DESC LIMIT 1;
