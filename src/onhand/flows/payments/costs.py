"""Book what payments cost, in the transaction that finds it: money given away, not collected, or taken back."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.costs import store
from onhand.costs.decide import apportion
from onhand.costs.model import Cost
from onhand.payments.amounts import gross, moved_by, whole_units
from onhand.payments.model import Payment, Sold

SOURCE: Final = "payment"
# (term, cause) of each, in the order of `_amounts`; what a provider takes for its service is no failure.
_TERMS: Final = (("goodwill", "given_back"), ("bad_debt", "unpaid"), ("chargeback", "disputed"), ("payment_fee", None))


def book_costs(conn: Connection[TupleRow], before: Payment, after: Payment, sold: Sold, now: datetime) -> None:
    """Book what a payment, whose row is locked, has come to cost, if that has changed."""
    if _amounts(before) != _amounts(after):
        channel_id = store.channels_of(conn, [after.order_id]).get(after.order_id)
        store.restate(conn, {(after.order_id, SOURCE)}, list(_costs(after, sold, channel_id, now)))


def _amounts(payment: Payment) -> tuple[int, int, int, int]:
    """What was given back and nothing came back for; what left and nobody pays; what a bank took back; fees."""
    return max(0, payment.elsewhere), payment.lost, payment.charged_back, payment.fee


def _costs(payment: Payment, sold: Sold, channel_id: int | None, now: datetime) -> Iterator[Cost]:
    """Each by the items that it was about: what left, in proportion to its price; what was ordered, while none has."""
    out = whole_units(sold.lines, moved_by(sold.shipments))
    weights = [gross(line, out[line.line_no], payment.terms) for line in sold.lines]
    if not sum(weights):
        weights = [gross(line, line.quantity, payment.terms) for line in sold.lines]
    for minor, (term, cause) in zip(_amounts(payment), _TERMS, strict=True):
        if not minor:
            continue
        shares = apportion(minor, weights) if sum(weights) else [0] * len(weights)
        parts = [(line.item_id, share) for line, share in zip(sold.lines, shares, strict=True) if share]
        for item_id, share in parts or [(None, minor)]:
            yield Cost(
                order_id=payment.order_id, source=SOURCE, kind="actual", term=term, minor=share,
                currency=payment.currency, at=now, cause=cause, item_id=item_id, channel_id=channel_id,
            )  # fmt: skip
