-- Forecasts as they were made, what they were made by, and what came of them.

-- What was learned. One of each kind is in charge (champion); one may be on trial beside it (challenger).
CREATE TABLE forecast_model (
    model_id    uuid PRIMARY KEY,
    kind        text COLLATE "C" NOT NULL,   -- of forecast: periods, horizon, levels, series; see demand/forecasts/model.py
    role        text NOT NULL CHECK (role IN ('champion', 'challenger', 'retired')),
    why         text NOT NULL CHECK (why IN ('first', 'asked', 'drift', 'age')),
    origin      date NOT NULL,               -- the first day that it has not seen
    learned     bytea,                       -- what can be applied; NULL once it is retired
    facts       jsonb NOT NULL,              -- what it looks at, what each of that is worth
    created_at  timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz,
    retired_at  timestamptz,
    CHECK ((role = 'retired') = (retired_at IS NOT NULL)),
    CHECK ((role = 'retired') = (learned IS NULL))
);
CREATE UNIQUE INDEX forecast_model_role ON forecast_model (kind, role) WHERE role <> 'retired';

-- A run; its state is that of its job. What it has written so far is told by done_item: a job that is taken up again goes
-- on behind it.
CREATE TABLE forecast_run (
    run_id      uuid PRIMARY KEY,
    job_id      uuid NOT NULL UNIQUE REFERENCES job (job_id),
    kind        text COLLATE "C" NOT NULL,
    origin      date NOT NULL,               -- the first day that is forecast
    settings    jsonb NOT NULL,
    champion    uuid REFERENCES forecast_model (model_id),    -- NULL: not known yet
    challenger  uuid REFERENCES forecast_model (model_id),
    segments    jsonb,                       -- who is in charge of each, and why
    done_item   int NOT NULL DEFAULT 0,      -- series of items up to this one are written
    series      int NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                 -- NULL: not yet
    scored      int NOT NULL DEFAULT 0,      -- periods whose errors are known
    pruned_at   timestamptz                  -- its series are gone; its scores stay
);
CREATE INDEX forecast_run_latest ON forecast_run (kind, origin, run_id) WHERE finished_at IS NOT NULL;

-- A row for each series: what was forecast by the champion, by the challenger if there is one, and by the baseline.
-- Each is float32, little-endian: for each period the mean, then the quantiles by level.
CREATE TABLE forecast_series (
    run_id      uuid NOT NULL REFERENCES forecast_run (run_id) ON DELETE CASCADE,
    item_id     int NOT NULL,
    place_id    int NOT NULL,
    channel_id  int NOT NULL,                -- -1: channels were summed; 0: of none
    segment     smallint NOT NULL,
    scale       real NOT NULL,               -- by which its losses are divided; 0: they say nothing
    champion    bytea NOT NULL,
    challenger  bytea,
    baseline    bytea NOT NULL,
    PRIMARY KEY (run_id, item_id, place_id, channel_id)
);

-- What came of a run: by segment and by who made the forecast. Sums by period, from which the rest follows, and what
-- needs single series to tell: the interval of the value added over the baseline.
CREATE TABLE forecast_score (
    run_id      uuid NOT NULL REFERENCES forecast_run (run_id) ON DELETE CASCADE,
    segment     smallint NOT NULL,
    part        text NOT NULL CHECK (part IN ('champion', 'challenger', 'baseline')),
    sums        jsonb NOT NULL,              -- see realised.Tally
    near        jsonb NOT NULL,              -- value added over the first periods, by which origins are judged
    whole       jsonb NOT NULL,              -- and over all that came
    PRIMARY KEY (run_id, segment, part)
);

-- Whether the worker forecasts by itself, and when next. One row at most.
CREATE TABLE forecast_schedule (
    is_only     boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    settings    jsonb NOT NULL,
    hour        int NOT NULL CHECK (hour BETWEEN 0 AND 23),   -- UTC
    active      boolean NOT NULL,
    next_at     timestamptz NOT NULL,
    actor       int NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
