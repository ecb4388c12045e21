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
SELECT domain, mode, guardrails, changed_at, actor AS by, reason FROM autopilot_domain ORDER BY domain;

-- name: set_domain
UPDATE autopilot_domain SET mode = %(mode)s, guardrails = %(guardrails)s::jsonb, changed_at = %(now)s, actor = %(actor)s,
    reason = %(reason)s
WHERE domain = %(domain)s;

-- name: return_domain
UPDATE autopilot_domain SET mode = 'recommend', changed_at = %(now)s, actor = 0, reason = %(reason)s
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
SELECT key, domain, until FROM autopilot_owner
WHERE key = ANY (SELECT string_to_array(k, E'\x1f') FROM unnest(%(keys)s::text[]) AS k)
ORDER BY key FOR UPDATE;

-- name: own
-- Fewer rows than keys: somebody else has come to own one of them since the owners were read.
INSERT INTO autopilot_owner (key, domain, until, action_id)
SELECT string_to_array(k, E'\x1f'), %(domain)s, %(until)s, %(action_id)s
FROM unnest(%(keys)s::text[]) AS k ORDER BY k
ON CONFLICT (key) DO UPDATE SET domain = excluded.domain, until = excluded.until, action_id = excluded.action_id
WHERE autopilot_owner.domain = excluded.domain OR autopilot_owner.until <= %(at)s;

-- name: add
INSERT INTO autopilot_action (action_id, domain, key, direction, reference, held_out, money_minor, currency, units, orders,
    confidence, stake_minor, gain_minor, at, judge_at)
VALUES (%(action_id)s, %(domain)s, %(key)s, %(direction)s, %(reference)s, %(held_out)s, %(money_minor)s, %(currency)s,
    %(units)s, %(orders)s, %(confidence)s, %(stake_minor)s, %(gain_minor)s, %(at)s, %(judge_at)s);

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

-- name: judged
SELECT held_out, stake_minor, gain_minor, lost_minor, judged_at AS at FROM autopilot_action
WHERE domain = %(domain)s AND judged_at > %(since)s AND void IS NULL;

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

-- name: purge_owners
DELETE FROM autopilot_owner WHERE until < %(before)s;
