-- name: work_list
-- What nodes have to do, soonest first; without a status only what is still open, which is what the index holds.
SELECT f.order_id::text, f.fulfilment_no, f.ship_by
FROM fulfilment f
WHERE (%(node_id)s::int IS NULL OR f.node_id = %(node_id)s)
  AND f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped')
  AND (%(status)s::text IS NULL OR f.status = %(status)s)
  AND (%(ship_by)s::timestamptz IS NULL
       OR (f.ship_by, f.order_id, f.fulfilment_no) > (%(ship_by)s, %(order_id)s::uuid, %(number)s))
ORDER BY f.ship_by, f.order_id, f.fulfilment_no
LIMIT %(limit)s;

-- name: ended_list
SELECT f.order_id::text, f.fulfilment_no, f.ship_by
FROM fulfilment f
WHERE (%(node_id)s::int IS NULL OR f.node_id = %(node_id)s)
  AND f.status = %(status)s
  AND (%(ship_by)s::timestamptz IS NULL
       OR (f.ship_by, f.order_id, f.fulfilment_no) > (%(ship_by)s, %(order_id)s::uuid, %(number)s))
ORDER BY f.ship_by, f.order_id, f.fulfilment_no
LIMIT %(limit)s;
