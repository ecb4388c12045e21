-- name: find_plan
SELECT p.at, p.network_id, p.policy, p.decision, p.inputs, o.request, c.channel_id, c.code
FROM plan p JOIN orders o USING (order_id) JOIN channel c USING (channel_id)
WHERE p.order_id = %(order_id)s AND p.plan_no = %(plan_no)s;

-- name: skus
SELECT item_id, sku FROM item WHERE item_id = ANY (%(items)s::int[]);

-- name: inputs_of_orders
SELECT order_id::text, plan_no, inputs FROM plan WHERE order_id = ANY (%(ids)s::uuid[]) ORDER BY order_id, plan_no;

-- name: replace_inputs
UPDATE plan p SET inputs = t.inputs
FROM unnest(%(ids)s::uuid[], %(plan_nos)s::int[], %(inputs)s::bytea[]) AS t (order_id, plan_no, inputs)
WHERE p.order_id = t.order_id AND p.plan_no = t.plan_no;
