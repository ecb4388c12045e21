-- name: add
INSERT INTO job (job_id, kind, request, actor) VALUES (%(job_id)s, %(kind)s, %(request)s, %(actor)s);

-- name: get
SELECT job_id::text, kind, state, request, stage, done, total, error, attempts, actor AS by, created_at, started_at,
       finished_at
FROM job WHERE job_id = %(job_id)s;

-- name: list
-- Newest first: ids grow with time, so that the primary key has them in order. Requests may hold a whole policy, which
-- nobody wants a hundred times over.
SELECT job_id::text, kind, state,
       (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(request)
        WHERE octet_length(value::text) <= 1000) AS request,
       stage, done, total, error, attempts, actor AS by, created_at, started_at, finished_at
FROM job
WHERE (%(before)s::uuid IS NULL OR job_id < %(before)s::uuid)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY job_id DESC LIMIT %(limit)s;

-- name: result
SELECT state, kind, result FROM job WHERE job_id = %(job_id)s;

-- name: take
-- The oldest job that nobody works on, of kinds this program knows. SKIP LOCKED: a rival takes the next one.
UPDATE job SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, now()), stage = NULL,
    done = 0, total = 0, lease_until = now() + make_interval(secs => %(lease_s)s)
WHERE job_id = (
    SELECT job_id FROM job
    WHERE kind = ANY (%(kinds)s::text[]) AND (state = 'queued' OR (state = 'running' AND lease_until < now()))
    ORDER BY created_at, job_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING job_id::text, kind, request, attempts;

-- name: extend
-- Answers nothing when the job is no longer this worker's: it was cancelled, or the lease ran out and another has it.
UPDATE job SET lease_until = now() + make_interval(secs => %(lease_s)s)
WHERE job_id = %(job_id)s AND state = 'running' AND attempts = %(attempt)s
RETURNING 1;

-- name: progress
UPDATE job SET stage = %(stage)s, done = %(done)s, total = %(total)s
WHERE job_id = %(job_id)s AND state = 'running' AND attempts = %(attempt)s;

-- name: finish
UPDATE job SET state = 'done', result = %(result)s, finished_at = now(), lease_until = NULL
WHERE job_id = %(job_id)s AND state = 'running' AND attempts = %(attempt)s;

-- name: fail
UPDATE job SET state = 'failed', error = %(error)s, finished_at = now(), lease_until = NULL
WHERE job_id = %(job_id)s AND state = 'running' AND attempts = %(attempt)s;

-- name: give_back
UPDATE job SET state = 'queued', attempts = attempts - 1, lease_until = NULL
WHERE job_id = %(job_id)s AND state = 'running' AND attempts = %(attempt)s;

-- name: cancel
UPDATE job SET state = 'cancelled', finished_at = now(), lease_until = NULL
WHERE job_id = %(job_id)s AND state IN ('queued', 'running')
RETURNING 1;

-- name: set_schedule
INSERT INTO job_schedule AS s (kind, subject, settings, hour, active, next_at, actor)
VALUES (%(kind)s, %(subject)s, %(settings)s, %(hour)s, %(active)s, %(next_at)s, %(actor)s)
ON CONFLICT (kind, subject) DO UPDATE
SET settings = excluded.settings, hour = excluded.hour, active = excluded.active, next_at = excluded.next_at,
    actor = excluded.actor, updated_at = now()
RETURNING s.*;

-- name: get_schedule
SELECT * FROM job_schedule WHERE kind = %(kind)s AND subject = %(subject)s;

-- name: due_schedules
-- The rows are locked until the jobs they ask for are there, so that of several workers one asks.
SELECT * FROM job_schedule
WHERE active AND next_at <= %(now)s AND kind = ANY (%(kinds)s)
ORDER BY kind, subject
FOR UPDATE SKIP LOCKED;

-- name: move_schedule
UPDATE job_schedule SET next_at = %(next_at)s WHERE kind = %(kind)s AND subject = %(subject)s;
