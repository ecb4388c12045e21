-- name: lock_follow
-- One follows at a time; another has nothing to wait for.
SELECT pg_try_advisory_xact_lock(hashtextextended('onhand costs', 0));

-- name: next_changes
-- The place of the last of the next settled events, and the orders whose cost they may have changed. A reservation's
-- event names the order that took it as well, which is told of by itself.
WITH e AS MATERIALIZED (
    SELECT xid, pos, kind, orders, data FROM event
    WHERE (xid, pos) > (%(xid)s::bigint::text::xid8, %(pos)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY event.xid, event.pos
    LIMIT %(limit)s
)
SELECT (SELECT xid::text::bigint FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT pos FROM e ORDER BY e.xid DESC, e.pos DESC LIMIT 1),
       (SELECT count(*) FROM e),
       ARRAY(
           SELECT unnest(orders)::text FROM e WHERE orders IS NOT NULL
           UNION
           SELECT data ->> 'order_id' FROM e
           WHERE orders IS NULL AND data ->> 'order_id' IS NOT NULL
             AND (kind LIKE 'order.%%' OR kind LIKE 'fulfilment.%%' OR kind LIKE 'shipment.%%' OR kind = 'return.received')
           UNION
           SELECT jsonb_array_elements_text(data -> 'orders') FROM e WHERE kind = 'costs.charged'
       );
