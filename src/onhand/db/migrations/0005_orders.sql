-- The only table with personal data of customers.
CREATE TABLE customer (
    customer_id uuid PRIMARY KEY,
    email       text,
    name        text,
    phone       text,
    address     jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),
    erased_at   timestamptz
);
CREATE UNIQUE INDEX customer_email ON customer (lower(email)) WHERE email IS NOT NULL;

-- An order is read and written whole, so its lines are part of its row, as those of a fulfilment are of its own: a row and
-- an index entry for each cost a tenth of placing an order. JSON as text: checking what we wrote costs as much as writing.
-- No foreign keys on the hot tables (each costs a lookup per row): invariant views watch them instead.
CREATE TABLE orders (
    order_id    uuid PRIMARY KEY,
    channel_id  int NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    body_hash   bytea NOT NULL,          -- of the request: tells a repeat from a different order with the same id
    status      text NOT NULL,
    queue       text,                    -- where it waits, NULL when nothing does
    currency    text NOT NULL,
    placed_at   timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    deliver_by  timestamptz,
    customer_id uuid,
    request     text NOT NULL,           -- JSON: destination, method and wishes, what sourcing it again needs
    lines       text NOT NULL,           -- JSON: a list for each line, see order_line
    actor       int NOT NULL,
    UNIQUE (channel_id, external_id)
) WITH (fillfactor = 85);
CREATE INDEX orders_queue ON orders (queue, order_id) WHERE queue IS NOT NULL;
CREATE INDEX orders_customer ON orders (customer_id) WHERE customer_id IS NOT NULL;

-- The lines of orders, for people and for what looks at many orders; an order itself is loaded and saved with its `lines`.
CREATE VIEW order_line AS
SELECT o.order_id,
       n::smallint AS line_no,
       l ->> 0 AS line_id,
       (l ->> 1)::int AS item_id,           -- as ordered: may be a bundle
       (l ->> 2)::int AS quantity,
       (l ->> 3)::bigint AS price_minor,
       (l ->> 4)::bigint AS tax_minor,
       coalesce((l ->> 5)::int, 0) AS cancelled,
       coalesce((l ->> 6)::int, 0) AS shipped,
       coalesce((l ->> 7)::int, 0) AS returned,
       (l ->> 8)::jsonb AS components       -- of a bundle, as it was when ordered: {item_id: units per bundle}
FROM orders o, json_array_elements(o.lines::json) WITH ORDINALITY AS t (l, n);

-- Units of an order that no shelf backs yet: the queues, line by line.
-- inbound_id names the dated supply a backorder or preorder is promised from.
CREATE TABLE queue_line (
    order_id     uuid NOT NULL,
    line_no      smallint NOT NULL,
    item_id      int NOT NULL,
    queue        text NOT NULL CHECK (queue IN ('to_source', 'rejected', 'unfillable', 'held', 'backorder', 'preorder', 'sync_failed', 'needs_approval')),
    quantity     int NOT NULL CHECK (quantity > 0),
    inbound_id   uuid,
    inbound_line smallint,
    node_id      int,
    expected_at  timestamptz,
    since        timestamptz NOT NULL DEFAULT now(),
    queue_line_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE INDEX queue_line_order ON queue_line (order_id);
CREATE INDEX queue_line_item ON queue_line (item_id, since);

-- Decisions, kept for ever: the view plan shows them. The first plans of orders that were placed together stand in one row,
-- found by its moment, as the event is that tells of them; a later plan is a row of its own.
-- decision is the answer that was given, NULL where order and fulfilments say it (orders/answer.py); inputs are what the
-- solver saw (sourcing/record.py).
CREATE TABLE plan_sheet (
    sheet_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    network_id int NOT NULL,
    policy     text NOT NULL,                 -- the active version: `standard@3`
    confidence double precision NOT NULL,     -- of the promises
    orders     uuid[] NOT NULL,
    decisions  text[] NOT NULL,
    inputs     bytea[] NOT NULL,
    policies   text[]                         -- version and rule of each, where that differs: `standard@3/2`
);
CREATE INDEX plan_sheet_at ON plan_sheet (at);
-- Compressing them takes longer than writing them.
ALTER TABLE plan_sheet ALTER orders SET STORAGE EXTERNAL, ALTER decisions SET STORAGE EXTERNAL,
    ALTER inputs SET STORAGE EXTERNAL;

CREATE TABLE later_plan (
    order_id   uuid NOT NULL,
    plan_no    smallint NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    network_id int NOT NULL,
    policy     text NOT NULL,
    decision   text NOT NULL,
    inputs     bytea NOT NULL,
    PRIMARY KEY (order_id, plan_no)
);

CREATE VIEW plan AS
SELECT o.order_id, 1::smallint AS plan_no, s.at, s.network_id, coalesce(s.policies[found.n], s.policy) AS policy, s.confidence, s.decisions[found.n] AS decision,
       s.inputs[found.n] AS inputs
FROM orders o
JOIN plan_sheet s ON s.at = o.created_at
CROSS JOIN LATERAL (SELECT array_position(s.orders, o.order_id) AS n OFFSET 0) AS found
WHERE found.n IS NOT NULL
UNION ALL
SELECT order_id, plan_no, at, network_id, policy, NULL, decision, inputs FROM later_plan;

CREATE TABLE fulfilment (
    order_id      uuid NOT NULL,
    fulfilment_no smallint NOT NULL,
    plan_no       smallint NOT NULL,
    node_id       int NOT NULL,
    status        text NOT NULL,
    carrier       text,
    service       text,
    method        text NOT NULL DEFAULT 'ship',
    ship_day      date NOT NULL,             -- the local day whose capacity it uses
    ship_by       timestamptz NOT NULL,
    deliver_by    timestamptz NOT NULL,
    lines         smallint NOT NULL,
    units         int NOT NULL,
    parcels       int NOT NULL DEFAULT 0,    -- as planned; 0 where nobody carries it
    lane          text,                      -- key of the carrier's lane (network/parcels.py), NULL: none
    cost_minor    bigint NOT NULL,
    cost          text NOT NULL,             -- JSON: minor units of each cost term (orders/answer.py)
    co2_g         bigint NOT NULL,
    pieces        text NOT NULL,             -- JSON: a list for each line, see fulfilment_line
    reason        text,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, fulfilment_no)
);
-- What a node has to do, soonest first.
CREATE INDEX fulfilment_work ON fulfilment (node_id, ship_by) WHERE status IN ('allocated', 'accepted', 'packed', 'partly_shipped');

CREATE VIEW fulfilment_line AS
SELECT f.order_id,
       f.fulfilment_no,
       (p ->> 0)::smallint AS line_no,
       (p ->> 1)::int AS item_id,               -- a component when the line names a bundle
       (p ->> 2)::int AS quantity,              -- falls when units are released
       coalesce((p ->> 3)::int, 0) AS shipped,
       coalesce((p ->> 4)::int, 0) AS released  -- since it was planned
FROM fulfilment f, json_array_elements(f.pieces::json) AS t (p);

CREATE TABLE shipment (
    order_id      uuid NOT NULL,
    shipment_no   smallint NOT NULL,
    fulfilment_no smallint NOT NULL,
    carrier       text,
    service       text,
    tracking      text,
    shipped_at    timestamptz NOT NULL DEFAULT now(),
    delivered_at  timestamptz,
    PRIMARY KEY (order_id, shipment_no)
);

CREATE TABLE shipment_line (
    order_id    uuid NOT NULL,
    shipment_no smallint NOT NULL,
    line_no     smallint NOT NULL,
    item_id     int NOT NULL,
    quantity    int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, shipment_no, line_no, item_id)
);

CREATE TABLE order_return (
    order_id    uuid NOT NULL,
    return_no   smallint NOT NULL,
    node_id     int NOT NULL,
    disposition text NOT NULL CHECK (disposition IN ('restock', 'damaged', 'inspect')),
    returned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, return_no)
);

CREATE TABLE order_return_line (
    order_id  uuid NOT NULL,
    return_no smallint NOT NULL,
    line_no   smallint NOT NULL,
    item_id   int NOT NULL,
    quantity  int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, return_no, line_no, item_id)
);

-- The events that a row of `event` stands for. Its caller asks rows by the index and then places by these:
--     FROM event e, unfold_v1(e) u WHERE (e.xid, e.pos) > (x, p) AND (e.xid, u.pos) > (x, p) ORDER BY e.xid, e.pos, u.pos
-- Channel and external id of an order never change, so they are not written twice. Inlined by the planner; data is
-- looked up only for the events that are answered. The look-up itself must not name e: the whole row, array and all,
-- would go through every sort.
CREATE FUNCTION unfold_v1(e event) RETURNS TABLE (pos bigint, subject text, data jsonb)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT e.pos + 1 - one.n,
           coalesce(e.subject, one.order_id::text),
           CASE WHEN one.order_id IS NULL THEN e.data ELSE e.data || (
               SELECT jsonb_build_object('order_id', o.order_id, 'channel', c.code, 'external_id', o.external_id)
               FROM orders o JOIN channel c USING (channel_id)
               WHERE o.order_id = one.order_id
           ) END
    FROM unnest(coalesce(e.orders, '{NULL}')) WITH ORDINALITY AS one (order_id, n)
$$;
