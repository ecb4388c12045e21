-- name: affected_orders
-- Ids only: they are locked and looked at again before anything is done. Work in hand of a node is found by the index
-- fulfilment_work, parcels under way by fulfilment_under_way, what waits for an item by queue_line_item.
WITH lane AS (
    SELECT n.node_id, l.carrier, l.place
    FROM unnest(%(lane_nodes)s::text[], %(lane_carriers)s::text[], %(lane_places)s::text[]) AS l (node, carrier, place)
    JOIN node n ON n.code = l.node
), wanted AS (
    SELECT i.item_id, n.node_id
    FROM unnest(%(skus)s::text[], %(sku_nodes)s::text[]) AS t (sku, node)
    JOIN item i USING (sku) LEFT JOIN node n ON n.code = t.node
    WHERE t.node = '' OR n.node_id IS NOT NULL
), at_node AS (
    SELECT f.order_id, f.node_id, f.carrier, f.pieces FROM fulfilment f
    WHERE f.node_id IN (
        SELECT node_id FROM lane UNION SELECT node_id FROM node WHERE code = ANY (%(nodes)s::text[])
        UNION SELECT node_id FROM wanted WHERE node_id IS NOT NULL
        UNION SELECT node_id FROM node WHERE %(carriers)s::text[] <> '{}' OR EXISTS (SELECT FROM wanted WHERE node_id IS NULL))
      AND (f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped') OR f.status = 'shipped')
      AND f.status = ANY (%(statuses)s::text[])
), found AS (
    SELECT f.order_id FROM at_node f JOIN lane l USING (node_id) JOIN orders o USING (order_id)
    WHERE f.carrier = l.carrier
      AND l.place IN (o.request::json #>> '{destination,country}', o.request::json #>> '{destination,region}')
    UNION
    SELECT order_id FROM at_node WHERE carrier = ANY (%(carriers)s::text[])
    UNION
    SELECT order_id FROM at_node WHERE node_id IN (SELECT node_id FROM node WHERE code = ANY (%(nodes)s::text[]))
    UNION
    SELECT f.order_id FROM at_node f, json_array_elements(f.pieces::json) p, wanted w
    WHERE (p ->> 1)::int = w.item_id AND (w.node_id IS NULL OR w.node_id = f.node_id)
      AND (p ->> 2)::int > coalesce((p ->> 3)::int, 0)
    UNION
    SELECT q.order_id FROM queue_line q JOIN wanted w USING (item_id) WHERE %(waiting)s AND w.node_id IS NULL
    UNION
    SELECT q.order_id FROM queue_line q JOIN inbound i USING (inbound_id)
    WHERE %(waiting)s AND i.reference = ANY (%(references)s::text[])
    UNION
    SELECT order_id FROM orders WHERE order_id = ANY (%(ids)s::uuid[]) AND status NOT IN ('cancelled', 'delivered')
    UNION
    SELECT order_id FROM orders WHERE external_id = ANY (%(numbers)s::text[]) AND status NOT IN ('cancelled', 'delivered')
)
SELECT order_id::text FROM found WHERE order_id > %(after)s::uuid ORDER BY order_id LIMIT %(limit)s;

-- name: listings
SELECT c.code, i.sku FROM listing l JOIN channel c USING (channel_id) JOIN item i USING (item_id)
WHERE (c.code, i.sku) IN (SELECT * FROM unnest(%(channels)s::text[], %(skus)s::text[]))
   OR i.sku = ANY (%(all_of)s::text[])
ORDER BY c.code, i.sku;
