-- Long work that its caller does not wait for. A worker takes the oldest job that is due and holds it by a lease, which it
-- extends while the work goes on: the job of a worker that died is taken up again, from its beginning.
CREATE TABLE job (
    job_id      uuid PRIMARY KEY,
    kind        text NOT NULL,
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    request     jsonb NOT NULL,
    stage       text,                                 -- what is being done
    done        bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total       bigint NOT NULL DEFAULT 0,            -- 0: not known
    result      jsonb,
    error       jsonb,                                -- {"code", "message"}
    attempts    int NOT NULL DEFAULT 0,
    lease_until timestamptz,
    actor       int NOT NULL,                         -- key that asked for it
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK ((state = 'done') = (result IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX job_due ON job (created_at) WHERE state IN ('queued', 'running');
