-- name: open_positions
-- Missing rows first, sorted, so that two writers that open the same positions meet in the same order. Whether a
-- row is missing is asked before it is tried: ON CONFLICT alone would cost an index insert per row that is there.
INSERT INTO stock_position (item_id, node_id)
SELECT t.item_id, t.node_id
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS t (item_id, node_id)
WHERE NOT EXISTS (SELECT FROM stock_position p WHERE p.item_id = t.item_id AND p.node_id = t.node_id)
ORDER BY t.item_id, t.node_id
ON CONFLICT DO NOTHING;

-- name: lock_positions
-- The one lock order of all writers: (item, node). The sort is below the lock in the plan, so rows are locked as
-- they come out of it, and the values are those of the moment the lock was got.
SELECT p.item_id, p.node_id, p.on_hand, p.unavailable, p.allocated, p.oversold, p.version
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS t (item_id, node_id)
JOIN stock_position p ON p.item_id = t.item_id AND p.node_id = t.node_id
ORDER BY p.item_id, p.node_id
FOR UPDATE OF p;

-- name: write_entries
SELECT write_entries_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
    %s, %s);

-- name: find_items
-- For names that the process has not heard of yet: another one may have made them a moment ago.
SELECT sku, item_id, EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
FROM item i WHERE sku = ANY (%(skus)s::text[]);

-- name: find_nodes
SELECT code, node_id FROM node WHERE code = ANY (%(codes)s::text[]);

-- name: stock_rows
SELECT p.item_id, p.node_id, i.sku, n.code AS node, p.on_hand, p.unavailable, p.allocated, p.oversold,
       p.on_hand - p.unavailable - p.allocated AS available,
       coalesce((SELECT sum(l.quantity - l.received) FROM inbound_line l
                 WHERE l.item_id = p.item_id AND l.node_id = p.node_id AND l.received < l.quantity), 0)::int AS inbound,
       coalesce(p.safety_stock, n.safety_stock_default) AS safety_stock, p.version
FROM stock_position p JOIN item i USING (item_id) JOIN node n USING (node_id)
WHERE (p.item_id, p.node_id) > (%(after_item)s, %(after_node)s)
  AND (%(item_id)s::int IS NULL OR p.item_id = %(item_id)s)
  AND (%(node_id)s::int IS NULL OR p.node_id = %(node_id)s)
ORDER BY p.item_id, p.node_id
LIMIT %(limit)s;

-- name: entries_of_position
-- Walks the index (item, node, version); within a position entry ids rise with versions.
SELECT * FROM ledger_entry_named
WHERE item_id = %(item_id)s AND node_id = %(node_id)s AND version > %(after_version)s AND entry_id > %(after)s
ORDER BY version
LIMIT %(limit)s;

-- name: entries_of_item
-- All entries of the item are read (index prefix), the first ones kept.
SELECT * FROM ledger_entry_named
WHERE item_id = %(item_id)s AND entry_id > %(after)s
ORDER BY entry_id
LIMIT %(limit)s;

-- name: entries_between
-- A window of ids, found by the BRIN index: entries lie on disk in the order of their ids.
SELECT * FROM ledger_entry_named
WHERE entry_id > %(after)s AND entry_id <= %(until)s AND (%(node_id)s::int IS NULL OR node_id = %(node_id)s)
ORDER BY entry_id
LIMIT %(limit)s;

-- name: last_entry_id
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ledger_entry_entry_id_seq;
