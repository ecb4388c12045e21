-- name: items
-- Bundles hold no stock: their components are planned.
SELECT item_id, sku, coalesce(category, ''), unit_cost_minor, price_minor, currency, weight_g
FROM item i
WHERE (%(all)s OR sku = ANY (%(skus)s) OR category = ANY (%(categories)s))
  AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
ORDER BY item_id;

-- name: known_skus
SELECT sku, EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id) FROM item i WHERE sku = ANY (%(skus)s);

-- name: known_categories
SELECT DISTINCT category FROM item WHERE category = ANY (%(categories)s);

-- name: nodes
-- Who drop-ships keeps its own stock.
SELECT node_id, code FROM node
WHERE active AND node_type <> 'supplier' AND (%(codes)s::text[] IS NULL OR code = ANY (%(codes)s))
ORDER BY node_id;

-- name: positions
SELECT p.item_id, p.node_id, p.on_hand - p.unavailable - p.allocated, p.oversold,
       coalesce(p.safety_stock, n.safety_stock_default)
FROM stock_position p JOIN node n USING (node_id)
WHERE p.item_id = ANY (%(items)s::int[]) AND p.node_id = ANY (%(nodes)s::int[]);

-- name: defaults
SELECT node_id, safety_stock_default FROM node WHERE node_id = ANY (%(nodes)s::int[]);

-- name: coming
-- What is on its way and nobody waits for. Overdue supply is thought to come today, after two weeks not any more.
SELECT item_id, node_id, greatest((expected_at AT TIME ZONE 'UTC')::date - %(today)s::date, 0),
       sum(quantity - received - promised)::bigint
FROM inbound_line
WHERE received < quantity AND expected_at > %(today)s::date - interval '14 days' AND item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[])
GROUP BY 1, 2, 3;

-- name: supply
-- Inactive rows too: one of a node hides that of every node.
SELECT item_id, node_id, supplier, lead_days, review_days, order_days, minimum, multiple, unit_cost_minor,
       order_cost_minor, stockout_minor, carrying_rate, co2_g_per_unit, active
FROM supply WHERE item_id = ANY (%(items)s::int[]) AND (node_id = %(every)s OR node_id = ANY (%(nodes)s::int[]));

-- name: lanes
-- With the units that have left over each of them today.
SELECT l.from_node_id, l.to_node_id, l.days, l.unit_cost_minor, l.kg_cost_minor, l.units_per_day, l.co2_g_per_kg,
       (SELECT coalesce(sum(p.quantity), 0)::bigint FROM proposal p
        WHERE p.kind = 'transfer' AND p.status = 'approved'
          AND (p.from_node_id, p.node_id) = (l.from_node_id, l.to_node_id)
          AND p.decided_at >= %(today)s::date::timestamp AT TIME ZONE 'UTC')
FROM lane l
WHERE l.active AND l.from_node_id = ANY (%(nodes)s::int[]) AND l.to_node_id = ANY (%(nodes)s::int[]);

-- name: docks
-- Limits of docks, and the units that have been sent out of each node and to it today, over whichever lanes.
WITH moved AS (
    SELECT from_node_id, node_id AS to_node_id, quantity FROM proposal
    WHERE kind = 'transfer' AND status = 'approved' AND decided_at >= %(today)s::date::timestamp AT TIME ZONE 'UTC'
)
SELECT node_id, dock_units_out, dock_units_in,
       (SELECT coalesce(sum(quantity), 0)::bigint FROM moved WHERE from_node_id = node_id),
       (SELECT coalesce(sum(quantity), 0)::bigint FROM moved WHERE to_node_id = node_id)
FROM node
WHERE num_nonnulls(dock_units_out, dock_units_in) > 0 AND node_id = ANY (%(nodes)s::int[]);

-- name: moved_lately
SELECT item_id, from_node_id, node_id, extract(epoch FROM %(now)s::timestamptz - decided_at)::float8 / 86400
FROM proposal
WHERE kind = 'transfer' AND status = 'approved' AND decided_at > %(now)s::timestamptz - interval '60 days'
  AND item_id = ANY (%(items)s::int[]) AND from_node_id = ANY (%(nodes)s::int[]) AND node_id = ANY (%(nodes)s::int[]);

-- name: forget_jobs
-- Plans of which no proposal is left.
DELETE FROM job WHERE job_id IN (
    SELECT job_id FROM job j
    WHERE kind = %(kind)s AND finished_at < %(before)s
      AND NOT EXISTS (SELECT FROM proposal p WHERE p.job_id = j.job_id)
    LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: clearing
-- What a unit will fetch at a node when it must be cleared there.
SELECT item_id, node_id, value_minor FROM markdown
WHERE item_id = ANY (%(items)s::int[]) AND node_id = ANY (%(nodes)s::int[]) AND (until IS NULL OR until >= %(today)s);
