"""What to move or buy, and before when, so that a campaign can be served: a linear programme over one hard path.

Of every item that runs out, or that a full node would have sent, the programme chooses how many units each node sends
on each day, and what is done about stock and room: units bought, inbound brought forward, units transferred, overtime
at a node, the uplift spread over the days of the campaign. It minimises what these cost, and a unit that stays unserved
costs more than all of them. Stock that lies about costs a little, so that everything comes as late as it may: that is
the date before which it must be there. The answer is checked by the solver that decides orders, not believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from onhand.network.compiled import NO_LIMIT, Network
from onhand.planning.campaigns.assess import Assessor
from onhand.planning.campaigns.baskets import Made
from onhand.planning.campaigns.demand import with_campaign
from onhand.planning.campaigns.model import DAY, Bool, Campaign, Float64, Int32, Int64, World
from onhand.planning.campaigns.serve import Served
from onhand.simulation.history import History, Inbound, Moves
from onhand.sourcing.referee import run, silent_solver

Doing = Literal["buy", "expedite", "transfer", "overtime", "spread"]

# A unit that nobody serves, beside the dearest thing that could be done about it; and a unit on a shelf for a day.
_UNSERVED: Final = 20.0
_HOLDING: Final = 1e-3
# Items and nodes of a programme; those that keep the most orders, and those with the most room.
_ITEMS_MAX: Final = 40
_NODES_MAX: Final = 12
_LITTLE: Final = 0.5
# A programme sees units flow where customers, cut-offs and baskets are lumpy: where the remedies for what is asked for
# do not do, those for so much more are tried.
_MARGINS: Final = (1.0, 1.15, 1.3, 1.5)
# Share of a campaign's extra units that one day may take when it is spread, as a multiple of what it has.
_PROFILE_MAX: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What may be done, and what a unit of it costs in minor units; None: it may not.

    buy_minor, buy_days          beyond what a unit costs anyhow; days until it is there
    expedite_minor, expedite_days  to bring inbound forward; no earlier than so many days from today
    transfer_minor, transfer_days  between two nodes
    overtime_minor, overtime_share  per order; at most that share of a node's daily room
    spread_minor                 per unit and day that demand is moved
    far_minor                    a unit that another node sends than usual
    """

    buy_minor: float | None = 300.0
    buy_days: int = 10
    expedite_minor: float | None = 150.0
    expedite_days: int = 2
    transfer_minor: float | None = 60.0
    transfer_days: int = 2
    overtime_minor: float | None = 200.0
    overtime_share: float = 0.3
    spread_minor: float | None = 20.0
    far_minor: float = 200.0


USUAL_MEANS: Final = Means()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One thing to do.

    item      row of the world's items; -1: of no item
    node      where it happens or arrives; 0: nowhere in particular
    source    node that a transfer comes from
    units     in all; of overtime: orders a day
    start_by  last day (from today) on which it must be begun; `before` the day on which it must be done
    until     last day of overtime
    profile   of a spread: multiples of the uplift by day of the campaign
    """

    doing: Doing
    item: int
    node: int
    source: int
    units: int
    start_by: int
    before: int
    until: int
    cost_minor: float
    profile: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """Remedies, earliest first, what they cost, units that none of them serves; and what became of the campaign with
    them: the share of late orders and the probability of too many."""

    remedies: tuple[Remedy, ...]
    cost_minor: float
    unserved: float
    late_share: float
    risk: float


def cure(assessor: Assessor, means: Means) -> Cure | None:
    """The cheapest remedies for the path that is harder than all but `Settings.risk_max` of the others; None where no
    order of it is late. `assessor`: as `assess` leaves it."""
    late = np.array(assessor.late_with)
    easiest_first = np.argsort(late, kind="stable")
    path = int(easiest_first[min(int(len(late) * (1.0 - assessor.settings.risk_max)), len(late) - 1)])
    if not late[path]:
        return None
    served = assessor.served(path, 1.0, is_whole=True)
    made, _ = assessor.made(path, 1.0)
    best: Cure | None = None
    for number, margin in enumerate(_MARGINS):
        remedies, unserved = _Programme(assessor, means, made, served, path, margin).solve()
        tried = _checked(assessor, remedies, unserved)
        assessor.progress("remedies", number + 1, len(_MARGINS))
        if best is None or (tried.risk, tried.late_share, tried.cost_minor) < (
            best.risk,
            best.late_share,
            best.cost_minor,
        ):
            best = tried
        if best.risk <= assessor.settings.risk_max:
            break
    return best


def _checked(assessor: Assessor, remedies: Sequence[Remedy], unserved: float) -> Cure:
    """What becomes of the campaign with these."""
    world, campaign = applied(assessor.world, assessor.campaign, remedies)
    late = np.array(
        [
            assessor.late_share(assessor.served(path, 1.0, campaign=campaign, world=world))
            for path in range(assessor.count)
        ]
    )
    return Cure(
        remedies=tuple(remedies),
        cost_minor=sum(r.cost_minor for r in remedies),
        unserved=unserved,
        late_share=float(late.mean()),
        risk=float((late > assessor.settings.late_share_max).mean()),
    )


class _Rows:
    """Rows and columns of a linear programme as they are added."""

    def __init__(self) -> None:
        self.cost: list[Float64] = []
        self.most: list[Float64] = []
        self.columns = 0
        self.lower: list[Float64] = []
        self.upper: list[Float64] = []
        self.rows = 0
        self.entries: list[tuple[Any, Any, Any]] = []

    def variables(self, shape: tuple[int, ...], cost: Any, most: Any = np.inf) -> Int64:
        """Numbers of new columns, of this shape."""
        count = int(np.prod(shape))
        self.cost.append(np.broadcast_to(np.asarray(cost, np.float64), shape).reshape(-1))
        self.most.append(np.broadcast_to(np.asarray(most, np.float64), shape).reshape(-1))
        first, self.columns = self.columns, self.columns + count
        return np.arange(first, first + count).reshape(shape)

    def constraints(self, lower: Any, upper: Any, shape: tuple[int, ...]) -> Int64:
        """Numbers of new rows."""
        count = int(np.prod(shape))
        self.lower.append(np.broadcast_to(np.asarray(lower, np.float64), shape).reshape(-1))
        self.upper.append(np.broadcast_to(np.asarray(upper, np.float64), shape).reshape(-1))
        first, self.rows = self.rows, self.rows + count
        return np.arange(first, first + count).reshape(shape)

    def put(self, row: Any, column: Any, value: Any) -> None:
        """Coefficients; the three are broadcast against one another."""
        r, c, v = np.broadcast_arrays(row, column, np.asarray(value, np.float64))
        self.entries.append((r.reshape(-1), c.reshape(-1), v.reshape(-1)))

    def solve(self) -> Float64:
        """The values of all columns. An AssertionError if there is no answer: what is unserved may always stay so."""
        import highspy  # noqa: PLC0415 - a second to load

        row, column, value = (np.concatenate(parts) for parts in zip(*self.entries, strict=True))
        turn = np.lexsort((row, column))
        lp: Any = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, self.rows
        lp.col_cost_ = np.concatenate(self.cost)
        lp.col_lower_, lp.col_upper_ = np.zeros(self.columns), np.concatenate(self.most)
        lp.row_lower_, lp.row_upper_ = np.concatenate(self.lower), np.concatenate(self.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        starts = np.searchsorted(column[turn], np.arange(self.columns + 1))
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = starts, row[turn], value[turn]

        highs = silent_solver()
        highs.setOptionValue("threads", 1)
        highs.passModel(lp)
        run(highs)
        assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal, str(highs.getModelStatus())
        return np.asarray(highs.getSolution().col_value, np.float64)


class _Programme:
    """One path as a linear programme. Axes: items of the programme, its nodes, days from today."""

    def __init__(self, assessor: Assessor, means: Means, made: Made, served: Served, path: int, margin: float) -> None:
        self.assessor, self.means, self.made, self.path = assessor, means, made, path
        server = assessor.server
        history, usual, r = assessor.world.history, server.usual, server.resources
        asked, owner = made.history.orders, made.owner
        self.days = server.days
        at = made.template, made.day
        node_of, ship_of = usual.node[at], np.minimum(usual.ship[at], self.days - 1)
        late = np.zeros(r.total)
        late[served.short[0]] = served.short[1]
        late_items = late[r.item_from :]
        late_nodes = late[: r.nodes] + late[r.nodes : r.lane_from].reshape(r.services, r.nodes).sum(axis=0)
        weight = late_items.copy()
        busy = late_nodes[node_of[owner]] > 0
        np.add.at(weight, asked.item[busy], asked.units[busy])
        # What is promoted is part of it whatever else is.
        weight[assessor.promoted] += weight.max() + 1.0
        self.items: Int64 = np.argsort(-weight, kind="stable")[: min(_ITEMS_MAX, int((weight > 0).sum()))]
        self.nodes = self._nodes(late_nodes, made.history, node_of)
        self.region, self.reach = server.in_time(self.nodes, self.items)
        item_at = np.full(len(history.available), -1)
        item_at[self.items] = np.arange(len(self.items))
        shape = len(self.items), len(self.nodes), self.days
        region = self.region[made.template]
        mine = (item_at[asked.item] >= 0) & (region[owner] >= 0)
        self.wanted = np.zeros(shape)
        np.add.at(
            self.wanted,
            (item_at[asked.item[mine]], region[owner[mine]], ship_of[owner[mine]]),
            asked.units[mine],
        )
        self.wanted *= margin
        # Orders per unit of each item: one line of an order is that share of it.
        share = asked.units.astype(np.float64)
        lines = np.diff(asked.demand_first)[owner]
        self.orders_per_unit = np.ones(len(self.items))
        for i in range(len(self.items)):
            of = item_at[asked.item] == i
            if of.any():
                self.orders_per_unit[i] = float((1.0 / lines[of]).sum() / share[of].sum())
        whole = np.zeros((r.nodes, self.days))
        other = item_at[asked.item] < 0
        np.add.at(whole, (node_of[owner[other]], ship_of[owner[other]]), 1.0 / lines[other])
        self.own, self.limits = self._limits()
        self.room = np.maximum(self.limits - server.used[self.nodes, : self.days, 0] - whole[self.nodes], 0.0)
        # Days that an order may wait: half a day goes until the cut-off.
        self.grace = max(0, int(assessor.world.late_days - float(np.median(usual.days)) - 0.5))

    def _nodes(self, late: Float64, history: History, node_of: Int32) -> Int64:
        """Nodes that keep orders, or have stock of the items or usually send them."""
        r = self.assessor.server.resources
        stock = history.available[self.items].sum(axis=0).astype(np.float64)
        usual = np.bincount(node_of, minlength=r.nodes).astype(np.float64)
        rank = np.lexsort((-stock, -usual, -late))
        useful = (late > 0) | (stock > 0) | (usual > 0)
        useful[0] = False
        return np.array([k for k in rank.tolist() if useful[k]][:_NODES_MAX], np.int64)

    def _limits(self) -> tuple[Float64, Float64]:
        """Orders a day, inf: no limit: float64[nodes] by the node's own room, float64[nodes, H] by what its carriers
        take besides."""
        network: Network = self.assessor.server.network
        limits = np.where(network.limits == NO_LIMIT, np.inf, network.limits.astype(np.float64))[self.nodes]
        # Lines and units in orders, as the path has them.
        asked = self.made.history.orders
        orders = max(len(self.made.template), 1)
        per = np.array([1.0, len(asked.item) / orders, float(asked.units.sum()) / orders])
        own = (limits / per).min(axis=1)
        parcels = np.where(network.service_parcels == NO_LIMIT, np.inf, network.service_parcels.astype(np.float64))
        room = np.minimum(own, parcels.sum()) if len(parcels) else own
        return own, np.repeat(room[:, np.newaxis], self.days, axis=1)

    def solve(self) -> tuple[list[Remedy], float]:
        """Remedies, and units that stay unserved."""
        means, days, campaign = self.means, self.days, self.assessor.campaign
        items, nodes = len(self.items), len(self.nodes)
        every = (means.buy_minor, means.expedite_minor, means.transfer_minor, means.overtime_minor, means.far_minor)
        most = max(cost for cost in every if cost is not None)
        lp = _Rows()
        hold = lp.variables((items, nodes, days), _HOLDING)
        lost = lp.variables((items, nodes, days), most * _UNSERVED)
        # Stock: what was there, and comes, less what goes.
        arrivals, lots = self._arrivals()
        stock = lp.constraints(arrivals, arrivals, (items, nodes, days))
        lp.put(stock, hold, 1.0)
        lp.put(stock[:, :, 1:], hold[:, :, :-1], -1.0)
        # Demand takes its units when it comes: the solver sends from afar sooner than wait for stock. Axis 1 is the
        # node that is nearest to it.
        asked = lp.constraints(self.wanted, self.wanted, (items, nodes, days))
        lp.put(asked, lost, 1.0)
        # Room: what a node has taken waits there, no longer than it may.
        limited: Bool = np.isfinite(self.room).all(axis=1).reshape(nodes)
        room = np.where(limited[:, np.newaxis], self.room, 0.0)
        waits = lp.variables((nodes, days), 0.0, np.where(limited, np.inf, 0.0)[:, np.newaxis])
        done = lp.variables((nodes, days), 0.0)
        work = lp.constraints(0.0, 0.0, (nodes, days))
        lp.put(work, waits, 1.0)
        lp.put(work[:, 1:], waits[:, :-1], -1.0)
        lp.put(work, done, 1.0)
        able = lp.constraints(-np.inf, np.where(limited[:, np.newaxis], room, np.inf), (nodes, days))
        lp.put(able, done, 1.0)
        ahead = np.cumsum(np.concatenate([room, np.repeat(room[:, -1:], self.grace, axis=1)], axis=1), axis=1)
        soon = ahead[:, self.grace :] - ahead[:, :days]
        in_time = lp.constraints(-np.inf, np.where(limited[:, np.newaxis], soon, np.inf), (nodes, days))
        lp.put(in_time, waits, 1.0)
        for region, node in np.argwhere(self.reach.any(axis=0)).tolist():
            cost = 0.0 if region == node else means.far_minor
            take = lp.variables((items, days), cost, np.where(self.reach[:, region, node], np.inf, 0.0)[:, np.newaxis])
            lp.put(asked[:, region], take, 1.0)
            lp.put(stock[:, node], take, 1.0)
            lp.put(work[np.newaxis, node], take, -self.orders_per_unit[:, np.newaxis])
        found: dict[str, Any] = {}
        last = min(campaign.last + self.grace, days - 1)
        if means.overtime_minor is not None:
            allowed = np.where(np.isfinite(self.own), np.floor(means.overtime_share * self.own), 0.0)
            found["overtime"] = lp.variables((nodes,), means.overtime_minor * (last - campaign.first + 1), allowed)
            lp.put(able[:, campaign.first : last + 1], found["overtime"][:, np.newaxis], -1.0)
            for day in range(max(campaign.first - self.grace, 0), last):
                more = min(day + self.grace, last) - max(day, campaign.first - 1)
                lp.put(in_time[:, day], found["overtime"], -float(max(more, 0)))
        if means.buy_minor is not None and means.buy_days < days:
            found["buy"] = lp.variables((items, nodes, days - means.buy_days), means.buy_minor)
            lp.put(stock[:, :, means.buy_days :], found["buy"], -1.0)
        if means.transfer_minor is not None and means.transfer_days < days and nodes > 1:
            lead, size = means.transfer_days, days - means.transfer_days
            move = lp.variables((items, nodes, nodes, size), means.transfer_minor)  # from, to, day it leaves
            found["transfer"] = move
            for a in range(nodes):
                for b in range(nodes):
                    if a != b:
                        lp.put(stock[:, a, :size], move[:, a, b], 1.0)
                        lp.put(stock[:, b, lead:], move[:, a, b], -1.0)
        if means.expedite_minor is not None and lots:
            forwards: list[Int64] = []
            found["expedite"] = forwards
            for i, k, day, units in lots:
                forward = lp.variables((day - means.expedite_days,), means.expedite_minor)
                forwards.append(forward)
                lp.put(stock[i, k, means.expedite_days : day], forward, -1.0)
                lp.put(stock[i, k, day], forward, 1.0)
                lp.put(lp.constraints(-np.inf, units, (1,)), forward, 1.0)
        extra = self._extra()
        span = extra.shape[2]
        if means.spread_minor is not None and span > 1 and extra.any():
            # How much of the uplift, in days of it, is put off at the end of each day but the last.
            per_day = extra.sum(axis=2) / span
            later = lp.variables((span - 1,), means.spread_minor * float(per_day.sum()), float(span))
            found["spread"] = later
            for n in range(span - 1):
                day = campaign.first + n
                lp.put(asked[:, :, day], later[n], per_day)
                lp.put(asked[:, :, day + 1], later[n], -per_day)
            # A day has no less than nothing, and not many times what it had.
            each = lp.constraints(-1.0, _PROFILE_MAX - 1.0, (span,))
            lp.put(each[:-1], later, -1.0)
            lp.put(each[1:], later, 1.0)
        value = lp.solve()
        return self._told(value, found, lots, float(extra.sum())), float(value[lost].sum())

    def _arrivals(self) -> tuple[Float64, list[tuple[int, int, int, float]]]:
        """float64[items, nodes, H]: units that come, what is there first; lots that can be brought forward (item, node,
        day, units), by places in the programme."""
        history = self.assessor.world.history
        found = np.zeros((len(self.items), len(self.nodes), self.days))
        found[:, :, 0] = history.available[np.ix_(self.items, self.nodes)]
        lots: dict[tuple[int, int, int], float] = {}
        places = {int(item): i for i, item in enumerate(self.items.tolist())}
        nodes = {int(node): k for k, node in enumerate(self.nodes.tolist())}
        moves = history.moves
        for at, item, node, units in zip(
            moves.at.tolist(), moves.item.tolist(), moves.node.tolist(), moves.units.tolist(), strict=True
        ):
            day = max(0, int(at // DAY) - self.assessor.world.today)
            if item in places and node in nodes and day < self.days:
                i, k = places[item], nodes[node]
                found[i, k, day] += units
                if units > 0 and day > self.means.expedite_days:
                    lots[i, k, day] = lots.get((i, k, day), 0.0) + units
        # What goes out otherwise cannot take more than there is.
        floor = np.minimum.accumulate(np.cumsum(found, axis=2)[:, :, ::-1], axis=2)[:, :, ::-1]
        found[:, :, 0] -= np.minimum(floor[:, :, 0], 0.0)
        return found, [(*key, units) for key, units in sorted(lots.items())]

    def _extra(self) -> Float64:
        """float64[items, nodes, span]: units that the campaign adds on each of its days, by the node that would usually
        send them."""
        assessor, campaign = self.assessor, self.assessor.campaign
        units = assessor.paths.units[self.path]
        normal = float(assessor.paths.effect[self.path])
        wanted = with_campaign(units, normal, self.path, assessor.demand, campaign, 1.0)
        more = (wanted - units)[campaign.row, campaign.first : campaign.last + 1]
        rows = {int(item): n for n, item in enumerate(assessor.demand.item[campaign.row].tolist())}
        found = np.zeros((len(self.items), campaign.last - campaign.first + 1))
        for i, item in enumerate(self.items.tolist()):
            if item in rows:
                found[i] = np.maximum(more[rows[item]], 0)
        total = self.wanted.sum(axis=2)
        share = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-9)
        return found[:, np.newaxis] * share[:, :, np.newaxis]

    def _told(
        self, value: Float64, found: dict[str, Any], lots: Sequence[tuple[int, int, int, float]], extra: float
    ) -> list[Remedy]:
        means, campaign = self.means, self.assessor.campaign
        remedies: list[Remedy] = []

        def add(doing: Doing, amount: float, cost: float, *, item: int = -1, node: int = 0, source: int = 0,
                start: int = 0, before: int = 0, until: int = 0, profile: tuple[float, ...] = ()) -> None:  # fmt: skip
            units = int(np.ceil(amount - 1e-6))
            remedies.append(
                Remedy(
                    doing=doing, item=item, node=node, source=source, units=units, start_by=start, before=before,
                    until=until, cost_minor=units * cost, profile=profile,
                )
            )  # fmt: skip

        if "buy" in found:
            amount = value[found["buy"]]
            for i, k in np.argwhere(amount.sum(axis=2) > _LITTLE).tolist():
                # All of it by the day on which the first of it is needed.
                day = int(np.argmax(amount[i, k] > 1e-6)) + means.buy_days
                add("buy", float(amount[i, k].sum()), means.buy_minor or 0.0, item=int(self.items[i]),
                    node=int(self.nodes[k]), start=day - means.buy_days, before=day)  # fmt: skip
        if "transfer" in found:
            amount = value[found["transfer"]]
            for i, a, b in np.argwhere(amount.sum(axis=3) > _LITTLE).tolist():
                if a != b:
                    day = int(np.argmax(amount[i, a, b] > 1e-6)) + means.transfer_days
                    add("transfer", float(amount[i, a, b].sum()), means.transfer_minor or 0.0,
                        item=int(self.items[i]), node=int(self.nodes[b]), source=int(self.nodes[a]),
                        start=day - means.transfer_days, before=day)  # fmt: skip
        for (i, k, day, _), forward in zip(lots, found.get("expedite", ()), strict=False):
            amount = value[forward]
            if amount.sum() > _LITTLE:
                first = int(np.argmax(amount > 1e-6)) + means.expedite_days
                add("expedite", float(amount.sum()), means.expedite_minor or 0.0, item=int(self.items[i]),
                    node=int(self.nodes[k]), start=max(0, first - means.expedite_days), before=first,
                    until=day)  # fmt: skip
        if "overtime" in found:
            last = min(campaign.last + self.grace, self.days - 1)
            for k, amount in enumerate(value[found["overtime"]].tolist()):
                if amount > _LITTLE:
                    add("overtime", amount, (means.overtime_minor or 0.0) * (last - campaign.first + 1),
                        node=int(self.nodes[k]), start=campaign.first, before=campaign.first, until=last)  # fmt: skip
        if "spread" in found:
            later = np.concatenate([[0.0], value[found["spread"]], [0.0]])
            profile = 1.0 + later[:-1] - later[1:]
            put_off = float(later.sum()) * extra / len(profile)
            if put_off > _LITTLE:
                add("spread", put_off, means.spread_minor or 0.0, start=campaign.first, before=campaign.first,
                    until=campaign.last, profile=tuple(float(p) for p in profile))  # fmt: skip
        return sorted(remedies, key=lambda r: (r.start_by, r.before, r.doing, r.item, r.node, r.source))


def applied(world: World, campaign: Campaign, remedies: Sequence[Remedy]) -> tuple[World, Campaign]:
    """The world and the campaign with all of these done."""
    history, network = world.history, world.history.network
    rows: list[tuple[float, int, int, int]] = []
    limits, left = network.limits.copy(), network.left.copy()
    forward: dict[tuple[int, int, int], int] = {}
    for r in remedies:
        at = max((world.today + r.before) * DAY, history.begins)
        if r.doing in ("buy", "transfer", "expedite"):
            rows.append((at, r.item, r.node, r.units))
        if r.doing == "transfer":
            rows.append((max((world.today + r.start_by) * DAY, history.begins), r.item, r.source, -r.units))
        elif r.doing == "expedite":
            forward[r.item, r.node, r.until] = r.units
        elif r.doing == "overtime":
            most = limits[r.node] < NO_LIMIT
            limits[r.node, most] += r.units
            left[r.node, :, most] += r.units
        elif r.doing == "spread":
            campaign = replace(campaign, profile=np.array(r.profile))
    moves, inbound = history.moves, history.inbound
    units, promised = moves.units.copy(), inbound.units.copy()
    for (item, node, day), taken in forward.items():
        begin = world.today + day
        for amount, moments, where in ((units, moves.at, moves), (promised, inbound.ready, inbound)):
            rest = taken
            of = (where.item == item) & (where.node == node) & (moments // DAY == begin)
            for m in np.flatnonzero(of).tolist():
                part = min(rest, int(amount[m]))
                amount[m] -= part
                rest -= part
    at = np.concatenate([moves.at, [row[0] for row in rows]])
    turn = np.argsort(at, kind="stable")

    def column(known: Any, place: int, dtype: Any) -> Any:
        return np.concatenate([known, np.array([row[place] for row in rows], dtype)]).astype(dtype)[turn]

    more = Moves(
        at[turn], column(moves.item, 1, np.int32), column(moves.node, 2, np.int32), column(units, 3, np.int32),
        np.concatenate([moves.is_supply, np.zeros(len(rows), np.bool_)])[turn],
    )  # fmt: skip
    changed = replace(
        history,
        network=replace(network, limits=limits, left=left),
        moves=more,
        inbound=Inbound(inbound.known, inbound.ready, inbound.item, inbound.node, promised),
    )
    return replace(world, history=changed), campaign


__all__ = ["USUAL_MEANS", "Cure", "Means", "Remedy", "applied", "cure"]
