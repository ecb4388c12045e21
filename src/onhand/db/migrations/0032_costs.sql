-- What orders cost to serve.

-- Append-only. A source says what it costs in all; an entry is the difference to what is booked of it, so the sum is what
-- was said last, and saying it again writes nothing. Those of orders (derived) follow from orders, fulfilments,
-- shipments, returns and charges (costs/decide.py), which a consumer of the outbox (cursor `costs`) reads; others book
-- what their actions cost in the transaction of the action.
CREATE TABLE cost_entry (
    entry_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id      uuid,                       -- NULL: of no single order
    source        text COLLATE "C" NOT NULL,  -- within the order, otherwise by itself: `f1 planned`
    derived       boolean NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('promised', 'actual')),
    term          text COLLATE "C" NOT NULL,
    item_id       int,                        -- NULL: of no single item
    cause         text,                       -- of a failure; NULL: none
    turn          int NOT NULL CHECK (turn > 0),   -- how often this source has said something else of these
    minor         bigint NOT NULL CHECK (minor <> 0),
    currency      text NOT NULL,
    fulfilment_no smallint,
    shipment_no   smallint,
    node_id       int,
    carrier       text,
    channel_id    int,
    at            timestamptz NOT NULL,       -- of what it is the cost of
    booked_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT derived OR order_id IS NOT NULL),
    CHECK (kind = 'actual' OR cause IS NULL),
    -- Two that book the same at once cannot both do so.
    UNIQUE NULLS NOT DISTINCT (order_id, source, derived, kind, term, item_id, cause, turn)
);
CREATE INDEX cost_entry_at ON cost_entry (at);

-- What was charged for orders: lines of carriers' invoices and the like. Told again, a line is replaced.
CREATE TABLE cost_charge (
    reference     text COLLATE "C" PRIMARY KEY,
    order_id      uuid NOT NULL,
    fulfilment_no smallint,
    shipment_no   smallint,                   -- NULL: of the order, beside the freight of its shipments
    term          text NOT NULL,
    minor         bigint NOT NULL,
    currency      text NOT NULL,
    carrier       text,
    cause         text,
    at            timestamptz NOT NULL,
    actor         int NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((fulfilment_no IS NULL) = (shipment_no IS NULL))
);
CREATE INDEX cost_charge_order ON cost_charge (order_id);

-- What plans promised adds up to what fulfilments were planned to cost, wherever a fulfilment has been followed.
CREATE VIEW invariant_promised_costs_are_those_of_fulfilments AS
SELECT c.order_id, c.fulfilment_no, c.minor AS booked, f.cost_minor AS planned
FROM (
    SELECT order_id, fulfilment_no, sum(minor) AS minor FROM cost_entry
    WHERE derived AND kind = 'promised' AND source LIKE '% planned'
    GROUP BY order_id, fulfilment_no
) c
LEFT JOIN fulfilment f USING (order_id, fulfilment_no)
WHERE c.minor IS DISTINCT FROM f.cost_minor;

-- What moves from one fulfilment of an order to another is neither lost nor made: units that are served again keep the
-- promise that they had.
CREATE VIEW invariant_costs_of_ended_promises_are_no_more_than_promised AS
SELECT order_id, sum(minor) AS promised, sum(minor) FILTER (WHERE source LIKE '% planned') AS planned
FROM cost_entry
WHERE derived AND kind = 'promised' AND term IN ('shipping', 'handling', 'tax_duty')
GROUP BY order_id
HAVING sum(minor) NOT BETWEEN 0 AND coalesce(sum(minor) FILTER (WHERE source LIKE '% planned'), 0);
