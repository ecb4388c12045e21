-- Keys of people, who sign in again each day, and of whoever else is to lose a key by itself.
ALTER TABLE api_key ADD COLUMN expires_at timestamptz;
