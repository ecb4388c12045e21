-- Ends every reservation that is past its time at `moment`, at most `most` of them; all of it set-based.
-- Lock order as everywhere: reservations by id, positions by (item, node). Rows that somebody holds are left for the
-- next sweep (SKIP LOCKED): an order or an extension that is under way decides about its reservation first, and the
-- condition is asked again on what it has left behind.
-- The rule is that of ledger/decide.py for `expire`: a promise that cannot be kept (oversold) is given up before one
-- that can. Returns the reservations ended and the positions changed, sorted.
CREATE FUNCTION expire_reservations_v1(
    moment timestamptz, most int, process int,
    OUT reservation_ids uuid[], OUT item_ids int[], OUT node_ids int[]
) LANGUAGE plpgsql AS $$
DECLARE
    lines int;
    written int;
BEGIN
    SELECT coalesce(array_agg(d.reservation_id ORDER BY d.reservation_id), '{}') INTO reservation_ids
    FROM (
        SELECT reservation_id FROM reservation
        WHERE status = 'active' AND expires_at <= moment
        ORDER BY expires_at, reservation_id
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ) d;
    item_ids := '{}';
    node_ids := '{}';
    IF cardinality(reservation_ids) = 0 THEN
        RETURN;
    END IF;

    -- A statement of its own: the next one then starts from a snapshot in which these rows can no longer change.
    SELECT coalesce(array_agg(p.item_id), '{}'), coalesce(array_agg(p.node_id), '{}') INTO item_ids, node_ids
    FROM (
        SELECT p.item_id, p.node_id FROM stock_position p
        JOIN (SELECT DISTINCT l.item_id, l.node_id FROM reservation_line l
              WHERE l.reservation_id = ANY (reservation_ids)) AS t USING (item_id, node_id)
        ORDER BY p.item_id, p.node_id
        FOR UPDATE OF p
    ) p;

    WITH line AS MATERIALIZED (
        SELECT l.reservation_id, l.item_id, l.node_id, l.quantity, p.on_hand, p.unavailable, p.allocated, p.oversold,
               p.version, sum(l.quantity) OVER w AS upto, row_number() OVER w AS rank
        FROM reservation_line l JOIN stock_position p USING (item_id, node_id)
        WHERE l.reservation_id = ANY (reservation_ids)
        WINDOW w AS (PARTITION BY l.item_id, l.node_id ORDER BY l.reservation_id, l.line_no
                     ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ), moved AS (
        UPDATE stock_position p
        SET oversold = p.oversold - least(p.oversold, t.units),
            allocated = p.allocated - (t.units - least(p.oversold, t.units)),
            version = p.version + t.entries
        FROM (SELECT item_id, node_id, sum(quantity)::int AS units, count(*)::int AS entries
              FROM line GROUP BY item_id, node_id) t
        WHERE p.item_id = t.item_id AND p.node_id = t.node_id
    ), entry AS (
        INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable, d_allocated,
            d_oversold, on_hand, unavailable, allocated, oversold, actor, ref)
        SELECT item_id, node_id, version + rank, 'expire', quantity, 0, 0,
            -- of the units up to this line, those beyond the oversold ones were allocated
            greatest(upto - quantity - oversold, 0) - greatest(upto - oversold, 0),
            least(upto - quantity, oversold) - least(upto, oversold),
            on_hand, unavailable, allocated - greatest(upto - oversold, 0), oversold - least(upto, oversold), 0,
            reservation_id
        FROM line ORDER BY item_id, node_id, rank
        RETURNING 1
    )
    SELECT count(*) INTO written FROM entry;
    SELECT count(*) INTO lines FROM reservation_line WHERE reservation_id = ANY (reservation_ids);
    IF written <> lines THEN
        RAISE EXCEPTION 'a reservation names a position that does not exist';
    END IF;

    UPDATE reservation SET status = 'expired' WHERE reservation_id = ANY (reservation_ids);
    INSERT INTO event (kind, subject, actor, origin, reason, data)
    SELECT 'reservation.expired', id::text, 0, process, 'time to live is over',
           jsonb_build_object('reservation_id', id::text)
    FROM unnest(reservation_ids) AS id;
    INSERT INTO event (kind, subject, actor, origin, data)
    VALUES ('stock.changed', 'stock', 0, process, jsonb_build_object('items', item_ids, 'nodes', node_ids));
END $$;

-- For pages of the ledger in order of entry: entries lie on disk in the order of their ids, so a summary of a few
-- pages each finds a window of them, and costs an insert next to nothing (a B-tree would cost a tenth of the hot path).
CREATE INDEX ledger_entry_id ON ledger_entry USING brin (entry_id) WITH (pages_per_range = 16, autosummarize = on);

-- The ledger with names instead of ids.
CREATE VIEW ledger_entry_named AS
SELECT e.entry_id, e.item_id, e.node_id, i.sku, n.code AS node, e.version, e.kind, e.quantity, e.d_on_hand,
       e.d_unavailable, e.d_allocated, e.d_oversold, e.on_hand, e.unavailable, e.allocated, e.oversold,
       e.on_hand - e.unavailable - e.allocated AS available, e.actor, e.ref, e.reference, e.reason, e.occurred_at,
       e.recorded_at
FROM ledger_entry e JOIN item i USING (item_id) JOIN node n USING (node_id);

-- What an entry says and what it did agree (the rules of ledger/decide.py), and no entry leaves a position that
-- cannot be: this finds an entry that was changed by hand together with its sums.
CREATE VIEW invariant_entry_means_what_it_says AS
SELECT item_id, node_id, version, entry_id, kind, quantity
FROM ledger_entry
WHERE on_hand < 0 OR unavailable < 0 OR allocated < 0 OR oversold < 0 OR on_hand - unavailable - allocated < 0
   OR NOT CASE
        WHEN kind IN ('receipt', 'return', 'transfer_in')
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated, d_oversold) = (quantity, 0, 0, 0)
        WHEN kind = 'transfer_out'
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated, d_oversold) = (-quantity, 0, 0, 0)
        WHEN kind = 'adjustment'   -- of available units, or of unavailable ones
            THEN quantity <> 0 AND d_on_hand = quantity AND d_unavailable IN (0, quantity)
                AND (d_allocated, d_oversold) = (0, 0)
        WHEN kind = 'count'
            THEN on_hand = quantity AND d_unavailable <= 0 AND (d_allocated, d_oversold) = (0, 0)
        WHEN kind = 'damage'
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated, d_oversold) = (0, quantity, 0, 0)
        WHEN kind = 'restore'
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated, d_oversold) = (0, -quantity, 0, 0)
        WHEN kind = 'allocate'     -- the second form covers an oversell
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated) = (0, 0, quantity)
                AND d_oversold IN (0, -quantity)
        WHEN kind = 'release' AND d_oversold > 0   -- a promise becomes an oversell
            THEN (d_on_hand, d_unavailable, d_allocated, d_oversold) = (0, 0, -quantity, quantity)
        WHEN kind IN ('release', 'expire')
            THEN quantity > 0 AND (d_on_hand, d_unavailable, d_allocated + d_oversold) = (0, 0, -quantity)
                AND d_allocated <= 0 AND d_oversold <= 0
        WHEN kind = 'ship'
            THEN quantity > 0 AND (d_on_hand, d_allocated + d_oversold) = (-quantity, -quantity)
                AND d_allocated <= 0 AND d_oversold <= 0 AND d_unavailable <= 0
        ELSE false
      END;
