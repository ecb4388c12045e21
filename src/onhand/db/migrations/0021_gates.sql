-- Gates that are computed, as the process that publishes last decided them: for all others to show the same number.

-- What is hidden from a channel of an item, and what that rests on; by item, as availability asks for items. A row is
-- written when its units change, so there is one for each listing that ever had any.
CREATE TABLE listing_gate (
    item_id     int NOT NULL REFERENCES item (item_id),
    channel_id  int NOT NULL REFERENCES channel (channel_id),
    units       int NOT NULL CHECK (units >= 0),
    stock       int NOT NULL,              -- of so many
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    seller_id   int,                       -- the channel that is likely to sell most unseen; NULL: none sells
    rate_per_h  real NOT NULL DEFAULT 0,   -- what that sells now
    usual_per_h real NOT NULL DEFAULT 0,   -- and outside bursts
    lag_s       real NOT NULL DEFAULT 0,   -- until a write to the channel takes effect
    PRIMARY KEY (item_id, channel_id)
) WITH (fillfactor = 70);

-- The price of risk of a channel, and up to when its orders were learned from: never twice from the same.
CREATE TABLE channel_gate (
    channel_id int PRIMARY KEY REFERENCES channel (channel_id),
    alpha      double precision NOT NULL,
    tau        double precision NOT NULL,
    seen       double precision NOT NULL DEFAULT 0,
    learned_to timestamptz NOT NULL DEFAULT now(),
    orders     bigint NOT NULL DEFAULT 0,  -- of the last period
    oversold   bigint NOT NULL DEFAULT 0
);
