"""Hide more units of every item from a channel, and no more than before afterwards."""

from collections.abc import Mapping
from typing import Any

import onhand.channels.store as channels
import onhand.network.store as network
from onhand.base.fields import INT4_MAX
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.judged import sales_targets
from onhand.flows.playbooks.steps.shrink_listing import keep
from onhand.flows.playbooks.targets import channels_of
from onhand.incidents.playbooks.facts import number
from onhand.incidents.playbooks.model import RaiseGateIn

_FIELDS = ("floor", "cap")


class RaiseGate:
    """See RaiseGateIn."""

    def mean(self, at: At[RaiseGateIn]) -> Meant | HeldOut | Nothing:
        units = int(number(at.step.units, at.known))
        if units < 1:
            return Nothing("by less than a unit")
        named = channels_of(at.case)
        free = at.unowned([("channel", code) for code in named])
        mine = at.claim("gate", [code for code in named if ("channel", code) in free])
        targets = sales_targets(at, [("channel", code) for code in sorted(mine)], of=len(mine)) if at.judges else {}
        network.lock_network(at.conn)
        rules = channels.lock_rules(at.conn, mine)
        if not rules:
            return Nothing("it touches no channel")
        codes, beyond = at.within_subjects([code for code in named if code in rules])
        if not codes:
            return Nothing(SUBJECTS_REACHED)
        codes, left_undone = at.apart(sorted(codes), lambda code: ("channel", code))
        held_out = tuple(targets["channel", code] for code in left_undone)
        if not codes:
            return HeldOut(targets=held_out)

        def do() -> Did:
            undo: list[list[Any]] = []
            for code in codes:
                rule = rules[code]
                was = {name: rule.gate[name] for name in _FIELDS if name in rule.gate}
                floor = min(INT4_MAX, _least(rule.gate) + units)
                rule.gate["floor"] = floor
                if rule.gate.get("cap") is not None:
                    rule.gate["cap"] = max(rule.gate["cap"], floor)
                undo.append([code, was, {name: rule.gate[name] for name in _FIELDS if name in rule.gate}])
            keep(at, rules, set(codes))
            return Did(result={"channels": codes, "units": units, **beyond}, undo={"gates": undo})

        return Meant(
            key=("channel", codes[0]), also=tuple(("channel", code) for code in codes[1:]), direction=1, do=do,
            units=units * len(codes), subjects=len(codes), says={"units": units}, held_out=held_out,
            targets=tuple(targets["channel", code] for code in codes) if targets else (),
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        network.lock_network(at.conn)
        rules = channels.lock_rules(at.conn, {code for code, *_ in undo["gates"]})
        changed: set[str] = set()
        for code, was, new in undo["gates"]:
            gate = rules[code].gate
            if {name: gate[name] for name in _FIELDS if name in gate} == new:
                for name in _FIELDS:
                    gate.pop(name, None)
                gate.update(was)
                changed.add(code)
        keep(at, rules, changed)
        return Undone(result={"restored": len(changed), "left": len(undo["gates"]) - len(changed)})


def _least(gate: Mapping[str, Any]) -> int:
    """Units that it hides already, whatever is computed."""
    fixed = gate.get("units", 0) if gate.get("mode", "fixed") == "fixed" else 0
    return max(gate.get("floor", 0), fixed)
