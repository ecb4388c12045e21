-- What channels are told of our stock, and what has become of it.

ALTER TABLE channel ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- What a channel tells of is found by the sku it has there.
CREATE INDEX listing_external_sku ON listing (channel_id, external_sku) WHERE external_sku IS NOT NULL;

-- One row per listing that we have ever written to. What should be shown is not here: it is derived from the ledger at
-- any moment. A write is recorded before it leaves (sent_*), so that after a crash it is sent again under its own key.
CREATE TABLE published (
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    item_id     int NOT NULL REFERENCES item (item_id),
    sent_units  int,                -- of the write whose fate is not known; NULL: there is none
    sent_key    text,
    sent_batch  uuid,               -- writes that left together, in the order of item_id, are sent again together
    sent_was    int,                -- what the channel was expected to show then; NULL: nothing was expected
    sent_at     timestamptz,
    shown_units int,                -- what the channel shows as far as we know; NULL: we do not know
    shown_at    timestamptz,        -- acknowledged then
    verified_at timestamptz,        -- read there then
    failures    int NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    last_error  text,
    PRIMARY KEY (channel_id, item_id),
    CHECK ((sent_key IS NULL) = (sent_units IS NULL)),
    CHECK ((sent_key IS NULL) = (sent_batch IS NULL))
) WITH (fillfactor = 70);

-- How a channel is doing, as the process that publishes to it last wrote down: for all other processes to show.
CREATE TABLE channel_health (
    channel_id    int PRIMARY KEY REFERENCES channel (channel_id),
    at            timestamptz NOT NULL DEFAULT now(),
    publication   jsonb NOT NULL DEFAULT '{}',
    latency       jsonb NOT NULL DEFAULT '{}',   -- measured, for the gates
    reconciled_at timestamptz,
    drift         jsonb NOT NULL DEFAULT '{}'    -- what the last reconciliation of stock found
);
