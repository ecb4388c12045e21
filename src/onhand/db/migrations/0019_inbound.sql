-- What channels tell us of orders, and what we tell them.

-- A message as it came. Kept before it is answered, worked on later, and never lost: what cannot be read is parked.
CREATE TABLE channel_message (
    message_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    dedupe      text COLLATE "C" NOT NULL,      -- the same for a repeat
    topic       text NOT NULL,
    body        bytea,                          -- forgotten once it was worked on: it may name people
    status      text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'done', 'parked')),
    received_at timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now(),  -- while somebody works on it: when another may
    attempts    int NOT NULL DEFAULT 0,
    error       text,
    done_at     timestamptz,
    UNIQUE (channel_id, dedupe),
    CHECK (status = 'done' OR body IS NOT NULL)
);
CREATE INDEX channel_message_due ON channel_message (channel_id, next_try_at) WHERE status = 'due';
CREATE INDEX channel_message_done ON channel_message (done_at) WHERE status = 'done';

-- An order of a channel as last heard of, and how far our own order follows it. `version` counts what was heard,
-- `taken` is the one that was followed last.
CREATE TABLE channel_order (
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    external_id text COLLATE "C" NOT NULL,
    version     int NOT NULL DEFAULT 1,
    taken       int NOT NULL DEFAULT 0,
    said        text NOT NULL,                  -- JSON; without the person once our order stands
    said_at     timestamptz NOT NULL,           -- when it became so, by the channel's clock
    read_at     timestamptz NOT NULL,           -- when we began to ask, or were told
    wanted      text,                           -- JSON: {line id: units} that the channel wanted when it was followed last
    status      text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'unpaid', 'unknown_sku', 'refused', 'taken', 'not_ours')),
    problem     text,                           -- what stands in the way, or differs
    missing     text[],                         -- names of what no listing or item is known by
    order_id    uuid,
    attempts    int NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    heard_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, external_id)
) WITH (fillfactor = 80);
CREATE INDEX channel_order_behind ON channel_order (channel_id, next_try_at) WHERE taken < version;
CREATE INDEX channel_order_problem ON channel_order (channel_id, external_id) WHERE problem IS NOT NULL;
CREATE INDEX channel_order_heard ON channel_order (channel_id, heard_at);

-- Where the reading of a channel's orders, or of anything else that is asked for again and again, stands, and when it is due again.
CREATE TABLE channel_reading (
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    kind        text NOT NULL CHECK (kind IN ('asks', 'counts', 'orders', 'queue', 'reconcile', 'sales', 'ships')),
    at          text,                           -- what to ask with for what follows
    since       timestamptz NOT NULL DEFAULT now(),
    next_at     timestamptz NOT NULL DEFAULT now(),
    failures    int NOT NULL DEFAULT 0,
    error       text,
    ended_at    timestamptz,
    PRIMARY KEY (channel_id, kind)
);

-- What a channel is told of an order: a parcel, or that we cannot serve it. Written before it is sent.
CREATE TABLE channel_notice (
    notice_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    order_id    uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('parcel', 'cancel')),
    shipment_no smallint NOT NULL DEFAULT 0,
    status      text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'done', 'refused')),
    attempts    int NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,                    -- written before the request
    done_at     timestamptz,
    error       text,
    UNIQUE (order_id, kind, shipment_no)
);
CREATE INDEX channel_notice_due ON channel_notice (channel_id, next_try_at) WHERE status = 'due';

-- What a comparison of a channel's orders with ours came to.
CREATE TABLE channel_orders_report (
    report_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id int NOT NULL REFERENCES channel (channel_id),
    since      timestamptz NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    seen       int NOT NULL,
    lost       int NOT NULL,                    -- of which we had not heard
    changed    int NOT NULL,                    -- that had moved on since we heard of them
    differing  int NOT NULL,                    -- still, after what was heard has been followed
    findings   jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX channel_orders_report_channel ON channel_orders_report (channel_id, report_id);

CREATE INDEX listing_external ON listing (channel_id, external_id);

-- What a channel asks for an order that is not served, and what a day of waiting costs with its customers.
ALTER TABLE channel
    ADD COLUMN oversell jsonb NOT NULL DEFAULT '{}';

-- Who was served when two channels sold the last unit, and why. Once for each time that an order waits.
CREATE TABLE arbitration (
    arbitration_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    order_id    uuid NOT NULL,               -- that waited
    item_id     int NOT NULL,
    units       int NOT NULL,
    served      uuid,                        -- NULL: nobody held enough
    gave_way    uuid[] NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('backorder', 'transfer', 'substitute', 'cancel')),
    sentence    text NOT NULL
);
CREATE INDEX arbitration_order ON arbitration (order_id, item_id, at);
