-- name: take_turn
-- Takes `weight` tokens if their turn comes within `wait_max_s`, and says in how many seconds it does; no row: it does
-- not. All processes take from one row, one after the other, without waiting for the disk: a server that loses power
-- forgets a turn or two.
INSERT INTO channel_bucket AS b (channel_id, name, level, filled_at)
SELECT %(channel_id)s, %(name)s, %(burst)s - %(weight)s, clock_timestamp()
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS hurried
ON CONFLICT (channel_id, name) DO UPDATE SET
    level = least(%(burst)s, b.level + extract(epoch FROM clock_timestamp() - b.filled_at) * %(rate)s) - %(weight)s,
    filled_at = clock_timestamp()
WHERE greatest(
    (%(weight)s - least(%(burst)s, b.level + extract(epoch FROM clock_timestamp() - b.filled_at) * %(rate)s)) / %(rate)s,
    coalesce(extract(epoch FROM b.paused_until - clock_timestamp()), 0),
    (SELECT coalesce(extract(epoch FROM a.paused_until - clock_timestamp()), 0)
     FROM channel_bucket AS a WHERE a.channel_id = %(channel_id)s AND a.name = '')
) <= %(wait_max_s)s
RETURNING greatest(
    -b.level / %(rate)s,
    extract(epoch FROM b.paused_until - clock_timestamp()),
    (SELECT extract(epoch FROM a.paused_until - clock_timestamp())
     FROM channel_bucket AS a WHERE a.channel_id = %(channel_id)s AND a.name = ''),
    0
)::float8;

-- name: pause
INSERT INTO channel_bucket AS b (channel_id, name, level, filled_at, paused_until)
VALUES (%(channel_id)s, %(name)s, 0, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (channel_id, name) DO UPDATE SET paused_until = greatest(b.paused_until, excluded.paused_until);

-- name: paused_for
SELECT coalesce(max(extract(epoch FROM paused_until - clock_timestamp())), 0)::float8
FROM channel_bucket WHERE channel_id = %(channel_id)s AND name IN ('', %(name)s);

-- name: get_token
SELECT sealed, expires_at FROM channel_token WHERE channel_id = %(channel_id)s;

-- name: put_token
INSERT INTO channel_token (channel_id, sealed, expires_at) VALUES (%(channel_id)s, %(sealed)s, %(expires_at)s)
ON CONFLICT (channel_id) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at;

-- name: forget_token
DELETE FROM channel_token WHERE channel_id = %(channel_id)s;

-- name: get_note
SELECT text FROM channel_note WHERE channel_id = %(channel_id)s AND name = %(name)s;

-- name: put_note
INSERT INTO channel_note (channel_id, name, text) VALUES (%(channel_id)s, %(name)s, %(text)s)
ON CONFLICT (channel_id, name) DO UPDATE SET text = excluded.text, noted_at = clock_timestamp();

-- name: put_new_note
-- The update that changes nothing waits for whoever is first, and returns what he noted.
INSERT INTO channel_note AS n (channel_id, name, text) VALUES (%(channel_id)s, %(name)s, %(text)s)
ON CONFLICT (channel_id, name) DO UPDATE SET text = n.text
RETURNING text;

-- name: notes_starting
SELECT name, text FROM channel_note
WHERE channel_id = %(channel_id)s AND name >= %(prefix)s AND starts_with(name, %(prefix)s)
ORDER BY name LIMIT %(limit)s;

-- name: drop_note
DELETE FROM channel_note WHERE channel_id = %(channel_id)s AND name = %(name)s;

-- name: next_number
INSERT INTO channel_series AS s (channel_id, name, number) VALUES (%(channel_id)s, %(name)s, 1)
ON CONFLICT (channel_id, name) DO UPDATE SET number = s.number %% %(last)s + 1
RETURNING number;
