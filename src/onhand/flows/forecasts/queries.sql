-- name: items
-- Items of which anything was wanted, and at how many places: about as many series.
SELECT i.item_id, i.sku, count(*)::int
FROM (
    SELECT DISTINCT item_id, place_id FROM demand_line WHERE day >= %(since)s AND day < %(until)s
    UNION
    SELECT DISTINCT item_id, place_id FROM imported_sale WHERE day >= %(since)s AND day < %(until)s AND units > 0
    UNION
    SELECT DISTINCT e.item_id, p.place_id FROM ledger_entry e JOIN demand_place p ON p.node_id = e.node_id
    WHERE e.reason = 'sale' AND e.occurred_at >= %(since)s::timestamptz AND e.occurred_at < %(until)s::date
) AS wanted
JOIN item i USING (item_id)
GROUP BY i.item_id, i.sku
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
