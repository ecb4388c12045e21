"""A merchant whose orders are paid at an account of the fake Stripe, and the steps of a worker, one by one."""

import asyncio
import json
from datetime import timedelta

from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store as inbound
from onhand.channels.model import ChannelIn
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import ship
from onhand.flows.hear_channels import Ear
from onhand.flows.payments.cashier import Cashier
from onhand.flows.payments.tend import tend
from onhand.flows.return_order import return_order
from onhand.flows.set_up import set_channel
from onhand.flows.take_orders import Follower
from onhand.orders.decide import Amount
from onhand.payments import store

CARDS = {
    "currency": "EUR",
    "connector": "stripe",
    "credentials": {"api_key": "sk_test_fake", "webhook_secret": "whsec_fake"},
}


class Till:
    """Channel `cards` of a merchant at the fake `fake`, which is served at `url`."""

    def __init__(self, merchant, fake, url, folder, **settings):
        self.merchant, self.fake, self.url, self.db = merchant, fake, url, merchant.db
        self.connectors = Connectors(folder)
        document = CARDS | {"settings": {"url": url, **settings}}
        set_channel(self.db, "cards", ChannelIn.model_validate(document), by=SYSTEM, connectors=self.connectors)
        merchant.state.reload_network()
        self.follower = Follower(merchant.state)

    def close(self):
        self.follower.close()

    def do(self, work):
        async def go():
            async with Accounts(self.db, self.connectors, allow_private_urls=True) as accounts:
                return await work(await accounts.get("cards"))

        return asyncio.run(go())

    def place(self, *lines, token="pm_ok", tax=None, **extra):
        payment = {"provider": "cards", "token": token, "customer": "cus_1"} | extra.pop("payment", {})
        rows = [
            {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": price}
            | ({} if tax is None else {"tax_minor": tax})
            for n, (sku, units, price) in enumerate(lines, 1)
        ]
        return self.merchant.place(lines=rows, payment=payment, **extra)["order_id"]

    def work(self, *, after=timedelta()):
        """All that a worker would do, until nothing is due; `after` so much time."""
        self.merchant.now += after
        for _ in range(60):
            with self.db.connection() as conn:
                settle(conn)
            tended = tend(self.merchant.state)
            if not tended + self.do(Cashier(self.merchant.state).work):
                return
        raise AssertionError("there is always something due")

    def ship(self, order_id, number=1, **lines):
        rows = [Amount(line_id=line, quantity=n) for line, n in lines.items()] or None
        ship(self.merchant.state, f"{order_id}-f{number}", lines=rows, by=SYSTEM)

    def bring_back(self, order_id, node="berlin", **lines):
        rows = [Amount(line_id=line.strip("_"), quantity=n) for line, n in lines.items()]
        return_order(self.merchant.state, order_id, node, rows, "restock", by=SYSTEM)

    def cancel(self, order_id, **lines):
        rows = [Amount(line_id=line.strip("_"), quantity=n) for line, n in lines.items()] or None
        cancel_order(self.merchant.state, order_id, rows, by=SYSTEM)

    def payment(self, order_id):
        with self.db.connection() as conn:
            return store.get_payment(conn, order_id)

    def sums(self, order_id):
        """(status, authorised, captured, refunded, voided)"""
        found = self.payment(order_id)
        return found["status"], *(found[f"{n}_minor"] for n in ("authorised", "captured", "refunded", "voided"))

    def totals(self):
        """Sums of our entries, by the words of the fake's ledger."""
        with self.db.connection() as conn:
            rows = conn.execute("SELECT debit, credit, sum(amount)::bigint FROM payment_entry GROUP BY 1, 2").fetchall()
        sums = {(debit, credit): amount for debit, credit, amount in rows}
        captured = sums.get(("cash", "owed"), 0)
        return {
            "authorise": sums.get(("held", "limit"), 0), "capture": captured,
            "release": sums.get(("limit", "held"), 0) - captured, "refund": sums.get(("owed", "cash"), 0),
        }  # fmt: skip

    def events(self, order_id):
        kinds = self.merchant.events(order_id)
        return [kind for kind in kinds if kind.startswith(("payment.", "invoice.", "credit_note."))]

    def hear(self, events):
        """Messages of the provider come in and are worked on."""
        ear = Ear(self.db, self.follower, now=lambda: self.merchant.now)

        async def go(account):
            for event in events:
                headers, body = self.fake.deliver(json.loads(json.dumps(event)), at=self.merchant.now)
                said = account.connector.receive(
                    headers, body, url="", credentials=account.connection.credentials, now=self.merchant.now
                )
                with self.db.connection() as conn:
                    inbound.add_message(conn, account.channel_id, dedupe=said.dedupe, topic=said.topic, body=body)
            await ear.messages(account)

        self.do(go)
