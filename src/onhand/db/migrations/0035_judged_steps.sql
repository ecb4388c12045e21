-- Steps of playbooks that were held out, and what came of those that were not.

-- held_out: its targets were left undone on purpose, to compare with.
ALTER TABLE run_step DROP CONSTRAINT run_step_outcome_check;
ALTER TABLE run_step ADD CONSTRAINT run_step_outcome_check
    CHECK (outcome IN ('done', 'skipped', 'refused', 'told', 'failed', 'held_out'));

-- To be taken back as soon as the later run that is open for the same thing has ended, and why.
ALTER TABLE run ADD COLUMN undo_wanted text;
CREATE INDEX run_undo_wanted ON run (subject) WHERE undo_wanted IS NOT NULL;

-- What a step that was permitted acted on, and what it left undone on purpose, one row for each thing: both are judged
-- alike once it can be told what came of them.
CREATE TABLE autopilot_target (
    reference   text COLLATE "C" NOT NULL,        -- of the step: run:<id>/<step>
    key         text[] NOT NULL CHECK (cardinality(key) > 0),   -- {order, id}, {item_node, MUG, lyon}
    domain      text NOT NULL REFERENCES autopilot_domain (domain),
    kind        text NOT NULL,                    -- of step: what it is judged by
    held_out    boolean NOT NULL,
    stake_minor bigint NOT NULL CHECK (stake_minor >= 0),       -- expected to be lost if it is not done
    gain_minor  bigint NOT NULL,                  -- promised
    basis       jsonb NOT NULL,                   -- as it was when it was acted on: see flows/autopilot/measures.py
    at          timestamptz NOT NULL,
    judge_at    timestamptz NOT NULL CHECK (judge_at > at),
    lost_minor  bigint CHECK (lost_minor >= 0),   -- what was lost all the same
    judged_at   timestamptz,
    void        text,                             -- why it says nothing: the run was taken back, acted on later
    PRIMARY KEY (reference, key),
    CHECK ((lost_minor IS NULL) = (judged_at IS NULL) OR void IS NOT NULL)
);
CREATE INDEX autopilot_target_due ON autopilot_target (judge_at) WHERE judged_at IS NULL AND void IS NULL;
CREATE INDEX autopilot_target_judged ON autopilot_target (domain, judged_at) WHERE judged_at IS NOT NULL AND void IS NULL;
CREATE INDEX autopilot_target_at ON autopilot_target USING brin (at);
CREATE INDEX autopilot_target_control ON autopilot_target (key) WHERE held_out AND judged_at IS NULL AND void IS NULL;

-- Nothing is judged as acted on that guardrails had not permitted.
CREATE VIEW invariant_acted_target_was_permitted AS
SELECT t.reference, t.key FROM autopilot_target t
WHERE NOT t.held_out AND NOT EXISTS (
    SELECT FROM autopilot_action a
    WHERE (split_part(a.reference, '/', 1) || '/' || split_part(a.reference, '/', 2)) COLLATE "C" = t.reference);

-- Why a domain was returned to `recommend` by itself, until somebody sets its mode: shown as an incident.
ALTER TABLE autopilot_domain ADD COLUMN returned_for text CHECK (returned_for IN ('worse_than_promised', 'oscillates')),
    ADD COLUMN returned jsonb,                    -- numbers of it, by name
    ADD CONSTRAINT autopilot_domain_returned_check
        CHECK ((returned_for IS NULL) = (returned IS NULL) AND (returned_for IS NULL OR mode = 'recommend'));

-- What acted on it, and may go on: steps of one run belong to several domains.
ALTER TABLE autopilot_owner ADD COLUMN cause text NOT NULL DEFAULT '';
