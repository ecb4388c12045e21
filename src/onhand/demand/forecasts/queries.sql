-- name: add_run
INSERT INTO forecast_run (run_id, job_id, kind, origin, settings)
VALUES (%(run_id)s, %(job_id)s, %(kind)s, %(origin)s, %(settings)s);

-- name: get_run
SELECT r.run_id::text, r.job_id::text, r.kind, j.state, r.origin, r.settings, r.champion::text, r.challenger::text, r.segments,
       r.done_item, r.series, r.scored, j.actor AS by, r.created_at, r.finished_at, r.pruned_at
FROM forecast_run r JOIN job j ON j.job_id = r.job_id
WHERE r.run_id = %(run_id)s;

-- name: list_runs
SELECT r.run_id::text, r.job_id::text, r.kind, j.state, r.origin, r.settings, r.champion::text, r.challenger::text, r.segments,
       r.done_item, r.series, r.scored, j.actor AS by, r.created_at, r.finished_at, r.pruned_at
FROM forecast_run r JOIN job j ON j.job_id = r.job_id
WHERE r.run_id < %(before)s
ORDER BY r.run_id DESC
LIMIT %(limit)s;

-- name: finished_runs
SELECT r.run_id::text, r.job_id::text, r.kind, 'done' AS state, r.origin, r.settings, r.champion::text, r.challenger::text, r.segments,
       r.done_item, r.series, r.scored, j.actor AS by, r.created_at, r.finished_at, r.pruned_at
FROM forecast_run r JOIN job j ON j.job_id = r.job_id
WHERE r.kind = %(kind)s AND r.finished_at IS NOT NULL
ORDER BY r.origin, r.run_id;

-- name: latest_run
-- The one from the latest origin that has its series still; of those that cover a day, if one is asked for.
SELECT r.run_id::text, r.job_id::text, r.kind, 'done' AS state, r.origin, r.settings, r.champion::text, r.challenger::text, r.segments,
       r.done_item, r.series, r.scored, j.actor AS by, r.created_at, r.finished_at, r.pruned_at
FROM forecast_run r JOIN job j ON j.job_id = r.job_id
WHERE r.finished_at IS NOT NULL AND r.pruned_at IS NULL AND r.settings ->> 'freq' = %(freq)s
  AND (r.settings ->> 'by_channel')::boolean = %(by_channel)s
  AND (%(day)s::date IS NULL
       OR (r.origin <= %(day)s::date AND r.origin + (r.settings ->> 'horizon')::int > %(day)s::date))
ORDER BY r.origin DESC, r.run_id DESC
LIMIT 1;

-- name: judged_run
-- The one from the latest origin that has its series still and of which the first periods are over.
SELECT r.run_id::text, r.job_id::text, r.kind, 'done' AS state, r.origin, r.settings, r.champion::text, r.challenger::text, r.segments,
       r.done_item, r.series, r.scored, j.actor AS by, r.created_at, r.finished_at, r.pruned_at
FROM forecast_run r JOIN job j ON j.job_id = r.job_id
WHERE r.finished_at IS NOT NULL AND r.pruned_at IS NULL AND r.settings ->> 'freq' = %(freq)s
  AND (r.settings ->> 'by_channel')::boolean = %(by_channel)s
  AND r.origin + %(days)s::int * least(%(periods)s::int, (r.settings ->> 'horizon')::int) <= %(until)s::date
ORDER BY r.origin DESC, r.run_id DESC
LIMIT 1;

-- name: choose_models
UPDATE forecast_run SET champion = %(champion)s, challenger = %(challenger)s WHERE run_id = %(run_id)s;

-- name: advance
-- Answers nothing if another process has written these series meanwhile: it has taken over the job.
UPDATE forecast_run SET done_item = %(until)s, series = series + %(series)s
WHERE run_id = %(run_id)s AND done_item = %(done)s AND finished_at IS NULL
RETURNING 1;

-- name: finish_run
UPDATE forecast_run SET finished_at = now(), segments = %(segments)s
WHERE run_id = %(run_id)s AND finished_at IS NULL
RETURNING 1;

-- name: add_series
INSERT INTO forecast_series (run_id, item_id, place_id, channel_id, segment, scale, champion, challenger, baseline)
SELECT %(run_id)s, * FROM unnest(%(items)s::int[], %(places)s::int[], %(channels)s::int[], %(segments)s::int[],
                                 %(scales)s::float8[], %(champion)s::bytea[], %(challenger)s::bytea[],
                                 %(baseline)s::bytea[]);

-- name: series_of_items
SELECT item_id, place_id, channel_id, segment, scale, champion, challenger, baseline
FROM forecast_series
WHERE run_id = %(run_id)s AND item_id = ANY (%(items)s::int[])
ORDER BY item_id, place_id, channel_id;

-- name: means_of_run
-- Of the next series by key some periods of what whoever is in charge forecast, as bytes.
SELECT item_id, place_id, channel_id,
       substring(CASE WHEN (%(is_model)s::boolean[])[segment + 1] THEN champion ELSE baseline END
                 FROM %(from)s::int FOR %(bytes)s::int)
FROM forecast_series
WHERE run_id = %(run_id)s AND (item_id, place_id, channel_id) > (%(item)s, %(place)s, %(channel)s)
ORDER BY item_id, place_id, channel_id
LIMIT %(limit)s;

-- name: series_by_segment
SELECT segment, count(*) FROM forecast_series WHERE run_id = %(run_id)s GROUP BY segment;

-- name: items_of_run
SELECT item_id, i.sku, count(*)
FROM forecast_series s JOIN item i USING (item_id)
WHERE run_id = %(run_id)s AND item_id > %(after)s
GROUP BY item_id, i.sku
ORDER BY item_id
LIMIT %(limit)s;

-- name: page_of_series
-- Public names, in the order of the key.
SELECT s.item_id, s.place_id, s.channel_id, i.sku, n.code,
       coalesce(p.region, demand_region_v1(n.country, n.region)), c.code, s.segment, s.champion, s.baseline
FROM forecast_series s
JOIN item i USING (item_id)
JOIN demand_place p USING (place_id)
LEFT JOIN node n ON n.node_id = p.node_id
LEFT JOIN channel c ON c.channel_id = s.channel_id
WHERE s.run_id = %(run_id)s AND (s.item_id, s.place_id, s.channel_id) > (%(item)s, %(place)s, %(channel)s)
  AND (%(sku)s::text IS NULL OR i.sku = %(sku)s) AND (%(node)s::text IS NULL OR n.code = %(node)s)
  AND (%(region)s::text IS NULL OR coalesce(p.region, demand_region_v1(n.country, n.region)) = %(region)s
       OR coalesce(p.region, demand_region_v1(n.country, n.region)) LIKE %(region)s || '-%%')
  AND (%(of_channel)s::text IS NULL OR c.code = %(of_channel)s)
ORDER BY s.item_id, s.place_id, s.channel_id
LIMIT %(limit)s;

-- name: add_model
INSERT INTO forecast_model (model_id, kind, role, why, origin, learned, facts, promoted_at)
VALUES (%(model_id)s, %(kind)s, %(role)s, %(why)s, %(origin)s, %(learned)s, %(facts)s,
        CASE WHEN %(role)s = 'champion' THEN now() END);

-- name: models
SELECT model_id::text, kind, role, why, origin, facts, created_at, promoted_at, retired_at
FROM forecast_model WHERE kind = %(kind)s AND role <> 'retired';

-- name: models_by_id
SELECT model_id::text, kind, role, why, origin, facts, created_at, promoted_at, retired_at
FROM forecast_model WHERE model_id = ANY (%(ids)s::uuid[]);

-- name: learned
SELECT learned FROM forecast_model WHERE model_id = %(model_id)s;

-- name: lock_kind
-- Whoever changes who is in charge waits for whoever else does.
SELECT pg_advisory_xact_lock(hashtextextended('onhand forecasts ' || %(kind)s, 0));

-- name: retire
UPDATE forecast_model SET role = 'retired', retired_at = now(), learned = NULL
WHERE kind = %(kind)s AND role = %(role)s;

-- name: promote
UPDATE forecast_model SET role = 'champion', promoted_at = now() WHERE kind = %(kind)s AND role = 'challenger';

-- name: set_scores
INSERT INTO forecast_score (run_id, segment, part, sums, near, whole)
SELECT %(run_id)s, s.segment, s.part, s.sums, s.near, s.whole
FROM jsonb_to_recordset(%(scores)s::jsonb) AS s (segment int, part text, sums jsonb, near jsonb, whole jsonb)
ON CONFLICT (run_id, segment, part) DO UPDATE
SET sums = excluded.sums, near = excluded.near, whole = excluded.whole;

-- name: note_scored
UPDATE forecast_run SET scored = %(periods)s WHERE run_id = %(run_id)s;

-- name: scores
SELECT run_id::text, segment, part, sums, near, whole FROM forecast_score
WHERE run_id = ANY (%(ids)s::uuid[])
ORDER BY run_id, segment, part;

-- name: prune
DELETE FROM forecast_series WHERE run_id = ANY (%(ids)s::uuid[]);

-- name: note_pruned
UPDATE forecast_run SET pruned_at = now() WHERE run_id = ANY (%(ids)s::uuid[]);

-- name: abandoned_series
-- Of runs that ended before they were done.
DELETE FROM forecast_series s USING forecast_run r, job j
WHERE r.run_id = s.run_id AND j.job_id = r.job_id AND r.finished_at IS NULL AND j.state IN ('failed', 'cancelled');
