-- Jobs that a worker asks for by itself, every day: forecasts, plans, and for each policy a look at its lanes.
CREATE TABLE job_schedule (
    kind        text COLLATE "C" NOT NULL,                    -- of the job
    subject     text COLLATE "C" NOT NULL,                    -- the policy; '' of what there is only one of
    settings    jsonb NOT NULL,
    hour        int NOT NULL CHECK (hour BETWEEN 0 AND 23),   -- UTC
    active      boolean NOT NULL,
    next_at     timestamptz NOT NULL,
    actor       int NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, subject)
);
INSERT INTO job_schedule (kind, subject, settings, hour, active, next_at, actor, updated_at)
SELECT 'forecast.run', '', settings, hour, active, next_at, actor, updated_at FROM forecast_schedule;
DROP TABLE forecast_schedule;
