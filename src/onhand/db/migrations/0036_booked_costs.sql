-- What payments and steps of playbooks cost, in the ledger of costs: booked in the transaction of what costs it.

-- fee: of the provider, so far; charged_back: what the customer's bank took back, while it is disputed and when that is
-- lost. Both as the provider tells them.
ALTER TABLE payment_authorisation
    ADD COLUMN fee bigint NOT NULL DEFAULT 0,
    ADD COLUMN charged_back bigint NOT NULL DEFAULT 0 CHECK (charged_back >= 0);
-- lost: of goods that left and that nobody is asked to pay for any more.
ALTER TABLE payment ADD COLUMN lost bigint NOT NULL DEFAULT 0 CHECK (lost >= 0);

-- Those that were given up before this was kept are looked at again.
UPDATE payment SET look_at = now() WHERE status = 'declined' AND look_at IS NULL;

INSERT INTO cost_entry (order_id, source, derived, kind, term, cause, turn, minor, currency, channel_id, at)
SELECT p.order_id, 'payment', false, 'actual', 'goodwill', 'given_back', 1, p.elsewhere, p.currency, o.channel_id,
       p.updated_at
FROM payment p JOIN orders o USING (order_id) WHERE p.elsewhere > 0;

INSERT INTO cost_entry (source, derived, kind, term, cause, turn, minor, currency, at)
SELECT 'run ' || s.run_id || ' ' || s.step_no || '.' || s.part_no, false, 'actual',
       CASE s.kind WHEN 'transfer' THEN 'transfer' ELSE 'expedite' END, i.kind, 1, s.cost_minor, i.currency, s.at
FROM run_step s JOIN run r USING (run_id) JOIN incident i ON i.incident_id = r.subject
WHERE s.kind IN ('transfer', 'expedite_inbound') AND s.cost_minor <> 0 AND (s.undone_at IS NULL OR s.undone ? 'left');

-- Which order had its units exchanged by which step.
CREATE INDEX run_step_substituted ON run_step USING gin (undo jsonb_path_ops) WHERE kind = 'substitute';

-- What payments cost is what they say themselves.
CREATE VIEW invariant_costs_of_payments_are_those_recorded AS
WITH recorded AS (
    SELECT p.order_id, p.currency, greatest(p.elsewhere, 0) AS goodwill, p.lost AS bad_debt,
           coalesce(sum(a.charged_back), 0)::bigint AS chargeback, coalesce(sum(a.fee), 0)::bigint AS payment_fee
    FROM payment p LEFT JOIN payment_authorisation a USING (order_id) GROUP BY p.order_id
), booked AS (
    SELECT order_id, currency,
           coalesce(sum(minor) FILTER (WHERE term = 'goodwill'), 0)::bigint AS goodwill,
           coalesce(sum(minor) FILTER (WHERE term = 'bad_debt'), 0)::bigint AS bad_debt,
           coalesce(sum(minor) FILTER (WHERE term = 'chargeback'), 0)::bigint AS chargeback,
           coalesce(sum(minor) FILTER (WHERE term = 'payment_fee'), 0)::bigint AS payment_fee
    FROM cost_entry WHERE source = 'payment' AND NOT derived GROUP BY order_id, currency
)
SELECT order_id, currency, r.goodwill, b.goodwill AS booked_goodwill, r.bad_debt, b.bad_debt AS booked_bad_debt,
       r.chargeback, b.chargeback AS booked_chargeback, r.payment_fee, b.payment_fee AS booked_payment_fee
FROM recorded r FULL JOIN booked b USING (order_id, currency)
WHERE (coalesce(r.goodwill, 0), coalesce(r.bad_debt, 0), coalesce(r.chargeback, 0), coalesce(r.payment_fee, 0))
   <> (coalesce(b.goodwill, 0), coalesce(b.bad_debt, 0), coalesce(b.chargeback, 0), coalesce(b.payment_fee, 0));

-- What steps that spend money cost is what their rows say; what was put back costs nothing, unless it was too late.
CREATE VIEW invariant_costs_of_steps_are_those_recorded AS
WITH recorded AS (
    SELECT 'run ' || run_id || ' ' || step_no || '.' || part_no AS source,
           CASE WHEN undone_at IS NULL OR undone ? 'left' THEN cost_minor ELSE 0 END AS minor
    FROM run_step WHERE kind IN ('transfer', 'expedite_inbound')
), booked AS (
    SELECT source, sum(minor)::bigint AS minor FROM cost_entry
    WHERE NOT derived AND order_id IS NULL AND source ~ '^run [0-9a-f-]{36} ' GROUP BY source
)
SELECT source, r.minor, b.minor AS booked
FROM recorded r FULL JOIN booked b USING (source)
WHERE coalesce(r.minor, 0) <> coalesce(b.minor, 0);

-- A message costs what its playbook says once it has been sent, and nothing before.
CREATE VIEW invariant_costs_of_messages_are_those_of_sent_ones AS
WITH recorded AS (
    SELECT order_id, 'message ' || message_id AS source, (template ->> 'cost_minor')::bigint AS minor
    FROM customer_message WHERE status = 'sent' AND (template ->> 'cost_minor')::bigint <> 0
), booked AS (
    SELECT order_id, source, sum(minor)::bigint AS minor FROM cost_entry
    WHERE NOT derived AND source LIKE 'message %' GROUP BY order_id, source
)
SELECT order_id, source, r.minor, b.minor AS booked
FROM recorded r FULL JOIN booked b USING (order_id, source)
WHERE coalesce(r.minor, 0) <> coalesce(b.minor, 0);
