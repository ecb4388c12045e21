CREATE TABLE node (
    node_id              int PRIMARY KEY,
    code                 text COLLATE "C" NOT NULL UNIQUE,
    name                 text NOT NULL,
    node_type            text NOT NULL CHECK (node_type IN ('warehouse', 'store', 'third_party', 'supplier')),
    country              text NOT NULL,
    region               text,
    postal_code          text,
    latitude             double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude            double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    timezone             text NOT NULL,
    handling_cost_minor  int NOT NULL DEFAULT 0,           -- per fulfilment
    handling_line_minor  int NOT NULL DEFAULT 0,
    handling_unit_minor  int NOT NULL DEFAULT 0,
    labour               jsonb,                            -- wage and time standards: see LabourIn in network/model.py
    cutoff               time NOT NULL DEFAULT '15:00',    -- local; later orders leave on the next working day
    working_days         smallint[] NOT NULL DEFAULT '{1,2,3,4,5}',   -- ISO: Monday is 1
    closed_days          date[] NOT NULL DEFAULT '{}',
    holidays             text,                             -- closed on the public holidays of DE, DE-BY, ...
    capacity_orders      int,                              -- per day; NULL: without limit
    capacity_lines       int,
    capacity_units       int,
    methods              text[] NOT NULL DEFAULT '{ship}',
    safety_stock_default int NOT NULL DEFAULT 0 CHECK (safety_stock_default >= 0),
    co2_g_per_order      int NOT NULL DEFAULT 0,
    attributes           jsonb NOT NULL DEFAULT '{}',
    active               boolean NOT NULL DEFAULT true,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE node_group (
    code       text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    node_ids   int[] NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE carrier (
    carrier_id int PRIMARY KEY,
    code       text COLLATE "C" NOT NULL UNIQUE,
    name       text NOT NULL,
    document   jsonb NOT NULL,          -- services, rate tables, transit quantiles: see network/model.py
    active     boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE carton (
    code       text COLLATE "C" PRIMARY KEY,
    document   jsonb NOT NULL,          -- sizes, weights, cost: see network/model.py
    active     boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What crossing a border costs, one rule a row.
CREATE TABLE duty (
    code       text COLLATE "C" PRIMARY KEY,
    document   jsonb NOT NULL,          -- from, to, goods, dates, rates: see network/model.py
    active     boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What a unit will fetch at a node when it must be cleared there.
CREATE TABLE markdown (
    item_id     int NOT NULL REFERENCES item (item_id),
    node_id     int NOT NULL REFERENCES node (node_id),
    value_minor bigint NOT NULL CHECK (value_minor >= 0),
    until       date,                   -- last day; NULL: until it is replaced
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, node_id)
);

-- Capacity promised per node and day: fulfilments of that ship day that are not cancelled or rejected.
-- Rows exist only for nodes that have a limit.
CREATE TABLE capacity_day (
    node_id int NOT NULL,
    day     date NOT NULL,
    orders  bigint NOT NULL DEFAULT 0 CHECK (orders >= 0),
    lines   bigint NOT NULL DEFAULT 0 CHECK (lines >= 0),
    units   bigint NOT NULL DEFAULT 0 CHECK (units >= 0),   -- bigint: a limit of orders bounds no units
    PRIMARY KEY (node_id, day)
) WITH (fillfactor = 50);

-- The network as a decision saw it, so that a plan can be explained and solved again years later.
CREATE TABLE network_version (
    network_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    document   bytea NOT NULL,          -- zlib-compressed canonical JSON
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE channel (
    channel_id  int PRIMARY KEY,
    code        text COLLATE "C" NOT NULL UNIQUE,
    name        text NOT NULL,
    connector   text NOT NULL DEFAULT 'api',
    node_ids    int[],                  -- NULL and node_group NULL: every node
    node_group  text REFERENCES node_group (code),
    currency    text NOT NULL,
    priority    int NOT NULL DEFAULT 0,
    margin_rate double precision,
    gate        jsonb NOT NULL DEFAULT '{}',
    quota       jsonb NOT NULL DEFAULT '{}',
    settings    jsonb NOT NULL DEFAULT '{}',
    credentials text,                   -- encrypted, write-only
    active      boolean NOT NULL DEFAULT true,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE listing (
    channel_id   int NOT NULL REFERENCES channel (channel_id),
    item_id      int NOT NULL REFERENCES item (item_id),
    external_id  text,
    external_sku text,
    status       text NOT NULL DEFAULT 'active',
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, item_id)
);
