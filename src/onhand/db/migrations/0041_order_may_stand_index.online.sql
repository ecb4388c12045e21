-- Every look asks for those of which it is not known whether ours stands. One that a run before this left half built is
-- built anew.
DROP INDEX CONCURRENTLY IF EXISTS channel_order_may_stand;
CREATE INDEX CONCURRENTLY channel_order_may_stand ON channel_order (channel_id, external_id) WHERE may_stand AND order_id IS NULL;
