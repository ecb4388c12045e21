-- name: items
-- Those that are named, by sku or by category, and then the others of their categories that were ordered lately, as
-- many as there is room for: a promotion takes demand from these. Bundles hold no stock: their components are promoted.
WITH named AS (
    SELECT item_id, sku, category, price_minor FROM item i
    WHERE (sku = ANY (%(skus)s) OR category = ANY (%(categories)s))
      AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
), others AS (
    SELECT i.item_id, i.sku, i.category, i.price_minor
    FROM item i
    WHERE i.category IN (SELECT category FROM named) AND i.item_id NOT IN (SELECT item_id FROM named)
      AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
    ORDER BY i.item_id LIMIT %(others_max)s
)
SELECT item_id, sku, coalesce(category, ''), true FROM named
UNION ALL SELECT item_id, sku, coalesce(category, ''), false FROM others
ORDER BY 1;

-- name: known_skus
SELECT sku, EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id) FROM item i WHERE sku = ANY (%(skus)s);

-- name: known_categories
SELECT DISTINCT category FROM item WHERE category = ANY (%(categories)s);
