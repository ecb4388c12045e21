-- What changes of orders need beyond placing them.

-- Adds (negative: gives back) orders, lines and units on ship days of nodes that have a limit; others are left out.
-- OH001 when an addition no longer fits. One row per (node, day), sorted by the caller.
CREATE FUNCTION change_capacity_v1(c_node int[], c_day date[], c_orders bigint[], c_lines bigint[], c_units bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO capacity_day (node_id, day)
    SELECT d.node, d.day
    FROM unnest(c_node, c_day, c_units) WITH ORDINALITY AS d (node, day, units, ord)
    JOIN node n ON n.node_id = d.node
    WHERE d.units > 0
      AND (n.capacity_orders IS NOT NULL OR n.capacity_lines IS NOT NULL OR n.capacity_units IS NOT NULL)
    ORDER BY d.ord
    ON CONFLICT DO NOTHING;

    PERFORM FROM unnest(c_node, c_day) AS d (node, day)
    JOIN capacity_day k ON k.node_id = d.node AND k.day = d.day
    ORDER BY k.node_id, k.day
    FOR UPDATE OF k;

    UPDATE capacity_day k
    SET orders = k.orders + d.o, lines = k.lines + d.l, units = k.units + d.u
    FROM unnest(c_node, c_day, c_orders, c_lines, c_units) AS d (node, day, o, l, u)
    WHERE k.node_id = d.node AND k.day = d.day;

    IF EXISTS (
        SELECT FROM unnest(c_node, c_day, c_orders, c_lines, c_units) AS d (node, day, o, l, u)
        JOIN capacity_day k ON k.node_id = d.node AND k.day = d.day
        JOIN node n ON n.node_id = d.node
        WHERE (d.o > 0 AND k.orders > n.capacity_orders) OR (d.l > 0 AND k.lines > n.capacity_lines)
           OR (d.u > 0 AND k.units > n.capacity_units)
    ) THEN
        PERFORM onhand_raise('OH001', 'capacity no longer fits');
    END IF;
END $$;

-- Positions that need repair are few: the index costs writers of other positions nothing.
CREATE INDEX stock_position_oversold ON stock_position (item_id, node_id) WHERE oversold > 0;

ALTER TABLE queue_line ADD COLUMN tried_at timestamptz;   -- when sourcing it again last failed
