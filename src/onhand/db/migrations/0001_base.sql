-- Who may call, what happened, what was answered.

CREATE TABLE api_key (
    key_id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- "actor" everywhere else; 0 is the system itself
    name         text NOT NULL,
    prefix       text NOT NULL,                                  -- first characters, shown in lists
    hash         bytea NOT NULL UNIQUE,                          -- SHA-256 of the whole key; the key itself is never stored
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);

-- Outbox and audit log in one: every state change writes one row in its own transaction.
-- Read by (xid, pos) below the snapshot horizon: a cursor on pos alone loses late committers.
CREATE TABLE event (
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    pos     bigint GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT now(),
    kind    text NOT NULL,            -- order.sourced, stock.changed, ...
    subject text NOT NULL,            -- public id or code of what changed
    actor   int NOT NULL,             -- api_key.key_id, 0 the system
    origin  int NOT NULL,             -- the process that wrote it, so that it need not read its own writes back
    reason  text,
    data    jsonb NOT NULL,
    PRIMARY KEY (xid, pos)
);
CREATE INDEX event_subject ON event (subject, xid, pos);

CREATE TABLE consumer_cursor (
    name       text PRIMARY KEY,
    xid        xid8 NOT NULL,
    pos        bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The answer to a keyed request, written in the transaction of its effect.
CREATE TABLE idempotency (
    actor      int NOT NULL,
    route      text NOT NULL,
    key        text NOT NULL,
    body_hash  bytea NOT NULL,
    status     smallint NOT NULL,
    answer     text NOT NULL,          -- JSON without personal data
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, actor, route)
);
CREATE INDEX idempotency_created ON idempotency USING brin (created_at);

-- Facts about this installation that must survive a restart (for example its public epoch).
CREATE TABLE setting (
    name  text PRIMARY KEY,
    value jsonb NOT NULL
);
