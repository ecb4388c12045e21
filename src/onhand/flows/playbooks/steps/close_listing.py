"""Take listings off their channels, and put them up again."""

from collections.abc import Mapping
from typing import Any

import onhand.channels.store as channels
from onhand.db.outbox import write_event
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.targets import joined, listings_of
from onhand.incidents.playbooks.model import CloseListingIn

_PAUSED = "paused"  # nothing of it is offered; `closed` would also stop the channel from being told


class CloseListing:
    """See CloseListingIn."""

    def mean(self, at: At[CloseListingIn]) -> Meant | Nothing:
        named = listings_of(at.conn, at.case)
        mine = at.claim("listing", [joined(key) for key in named])
        free = at.unowned([("listing", *key) for key in named])
        named = [key for key in named if joined(key) in mine and ("listing", *key) in free]
        found = channels.lock_statuses(at.conn, named)
        open_ = [(channel, sku) for channel, sku, status in found if status == "active"]
        if not open_:
            return Nothing("no listing that it touches is active")
        open_, beyond = at.within_subjects(open_)
        if not open_:
            return Nothing(SUBJECTS_REACHED)

        def do() -> Did:
            channels.set_statuses(at.conn, [(*key, _PAUSED) for key in open_])
            tell(at, open_)
            undo = {"listings": [[*key, "active", _PAUSED] for key in open_]}
            return Did(result={"listings": len(open_), **beyond}, undo=undo)

        keys = [("listing", *key) for key in open_]
        return Meant(
            key=keys[0], also=tuple(keys[1:]), direction=-1, do=do, subjects=len(keys),
            says={"listings": [joined(k) for k in open_]},
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {(channel, sku): (was, new) for channel, sku, was, new in undo["listings"]}
        found = channels.lock_statuses(at.conn, list(rows))
        ours = [(channel, sku) for channel, sku, status in found if status == rows[channel, sku][1]]
        channels.set_statuses(at.conn, [(*key, rows[key][0]) for key in ours])
        tell(at, ours)
        return Undone(result={"restored": len(ours), "left": len(rows) - len(ours)})


def tell(at: Place, listings: list[tuple[str, str]]) -> None:
    """One event for listings that changed."""
    if listings:
        data = {"kind": "listing", "codes": [joined(key) for key in listings]}
        write_event(at.conn, "network.changed", "listings", data, actor=at.by, origin=at.state.db.origin)
