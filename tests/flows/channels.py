"""A merchant with a shop at a vendor, which is a fake on loopback; and the steps of listening to it, one by one."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store
from onhand.channels.model import ChannelIn, ListingIn
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.hear_channels import Ear
from onhand.flows.set_up import set_channel, set_listing
from onhand.flows.take_orders import Follower
from onhand.twin.fakes import sqs

WOO = {
    "currency": "USD", "connector": "woocommerce",
    "credentials": {"consumer_key": "ck_fake", "consumer_secret": "cs_fake", "webhook_secret": "hook"},
}  # fmt: skip
SHOPIFY = {
    "currency": "USD", "connector": "shopify", "credentials": {"access_token": "shpat_fake", "webhook_secret": "hook"},
}  # fmt: skip


def amazon_at(account, url):
    """(document, settings) of a channel of an account at Amazon, with its queue."""
    document = {
        "currency": "USD", "connector": "amazon",
        "credentials": {
            "client_id": account.client_id, "client_secret": account.client_secret,
            "refresh_token": account.refresh_token, "aws_access_key_id": account.queue.key_id,
            "aws_secret_access_key": account.queue.secret,
        },
    }  # fmt: skip
    settings = {
        "token_url": f"{url}/auth/o2/token", "seller_id": account.seller_id, "marketplace_id": account.marketplace_id,
        "queue_url": f"{url}{sqs.PATH}", "queue_wait_s": 0,
    }  # fmt: skip
    return document, settings


def woo_with_a(merchant, url, fake, folder):
    """A channel of a shop of WooCommerce that sells A, of which ten are in Berlin."""
    made = Storefront(merchant, fake, url, folder)
    merchant.stock("berlin", A=10)
    made.list("A", str(fake.add_product("A", 10)))
    return made


class Storefront:
    """Channel `code` of a merchant at the fake `fake`, which is served at `url`; each method is one step of a worker,
    on an event loop of its own."""

    def __init__(self, merchant, fake, url, folder, *, code="woo", document=WOO, **settings):
        self.merchant, self.fake, self.url, self.code = merchant, fake, url, code
        self.db = merchant.db
        self.connectors = Connectors(folder)
        document = document | {"settings": {"url": url, **settings}}
        set_channel(self.db, code, ChannelIn.model_validate(document), by=SYSTEM, connectors=self.connectors)
        merchant.state.reload_network()
        with self.db.connection() as conn:
            self.channel_id = store.find_channel(conn, code)
        self.follower = Follower(merchant.state)
        self.ear = self.new_ear()

    def new_ear(self, **more):
        return Ear(self.db, self.follower, **{"read_every_s": 0.0} | more)

    def close(self):
        self.follower.close()

    def do(self, work):
        """The result of `work(account)`."""

        async def go():
            async with Accounts(self.db, self.connectors, allow_private_urls=True) as accounts:
                return await work(await accounts.get(self.code))

        return asyncio.run(go())

    def list(self, sku, external_id):
        set_listing(self.db, self.code, sku, ListingIn(external_id=external_id), by=SYSTEM)

    def receive(self, headers, body, topic=None):
        """A message comes in, as the route would keep it; False: a repeat."""

        async def go(account):
            said = account.connector.receive(
                headers, body, url="", credentials=account.connection.credentials, now=datetime.now(UTC)
            )
            with self.db.connection() as conn:
                return store.add_message(conn, self.channel_id, dedupe=said.dedupe, topic=said.topic, body=body)

        return self.do(go)

    def deliver(self, order, **more):
        return self.receive(*self.fake.deliver(order, **more))

    def hear(self, times=3):
        """Work on messages and what is behind, until nothing is due."""
        for _ in range(times):
            if not self.do(self.ear.messages):
                break

    def poll(self):
        return self.do(self.ear.orders)

    def reconcile(self):
        """The report."""
        number = self.do(lambda account: self.ear.reconcile(account, forced=True))
        with self.db.connection() as conn:
            return next(r for r in store.list_reports(conn, self.channel_id, before=number + 1, limit=1))

    def tell(self):
        """Write and send notices of all that has happened."""
        with self.db.connection() as conn:
            settle(conn)
        self.ear.write_notices()
        return self.do(self.ear.notices)

    def now_due(self):
        """Let time pass: whatever waits for its next try is tried now."""
        with self.db.connection() as conn:
            for table, column in (
                ("channel_message", "next_try_at"), ("channel_notice", "next_try_at"), ("channel_reading", "next_at"),
            ):  # fmt: skip
                conn.execute(f"UPDATE {table} SET {column} = now() WHERE {column} > now()")
            conn.execute("UPDATE channel_order SET next_try_at = now() WHERE next_try_at <> 'infinity'")

    def messages(self):
        """[(topic, status, attempts, error)]"""
        with self.db.connection() as conn:
            rows = store.list_messages(conn, self.channel_id, status=None, after=0, limit=1000)
        return [(r["topic"], r["status"], r["attempts"], r["error"]) for r in rows]

    def rows(self):
        """{external id: (status, problem)}"""
        with self.db.connection() as conn:
            rows = store.list_orders(conn, self.channel_id, status=None, problems=False, after="", limit=1000)
        return {r["external_id"]: (r["status"], r["problem"]) for r in rows}

    def notices(self):
        """[(kind, shipment_no, status, attempts, error)]"""
        with self.db.connection() as conn:
            rows = store.list_notices(conn, self.channel_id, status=None, after=0, limit=1000)
        return [(r["kind"], r["shipment_no"], r["status"], r["attempts"], r["error"]) for r in rows]

    def order(self, external_id):
        """Our order, None if there is none."""
        with self.db.connection() as conn:
            found = store.orders_here(conn, self.channel_id, [str(external_id)])
        return self.merchant.order(found[str(external_id)]) if found else None

    def open_units(self, external_id):
        """{line id: units that are not cancelled} of ours."""
        order = self.order(external_id)
        return {} if order is None else {line.line_id: line.open for line in order.lines if line.open}


def later(order, seconds=1):
    """The order of WooCommerce changed `seconds` later than it was."""
    moment = datetime.fromisoformat(order["date_modified_gmt"]) + timedelta(seconds=seconds)
    order["date_modified_gmt"] = moment.isoformat(timespec="seconds")
    return order


def copy(order):
    return json.loads(json.dumps(order))
