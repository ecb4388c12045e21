"""An account at Stripe on the bench: the fake, in this process."""

from datetime import UTC, datetime

from onhand.connectors._sdk.conformance import Bench, Delivery, InProcess
from onhand.twin.fakes.stripe import Account

URL = "https://onhand.test/v1/channels/cards/inbound"


class StripeBench(Bench):
    def __init__(self):
        self.account = Account(key="sk_test_7c1d93b05f2e84a6", hook_secret="whsec_b1946ac92492d234")
        super().__init__(
            {"url": "http://stripe.test"},
            {"api_key": self.account.key, "webhook_secret": self.account.hook_secret},
        )

    def sender(self):
        return InProcess(self.account.app())

    def card(self, *, pays=True):
        return "pm_ok" if pays else "pm_declined"

    def moved(self, payment_id):
        intent = self.account.intents[payment_id]
        charge = intent["latest_charge"]
        return intent["amount_capturable"], intent["amount_received"], charge["amount_refunded"]

    def payments(self):
        return sum(row.kind == "authorise" for row in self.account.ledger)

    # Whoever sends messages has something to tell of: here a payment.

    def offer(self, sku, units):
        return sku

    def buy(self, lines, *, at=None):
        form = {"amount": "100", "currency": "eur", "payment_method": "pm_ok", "capture_method": "manual"}
        return self.account.create(form)["id"]

    def change(self, order_id, *, at=None):
        self.account.events.append({})

    def message(self, order_id, *, secret=None):
        kept, number = self.account.hook_secret, len(self.account.events)
        self.account.hook_secret = kept if secret is None else secret
        kind = "payment_intent.amount_capturable_updated"
        event = {"id": f"evt_{number}", "type": kind, "data": {"object": {"id": order_id}}}
        headers, body = self.account.deliver(event, at=datetime.now(UTC))
        self.account.hook_secret = kept
        return Delivery(headers=headers, body=body, url=URL)


make = StripeBench
