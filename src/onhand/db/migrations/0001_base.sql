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
-- The orders of a batch that begin alike share a row (a row each would be a fifth of the database's work for an order).
-- It stands for one event per order, at the positions that end with its own; unfold_v1 tells them apart. Hence the room
-- between the positions of rows.
CREATE TABLE event (
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    pos     bigint GENERATED ALWAYS AS IDENTITY (START WITH 8192 INCREMENT BY 8192),
    at      timestamptz NOT NULL DEFAULT now(),
    kind    text NOT NULL,            -- order.sourced, stock.changed, ...
    subject text,                     -- public id or code of what changed; NULL of a row of orders: each is its own
    actor   int NOT NULL,             -- api_key.key_id, 0 the system
    origin  int NOT NULL,             -- the process that wrote it, so that it need not read its own writes back
    reason  text,
    data    jsonb NOT NULL,           -- of a row of orders: what they have in common
    orders  uuid[],                   -- the last first: the n-th has its event at pos + 1 - n
    PRIMARY KEY (xid, pos),
    CHECK (pos % 8192 = 0),
    CHECK (cardinality(orders) BETWEEN 1 AND 8192),
    CHECK ((subject IS NULL) = (orders IS NOT NULL))
);
-- Ids hardly compress, and trying costs more than all the rest of such a row.
ALTER TABLE event ALTER COLUMN orders SET STORAGE EXTERNAL;
CREATE INDEX event_subject ON event (subject, xid, pos);
-- From an order to the row that tells of its beginning: both carry the moment of their transaction.
CREATE INDEX event_orders ON event (at) WHERE orders IS NOT NULL;

-- The position of the row that holds the event at `place`. No row lies beyond the greatest multiple.
CREATE FUNCTION event_row_v1(place bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (least(place, 9223372036854767616) + 8191) / 8192 * 8192
$$;

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
