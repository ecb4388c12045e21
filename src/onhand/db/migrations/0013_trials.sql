-- What orders came to under a version on trial (shadow or canary) and, in the same time, under the active one. Sums that
-- processes add to every second: they can be lost with a process, and cost a trial some orders.
CREATE TABLE policy_outcome (
    state_id   int NOT NULL REFERENCES policy_state (state_id),   -- the trial
    version    int NOT NULL,
    orders     bigint NOT NULL,
    planned    bigint NOT NULL,              -- served from the shelf; the amounts below are theirs
    cost       double precision NOT NULL,    -- money paid: shipping, handling, duty and tax; minor units
    cost_sq    double precision NOT NULL,    -- sum of squares
    co2_g      double precision NOT NULL,
    co2_sq     double precision NOT NULL,
    splits     bigint NOT NULL,              -- orders of more than one fulfilment
    late       bigint NOT NULL,              -- promised after the days that the active version's objective wants
    unfillable bigint NOT NULL,
    PRIMARY KEY (state_id, version)
);
