-- What the control tower asks, and promises that a person changes.

-- A person promises anew without a playbook's run, also where nothing had been promised (was: NULL).
ALTER TABLE new_promise ALTER COLUMN run_id DROP NOT NULL, ALTER COLUMN was DROP NOT NULL;
ALTER TABLE customer_message ALTER COLUMN run_id DROP NOT NULL, ALTER COLUMN step_no DROP NOT NULL;

-- Counting queues reads this index alone, whatever else an order holds. Orders that nothing keeps waiting are not in it.
CREATE INDEX orders_queue_due ON orders (queue, order_id) INCLUDE (placed_at, deliver_by) WHERE queue IS NOT NULL;
DROP INDEX orders_queue;
