-- The guarded, set-based statements of the hot path: arrays in, positions out, one round trip, one transaction.
--
-- Lock order, the same for every writer of the system: idempotency and order keys, then stock positions in
-- (item, node) order, then inbound lines, then capacity in (node, day) order, then parcels
-- in (carrier, service, lane, node, day) order. The caller sorts; unnest keeps the order.
-- SQLSTATE OH001: some position or day no longer fits; OH002: a key was seen before. Both undo everything;
-- the caller then takes the exact path (lock, decide, write).
-- Planner settings (nested loops over index scans) are set on the connection: a SET clause costs time per call.

CREATE FUNCTION onhand_raise(code text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
END $$;

-- Adds s_qty allocated units to each position (one row per position, sorted) and appends one `allocate` entry per
-- a_* row: slot is the 1-based index into s_*, cum the units of that slot up to and including this row, rank its
-- 1-based number within the slot, owner the 1-based index into o_*: the order or reservation, and who asked for it.
-- Here and below columns are read by subscript: PL/pgSQL keeps its arrays expanded, so that costs half of unnest.
CREATE FUNCTION allocate_v1(
    s_item int[], s_node int[], s_qty int[], s_entries int[],
    a_slot int[], a_qty int[], a_cum int[], a_rank int[], a_owner int[], o_id uuid[], o_actor int[],
    OUT available int[], OUT version int[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_on_hand int[]; v_unavailable int[]; v_allocated int[]; v_oversold int[];
BEGIN
    WITH u AS (
        UPDATE stock_position p
        SET allocated = p.allocated + d.q, version = p.version + d.n
        FROM unnest(s_item, s_node, s_qty, s_entries) WITH ORDINALITY AS d (item, node, q, n, slot)
        WHERE p.item_id = d.item AND p.node_id = d.node
          AND p.on_hand - p.unavailable - p.allocated >= d.q
        RETURNING d.slot, p.on_hand, p.unavailable, p.allocated, p.oversold, p.version
    )
    SELECT array_agg(u.on_hand ORDER BY slot), array_agg(u.unavailable ORDER BY slot),
           array_agg(u.allocated ORDER BY slot), array_agg(u.oversold ORDER BY slot),
           array_agg(u.version ORDER BY slot),
           array_agg(u.on_hand - u.unavailable - u.allocated ORDER BY slot)
    INTO v_on_hand, v_unavailable, v_allocated, v_oversold, version, available FROM u;
    IF coalesce(cardinality(version), 0) <> cardinality(s_item) THEN
        PERFORM onhand_raise('OH001', 'stock no longer fits');
    END IF;
    INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable, d_allocated,
        d_oversold, on_hand, unavailable, allocated, oversold, actor, ref)
    SELECT s_item[slot], s_node[slot], version[slot] - s_entries[slot] + a_rank[k], 'allocate', a_qty[k], 0, 0,
        a_qty[k], 0, v_on_hand[slot], v_unavailable[slot], v_allocated[slot] - s_qty[slot] + a_cum[k],
        v_oversold[slot], o_actor[a_owner[k]], o_id[a_owner[k]]
    FROM generate_subscripts(a_slot, 1) k, LATERAL (SELECT a_slot[k] AS slot OFFSET 0) AS at;
END $$;

-- Adds promised orders, lines and units to ship days; OH001 when a day is full. Nodes without a limit are skipped here,
-- by the rows of now: the caller's memory may not know of a limit yet. Called after the fulfilments were inserted, whose
-- table a change of limits locks.
CREATE FUNCTION hold_capacity_v1(c_node int[], c_day date[], c_orders int[], c_lines int[], c_units bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing int;
BEGIN
    WITH limited AS MATERIALIZED (
        SELECT c_node[i] AS node, c_day[i] AS day, c_orders[i] AS o, c_lines[i] AS l, c_units[i] AS u,
            n.capacity_orders AS o_max, n.capacity_lines AS l_max, n.capacity_units AS u_max
        FROM generate_subscripts(c_node, 1) i JOIN node n ON n.node_id = c_node[i]
        WHERE num_nonnulls(n.capacity_orders, n.capacity_lines, n.capacity_units) > 0
    ), held AS (
        UPDATE capacity_day k
        SET orders = k.orders + d.o, lines = k.lines + d.l, units = k.units + d.u
        FROM limited d
        WHERE k.node_id = d.node AND k.day = d.day
          AND (k.orders + d.o <= d.o_max OR d.o_max IS NULL)
          AND (k.lines + d.l <= d.l_max OR d.l_max IS NULL)
          AND (k.units + d.u <= d.u_max OR d.u_max IS NULL)
        RETURNING 1
    ), begun AS (
        -- The first orders of a day. A rival who begins it at the same time makes us look again.
        INSERT INTO capacity_day (node_id, day, orders, lines, units)
        SELECT d.node, d.day, d.o, d.l, d.u FROM limited d
        WHERE NOT EXISTS (SELECT FROM capacity_day k WHERE k.node_id = d.node AND k.day = d.day)
          AND (d.o <= d.o_max OR d.o_max IS NULL)
          AND (d.l <= d.l_max OR d.l_max IS NULL)
          AND (d.u <= d.u_max OR d.u_max IS NULL)
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM limited) - (SELECT count(*) FROM held) - (SELECT count(*) FROM begun) INTO missing;
    IF missing > 0 THEN
        PERFORM onhand_raise('OH001', 'capacity no longer fits');
    END IF;
END $$;

-- Personal data of the orders of a batch; one row per e-mail address, a new row where there is none.
-- Returns the ids in the order given. Sorted by the caller, so that two batches cannot deadlock.
CREATE FUNCTION keep_customers_v1(u_id uuid[], u_email text[], u_name text[], u_phone text[], u_address text[])
RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[];
BEGIN
    INSERT INTO customer (customer_id, email, name, phone, address)
    SELECT DISTINCT ON (coalesce(lower(email), id::text)) id, email, name, phone, address::jsonb
    FROM unnest(u_id, u_email, u_name, u_phone, u_address) AS t (id, email, name, phone, address)
    ORDER BY coalesce(lower(email), id::text)
    ON CONFLICT DO NOTHING;
    SELECT array_agg(coalesce(c.customer_id, t.id) ORDER BY t.ord) INTO ids
    FROM unnest(u_id, u_email) WITH ORDINALITY AS t (id, email, ord)
    LEFT JOIN customer c ON t.email IS NOT NULL AND c.email IS NOT NULL AND lower(c.email) = lower(t.email);
    RETURN ids;
END $$;

-- Writes a batch of decided orders. o_* one row per order, o_turn their 1-based indexes sorted by (channel, external id):
-- in that order their names are claimed;
-- s_*, a_* as in allocate_v1; f_* fulfilments; c_* capacity; *_order are 1-based indexes into o_*. e_* one row per event:
-- an order of those that it tells of, and where they stand in e_id, the last one first.
CREATE FUNCTION place_orders_v1(
    o_turn int[], o_id uuid[], o_channel int[], o_external text[], o_hash bytea[], o_status text[], o_queue text[],
    o_currency text[], o_placed timestamptz[], o_deliver timestamptz[], o_customer int[], o_request text[],
    o_actor int[], o_decision text[], o_inputs bytea[], o_reason text[], o_lines text[],
    s_item int[], s_node int[], s_qty int[], s_entries int[],
    a_order int[], a_slot int[], a_qty int[], a_cum int[], a_rank int[],
    f_order int[], f_no int[], f_node int[], f_carrier text[], f_service text[], f_method text[], f_day date[],
    f_ship timestamptz[], f_deliver timestamptz[], f_lines int[], f_units int[], f_parcels int[],
    f_lane text[], f_cost_minor bigint[],
    f_cost text[], f_co2_g bigint[], f_pieces text[],
    c_node int[], c_day date[], c_orders int[], c_lines int[], c_units bigint[],
    u_id uuid[], u_email text[], u_name text[], u_phone text[], u_address text[],
    i_order int[], i_key text[],
    e_order int[], e_first int[], e_last int[], e_id uuid[],
    network int, policy_version text, o_policy text[], confidence float8, process int,
    OUT available int[], OUT version int[]
) LANGUAGE plpgsql AS $$
DECLARE
    n int;
    customers uuid[];
BEGIN
    IF cardinality(i_key) > 0 THEN
        INSERT INTO idempotency (actor, route, key, body_hash, status, answer)
        SELECT o.actor, '/v1/orders', i.key, o.hash, 201, o.id::text
        FROM unnest(i_order, i_key) AS i (ord, key)
        JOIN unnest(o_id, o_hash, o_actor) WITH ORDINALITY AS o (id, hash, actor, ord) USING (ord)
        ORDER BY i.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> cardinality(i_key) THEN
            PERFORM onhand_raise('OH002', 'idempotency key seen before');
        END IF;
    END IF;
    IF cardinality(u_id) > 0 THEN
        customers := keep_customers_v1(u_id, u_email, u_name, u_phone, u_address);
    END IF;
    -- A plain insert: looking for conflicts first costs a second search of the index. The caller knows the constraint.
    INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, queue, currency, placed_at,
        deliver_by, customer_id, request, lines, actor)
    SELECT o_id[i], o_channel[i], o_external[i], o_hash[i], o_status[i], o_queue[i], o_currency[i], o_placed[i],
        o_deliver[i], customers[o_customer[i]], o_request[i], o_lines[i], o_actor[i]
    FROM unnest(o_turn) i;

    INSERT INTO plan_sheet (network_id, policy, confidence, orders, decisions, inputs, policies)
    VALUES (network, policy_version, confidence, o_id, o_decision, o_inputs,
        CASE WHEN cardinality(o_policy) > 0 THEN o_policy END);
    INSERT INTO event (kind, actor, origin, reason, data, orders)
    SELECT 'order.' || o_status[i], o_actor[i], process, o_reason[i],
        jsonb_build_object('status', o_status[i], 'queue', o_queue[i]), e_id[e_first[e]:e_last[e]]
    FROM generate_subscripts(e_order, 1) e, LATERAL (SELECT e_order[e] AS i OFFSET 0) AS at;
    IF cardinality(s_item) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, carrier, service, method,
        ship_day, ship_by, deliver_by, lines, units, parcels, lane, cost_minor, cost, co2_g, pieces)
    SELECT o_id[f_order[i]], f_no[i], 1, f_node[i], 'allocated', f_carrier[i], f_service[i], f_method[i], f_day[i],
        f_ship[i], f_deliver[i], f_lines[i], f_units[i], f_parcels[i], f_lane[i], f_cost_minor[i], f_cost[i],
        f_co2_g[i], f_pieces[i]
    FROM generate_subscripts(f_order, 1) i;
    INSERT INTO event (kind, subject, actor, origin, data)
    VALUES ('stock.changed', 'stock', 0, process, jsonb_build_object('items', s_item, 'nodes', s_node));
    -- Last, what others want too: positions and days stay locked for the shortest time.
    SELECT t.available, t.version INTO available, version
    FROM allocate_v1(s_item, s_node, s_qty, s_entries, a_slot, a_qty, a_cum, a_rank, a_order, o_id, o_actor) AS t;
    IF cardinality(c_node) > 0 THEN
        PERFORM hold_capacity_v1(c_node, c_day, c_orders, c_lines, c_units);
    END IF;
    IF EXISTS (SELECT FROM parcel_limit) THEN
        PERFORM hold_parcels_v1(f_carrier, f_service, f_lane, f_node, f_day, f_parcels);
    END IF;
END $$;

-- Writes entries that were decided under lock: p_* the positions after them (sorted, absolute values),
-- e_* one row per entry with its changes and the position after it.
CREATE FUNCTION write_entries_v1(
    p_item int[], p_node int[], p_on_hand int[], p_unavailable int[], p_allocated int[], p_oversold int[],
    p_version int[],
    e_slot int[], e_version int[], e_kind text[], e_qty int[],
    e_d_on_hand int[], e_d_unavailable int[], e_d_allocated int[], e_d_oversold int[],
    e_on_hand int[], e_unavailable int[], e_allocated int[], e_oversold int[],
    e_actor int[], e_ref uuid[], e_reference text[], e_reason text[], e_occurred timestamptz[],
    process int, OUT entry_ids bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stock_position p
    SET on_hand = d.on_hand, unavailable = d.unavailable, allocated = d.allocated, oversold = d.oversold,
        version = d.version
    FROM unnest(p_item, p_node, p_on_hand, p_unavailable, p_allocated, p_oversold, p_version)
        AS d (item, node, on_hand, unavailable, allocated, oversold, version)
    WHERE p.item_id = d.item AND p.node_id = d.node;
    WITH e AS (
        INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,
            d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, ref, reference, reason,
            occurred_at)
        SELECT p_item[slot], p_node[slot], ver, kind, qty, d_on_hand, d_unavailable, d_allocated, d_oversold,
            on_hand, unavailable, allocated, oversold, actor, ref, reference, reason, coalesce(occurred, now())
        FROM unnest(e_slot, e_version, e_kind, e_qty, e_d_on_hand, e_d_unavailable, e_d_allocated, e_d_oversold,
            e_on_hand, e_unavailable, e_allocated, e_oversold, e_actor, e_ref, e_reference, e_reason, e_occurred)
            WITH ORDINALITY AS e (slot, ver, kind, qty, d_on_hand, d_unavailable, d_allocated, d_oversold,
            on_hand, unavailable, allocated, oversold, actor, ref, reference, reason, occurred, ord)
        ORDER BY ord
        RETURNING entry_id
    )
    SELECT array_agg(entry_id) INTO entry_ids FROM e;   -- identity values follow the order of insertion
    INSERT INTO event (kind, subject, actor, origin, data)
    VALUES ('stock.changed', 'stock', coalesce(e_actor[1], 0), process,
        jsonb_build_object('items', p_item, 'nodes', p_node));
END $$;
