-- What the worker does of itself that waited for somebody.

-- Of a message that is due: when `message.due` told of it, for whoever sends it in our place. It stays due until that one
-- takes it.
ALTER TABLE customer_message ADD COLUMN told_at timestamptz;

-- Days whose goods were held against their money. wrong: statements that did not balance, each {currency, minor, orders,
-- named}; empty: it balanced.
CREATE TABLE payment_day (
    day     date PRIMARY KEY,
    held_at timestamptz NOT NULL,
    wrong   jsonb NOT NULL
);
CREATE INDEX payment_day_wrong ON payment_day (held_at) WHERE wrong <> '[]';
