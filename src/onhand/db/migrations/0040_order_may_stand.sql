-- An order of a channel is being placed, or was: ours may stand before that is written down here (order_id). Whoever hears
-- meanwhile that it was cancelled finds none of ours to cancel, and whoever places may die.
ALTER TABLE channel_order ADD COLUMN may_stand boolean NOT NULL DEFAULT false;
