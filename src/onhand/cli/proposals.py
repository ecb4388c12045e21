"""Proposals as lines of text."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from onhand.base.money import EXPONENTS

if TYPE_CHECKING:
    from onhand.planning.store import Kept

ID_DIGITS = 8
"""The end of an id by which a proposal is shown and named."""


def lines(proposals: "Sequence[Kept]") -> Iterator[str]:
    """A table, a line each."""
    if not proposals:
        yield "no proposals"
        return
    heading = ("id", "do", "sku", "where", "units", "there by", "cost", "gain", "90 % of cases", "served", "status")
    yield from _columns([heading, *map(_cells, proposals)], left=(0, 1, 2, 3, 5, 10))


def said(result: dict[str, Any]) -> Iterator[str]:
    """What a plan came to, beside its proposals."""
    facts = result["facts"]
    forecast = result["forecast"]
    yield (
        f"{result['plan']} by {forecast['name']} until {forecast['origin']}: items {result['items']:,}, nodes"
        f" {result['nodes']:,}, proposals {result['proposals']:,}, older ones superseded {result['superseded']:,}"
    )
    for reason, count in facts.get("left_out", {}).items():
        yield f"items at nodes left out: {count:,} ({_LEFT_OUT[reason]})"
    if facts.get("closed_today"):
        yield f"items at nodes that cannot be ordered today: {facts['closed_today']:,}"
    if facts.get("lanes") == 0:
        yield "no lanes between these nodes, so nothing can be moved: POST /v1/lanes/batch, or `onhand import lanes`"
    if facts.get("gap"):
        yield f"a better plan could gain {facts['gap']:.2%} more at most"


_LEFT_OUT = {
    "no_supply": "nobody said how they are supplied: POST /v1/supply/batch, or `onhand import supply`",
    "no_unit_cost": "no cost of a unit, neither of the item nor of its supply",
    "no_price_or_stockout_cost": "no price and no cost of a stock-out, and no service level was given",
}


def _cells(p: "Kept") -> tuple[str, ...]:
    money, effect = _money(p.currency), p.effect
    where = f"{p.source or p.supplier} > {p.node}" if p.source or p.supplier else p.node
    before, after = effect["served_before"], effect["served_after"]
    served = f"{before['expected']:.0%} > {after['expected']:.0%}" if before and after else ""
    return (
        str(p.proposal_id).replace("-", "")[-ID_DIGITS:],
        p.kind.replace("_", " "),
        p.sku,
        where,
        f"{p.quantity:,}",
        str(p.expected_at or ""),
        money(p.cost_minor) if p.price_minor is None else f"at {money(p.price_minor)}",
        money(effect["money_minor"]),
        f"{money(effect['money_low_minor'])} to {money(effect['money_high_minor'])}",
        served,
        p.status,
    )


def _money(currency: str | None) -> Callable[[int], str]:
    digits = EXPONENTS.get(currency or "", 2)

    def told(minor: int) -> str:
        return f"{Decimal(minor).scaleb(-digits):,.{digits}f}"

    return told


def _columns(rows: Sequence[tuple[str, ...]], *, left: Sequence[int]) -> Iterator[str]:
    """Whole lines however narrow the screen is: a number that is cut off is worse than a line that wraps."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(c.ljust(width) if n in left else c.rjust(width) for n, (c, width) in enumerate(cells)).rstrip()
