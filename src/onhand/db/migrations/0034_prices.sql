-- Prices that channels are told.

-- It takes ours: what the catalogue says is written to its listings. Merchants keep prices in the shop unless they say so.
ALTER TABLE channel ADD COLUMN prices boolean NOT NULL DEFAULT false;

-- One row per listing whose price we have ever written or read. What should be asked is not here: it is the item's. A
-- write is recorded before it leaves (sent_*), so that after a crash it is sent again under its own key.
CREATE TABLE published_price (
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    item_id     int NOT NULL REFERENCES item (item_id),
    sent_minor  bigint CHECK (sent_minor >= 0),  -- of the write whose fate is not known; NULL: there is none
    sent_key    text,
    sent_batch  uuid,                            -- writes that left together are sent again together
    sent_at     timestamptz,
    shown_minor bigint CHECK (shown_minor >= 0), -- what the channel asks as far as we know; NULL: we do not know
    shown_at    timestamptz,                     -- acknowledged then
    verified_at timestamptz,                     -- read there then
    failures    int NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    is_foreign  boolean NOT NULL DEFAULT false,  -- read in another currency: nothing is written over it
    is_dead     boolean NOT NULL DEFAULT false,  -- refused so often that it is not tried again by itself
    last_error  text,
    PRIMARY KEY (channel_id, item_id),
    CHECK ((sent_key IS NULL) = (sent_minor IS NULL)),
    CHECK ((sent_key IS NULL) = (sent_batch IS NULL))
) WITH (fillfactor = 70);

ALTER TABLE channel_health ADD COLUMN prices_read_at timestamptz;                -- NULL: to be read now
ALTER TABLE channel_health ADD COLUMN price_drift jsonb NOT NULL DEFAULT '{}';   -- what the last reading found

-- Versions of policies that were proposed because lanes cost more than they promise. What has become of one is its
-- version's state.
CREATE TABLE lane_proposal (
    name        text COLLATE "C" NOT NULL,
    version     int NOT NULL,
    against     int NOT NULL,             -- the active version then
    at          timestamptz NOT NULL DEFAULT now(),
    since       timestamptz NOT NULL,     -- of what was learned
    until       timestamptz NOT NULL,
    currency    text NOT NULL,
    floor_minor double precision NOT NULL CHECK (floor_minor >= 0),
    orders      int NOT NULL,             -- fulfilments that it was learned from
    lanes       jsonb NOT NULL,           -- those that were compared, see simulation/lanes.py
    evidence    jsonb NOT NULL,           -- what an order would have cost: paired, with its interval
    actor       int NOT NULL,
    PRIMARY KEY (name, version),
    FOREIGN KEY (name, version) REFERENCES policy_version (name, version)
);
