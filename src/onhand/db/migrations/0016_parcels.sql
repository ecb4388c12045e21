-- Parcels that carriers take per day: hard limits of a service at each node, and of a lane over all its nodes.

-- Limits of the documents of active carriers, kept in the transaction that writes one. lane: its key
-- (network/parcels.py), '' for what the service collects at each node.
CREATE TABLE parcel_limit (
    carrier text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    lane    text COLLATE "C" NOT NULL,
    parcels int NOT NULL CHECK (parcels >= 0),
    PRIMARY KEY (carrier, service, lane)
);

-- Parcels promised per ship day: of fulfilments that are not cancelled or rejected, as they were planned. Rows exist
-- only for what has a limit; node_id is 0 for a lane.
CREATE TABLE parcel_day (
    carrier text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    lane    text COLLATE "C" NOT NULL,
    node_id int NOT NULL,
    day     date NOT NULL,
    parcels bigint NOT NULL DEFAULT 0 CHECK (parcels >= 0),
    PRIMARY KEY (carrier, service, lane, node_id, day)
) WITH (fillfactor = 50);
CREATE INDEX parcel_day_day ON parcel_day (day);

-- Counts the parcels of new fulfilments, one row each; OH001 when a carrier takes no more. By the limits of now: the
-- caller's memory may not know of one yet, which is why every fulfilment comes here with its parcels and its lane.
-- Called after the fulfilments were inserted, whose table a change of limits locks, and after days of capacity were held.
CREATE FUNCTION hold_parcels_v1(
    f_carrier text[], f_service text[], f_lane text[], f_node int[], f_day date[], f_parcels int[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing int;
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT l.carrier, l.service, l.lane, CASE l.lane WHEN '' THEN f_node[i] ELSE 0 END AS node_id, f_day[i] AS day,
            sum(f_parcels[i]) AS parcels, l.parcels AS most
        FROM generate_subscripts(f_node, 1) i
        JOIN parcel_limit l ON l.carrier = f_carrier[i] AND l.service = f_service[i] AND l.lane IN ('', f_lane[i])
        WHERE f_parcels[i] > 0
        GROUP BY 1, 2, 3, 4, 5, l.parcels
    ), held AS (
        -- One row after the other in this order, so that two batches cannot deadlock.
        INSERT INTO parcel_day AS k (carrier, service, lane, node_id, day, parcels)
        SELECT carrier, service, lane, node_id, day, parcels FROM wanted WHERE parcels <= most
        ORDER BY carrier, service, lane, node_id, day
        ON CONFLICT (carrier, service, lane, node_id, day) DO UPDATE SET parcels = k.parcels + excluded.parcels
        WHERE k.parcels + excluded.parcels <= (
            SELECT l.parcels FROM parcel_limit l
            WHERE l.carrier = k.carrier AND l.service = k.service AND l.lane = k.lane)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM wanted) - (SELECT count(*) FROM held) INTO missing;
    IF missing > 0 THEN
        PERFORM onhand_raise('OH001', 'carriers take no more parcels');
    END IF;
END $$;

-- The same for changes of orders: parcels that are added, or given back (negative), one row per key, in any order.
-- What has no limit is left out.
CREATE FUNCTION change_parcels_v1(
    p_carrier text[], p_service text[], p_lane text[], p_node int[], p_day date[], p_parcels bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    d record;
BEGIN
    -- In the order of hold_parcels_v1.
    FOR d IN
        SELECT l.carrier, l.service, l.lane, p_node[i] AS node_id, p_day[i] AS day, p_parcels[i] AS parcels,
            l.parcels AS most
        FROM generate_subscripts(p_node, 1) i
        JOIN parcel_limit l ON l.carrier = p_carrier[i] AND l.service = p_service[i] AND l.lane = p_lane[i]
        ORDER BY l.carrier, l.service, l.lane, p_node[i], p_day[i]
    LOOP
        IF d.parcels < 0 THEN
            UPDATE parcel_day k SET parcels = k.parcels + d.parcels
            WHERE (k.carrier, k.service, k.lane, k.node_id, k.day) = (d.carrier, d.service, d.lane, d.node_id, d.day);
        ELSE
            INSERT INTO parcel_day AS k (carrier, service, lane, node_id, day, parcels)
            SELECT d.carrier, d.service, d.lane, d.node_id, d.day, d.parcels WHERE d.parcels <= d.most
            ON CONFLICT (carrier, service, lane, node_id, day) DO UPDATE SET parcels = k.parcels + excluded.parcels
            WHERE k.parcels + excluded.parcels <= d.most;
            IF NOT FOUND THEN
                PERFORM onhand_raise('OH001', 'carriers take no more parcels');
            END IF;
        END IF;
    END LOOP;
END $$;

-- What counters of parcels should say, for all that has a limit.
CREATE VIEW parcels_promised AS
SELECT f.carrier, f.service, l.lane, CASE l.lane WHEN '' THEN f.node_id ELSE 0 END AS node_id, f.ship_day AS day,
       sum(f.parcels)::bigint AS parcels
FROM fulfilment f
JOIN parcel_limit l ON l.carrier = f.carrier AND l.service = f.service AND l.lane IN ('', f.lane)
WHERE f.status NOT IN ('cancelled', 'rejected') AND f.parcels > 0
GROUP BY 1, 2, 3, 4, 5;

CREATE VIEW invariant_parcels_are_promised AS
SELECT carrier, service, lane, node_id, day, k.parcels, p.parcels AS promised
FROM parcels_promised p
FULL JOIN parcel_day k USING (carrier, service, lane, node_id, day)
WHERE coalesce(k.parcels, 0) <> coalesce(p.parcels, 0);
