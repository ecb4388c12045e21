-- What was wanted, where and when; and what may explain it.

-- The place of a destination: ISO 3166-2 where the address names a subdivision by its code, otherwise the country.
CREATE FUNCTION demand_region_v1(country text, region text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN bare ~ '^[A-Z0-9]{1,3}$' THEN upper(country) || '-' || bare ELSE upper(country) END
    FROM (SELECT regexp_replace(upper(btrim(coalesce(region, ''))), '^' || upper(country) || '-', '')) AS t (bare)
$$;

-- Where demand arises: at a node (bought over its counter, or picked up there), otherwise in the region it is sent to;
-- '' is a place that nobody has told. timezone: whose days are counted; it stays as it was when the place was first seen.
CREATE TABLE demand_place (
    place_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id  int UNIQUE REFERENCES node (node_id),
    region   text COLLATE "C" UNIQUE,
    timezone text NOT NULL,
    CHECK ((node_id IS NULL) <> (region IS NULL))
);

-- Lines of orders as demand, components of bundles by themselves. Derived: whatever is here is made again from orders
-- and events, which a consumer of the outbox (cursor `demand`) follows. Corrections are no part of it.
CREATE TABLE demand_line (
    order_id    uuid NOT NULL,
    line_no     smallint NOT NULL,
    item_id     int NOT NULL,
    place_id    int NOT NULL,
    channel_id  int NOT NULL,
    day         date NOT NULL,                -- of the place
    hour        smallint NOT NULL,            -- of that day
    units       int NOT NULL,                 -- ordered
    cancelled   int NOT NULL DEFAULT 0,       -- of them: the customer did not want them any more
    unserved    int NOT NULL DEFAULT 0,       -- of them: cancelled because nothing could serve them
    returned    int NOT NULL DEFAULT 0,
    price_minor bigint,                       -- of a unit; NULL of components
    PRIMARY KEY (order_id, line_no, item_id)
);
CREATE INDEX demand_line_item ON demand_line (item_id, day);

-- What was sold on a day as somebody else tells it: history from before, tills that send no sales. channel_id 0: of none.
CREATE TABLE imported_sale (
    item_id         int NOT NULL REFERENCES item (item_id),
    place_id        int NOT NULL REFERENCES demand_place (place_id),
    channel_id      int NOT NULL DEFAULT 0,
    day             date NOT NULL,
    units           int NOT NULL CHECK (units >= 0),
    price_minor     bigint CHECK (price_minor >= 0),
    stock_out_hours real NOT NULL DEFAULT 0 CHECK (stock_out_hours BETWEEN 0 AND 24),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, place_id, channel_id, day)
);

-- Sales over counters, by item; entries of orders have another reason, so it costs them nothing.
CREATE INDEX ledger_entry_sold ON ledger_entry (item_id, occurred_at) WHERE reason = 'sale';

-- A signal of one scope; NULL: of all. known_ahead: its values may be used for days to come.
CREATE TABLE signal (
    signal_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    item_id     int REFERENCES item (item_id),
    category    text,
    node_id     int REFERENCES node (node_id),
    region      text,
    known_ahead boolean NOT NULL,
    fill        text CHECK (fill IN ('hold', 'zero', 'none')),   -- what stands between its values; NULL: judged by them
    begun_at    timestamptz NOT NULL,     -- when its first value was told: what lies before is history
    UNIQUE NULLS NOT DISTINCT (name, item_id, category, node_id, region)
);

-- Append-only: what was said of a moment, and since when it is known. A later known_at corrects an earlier one;
-- '-infinity': it counts as always known.
CREATE TABLE signal_value (
    signal_id   int NOT NULL REFERENCES signal (signal_id) ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    known_at    timestamptz NOT NULL,
    value       double precision NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (signal_id, at, known_at)
);

-- Where signals are fetched from by themselves. A worker takes one by moving its next_at past the time it may need.
CREATE TABLE signal_feed (
    name        text COLLATE "C" PRIMARY KEY,
    document    jsonb NOT NULL,              -- address, mapping, schedule: see demand/feeds.py
    secrets     text,                        -- headers that are secret, sealed
    active      boolean NOT NULL DEFAULT true,
    next_at     timestamptz NOT NULL DEFAULT now(),
    read_at     timestamptz,                 -- when it was last read to its end
    written     bigint NOT NULL DEFAULT 0,   -- values that reading changed then
    rejected    bigint NOT NULL DEFAULT 0,   -- rows that could not be used then
    reject      text,                        -- the first of them, and why
    failures    int NOT NULL DEFAULT 0,      -- in a row
    error       text,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX signal_feed_due ON signal_feed (next_at) WHERE active;
