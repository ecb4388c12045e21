-- What is remembered of channels whose other side has no memory that could be asked: folders of files, EDI.

-- name and text are the connector's own: files that were taken, messages that were sent and not yet acknowledged.
CREATE TABLE channel_note (
    channel_id int NOT NULL REFERENCES channel (channel_id),
    name       text COLLATE "C" NOT NULL CHECK (length(name) <= 500),
    text       text NOT NULL,
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (channel_id, name)
);

-- Numbers given out one after the other, such as control numbers of interchanges.
CREATE TABLE channel_series (
    channel_id int NOT NULL REFERENCES channel (channel_id),
    name       text NOT NULL,
    number     bigint NOT NULL,
    PRIMARY KEY (channel_id, name)
) WITH (fillfactor = 50);
