-- Counting queues reads this index alone, whatever else an order holds. Orders that nothing keeps waiting are not in it.
-- One that a run before this left half built is built anew.
DROP INDEX CONCURRENTLY IF EXISTS orders_queue_due;
CREATE INDEX CONCURRENTLY orders_queue_due ON orders (queue, order_id) INCLUDE (placed_at, deliver_by) WHERE queue IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS orders_queue;
