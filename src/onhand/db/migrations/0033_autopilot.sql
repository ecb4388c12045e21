-- Guardrails: what may be done without a person, what has been done, and what came of it.

-- The kill switch. Whoever acts reads it inside the transaction that writes the action, under the shared lock of
-- flows/autopilot/permit.py; whoever turns it takes that lock alone: once it is answered, nothing acts any more.
CREATE TABLE autopilot_switch (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    stopped boolean NOT NULL DEFAULT false,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   int NOT NULL DEFAULT 0,
    reason  text
);
INSERT INTO autopilot_switch DEFAULT VALUES;

-- A domain without a row recommends. Its row is locked by whoever acts in it, so that budgets hold exactly.
CREATE TABLE autopilot_domain (
    domain     text PRIMARY KEY CHECK (domain IN
               ('reroute', 'rebalance', 'replenish', 'gates', 'price', 'listings', 'promises')),
    mode       text NOT NULL DEFAULT 'recommend' CHECK (mode IN ('off', 'recommend', 'auto')),
    guardrails jsonb NOT NULL DEFAULT '{}',       -- see Guardrails in autopilot/model.py
    changed_at timestamptz NOT NULL DEFAULT now(),
    actor      int NOT NULL DEFAULT 0,            -- 0: returned to `recommend` by what came of its actions
    reason     text
);
INSERT INTO autopilot_domain (domain)
VALUES ('reroute'), ('rebalance'), ('replenish'), ('gates'), ('price'), ('listings'), ('promises');

-- What was done, and what was left undone on purpose to compare with. Append-only but for what is learned later.
CREATE TABLE autopilot_action (
    action_id   uuid PRIMARY KEY,
    domain      text NOT NULL REFERENCES autopilot_domain (domain),
    key         text[] NOT NULL CHECK (cardinality(key) > 0),   -- what it acts on: {item_node, MUG, lyon}
    direction   smallint NOT NULL CHECK (direction BETWEEN -1 AND 1),
    reference   text NOT NULL,                    -- what asked for it: proposal:<id>, run:<id>/<step>
    held_out    boolean NOT NULL DEFAULT false,   -- not done: the control
    money_minor bigint NOT NULL CHECK (money_minor >= 0),
    currency    text,
    units       int NOT NULL CHECK (units >= 0),
    orders      int NOT NULL CHECK (orders >= 0),
    confidence  double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    stake_minor bigint NOT NULL CHECK (stake_minor >= 0),       -- expected to be lost if it is not done
    gain_minor  bigint NOT NULL,                  -- promised
    at          timestamptz NOT NULL,
    judge_at    timestamptz,                      -- when it can be told what came of it; NULL: never
    lost_minor  bigint CHECK (lost_minor >= 0),   -- what was lost all the same
    judged_at   timestamptz,
    void        text,                             -- why it says nothing: undone, or done by a person though held out
    CHECK ((lost_minor IS NULL) = (judged_at IS NULL) OR void IS NOT NULL),
    CHECK (NOT held_out OR money_minor = 0 AND units = 0 AND orders = 0)
);
CREATE UNIQUE INDEX autopilot_action_once ON autopilot_action (reference);
CREATE INDEX autopilot_action_lately ON autopilot_action (domain, at);
CREATE INDEX autopilot_action_key ON autopilot_action (key, at);
CREATE INDEX autopilot_action_due ON autopilot_action (judge_at) WHERE judged_at IS NULL AND void IS NULL;

-- Which domain may act on something until when: two never fight over the same units.
CREATE TABLE autopilot_owner (
    key       text[] PRIMARY KEY,
    domain    text NOT NULL REFERENCES autopilot_domain (domain),
    until     timestamptz NOT NULL,
    action_id uuid NOT NULL
);

-- Why something was left to a person, or not done: of each asker as it was last.
CREATE TABLE autopilot_verdict (
    reference text PRIMARY KEY,
    domain    text NOT NULL REFERENCES autopilot_domain (domain),
    verdict   text NOT NULL CHECK (verdict IN ('recommend', 'refuse')),
    code      text NOT NULL,
    detail    text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX autopilot_verdict_at ON autopilot_verdict (at);

-- Nothing was done in an hour beyond what the guardrails of its moment allowed is tested, not kept: they change. What
-- must hold at any moment: nobody acts on something that another domain owns.
CREATE VIEW invariant_autopilot_owner_has_acted AS
SELECT o.key, o.domain, a.domain AS acted FROM autopilot_owner o LEFT JOIN autopilot_action a USING (action_id)
WHERE a.action_id IS NULL OR a.domain <> o.domain OR a.held_out;
