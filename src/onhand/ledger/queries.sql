-- name: open_positions
-- Missing rows first, sorted, so that two writers that open the same positions meet in the same order. Whether a
-- row is missing is asked before it is tried: ON CONFLICT alone would cost an index insert per row that is there. As a
-- scalar subquery: NOT EXISTS becomes a hash join that reads the whole table.
INSERT INTO stock_position (item_id, node_id)
SELECT t.item_id, t.node_id
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS t (item_id, node_id)
WHERE (SELECT true FROM stock_position p WHERE p.item_id = t.item_id AND p.node_id = t.node_id) IS NULL
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

-- name: safety_stock_of
SELECT coalesce(p.safety_stock, n.safety_stock_default)
FROM node n LEFT JOIN stock_position p ON p.node_id = n.node_id AND p.item_id = %(item_id)s
WHERE n.node_id = %(node_id)s;

-- name: own_safety_stock
SELECT safety_stock FROM stock_position WHERE (item_id, node_id) = (%(item_id)s, %(node_id)s);

-- name: set_safety_stock
UPDATE stock_position SET safety_stock = %(units)s WHERE (item_id, node_id) = (%(item_id)s, %(node_id)s);

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
                 WHERE l.item_id = p.item_id AND l.node_id = p.node_id AND l.received < l.quantity), 0)::bigint AS inbound,
       coalesce(p.safety_stock, n.safety_stock_default) AS safety_stock, p.version
FROM stock_position p JOIN item i USING (item_id) JOIN node n USING (node_id)
WHERE (p.item_id, p.node_id) > (%(after_item)s, %(after_node)s)
  AND (%(item_id)s::int IS NULL OR p.item_id = %(item_id)s)
  AND (%(node_id)s::int IS NULL OR p.node_id = %(node_id)s)
ORDER BY p.item_id, p.node_id
LIMIT %(limit)s;

-- name: stock_of_items
SELECT p.item_id, p.node_id, p.on_hand, p.unavailable, p.allocated, p.oversold,
       coalesce((SELECT sum(l.quantity - l.received) FROM inbound_line l
                 WHERE l.item_id = p.item_id AND l.node_id = p.node_id AND l.received < l.quantity), 0)::bigint AS inbound,
       coalesce(p.safety_stock, n.safety_stock_default) AS safety_stock
FROM stock_position p JOIN node n USING (node_id)
WHERE p.item_id = ANY (%(items)s::int[])
ORDER BY p.item_id, p.node_id;

-- name: stock_nodes
-- Nodes that have or had anything.
SELECT n.node_id, n.code FROM node n
WHERE EXISTS (SELECT FROM stock_position p WHERE p.node_id = n.node_id) ORDER BY n.node_id;

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

-- name: last_entries_of_position
-- The index backwards.
SELECT * FROM ledger_entry_named
WHERE item_id = %(item_id)s AND node_id = %(node_id)s AND version < %(before_version)s AND entry_id < %(before)s
  AND entry_id > %(after)s
ORDER BY version DESC
LIMIT %(limit)s;

-- name: last_entries_of_item
-- The last ones of each position, from the index backwards, and of these the last.
SELECT e.* FROM stock_position p
CROSS JOIN LATERAL (
    SELECT * FROM ledger_entry_named
    WHERE item_id = p.item_id AND node_id = p.node_id AND entry_id < %(before)s AND entry_id > %(after)s
    ORDER BY version DESC
    LIMIT %(limit)s
) AS e
WHERE p.item_id = %(item_id)s
ORDER BY e.entry_id DESC
LIMIT %(limit)s;

-- name: last_entries_between
SELECT * FROM ledger_entry_named
WHERE entry_id > %(after)s AND entry_id <= %(until)s AND (%(node_id)s::int IS NULL OR node_id = %(node_id)s)
ORDER BY entry_id DESC
LIMIT %(limit)s;

-- name: last_entry_id
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ledger_entry_entry_id_seq;

-- name: add_inbound
-- A second writer of the reference waits here until the first has ended.
INSERT INTO inbound (inbound_id, reference, kind, node_id, supplier, actor)
VALUES (%(inbound_id)s, %(reference)s, %(kind)s, %(node_id)s, %(supplier)s, %(actor)s)
ON CONFLICT (reference) DO NOTHING;

-- name: add_inbound_lines
INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, expected_at, confidence)
SELECT %(inbound_id)s, ord, item_id, %(node_id)s, quantity, expected_at, confidence
FROM unnest(%(items)s::int[], %(quantities)s::int[], %(expected)s::timestamptz[], %(confidences)s::float8[])
    WITH ORDINALITY AS t (item_id, quantity, expected_at, confidence, ord);

-- name: find_inbound
-- By id or by reference.
SELECT i.inbound_id, i.reference, i.kind, n.code AS node, i.supplier, i.created_at, i.closed_at
FROM inbound i JOIN node n USING (node_id)
WHERE i.inbound_id = %(inbound_id)s OR i.reference = %(reference)s;

-- name: lock_open_inbound
-- All lines of a document, as they are once whoever promises or receives them at the moment has ended.
SELECT l.inbound_id::text, l.received + l.promised AS taken FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE i.reference = %(reference)s AND i.closed_at IS NULL
ORDER BY l.inbound_id, l.line_no
FOR UPDATE OF l;

-- name: drop_inbound_lines
DELETE FROM inbound_line WHERE inbound_id = %(inbound_id)s;

-- name: drop_inbound
DELETE FROM inbound WHERE inbound_id = %(inbound_id)s;

-- name: list_inbound
SELECT i.inbound_id, i.reference, i.kind, n.code AS node, i.supplier, i.created_at, i.closed_at
FROM inbound i JOIN node n USING (node_id)
WHERE i.inbound_id > %(after)s
  AND (%(node_id)s::int IS NULL OR i.node_id = %(node_id)s)
  AND (%(reference)s::text IS NULL OR i.reference = %(reference)s)
  AND (%(is_open)s::boolean IS NULL OR (i.closed_at IS NULL) = %(is_open)s)
  AND (%(item_id)s::int IS NULL
       OR EXISTS (SELECT FROM inbound_line l WHERE l.inbound_id = i.inbound_id AND l.item_id = %(item_id)s))
ORDER BY i.inbound_id
LIMIT %(limit)s;

-- name: inbound_lines
SELECT l.inbound_id, l.line_no, i.sku, l.quantity, l.received, l.promised, l.expected_at, l.confidence
FROM inbound_line l JOIN item i USING (item_id)
WHERE l.inbound_id = ANY (%(inbound_ids)s)
ORDER BY l.inbound_id, l.line_no;

-- name: lock_inbound_lines
-- Lines that arrivals under these references may fill, locked in the order of all writers.
SELECT l.inbound_id, l.line_no, i.reference, l.item_id, l.node_id, l.quantity - l.received AS open_units
FROM inbound i JOIN inbound_line l USING (inbound_id)
WHERE i.reference = ANY (%(references)s::text[]) AND l.item_id = ANY (%(items)s::int[])
ORDER BY l.inbound_id, l.line_no
FOR UPDATE OF l;

-- name: book_received
WITH booked AS (
    UPDATE inbound_line l SET received = l.received + t.units
    FROM unnest(%(inbound_ids)s::uuid[], %(lines)s::int[], %(units)s::int[]) AS t (inbound_id, line_no, units)
    WHERE l.inbound_id = t.inbound_id AND l.line_no = t.line_no
    RETURNING l.inbound_id, l.line_no, l.received >= l.quantity AS is_full
)
UPDATE inbound i SET closed_at = now()
FROM (SELECT inbound_id, bool_and(is_full) AS is_full FROM booked GROUP BY inbound_id) b
WHERE i.inbound_id = b.inbound_id AND b.is_full AND i.closed_at IS NULL
  AND NOT EXISTS (
      SELECT FROM inbound_line l
      WHERE l.inbound_id = i.inbound_id AND l.received < l.quantity
        AND NOT EXISTS (SELECT FROM booked k WHERE k.inbound_id = l.inbound_id AND k.line_no = l.line_no));

-- name: find_reservation
SELECT r.reservation_id, c.code AS channel, r.status, r.expires_at, r.created_at, r.order_id
FROM reservation r LEFT JOIN channel c USING (channel_id)
WHERE r.reservation_id = %(reservation_id)s;

-- name: reservation_lines
SELECT l.line_no, l.item_id, l.node_id, i.sku, n.code AS node, l.quantity
FROM reservation_line l JOIN item i USING (item_id) JOIN node n USING (node_id)
WHERE l.reservation_id = %(reservation_id)s
ORDER BY l.line_no, l.item_id, l.node_id;

-- name: lock_reservation
-- Before any position. The sweep of expired reservations passes over a locked one.
SELECT status FROM reservation WHERE reservation_id = %(reservation_id)s FOR UPDATE;

-- name: extend_reservation
-- One guarded statement: whoever comes second finds the row as the first has left it, and the guard is asked again.
UPDATE reservation
SET expires_at = greatest(expires_at, coalesce(%(now)s, clock_timestamp()) + make_interval(secs => %(ttl_s)s))
WHERE reservation_id = %(reservation_id)s AND status = 'active'
  AND expires_at > coalesce(%(now)s, clock_timestamp());

-- name: end_reservation
UPDATE reservation SET status = %(status)s WHERE reservation_id = %(reservation_id)s;

-- name: expire_reservations
SELECT * FROM expire_reservations_v1(coalesce(%(now)s, clock_timestamp()), %(most)s, %(origin)s);

-- name: invariant_views
SELECT viewname FROM pg_views WHERE schemaname = current_schema() AND viewname LIKE 'invariant\_%%' ORDER BY viewname;

-- name: lock_counters
-- Nobody changes stock, capacity or promised supply until the transaction ends; plain reads go on. EXCLUSIVE and not
-- less, because writers begin with SELECT ... FOR UPDATE. In the order in which all writers come to these tables.
LOCK TABLE stock_position, capacity_day, parcel_day, inbound_line IN EXCLUSIVE MODE;

-- name: rebuild_positions
-- Positions become the sums of their entries, except where the ledger itself is damaged: an entry that does not
-- follow from the one before, or entries missing at the end (the position has counted more than there are). There the
-- position may be the only witness left.
WITH broken AS (
    SELECT item_id, node_id FROM invariant_ledger_is_unbroken
    UNION
    SELECT item_id, node_id FROM invariant_entry_means_what_it_says
), target AS (
    SELECT item_id, node_id, coalesce(ledger_on_hand, 0) AS on_hand, coalesce(ledger_unavailable, 0) AS unavailable,
           coalesce(ledger_allocated, 0) AS allocated, coalesce(ledger_oversold, 0) AS oversold,
           coalesce(ledger_version, 0) AS version
    FROM invariant_position_is_the_sum_of_its_entries i
    WHERE NOT EXISTS (SELECT FROM broken b WHERE (b.item_id, b.node_id) = (i.item_id, i.node_id))
      AND (coalesce(i.version, 0) <= coalesce(ledger_version, 0)
           OR (i.on_hand, i.unavailable, i.allocated, i.oversold)
            = (coalesce(ledger_on_hand, 0), coalesce(ledger_unavailable, 0), coalesce(ledger_allocated, 0),
               coalesce(ledger_oversold, 0)))
), repaired AS (
    INSERT INTO stock_position AS p (item_id, node_id, on_hand, unavailable, allocated, oversold, version)
    SELECT item_id, node_id, on_hand, unavailable, allocated, oversold, version FROM target
    ORDER BY item_id, node_id
    ON CONFLICT (item_id, node_id) DO UPDATE
    SET on_hand = excluded.on_hand, unavailable = excluded.unavailable, allocated = excluded.allocated,
        oversold = excluded.oversold, version = excluded.version
    RETURNING p.item_id, p.node_id
)
SELECT coalesce(array_agg(item_id ORDER BY item_id, node_id), '{}'),
       coalesce(array_agg(node_id ORDER BY item_id, node_id), '{}') FROM repaired;

-- name: rebuild_capacity
INSERT INTO capacity_day AS k (node_id, day, orders, lines, units)
SELECT node_id, day, coalesce(promised_orders, 0), coalesce(promised_lines, 0), coalesce(promised_units, 0)
FROM invariant_capacity_is_promised
ORDER BY node_id, day
ON CONFLICT (node_id, day) DO UPDATE
SET orders = excluded.orders, lines = excluded.lines, units = excluded.units;

-- name: rebuild_parcels
INSERT INTO parcel_day AS k (carrier, service, lane, node_id, day, parcels)
SELECT carrier, service, lane, node_id, day, coalesce(promised, 0) FROM invariant_parcels_are_promised
ORDER BY carrier, service, lane, node_id, day
ON CONFLICT (carrier, service, lane, node_id, day) DO UPDATE SET parcels = excluded.parcels;

-- name: rebuild_promised
UPDATE inbound_line l SET promised = v.queued
FROM invariant_inbound_promise_is_queued v
WHERE (l.inbound_id, l.line_no) = (v.inbound_id, v.line_no) AND l.promised <> v.queued;
