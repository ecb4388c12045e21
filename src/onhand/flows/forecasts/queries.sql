-- name: items
-- Items of which anything was wanted, and at how many places: about as many series.
SELECT i.item_id, i.sku, coalesce(i.category, ''), count(*)::int
FROM (
    SELECT DISTINCT item_id, place_id FROM demand_line WHERE day >= %(since)s AND day < %(until)s
    UNION
    SELECT DISTINCT item_id, place_id FROM imported_sale WHERE day >= %(since)s AND day < %(until)s AND units > 0
    UNION
    SELECT DISTINCT e.item_id, p.place_id FROM ledger_entry e JOIN demand_place p ON p.node_id = e.node_id
    WHERE e.reason = 'sale' AND e.occurred_at >= %(since)s::timestamptz AND e.occurred_at < %(until)s::date
) AS wanted
JOIN item i USING (item_id)
GROUP BY i.item_id
ORDER BY i.item_id;

-- name: days
SELECT min(first), max(last) FROM (
    SELECT min(day) AS first, max(day) AS last FROM demand_line WHERE day < %(until)s
    UNION ALL
    SELECT min(day), max(day) FROM imported_sale WHERE day < %(until)s AND units > 0
    UNION ALL
    SELECT min((occurred_at AT TIME ZONE 'UTC')::date), max((occurred_at AT TIME ZONE 'UTC')::date)
    FROM ledger_entry WHERE reason = 'sale' AND occurred_at < %(until)s::date
) AS days;

-- name: never_sold
-- Items of which nothing was ever wanted before a day, and that are there, on their way, or listed: the first day on
-- which there was a unit to be sold, the nodes where there are units or where they come to, and the channels that list
-- them. Bundles are sold as their components.
SELECT i.item_id, i.sku, coalesce(i.category, ''),
       (SELECT min(e.occurred_at AT TIME ZONE 'UTC')::date FROM ledger_entry e
        WHERE e.item_id = i.item_id AND e.on_hand > e.unavailable AND e.occurred_at < %(until)s::date),
       coalesce(t.nodes, '{}'), coalesce(l.channels, '{}')
FROM item i
LEFT JOIN (
    SELECT item_id, array_agg(DISTINCT node_id) AS nodes
    FROM (
        SELECT item_id, node_id FROM stock_position WHERE on_hand > 0
        UNION ALL
        SELECT item_id, node_id FROM inbound_line
        WHERE received < quantity AND expected_at > %(until)s::date - interval '14 days'
    ) AS there
    GROUP BY item_id
) AS t USING (item_id)
LEFT JOIN (
    SELECT item_id, array_agg(channel_id ORDER BY channel_id) AS channels
    FROM listing JOIN channel c USING (channel_id)
    WHERE status = 'active' AND c.active
    GROUP BY item_id
) AS l USING (item_id)
WHERE (t.item_id IS NOT NULL OR l.item_id IS NOT NULL)
  AND NOT EXISTS (SELECT FROM bundle_component b WHERE b.bundle_id = i.item_id)
  AND NOT EXISTS (SELECT FROM demand_line d WHERE d.item_id = i.item_id AND d.day < %(until)s::date)
  AND NOT EXISTS (SELECT FROM imported_sale s WHERE s.item_id = i.item_id AND s.day < %(until)s::date)
  AND NOT EXISTS (SELECT FROM ledger_entry e
                  WHERE e.item_id = i.item_id AND e.reason = 'sale' AND e.occurred_at < %(until)s::date)
ORDER BY i.item_id;

-- name: sold_at
-- Where something of each category was wanted, and on which channels (0: of none).
SELECT DISTINCT coalesce(i.category, ''), w.place_id, w.channel_id
FROM (
    SELECT item_id, place_id, channel_id FROM demand_line WHERE day >= %(since)s AND day < %(until)s
    UNION
    SELECT item_id, place_id, channel_id FROM imported_sale
    WHERE day >= %(since)s AND day < %(until)s AND units > 0
    UNION
    SELECT e.item_id, p.place_id, coalesce(c.channel_id, 0)
    FROM ledger_entry e
    JOIN demand_place p ON p.node_id = e.node_id
    LEFT JOIN channel c ON c.code = split_part(e.reference, ' ', 1)
    WHERE e.reason = 'sale' AND e.occurred_at >= %(since)s::timestamptz AND e.occurred_at < %(until)s::date
) AS w
JOIN item i USING (item_id);

-- name: nodes_that_ship
SELECT node_id FROM node WHERE active AND 'ship' = ANY (methods);

-- name: channels
SELECT channel_id, code FROM channel;
