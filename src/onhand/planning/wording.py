"""A proposal in one sentence: what to do, until when, and why. Pure."""

from decimal import Decimal

from onhand.base.money import EXPONENTS
from onhand.planning.model import Kind, Proposal


def explained(proposal: Proposal, currency: str | None, *, kept: int | None = None) -> str:
    """kept: the safety stock until now, of a safety stock"""
    p, effect = proposal, proposal.effect

    def money(minor: int) -> str:
        digits = EXPONENTS.get(currency or "", 2)
        amount = f"{Decimal(minor).scaleb(-digits):,.{digits}f}"
        return f"{amount} {currency}" if currency else amount

    sold = f"{effect.units_saved:,.1f} more units are expected to be sold"
    if p.kind is Kind.TRANSFER:
        return (
            f"Move {p.quantity:,} of {p.sku} from {p.source} to {p.node}, there on {p.expected_at}: {sold}, worth"
            f" {money(effect.money_minor)} after {money(p.cost_minor)} for the way."
        )
    if p.kind is Kind.PURCHASE:
        return (
            f"Order {p.quantity:,} of {p.sku} for {p.node} from {p.source}, there on {p.expected_at}: {sold};"
            f" {_chance(p)}, which is worth {money(effect.money_minor)}."
        )
    if p.kind is Kind.PRICE:
        assert p.price_minor is not None, "a price has one"
        return (
            f"Ask {money(p.price_minor)} for {p.sku} at {p.node}: {sold} than at the full price, which brings"
            f" {money(effect.money_minor)} more than keeping them."
        )
    instead = "" if kept is None else f" instead of {kept:,}"
    return (
        f"Keep {p.quantity:,} of {p.sku} back at {p.node}{instead}: {_chance(p)}, which is worth"
        f" {money(effect.money_minor)}."
    )


def _chance(p: Proposal) -> str:
    before, after = p.effect.service_before, p.effect.service_after
    assert before is not None and after is not None, "known of purchases and safety stocks"
    return f"the chance to serve all demand goes from {before:.0%} to {after:.0%}"


def placed_across(
    source: str | None, *, inbound_days: int, days: int, quoted_days: int | None, has_customers: bool
) -> str:
    """The service times of a node, in a sentence. source: node that feeds it; quoted_days: to those it feeds"""
    fed = "what is bought is there" if source is None else f"{source} sends {_within(inbound_days)}, it is there"
    later = f"after {_days(days)}" if source is None else f"{_days(days)} later"
    quotes = [] if quoted_days is None else [f"it quotes {_days(quoted_days)} to the nodes that it feeds"]
    if has_customers:
        quotes.append("its own customers do not wait")
    return f"Placed across nodes: {fed} {later}{'; ' if quotes else ''}{', and '.join(quotes)}."


def placed_alone(reason: str) -> str:
    """Why a node is planned by itself."""
    return f"Planned for this node alone: {reason}."


def _within(days: int) -> str:
    return f"within {_days(days)}" if days else "at once"


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"
