"""Raise the price of scarce items so that what there is lasts, step by step, and ask the old price again afterwards."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import onhand.catalog.store as catalog
from onhand.db import queries
from onhand.db.outbox import write_event
from onhand.flows.autopilot.measures import MARGIN_RATE
from onhand.flows.demand.elasticity import elasticities
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.targets import numbers_by_sku
from onhand.incidents.playbooks.facts import number, with_numbers
from onhand.incidents.playbooks.model import ELASTICITY_MAX, ELASTICITY_MIN, ThrottlePriceIn, duration
from onhand.incidents.playbooks.throttle import Bounds, throttled_price

SQL = queries(__file__)


class ThrottlePrice:
    """See ThrottlePriceIn."""

    def mean(self, at: At[ThrottlePriceIn]) -> Meant | HeldOut | Nothing:
        step = at.step
        again = duration(step.again) if step.again is not None and _taken(at) + 1 < step.times else None
        # For each item by its own finding: (days, units wanted a day).
        lasts = {sku: _lasts(at, numbers) for sku, numbers in numbers_by_sku(at.case).items()}
        named = list(lasts)
        free = at.unowned([("item", sku) for sku in named])
        mine = at.claim("price", [sku for sku in named if ("item", sku) in free])
        prices = catalog.lock_prices(at.conn, mine)
        items = {p.item_id for p in prices}
        stock = dict(at.conn.execute(SQL["free_units"], {"items": sorted(items)}).fetchall())
        begun = _begun(at)
        bounds = Bounds(step_max=step.step_max, total_max=step.total_max, cap_minor=step.cap_minor)
        asked: dict[str, tuple[int, int]] = {}
        scarce = [p.sku for p in prices if p.price_minor and math.prod(lasts[p.sku]) > stock.get(p.item_id, 0)]
        answers = _answers(at, scarce)
        for p in prices:
            if p.price_minor and p.sku in answers:
                days, rate = lasts[p.sku]
                new = throttled_price(
                    price_minor=p.price_minor, begun_minor=begun.get(p.sku, p.price_minor), rate_per_day=rate,
                    units=float(stock.get(p.item_id, 0)), days=days, elasticity=answers[p.sku][0], bounds=bounds,
                )  # fmt: skip
                if new != p.price_minor:
                    asked[p.sku] = (p.price_minor, new)
        cursor = None if again is None else str(_taken(at) + 1)
        if not asked:
            return Nothing("no price is better than the one that is asked", cursor, again)
        asked, beyond = _within(at, asked, named)
        if not asked:
            return Nothing(SUBJECTS_REACHED, cursor, again)
        targets = {
            p.sku: at.target(
                ("item", p.sku), stake_minor=at.stake(len(asked)),
                judge_at=at.now + timedelta(days=max(lasts[p.sku][0], 1)),
                basis={"expected_minor": math.prod(lasts[p.sku]) * _margin(p.price_minor, p.unit_cost_minor)},
            )
            for p in prices if p.sku in asked
        }  # fmt: skip
        skus, left_undone = at.apart(sorted(asked), lambda sku: ("item", sku))
        held_out = tuple(targets[sku] for sku in left_undone)
        if not skus:
            return HeldOut(targets=held_out, cursor=cursor, again_in=again)
        asked = {sku: asked[sku] for sku in skus}

        def do() -> Did:
            _ask(at, {p.sku: (p.item_id, asked[p.sku][1]) for p in prices if p.sku in asked})
            undo = {"prices": [[sku, was, new] for sku, (was, new) in sorted(asked.items())]}
            result = {
                "prices": {sku: new for sku, (_, new) in asked.items()},
                "elasticity": {sku: answers[sku][1] for sku in asked}, **beyond,
            }  # fmt: skip
            return Did(result=result, undo=undo, cursor=cursor, again_in=again)

        says = {
            "prices": {sku: {"was": was, "new": new} for sku, (was, new) in asked.items()},
            "elasticity": {sku: answers[sku][1] for sku in asked},
        }
        return Meant(
            key=("item", skus[0]), also=tuple(("item", sku) for sku in skus[1:]), direction=1, do=do,
            subjects=len(skus), says=says, held_out=held_out, targets=tuple(targets[sku] for sku in skus),
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {sku: (was, new) for sku, was, new in undo["prices"]}
        prices = catalog.lock_prices(at.conn, rows)
        # Somebody else's price is left alone.
        ours = {p.sku: (p.item_id, rows[p.sku][0]) for p in prices if p.price_minor == rows[p.sku][1]}
        _ask(at, ours)
        return Undone(result={"restored": len(ours), "left": len(rows) - len(ours)})


def _ask(at: Place, prices: Mapping[str, tuple[int, int]]) -> None:
    if not prices:
        return
    catalog.set_prices(at.conn, dict(prices.values()))
    data = {"items": [{"sku": sku, "item_id": item} for sku, (item, _) in sorted(prices.items())]}
    write_event(at.conn, "item.changed", "items", data, actor=at.by, origin=0)
    for sku, (_, price) in sorted(prices.items()):
        told = {"sku": sku, "price_minor": price, "run_id": at.run.run_id, "incident_id": at.case.incident_id}
        write_event(at.conn, "price.throttled", sku, told, actor=at.by, origin=at.state.db.origin)


def _lasts(at: At[ThrottlePriceIn], numbers: Mapping[str, float]) -> tuple[float, float]:
    known = with_numbers(at.known, numbers)
    return number(at.step.days, known), number(at.step.rate_per_day, known)


def _answers(at: At[ThrottlePriceIn], skus: Sequence[str]) -> dict[str, tuple[float, dict[str, Any]]]:
    """The elasticity to reckon with for each item, and what is told of it."""
    if at.step.elasticity is not None or not skus:
        stated = at.step.elasticity or 0.0
        return dict.fromkeys(skus, (stated, {"value": stated, "rests_on": "playbook"}))
    # Prices that are raised because much is wanted would look like the cause of it.
    found = elasticities(at.conn, skus, at.case.opened_at.date())
    # Beyond what a playbook may say, a price would have to rise without end, or not at all.
    return {sku: (min(max(e.value, ELASTICITY_MIN), ELASTICITY_MAX), e.facts()) for sku, e in found.items()}


def _taken(at: At[ThrottlePriceIn]) -> int:
    """How often the step was taken before, whether there was something to do or not."""
    return int(at.run.cursor or 0)


def _margin(price_minor: int | None, cost_minor: int | None) -> float:
    price = price_minor or 0
    return price * MARGIN_RATE if cost_minor is None else max(price - cost_minor, 0)


def _within(
    at: At[ThrottlePriceIn], asked: Mapping[str, tuple[int, int]], dearest: Sequence[str]
) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Prices as far as the limit goes, and what is said of the others. One that the step has changed before is no
    further one."""
    parts = [p.undo for p in at.parts if p.step_no == at.run.step_no and p.undo is not None]
    before = {sku for undo in parts for sku, *_ in undo["prices"]}
    left = at.left.subjects
    fresh = [sku for sku in dearest if sku in asked and sku not in before]
    kept = fresh if left is None else fresh[: max(left - len(before), 0)]
    beyond = len(fresh) - len(kept)
    return (
        {sku: prices for sku, prices in asked.items() if sku in before or sku in kept},
        {"beyond_limit": beyond} if beyond else {},
    )


def _begun(at: At[ThrottlePriceIn]) -> dict[str, int]:
    """Prices before the run's first change that stands."""
    begun: dict[str, int] = {}
    for part in at.parts:
        if part.kind == "throttle_price" and part.undo is not None and part.undone_at is None:
            for sku, was, _ in part.undo["prices"]:
                begun.setdefault(sku, was)
    return begun
