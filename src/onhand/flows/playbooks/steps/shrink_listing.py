"""Show at most so many units of an item on its channels: a quota of each, and what it was before."""

from collections.abc import Mapping
from typing import Any

import onhand.channels.store as channels
import onhand.network.store as network
from onhand.db.outbox import write_event
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.judged import sales_targets
from onhand.flows.playbooks.targets import joined, listings_of
from onhand.incidents.playbooks.facts import number
from onhand.incidents.playbooks.model import ShrinkListingIn


class ShrinkListing:
    """See ShrinkListingIn."""

    def mean(self, at: At[ShrinkListingIn]) -> Meant | HeldOut | Nothing:
        units = max(0, int(number(at.step.units, at.known)))
        named = listings_of(at.conn, at.case)
        mine = at.claim("listing", [joined(key) for key in named])
        free = at.unowned([("listing", *key) for key in named])
        named = [key for key in named if joined(key) in mine and ("listing", *key) in free]
        targets = sales_targets(at, [("listing", *key) for key in named], of=len(named)) if at.judges else {}
        network.lock_network(at.conn)
        rules = channels.lock_rules(at.conn, {channel for channel, _ in named})
        wide = [
            (channel, sku, was)
            for channel, sku in named
            if (was := _units(rules[channel].quota).get(sku)) is None or was > units
        ]
        if not wide:
            return Nothing("no listing that it touches shows more")
        wide, beyond = at.within_subjects(wide)
        if not wide:
            return Nothing(SUBJECTS_REACHED)
        wide, left_undone = at.apart(wide, lambda row: ("listing", *row[:2]))
        held_out = tuple(targets["listing", *row[:2]] for row in left_undone)
        if not wide:
            return HeldOut(targets=held_out)
        keys = [("listing", *row[:2]) for row in wide]

        def do() -> Did:
            for channel, sku, _ in wide:
                _units(rules[channel].quota)[sku] = units
            keep(at, rules, {channel for channel, _, _ in wide})
            undo = {"quotas": [[channel, sku, was, units] for channel, sku, was in wide]}
            return Did(result={"listings": len(wide), "units": units, **beyond}, undo=undo)

        return Meant(
            key=keys[0], also=tuple(keys[1:]), direction=-1, do=do, subjects=len(keys),
            says={"listings": [joined(row[:2]) for row in wide], "units": units}, held_out=held_out,
            targets=tuple(targets[key] for key in keys) if targets else (),
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        network.lock_network(at.conn)
        rules = channels.lock_rules(at.conn, {channel for channel, *_ in undo["quotas"]})
        changed: set[str] = set()
        left = 0
        for channel, sku, was, new in undo["quotas"]:
            quotas = _units(rules[channel].quota)
            if quotas.get(sku) != new:
                left += 1  # somebody else's by now
                continue
            changed.add(channel)
            del quotas[sku]
            if was is not None:
                quotas[sku] = was
        keep(at, rules, changed)
        return Undone(result={"restored": len(undo["quotas"]) - left, "left": left})


def keep(at: Place, rules: Mapping[str, channels.Rules], codes: set[str]) -> None:
    """Write gates and quotas of these channels, and tell of it."""
    for code in sorted(codes):
        quota = rules[code].quota
        if quota.get("units_by_sku") == {}:
            del quota["units_by_sku"]
        channels.set_rules(at.conn, code, rules[code])
        data = {"kind": "channel", "code": code}
        # Also to this process: it keeps the network in memory.
        write_event(at.conn, "network.changed", code, data, actor=at.by, origin=0)


def _units(quota: dict[str, Any]) -> dict[str, int]:
    return quota.setdefault("units_by_sku", {})
