-- name: find_plan
SELECT p.at, p.network_id, p.policy, p.decision, p.inputs, o.request, c.channel_id, c.code
FROM plan p JOIN orders o USING (order_id) JOIN channel c USING (channel_id)
WHERE p.order_id = %(order_id)s AND p.plan_no = %(plan_no)s;

-- name: find_latest_plan
WITH named AS (
    SELECT order_id FROM orders WHERE order_id = %(order_id)s::uuid
    UNION ALL
    SELECT order_id FROM orders JOIN channel USING (channel_id)
    WHERE code = %(channel)s AND external_id = %(external_id)s
)
SELECT order_id::text, max(plan_no) FROM named JOIN plan USING (order_id) GROUP BY order_id;

-- name: items
SELECT item_id, sku, hs_code, category FROM item WHERE item_id = ANY (%(items)s::int[]);

-- name: inputs_of_orders
SELECT order_id::text, plan_no, inputs FROM plan WHERE order_id = ANY (%(ids)s::uuid[]) ORDER BY order_id, plan_no;

-- name: replace_inputs
UPDATE later_plan p SET inputs = t.inputs
FROM unnest(%(ids)s::uuid[], %(plan_nos)s::int[], %(inputs)s::bytea[]) AS t (order_id, plan_no, inputs)
WHERE p.order_id = t.order_id AND p.plan_no = t.plan_no;

-- name: replace_first_inputs
-- Sheets are locked in the order of their ids: two erasures cannot wait for each other.
WITH locked AS MATERIALIZED (
    SELECT s.sheet_id FROM plan_sheet s
    WHERE s.at IN (SELECT created_at FROM orders WHERE order_id = ANY (%(ids)s::uuid[]))
      AND s.orders && %(ids)s::uuid[]
    ORDER BY s.sheet_id
    FOR UPDATE
)
UPDATE plan_sheet s
SET inputs = (
    SELECT array_agg(coalesce(t.inputs, s.inputs[n]) ORDER BY n)
    FROM generate_subscripts(s.orders, 1) AS n
    LEFT JOIN unnest(%(ids)s::uuid[], %(inputs)s::bytea[]) AS t (order_id, inputs) ON t.order_id = s.orders[n]
)
FROM locked WHERE s.sheet_id = locked.sheet_id;

-- name: add_outlook
INSERT INTO outlook (made_at, content) VALUES (to_timestamp(%(made_at)s), %(content)s);

-- name: forget_outlooks
DELETE FROM outlook WHERE outlook_id < (SELECT max(outlook_id) FROM outlook) - 2;

-- name: latest_outlook
SELECT content FROM outlook ORDER BY outlook_id DESC LIMIT 1;

-- name: outlook_made_at
SELECT extract(epoch FROM made_at)::float8 FROM outlook ORDER BY outlook_id DESC LIMIT 1;
