-- What planning needs to know of the network, and what it proposes.

-- A way over which units can be moved from one node to another.
CREATE TABLE lane (
    from_node_id    int NOT NULL REFERENCES node (node_id),
    to_node_id      int NOT NULL REFERENCES node (node_id),
    days            smallint NOT NULL CHECK (days BETWEEN 0 AND 365),
    unit_cost_minor int NOT NULL DEFAULT 0 CHECK (unit_cost_minor >= 0),
    kg_cost_minor   int NOT NULL DEFAULT 0 CHECK (kg_cost_minor >= 0),
    units_per_day   int CHECK (units_per_day >= 0),       -- NULL: no limit
    co2_g_per_kg    int NOT NULL DEFAULT 0 CHECK (co2_g_per_kg >= 0),
    active          boolean NOT NULL DEFAULT true,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (from_node_id, to_node_id),
    CHECK (from_node_id <> to_node_id)
);

-- How an item comes to a node that buys it, and what it costs there to have too few or too many.
CREATE TABLE supply (
    item_id          int NOT NULL REFERENCES item (item_id),
    node_id          int NOT NULL,                         -- 0: every node without a row of its own
    supplier         text NOT NULL,
    lead_days        smallint[] NOT NULL,                  -- equally likely: what deliveries took
    review_days      smallint NOT NULL DEFAULT 7 CHECK (review_days >= 1),
    order_days       smallint[] NOT NULL DEFAULT '{}',     -- ISO: Monday is 1; none: any day
    minimum          int NOT NULL DEFAULT 0 CHECK (minimum >= 0),
    multiple         int NOT NULL DEFAULT 1 CHECK (multiple >= 1),
    unit_cost_minor  bigint CHECK (unit_cost_minor > 0),   -- NULL: the item's
    order_cost_minor bigint NOT NULL DEFAULT 0 CHECK (order_cost_minor >= 0),
    stockout_minor   bigint CHECK (stockout_minor >= 0),   -- NULL: the margin
    carrying_rate    double precision CHECK (carrying_rate > 0),   -- share of a unit's cost a year; NULL: as a plan says
    co2_g_per_unit   int NOT NULL DEFAULT 0 CHECK (co2_g_per_unit >= 0),
    active           boolean NOT NULL DEFAULT true,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, node_id)
);

-- What a plan has recommended, and what has become of it. `expired` and `done` of units on their way are not written:
-- they follow from the clock and from the inbound document.
CREATE TABLE proposal (
    proposal_id  uuid PRIMARY KEY,
    job_id       uuid REFERENCES job (job_id),             -- NULL: planned on the command line
    plan         text NOT NULL CHECK (plan IN ('safety_stock', 'replenish', 'rebalance', 'prune')),
    kind         text NOT NULL CHECK (kind IN ('transfer', 'purchase', 'price', 'safety_stock')),
    status       text NOT NULL DEFAULT 'proposed'
                 CHECK (status IN ('proposed', 'approved', 'dismissed', 'superseded', 'done')),
    item_id      int NOT NULL REFERENCES item (item_id),
    node_id      int NOT NULL REFERENCES node (node_id),   -- where it takes effect: of a transfer where it goes
    from_node_id int REFERENCES node (node_id),            -- of a transfer
    supplier     text,                                     -- of a purchase
    quantity     int NOT NULL CHECK (quantity >= 0),
    price_minor  bigint,
    cost_minor   bigint NOT NULL,
    currency     text,
    act_by       date NOT NULL,
    expected_at  date,
    expires_at   timestamptz NOT NULL,
    effect       jsonb NOT NULL,                           -- see Effect in planning/model.py
    basis        jsonb NOT NULL,                           -- the forecast it rests on, its last day, the days looked ahead
    explanation  text NOT NULL,
    created_at   timestamptz NOT NULL,
    decided_at   timestamptz,
    actor        int,                                      -- key that decided
    reason       text,                                     -- why it was dismissed
    inbound_id   uuid REFERENCES inbound (inbound_id),     -- what approval made of a transfer or a purchase
    CHECK ((kind = 'transfer') = (from_node_id IS NOT NULL)),
    CHECK ((kind = 'price') = (price_minor IS NOT NULL)),
    CHECK ((status IN ('proposed', 'superseded')) = (decided_at IS NULL)),
    CHECK ((inbound_id IS NOT NULL) = (status = 'approved'))
);
CREATE INDEX proposal_open ON proposal (item_id, node_id) WHERE status = 'proposed';
CREATE INDEX proposal_moved ON proposal (from_node_id, node_id, decided_at) WHERE kind = 'transfer' AND status = 'approved';
CREATE UNIQUE INDEX proposal_inbound ON proposal (inbound_id) WHERE inbound_id IS NOT NULL;

-- What was approved is on its way or has come, as many units as were proposed; of a transfer they have left the other
-- node.
CREATE VIEW invariant_approved_proposal_is_on_its_way AS
SELECT p.proposal_id, p.kind, p.quantity, l.units AS inbound_units, o.units AS units_out
FROM proposal p
JOIN inbound i USING (inbound_id)
LEFT JOIN LATERAL (
    SELECT sum(quantity) AS units FROM inbound_line l
    WHERE l.inbound_id = p.inbound_id AND (l.item_id, l.node_id) = (p.item_id, p.node_id)
) l ON true
LEFT JOIN LATERAL (
    SELECT sum(-e.d_on_hand) AS units FROM ledger_entry e
    WHERE (e.item_id, e.node_id) = (p.item_id, p.from_node_id) AND e.kind = 'transfer_out' AND e.reference = i.reference
) o ON true
WHERE l.units IS DISTINCT FROM p.quantity OR (p.kind = 'transfer' AND o.units IS DISTINCT FROM p.quantity);

-- Proposals as they are shown at a moment: expired ones by the clock, received ones by their inbound document.
CREATE FUNCTION proposal_shown_v1(at timestamptz) RETURNS TABLE (
    proposal_id uuid, job_id uuid, plan text, kind text, status text, sku text, node text, source text, supplier text,
    quantity int, price_minor bigint, cost_minor bigint, currency text, act_by date, expected_at date,
    expires_at timestamptz, effect jsonb, basis jsonb, explanation text, created_at timestamptz, decided_at timestamptz,
    by int, reason text, inbound_id uuid, reference text, received int, overdue boolean
) LANGUAGE sql STABLE AS $$
    SELECT p.proposal_id, p.job_id, p.plan, p.kind,
           CASE WHEN p.status = 'proposed' AND p.expires_at <= at THEN 'expired'
                WHEN p.status = 'approved' AND i.closed_at IS NOT NULL THEN 'done'
                ELSE p.status END,
           s.sku, n.code, f.code, p.supplier, p.quantity, p.price_minor, p.cost_minor, p.currency, p.act_by,
           p.expected_at, p.expires_at, p.effect, p.basis, p.explanation, p.created_at, p.decided_at, p.actor, p.reason,
           p.inbound_id, i.reference, l.received, l.expected_at < at
    FROM proposal p
    JOIN item s USING (item_id)
    JOIN node n ON n.node_id = p.node_id
    LEFT JOIN node f ON f.node_id = p.from_node_id
    LEFT JOIN inbound i USING (inbound_id)
    LEFT JOIN inbound_line l ON l.inbound_id = p.inbound_id AND l.line_no = 1
$$;
