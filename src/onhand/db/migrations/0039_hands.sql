-- What the worker does of itself that waited for somebody.

-- Of a message that is due: when `message.due` told of it, for whoever sends it in our place. It stays due until that one
-- takes it.
ALTER TABLE customer_message ADD COLUMN told_at timestamptz;
