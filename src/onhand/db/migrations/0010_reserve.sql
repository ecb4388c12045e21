-- Writes a batch of decided reservations, all lines or none each; arrays and errors as in place_orders_v1.
CREATE FUNCTION reserve_v1(
    r_id uuid[], r_channel int[], r_expires timestamptz[], r_actor int[], r_reason text[],
    r_event text[],
    s_item int[], s_node int[], s_qty int[], s_entries int[],
    a_reservation int[], a_line int[], a_slot int[], a_qty int[], a_cum int[], a_rank int[],
    i_reservation int[], i_key text[], i_hash bytea[], i_answer text[],
    process int,
    OUT available int[], OUT version int[]
) LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    IF cardinality(i_key) > 0 THEN
        INSERT INTO idempotency (actor, route, key, body_hash, status, answer)
        SELECT r_actor[i.ord], '/v1/reservations', i.key, i.hash, 201, i.answer
        FROM unnest(i_reservation, i_key, i_hash, i_answer) AS i (ord, key, hash, answer)
        ORDER BY i.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> cardinality(i_key) THEN
            PERFORM onhand_raise('OH002', 'idempotency key seen before');
        END IF;
    END IF;
    SELECT t.available, t.version INTO available, version
    FROM allocate_v1(s_item, s_node, s_qty, s_entries, a_slot, a_qty, a_cum, a_rank, a_reservation, r_id, r_actor) AS t;
    INSERT INTO reservation (reservation_id, channel_id, expires_at, actor)
    SELECT * FROM unnest(r_id, r_channel, r_expires, r_actor);
    INSERT INTO reservation_line (reservation_id, line_no, item_id, node_id, quantity)
    SELECT r_id[ord], line, s_item[slot], s_node[slot], qty
    FROM unnest(a_reservation, a_line, a_slot, a_qty) AS a (ord, line, slot, qty);
    INSERT INTO event (kind, subject, actor, origin, reason, data)
    SELECT 'reservation.active', id::text, actor, process, reason, data::jsonb
    FROM unnest(r_id, r_actor, r_reason, r_event) AS r (id, actor, reason, data);
    INSERT INTO event (kind, subject, actor, origin, data)
    VALUES ('stock.changed', 'stock', 0, process, jsonb_build_object('items', s_item, 'nodes', s_node));
END $$;
