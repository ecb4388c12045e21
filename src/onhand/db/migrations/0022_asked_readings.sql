-- Which asking a comparison of a channel's orders answers: one that had begun before does not count.

ALTER TABLE channel_reading ADD COLUMN asked bigint NOT NULL DEFAULT 0;         -- how often somebody asked for it
ALTER TABLE channel_orders_report ADD COLUMN asked bigint NOT NULL DEFAULT 0;   -- up to which asking it began after
