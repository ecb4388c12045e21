-- name: start
INSERT INTO run (run_id, kind, name, version, subject, due_at, created_at)
VALUES (%(run_id)s, %(kind)s, %(name)s, %(version)s, %(subject)s, %(now)s, %(now)s)
ON CONFLICT (kind, name, subject) WHERE finished_at IS NULL DO NOTHING
RETURNING run_id::text;

-- name: take
-- Leases are measured by the database's clock: workers' clocks may differ. SKIP LOCKED: a rival inside a step is left
-- alone, however long ago its lease ended.
UPDATE run SET attempt = attempt + 1, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE run_id = (
    SELECT run_id FROM run
    WHERE kind = %(kind)s AND finished_at IS NULL AND due_at <= %(now)s AND status <> 'needs_approval'
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY due_at, run_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING run_id::text, attempt;

-- name: hold
UPDATE run SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE run_id = %(run_id)s AND attempt = %(attempt)s AND finished_at IS NULL
RETURNING run_id::text, kind, name, version, subject::text, status, step_no, part_no, approved, waited, cursor, due_at,
    attempt, failures, error, why, created_at, finished_at;

-- name: let_go
UPDATE run SET lease_until = NULL WHERE run_id = %(run_id)s AND attempt = %(attempt)s;

-- name: record
INSERT INTO run_step (run_id, step_no, part_no, kind, outcome, why, result, undo, cost_minor, orders, units, attempt, at)
VALUES (%(run_id)s, %(step_no)s, %(part_no)s, %(kind)s, %(outcome)s, %(why)s, %(result)s::jsonb, %(undo)s::jsonb,
    %(cost_minor)s, %(orders)s, %(units)s, %(attempt)s, %(now)s);

-- name: record_undone
UPDATE run_step SET undone_at = %(now)s, undone = %(undone)s::jsonb
WHERE run_id = %(run_id)s AND step_no = %(step_no)s AND part_no = %(part_no)s;

-- name: move
UPDATE run SET status = %(status)s, step_no = %(step_no)s, part_no = %(part_no)s, cursor = %(cursor)s,
    waited = %(waited)s, due_at = %(due_at)s, failures = %(failures)s, error = %(error)s, why = %(why)s,
    finished_at = %(finished_at)s
WHERE run_id = %(run_id)s;

-- name: give_up_claims
DELETE FROM run_claim WHERE run_id = %(run_id)s;

-- name: claim
-- The update touches nothing: it makes the row of its owner come back, and waits for a rival that is claiming it.
INSERT INTO run_claim AS c (what, key, run_id)
SELECT %(what)s, key, %(run_id)s FROM unnest(%(keys)s::text[]) AS key
ON CONFLICT (what, key) DO UPDATE SET run_id = c.run_id WHERE c.run_id = excluded.run_id
RETURNING key;

-- name: get_run
SELECT run_id::text, kind, name, version, subject::text, status, step_no, part_no, approved, waited, cursor, due_at,
    attempt, failures, error, why, created_at, finished_at
FROM run WHERE run_id = %(run_id)s;

-- name: lock_run
SELECT run_id::text, kind, name, version, subject::text, status, step_no, part_no, approved, waited, cursor, due_at,
    attempt, failures, error, why, created_at, finished_at
FROM run WHERE run_id = %(run_id)s FOR UPDATE;

-- name: runs_of
SELECT run_id::text, kind, name, version, subject::text, status, step_no, part_no, approved, waited, cursor, due_at,
    attempt, failures, error, why, created_at, finished_at
FROM run WHERE kind = %(kind)s AND subject = %(subject)s ORDER BY run_id;

-- name: parts_of
SELECT run_id::text, step_no, part_no, kind, outcome, why, result, undo, cost_minor, orders, units, attempt, at,
    undone_at, undone
FROM run_step WHERE run_id = ANY (%(run_ids)s::uuid[]) ORDER BY run_id, step_no, part_no;

-- name: approve
UPDATE run SET status = 'ready', approved = step_no, due_at = %(now)s, why = NULL WHERE run_id = %(run_id)s;

-- name: want_undo
UPDATE run SET undo_wanted = %(why)s WHERE run_id = %(run_id)s;

-- name: next_undo
-- The youngest of those that wait for this one to be taken back; it is open again.
UPDATE run SET status = 'undoing', due_at = %(now)s, failures = 0, why = undo_wanted, finished_at = NULL,
    undo_wanted = NULL
WHERE run_id = (
    SELECT r.run_id FROM run r JOIN run ended ON (ended.kind, ended.name, ended.subject) = (r.kind, r.name, r.subject)
    WHERE ended.run_id = %(run_id)s AND r.undo_wanted IS NOT NULL ORDER BY r.run_id DESC LIMIT 1
);

-- name: ask_undo
UPDATE run SET status = 'undoing', due_at = %(now)s, failures = 0, why = %(why)s, finished_at = NULL
WHERE run_id = %(run_id)s;
