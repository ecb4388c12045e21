-- name: write_declined
-- Once for each operation. What was to be said of an earlier one and has not left yet says no more.
WITH earlier AS (
    UPDATE customer_message SET status = 'dropped', why = 'it was declined again'
    WHERE order_id = ANY (%(ids)s::uuid[]) AND status = 'due' AND template ->> 'about' = 'payment'
)
INSERT INTO customer_message (key, order_id, template, due_at)
SELECT 'declined/' || t.order_id || '/' || t.number, t.order_id, %(template)s::jsonb, %(now)s
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[]) AS t (order_id, number)
JOIN orders o USING (order_id)
JOIN customer c USING (customer_id)
WHERE c.email IS NOT NULL AND c.erased_at IS NULL
ORDER BY t.order_id
ON CONFLICT (key) WHERE status <> 'dropped' DO NOTHING;
