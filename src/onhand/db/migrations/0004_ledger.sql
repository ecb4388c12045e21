-- Running totals of the ledger. available = on_hand - unavailable - allocated, and never negative.
CREATE TABLE stock_position (
    item_id      int NOT NULL,
    node_id      int NOT NULL,
    on_hand      int NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    unavailable  int NOT NULL DEFAULT 0 CHECK (unavailable >= 0),
    allocated    int NOT NULL DEFAULT 0 CHECK (allocated >= 0),
    oversold     int NOT NULL DEFAULT 0 CHECK (oversold >= 0),   -- promised units that a count or damage took away
    safety_stock int,                                            -- NULL: the node's default
    version      int NOT NULL DEFAULT 0,                         -- entries so far
    PRIMARY KEY (item_id, node_id),
    CONSTRAINT available_is_never_negative CHECK (on_hand - unavailable - allocated >= 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Append-only. d_* is what the entry changed, the plain columns are the position after it.
CREATE TABLE ledger_entry (
    entry_id      bigint GENERATED ALWAYS AS IDENTITY,
    item_id       int NOT NULL,
    node_id       int NOT NULL,
    version       int NOT NULL,
    kind          text NOT NULL,
    quantity      int NOT NULL,        -- as stated: signed for adjustment, absolute for count
    d_on_hand     int NOT NULL,
    d_unavailable int NOT NULL,
    d_allocated   int NOT NULL,
    d_oversold    int NOT NULL,
    on_hand       int NOT NULL,
    unavailable   int NOT NULL,
    allocated     int NOT NULL,
    oversold      int NOT NULL,
    actor         int NOT NULL,
    ref           uuid,                -- the order or reservation that caused it
    reference     text,                -- the caller's own document number
    reason        text,
    occurred_at   timestamptz NOT NULL DEFAULT now(),
    recorded_at   timestamptz NOT NULL DEFAULT now()
);
-- One index: the history of a position, which also proves that versions are unbroken.
CREATE UNIQUE INDEX ledger_entry_position ON ledger_entry (item_id, node_id, version);

CREATE TABLE reservation (
    reservation_id uuid PRIMARY KEY,
    channel_id     int NOT NULL,
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'used', 'released', 'expired')),
    expires_at     timestamptz NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    order_id       uuid,
    actor          int NOT NULL
);
CREATE INDEX reservation_due ON reservation (expires_at) WHERE status = 'active';

CREATE TABLE reservation_line (
    reservation_id uuid NOT NULL,
    line_no        smallint NOT NULL,
    item_id        int NOT NULL,       -- a component when the line names a bundle
    node_id        int NOT NULL,
    quantity       int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, line_no, item_id, node_id)
);

CREATE TABLE inbound (
    inbound_id uuid PRIMARY KEY,
    reference  text NOT NULL UNIQUE,
    kind       text NOT NULL DEFAULT 'purchase' CHECK (kind IN ('purchase', 'shipping_notice', 'transfer', 'return')),
    node_id    int NOT NULL,
    supplier   text,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at  timestamptz,
    actor      int NOT NULL
);

CREATE TABLE inbound_line (
    inbound_id  uuid NOT NULL REFERENCES inbound (inbound_id),
    line_no     smallint NOT NULL,
    item_id     int NOT NULL,
    node_id     int NOT NULL,
    quantity    int NOT NULL CHECK (quantity > 0),
    received    int NOT NULL DEFAULT 0 CHECK (received >= 0),
    promised    int NOT NULL DEFAULT 0 CHECK (promised >= 0),   -- units that backorders wait for
    expected_at timestamptz NOT NULL,
    confidence  double precision NOT NULL DEFAULT 1 CHECK (confidence BETWEEN 0 AND 1),
    PRIMARY KEY (inbound_id, line_no)
);
CREATE INDEX inbound_line_open ON inbound_line (item_id, node_id, expected_at) WHERE received < quantity;
