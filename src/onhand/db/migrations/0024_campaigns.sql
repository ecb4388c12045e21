-- Campaigns that were accepted, and the room they are expected to take.
CREATE TABLE campaign (
    campaign_id  uuid PRIMARY KEY,
    name         text NOT NULL,
    state        text NOT NULL DEFAULT 'accepted' CHECK (state IN ('accepted', 'cancelled')),
    item_ids     int[] NOT NULL,
    channel_ids  int[],                            -- NULL: all
    first_day    date NOT NULL,
    last_day     date NOT NULL CHECK (last_day >= first_day),
    discount     double precision,                 -- share of the price; NULL: not told
    uplift       double precision NOT NULL,        -- share by which demand of its items is expected to rise, the mean
    assessment   uuid NOT NULL REFERENCES job (job_id),
    actor        int NOT NULL,                     -- key that accepted it
    created_at   timestamptz NOT NULL DEFAULT now(),
    cancelled_at timestamptz,
    CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL))
);
CREATE INDEX campaign_days ON campaign (last_day) WHERE state = 'accepted';
CREATE UNIQUE INDEX campaign_assessment ON campaign (assessment) WHERE state = 'accepted';

-- Room of a node's day that an accepted campaign is expected to take beyond what is usual: for planning. Orders are not
-- kept out by it; those that come are counted in capacity_day.
CREATE TABLE campaign_hold (
    campaign_id uuid NOT NULL REFERENCES campaign (campaign_id) ON DELETE CASCADE,
    node_id     int NOT NULL REFERENCES node (node_id),
    day         date NOT NULL,
    orders      int NOT NULL CHECK (orders >= 0),
    lines       int NOT NULL CHECK (lines >= 0),
    units       int NOT NULL CHECK (units >= 0),
    PRIMARY KEY (campaign_id, node_id, day)
);
CREATE INDEX campaign_hold_day ON campaign_hold (node_id, day);
