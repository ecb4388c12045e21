CREATE TABLE webhook (
    webhook_id  uuid PRIMARY KEY,
    url         text NOT NULL,
    kinds       text[] NOT NULL,             -- event kinds or prefixes such as order.*
    secret      text NOT NULL,               -- Standard Webhooks, whsec_...
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    failing_since timestamptz,
    actor       int NOT NULL
);

CREATE TABLE webhook_delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id  uuid NOT NULL REFERENCES webhook (webhook_id) ON DELETE CASCADE,
    event_xid   xid8 NOT NULL,
    event_pos   bigint NOT NULL,
    status      text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'delivered', 'dead')),
    attempts    int NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),   -- given up three days after
    due_at      timestamptz NOT NULL DEFAULT now(),
    last_error  text,
    delivered_at timestamptz,
    UNIQUE (webhook_id, event_xid, event_pos)
);
-- The next ones of each endpoint, in the order of their events.
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, due_at, event_xid, event_pos) WHERE status = 'due';
