"""Try a payment again now: because somebody has talked to the customer, or has another way to pay."""

from dataclasses import replace

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound
from onhand.flows.payments.look import Page, look
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.orders.store import order_uuid
from onhand.payments import store


def retry_payment(
    state: State,
    order_id: str,
    *,
    token: str | None = None,
    customer: str | None = None,
    by: Actor,
    transact: Transactor | None = None,
) -> dict[str, object]:
    """Forget what was declined and decide again at once; what is under way is asked for again by its key.

    token, customer  instead of those so far

    Raises NotFound, Conflict `payment.under_way` when another token or customer comes while the old one may be asked.
    """
    order_id, now = order_uuid(order_id, "payment"), state.now()

    def work(conn: Connection[TupleRow]) -> dict[str, object]:
        before = store.lock(conn, order_id)
        if before is None:
            raise NotFound("payment", order_id)
        operation = store.open_operation(conn, order_id)
        another = token not in (None, before.token) or customer not in (None, before.customer)
        if operation is not None and operation.kind == "authorise" and another:
            # It will be asked for again by its key, and a key is of one request, word for word.
            raise Conflict(
                "payment.under_way",
                f"payment {order_id} is being authorised by its token and customer so far: try again once that has"
                " ended",
                order_id=order_id,
            )
        calm = replace(
            before, tries=0, ask_at=None, give_at=None, order_at=None, has_given_up=False, trouble=None,
            token=before.token if token is None else token,
            customer=before.customer if customer is None else customer,
        )  # fmt: skip
        if operation is None:
            sold = store.load_sold(conn, [order_id])[order_id]
            look(conn, [Page(before=before, payment=calm, sold=sold)], now, origin=state.db.origin)
        else:
            store.save(conn, [store.Saved(before=before, after=calm, look_at=None)], now)
            store.hurry(conn, order_id, now)
        about = {"order_id": order_id, "currency": before.currency}
        write_event(conn, "payment.retried", order_id, about, actor=by, origin=state.db.origin)
        found = store.get_payment(conn, order_id)
        assert found is not None, "its row is locked"
        return found

    done = (transact or state.db.transact)(work)
    state.db.notify()
    return done
