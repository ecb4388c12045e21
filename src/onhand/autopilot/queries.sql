-- name: enter
-- Before anything else is read: whoever turns the switch waits for those inside, and those who come later wait for it.
SELECT pg_advisory_xact_lock_shared(hashtextextended('onhand autopilot', 0));

-- name: turn
SELECT pg_advisory_xact_lock(hashtextextended('onhand autopilot', 0));

-- name: stopped
SELECT stopped FROM autopilot_switch;

-- name: get_switch
SELECT stopped, at, actor AS by, reason FROM autopilot_switch;

-- name: set_switch
UPDATE autopilot_switch SET stopped = %(stopped)s, at = %(now)s, actor = %(actor)s, reason = %(reason)s;

-- name: lock_domain
SELECT mode, guardrails FROM autopilot_domain WHERE domain = %(domain)s FOR UPDATE;

-- name: domains
SELECT domain, mode, guardrails, changed_at, actor AS by, reason, returned_for, returned
FROM autopilot_domain ORDER BY domain;

-- name: set_domain
UPDATE autopilot_domain SET mode = %(mode)s, guardrails = %(guardrails)s::jsonb, changed_at = %(now)s, actor = %(actor)s,
    reason = %(reason)s, returned_for = NULL, returned = NULL
WHERE domain = %(domain)s;

-- name: return_domain
UPDATE autopilot_domain SET mode = 'recommend', changed_at = %(now)s, actor = 0, reason = %(reason)s,
    returned_for = %(returned_for)s, returned = %(returned)s::jsonb
WHERE domain = %(domain)s AND mode = 'auto';

-- name: find
SELECT action_id::text, held_out FROM autopilot_action WHERE reference = %(reference)s;

-- name: used
SELECT coalesce(sum(money_minor), 0)::bigint, coalesce(sum(units), 0)::bigint, coalesce(sum(orders), 0)::bigint
FROM autopilot_action WHERE domain = %(domain)s AND at > %(since)s AND NOT held_out;

-- name: past
SELECT at, direction, domain, split_part(reference, '/', 1) FROM autopilot_action
WHERE key = %(key)s AND at > %(since)s AND NOT held_out AND void IS NULL;

-- name: owners
-- Locked in their order, so that two domains do not wait for each other.
SELECT key, domain, until, cause FROM autopilot_owner
WHERE key = ANY (SELECT string_to_array(k, E'\x1f') FROM unnest(%(keys)s::text[]) AS k)
ORDER BY key FOR UPDATE;

-- name: own
-- Fewer rows than keys: somebody else has come to own one of them since the owners were read. Steps of one run are
-- meant to follow each other, whatever their domains.
INSERT INTO autopilot_owner (key, domain, until, action_id, cause)
SELECT string_to_array(k, E'\x1f'), %(domain)s, %(until)s, %(action_id)s, %(cause)s
FROM unnest(%(keys)s::text[]) AS k ORDER BY k
ON CONFLICT (key) DO UPDATE
SET domain = excluded.domain, until = excluded.until, action_id = excluded.action_id, cause = excluded.cause
WHERE autopilot_owner.domain = excluded.domain OR autopilot_owner.until <= %(at)s
   OR autopilot_owner.cause = excluded.cause;

-- name: add
INSERT INTO autopilot_action (action_id, domain, key, direction, reference, held_out, money_minor, currency, units, orders,
    confidence, stake_minor, gain_minor, at, judge_at)
VALUES (%(action_id)s, %(domain)s, %(key)s, %(direction)s, %(reference)s, %(held_out)s, %(money_minor)s, %(currency)s,
    %(units)s, %(orders)s, %(confidence)s, %(stake_minor)s, %(gain_minor)s, %(at)s, %(judge_at)s);

-- name: spent_on
SELECT coalesce(sum(money_minor), 0)::bigint FROM autopilot_action
WHERE key = %(key)s AND at > %(since)s AND NOT held_out AND void IS NULL;

-- name: add_back
-- What put an action back: the same key the other way, so that to and fro is seen.
INSERT INTO autopilot_action (action_id, domain, key, direction, reference, money_minor, currency, units, orders,
    confidence, stake_minor, gain_minor, at)
SELECT %(action_id)s, domain, key, -direction, reference || '/back', 0, currency, 0, 0, confidence, 0, 0, %(now)s
FROM autopilot_action WHERE reference = %(reference)s AND direction <> 0
ON CONFLICT DO NOTHING;

-- name: note
-- Only where it is another than before: the same is asked again and again.
INSERT INTO autopilot_verdict (reference, domain, verdict, code, detail, at)
VALUES (%(reference)s, %(domain)s, %(verdict)s, %(code)s, %(detail)s, %(at)s)
ON CONFLICT (reference) DO UPDATE SET verdict = excluded.verdict, code = excluded.code, detail = excluded.detail,
    at = excluded.at
WHERE (autopilot_verdict.verdict, autopilot_verdict.code) IS DISTINCT FROM (excluded.verdict, excluded.code);

-- name: forget_verdict
DELETE FROM autopilot_verdict WHERE reference = %(reference)s;

-- name: due
-- What can be told now, in the order in which it could be.
SELECT action_id::text, domain, key, reference, held_out, stake_minor, gain_minor, at, judge_at FROM autopilot_action
WHERE judged_at IS NULL AND void IS NULL AND judge_at <= %(now)s
ORDER BY judge_at, action_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: judge
UPDATE autopilot_action SET lost_minor = %(lost_minor)s, judged_at = %(now)s WHERE action_id = %(action_id)s;

-- name: void
-- Something else has been done about it: it shows nothing. What it used stays used.
UPDATE autopilot_action SET void = %(why)s WHERE reference = %(reference)s AND void IS NULL;

-- name: add_targets
-- A thing is one target of a step, however often the step comes back to it. What was left undone to compare with and is
-- acted on after all shows nothing any more.
WITH new AS (
    SELECT string_to_array(k, E'\x1f') AS key, held_out, stake, gain, basis, judge_at
    FROM unnest(%(keys)s::text[], %(held_out)s::boolean[], %(stakes)s::bigint[], %(gains)s::bigint[],
        %(bases)s::jsonb[], %(judge_at)s::timestamptz[]) AS t (k, held_out, stake, gain, basis, judge_at)
), spoilt AS (
    UPDATE autopilot_target t SET void = 'it was acted on later' FROM new
    WHERE t.key = new.key AND t.held_out AND NOT new.held_out AND t.judged_at IS NULL AND t.void IS NULL
      AND t.domain = %(domain)s AND t.reference <> %(reference)s
)
INSERT INTO autopilot_target (reference, key, domain, kind, held_out, stake_minor, gain_minor, basis, at, judge_at)
SELECT %(reference)s, key, %(domain)s, %(kind)s, held_out, stake, gain, basis, %(now)s, judge_at FROM new
ON CONFLICT DO NOTHING;

-- name: stake_of
SELECT stake_minor FROM autopilot_target WHERE reference = %(reference)s LIMIT 1;

-- name: due_targets
SELECT reference, key, domain, kind, held_out, stake_minor, basis, at, judge_at FROM autopilot_target
WHERE judged_at IS NULL AND void IS NULL AND judge_at <= %(now)s
ORDER BY judge_at, reference, key LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: judge_target
UPDATE autopilot_target SET lost_minor = %(lost_minor)s, judged_at = %(now)s, void = %(void)s
WHERE reference = %(reference)s AND key = %(key)s;

-- name: void_targets
-- Both arms: false alarms are taken back more often, and what was held out of them lost nothing.
UPDATE autopilot_target SET void = %(why)s
WHERE reference >= %(cause)s || '/' AND reference < %(cause)s || '0' AND void IS NULL;

-- name: judged
-- The latest are enough to tell.
(SELECT held_out, stake_minor, gain_minor, lost_minor, judged_at AS at, split_part(reference, ':', 1) AS kind
 FROM autopilot_action WHERE domain = %(domain)s AND judged_at > %(since)s AND void IS NULL
 ORDER BY judged_at DESC LIMIT %(limit)s)
UNION ALL
(SELECT held_out, stake_minor, gain_minor, lost_minor, judged_at, kind
 FROM autopilot_target WHERE domain = %(domain)s AND judged_at > %(since)s AND void IS NULL
 ORDER BY judged_at DESC LIMIT %(limit)s);

-- name: actions
SELECT action_id, domain, key, direction, reference, held_out, money_minor, currency, units, orders, confidence,
       stake_minor, gain_minor, at, judge_at, lost_minor, judged_at, void
FROM autopilot_action
WHERE action_id < %(before)s AND (%(domain)s::text IS NULL OR domain = %(domain)s)
ORDER BY action_id DESC LIMIT %(limit)s;

-- name: verdicts
SELECT reference, domain, verdict, code, detail, at FROM autopilot_verdict
WHERE (at, reference) < (%(before_at)s, %(before)s) AND (%(domain)s::text IS NULL OR domain = %(domain)s)
ORDER BY at DESC, reference DESC LIMIT %(limit)s;

-- name: purge
DELETE FROM autopilot_verdict WHERE at < %(before)s;

-- name: purge_targets
DELETE FROM autopilot_target WHERE at < %(before)s;

-- name: purge_owners
DELETE FROM autopilot_owner WHERE until < %(before)s;
