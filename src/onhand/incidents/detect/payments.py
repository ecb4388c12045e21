"""Goods and money that do not agree: a fact, until the day is held again and balances.

What is not explained stays open from day to day, so that days are not added: the latest one says what it comes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from onhand.incidents.model import Finding, Kind, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongDay:
    """A day that does not balance in a currency. minor: what nobody can explain; orders: so many, `named` some of
    them; over_at: when the day was over."""

    day: date
    currency: str
    minor: int
    orders: int
    named: tuple[str, ...]
    over_at: datetime


def findings(wrong: Sequence[WrongDay]) -> list[Finding]:
    """One of each currency."""
    out: list[Finding] = []
    for currency in sorted({w.currency for w in wrong}):
        days = sorted((w for w in wrong if w.currency == currency), key=lambda w: w.day)
        latest = days[-1]
        named = f", in orders such as {', '.join(latest.named)}" if latest.named else ""
        since = f" ({len(days)} days do not balance since {days[0].day})" if len(days) > 1 else ""
        out.append(
            Finding(
                kind=Kind.PAYMENTS_UNBALANCED, subject=Subject("currency", (currency,)), loss_minor=latest.minor,
                confidence=1.0, since=days[0].over_at,
                numbers={"days": len(days), "orders": latest.orders, "minor": latest.minor},
                sentence=(
                    f"Goods and money of {latest.day} differ by {latest.minor} minor units of {currency} that"
                    f" nothing explains{named}{since}."
                ),
            )
        )  # fmt: skip
    return out
