-- Policies: documents in immutable versions, and the state of each version over time.

CREATE TABLE policy (
    policy_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE policy_version (
    name       text COLLATE "C" NOT NULL REFERENCES policy (name),
    version    int NOT NULL CHECK (version >= 1),
    document   jsonb NOT NULL,      -- every default filled in, so that it keeps its meaning
    text       text NOT NULL,       -- as it was written, comments and all
    hash       bytea NOT NULL CHECK (length(hash) = 32),   -- SHA-256 of the document in canonical form
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by int NOT NULL,        -- api_key.key_id, 0 the system
    PRIMARY KEY (name, version)
);

-- A plan names the version that made it: what that says must stay what it was.
CREATE FUNCTION policy_version_is_immutable_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a policy never changes: write a new one' USING ERRCODE = 'OH010';
END $$;
CREATE TRIGGER policy_version_is_immutable BEFORE UPDATE OR DELETE ON policy_version
    FOR EACH ROW EXECUTE FUNCTION policy_version_is_immutable_v1();

-- What a version was and is: a row per state, the present one without an end.
CREATE TABLE policy_state (
    state_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text COLLATE "C" NOT NULL,
    version  int NOT NULL,
    state    text NOT NULL CHECK (state IN ('draft', 'shadow', 'canary', 'active', 'retired')),
    share    double precision CHECK (share > 0 AND share < 1),   -- of the orders, of a canary
    preceded int,                        -- the version that was active before this one became so
    at       timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    by       int NOT NULL,               -- api_key.key_id, 0 the system
    why      text,
    FOREIGN KEY (name, version) REFERENCES policy_version (name, version),
    FOREIGN KEY (name, preceded) REFERENCES policy_version (name, version),
    CHECK ((state = 'canary') = (share IS NOT NULL)),
    CHECK (preceded IS NULL OR state = 'active')
);
CREATE UNIQUE INDEX policy_state_present ON policy_state (name, version) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX policy_state_one_of_each ON policy_state (name, state)
    WHERE ended_at IS NULL AND state IN ('shadow', 'canary', 'active');
CREATE INDEX policy_state_history ON policy_state (name, version, state_id);

CREATE VIEW invariant_policy_versions_have_a_state AS
SELECT v.name, v.version FROM policy_version v
WHERE NOT EXISTS (
    SELECT FROM policy_state s WHERE s.name = v.name AND s.version = v.version AND s.ended_at IS NULL
);

-- The policy that decides until there is another one. A test holds this document against the code's numbers.
INSERT INTO policy (name) VALUES ('standard');
INSERT INTO policy_version (name, version, document, text, hash, created_by)
SELECT 'standard', 1, document::jsonb, text, sha256(convert_to(document, 'UTF8')), 0
FROM (VALUES ($json${"capacity_price":null,"confidence":0.95,"description":"The built-in policy: every node for every order, weighed by the objective.","fallback":{"cancel_after_hours":null,"on_no_plan":"backorder","unserved":{"line_minor":0.0,"order_minor":2000.0,"unit_minor":500.0}},"guards":[],"limits":{"days_max":null,"dip_into_safety_stock":true,"distance_km_max":null,"divide_lines":true,"fulfilments_max":4,"services":null},"objective":"margin","objectives":{"margin":{"co2_minor_per_kg":0.0,"day_minor":1.0,"late_minor":500.0,"rejection_minor":0.0,"split_minor":100.0,"target_days":5.0},"speed":{"co2_minor_per_kg":0.0,"day_minor":400.0,"late_minor":1500.0,"rejection_minor":0.0,"split_minor":50.0,"target_days":2.0},"sustainability":{"co2_minor_per_kg":800.0,"day_minor":1.0,"late_minor":300.0,"rejection_minor":0.0,"split_minor":100.0,"target_days":7.0}},"opportunity":{"price_max_minor":null,"refresh_minutes":10,"step_share":0.0025},"priorities":[],"profit_floor":null,"rules":[],"weights":{}}$json$,
$yaml$# The built-in policy: every node for every order, weighed by the objective. Save another version to change it.
description: "The built-in policy: every node for every order, weighed by the objective."
objective: margin
objectives:
  margin: {split_minor: 100, target_days: 5, late_minor: 500, day_minor: 1, co2_minor_per_kg: 0}
  speed: {split_minor: 50, target_days: 2, late_minor: 1500, day_minor: 400, co2_minor_per_kg: 0}
  sustainability: {split_minor: 100, target_days: 7, late_minor: 300, day_minor: 1, co2_minor_per_kg: 800}
limits: {fulfilments_max: 4, dip_into_safety_stock: true, divide_lines: true}
fallback: {on_no_plan: backorder}
opportunity: {step_share: 0.0025, refresh_minutes: 10}
$yaml$)) AS built_in (document, text);
INSERT INTO policy_state (name, version, state, by, why) VALUES ('standard', 1, 'active', 0, 'built in');
