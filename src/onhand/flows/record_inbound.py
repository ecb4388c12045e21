"""Record supply that is on its way; once per reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.ids import new_id
from onhand.catalog.catalogue import Catalogue
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.flows.transactor import Transactor
from onhand.ledger import inbound, store
from onhand.ledger.inbound import Inbound, InboundIn


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInbound:
    """The document; `is_new` unless the same one had been recorded before."""

    inbound: Inbound
    is_new: bool


def record_inbound(
    db: Database,
    catalogue: Catalogue,
    nodes: Mapping[str, int],
    request: InboundIn,
    by: Actor,
    *,
    transact: Transactor | None = None,
) -> RecordedInbound:
    """Record `request`; one with a known reference and the same content is answered as it stands.

    nodes  code -> node_id; names unknown here are looked up in the database

    Raises InvalidInput for unknown names and bundles, Conflict `inbound.reference_taken`.
    """

    def work(conn: Connection[TupleRow]) -> RecordedInbound:
        node_id, item_ids = _resolve(conn, catalogue, nodes, request)
        is_new = inbound.add_inbound(
            conn,
            new_id(),
            request,
            node_id=node_id,
            item_ids=item_ids,
            actor_key_id=by.key_id,
        )
        found = inbound.find_inbound(conn, reference=request.reference)
        assert found is not None, "it was just written, or was there"
        if is_new:
            data = {
                "inbound_id": str(found.inbound_id),
                "reference": found.reference,
                "node": found.node,
                "items": sorted(set(item_ids)),
            }
            write_event(conn, "inbound.created", str(found.inbound_id), data, actor=by, origin=db.origin)
        elif not found.announces(request):
            raise Conflict(
                "inbound.reference_taken",
                f"{request.reference!r} was recorded before with other content",
                inbound_id=str(found.inbound_id),
            )
        return RecordedInbound(inbound=found, is_new=is_new)

    recorded = (transact or db.transact)(work)
    db.notify()
    return recorded


def _resolve(
    conn: Connection[TupleRow],
    catalogue: Catalogue,
    nodes: Mapping[str, int],
    request: InboundIn,
) -> tuple[int, list[int]]:
    known = {
        line.sku: (item_id, item_id in catalogue.bundles)
        for line in request.lines
        if (item_id := catalogue.ids.get(line.sku)) is not None
    }
    if new := {line.sku for line in request.lines} - set(known):
        known |= store.find_items(conn, new)
    node_id = nodes.get(request.node) or store.find_nodes(conn, [request.node]).get(request.node)
    problems: list[FieldError] = []
    if node_id is None:
        problems.append(FieldError("node", f"no node {request.node!r}"))
    for number, line in enumerate(request.lines):
        path = f"lines[{number}].sku"
        if line.sku not in known:
            problems.append(FieldError(path, f"no item {line.sku!r}"))
        elif known[line.sku][1]:
            problems.append(FieldError(path, f"{line.sku!r} is a bundle and holds no stock: name its components"))
    if problems or node_id is None:
        raise InvalidInput(problems)
    return node_id, [known[line.sku][0] for line in request.lines]
