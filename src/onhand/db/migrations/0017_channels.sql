-- What the processes that talk to a channel share: how often it may be asked, and how it is signed in to.

-- A token bucket (level: tokens that are left; below 0: promised to those who wait). '' is the bucket of the account.
CREATE TABLE channel_bucket (
    channel_id   int NOT NULL REFERENCES channel (channel_id),
    name         text NOT NULL,
    level        double precision NOT NULL,
    filled_at    timestamptz NOT NULL,
    paused_until timestamptz,           -- the channel wants to be left alone until then
    PRIMARY KEY (channel_id, name)
) WITH (fillfactor = 50);

-- An access token, sealed. Derived: without it a process signs in again.
CREATE TABLE channel_token (
    channel_id int PRIMARY KEY REFERENCES channel (channel_id),
    sealed     text NOT NULL,
    expires_at timestamptz
);
