-- What fails or is about to, one row for each cause and currency, and what it rests on. What makes incidents of findings
-- is incidents/group.py; a run of a playbook names the incident it mitigates.
CREATE TABLE incident (
    incident_id uuid PRIMARY KEY,
    kind        text NOT NULL,
    cause_what  text NOT NULL,                -- lane, carrier, node, item_node, order, channel, ...
    cause_key   text[] NOT NULL,
    status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'dismissed', 'closed')),
    loss_minor  bigint NOT NULL CHECK (loss_minor >= 0),    -- if nobody does anything and all of it is right
    risk_minor  bigint NOT NULL CHECK (risk_minor >= 0),    -- times the chance that it is
    confidence  double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    currency    text NOT NULL,                -- of the money above: amounts of several are never added
    since       timestamptz NOT NULL,         -- from when the evidence is
    opened_at   timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,         -- when there last was evidence
    closed_at   timestamptz,
    merged_in   uuid REFERENCES incident (incident_id),     -- the wider cause that took it over
    dismissed_at timestamptz,
    actor       int,                          -- key that dismissed it
    reason      text,
    told_minor  bigint NOT NULL DEFAULT 0,    -- risk_minor and number of findings when an event last told of it
    told_findings int NOT NULL DEFAULT 0,
    CHECK (cardinality(cause_key) > 0),
    CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CHECK (status <> 'dismissed' OR dismissed_at IS NOT NULL)
);
-- One of a kind, cause and currency at a time. A dismissed one stays until its evidence ends, so that it is not told of
-- again.
CREATE UNIQUE INDEX incident_standing ON incident (kind, cause_what, cause_key, currency) WHERE closed_at IS NULL;
CREATE INDEX incident_ranked ON incident (currency, risk_minor DESC, incident_id) WHERE status = 'open';
CREATE INDEX incident_closed ON incident (closed_at) WHERE closed_at IS NOT NULL;

-- What a detector says of one subject: of an open incident as it is now, of a closed one as it was last.
CREATE TABLE incident_finding (
    incident_id  uuid NOT NULL REFERENCES incident (incident_id) ON DELETE CASCADE,
    subject_what text NOT NULL,
    subject_key  text[] NOT NULL,
    numbers      jsonb NOT NULL,              -- what it rests on, by name; units last in the name
    sentence     text NOT NULL,
    loss_minor   bigint NOT NULL CHECK (loss_minor >= 0),
    confidence   double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    since        timestamptz NOT NULL,
    causes       jsonb NOT NULL,              -- [["lane", ["leipzig", "dhl", "FR"]], ["carrier", ["dhl"]]], the narrowest first
    PRIMARY KEY (incident_id, subject_what, subject_key)
);
CREATE INDEX incident_finding_subject ON incident_finding (subject_what, subject_key);

-- When each detector looked last, and why it could not: incidents of what was not looked at stay as they are.
CREATE TABLE incident_look (
    detector  text COLLATE "C" PRIMARY KEY,
    tried_at  timestamptz NOT NULL,
    looked_at timestamptz,                    -- when it last had enough to go by
    problem   text,                           -- why it had not when it was tried last
    findings  int NOT NULL DEFAULT 0,
    took_ms   int NOT NULL DEFAULT 0
);

-- What the ledger holds of the last weeks, for who asks by time. A summary of a few pages each costs an insert next to
-- nothing.
CREATE INDEX ledger_entry_recorded ON ledger_entry USING brin (recorded_at) WITH (pages_per_range = 64, autosummarize = on);

-- An incident is what its findings say, whether it stands or is over.
CREATE VIEW invariant_incident_is_the_sum_of_its_findings AS
SELECT i.incident_id, i.loss_minor, f.loss_minor AS findings_minor, f.findings
FROM incident i
LEFT JOIN (
    SELECT incident_id, sum(loss_minor) AS loss_minor, count(*) AS findings FROM incident_finding GROUP BY incident_id
) f USING (incident_id)
WHERE f.findings IS NULL OR i.loss_minor <> f.loss_minor;
