-- What the raw database can do: the least that "reserve these lines, all of an order or none" can be, without sourcing,
-- promise, plan, fulfilment or events. The product is measured against these.

DROP TABLE IF EXISTS stock, ledger, seen;

CREATE TABLE stock (
    item     int NOT NULL,
    node     int NOT NULL,
    on_hand  int NOT NULL,
    reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (item, node)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE ledger (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request  uuid NOT NULL,
    line     int NOT NULL,
    item     int NOT NULL,
    node     int NOT NULL,
    quantity int NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE seen (request uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());

-- Exact: all lines of a request or none. Locks in (item, node) order; when everything fits one UPDATE does it,
-- otherwise it judges request by request in the order given. A status per line: 1 reserved, 0 short, 2 seen before.
CREATE OR REPLACE FUNCTION reserve_exact(r_request uuid[], r_line int[], r_item int[], r_node int[], r_quantity int[])
RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    fresh uuid[]; is_repeat boolean; is_short boolean; status int[]; rq record; left_over jsonb; fits boolean;
    k text; i int; taken int[];
BEGIN
    WITH s AS (
        INSERT INTO seen (request) SELECT DISTINCT u FROM unnest(r_request) u ORDER BY u
        ON CONFLICT DO NOTHING RETURNING request
    )
    SELECT array_agg(request) INTO fresh FROM s;
    is_repeat := coalesce(cardinality(fresh), 0) <> (SELECT count(DISTINCT u) FROM unnest(r_request) u);
    PERFORM 1 FROM stock s JOIN (SELECT DISTINCT item, node FROM unnest(r_item, r_node) t (item, node)) d USING (item, node)
    ORDER BY s.item, s.node FOR UPDATE OF s;
    SELECT coalesce(bool_or(s.item IS NULL OR s.on_hand - s.reserved < d.q), false) INTO is_short
    FROM (SELECT item, node, sum(q) q FROM unnest(r_item, r_node, r_quantity) t (item, node, q) GROUP BY 1, 2) d
    LEFT JOIN stock s ON s.item = d.item AND s.node = d.node;
    IF NOT is_repeat AND NOT is_short THEN
        UPDATE stock s SET reserved = reserved + d.q
        FROM (SELECT item, node, sum(q)::int q FROM unnest(r_item, r_node, r_quantity) t (item, node, q) GROUP BY 1, 2) d
        WHERE s.item = d.item AND s.node = d.node;
        INSERT INTO ledger (request, line, item, node, quantity)
        SELECT * FROM unnest(r_request, r_line, r_item, r_node, r_quantity);
        RETURN array_fill(1, ARRAY[cardinality(r_request)]);
    END IF;
    status := array_fill(0, ARRAY[cardinality(r_request)]);
    SELECT coalesce(jsonb_object_agg(s.item || ':' || s.node, s.on_hand - s.reserved), '{}') INTO left_over
    FROM stock s JOIN (SELECT DISTINCT item, node FROM unnest(r_item, r_node) t (item, node)) d USING (item, node);
    FOR rq IN
        SELECT request, array_agg(ord::int ORDER BY ord) AS lines FROM unnest(r_request) WITH ORDINALITY t (request, ord)
        GROUP BY request ORDER BY min(ord)
    LOOP
        IF NOT rq.request = ANY (coalesce(fresh, '{}')) THEN
            FOREACH i IN ARRAY rq.lines LOOP status[i] := 2; END LOOP;
            CONTINUE;
        END IF;
        fits := true; taken := '{}';
        FOREACH i IN ARRAY rq.lines LOOP
            k := r_item[i] || ':' || r_node[i];
            IF coalesce((left_over ->> k)::int, 0) < r_quantity[i] THEN fits := false; EXIT; END IF;
            left_over := jsonb_set(left_over, ARRAY[k], to_jsonb((left_over ->> k)::int - r_quantity[i]));
            taken := taken || i;
        END LOOP;
        IF fits THEN
            FOREACH i IN ARRAY rq.lines LOOP status[i] := 1; END LOOP;
        ELSE
            FOREACH i IN ARRAY taken LOOP
                k := r_item[i] || ':' || r_node[i];
                left_over := jsonb_set(left_over, ARRAY[k], to_jsonb((left_over ->> k)::int + r_quantity[i]));
            END LOOP;
        END IF;
    END LOOP;
    UPDATE stock s SET reserved = reserved + d.q
    FROM (
        SELECT item, node, sum(q)::int q FROM unnest(r_item, r_node, r_quantity, status) t (item, node, q, st)
        WHERE st = 1 GROUP BY 1, 2
    ) d
    WHERE s.item = d.item AND s.node = d.node;
    INSERT INTO ledger (request, line, item, node, quantity)
    SELECT request, line, item, node, q
    FROM unnest(r_request, r_line, r_item, r_node, r_quantity, status) t (request, line, item, node, q, st) WHERE st = 1;
    RETURN status;
END $$;

-- The same promise, optimistic: one ordered UPDATE locks, checks and writes; only when something does not fit is that
-- undone and the exact path taken.
CREATE OR REPLACE FUNCTION reserve_fast(r_request uuid[], r_line int[], r_item int[], r_node int[], r_quantity int[])
RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    wanted int; got int; fresh int;
BEGIN
    BEGIN
        WITH s AS (
            INSERT INTO seen (request) SELECT DISTINCT u FROM unnest(r_request) u ORDER BY u
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT count(*) INTO fresh FROM s;
        IF fresh <> (SELECT count(DISTINCT u) FROM unnest(r_request) u) THEN
            RAISE EXCEPTION USING ERRCODE = 'OH002';
        END IF;
        WITH d AS MATERIALIZED (
            SELECT item, node, sum(q)::int q FROM unnest(r_item, r_node, r_quantity) t (item, node, q)
            GROUP BY 1, 2 ORDER BY 1, 2
        ), u AS (
            UPDATE stock s SET reserved = reserved + d.q FROM d
            WHERE s.item = d.item AND s.node = d.node AND s.on_hand - s.reserved >= d.q
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM u) INTO wanted, got;
        IF wanted <> got THEN
            RAISE EXCEPTION USING ERRCODE = 'OH001';
        END IF;
        INSERT INTO ledger (request, line, item, node, quantity)
        SELECT * FROM unnest(r_request, r_line, r_item, r_node, r_quantity);
        RETURN array_fill(1, ARRAY[cardinality(r_request)]);
    EXCEPTION WHEN SQLSTATE 'OH001' OR SQLSTATE 'OH002' THEN
        NULL;
    END;
    RETURN reserve_exact(r_request, r_line, r_item, r_node, r_quantity);
END $$;
