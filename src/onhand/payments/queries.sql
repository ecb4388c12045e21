-- name: is_needed
-- Where nobody is connected nobody is paid: orders are not looked through for it.
SELECT EXISTS (SELECT FROM channel WHERE connector <> %(api)s);

-- name: skus
SELECT item_id, sku FROM item WHERE item_id = ANY (%(items)s::int[]);

-- name: with_payment
SELECT o.order_id::text FROM orders o
WHERE o.order_id = ANY (%(ids)s::uuid[])
  AND (o.request LIKE '%%"payment":{%%' OR EXISTS (SELECT FROM payment p WHERE p.order_id = o.order_id));

-- name: all_with_payment
-- Asked once, when orders are followed for the first time.
SELECT order_id::text FROM orders WHERE request LIKE '%%"payment":{%%';

-- name: mark
-- A payment for each order that has none, to be looked at; those that are there are looked at again. A channel that
-- nobody talks to takes no payments: then there is no token to pay by.
WITH asked AS (
    SELECT o.order_id, o.currency, o.request::jsonb -> 'payment' AS p FROM orders o
    WHERE o.order_id = ANY (%(ids)s::uuid[])
)
INSERT INTO payment AS known (order_id, channel_id, currency, token, customer, terms, trouble, look_at, created_at, updated_at)
SELECT a.order_id, c.channel_id, a.currency,
       CASE WHEN c.connector = %(api)s THEN '' ELSE coalesce(a.p ->> 'token', '') END,
       coalesce(a.p ->> 'customer', ''),
       jsonb_strip_nulls(jsonb_build_object('capture', c.settings -> 'capture', 'captures', c.settings -> 'captures',
           'tax', c.settings -> 'tax', 'retry_hours', c.settings -> 'retry_hours')),
       CASE WHEN c.connector = %(api)s THEN 'channel ' || c.code || ' takes no payments' END,
       %(now)s, %(now)s, %(now)s
FROM asked a JOIN channel c ON c.code = a.p ->> 'provider'
ORDER BY a.order_id
ON CONFLICT (order_id) DO UPDATE SET look_at = %(now)s;

-- name: forget_names
-- What the provider calls people who were erased, of payments of which nothing is to be taken any more: what is given
-- back goes by the authorisation.
WITH over AS (
    SELECT p.order_id
    FROM customer c JOIN orders o USING (customer_id) JOIN payment p USING (order_id)
    WHERE c.erased_at IS NOT NULL AND p.status IN ('captured', 'partly_refunded', 'refunded', 'voided', 'failed')
      AND (p.token <> '' OR p.customer <> '')
      AND NOT EXISTS (SELECT FROM payment_operation q WHERE q.order_id = p.order_id AND q.state IN ('due', 'sent', 'unknown'))
), told AS (
    UPDATE orders o SET request = (o.request::jsonb #- '{payment,token}' #- '{payment,customer}')::text
    FROM over WHERE o.order_id = over.order_id
)
UPDATE payment p SET token = '', customer = '' FROM over WHERE p.order_id = over.order_id;

-- name: add_given
-- Authorisations that the shop had made itself: to be read before anything else.
INSERT INTO payment_authorisation (order_id, number, provider_id, amount, is_stale, granted_at)
SELECT order_id, 1, theirs, 0, true, %(now)s FROM (
    SELECT DISTINCT ON (p.channel_id, g.theirs) p.order_id, p.channel_id, g.theirs
    FROM orders o JOIN payment p USING (order_id) JOIN channel c ON c.channel_id = p.channel_id
    CROSS JOIN LATERAL (SELECT o.request::jsonb #>> '{payment,authorisation}' AS theirs) g
    WHERE o.order_id = ANY (%(ids)s::uuid[]) AND g.theirs IS NOT NULL AND c.connector <> %(api)s
    ORDER BY p.channel_id, g.theirs, p.order_id
) given
WHERE NOT EXISTS (
    SELECT FROM payment_authorisation a JOIN payment q USING (order_id)
    WHERE a.provider_id = given.theirs AND q.channel_id = given.channel_id AND a.order_id <> given.order_id)
ON CONFLICT DO NOTHING;

-- name: tell_used
-- What a provider holds pays for one order. Whoever names it for a second one has a person look at that.
UPDATE payment p SET trouble = 'authorisation ' || (o.request::jsonb #>> '{payment,authorisation}') || ' pays for another order'
FROM orders o
WHERE o.order_id = p.order_id AND o.order_id = ANY (%(ids)s::uuid[])
  AND o.request::jsonb #>> '{payment,authorisation}' IS NOT NULL
  AND EXISTS (
      SELECT FROM payment_authorisation a JOIN payment q USING (order_id)
      WHERE a.provider_id = o.request::jsonb #>> '{payment,authorisation}' AND q.channel_id = p.channel_id
        AND a.order_id <> p.order_id)
  AND NOT EXISTS (SELECT FROM payment_authorisation a WHERE a.order_id = p.order_id);

-- name: claim_looks
-- Payments to be looked at, that nobody else looks at and nothing is under way for; longest due first.
SELECT p.order_id::text FROM payment p
WHERE p.look_at <= %(now)s
  AND NOT EXISTS (SELECT FROM payment_operation o WHERE o.order_id = p.order_id AND o.state IN ('due', 'sent', 'unknown'))
ORDER BY p.look_at, p.order_id
LIMIT %(limit)s
FOR UPDATE OF p SKIP LOCKED;

-- name: lock_payments
SELECT order_id FROM payment WHERE order_id = ANY (%(ids)s::uuid[]) ORDER BY order_id FOR UPDATE;

-- name: payments
SELECT order_id::text, channel_id, currency, token, customer, terms, status, invoiced, credited, elsewhere, to_give, lost, tries,
       ask_at, give_at, order_at, has_given_up, is_disputed, trouble, shipments, returns, operations
FROM payment WHERE order_id = ANY (%(ids)s::uuid[]) ORDER BY order_id;

-- name: authorisations
SELECT order_id::text, number, provider_id, amount, captured, refunded, released, is_open, is_stale, granted_at, expires_at,
       fee, charged_back
FROM payment_authorisation WHERE order_id = ANY (%(ids)s::uuid[]) ORDER BY order_id, number;

-- name: sold
-- All that a payment needs to know of its order, as of one moment: one statement.
SELECT o.order_id::text, o.external_id, o.currency, o.lines, o.queue, o.request,
       (SELECT min(f.ship_by) FROM fulfilment f WHERE f.order_id = o.order_id
          AND f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped')),
       (SELECT jsonb_agg(jsonb_build_array(s.shipment_no, s.shipped_at, l.line_no, l.item_id, l.quantity))
        FROM shipment s JOIN shipment_line l USING (order_id, shipment_no) WHERE s.order_id = o.order_id),
       (SELECT jsonb_agg(jsonb_build_array(r.return_no, r.returned_at, l.line_no, l.item_id, l.quantity))
        FROM order_return r JOIN order_return_line l USING (order_id, return_no) WHERE r.order_id = o.order_id)
FROM orders o WHERE o.order_id = ANY (%(ids)s::uuid[]) ORDER BY o.order_id;

-- name: billed
SELECT d.order_id::text, d.kind, (line ->> 'line_no')::int, sum((line ->> 'quantity')::int)::int, sum((line ->> 'net_minor')::bigint)::bigint,
       sum((line ->> 'tax_minor')::bigint)::bigint
FROM billing_document d CROSS JOIN LATERAL jsonb_array_elements(d.lines) AS line
WHERE d.order_id = ANY (%(ids)s::uuid[]) GROUP BY 1, 2, 3;

-- name: next_serials
-- The first of `count` numbers of a series; its row stays locked until the transaction ends, so that none is lost.
INSERT INTO billing_series AS s (series, last) VALUES (%(series)s, %(count)s)
ON CONFLICT (series) DO UPDATE SET last = s.last + %(count)s
RETURNING last - %(count)s + 1;

-- name: add_documents
INSERT INTO billing_document (series, serial, number, kind, order_id, part, currency, net, tax, gross, lines, moved_at,
    issued_at)
SELECT series, serial, number, kind, order_id, part, currency, net, tax, gross, lines::jsonb, moved_at, %(now)s
FROM unnest(%(series)s::text[], %(serials)s::bigint[], %(numbers)s::text[], %(kinds)s::text[], %(orders)s::uuid[],
        %(parts)s::smallint[], %(currencies)s::text[], %(nets)s::bigint[], %(taxes)s::bigint[], %(grosses)s::bigint[],
        %(lines)s::text[], %(moments)s::timestamptz[])
    AS t (series, serial, number, kind, order_id, part, currency, net, tax, gross, lines, moved_at);

-- name: add_entries
INSERT INTO payment_entry (order_id, operation, document, debit, credit, amount, at)
SELECT order_id, operation, document, debit, credit, amount, %(at)s
FROM unnest(%(orders)s::uuid[], %(operations)s::int[], %(documents)s::text[], %(debits)s::text[], %(credits)s::text[],
        %(amounts)s::bigint[]) WITH ORDINALITY AS t (order_id, operation, document, debit, credit, amount, n)
ORDER BY n;

-- name: save_payments
UPDATE payment p SET token = t.token, customer = t.customer, status = t.status, invoiced = t.invoiced,
    credited = t.credited, authorised = t.authorised, captured = t.captured, refunded = t.refunded, voided = t.voided,
    elsewhere = t.elsewhere, to_give = t.to_give, lost = t.lost, tries = t.tries, ask_at = t.ask_at,
    give_at = t.give_at, order_at = t.order_at, has_given_up = t.has_given_up, is_disputed = t.is_disputed,
    trouble = t.trouble, shipments = t.shipments, returns = t.returns, operations = t.operations, look_at = t.look_at,
    updated_at = %(now)s
FROM unnest(%(orders)s::uuid[], %(token)s::text[], %(customer)s::text[], %(status)s::text[], %(invoiced)s::bigint[],
        %(credited)s::bigint[], %(authorised)s::bigint[], %(captured)s::bigint[], %(refunded)s::bigint[],
        %(voided)s::bigint[], %(elsewhere)s::bigint[], %(to_give)s::bigint[], %(lost)s::bigint[], %(tries)s::int[],
        %(ask_at)s::timestamptz[], %(give_at)s::timestamptz[], %(order_at)s::timestamptz[], %(has_given_up)s::bool[],
        %(is_disputed)s::bool[], %(trouble)s::text[], %(shipments)s::smallint[], %(returns)s::smallint[],
        %(operations)s::int[], %(looks)s::timestamptz[])
    AS t (order_id, token, customer, status, invoiced, credited, authorised, captured, refunded, voided, elsewhere,
        to_give, lost, tries, ask_at, give_at, order_at, has_given_up, is_disputed, trouble, shipments, returns,
        operations, look_at)
WHERE p.order_id = t.order_id;

-- name: save_authorisations
INSERT INTO payment_authorisation (order_id, number, provider_id, amount, captured, refunded, released, is_open, is_stale,
    granted_at, expires_at, fee, charged_back)
SELECT * FROM unnest(%(orders)s::uuid[], %(number)s::smallint[], %(provider_id)s::text[], %(amount)s::bigint[],
    %(captured)s::bigint[], %(refunded)s::bigint[], %(released)s::bigint[], %(is_open)s::bool[], %(is_stale)s::bool[],
    %(granted_at)s::timestamptz[], %(expires_at)s::timestamptz[], %(fee)s::bigint[], %(charged_back)s::bigint[])
ON CONFLICT (order_id, number) DO UPDATE SET amount = excluded.amount, captured = excluded.captured,
    refunded = excluded.refunded, released = excluded.released, is_open = excluded.is_open, is_stale = excluded.is_stale,
    expires_at = excluded.expires_at, fee = excluded.fee, charged_back = excluded.charged_back;

-- name: add_operations
INSERT INTO payment_operation (order_id, number, channel_id, kind, amount, authorisation, is_final, key, next_try_at,
    created_at)
SELECT *, %(now)s, %(now)s
FROM unnest(%(orders)s::uuid[], %(numbers)s::int[], %(channels)s::int[], %(kinds)s::text[], %(amounts)s::bigint[],
    %(authorisations)s::smallint[], %(finals)s::bool[], %(keys)s::text[]);

-- name: claim_operations
-- What is due at one account (NULL: of orders themselves), that nobody works on; oldest first. Who dies at it leaves it
-- to others when the lease is over: that it was sent before, and nobody wrote down what came of it, stays known.
WITH due AS (
    SELECT order_id, number, state FROM payment_operation
    WHERE state IN ('due', 'sent', 'unknown') AND next_try_at <= %(now)s
      AND (CASE WHEN %(channel_id)s::int IS NULL THEN kind IN ('hold', 'release', 'cancel')
                ELSE channel_id = %(channel_id)s AND kind NOT IN ('hold', 'release', 'cancel') END)
    ORDER BY next_try_at, order_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE payment_operation o
SET state = CASE due.state WHEN 'due' THEN 'sent' ELSE 'unknown' END, attempts = o.attempts + 1, first_sent_at = coalesce(o.first_sent_at, %(now)s),
    next_try_at = %(now)s + make_interval(secs => %(lease_s)s)
FROM due
WHERE o.order_id = due.order_id AND o.number = due.number
RETURNING o.order_id::text, o.number, o.kind, o.amount, o.authorisation, o.is_final, o.key,
    o.state, o.attempts, o.first_sent_at;

-- name: open_operations
SELECT order_id::text, number, kind, amount, authorisation, is_final, key, state, attempts, first_sent_at
FROM payment_operation WHERE order_id = ANY (%(ids)s::uuid[]) AND state IN ('due', 'sent', 'unknown');

-- name: external_ids
SELECT order_id::text, external_id FROM orders WHERE order_id = ANY (%(ids)s::uuid[]);

-- name: end_operations
UPDATE payment_operation o
SET state = t.state, next_try_at = coalesce(t.retry_at, o.next_try_at), code = t.code, error = t.error,
    done_at = CASE WHEN t.state IN ('done', 'failed') THEN %(now)s::timestamptz END
FROM unnest(%(orders)s::uuid[], %(numbers)s::int[], %(states)s::text[], %(retries)s::timestamptz[], %(codes)s::text[],
        %(errors)s::text[]) AS t (order_id, number, state, retry_at, code, error)
WHERE o.order_id = t.order_id AND o.number = t.number;

-- name: hint
-- The provider has told that something happened: it is read when nothing is under way.
WITH known AS MATERIALIZED (
    SELECT p.order_id FROM payment p
    WHERE p.channel_id = %(channel_id)s
      AND p.order_id IN (SELECT order_id FROM payment_authorisation WHERE provider_id = ANY (%(ids)s::text[]))
    ORDER BY p.order_id FOR UPDATE
), stale AS (
    UPDATE payment_authorisation a SET is_stale = true FROM known
    WHERE a.order_id = known.order_id AND a.provider_id = ANY (%(ids)s::text[])
)
UPDATE payment p SET look_at = %(now)s FROM known WHERE p.order_id = known.order_id;

-- name: hurry
-- A person wants it tried now: what is open is asked for again, by its key.
UPDATE payment_operation SET next_try_at = %(now)s
WHERE order_id = %(id)s AND state IN ('due', 'unknown');

-- name: list_payments
SELECT p.order_id::text, o.external_id, c.code AS provider, p.currency, p.status, p.authorised, p.captured, p.refunded,
       p.voided, p.invoiced, p.credited, p.lost, a.charged_back, a.fee, p.trouble, p.is_disputed, p.tries, p.look_at, p.created_at, p.updated_at
FROM payment p JOIN orders o USING (order_id) JOIN channel c ON c.channel_id = p.channel_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(charged_back), 0)::bigint AS charged_back, coalesce(sum(fee), 0)::bigint AS fee
    FROM payment_authorisation a WHERE a.order_id = p.order_id
) a
WHERE (%(status)s::text IS NULL OR p.status = %(status)s) AND (%(after)s::uuid IS NULL OR p.order_id < %(after)s)
  AND (%(id)s::uuid IS NULL OR p.order_id = %(id)s)
ORDER BY p.order_id DESC LIMIT %(limit)s;

-- name: operations_of
SELECT number, kind, amount, state, attempts, code, error, created_at, first_sent_at, done_at,
       CASE WHEN state IN ('due', 'sent', 'unknown') THEN next_try_at END AS next_try_at
FROM payment_operation WHERE order_id = %(id)s ORDER BY number;

-- name: documents_of
SELECT number, kind, part, net, tax, gross, lines, moved_at, issued_at
FROM billing_document WHERE order_id = %(id)s ORDER BY issued_at, kind DESC, part;

-- name: entries_until
-- Of each payment with entries or goods on a day, or with anything open at its end: what entries come to before it, on
-- it and until now; what the payment itself counts; and whether there are later ones. What was open then and is not any
-- more has entries since.
WITH moved AS (
    SELECT order_id FROM shipment WHERE shipped_at >= %(since)s AND shipped_at < %(until)s
    UNION
    SELECT order_id FROM order_return WHERE returned_at >= %(since)s AND returned_at < %(until)s
), touched AS (
    SELECT order_id FROM payment_entry WHERE at >= %(since)s
    UNION
    SELECT order_id FROM payment WHERE invoiced - credited - captured + refunded <> 0
    UNION
    SELECT * FROM moved
), e AS (
    SELECT t.order_id, e.amount, e.at,
           CASE WHEN e.debit = 'owed' AND e.credit = 'sales' THEN 1 WHEN e.debit = 'sales' THEN 2
                WHEN e.debit = 'cash' THEN 3 WHEN e.credit = 'cash' THEN 4 END AS kind
    FROM touched t JOIN payment_entry e USING (order_id)
)
SELECT p.order_id::text,
       coalesce(sum(amount) FILTER (WHERE at < %(since)s AND kind = 1), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at < %(since)s AND kind = 2), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at < %(since)s AND kind = 3), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at < %(since)s AND kind = 4), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at >= %(since)s AND at < %(until)s AND kind = 1), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at >= %(since)s AND at < %(until)s AND kind = 2), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at >= %(since)s AND at < %(until)s AND kind = 3), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE at >= %(since)s AND at < %(until)s AND kind = 4), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE kind = 1), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE kind = 2), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE kind = 3), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE kind = 4), 0)::bigint,
       p.invoiced, p.credited, p.captured, p.refunded,
       coalesce(bool_or(at >= %(until)s), false)
FROM e JOIN payment p USING (order_id)
GROUP BY p.order_id
HAVING bool_or(at >= %(since)s AND at < %(until)s) OR p.order_id IN (SELECT order_id FROM moved)
    OR coalesce(sum(CASE kind WHEN 1 THEN amount WHEN 2 THEN -amount WHEN 3 THEN -amount WHEN 4 THEN amount END)
       FILTER (WHERE at < %(until)s), 0) <> 0
ORDER BY p.order_id;

-- name: documented_until
SELECT order_id::text, coalesce(max(part) FILTER (WHERE kind = 'invoice'), 0),
       coalesce(max(part) FILTER (WHERE kind = 'credit_note'), 0),
       coalesce(sum(gross) FILTER (WHERE kind = 'invoice'), 0)::bigint,
       coalesce(sum(gross) FILTER (WHERE kind = 'credit_note'), 0)::bigint
FROM billing_document WHERE order_id = ANY (%(ids)s::uuid[]) AND issued_at < %(until)s
GROUP BY order_id;

-- name: under_way
-- Payments of which something is due, is to be looked at, or is tried again after a while.
SELECT p.order_id::text FROM payment p
WHERE p.order_id = ANY (%(ids)s::uuid[])
  AND (p.look_at <= %(now)s OR (p.look_at IS NOT NULL AND (p.ask_at > %(now)s OR p.give_at > %(now)s))
       OR EXISTS (SELECT FROM payment_authorisation a WHERE a.order_id = p.order_id AND a.is_stale)
       OR EXISTS (SELECT FROM payment_operation o WHERE o.order_id = p.order_id AND o.state IN ('due', 'sent', 'unknown')));

-- name: moved_on
-- Orders of which goods moved on a day, and whether their payment is ours.
SELECT m.order_id::text, p.order_id IS NOT NULL
FROM (
    SELECT order_id FROM shipment WHERE shipped_at >= %(since)s AND shipped_at < %(until)s
    UNION
    SELECT order_id FROM order_return WHERE returned_at >= %(since)s AND returned_at < %(until)s
) m LEFT JOIN payment p USING (order_id)
ORDER BY 1;

-- name: orders_on
SELECT o.currency, count(*)::int, count(p.order_id)::int
FROM orders o LEFT JOIN payment p USING (order_id)
WHERE o.placed_at >= %(since)s AND o.placed_at < %(until)s
GROUP BY 1 ORDER BY 1;

-- name: lock_days
-- Who does not get it leaves the day to who has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('onhand payment days', 0));

-- name: last_day
SELECT max(day) FROM payment_day;

-- name: wrong_day
SELECT day FROM payment_day WHERE wrong <> '[]' AND held_at < %(before)s ORDER BY held_at LIMIT 1;

-- name: keep_day
INSERT INTO payment_day (day, held_at, wrong) VALUES (%(day)s, %(now)s, %(wrong)s::jsonb)
ON CONFLICT (day) DO UPDATE SET held_at = excluded.held_at, wrong = excluded.wrong;

-- name: wrong_days
SELECT day, (day + 1)::timestamp AT TIME ZONE 'UTC', wrong FROM payment_day
WHERE wrong <> '[]' AND held_at <= %(now)s ORDER BY day;
