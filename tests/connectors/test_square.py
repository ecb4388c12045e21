"""Square: every request judged by its OpenAPI, against a merchant that is not there."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from onhand.connectors import NotGenuine, Refused, find
from onhand.connectors._sdk.translate import as_json, translate
from onhand.connectors._sdk.values import Fate, Level, Parcel, Write
from onhand.twin.fakes.square import Shop
from onhand.wire import NotReachable, Request

from .judges import described, judged
from .running import Turns, needs_contracts, serving, talk

SQUARE = find("square").connector
OPENAPI = SQUARE.document.contract.file
SINCE = datetime.now(UTC) - timedelta(hours=2)
HOOK = "https://merchant.example/v1/channels/till/inbound"


@pytest.fixture
def shop():
    shop = Shop()
    with serving(shop.app()) as url:
        shop.url = url
        yield shop


def ask(shop, work, *, token=None, **options):
    settings = {"url": shop.url, "place": shop.place, "version": "2025-08-20"}
    credentials = {"access_token": token or shop.token, "webhook_secret": shop.hook_secret}
    return talk(
        lambda connection: work(judged(connection, OPENAPI)), settings=settings, credentials=credentials, **options
    )


def fail(shop, *faults):
    request = Request(method="POST", url=f"{shop.url}/_fake/faults", body=json.dumps(faults).encode())
    talk(lambda c: c.sender.send(request), settings={}, credentials={})


def pull_all(shop, pull, at=None, since=SINCE):
    async def work(connection):
        found, cursor, pages = [], at, 0
        while True:
            page = await pull(connection, cursor, since=since)
            assert not page.rejects
            found, pages = found + list(page.records), pages + 1
            if page.next is None:
                return found, page.cursor, pages
            cursor = page.next

    return ask(shop, work)


def write(variation, units, key="k", **more):
    return Write(external_id=variation, quantity=units, key=key, **more)


@needs_contracts
def test_the_judge_finds_what_is_wrong():
    def wrong(method, path, body=None):
        request = Request(method=method, url=f"https://x{path}", body=json.dumps(body).encode() if body else b"")
        return described(OPENAPI).wrong(request)

    assert wrong("GET", "/v2/catalog/list?types=ITEM") == []
    assert wrong("GET", "/v2/catalog/list?kinds=ITEM") == ["no parameter is called kinds"]
    assert wrong("GET", "/v2/shelves") == ["GET /v2/shelves is not described"]
    count = {"catalog_object_id": "V", "state": "IN_STOCK", "location_id": "L", "quantity": "3"}
    change = {"type": "PHYSICAL_COUNT", "physical_count": count}
    path = "/v2/inventory/changes/batch-create"
    assert wrong("POST", path, {"idempotency_key": "k", "changes": [change]}) == []
    assert wrong("POST", path, {"changes": [change]}), "no key"
    for part in ({"quantity": 3}, {"state": "ON_SHELF"}, {"catalog_id": "V"}):
        bad = {**change, "physical_count": count | part}
        assert wrong("POST", path, {"idempotency_key": "k", "changes": [bad]}), part


def test_orders_to_be_sent_are_read_and_those_of_the_counter_are_not(shop):
    mug = shop.add_product("MUG", 10)
    order = shop.buy({mug: 2}, at=SINCE)
    shop.buy({mug: 1}, kind="")
    unpaid = shop.buy({mug: 1}, paid=False)
    found, _, _ = pull_all(shop, SQUARE.pull_orders)
    assert [o.external_id for o in found] == [order["id"], unpaid["id"]]
    assert [o.status for o in found] == ["open", "pending"]
    said = as_json(found[0])
    for unstable in (order["id"], order["line_items"][0]["uid"], mug, order["created_at"].replace("Z", "000Z")):
        assert unstable in said
        said = said.replace(unstable, "*")
    assert json.loads(said) == {
        "external_id": "*", "number": order["reference_id"], "status": "open", "status_word": "OPEN", "currency": "USD",
        "placed_at": "*", "updated_at": "*", "email": "ada@example.org", "phone": "+12125550100", "name": "Ada Byron",
        "service": "Standard",
        "destination": {
            "country": "US", "region": "NY", "postal_code": "10001", "city": "New York", "street": "1 Main",
            "name": "Ada Byron", "phone": "+12125550100",
        },
        "lines": [{"line_id": "*", "external_item_id": "*", "name": "MUG", "quantity": 2, "price_minor": 1999}],
    }  # fmt: skip


@needs_contracts
def test_the_contracts_own_example_of_an_order_is_read():
    raw = contract_example("RetrieveOrderResponse")["order"]
    (order,), rejects = translate([raw], SQUARE._make["order"])
    assert rejects == []
    assert (order.external_id, order.status, order.currency) == ("CAISENgvlJ6jLWAzERDzjyHVybY", "open", "USD")
    assert [(line.line_id, line.quantity, line.price_minor) for line in order.lines] == [
        ("ULkg0tQTRK2bkU9fNv3IJD", 1, 500), ("mumY8Nun4BC5aKe2yyx5a", 2, 300),
    ]  # fmt: skip
    counts = contract_example("BatchRetrieveInventoryCountsResponse")["counts"]
    (level,), _ = translate(counts, SQUARE._make["level"])
    assert level == Level(external_id="W62UWFY35CWMYGVWK6TWJDNI", place="59TNP9SA8VGDA", quantity=79)


def contract_example(name):
    import gzip

    from .running import CONTRACTS

    return json.loads(gzip.decompress((CONTRACTS / OPENAPI).read_bytes()))["components"]["schemas"][name]["example"]


def test_pages_of_orders_of_one_moment_lose_none_and_reading_goes_on_from_there(shop):
    mug = shop.add_product("MUG", 1_000)
    moment = SINCE + timedelta(minutes=10)
    for n in range(230):  # 150 of them in one moment, across a page's border
        shop.buy({mug: 1}, at=moment + timedelta(seconds=max(0, n - 150)))
    found, cursor, pages = pull_all(shop, SQUARE.pull_orders)
    assert (len(found), pages) == (230, 3)
    assert {o.external_id for o in found} == set(shop.orders)
    late = shop.buy({mug: 1}, at=moment + timedelta(seconds=80))  # as old as the newest
    again, _, _ = pull_all(shop, SQUARE.pull_orders, cursor)
    assert late["id"] in {o.external_id for o in again}
    assert len(again) < 230


def test_counter_sales_and_returns_are_read_and_online_ones_have_their_order(shop):
    mug = shop.add_product("MUG", 50)
    sold = shop.sell(mug, 3, at=SINCE + timedelta(minutes=1))
    back = shop.sell(mug, 1, at=SINCE + timedelta(minutes=2), back=True)
    shop.buy({mug: 2})
    found, cursor, _ = pull_all(shop, SQUARE.pull_sales)
    assert [(s.external_id, s.external_sku, s.quantity, s.place) for s in found] == [
        (sold["id"], mug, 3, "L1"), (back["id"], mug, -1, "L1"),
    ]  # fmt: skip
    assert found[0].at == datetime.fromisoformat(sold["occurred_at"])
    shop.sell(mug, 4)
    again, _, _ = pull_all(shop, SQUARE.pull_sales, cursor)
    assert again[-1].quantity == 4


def test_parts_of_units_are_told_and_stop_no_other(shop):
    cheese = shop.add_product("CHEESE", 50)
    shop.sell(cheese, 1)["quantity"] = "0.25"
    shop.sell(cheese, 2)
    page = ask(shop, lambda c: SQUARE.pull_sales(c, None, since=SINCE))
    assert [s.quantity for s in page.records] == [2]
    assert "0.25" in page.rejects[0].why or "whole" in page.rejects[0].why


def test_what_it_shows_and_sells_is_read_in_pages(shop):
    ids = [shop.add_product(f"S-{n}", n) for n in range(130)]

    async def work(connection):
        levels = await SQUARE.pull_stock(connection, None)
        offers = await SQUARE.pull_listings(connection, None)
        more = await SQUARE.pull_listings(connection, offers.next)
        return levels, [*offers.records, *more.records], more.next

    levels, offers, end = ask(shop, work)
    assert [(level.external_id, level.quantity, level.place) for level in levels.records] == [
        (found, n, "L1") for n, found in enumerate(ids)
    ]
    assert [(o.external_id, o.external_sku, o.is_active) for o in offers][:2] == [
        (ids[0], "S-0", True),
        (ids[1], "S-1", True),
    ]
    assert (len(offers), end) == (130, None)


def test_a_number_is_of_its_moment_and_loses_no_sale_that_came_later(shop):
    mug = shop.add_product("MUG", 10)
    computed = datetime.now(UTC) - timedelta(seconds=9)
    shop.sell(mug, 2, at=computed + timedelta(seconds=5))
    (outcome,) = ask(shop, lambda c: SQUARE.push_stock(c, [write(mug, 7, at=computed)]))
    assert outcome.fate is Fate.DONE
    assert shop.stock(mug) == 5, "7 as of then, less 2 sold since"
    ask(shop, lambda c: SQUARE.push_stock(c, [write(mug, 7, key="k2")]))
    assert shop.stock(mug) == 7, "7 as of now"


def test_the_same_write_again_does_nothing(shop):
    mug = shop.add_product("MUG", 10)
    one = write(mug, 7, at=datetime.now(UTC))
    ask(shop, lambda c: SQUARE.push_stock(c, [one]))
    shop.sell(mug, 1, at=one.at - timedelta(seconds=5))  # learned of later, happened before
    before = len(shop.changes)
    for again in (one, write(mug, 7)):  # and if its moment was forgotten
        assert ask(shop, lambda c: SQUARE.push_stock(c, [again]))[0].fate is Fate.DONE  # noqa: B023
    assert (len(shop.changes), shop.stock(mug)) == (before, 7)


def test_writes_go_a_hundred_at_a_time_and_one_that_is_wrong_stops_no_other(shop):
    ids = [shop.add_product(f"S-{n}", 0) for n in range(230)]
    writes = [write(found, n, key=f"k{n}") for n, found in enumerate(ids)]
    writes.insert(17, write("V00000000", 5, key="gone"))
    writes[140] = write(writes[140].external_id, -1, key="bad")
    outcomes = ask(shop, lambda c: SQUARE.push_stock(c, writes), limiter=Turns())
    assert (outcomes[17].fate, outcomes[17].code) == (Fate.GONE, "NOT_FOUND")
    assert (outcomes[140].fate, outcomes[140].code) == (Fate.REFUSED, "INVALID_VALUE")
    assert [o.fate for o in outcomes].count(Fate.DONE) == 229
    for outcome, one in zip(outcomes, writes, strict=True):
        assert outcome.fate is not Fate.DONE or shop.stock(one.external_id) == one.quantity


@pytest.mark.parametrize(
    ("fault", "fate", "applied"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, Fate.RETRY, False),
        ({"status": 429}, Fate.RETRY, False),
        ({"status": 503}, Fate.RETRY, False),
        ({"status": 500}, Fate.UNKNOWN, False),
        ({"status": 504, "after": True}, Fate.UNKNOWN, True),
        ({"status": 0, "after": True}, Fate.UNKNOWN, True),
    ],
)
def test_a_write_that_fails_says_whether_it_may_have_happened_and_may_be_sent_again(shop, fault, fate, applied):
    mug = shop.add_product("MUG", 1)
    fail(shop, fault)
    turns = Turns()
    one = write(mug, 5, at=datetime.now(UTC))
    (outcome,) = ask(shop, lambda c: SQUARE.push_stock(c, [one]), limiter=turns)
    assert outcome.fate is fate
    assert (shop.stock(mug) == 5) is applied
    assert turns.paused == {429: [7.0] if "headers" in fault else [2.0]}.get(fault["status"], [])
    assert ask(shop, lambda c: SQUARE.push_stock(c, [one]))[0].fate is Fate.DONE
    assert shop.stock(mug) == 5


def parcel(order, key="k", **more):
    return Parcel(order_id=order["id"], fulfilment_id="f", key=key, shipped_at=SINCE, lines=(), carrier="UPS",
                  tracking="1Z", tracking_url="https://ups.example/1Z", **more)  # fmt: skip


def test_a_parcel_completes_the_order_when_nothing_is_left_and_once(shop):
    order = shop.buy({shop.add_product("MUG", 5): 2})
    tell = lambda one: ask(shop, lambda c: SQUARE.push_parcel(c, one))  # noqa: E731
    assert tell(parcel(order, is_complete=False)).code == "not_told"
    assert order["fulfillments"][0]["state"] == "PROPOSED"

    async def cut(connection):
        class Cut:
            async def send(self, request):
                answer = await connection.sender.send(request)
                if request.method == "PUT":
                    raise NotReachable("cut off", was_sent=True)
                return answer

        return await SQUARE.push_parcel(replace(connection, sender=Cut()), parcel(order))

    assert ask(shop, cut).fate is Fate.UNKNOWN
    assert (tell(parcel(order)).fate, tell(parcel(order)).fate) == (Fate.DONE, Fate.DONE)
    (fulfilment,) = order["fulfillments"]
    assert (fulfilment["state"], fulfilment["shipment_details"]["tracking_number"]) == ("COMPLETED", "1Z")
    assert fulfilment["shipment_details"]["recipient"]["display_name"] == "Ada Byron"
    assert (order["version"], order["state"]) == (2, "COMPLETED"), "told once"


def test_what_is_collected_is_completed_without_a_parcel(shop):
    order = shop.buy({shop.add_product("MUG", 5): 2}, kind="PICKUP")
    assert ask(shop, lambda c: SQUARE.push_parcel(c, parcel(order))).fate is Fate.DONE
    assert order["fulfillments"][0]["state"] == "COMPLETED"
    read = ask(shop, lambda c: SQUARE.get_order(c, order["id"]))
    assert (read.status, read.service, read.destination, read.name) == ("completed", "PICKUP", None, "Ada Byron")


def test_an_order_that_changed_meanwhile_is_stale(shop):
    order = shop.buy({shop.add_product("MUG", 5): 2})

    async def work(connection):
        class Meddling:
            async def send(self, request):
                answer = await connection.sender.send(request)
                order["version"] += request.method == "GET"
                return answer

        return await SQUARE.push_parcel(replace(connection, sender=Meddling()), parcel(order))

    assert ask(shop, work).fate is Fate.STALE
    assert ask(shop, lambda c: SQUARE.push_parcel(c, parcel(order))).fate is Fate.DONE


def test_an_order_is_called_off_read_as_cancelled_and_an_unknown_word_is_unknown(shop):
    order = shop.buy({shop.add_product("MUG", 5): 2})
    cancel = lambda: ask(shop, lambda c: SQUARE.cancel_order(c, order["id"], reason="x", key="c")).fate  # noqa: E731
    assert (cancel(), cancel()) == (Fate.DONE, Fate.DONE)
    assert ask(shop, lambda c: SQUARE.get_order(c, order["id"])).status == "cancelled"
    other = shop.buy({next(iter(shop.variations)): 1})
    other["state"] = "ON_THE_MOON"
    read = ask(shop, lambda c: SQUARE.get_order(c, other["id"]))
    assert (read.status, read.status_word) == ("unknown", "ON_THE_MOON")
    with pytest.raises(Refused) as raised:
        ask(shop, lambda c: SQUARE.get_order(c, "O0"))
    assert raised.value.is_gone


def test_messages_are_genuine_only_with_address_body_and_key(shop):
    mug = shop.add_product("MUG", 5)
    order = shop.buy({mug: 2})
    headers, body = shop.deliver("order.updated", order, HOOK)

    def receive(headers=headers, body=body, url=HOOK, secret="hook", **more):
        credentials = {"webhook_secret": secret, **more}
        return SQUARE.receive(headers, body, url=url, credentials=credentials, now=datetime.now(UTC))

    received = receive()
    assert (received.topic, received.dedupe) == ("order.updated", json.loads(body)["event_id"])
    assert receive() == received, "a repeat is known"
    assert receive(secret="new", webhook_secret_before="hook") == received, "while it is exchanged"
    name = "x-square-hmacsha256-signature"
    for wrong in (
        {"body": body + b" "}, {"url": HOOK + "/"}, {"secret": "other"}, {"secret": ""}, {"headers": {}},
        {"headers": {name: ""}}, {"headers": {name: headers[name].swapcase()}},
    ):  # fmt: skip
        with pytest.raises(NotGenuine):
            receive(**wrong)


def test_a_message_is_a_hint_to_an_order_or_says_what_is_shown(shop):
    mug = shop.add_product("MUG", 5)
    order, till = shop.buy({mug: 2}), shop.buy({mug: 1}, kind="")

    def read(kind, about):
        _, body = shop.deliver(kind, about, HOOK)
        return ask(shop, lambda c: SQUARE.read(c, kind, body))

    (found,) = read("order.updated", order)
    assert (found.external_id, found.status) == (order["id"], "open")
    assert list(read("order.created", till)) == [], "sold over the counter: no order of ours"
    assert list(read("inventory.count.updated", {mug: 2})) == [Level(external_id=mug, place="L1", quantity=2)]
    assert list(read("order.fulfillment.moved", order)) == []


@needs_contracts
@pytest.mark.parametrize(
    ("event", "topic", "order_id"),
    [
        ("OrderCreatedEvent", "order.created", "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"),
        ("OrderUpdatedEvent", "order.updated", "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"),
        ("OrderFulfillmentUpdatedEvent", "order.fulfillment.updated", "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"),
        ("InventoryCountUpdatedEvent", "inventory.count.updated", None),
    ],
)
def test_the_contracts_own_examples_of_messages_are_understood(shop, event, topic, order_id):
    example = contract_example(event)
    assert example["type"] == topic
    if order_id is None:
        (level,) = ask(shop, lambda c: SQUARE.read(c, topic, json.dumps(example).encode()))
        assert level == Level(external_id="FGQ5JJWT2PYTHF35CKZ2DSKP", place="YYQR03DGCTXA4", quantity=10)
    else:
        with pytest.raises(Refused, match=order_id):  # that is what it asked for
            ask(shop, lambda c: SQUARE.read(c, topic, json.dumps(example).encode()))


def test_a_wrong_token_is_told_without_the_token(shop):
    with pytest.raises(Refused) as raised:
        ask(shop, lambda c: SQUARE.pull_orders(c, None, since=SINCE), token="very_secret")
    assert raised.value.is_unauthorised
    assert "very_secret" not in repr(raised.value)
