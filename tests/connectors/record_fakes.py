"""Record what the fakes answer, for golden files beside connectors: `python -m tests.connectors.record_fakes NAME...`,
or `NAME/prices` for some calls only.

The vendor's own answers are worth more (`onhand channel record`); these keep what is understood from changing unseen.
"""

import asyncio
import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import msgspec

from onhand.connectors import Refused, find
from onhand.connectors._sdk.conformance import Fixture, Kit, NotOnBench, Recording, abilities, differing
from onhand.connectors._sdk.conformance.paying import CHARGE
from onhand.connectors._sdk.conformance.recorded import as_text
from onhand.connectors._sdk.values import Less

NAMES = ("amazon", "medusa", "rest_generic", "square", "stripe", "webhook_generic")


def calls_of(kit, mug, cup, order_id, other_id, order):
    """[(name of the file, call, arguments, how it is asked)] of what the connector can do, readings first."""
    connector, now = kit.connector, datetime.now(UTC).replace(microsecond=0)
    writes = [
        msgspec.structs.replace(kit.bench.write(listing, units, key=key), at=now)
        for listing, units, key in ((mug, 4, "k1"), ("NOWHERE-1", 1, "k2"), (cup, 0, "k3"))
    ]
    prices = [
        msgspec.structs.replace(kit.bench.price_write(listing, minor, key=key), at=now)
        for listing, minor, key in ((mug, 2_250, "k4"), ("NOWHERE-1", 100, "k5"), (cup, 905, "k6"))
    ]
    since = now - timedelta(days=7)
    gone = "none-" + order_id
    calls: list[tuple[str, str, dict, Callable]] = [
        ("listings", "listings.pull", {}, lambda c: connector.pull_listings(c, None)),
        ("stock", "stock.pull", {}, lambda c: connector.pull_stock(c, None)),
        ("orders", "orders.pull", {"since": since}, lambda c: connector.pull_orders(c, None, since=since)),
        ("sales", "sales.pull", {"since": since}, lambda c: connector.pull_sales(c, None, since=since)),
        ("order", "orders.get", {"id": order_id}, lambda c: connector.get_order(c, order_id)),
        ("order_gone", "orders.get", {"id": gone}, lambda c: connector.get_order(c, gone)),
        ("currency", "prices.currency", {}, connector.get_currency),
        ("asked", "prices.pull", {}, lambda c: connector.pull_prices(c, None)),
        ("prices", "prices.push", {"writes": prices}, lambda c: connector.push_prices(c, prices)),
        ("numbers", "stock.push", {"writes": writes}, lambda c: connector.push_stock(c, writes)),
    ]
    if order is not None:
        line = order.lines[0]
        less = [Less(line_id=line.line_id, quantity=1, left=line.quantity - 1, sku=line.sku)]
        parcel = kit.bench.parcel(order, tracking="1Z999AA10123456784", key="p1")
        cancel = {"id": other_id, "reason": "none left", "key": "c1"}
        calls += [
            ("cancelled_lines", "orders.cancel_lines", cancel | {"lines": less},
             lambda c: connector.cancel_lines(c, other_id, less, reason="none left", key="c1")),
            ("parcel", "fulfilments.push", {"parcel": asdict(parcel)}, lambda c: connector.push_parcel(c, parcel)),
            ("cancelled", "orders.cancel", cancel,
             lambda c: connector.cancel_order(c, other_id, reason="none left", key="c1")),
        ]  # fmt: skip
    return [one for one in calls if one[1] in connector.capabilities]


def payments_of(kit, other_id):
    """The same of a connector that takes money: another payment is let go."""
    connector, capture = kit.connector, {"id": "pi_00000003", "amount_minor": 6_000, "key": "k2"}
    charge = msgspec.structs.replace(CHARGE, key="k1", token=kit.bench.card())
    poor = msgspec.structs.replace(CHARGE, key="k6", token=kit.bench.card(pays=False))
    capture |= {"is_final": False, "is_many": False}
    refund = {"id": "pi_00000003", "amount_minor": 1_999, "reason": "returned", "key": "k3"}
    void = {"id": other_id, "reason": "cancelled", "key": "k4"}
    return [
        ("authorised", "payments.authorise", {"charge": charge}, lambda c: connector.authorise(c, charge)),
        ("captured", "payments.capture", capture,
         lambda c: connector.capture(c, capture["id"], 6_000, is_final=False, is_many=False, key="k2")),
        ("captured_again", "payments.capture", capture | {"key": "k5"},
         lambda c: connector.capture(c, capture["id"], 6_000, is_final=False, is_many=False, key="k5")),
        ("refunded", "payments.refund", refund,
         lambda c: connector.refund(c, refund["id"], 1_999, reason="returned", key="k3")),
        ("payment", "payments.get", {"id": capture["id"]}, lambda c: connector.get_payment(c, capture["id"])),
        ("voided", "payments.void", void, lambda c: connector.void(c, other_id, reason="cancelled", key="k4")),
        ("declined", "payments.authorise", {"charge": poor}, lambda c: connector.authorise(c, poor)),
    ]  # fmt: skip


async def record(name, only=""):
    """Write fixtures and golden files of a connector, of calls that begin with `only`; the names of the calls."""
    folder = Path(str(files("onhand.connectors").joinpath(name)))
    bench = importlib.import_module(f".conformance.{name}", __package__).make()
    kit = Kit(find(name).connector, bench)
    mug, cup = bench.offer("MUG", 40), bench.offer("CUP", 9)
    if hasattr(bench, "sell"):
        bench.sell(mug, 2)
    order_id, other_id = bench.buy({mug: 3, cup: 1}), bench.buy({mug: 2})
    order = None
    if "orders.get" in kit.connector.capabilities:
        order = await kit.connector.get_order(kit.connection, order_id)  # signs in, unheard
    elif "messages" in abilities(kit.connector):
        said = bench.message(order_id)
        received = kit.connector.receive(
            said.headers, said.body, url=said.url, credentials=bench.credentials, now=datetime.now(UTC)
        )
        (order,) = await kit.connector.read(kit.connection, received.topic, said.body)
    if "payments.authorise" in kit.connector.capabilities:
        calls = payments_of(kit, other_id)
    else:
        calls = calls_of(kit, mug, cup, order_id, other_id, order)
    calls = [one for one in calls if one[1].startswith(only)]
    (folder / "fixtures").mkdir(exist_ok=True)
    kept = [keep(folder, kit, one, await heard(kit, one)) for one in calls]
    # What Standard Webhooks signs is genuine for five minutes only, by the clock of this machine.
    if (
        not only
        and "messages" in abilities(kit.connector)
        and kit.connector.document.webhooks.verify.scheme != "standard_webhooks"
    ):
        with suppress(NotOnBench):
            message = bench.message(order_id)
            given = {
                "headers": dict(message.headers), "body": message.body.decode(), "url": message.url,
                "now": datetime.now(UTC),
            }  # fmt: skip

            async def read(connection):
                received = kit.connector.receive(
                    message.headers, message.body, url=message.url, credentials=connection.credentials,
                    now=given["now"],
                )  # fmt: skip
                return await kit.connector.read(connection, received.topic, message.body)

            one = ("message", "message", given, read)
            kept.append(keep(folder, kit, one, await heard(kit, one)))
    await differing(kit.connector, folder, write=True)
    bench.close()
    return kept


async def heard(kit, one):
    """The answers to a call."""
    wire = Recording(kit.connection.sender)
    wire.connection = replace(kit.connection, sender=wire)
    with suppress(Refused):  # an order that is not there
        await one[3](wire.connection)
    await kit.bench.settle()
    return wire.answers


def keep(folder, kit, one, answers):
    name, call, given, _ = one
    # Of a message the secret that signed it is kept: it is of an account that is not there.
    is_signed = call == "message"
    credentials = {key: text if is_signed else f"recorded-{key}" for key, text in kit.bench.credentials.items()}
    fixture = Fixture(
        of="fake", call=call, settings=dict(kit.bench.settings), credentials=credentials,
        given=msgspec.to_builtins(given), answers=answers,
    )  # fmt: skip
    (folder / "fixtures" / f"{name}.json").write_text(as_text(msgspec.to_builtins(fixture)), "utf-8")
    return name


if __name__ == "__main__":
    for asked in sys.argv[1:] or NAMES:
        print(asked, *asyncio.run(record(*asked.split("/"))))
