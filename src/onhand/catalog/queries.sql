-- name: lock_catalogue
-- Writers of items take turns: ids stay dense, and what a bundle may contain cannot change between check and write.
-- Set-up is no hot path. A statement of its own, so that the snapshots of the next ones come after it.
SELECT pg_advisory_xact_lock(hashtextextended('onhand item', 0));

-- name: highest_item_id
SELECT coalesce(max(item_id), 0) FROM item;

-- name: load_items
SELECT item_id, sku, name, weight_g, length_mm, width_mm, height_mm, unit_cost_minor, price_minor, currency, category,
       hs_code, release_at, attributes, created_at, updated_at
FROM item WHERE sku = ANY (%(skus)s);

-- name: known_skus
SELECT sku FROM item WHERE sku = ANY (%(skus)s);

-- name: list_items
-- The primary order is the unique index on sku, in byte order: a page starts where the last one ended.
SELECT item_id, sku, name, weight_g, length_mm, width_mm, height_mm, unit_cost_minor, price_minor, currency, category,
       hs_code, release_at, attributes, created_at, updated_at
FROM item
WHERE sku > %(after)s
  AND (%(category)s::text IS NULL OR category = %(category)s)
  AND (%(bundle)s::bool IS NULL
       OR %(bundle)s = EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = item.item_id))
  AND (%(q)s::text IS NULL OR strpos(lower(sku), lower(%(q)s)) > 0 OR strpos(lower(name), lower(%(q)s)) > 0)
ORDER BY sku LIMIT %(limit)s;

-- name: load_components
SELECT b.bundle_id, i.sku, b.quantity
FROM bundle_component b JOIN item i ON i.item_id = b.item_id
WHERE b.bundle_id = ANY (%(item_ids)s::int[])
ORDER BY b.bundle_id, i.sku;

-- name: load_parts
-- Which of `skus` are components, and of which bundles.
SELECT part.sku, bundle.sku
FROM item part
JOIN bundle_component b ON b.item_id = part.item_id
JOIN item bundle ON bundle.item_id = b.bundle_id
WHERE part.sku = ANY (%(skus)s);

-- name: items_in_use
-- Items that hold units, or for which dated supply or an order's queue is open.
SELECT i FROM unnest(%(item_ids)s::int[]) AS i
WHERE EXISTS (SELECT FROM stock_position p WHERE p.item_id = i AND (p.on_hand > 0 OR p.oversold > 0))
   OR EXISTS (SELECT FROM inbound_line l JOIN inbound b USING (inbound_id)
              WHERE l.item_id = i AND l.received < l.quantity AND b.closed_at IS NULL)
   OR EXISTS (SELECT FROM queue_line q WHERE q.item_id = i);

-- name: write_items
-- New and changed items alike. Rows come in as one JSON document: attributes stay as they are, and fifteen columns
-- need no fifteen arrays.
INSERT INTO item AS i (item_id, sku, name, weight_g, length_mm, width_mm, height_mm, unit_cost_minor, price_minor,
    currency, category, hs_code, release_at, attributes)
SELECT item_id, sku, name, weight_g, length_mm, width_mm, height_mm, unit_cost_minor, price_minor, currency, category,
    hs_code, release_at, attributes
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (item_id int, sku text, name text, weight_g int, length_mm int,
    width_mm int, height_mm int, unit_cost_minor bigint, price_minor bigint, currency text, category text,
    hs_code text, release_at timestamptz, attributes jsonb)
ON CONFLICT (item_id) DO UPDATE SET
    name = excluded.name, weight_g = excluded.weight_g, length_mm = excluded.length_mm, width_mm = excluded.width_mm,
    height_mm = excluded.height_mm, unit_cost_minor = excluded.unit_cost_minor, price_minor = excluded.price_minor,
    currency = excluded.currency, category = excluded.category, hs_code = excluded.hs_code,
    release_at = excluded.release_at, attributes = excluded.attributes, updated_at = now();

-- name: delete_components
DELETE FROM bundle_component WHERE bundle_id = ANY (%(item_ids)s::int[]);

-- name: write_components
INSERT INTO bundle_component (bundle_id, item_id, quantity)
SELECT c.bundle_id, i.item_id, c.quantity
FROM unnest(%(bundle_ids)s::int[], %(skus)s::text[], %(quantities)s::int[]) AS c (bundle_id, sku, quantity)
JOIN item i ON i.sku = c.sku;

-- name: prices
SELECT item_id, sku, price_minor, unit_cost_minor FROM item WHERE sku = ANY (%(skus)s::text[]) ORDER BY item_id;

-- name: set_prices
UPDATE item i SET price_minor = t.price_minor, updated_at = now()
FROM unnest(%(items)s::int[], %(prices)s::bigint[]) AS t (item_id, price_minor) WHERE i.item_id = t.item_id;

-- name: skus_by_id
SELECT item_id, sku FROM item WHERE item_id = ANY (%(item_ids)s::int[]);
