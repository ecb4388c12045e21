"""Record what a real Vendure answers, for the connector's fixtures: `python -m tests.connectors.vendure.record`.

It buys, writes numbers, ships and cancels at a storefront that is made for it, and keeps each call with its answers.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import msgspec

from onhand.connectors import Connection, MemoryLimiter, MemoryTokens, Refused, find
from onhand.connectors._sdk.conformance import Fixture, Recording, differing
from onhand.connectors._sdk.conformance.recorded import as_text
from onhand.connectors._sdk.values import Less, Parcel, Write
from onhand.wire import Caller, Guard

from .storefront import storefront, why_not

FOLDER = Path(str(files("onhand.connectors").joinpath("vendure")))
SECRETS = {"username": "superadmin", "password": "superadmin"}
KEPT = {"username": "recorded-username", "password": "recorded-password"}


async def record(front):
    """Write fixtures and golden files; the names of the calls."""
    connector = find("vendure").connector
    front.offer("MUG", 40)
    front.offer("CUP", 9)
    first, second = front.buy("MUG", 3)["id"], front.buy("CUP", 2)["id"]
    settings = {"place": str(front.place), "url": front.url}
    tokens, limiter = MemoryTokens(), MemoryLimiter()
    names = []
    async with Caller(Guard(allow_private=True), ssl.create_default_context()) as caller:

        def connect(sender):
            return Connection(settings=settings, credentials=SECRETS, sender=sender, limiter=limiter, tokens=tokens)

        (line,) = (await connector.get_order(connect(caller), first)).lines  # signs in, unheard
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=7)
        mug, cup = (
            Write(external_id=front.variants[sku], quantity=n, key=f"k{n}") for sku, n in (("MUG", 4), ("CUP", 0))
        )
        gone = Write(external_id="999", quantity=1, key="k1")
        named = {"line_id": line.line_id, "external_item_id": line.external_item_id, "sku": "MUG", "quantity": 1}
        less = [Less(line_id=line.line_id, quantity=2, left=1, external_item_id=line.external_item_id, sku="MUG")]
        parcel = Parcel(
            order_id=first, fulfilment_id="f-p1", key="p1", shipped_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
            lines=[named], carrier="UPS", service="ground", tracking="1Z999AA10123456784",
        )  # fmt: skip
        calls = [
            ("listings", "listings.pull", {}, lambda c: connector.pull_listings(c, None)),
            ("stock", "stock.pull", {}, lambda c: connector.pull_stock(c, None)),
            ("orders", "orders.pull", {"since": since}, lambda c: connector.pull_orders(c, None, since=since)),
            ("order", "orders.get", {"id": first}, lambda c: connector.get_order(c, first)),
            ("order_gone", "orders.get", {"id": "904"}, lambda c: connector.get_order(c, "904")),
        ]
        for name, writes in (("numbers", [mug, cup]), ("numbers_gone", [mug, gone, cup])):
            calls.append((name, "stock.push", {"writes": writes}, lambda c, w=writes: connector.push_stock(c, w)))
        for again in ("", "_again"):
            given = {"id": first, "lines": less, "reason": "none left", "key": "c1"}
            calls.append(
                (f"cancelled_lines{again}", "orders.cancel_lines", given,
                 lambda c: connector.cancel_lines(c, first, less, reason="none left", key="c1"))
            )  # fmt: skip
        for again in ("", "_again"):
            given = {"parcel": asdict(parcel)}
            calls.append((f"parcel{again}", "fulfilments.push", given, lambda c: connector.push_parcel(c, parcel)))
        for again in ("", "_again"):
            given = {"id": second, "reason": "none left", "key": "c2"}
            calls.append(
                (f"cancelled{again}", "orders.cancel", given,
                 lambda c: connector.cancel_order(c, second, reason="none left", key="c2"))
            )  # fmt: skip
        for name, call, given, ask in calls:
            heard = Recording(caller)
            heard.connection = connect(heard)
            with suppress(Refused):  # an order that is not there
                await ask(heard.connection)
            fixture = Fixture(
                of="vendor", call=call, settings=settings | {"url": "https://vendure.test"}, credentials=KEPT,
                given=msgspec.to_builtins(given), answers=heard.answers,
            )  # fmt: skip
            (FOLDER / "fixtures" / f"{name}.json").write_text(as_text(msgspec.to_builtins(fixture)), "utf-8")
            names.append(name)
    await differing(connector, FOLDER, write=True)
    return names


if __name__ == "__main__":
    if reason := why_not():
        raise SystemExit(reason)
    with storefront() as made:
        print(*asyncio.run(record(made)))
