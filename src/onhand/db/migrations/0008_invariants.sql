-- One view per promise; healthy means no rows. Read after every database test and by `onhand db verify`.

CREATE VIEW invariant_position_is_the_sum_of_its_entries AS
SELECT item_id, node_id, p.on_hand, e.on_hand AS ledger_on_hand, p.unavailable, e.unavailable AS ledger_unavailable,
       p.allocated, e.allocated AS ledger_allocated, p.oversold, e.oversold AS ledger_oversold,
       p.version, e.entries AS ledger_version
FROM (
    SELECT item_id, node_id, sum(d_on_hand) AS on_hand, sum(d_unavailable) AS unavailable,
           sum(d_allocated) AS allocated, sum(d_oversold) AS oversold, count(*) AS entries
    FROM ledger_entry GROUP BY item_id, node_id
) e
FULL JOIN stock_position p USING (item_id, node_id)
WHERE (coalesce(p.on_hand, 0), coalesce(p.unavailable, 0), coalesce(p.allocated, 0), coalesce(p.oversold, 0), coalesce(p.version, 0))
   <> (coalesce(e.on_hand, 0), coalesce(e.unavailable, 0), coalesce(e.allocated, 0), coalesce(e.oversold, 0), coalesce(e.entries, 0));

CREATE VIEW invariant_ledger_is_unbroken AS
SELECT item_id, node_id, version, entry_id
FROM (
    SELECT *, lag(version) OVER w AS before, lag(on_hand) OVER w AS b_on_hand, lag(unavailable) OVER w AS b_unavailable,
           lag(allocated) OVER w AS b_allocated, lag(oversold) OVER w AS b_oversold
    FROM ledger_entry WINDOW w AS (PARTITION BY item_id, node_id ORDER BY version)
) e
WHERE version <> coalesce(before, 0) + 1
   OR on_hand <> coalesce(b_on_hand, 0) + d_on_hand OR unavailable <> coalesce(b_unavailable, 0) + d_unavailable
   OR allocated <> coalesce(b_allocated, 0) + d_allocated OR oversold <> coalesce(b_oversold, 0) + d_oversold;

CREATE VIEW invariant_allocated_is_promised AS
SELECT item_id, node_id, coalesce(p.allocated + p.oversold, 0) AS allocated_or_oversold, coalesce(d.units, 0) AS promised
FROM (
    SELECT item_id, node_id, sum(units) AS units FROM (
        SELECT l.item_id, f.node_id, l.quantity - l.shipped AS units
        FROM fulfilment f JOIN fulfilment_line l USING (order_id, fulfilment_no)
        WHERE f.status NOT IN ('cancelled', 'rejected')
        UNION ALL
        SELECT l.item_id, l.node_id, l.quantity FROM reservation r JOIN reservation_line l USING (reservation_id)
        WHERE r.status = 'active'
    ) u GROUP BY item_id, node_id
) d
FULL JOIN stock_position p USING (item_id, node_id)
WHERE coalesce(p.allocated + p.oversold, 0) <> coalesce(d.units, 0);

-- Every ordered unit is cancelled, in a fulfilment, or in a queue.
CREATE VIEW invariant_every_unit_of_an_order_is_somewhere AS
WITH wanted AS (
    SELECT order_id, line_no, coalesce(c.key::int, l.item_id) AS item_id,
           (l.quantity - l.cancelled) * coalesce(c.value::int, 1) AS units
    FROM order_line l LEFT JOIN LATERAL jsonb_each_text(l.components) c ON true
), found AS (
    SELECT order_id, line_no, item_id, sum(units) AS units FROM (
        SELECT l.order_id, l.line_no, l.item_id, l.quantity AS units
        FROM fulfilment f JOIN fulfilment_line l USING (order_id, fulfilment_no)
        WHERE f.status NOT IN ('cancelled', 'rejected')
        UNION ALL
        SELECT order_id, line_no, item_id, quantity FROM queue_line
    ) u GROUP BY order_id, line_no, item_id
)
SELECT order_id, line_no, item_id, wanted.units AS wanted, found.units AS found
FROM wanted FULL JOIN found USING (order_id, line_no, item_id)
WHERE coalesce(wanted.units, 0) <> coalesce(found.units, 0);

CREATE VIEW invariant_capacity_is_promised AS
SELECT node_id, day, k.orders, f.orders AS promised_orders, k.lines, f.lines AS promised_lines, k.units, f.units AS promised_units
FROM (
    SELECT f.node_id, f.ship_day AS day, count(*) AS orders, sum(f.lines) AS lines, sum(f.units) AS units
    FROM fulfilment f JOIN node n USING (node_id)
    WHERE f.status NOT IN ('cancelled', 'rejected')
      AND (n.capacity_orders IS NOT NULL OR n.capacity_lines IS NOT NULL OR n.capacity_units IS NOT NULL)
    GROUP BY f.node_id, f.ship_day
) f
FULL JOIN capacity_day k USING (node_id, day)
WHERE coalesce(k.orders, 0) <> coalesce(f.orders, 0) OR coalesce(k.lines, 0) <> coalesce(f.lines, 0)
   OR coalesce(k.units, 0) <> coalesce(f.units, 0);

CREATE VIEW invariant_inbound_promise_is_queued AS
SELECT i.inbound_id, i.line_no, i.promised, coalesce(q.units, 0) AS queued
FROM inbound_line i
LEFT JOIN (
    SELECT inbound_id, inbound_line AS line_no, sum(quantity) AS units FROM queue_line
    WHERE inbound_id IS NOT NULL GROUP BY 1, 2
) q USING (inbound_id, line_no)
WHERE i.promised <> coalesce(q.units, 0) OR (i.promised > i.quantity - i.received AND i.received < i.quantity);

CREATE VIEW invariant_order_queue_matches_its_lines AS
SELECT o.order_id, o.status, o.queue
FROM orders o
LEFT JOIN (SELECT order_id, count(*) AS waiting FROM queue_line GROUP BY order_id) q USING (order_id)
WHERE (o.queue IS NULL AND q.waiting IS NOT NULL)
   OR (o.queue IS NOT NULL AND o.queue <> 'held' AND q.waiting IS NULL);

CREATE VIEW invariant_orders_are_whole AS
SELECT o.order_id FROM orders o
WHERE NOT EXISTS (SELECT FROM order_line l WHERE l.order_id = o.order_id);

CREATE VIEW invariant_orders_have_a_first_plan AS
SELECT order_id, created_at FROM orders EXCEPT SELECT unnest(orders), at FROM plan_sheet;

CREATE VIEW invariant_units_of_lines_are_possible AS
SELECT order_id, NULL::smallint AS fulfilment_no, line_no, item_id FROM order_line
WHERE NOT (quantity > 0 AND cancelled >= 0 AND shipped >= 0 AND returned >= 0 AND cancelled + shipped <= quantity
           AND returned <= shipped)
UNION ALL
SELECT order_id, fulfilment_no, line_no, item_id FROM fulfilment_line
WHERE NOT (quantity >= 0 AND shipped >= 0 AND shipped <= quantity);

CREATE VIEW invariant_shipped_units_agree AS
SELECT order_id, line_no, item_id, coalesce(f.shipped, 0) AS fulfilment_shipped, coalesce(s.units, 0) AS shipment_units
FROM (SELECT order_id, line_no, item_id, sum(shipped) AS shipped FROM fulfilment_line GROUP BY 1, 2, 3) f
FULL JOIN (SELECT order_id, line_no, item_id, sum(quantity) AS units FROM shipment_line GROUP BY 1, 2, 3) s
USING (order_id, line_no, item_id)
WHERE coalesce(f.shipped, 0) <> coalesce(s.units, 0);

-- What an event of a batch tells of an order is read from the order, and found by its moment.
CREATE VIEW invariant_orders_told_of_are_there AS
SELECT e.xid, e.pos, t.order_id
FROM event e CROSS JOIN LATERAL unnest(e.orders) AS t (order_id)
WHERE NOT EXISTS (
    SELECT FROM orders o JOIN channel c USING (channel_id) WHERE o.order_id = t.order_id AND o.created_at = e.at);
