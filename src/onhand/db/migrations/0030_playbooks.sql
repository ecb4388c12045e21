-- Runs of playbooks and of their steps.

-- A playbook as it was written, version by version. A run keeps the one it began with.
CREATE TABLE playbook (
    name       text COLLATE "C" NOT NULL,
    version    int NOT NULL CHECK (version >= 1),
    document   jsonb NOT NULL,                -- with every default: see incidents/playbooks/model.py
    text       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    actor      int NOT NULL,                  -- key that wrote it, 0: it came with the program
    PRIMARY KEY (name, version)
);

-- Durable work in small steps. A worker holds a run by its lease and takes each step under `attempt`: who was late finds
-- another number there and stops. What a step did is committed together with its row in run_step, so it is done once.
CREATE TABLE run (
    run_id      uuid PRIMARY KEY,
    kind        text NOT NULL,                -- what knows how to go on: playbook
    name        text COLLATE "C" NOT NULL,
    version     int NOT NULL,
    subject     uuid NOT NULL,                -- what it is about: of a playbook the incident
    status      text NOT NULL DEFAULT 'ready'
                CHECK (status IN ('ready', 'needs_approval', 'standing', 'undoing', 'done', 'undone')),
    step_no     smallint NOT NULL DEFAULT 1 CHECK (step_no >= 1),   -- to be taken next
    part_no     int NOT NULL DEFAULT 1 CHECK (part_no >= 1),        -- of it: long steps commit part by part
    approved    smallint,                     -- step that a person has said yes to
    waited      smallint,                     -- step whose wait is over at due_at
    cursor      text,                         -- where the next part of the step begins
    due_at      timestamptz NOT NULL,
    lease_until timestamptz,
    attempt     int NOT NULL DEFAULT 0,       -- fences: grows each time that somebody takes the run
    failures    int NOT NULL DEFAULT 0,       -- of the present step, one after the other
    error       text,
    why         text,                         -- it ended, or waits for a person
    created_at  timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((status IN ('done', 'undone')) = (finished_at IS NOT NULL))
);
-- A thing is worked on by one run of a kind and name at a time.
CREATE UNIQUE INDEX run_open ON run (kind, name, subject) WHERE finished_at IS NULL;
CREATE INDEX run_due ON run (due_at) WHERE finished_at IS NULL;
CREATE INDEX run_subject ON run (subject, run_id);

-- What was done, a row for each part of a step; `undo` says how it was before, of what it changed.
CREATE TABLE run_step (
    run_id     uuid NOT NULL REFERENCES run (run_id),
    step_no    smallint NOT NULL,
    part_no    int NOT NULL,
    kind       text NOT NULL,
    outcome    text NOT NULL CHECK (outcome IN ('done', 'skipped', 'refused', 'told', 'failed')),
    why        text,
    result     jsonb NOT NULL DEFAULT '{}',
    undo       jsonb,                         -- NULL: it changed nothing that could be put back
    cost_minor bigint NOT NULL DEFAULT 0,     -- what it cost, against leaving it
    orders     int NOT NULL DEFAULT 0,        -- touched
    units      bigint NOT NULL DEFAULT 0,     -- moved
    attempt    int NOT NULL,
    at         timestamptz NOT NULL,
    undone_at  timestamptz,
    undone     jsonb,                         -- what undoing it came to
    PRIMARY KEY (run_id, step_no, part_no),
    CHECK ((undone IS NULL) = (undone_at IS NULL))
);

-- One owner for each thing: what a run has changed no other run changes until the first has ended.
CREATE TABLE run_claim (
    what   text NOT NULL,                     -- order, stock, price, listing, gate, inbound, ...
    key    text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL REFERENCES run (run_id),
    PRIMARY KEY (what, key)
);
CREATE INDEX run_claim_run ON run_claim (run_id);

CREATE VIEW invariant_ended_run_claims_nothing AS
SELECT r.run_id, c.what, c.key FROM run_claim c JOIN run r USING (run_id) WHERE r.finished_at IS NOT NULL;

-- A run that was taken back has nothing left standing that could be put back.
CREATE VIEW invariant_undone_run_left_nothing AS
SELECT r.run_id, s.step_no, s.part_no FROM run r JOIN run_step s USING (run_id)
WHERE r.status = 'undone' AND s.undo IS NOT NULL AND s.undone_at IS NULL;

-- A date that a customer was promised anew, since withdrawn where a later one took its place or the step was undone.
CREATE TABLE new_promise (
    order_id     uuid NOT NULL,
    promise_no   int NOT NULL,
    run_id       uuid NOT NULL REFERENCES run (run_id),
    deliver_by   timestamptz NOT NULL,
    was          timestamptz NOT NULL,
    at           timestamptz NOT NULL,
    withdrawn_at timestamptz,
    PRIMARY KEY (order_id, promise_no)
);

-- Messages to customers, written with what they tell of and sent afterwards. Without personal data: name and address are
-- looked up when it is sent. `sending` is written before it leaves, and what was being sent when its worker died is never
-- sent again: nobody is told twice.
CREATE TABLE customer_message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        text COLLATE "C" NOT NULL,     -- the same message again is none
    run_id     uuid NOT NULL REFERENCES run (run_id),
    step_no    smallint NOT NULL,
    order_id   uuid NOT NULL,
    promise_no int,                           -- that it tells of; NULL: of none
    template   jsonb NOT NULL,                -- subject and text with blanks, and the quiet hours
    status     text NOT NULL DEFAULT 'due'
               CHECK (status IN ('due', 'sending', 'sent', 'dropped', 'unknown', 'dead')),
    why        text,                          -- it was not sent
    failures   int NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL,
    lease_until timestamptz,                  -- while it is being sent
    sent_at    timestamptz
);
CREATE UNIQUE INDEX customer_message_once ON customer_message (key) WHERE status <> 'dropped';
CREATE INDEX customer_message_due ON customer_message (due_at) WHERE status IN ('due', 'sending');
CREATE INDEX customer_message_order ON customer_message (order_id);

-- Customers that want no such messages.
CREATE TABLE message_opt_out (
    customer_id uuid PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now()
);

-- Counts that were asked for and not done yet, or withdrawn.
CREATE TABLE count_request (
    item_id int NOT NULL REFERENCES item (item_id),
    node_id int NOT NULL REFERENCES node (node_id),
    run_id  uuid NOT NULL REFERENCES run (run_id),
    at      timestamptz NOT NULL,
    PRIMARY KEY (item_id, node_id)
);

-- Parcels under way, by the node that they left: what a slow lane touches.
CREATE INDEX fulfilment_under_way ON fulfilment (node_id, order_id) WHERE status = 'shipped';
