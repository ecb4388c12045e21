"""Move units to a node that runs short, from where most are free; and call them back while they are under way."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import onhand.network.store as network
from onhand.autopilot.model import Target
from onhand.base.ids import new_id
from onhand.db import queries
from onhand.db.outbox import write_event
from onhand.flows.playbooks.base import At, Did, Expense, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.judged import position_targets
from onhand.flows.playbooks.targets import joined, positions_of
from onhand.incidents.playbooks.facts import number
from onhand.incidents.playbooks.model import TransferIn
from onhand.ledger.inbound import InboundIn, InboundLineIn, add_inbound, drop_inbound, take_back_lines
from onhand.ledger.model import Entry
from onhand.ledger.store import apply_entries, find_items, find_nodes, lock_positions, safety_stock_of, write_entries
from onhand.planning.store import sent_today

SQL = queries(__file__)
_NOON = time(12)


class Transfer:
    """See TransferIn."""

    def mean(self, at: At[TransferIn]) -> Meant | HeldOut | Nothing:
        wanted = int(number(at.step.units, at.known))
        if at.left.units is not None:
            wanted = min(wanted, at.left.units)
        named = positions_of(at.case)
        if wanted < 1 or not named:
            return Nothing("no item at a node, or no units")
        # One position a part, by name: which ones the incident touches, and their order, may change in between.
        ahead = sorted((key for key in named if joined(key) > (at.run.cursor or "")), key=joined)
        if not ahead:
            return Nothing("it touches no further item at a node")
        sku, node = ahead[0]
        cursor = joined(ahead[0]) if len(ahead) > 1 else None
        key = ("item_node", sku, node)
        if not at.unowned([key]) or not at.claim("stock", [joined((sku, node))]):
            return Nothing(f"another run, or another domain, works on {sku} at {node}", cursor)
        found = find_items(at.conn, {sku}), find_nodes(at.conn, {node})
        if not all(found):
            return Nothing(f"{sku} or {node} is gone", cursor)
        item_id, to_id = found[0][sku][0], found[1][node]
        way = _way(at, item_id, to_id, wanted, sku)
        if way is None:
            return Nothing(f"no node has units of {sku} to spare and an open lane to {node}", cursor)
        from_id, source, days, unit_cost, units = way
        cost = unit_cost * units
        expected = datetime.combine(at.now.date() + timedelta(days=days), _NOON, UTC)
        if at.left.money_minor is not None and cost > at.left.money_minor:
            return Nothing("its limit of money is reached")
        targets: tuple[Target, ...] = ()
        if at.judges:
            found_targets = position_targets(
                at, [(sku, node)], since=expected, costs={(sku, node): cost}, of=len(named)
            )  # fmt: skip
            targets = tuple(found_targets.values())
            if not at.apart([key], lambda k: k)[0]:
                return HeldOut(targets=targets, cursor=cursor)

        def do() -> Did:
            reference = f"PLAYBOOK-{at.run.run_id}-{at.run.step_no}-{at.run.part_no}"
            positions = lock_positions(at.conn, [(item_id, from_id)])
            entry = Entry(item_id, from_id, "transfer_out", units, None, reference)
            (result,) = write_entries(at.conn, positions, [entry], actor=at.by, origin=at.state.db.origin)
            assert result.status == "applied", "what is free and locked may leave"
            line = InboundLineIn(sku=sku, quantity=units, expected_at=expected)
            document = InboundIn(reference=reference, node=node, supplier=None, kind="transfer", lines=[line])
            inbound_id = new_id()
            is_new = add_inbound(
                at.conn, inbound_id, document, node_id=to_id, item_ids=[item_id], actor_key_id=at.by.key_id
            )
            assert is_new, "the reference is of this part alone"
            data = {"inbound_id": inbound_id, "reference": reference, "node": node, "items": [item_id]}
            write_event(at.conn, "inbound.created", inbound_id, data, actor=at.by, origin=at.state.db.origin)
            undo = {"reference": reference, "item": item_id, "from": from_id, "units": units}
            return Did(
                result={"from": source, "to": node, "sku": sku, "units": units, "expected_at": expected}, undo=undo,
                cost_minor=cost, expenses=(Expense(term="transfer", minor=cost, item_id=item_id, node_id=to_id),),
                units=units, cursor=cursor, stock=((item_id, from_id),),
            )  # fmt: skip

        return Meant(
            key=key, also=(("item_node", sku, source),), direction=1, do=do, units=units, money_minor=cost,
            targets=targets,
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        reference = undo["reference"]
        inbound_id = take_back_lines(at.conn, reference)
        if inbound_id is None:
            return Undone(result={"left": "it has come, or somebody was promised of it"}, is_spent=True)
        drop_inbound(at.conn, inbound_id)
        entry = Entry(undo["item"], undo["from"], "transfer_in", undo["units"], "taken back", reference)
        (result,) = apply_entries(at.conn, [entry], actor=at.by, origin=at.state.db.origin)
        assert result.status == "applied", "units may always come"
        data = {"inbound_id": inbound_id, "reference": reference}
        write_event(at.conn, "inbound.withdrawn", inbound_id, data, actor=at.by, origin=at.state.db.origin)
        return Undone(result={"called_back": undo["units"]}, stock=((undo["item"], undo["from"]),))


def _way(at: At[TransferIn], item_id: int, to_id: int, wanted: int, sku: str) -> tuple[int, str, int, int, int] | None:
    """(node, its code, days, cost of a unit, units) of the first lane over which some can go."""
    sources = at.conn.execute(SQL["sources"], {"node_id": to_id, "item_id": item_id}).fetchall()
    for from_id, code, _, unit_cost, _, _ in sources:
        if not at.unowned([("item_node", sku, code)]) or not at.claim("stock", [joined((sku, code))]):
            continue
        lane = network.lock_lane(at.conn, from_id, to_id)
        if lane is None:
            continue
        days, most = lane
        held = lock_positions(at.conn, [(item_id, from_id)])
        key = (item_id, from_id)
        free = held[key].available - safety_stock_of(at.conn, key) if key in held else 0
        if most is not None:
            free = min(free, most - sent_today(at.conn, from_id, to_id, at.now.date()))
        # Half at most: who gives must not run short in turn.
        units = min(wanted, free // 2)
        if units > 0:
            return from_id, code, days, unit_cost, units
    return None
