-- What carriers tell of shipments, and when they will be delivered.

-- milestone and scanned_at follow from the scans (invariant_milestones_follow_scans); the others from forecasts.
ALTER TABLE shipment
    ADD COLUMN milestone text CHECK (milestone IN ('handed_over', 'in_transit', 'at_hub', 'out_for_delivery',
        'failed_attempt', 'exception', 'returned', 'delivered')),   -- NULL: the carrier has not told of it yet
    ADD COLUMN scanned_at timestamptz,                              -- the last scan
    ADD COLUMN awaits_rest boolean NOT NULL DEFAULT false,          -- delivered before others of its fulfilment were
    ADD COLUMN forecasts smallint NOT NULL DEFAULT 0,
    ADD COLUMN foretold_at timestamptz,                             -- when it was last looked at
    ADD COLUMN foretold_of timestamptz,                             -- the scan that was the last one then
    ADD COLUMN p_late double precision CHECK (p_late BETWEEN 0 AND 1),   -- by the last forecast; NULL: nobody knows
    ADD COLUMN likely_late_since timestamptz;
CREATE INDEX shipment_tracking ON shipment (tracking) WHERE tracking IS NOT NULL;
CREATE INDEX shipment_shipped ON shipment (shipped_at, order_id, shipment_no);
CREATE INDEX shipment_to_foretell ON shipment (shipped_at)
    WHERE delivered_at IS NULL AND (foretold_at IS NULL OR scanned_at IS DISTINCT FROM foretold_of);
CREATE INDEX shipment_open ON shipment (shipped_at, order_id, shipment_no) WHERE delivered_at IS NULL;
-- What a carrier says is delivered and we have not followed yet.
CREATE INDEX shipment_to_deliver ON shipment (order_id) WHERE milestone = 'delivered' AND (delivered_at IS NULL OR awaits_rest);

-- One scan, of one shipment; of a parcel with goods of two shipments there is one row for each. Scans come in any order
-- and any number of times: dedupe is the same for a repeat.
CREATE TABLE tracking_event (
    event_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     uuid,                   -- NULL, and shipment_no: no shipment is known by the number yet
    shipment_no  smallint,
    carrier      text COLLATE "C",       -- by which it was told
    tracking     text COLLATE "C",
    milestone    text NOT NULL CHECK (milestone IN ('handed_over', 'in_transit', 'at_hub', 'out_for_delivery',
        'failed_attempt', 'exception', 'returned', 'delivered')),
    at           timestamptz NOT NULL,
    place        jsonb,
    carrier_code text,                   -- as the carrier calls it
    carrier_text text,
    source       text NOT NULL,          -- api, import, webhook
    dedupe       bytea NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    actor        int NOT NULL,
    UNIQUE NULLS NOT DISTINCT (dedupe, order_id, shipment_no),
    CHECK ((order_id IS NULL) = (shipment_no IS NULL)),
    CHECK (order_id IS NOT NULL OR (carrier IS NOT NULL AND tracking IS NOT NULL))
);
CREATE INDEX tracking_event_shipment ON tracking_event (order_id, shipment_no, at) WHERE order_id IS NOT NULL;
CREATE INDEX tracking_event_waiting ON tracking_event (tracking) WHERE order_id IS NULL;

-- When a shipment will be there, as it was foretold: when it left, and after scans.
CREATE TABLE delivery_forecast (
    order_id    uuid NOT NULL,
    shipment_no smallint NOT NULL,
    forecast_no smallint NOT NULL,
    made_at     timestamptz NOT NULL,
    milestone   text,                    -- known then
    days        double precision[] NOT NULL CHECK (cardinality(days) = 7),
        -- from shipped_at to the delivery, at 5, 10, 25, 50, 75, 90 and 95 %
    due_at      timestamptz,             -- the promise that p_late is about
    p_late      double precision CHECK (p_late BETWEEN 0 AND 1),
    PRIMARY KEY (order_id, shipment_no, forecast_no)
);

-- Transit times as learned of a carrier's own deliveries: a list of {service, node, country, region, lane, p50, p95, ...}
-- (network/transit.py), NULL: nothing yet. tracking: how its messages are read (fulfilment/tracking/messages.py), secret:
-- by which they are known, sealed.
ALTER TABLE carrier
    ADD COLUMN transit jsonb,
    ADD COLUMN transit_at timestamptz,
    ADD COLUMN tracking jsonb,
    ADD COLUMN secret text,
    ADD CHECK ((tracking IS NULL) = (secret IS NULL));

-- A carrier's message as it came: kept before it is answered, worked on later; what cannot be read is parked.
CREATE TABLE carrier_message (
    message_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carrier_id  int NOT NULL REFERENCES carrier (carrier_id),
    dedupe      text COLLATE "C" NOT NULL,
    body        bytea,                          -- forgotten once it was worked on: it may name people
    status      text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'done', 'parked')),
    received_at timestamptz NOT NULL DEFAULT now(),
    scans       int,                            -- that were found in it
    skipped     int,                            -- of codes that mean nothing to us
    error       text,                           -- why it, or some of its scans, could not be read
    done_at     timestamptz,
    UNIQUE (carrier_id, dedupe),
    CHECK (status = 'done' OR body IS NOT NULL)
);
CREATE INDEX carrier_message_due ON carrier_message (message_id) WHERE status = 'due';
CREATE INDEX carrier_message_done ON carrier_message (done_at) WHERE status = 'done';

-- How far along a milestone is, of scans of the same moment.
CREATE FUNCTION milestone_rank_v1(milestone text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_position('{handed_over,in_transit,at_hub,exception,out_for_delivery,failed_attempt,returned,delivered}'::text[], milestone)
$$;

-- Where the scans of a shipment leave it: delivered if any says so, else on its way back, else as the last one says.
CREATE VIEW shipment_scans AS
SELECT order_id, shipment_no,
       CASE WHEN bool_or(milestone = 'delivered') THEN 'delivered'
            WHEN bool_or(milestone = 'returned') THEN 'returned'
            ELSE (array_agg(milestone ORDER BY at DESC, milestone_rank_v1(milestone) DESC))[1] END AS milestone,
       max(at) AS scanned_at,
       min(at) FILTER (WHERE milestone = 'delivered') AS delivered_at,
       min(at) FILTER (WHERE milestone = 'handed_over') AS handed_over_at
FROM tracking_event WHERE order_id IS NOT NULL GROUP BY order_id, shipment_no;

CREATE VIEW invariant_milestones_follow_scans AS
SELECT order_id, shipment_no, s.milestone, t.milestone AS of_scans
FROM shipment s FULL JOIN shipment_scans t USING (order_id, shipment_no)
WHERE (s.milestone, s.scanned_at) IS DISTINCT FROM (t.milestone, t.scanned_at);

CREATE VIEW invariant_delivered_fulfilments_have_delivered_shipments AS
SELECT f.order_id, f.fulfilment_no, s.shipment_no
FROM fulfilment f JOIN shipment s USING (order_id, fulfilment_no)
WHERE f.status = 'delivered' AND (s.delivered_at IS NULL OR s.awaits_rest);

CREATE VIEW invariant_shipments_show_their_last_forecast AS
SELECT s.order_id, s.shipment_no, s.forecasts, f.forecast_no, s.p_late, f.p_late AS foretold
FROM shipment s
LEFT JOIN LATERAL (SELECT forecast_no, p_late FROM delivery_forecast d
                   WHERE (d.order_id, d.shipment_no) = (s.order_id, s.shipment_no)
                   ORDER BY forecast_no DESC LIMIT 1) f ON true
WHERE (s.forecasts, s.p_late) IS DISTINCT FROM (coalesce(f.forecast_no, 0::smallint), f.p_late);
