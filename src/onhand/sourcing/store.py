"""The SQL of kept decisions, and of what is foreseen."""

from collections.abc import Sequence

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db.queries import queries
from onhand.network.compiled import load_document
from onhand.orders.intake import Wishes
from onhand.orders.store import first_answers
from onhand.sourcing import outlook, record
from onhand.sourcing.explain import Kept
from onhand.sourcing.outlook import Outlook

SQL = queries(__file__)
_wishes = msgspec.json.Decoder(Wishes)


def find_plan(conn: Connection[TupleRow], order_id: str, plan_no: int) -> Kept | None:
    """A decision with everything that it can be explained from."""
    row = conn.execute(SQL["find_plan"], {"order_id": order_id, "plan_no": plan_no}).fetchone()
    if row is None:
        return None
    at, network_id, policy, decision, inputs, request, channel_id, channel = row
    seen = record.decode(bytes(inputs))
    items = conn.execute(SQL["items"], {"items": seen.item.tolist()}).fetchall()
    return Kept(
        plan_id=f"{order_id}-p{plan_no}",
        at=at,
        policy=policy,
        document=load_document(conn, network_id),
        decision=msgspec.json.decode(decision or first_answers(conn, [order_id])[order_id]),
        seen=seen,
        wishes=_wishes.decode(request),
        channel_id=channel_id,
        channel=channel,
        skus={item: sku for item, sku, _, _ in items},
        pairs={item: (hs_code, category) for item, _, hs_code, category in items},
    )


def find_latest_plan(
    conn: Connection[TupleRow], order_id: str | None, channel: str, external_id: str
) -> tuple[str, int] | None:
    """(order_id, number) of an order's latest plan; the order by its id (a UUID), or by the name it has on its
    channel."""
    row = conn.execute(
        SQL["find_latest_plan"], {"order_id": order_id, "channel": channel, "external_id": external_id}
    ).fetchone()
    return None if row is None else (row[0], row[1])


def coarsen_inputs(conn: Connection[TupleRow], order_ids: Sequence[str]) -> None:
    """Leave of the destinations of these orders' decisions only the degree they lie in."""
    rows = conn.execute(SQL["inputs_of_orders"], {"ids": list(order_ids)}).fetchall()
    coarse = [(order_id, number, record.coarsen(bytes(inputs))) for order_id, number, inputs in rows]
    for name, some in (
        ("replace_first_inputs", [row for row in coarse if row[1] == 1]),
        ("replace_inputs", [row for row in coarse if row[1] > 1]),
    ):
        if some:
            ids, numbers, inputs = zip(*some, strict=True)
            conn.execute(SQL[name], {"ids": [*ids], "plan_nos": [*numbers], "inputs": [*inputs]})


def add_outlook(conn: Connection[TupleRow], made: Outlook) -> None:
    """Keep an outlook as the one that counts, and a few before it."""
    conn.execute(SQL["add_outlook"], {"made_at": made.made_at, "content": outlook.encode(made)})
    conn.execute(SQL["forget_outlooks"])


def latest_outlook(conn: Connection[TupleRow]) -> Outlook | None:
    row = conn.execute(SQL["latest_outlook"]).fetchone()
    return None if row is None else outlook.decode(bytes(row[0]))


def outlook_made_at(conn: Connection[TupleRow]) -> float | None:
    """Unix seconds of the latest outlook."""
    row = conn.execute(SQL["outlook_made_at"]).fetchone()
    return None if row is None else float(row[0])
