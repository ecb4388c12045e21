-- name: add
INSERT INTO campaign (campaign_id, name, item_ids, channel_ids, first_day, last_day, discount, uplift, assessment, actor)
VALUES (%(campaign_id)s, %(name)s, %(item_ids)s::int[], %(channel_ids)s::int[], %(first_day)s, %(last_day)s,
        %(discount)s, %(uplift)s, %(assessment)s, %(actor)s);

-- name: add_holds
INSERT INTO campaign_hold (campaign_id, node_id, day, orders, lines, units)
SELECT %(campaign_id)s, * FROM unnest(%(nodes)s::int[], %(days)s::date[], %(orders)s::int[], %(lines)s::int[],
                                      %(units)s::int[]);

-- name: of_assessment
-- Who accepts an assessment holds its job, so that it is accepted once.
SELECT c.campaign_id::text
FROM (SELECT job_id FROM job WHERE job_id = %(assessment)s FOR UPDATE) AS j
JOIN campaign c ON c.assessment = j.job_id AND c.state = 'accepted';

-- name: also_promoted
-- Days on which items of a campaign are promoted by another one.
SELECT DISTINCT i.sku, d.day::date
FROM campaign mine
JOIN campaign other ON other.item_ids && mine.item_ids AND other.state = 'accepted'
    AND other.campaign_id <> mine.campaign_id
JOIN item i ON i.item_id = ANY (mine.item_ids) AND i.item_id = ANY (other.item_ids)
CROSS JOIN generate_series(greatest(mine.first_day, other.first_day)::timestamp,
                           least(mine.last_day, other.last_day)::timestamp, interval '1 day') AS d (day)
WHERE mine.campaign_id = %(campaign_id)s;

-- name: lock
SELECT state FROM campaign WHERE campaign_id = %(campaign_id)s FOR UPDATE;

-- name: cancel
UPDATE campaign SET state = 'cancelled', cancelled_at = now() WHERE campaign_id = %(campaign_id)s;

-- name: drop_holds
DELETE FROM campaign_hold WHERE campaign_id = %(campaign_id)s;

-- name: get
SELECT c.campaign_id::text, c.name, c.state,
       ARRAY(SELECT sku FROM item WHERE item_id = ANY (c.item_ids) ORDER BY sku) AS items,
       CASE WHEN c.channel_ids IS NOT NULL THEN
           ARRAY(SELECT code FROM channel WHERE channel_id = ANY (c.channel_ids) ORDER BY code) END AS channels,
       c.first_day, c.last_day, c.discount, c.uplift, c.assessment::text, c.actor AS by, c.created_at, c.cancelled_at
FROM campaign c WHERE c.campaign_id = %(campaign_id)s;

-- name: list
SELECT c.campaign_id::text, c.name, c.state,
       ARRAY(SELECT sku FROM item WHERE item_id = ANY (c.item_ids) ORDER BY sku) AS items,
       CASE WHEN c.channel_ids IS NOT NULL THEN
           ARRAY(SELECT code FROM channel WHERE channel_id = ANY (c.channel_ids) ORDER BY code) END AS channels,
       c.first_day, c.last_day, c.discount, c.uplift, c.assessment::text, c.actor AS by, c.created_at, c.cancelled_at
FROM campaign c WHERE c.campaign_id < %(before)s ORDER BY c.campaign_id DESC LIMIT %(limit)s;
