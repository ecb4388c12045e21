"""Amazon: against its models, its notifications, and an account that its own client can talk to."""

import asyncio
import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from onhand.connectors import NotGenuine, Refused, Unavailable, find
from onhand.connectors._sdk.filled_in import completed
from onhand.connectors._sdk.translate import translate
from onhand.connectors._sdk.values import Address, Fate, Fulfilment, FulfilmentLine, Parcel, Write
from onhand.connectors.amazon import feeds, usage_plans
from onhand.connectors.amazon.sqs import Keys, Queue, sign
from onhand.twin.fakes import amazon, sqs
from onhand.wire import Caller, Guard, Request

from .judges import Described, prism
from .running import CONTRACTS, TLS, Turns, Wire, connect, needs_contracts, said, serving, talk

AMAZON = find("amazon").connector
MODELS = CONTRACTS / "amazon-sp-api/models"
NOTIFICATIONS = CONTRACTS / "amazon-sp-api/schemas/notifications"
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def account():
    account = amazon.Account(speed=1_000.0)
    with serving(account.app()) as url:
        account.url = url
        yield account


def settings_of(account, **more):
    given = {
        "url": account.url, "token_url": f"{account.url}/auth/o2/token", "seller_id": account.seller_id,
        "marketplace_id": account.marketplace_id, "queue_url": f"{account.url}{sqs.PATH}", "queue_wait_s": 0,
    }  # fmt: skip
    return completed(AMAZON.settings, given | more)


def credentials_of(account):
    return {
        "client_id": account.client_id, "client_secret": account.client_secret,
        "refresh_token": account.refresh_token, "aws_access_key_id": account.queue.key_id,
        "aws_secret_access_key": account.queue.secret,
    }  # fmt: skip


class Recorder:
    """Sends, and remembers what was asked and answered."""

    def __init__(self, sender):
        self.sender, self.seen = sender, []

    async def send(self, request):
        answer = await self.sender.send(request)
        self.seen.append((request, answer))
        return answer


def ask(account, work, *, limiter=None, credentials=None, seen=None, **settings):
    async def go(connection):
        recorder = Recorder(connection.sender)
        try:
            return await work(replace(connection, sender=recorder))
        finally:
            if seen is not None:
                seen.extend(recorder.seen)

    return talk(
        go,
        settings=settings_of(account, **settings),
        credentials=credentials or credentials_of(account),
        limiter=limiter or Turns(),
    )


def fault(account, **said):
    async def go(connection):
        body = json.dumps([said]).encode()
        await connection.sender.send(Request(method="POST", url=f"{account.url}/_fake/faults", body=body))

    ask(account, go)


def write(sku, quantity):
    return Write(external_id=sku, quantity=quantity, key=f"{sku}-{quantity}")


def push(account, *writes, **more):
    return ask(account, lambda c: AMAZON.push_stock(c, writes), **more)


def confirm(account, writes, ticket="", **more):
    return ask(account, lambda c: AMAZON.confirm_stock(c, writes, ticket), **more)


def everything(account, pull, at=None):
    """Records, rejects and cursor of all pages."""

    async def work(connection):
        found, rejects, cursor = [], [], at
        while True:
            page = await pull(connection, cursor)
            found += page.records
            rejects += page.rejects
            if page.next is None:
                return found, rejects, page.cursor
            assert page.next != cursor, "reading does not come on"
            cursor = page.next

    return ask(account, work)


def orders(connection, at):
    return AMAZON.pull_orders(connection, at, since=SINCE)


def shipments(connection, at):
    return AMAZON.pull_shipments(connection, at, since=SINCE)


# The contract ---------------------------------------------------------------------------------------------------------


@needs_contracts
def test_limits_are_those_of_the_models():
    told = usage_plans.plans(MODELS)
    ours = {name: (plan.rate_per_s, plan.burst) for name, plan in AMAZON.document.plans.items()}
    assert ours == told
    assert dict(amazon.PLANS) == {name: told[name] for name in amazon.PLANS}
    assert ours["searchOrders"] == (0.0056, 20)


def example_orders():
    model = json.loads((MODELS / "orders_2026-01-01.json").read_text())
    found = []
    for path in model["paths"].values():
        for example in path["get"]["responses"]["200"]["x-amzn-api-sandbox"]["static"]:
            answer = example["response"]
            found += answer.get("orders") or [answer["order"]]
    return found


@needs_contracts
def test_example_orders_of_the_model_are_read():
    values, rejects = translate(example_orders(), AMAZON._make["order"])
    assert rejects == []
    by_id = {order.external_id: order for order in values}
    golden = {
        "250-1234567-8901234": (
            "JP-ORDER-2024-001", "completed", "JPY", "Tokyo", "123 Business Park, Suite 456",
            [
                ("25012345678901", "ECHO-DOT-4-JP-CHARCOAL", 1, 0, 5980),
                ("25012345678902", "FIRE-TV-4K-MAX-JP", 2, 0, 6980),
            ],
        ),
        "202-7654321-1098765": (
            "UK-CONSUMER-ORDER-2024-002", "completed", "GBP", "London", "45 Oak Avenue, Flat 2A",
            [("20276543210987", "ECHO-DOT-4-UK-CHARCOAL-SINGLE", 1, 0, 3499)],
        ),
        "171-9876543-2109876": (
            "BR-CONSUMER-ORDER-2024-003", "open", "BRL", "São Paulo", "Rua das Flores, 123, Apartamento 45",
            [("17198765432109", "ECHO-DOT-4-BR-PRETO", 1, 0, 29990)],
        ),
    }  # fmt: skip
    assert set(golden) <= set(by_id)
    assert len(by_id) >= 5
    for order_id, expected in golden.items():
        order = by_id[order_id]
        lines = [(li.line_id, li.sku, li.quantity, li.cancelled, li.price_minor) for li in order.lines]
        where = order.destination
        assert (order.number, order.status, order.currency, where.city, where.street, lines) == expected
    brazil = by_id["171-9876543-2109876"]
    assert brazil.placed_at == datetime(2024, 12, 24, 20, 30, tzinfo=UTC)
    assert (brazil.updated_at, brazil.service) == (datetime(2024, 12, 25, 8, 15, tzinfo=UTC), "STANDARD")
    assert (brazil.destination.country, brazil.destination.region, brazil.phone) == ("BR", "SP", "+55 11 98765-4321")


def everything_asked(account):
    """What is asked and answered when everything is done once."""
    for n in range(30):
        account.add_product(f"SKU {n}/x,y" if n == 0 else f"SKU-{n}", 5, warehouse=5)
    order = account.buy({"SKU-1": 2})
    account.buy({"SKU-2": 1}, paid=False)
    writes = [write(sku, 3) for sku in account.listings]
    parcel = Parcel(
        order_id=order["orderId"], fulfilment_id="f", key="k", shipped_at=SINCE, carrier="ups", tracking="1Z",
        lines=[{"line_id": order["orderItems"][0]["orderItemId"], "quantity": 2}],
    )  # fmt: skip

    async def all_of_it(connection):
        outcomes = await AMAZON.push_stock(connection, writes)
        ticket = outcomes[1].ticket
        account.advance(1_000)
        await connection.tokens.put("", None)
        outcomes += await AMAZON.push_stock(connection, writes[:2])
        outcomes += await AMAZON.confirm_stock(connection, writes, ticket)
        await AMAZON.pull_orders(connection, None, since=SINCE)
        await AMAZON.get_order(connection, order["orderId"])
        outcomes.append(await AMAZON.push_parcel(connection, parcel))
        await AMAZON.pull_stock(connection, None)
        await AMAZON.pull_listings(connection, None)
        await AMAZON.pull_node_stock(connection, None)
        outcomes.append(await AMAZON.push_fulfilment(connection, fulfilment("F1", ("L1", "SKU-3", 1))))
        await AMAZON.pull_shipments(connection, None, since=SINCE)
        outcomes.append(await AMAZON.cancel_fulfilment(connection, "F1", reason="", key=""))
        return outcomes

    seen = []
    outcomes = ask(account, all_of_it, seen=seen, feed_from=10)
    assert {o.fate for o in outcomes} <= {Fate.ACCEPTED, Fate.DONE}
    return [(q, a) for q, a in seen if "/auth/" not in q.url and "/_store/" not in q.url]


@needs_contracts
def test_every_request_fits_the_models_and_so_does_every_answer_of_the_fake(account):
    models = Described.of(*(MODELS / f"{model}.json" for model in AMAZON.document.contract.versions))
    checked = {models.check(request, answer) for request, answer in everything_asked(account)}
    assert checked == set(amazon.PLANS) == set(AMAZON.document.plans)


@needs_contracts
@pytest.mark.parametrize("model", AMAZON.document.contract.versions)
def test_prism_takes_every_request(account, model):
    one, asked = Described.of(MODELS / f"{model}.json"), [request for request, _ in everything_asked(account)]
    mine = [request for request in asked if one.knows(request.method, request.url)]
    assert mine
    with prism(MODELS / f"{model}.json") as judge:
        assert [wrong for request in mine if (wrong := judge.objects(request))] == []


# Signing in, limits ---------------------------------------------------------------------------------------------------


def test_a_token_is_kept_and_replaced_when_it_is_refused(account):
    account.add_product("MUG", 5)
    seen = []

    async def three_times(connection):
        await AMAZON.pull_stock(connection, None)
        await AMAZON.pull_stock(connection, None)
        account.advance(3_700)  # it has expired there, and we do not know
        return await AMAZON.pull_stock(connection, None)

    page = ask(account, three_times, seen=seen)
    assert [level.quantity for level in page.records] == [5]
    assert [q.url.rpartition("/")[2] for q, _ in seen].count("token") == 2
    assert [a.status for q, a in seen if "/listings/" in q.url] == [200, 200, 403, 200]
    assert all("authorization" not in q.headers for q, _ in seen)


def test_a_wrong_secret_is_told_without_it(account):
    wrong = credentials_of(account) | {"client_secret": "very-secret-secret"}
    with pytest.raises(Refused) as raised:
        ask(account, lambda c: AMAZON.pull_stock(c, None), credentials=wrong)
    assert raised.value.is_unauthorised
    assert "very-secret" not in repr(raised.value)
    (outcome,) = push(account, write("MUG", 1), credentials=wrong)
    assert "very-secret" not in repr(outcome)


def test_each_operation_has_its_own_limit_and_learns_it(account):
    account.add_product("MUG", 5)
    account.speed, turns = 0.001, Turns()
    outcomes = push(account, *[write(f"MUG{n}", n) for n in range(4)], write("MUG", 1), write("M", 2), limiter=turns)
    assert [o.fate for o in outcomes].count(Fate.RETRY) == 1  # a burst of five
    patches = [taken for taken in turns.taken if taken[0] == "patchListingsItem"]
    assert patches == [("patchListingsItem", 5, 5)] * 6
    # Told: 0.005 requests a second; nobody else has to wait.
    assert turns.pauses == [("patchListingsItem", pytest.approx(200.0))]
    ask(account, lambda c: AMAZON.pull_stock(c, None), limiter=turns)
    assert turns.taken[-1] == ("searchListingsItems", 5, 5)


# Stock ----------------------------------------------------------------------------------------------------------------


def test_accepted_is_not_shown_until_it_is(account):
    account.add_product("MUG/blue 1", 9)
    wanted = write("MUG/blue 1", 4)
    (outcome,) = push(account, wanted)
    assert (outcome.fate, account.listings["MUG/blue 1"].quantity) == (Fate.ACCEPTED, 9)
    (waiting,) = confirm(account, [wanted])
    assert (waiting.fate, waiting.seen) == (Fate.ACCEPTED, 9)
    account.advance(account.lag_s + 1)
    (done,) = confirm(account, [wanted])
    assert (done.fate, done.seen) == (Fate.DONE, 4)
    (gone,) = confirm(account, [write("CUP", 1)])
    assert gone.fate is Fate.GONE


def test_what_amazon_does_not_take_is_refused_or_gone(account):
    account.add_product("MUG", 9)
    gone, refused, fine = push(account, write("CUP", 1), write("MUG", -1), replace_place(write("MUG", 2), "DEFAULT"))
    assert (gone.fate, gone.code) == (Fate.GONE, "13013")
    assert (refused.fate, refused.code) == (Fate.REFUSED, "90117")
    assert fine.fate is Fate.ACCEPTED


def replace_place(of, place):
    return Write(external_id=of.external_id, quantity=of.quantity, key=of.key, place=place)


def test_only_the_newest_number_of_a_listing_is_sent(account):
    account.add_product("MUG", 9)
    older, newer = push(account, write("MUG", 8), write("MUG", 7))
    assert (older.code, newer.fate) == ("superseded", Fate.ACCEPTED)
    assert [quantity for _, quantity in account.listings["MUG"].waiting] == [7]


@pytest.mark.parametrize(
    ("failing", "fate", "is_taken"),
    [
        ({"status": 429, "headers": {"x-amzn-RateLimit-Limit": "0.5"}}, Fate.RETRY, False),
        ({"status": 503}, Fate.RETRY, False),
        ({"status": 500}, Fate.UNKNOWN, False),
        ({"status": 504, "after": True}, Fate.UNKNOWN, True),
        ({"status": 0, "after": True}, Fate.UNKNOWN, True),
    ],
)
def test_a_write_that_fails_says_whether_it_may_have_happened(account, failing, fate, is_taken):
    account.add_product("MUG", 9)
    fault(account, match="/listings/", **failing)
    (outcome,) = push(account, write("MUG", 4))
    assert (outcome.fate, bool(account.listings["MUG"].waiting)) == (fate, is_taken)
    (again,) = push(account, write("MUG", 4))
    account.advance(100)
    assert (again.fate, account.listings["MUG"].quantity) == (Fate.ACCEPTED, 4)


def test_a_late_number_oversells_and_the_order_comes_in(account):
    """The fake's own way of overselling, which gates and arbitration are for."""
    account.add_product("MUG", 1)
    push(account, write("MUG", 1))
    account.buy({"MUG": 1})
    with pytest.raises(LookupError):
        account.buy({"MUG": 1})
    account.advance(account.lag_s + 1)  # the number from before the sale is shown again
    account.buy({"MUG": 1})
    assert len(everything(account, orders)[0]) == 2


# Feeds ----------------------------------------------------------------------------------------------------------------


def test_many_numbers_go_in_a_feed_and_fail_one_by_one(account):
    for n in range(250):
        account.add_product(f"SKU-{n}", 9)
    writes = [write(f"SKU-{n}", 0 if n in (7, 8) else n or 1) for n in range(250)]
    writes[20] = write("NOT-THERE", 3)
    writes[21] = write("SKU-21", -5)
    seen = []
    outcomes = push(account, *writes, seen=seen)
    assert {o.fate for o in outcomes} == {Fate.ACCEPTED}
    (ticket,) = {o.ticket for o in outcomes} - {""}
    assert [n for n, o in enumerate(outcomes) if not o.ticket] == [7, 8], "sold out is told at once"
    assert [q.method for q, _ in seen].count("PATCH") == 2
    (upload,) = [q for q, _ in seen if "/_store/" in q.url]
    assert "x-amz-access-token" not in upload.headers
    fed = [w for w in writes if w.quantity != 0]
    assert {(o.fate, o.code) for o in confirm(account, fed, ticket)} == {(Fate.ACCEPTED, "IN_QUEUE")}
    account.advance(account.feed_lag_s + 1)
    read = dict(zip([w.external_id for w in fed], confirm(account, fed, ticket), strict=True))
    assert (read["NOT-THERE"].fate, read["NOT-THERE"].code) == (Fate.GONE, "13013")
    assert (read["SKU-21"].fate, read["SKU-21"].code) == (Fate.REFUSED, "90117")
    assert (read["SKU-30"].fate, read["SKU-30"].seen) == (Fate.ACCEPTED, 9), "processed is not shown"
    account.advance(account.lag_s + 1)
    read = confirm(account, [writes[30]], ticket)
    assert [(o.fate, o.seen) for o in read] == [(Fate.DONE, 30)]
    assert [account.listings[f"SKU-{n}"].quantity for n in (0, 7, 21, 249)] == [1, 0, 9, 249]


@needs_contracts
def test_a_feed_fits_its_schema_and_the_example_report_is_read():
    import jsonschema_rs

    folder = CONTRACTS / "amazon-sp-api/schemas/feeds"
    schema = json.loads((folder / "listings-feed-schema-v2.json").read_text())
    message = json.loads((folder / "listings-feed-message-schema-v2.json").read_text())
    feed = json.loads(
        feeds.document([write("A", 1), write("B", 0)], seller_id="S", product_type="PRODUCT", place="DEFAULT")
    )
    jsonschema_rs.validator_for(_without_outside_refs(schema)).validate(feed)
    for sent in feed["messages"]:
        jsonschema_rs.validator_for(message).validate(sent)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validator_for(message).validate(feed["messages"][0] | {"operationType": "SET"})
    refused, whole = feeds.failures((folder / "listings-feed-processing-report-schema-v2.example.json").read_bytes())
    assert whole is None
    assert {sku: (o.fate, o.code) for sku, o in refused.items()} == {
        "My-SKU-B": (Fate.REFUSED, "90220"), "My-SKU-C": (Fate.REFUSED, "99022"),
    }  # fmt: skip


def _without_outside_refs(schema):
    """The feed's schema names that of a message by a file beside it."""
    if isinstance(schema, dict):
        if str(schema.get("$ref", "#")).startswith("#"):
            return {name: _without_outside_refs(part) for name, part in schema.items()}
        return {}
    return [_without_outside_refs(part) for part in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize(
    ("match", "failing", "fate", "feeds_made"),
    [
        ("/documents", {"status": 500}, Fate.RETRY, 0),
        ("/_store/", {"status": 0, "after": True}, Fate.RETRY, 0),
        ("/_store/", {"status": 403}, Fate.RETRY, 0),
        ("/feeds/2021-06-30/feeds", {"status": 429}, Fate.RETRY, 0),
        ("/feeds/2021-06-30/feeds", {"status": 504, "after": True}, Fate.UNKNOWN, 1),
    ],
)
def test_a_feed_that_fails_changes_nothing_until_it_is_made(account, match, failing, fate, feeds_made):
    account.add_product("A", 9)
    account.add_product("B", 9)
    fault(account, match=match, **failing)
    outcomes = push(account, write("A", 1), write("B", 2), feed_from=2)
    assert ([o.fate for o in outcomes], len(account.feeds)) == ([fate] * 2, feeds_made)


@pytest.mark.parametrize(
    ("status", "fate"), [("CANCELLED", Fate.RETRY), ("FATAL", Fate.UNKNOWN), ("IN_PROGRESS", Fate.ACCEPTED)]
)
def test_a_feed_that_ends_badly(account, status, fate):
    account.add_product("A", 9)
    (outcome,) = push(account, write("A", 1), feed_from=1)
    next(iter(account.feeds.values()))["processingStatus"] = status
    (read,) = confirm(account, [write("A", 1)], outcome.ticket)
    assert read.fate is fate
    assert read.ticket == (outcome.ticket if fate is Fate.ACCEPTED else "")


def test_a_report_that_cannot_be_read_leaves_the_question_open(account):
    account.add_product("A", 9)
    (outcome,) = push(account, write("A", 1), feed_from=1)
    account.advance(account.feed_lag_s + 1)
    fault(account, match="/_store/", status=200, body={"not": "packed"})
    (read,) = confirm(account, [write("A", 1)], outcome.ticket)
    assert (read.fate, read.code, read.ticket) == (Fate.ACCEPTED, "report", outcome.ticket)
    packed = gzip.compress(b'{"issues": []}')
    assert feeds.unpacked(packed, "GZIP") == b'{"issues": []}'
    with pytest.raises(Refused):
        feeds.unpacked(packed[:-9], "GZIP")
    whole = {"issues": [{"severity": "ERROR", "message": "not JSON", "code": "4"}], "summary": {"messagesAccepted": 0}}
    assert feeds.failures(json.dumps(whole).encode())[1].fate is Fate.REFUSED


# Listings and orders --------------------------------------------------------------------------------------------------


def test_more_listings_than_one_search_pages_through_are_all_read(account):
    for n in range(1_130):
        account.add_product(f"SKU-{n}", n)
    levels, rejects, _ = everything(account, AMAZON.pull_stock)
    assert rejects == []
    assert {level.external_id: level.quantity for level in levels} == {f"SKU-{n}": n for n in range(1_130)}
    assert {level.place for level in levels} == {"DEFAULT"}
    account.listings = {sku: listing for n, (sku, listing) in enumerate(account.listings.items()) if n < 30}
    offers, _, _ = everything(account, AMAZON.pull_listings)
    assert {offer.external_sku for offer in offers} == set(account.listings)
    assert all(offer.is_active for offer in offers), "what is sold out is listed all the same"


def test_orders_are_read_page_by_page_those_of_amazons_warehouses_are_not(account):
    account.add_product("MUG", 10_000)
    for _ in range(150):
        account.buy({"MUG": 1})
    moment = account.moment()
    for order in list(account.orders.values())[60:140]:
        order["lastUpdatedTime"] = moment  # one moment, across the border of a page
    account.buy({"MUG": 1}, by="AMAZON")
    ours = {i for i, o in account.orders.items() if o["fulfillment"]["fulfilledBy"] == "MERCHANT"}
    found, rejects, cursor = everything(account, orders)
    assert (rejects, sorted(o.external_id for o in found)) == ([], sorted(ours))
    late = account.buy({"MUG": 2})
    again, _, _ = everything(account, orders, cursor)
    assert late["orderId"] in {o.external_id for o in again}


def test_an_order_goes_through_its_states(account):
    account.add_product("MUG", 5)
    account.add_product("CUP", 5, price="3.50")
    order = account.buy({"MUG": 2, "CUP": 1}, paid=False)

    def read():
        return ask(account, lambda c: AMAZON.get_order(c, order["orderId"]))

    pending = read()
    assert (pending.status, pending.currency, pending.destination) == ("pending", "USD", None)
    account.pay(order["orderId"])
    paid = read()
    assert (paid.status, paid.name, paid.email) == ("open", "Ada Byron", "relay@marketplace.amazon.com")
    assert paid.destination == Address(
        country="US", region="NY", postal_code="10001", city="New York", street="1 Main", name="Ada Byron"
    )
    assert [(li.sku, li.external_item_id, li.quantity, li.cancelled, li.price_minor) for li in paid.lines] == [
        ("MUG", "MUG", 2, 0, 1999), ("CUP", "CUP", 1, 0, 350),
    ]  # fmt: skip
    account.cancel_item(order["orderId"], 1)
    assert [(li.quantity, li.cancelled) for li in read().lines] == [(2, 0), (1, 1)]
    account.cancel(order["orderId"])
    assert read().status == "cancelled"
    order["fulfillment"]["fulfillmentStatus"] = "ON_THE_MOON"
    assert (read().status, read().status_word) == ("unknown", "ON_THE_MOON")
    with pytest.raises(Refused) as raised:
        ask(account, lambda c: AMAZON.get_order(c, "114-0"))
    assert raised.value.is_gone


def test_parcels_are_told_once_and_complete_the_order(account):
    account.add_product("MUG", 5)
    account.add_product("CUP", 5)
    order = account.buy({"MUG": 2, "CUP": 1})
    mug, cup = (item["orderItemId"] for item in order["orderItems"])

    def tell(key, *lines, carrier="ups"):
        parcel = Parcel(
            order_id=order["orderId"], fulfilment_id="f", key=key, shipped_at=SINCE, carrier=carrier,
            tracking=f"T{key}", lines=[{"line_id": line, "quantity": n} for line, n in lines],
        )  # fmt: skip
        return ask(account, lambda c: AMAZON.push_parcel(c, parcel))

    fault(account, match="/shipmentConfirmation", status=504, after=True)
    assert tell("one", (mug, 1)).fate is Fate.UNKNOWN
    assert tell("one", (mug, 1)).fate is Fate.DONE, "told again, as after an answer that was lost"
    assert (order["fulfillment"]["fulfillmentStatus"], len(order["packages"])) == ("PARTIALLY_SHIPPED", 1)
    assert tell("2", (mug, 1), (cup, 1), carrier="Corner Bikes").fate is Fate.DONE
    assert order["fulfillment"]["fulfillmentStatus"] == "SHIPPED"
    assert [(p["carrier"], p["trackingNumber"]) for p in order["packages"]] == [("UPS", "Tone"), ("Other", "T2")]
    assert order["packages"][1]["packageReferenceId"] == "2"
    too_much = tell("3", (mug, 1))
    assert (too_much.fate, too_much.code) == (Fate.REFUSED, "InvalidInput")


# Messages -------------------------------------------------------------------------------------------------------------


def fetch(account, *, settle=True, **more):
    async def work(connection):
        found = list(await AMAZON.pull_messages(connection))
        if settle:
            await AMAZON.settle_messages(connection, [posted.receipt for posted in found])
        return found

    return ask(account, work, **more)


def test_messages_stay_until_they_are_settled(account):
    account.add_product("MUG", 5)
    order = account.buy({"MUG": 1})
    first = fetch(account, settle=False)
    assert [p.received.topic for p in first] == [
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE", "ORDER_CHANGE", "ORDER_CHANGE",
    ]  # fmt: skip
    assert fetch(account) == [], "hidden while they are worked on"
    account.advance(121)
    again = fetch(account)
    assert [p.received.dedupe for p in again] == [p.received.dedupe for p in first]
    assert len({p.received.dedupe for p in first}) == 3
    account.advance(121)
    assert (fetch(account), len(account.queue)) == ([], 0)
    assert "receipt" not in repr(again[0])

    def read(posted):
        return ask(account, lambda c: AMAZON.read(c, posted.received.topic, posted.body))

    (level,), (hinted,) = read(again[0]), read(again[1])
    assert (level.external_id, level.quantity, level.place) == ("MUG", 4, "DEFAULT")
    assert (hinted.external_id, hinted.status) == (order["orderId"], "open"), "as it is now, not as it was"


def test_messages_of_others_and_of_amazons_own_orders(account):
    account.add_product("MUG", 5)
    account.buy({"MUG": 1}, by="AMAZON")
    account.seller_id, ours = "ANOTHER", account.seller_id
    account.buy({"MUG": 1})
    account.seller_id = ours
    found = fetch(account)
    assert {p.received.topic for p in found} == {"ORDER_CHANGE by Amazon"}
    assert ask(account, lambda c: AMAZON.read(c, found[0].received.topic, found[0].body)) == ()
    assert len(account.queue) == 3, "another account's are left to it"


def test_more_messages_than_one_deletion_takes_and_one_that_failed(account):
    for n in range(25):
        account.queue.put(json.dumps({"NotificationType": "X", "n": n}))

    async def work(connection):
        receipts = []
        for _ in range(3):
            receipts += [posted.receipt for posted in await AMAZON.pull_messages(connection)]
        await AMAZON.settle_messages(connection, [*receipts, "stale"])
        return len(receipts)

    assert (ask(account, work), len(account.queue)) == (25, 0)


def test_nobody_sends_messages_by_http_and_a_queue_must_be_set_up(account):
    with pytest.raises(NotGenuine):
        AMAZON.receive({}, b"{}", url="", credentials=credentials_of(account), now=datetime.now(UTC))
    with pytest.raises(Refused, match="no queue is set up"):
        fetch(account, queue_url="")
    wrong = credentials_of(account) | {"aws_secret_access_key": "not-the-secret"}
    with pytest.raises(Refused) as raised:
        fetch(account, credentials=wrong)
    assert (raised.value.is_unauthorised, raised.value.code) == (True, "SignatureDoesNotMatch")
    assert "not-the-secret" not in repr(raised.value)
    with pytest.raises(Refused) as raised:
        fetch(account, queue_url=f"{account.url}/123456789012/other")
    assert raised.value.is_gone
    fault(account, status=503)
    with pytest.raises(Unavailable):
        fetch(account)
    secret = account.queue.secret
    fault(account, status=400, body={"__type": f"x#{secret}", "message": f"you signed with {secret}"})
    with pytest.raises(Refused) as raised:
        fetch(account)
    assert secret not in f"{raised.value!r} {raised.value.code}"


def test_a_message_that_arrived_damaged_is_left_for_the_next_time():
    messages = [
        {"MessageId": "1", "ReceiptHandle": "r1", "Body": "whole", "MD5OfBody": "ae4cf7e7a3f37a7d0d5cb6a4a6b9f8ac"},
        {"MessageId": "2", "ReceiptHandle": "r2", "Body": "{}", "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b"},
    ]
    wire = Wire([said({"Messages": messages})])
    queue = Queue("https://sqs.eu-west-1.amazonaws.com/1/q", keys=Keys(key_id="K", secret="S"), sender=wire)
    found = asyncio.run(queue.receive(wait_s=20))
    assert [message.message_id for message in found] == ["2"]
    (request,) = wire.sent
    assert "/eu-west-1/sqs/" in request.headers["authorization"]
    assert request.timeout_s > 20


def example(name):
    schema = json.loads((NOTIFICATIONS / f"{name}.json").read_text())
    return json.dumps(schema["examples"][0]).encode()


@needs_contracts
def test_examples_of_notifications_are_read(account):
    sku = json.loads(example("ListingsItemMfnQuantityChange"))["Payload"]["Sku"]
    received = AMAZON.labelled(example("ListingsItemMfnQuantityChange"))
    assert (received.topic, received.dedupe) == (
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE", "8e009934-da2c-4f9c-9bc7-93f23b7e1f60",
    )  # fmt: skip
    (level,) = ask(account, lambda c: AMAZON.read(c, received.topic, example("ListingsItemMfnQuantityChange")))
    assert (level.external_id, level.quantity, level.place) == (sku, 99, "DEFAULT")
    received = AMAZON.labelled(example("OrderChangeNotification"))
    assert received.topic == "ORDER_CHANGE"
    wire = Wire([said({"access_token": "T"}), said({"errors": []}, status=404)])
    with pytest.raises(Refused) as raised:
        connection = connect(wire, **settings_of(account))
        connection = replace(connection, credentials=credentials_of(account))
        asyncio.run(AMAZON.read(connection, "ORDER_CHANGE", example("OrderChangeNotification")))
    assert raised.value.is_gone
    assert "/orders/903-8868176-2219830?" in wire.sent[1].url
    # The example has no whole message, only its payload.
    schema = json.loads((NOTIFICATIONS / "FBAInventoryAvailabilityChangeNotification.json").read_text())
    payload = schema["properties"]["Payload"]["examples"][0]
    body = json.dumps({"NotificationType": "FBA_INVENTORY_AVAILABILITY_CHANGES", "Payload": payload}).encode()
    levels = ask(account, lambda c: AMAZON.read(c, AMAZON.labelled(body).topic, body))
    assert [(x.external_id, x.place, x.quantity) for x in levels] == [
        ("SELLERSKU-1", "ATVPDKIKX0DER", 50), ("SELLERSKU-1", "A2EUQ1WTGCTBG2", 40),
    ]  # fmt: skip
    finished = AMAZON.labelled(example("FeedProcessingFinishedNotification"))
    assert (finished.topic, finished.dedupe) == ("FEED_PROCESSING_FINISHED", "d0e9e693-c3ad-4373-979f-ed4ec98dd746")


@needs_contracts
def test_the_fakes_notifications_fit_their_schemas(account):
    import jsonschema_rs

    account.add_product("MUG", 5, warehouse=3)
    account.buy({"MUG": 1})
    account.count("MUG", 2)
    schemas = {
        "ORDER_CHANGE": "OrderChangeNotification",
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE": "ListingsItemMfnQuantityChange",
        "FBA_INVENTORY_AVAILABILITY_CHANGES": "FBAInventoryAvailabilityChangeNotification",
    }
    found = fetch(account)
    assert {p.received.topic for p in found} == set(schemas)
    for posted in found:
        schema = json.loads((NOTIFICATIONS / f"{schemas[posted.received.topic]}.json").read_text())
        jsonschema_rs.validator_for(schema).validate(json.loads(posted.body))


# Amazon's warehouses --------------------------------------------------------------------------------------------------


def fulfilment(fulfilment_id, *lines, service="expedited"):
    return Fulfilment(
        fulfilment_id=fulfilment_id, key=f"k-{fulfilment_id}", order_number="W-1", ordered_at=SINCE, currency="USD",
        destination=Address(country="US", region="NY", postal_code="10001", city="New York", street="1 Main", name="A"),
        lines=tuple(FulfilmentLine(line_id=line, sku=sku, quantity=n) for line, sku, n in lines), service=service,
        email="ada@example.org",
    )  # fmt: skip


def test_what_the_warehouses_have_is_read(account):
    for n in range(120):
        account.add_product(f"SKU-{n}", 0, warehouse=n)
    levels, _, _ = everything(account, AMAZON.pull_node_stock)
    assert {(x.external_id, x.quantity) for x in levels} == {(f"SKU-{n}", n) for n in range(120)}
    assert {x.place for x in levels} == {account.marketplace_id}


def test_the_warehouses_ship_for_us(account):
    account.add_product("MUG", 0, warehouse=5)
    account.add_product("CUP", 0, warehouse=5)
    wanted = fulfilment("F1", ("L1", "MUG", 2), ("L2", "CUP", 1))
    fault(account, match="/fba/outbound", status=504, after=True)
    assert ask(account, lambda c: AMAZON.push_fulfilment(c, wanted)).fate is Fate.UNKNOWN
    again = ask(account, lambda c: AMAZON.push_fulfilment(c, wanted))
    assert (again.fate, again.code, account.warehouse["MUG"]) == (Fate.ACCEPTED, "known", 3)
    order = account.fulfilments["F1"]["fulfillmentOrder"]
    assert (order["shippingSpeedCategory"], order["displayableOrderId"]) == ("Expedited", "W-1")
    (taken,), _, cursor = everything(account, shipments)
    assert (taken.fulfilment_id, taken.status, taken.is_complete, taken.status_word) == (
        "F1",
        "accepted",
        False,
        "Planning",
    )
    account.advance(3_600)
    account.ship_fulfilment("F1", parts=2)
    parcels, rejects, _ = everything(account, shipments, cursor)
    assert rejects == []
    assert [(s.status, s.is_complete, [(x.line_id, x.quantity) for x in s.lines]) for s in parcels] == [
        ("shipped", False, [("L1", 2)]), ("shipped", True, [("L2", 1)]),
    ]  # fmt: skip
    first = parcels[0]
    assert (first.carrier, first.tracking, first.place) == ("Amazon Logistics", "TBA1", "ABE2")
    assert len({s.external_id for s in parcels}) == 2
    told = [p for p in fetch(account) if p.received.topic == "FULFILLMENT_ORDER_STATUS"]
    assert list(ask(account, lambda c: AMAZON.read(c, told[-1].received.topic, told[-1].body))) == parcels
    late = ask(account, lambda c: AMAZON.cancel_fulfilment(c, "F1", reason="x", key="k"))
    assert late.fate is Fate.REFUSED


def test_what_the_warehouses_cannot_ship_is_refused_and_what_is_taken_back_is_cancelled(account):
    account.add_product("MUG", 0, warehouse=1)
    account.add_product("CUP", 0, warehouse=5)
    short = ask(account, lambda c: AMAZON.push_fulfilment(c, fulfilment("F1", ("L1", "MUG", 2))))
    unknown = ask(account, lambda c: AMAZON.push_fulfilment(c, fulfilment("F2", ("L1", "NO", 1))))
    ask(account, lambda c: AMAZON.push_fulfilment(c, fulfilment("F3", ("L1", "CUP", 2))))
    too_long = ask(account, lambda c: AMAZON.push_fulfilment(c, fulfilment("F" * 41, ("L1", "CUP", 1))))
    assert (short.fate, unknown.fate, too_long.fate) == (Fate.ACCEPTED, Fate.REFUSED, Fate.REFUSED)

    def cancel(fulfilment_id):
        return ask(account, lambda c: AMAZON.cancel_fulfilment(c, fulfilment_id, reason="x", key="k"))

    assert [cancel("F3").fate, cancel("F3").code, cancel("F9").fate] == [Fate.ACCEPTED, "known", Fate.GONE]
    assert account.warehouse["CUP"] == 5
    found, _, _ = everything(account, shipments)
    assert [(s.fulfilment_id, s.status, s.is_complete, [(x.line_id, x.missing) for x in s.lines]) for s in found] == [
        ("F1", "refused", True, [("L1", 2)]), ("F3", "cancelled", True, [("L1", 2)]),
    ]  # fmt: skip


# Independent judges ---------------------------------------------------------------------------------------------------


def test_signatures_are_those_of_botocore():
    botocore = pytest.importorskip("botocore", reason="NOT JUDGED BY BOTOCORE: it is not installed")
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    now = datetime.now(UTC)
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    body = '{"QueueUrl": "https://x/ü"}'.encode()
    url = "https://sqs.us-east-1.amazonaws.com/"
    ours = sign(
        "POST", url, headers, body, keys=Keys(key_id="AKIA", secret="s/e+c"), region="us-east-1", service="sqs", now=now
    )
    theirs = AWSRequest(method="POST", url=url, headers=headers, data=body)
    theirs.context["timestamp"] = ours["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIA", "s/e+c"), "sqs", "us-east-1")
    theirs.headers["X-Amz-Date"] = ours["x-amz-date"]
    signature = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)
    assert botocore.__version__
    assert ours["authorization"].endswith(f"Signature={signature}")


def test_motos_queue_is_read_and_emptied():
    pytest.importorskip("moto", reason="NOT JUDGED BY MOTO: it is not installed")
    pytest.importorskip("flask_cors", reason="NOT JUDGED BY MOTO: flask and flask-cors are not installed")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{server._server.server_port}"
        client = boto3.client(
            "sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="K", aws_secret_access_key="S"
        )
        queue_url = client.create_queue(QueueName="notifications")["QueueUrl"]
        bodies = [json.dumps({"n": n, "text": "größer"}) for n in range(23)]
        for body in bodies:
            client.send_message(QueueUrl=queue_url, MessageBody=body)

        async def work():
            async with Caller(Guard(allow_private=True), TLS) as caller:
                queue = Queue(queue_url, keys=Keys(key_id="K", secret="S"), sender=caller)
                found = []
                while some := await queue.receive(wait_s=0):
                    found += some
                left = await queue.delete([message.receipt for message in found] + ["stale"])
                hidden = await queue.receive(wait_s=0)
                missing = Queue(f"{queue_url}-not", keys=Keys(key_id="K", secret="S"), sender=caller)
                with pytest.raises(Refused) as raised:
                    await missing.receive(wait_s=0)
                assert raised.value.is_gone
                return found, left, hidden

        found, left, hidden = asyncio.run(work())
        assert sorted(message.body.decode() for message in found) == sorted(bodies)
        assert (left, hidden) == (["stale"], [])
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        assert set(counts.values()) == {"0"}
    finally:
        server.stop()


def test_an_independent_client_can_talk_to_the_fake(account, monkeypatch):
    pytest.importorskip("sp_api", reason="NOT JUDGED BY AN INDEPENDENT CLIENT: python-amazon-sp-api is not installed")
    from sp_api.api import Feeds, FulfillmentOutbound, Inventories, ListingsItems
    from sp_api.auth import AccessTokenClient
    from sp_api.base import Marketplaces, SellingApiException

    account.add_product("MUG", 5, warehouse=7)
    monkeypatch.setattr(AccessTokenClient, "scheme", "http://")
    monkeypatch.setattr(AccessTokenClient, "host", account.url.removeprefix("http://"))
    credentials = {
        "refresh_token": account.refresh_token, "lwa_app_id": account.client_id,
        "lwa_client_secret": account.client_secret,
    }  # fmt: skip

    def client(kind, **more):
        made = kind(marketplace=Marketplaces.US, credentials=credentials, **more)
        made.endpoint = account.url
        return made

    listings = client(ListingsItems)
    shown = listings.get_listings_item(account.seller_id, "MUG", includedData="fulfillmentAvailability").payload
    assert shown["fulfillmentAvailability"] == [{"fulfillmentChannelCode": "DEFAULT", "quantity": 5}]
    patches = [
        {
            "op": "replace", "path": "/attributes/fulfillment_availability",
            "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": 2}],
        }
    ]  # fmt: skip
    patched = listings.patch_listings_item(
        account.seller_id, "MUG", body={"productType": "PRODUCT", "patches": patches}
    )
    assert patched.payload["status"] == "ACCEPTED"
    account.advance(100)
    assert account.listings["MUG"].quantity == 2
    with pytest.raises(SellingApiException):
        listings.get_listings_item(account.seller_id, "CUP")
    inventory = client(Inventories).get_inventory_summary_marketplace(details=True)
    assert inventory.payload["inventorySummaries"][0]["inventoryDetails"]["fulfillableQuantity"] == 7
    outbound = client(FulfillmentOutbound)
    outbound.create_fulfillment_order(
        marketplaceId=account.marketplace_id, sellerFulfillmentOrderId="F1", displayableOrderId="F1",
        displayableOrderDate=account.moment(), displayableOrderComment="x", shippingSpeedCategory="Standard",
        destinationAddress={"name": "A", "addressLine1": "1", "postalCode": "10001", "countryCode": "US"},
        items=[{"sellerSku": "MUG", "sellerFulfillmentOrderItemId": "L1", "quantity": 3}],
    )  # fmt: skip
    assert (account.warehouse["MUG"], list(account.fulfilments)) == (4, ["F1"])
    made = client(Feeds)
    feed = json.dumps({"header": {}, "messages": [{"messageId": 1, "sku": "MUG", "patches": patches}]})
    import io

    answers = made.submit_feed("JSON_LISTINGS_FEED", io.BytesIO(feed.encode()), content_type="application/json")
    account.advance(1_000)
    done = made.get_feed(answers[1].payload["feedId"]).payload
    assert done["processingStatus"] == "DONE"
    report = json.loads(made.get_feed_document(done["resultFeedDocumentId"]))
    assert report["summary"]["messagesAccepted"] == 1
