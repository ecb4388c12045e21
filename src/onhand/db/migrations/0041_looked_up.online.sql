-- Of channels' orders that may stand: every look asks for those of which it is not known whether ours does. Messages of a
-- run: what an incident came to in money. Indices that a run before this left half built are built anew.
DROP INDEX CONCURRENTLY IF EXISTS channel_order_may_stand;
CREATE INDEX CONCURRENTLY channel_order_may_stand ON channel_order (channel_id, external_id) WHERE may_stand AND order_id IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS customer_message_run;
CREATE INDEX CONCURRENTLY customer_message_run ON customer_message (run_id) WHERE run_id IS NOT NULL;
