-- What orders' payments demand, how far they are, and the documents they follow from. Amounts are minor units of the
-- order's currency. Never data of a card: a token and a customer are names that the provider gave.
CREATE TABLE payment (
    order_id    uuid PRIMARY KEY,
    channel_id  int NOT NULL REFERENCES channel (channel_id),  -- the account at the provider
    currency    text NOT NULL,
    token       text NOT NULL DEFAULT '',
    customer    text NOT NULL DEFAULT '',
    terms       jsonb NOT NULL,               -- how the account was used when it began, see payments/model.py
    status      text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'authorised', 'partly_captured', 'captured',
                'partly_refunded', 'refunded', 'voided', 'declined', 'failed')),
    invoiced    bigint NOT NULL DEFAULT 0 CHECK (invoiced >= 0),
    credited    bigint NOT NULL DEFAULT 0 CHECK (credited BETWEEN 0 AND invoiced),
    authorised  bigint NOT NULL DEFAULT 0,
    captured    bigint NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND authorised),
    refunded    bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    voided      bigint NOT NULL DEFAULT 0 CHECK (voided BETWEEN 0 AND authorised - captured),
    elsewhere   bigint NOT NULL DEFAULT 0,    -- what others gave back at the provider, or took: negative
    to_give     bigint NOT NULL DEFAULT 0 CHECK (to_give >= 0),  -- credited, and not given back yet
    tries       int NOT NULL DEFAULT 0,       -- declined since the last authorisation that was not
    ask_at      timestamptz,                  -- nothing is taken, given back, or done to the order before
    give_at     timestamptz,
    order_at    timestamptz,
    has_given_up boolean NOT NULL DEFAULT false,
    is_disputed boolean NOT NULL DEFAULT false,
    trouble     text,                         -- what a person should look at
    shipments   smallint NOT NULL DEFAULT 0,  -- the last one that was invoiced
    returns     smallint NOT NULL DEFAULT 0,
    operations  int NOT NULL DEFAULT 0,
    look_at     timestamptz,                  -- when something may be due although nothing happens
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX payment_look_at ON payment (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX payment_owed ON payment (order_id) WHERE invoiced - credited - captured + refunded <> 0;
CREATE INDEX payment_status ON payment (status, order_id);

CREATE TABLE payment_authorisation (
    order_id    uuid NOT NULL REFERENCES payment (order_id),
    number      smallint NOT NULL,
    provider_id text NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    captured    bigint NOT NULL DEFAULT 0 CHECK (captured >= 0),
    refunded    bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    released    bigint NOT NULL DEFAULT 0 CHECK (released >= 0),
    is_open     boolean NOT NULL DEFAULT true,
    is_stale    boolean NOT NULL DEFAULT false,   -- the provider knows something that we do not
    granted_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    PRIMARY KEY (order_id, number),
    CHECK (captured + released <= amount)
);
CREATE INDEX payment_authorisation_provider ON payment_authorisation (provider_id);

-- Written before it is asked for, in the transaction that finds it due; one at a time for each payment. Who asks again
-- says the same key.
CREATE TABLE payment_operation (
    order_id      uuid NOT NULL REFERENCES payment (order_id),
    number        int NOT NULL,
    channel_id    int NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('read', 'authorise', 'capture', 'void', 'refund', 'hold', 'release', 'cancel')),
    amount        bigint NOT NULL CHECK (amount >= 0),
    authorisation smallint NOT NULL,          -- 0: about none, or a new one
    is_final      boolean NOT NULL,
    key           text NOT NULL UNIQUE,
    state         text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'unknown', 'done', 'failed')),
    attempts      int NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL,       -- while somebody works on it: when another may
    first_sent_at timestamptz,
    created_at    timestamptz NOT NULL,
    done_at       timestamptz,
    code          text,
    error         text,
    PRIMARY KEY (order_id, number),
    CHECK ((state IN ('done', 'failed')) = (done_at IS NOT NULL))
);
CREATE UNIQUE INDEX payment_operation_open ON payment_operation (order_id) WHERE state IN ('due', 'sent', 'unknown');
CREATE INDEX payment_operation_due ON payment_operation (channel_id, next_try_at) WHERE state IN ('due', 'sent', 'unknown');

-- Invoices and credit notes: never changed. Numbers of a series have no gap: its row is locked until the transaction ends.
CREATE TABLE billing_series (
    series text PRIMARY KEY,
    last   bigint NOT NULL
);
CREATE TABLE billing_document (
    series     text NOT NULL REFERENCES billing_series (series),
    serial     bigint NOT NULL CHECK (serial > 0),
    number     text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    order_id   uuid NOT NULL REFERENCES payment (order_id),
    part       smallint NOT NULL,             -- of the shipment that is invoiced, of the return that is credited
    currency   text NOT NULL,
    net        bigint NOT NULL,
    tax        bigint NOT NULL,
    gross      bigint NOT NULL CHECK (gross = net + tax AND gross >= 0),
    lines      jsonb NOT NULL,
    moved_at   timestamptz NOT NULL,          -- when the goods did
    issued_at  timestamptz NOT NULL,
    PRIMARY KEY (series, serial),
    UNIQUE (order_id, kind, part)
);
CREATE INDEX billing_document_issued ON billing_document (issued_at);

CREATE FUNCTION refuse_change_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed: write another one that corrects it', TG_TABLE_NAME;
END $$;
CREATE TRIGGER billing_document_stays BEFORE UPDATE OR DELETE ON billing_document
    FOR EACH ROW EXECUTE FUNCTION refuse_change_v1();

-- Double entry: `amount` moves from `credit` to `debit`. limit: what the customer's bank still allows; held: authorised;
-- cash: at the provider; owed: by the customer; sales: invoiced less credited.
CREATE TABLE payment_entry (
    entry_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id  uuid NOT NULL REFERENCES payment (order_id),
    operation int,                            -- or of a document
    document  text REFERENCES billing_document (number),
    debit     text NOT NULL CHECK (debit IN ('limit', 'held', 'cash', 'owed', 'sales')),
    credit    text NOT NULL CHECK (credit IN ('limit', 'held', 'cash', 'owed', 'sales')),
    amount    bigint NOT NULL CHECK (amount > 0),
    at        timestamptz NOT NULL,
    CHECK (debit <> credit),
    CHECK ((operation IS NULL) <> (document IS NULL))
);
CREATE INDEX payment_entry_order ON payment_entry (order_id);
CREATE INDEX payment_entry_at ON payment_entry (at);
CREATE TRIGGER payment_entry_stays BEFORE UPDATE OR DELETE ON payment_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_change_v1();

CREATE VIEW invariant_payments_are_sums_of_their_entries AS
SELECT p.order_id, p.invoiced, e.invoiced AS entries_invoiced, p.credited, e.credited AS entries_credited, p.authorised,
       e.authorised AS entries_authorised, p.captured, e.captured AS entries_captured, p.refunded,
       e.refunded AS entries_refunded, p.voided, e.voided AS entries_voided
FROM payment p
LEFT JOIN (
    SELECT order_id,
           sum(amount) FILTER (WHERE debit = 'owed' AND credit = 'sales') AS invoiced,
           sum(amount) FILTER (WHERE debit = 'sales' AND credit = 'owed') AS credited,
           sum(amount) FILTER (WHERE debit = 'held' AND credit = 'limit') AS authorised,
           sum(amount) FILTER (WHERE debit = 'cash' AND credit = 'owed') AS captured,
           sum(amount) FILTER (WHERE debit = 'owed' AND credit = 'cash') AS refunded,
           -- What was captured is held no more.
           sum(amount) FILTER (WHERE debit = 'limit' AND credit = 'held')
               - coalesce(sum(amount) FILTER (WHERE debit = 'cash' AND credit = 'owed'), 0) AS voided
    FROM payment_entry GROUP BY order_id
) e USING (order_id)
WHERE (p.invoiced, p.credited, p.authorised, p.captured, p.refunded, p.voided)
   <> (coalesce(e.invoiced, 0), coalesce(e.credited, 0), coalesce(e.authorised, 0), coalesce(e.captured, 0),
       coalesce(e.refunded, 0), coalesce(e.voided, 0));

CREATE VIEW invariant_payments_are_sums_of_their_authorisations AS
SELECT p.order_id, p.authorised, p.captured, p.refunded, p.voided
FROM payment p
LEFT JOIN (
    SELECT order_id, sum(amount) AS amount, sum(captured) AS captured, sum(refunded) AS refunded, sum(released) AS released
    FROM payment_authorisation GROUP BY order_id
) a USING (order_id)
WHERE (p.authorised, p.captured, p.refunded, p.voided)
   <> (coalesce(a.amount, 0), coalesce(a.captured, 0), coalesce(a.refunded, 0), coalesce(a.released, 0));

CREATE VIEW invariant_documents_are_numbered_without_gap AS
SELECT s.series, s.last, count(d.serial) AS documents, max(d.serial) AS greatest
FROM billing_series s LEFT JOIN billing_document d USING (series)
GROUP BY s.series, s.last
HAVING count(d.serial) <> s.last OR coalesce(max(d.serial), 0) <> s.last;

CREATE VIEW invariant_documents_are_sums_of_their_lines AS
SELECT d.number, d.net, d.tax, l.net AS lines_net, l.tax AS lines_tax
FROM billing_document d
CROSS JOIN LATERAL (
    SELECT sum((line ->> 'net_minor')::bigint) AS net, sum((line ->> 'tax_minor')::bigint) AS tax
    FROM jsonb_array_elements(d.lines) AS line
) l
WHERE (d.net, d.tax) <> (l.net, l.tax);

CREATE VIEW invariant_payments_are_sums_of_their_documents AS
SELECT p.order_id, p.invoiced, p.credited
FROM payment p
LEFT JOIN (
    SELECT order_id, sum(gross) FILTER (WHERE kind = 'invoice') AS invoiced,
           sum(gross) FILTER (WHERE kind = 'credit_note') AS credited
    FROM billing_document GROUP BY order_id
) d USING (order_id)
WHERE (p.invoiced, p.credited) <> (coalesce(d.invoiced, 0), coalesce(d.credited, 0));

-- Nothing is due of what is over: every cent is where the documents say, or somebody moved it at the provider.
CREATE VIEW invariant_settled_payments_owe_nothing AS
SELECT p.order_id, p.status, p.invoiced, p.credited, p.captured, p.refunded, p.elsewhere
FROM payment p
WHERE p.status IN ('captured', 'refunded', 'voided') AND p.terms ->> 'capture' = 'on_ship'
  AND p.invoiced - p.credited - p.captured + p.refunded <> p.elsewhere
  AND NOT EXISTS (SELECT FROM payment_operation o WHERE o.order_id = p.order_id AND o.state IN ('due', 'sent', 'unknown'));
