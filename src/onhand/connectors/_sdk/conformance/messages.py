"""Cases: messages of the channel are genuine or refused; they come twice and in any order."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from onhand.connectors._sdk.conformance.bench import Delivery
from onhand.connectors._sdk.conformance.kit import Kit, case, expect
from onhand.connectors._sdk.interface import NotGenuine, Refused, Unavailable
from onhand.connectors._sdk.values import ChannelOrder, PaymentHint, Received


def _receive(kit: Kit, delivery: Delivery, credentials: Mapping[str, str] | None = None) -> Received:
    known = kit.bench.credentials if credentials is None else credentials
    return kit.connector.receive(
        delivery.headers, delivery.body, url=delivery.url, credentials=known, now=datetime.now(UTC)
    )


def _is_refused(kit: Kit, delivery: Delivery, credentials: Mapping[str, str] | None = None) -> bool:
    try:
        return _receive(kit, delivery, credentials).topic == ""
    except NotGenuine:
        return True


def _bought(kit: Kit) -> str:
    return kit.bench.buy({kit.bench.offer("MUG", 9): 1}, at=kit.since + timedelta(hours=1))


@case("messages")
async def a_genuine_message_is_taken_and_read(kit: Kit) -> None:
    """What the channel signed is taken, and leads to its order, or to its payment."""
    order_id = _bought(kit)
    delivery = kit.bench.message(order_id)
    received = _receive(kit, delivery)
    expect(received.topic != "", "it is taken for a handshake, and forgotten")
    expect(received.reply[0] in range(200, 300), f"it is answered {received.reply[0]}")
    read = await kit.connector.read(kit.connection, received.topic, delivery.body)
    orders = [value.external_id for value in read if isinstance(value, ChannelOrder)]
    orders += [value.id for value in read if isinstance(value, PaymentHint)]
    expect(orders == [order_id], f"it is about {order_id} and read as {orders}")


@case("messages")
async def a_message_that_is_not_genuine_is_refused(kit: Kit) -> None:
    """Another body, another signature, none, another secret, no secret: refused."""
    order_id = _bought(kit)
    delivery = kit.bench.message(order_id)
    name = kit.bench.signed_by
    changed = Delivery(headers=delivery.headers, body=delivery.body + b" ", url=delivery.url)
    expect(_is_refused(kit, changed), "a body that was changed by a space is taken")
    for header in delivery.headers:
        rest = {n: v for n, v in delivery.headers.items() if n != header}
        taken = Delivery(headers=rest, body=delivery.body, url=delivery.url)
        forged = Delivery(headers={**rest, header: "AAAA"}, body=changed.body, url=delivery.url)
        expect(_is_refused(kit, forged), f"another body is taken with another {header}")
        _is_refused(kit, taken)  # a header may be missing; nothing else than a refusal may come of it
    bare = Delivery(headers={"content-type": "application/json"}, body=delivery.body, url=delivery.url)
    expect(_is_refused(kit, bare), "a message without a signature is taken")
    expect(_is_refused(kit, kit.bench.message(order_id, secret="somebody-elses-secret")), "any secret is taken")  # noqa: S106
    for missing in ({}, {name: ""}, {name: "", f"{name}_before": ""}):
        expect(_is_refused(kit, kit.bench.message(order_id, secret=""), missing), "without a secret, all is taken")
        expect(_is_refused(kit, delivery, missing), "without a secret, it is taken")


@case("messages")
async def odd_signatures_are_refused(kit: Kit) -> None:
    """Signatures and bodies of any form are refused, and nothing worse."""
    delivery = kit.bench.message(_bought(kit))
    odd = ("", " ", "=", "\xb2", "é", "\u0661", "a" * 100_000, "-1", "1e9", "v1,", "sha256=", "\x00")
    for header in delivery.headers:
        for value in odd:
            headers = {**delivery.headers, header: value}
            for body in (b"", b"[" * 100_000, b"\xff", delivery.body + b"\n"):
                strange = Delivery(headers=headers, body=body, url=delivery.url)
                expect(_is_refused(kit, strange), f"{header}: {value[:20]!r} and {body[:20]!r} are taken")


@case("messages")
async def while_a_secret_is_exchanged_both_count(kit: Kit) -> None:
    """Messages signed with the secret before count until the exchange is over; then they do not."""
    order_id, name = _bought(kit), kit.bench.signed_by
    old = kit.bench.credentials[name]
    during = {**kit.bench.credentials, name: "a-new-secret-of-the-channel", f"{name}_before": old}
    after = {**kit.bench.credentials, name: "a-new-secret-of-the-channel"}
    before, new = kit.bench.message(order_id), kit.bench.message(order_id, secret="a-new-secret-of-the-channel")  # noqa: S106
    expect(not _is_refused(kit, before, during), "the secret before is refused while it is exchanged")
    expect(not _is_refused(kit, new, during), "the new secret is refused while it is exchanged")
    expect(_is_refused(kit, before, after), "the secret before counts for ever")
    expect(not _is_refused(kit, new, after), "the new secret is refused")


@case("messages")
async def a_repeat_is_known_and_another_is_another(kit: Kit) -> None:
    """The same delivery twice is known by its `dedupe`; another one has another."""
    order_id = _bought(kit)
    first = kit.bench.message(order_id)
    names = [_receive(kit, delivery).dedupe for delivery in (first, first)]
    kit.bench.change(order_id)
    other = _receive(kit, kit.bench.message(order_id)).dedupe
    expect(names[0] == names[1] != "", f"a repeat is not known: {names}")
    expect(other != names[0], "another message is taken for a repeat, and lost")


@case("messages", "orders.get")
async def messages_in_any_order_end_the_same(kit: Kit) -> None:
    """A message that comes after a newer one is told from it: it says when it changed, or what is now is read."""
    order_id = _bought(kit)
    old = kit.bench.message(order_id)
    kit.bench.change(order_id, at=datetime.now(UTC) + timedelta(seconds=5))
    new = kit.bench.message(order_id)
    moments: list[datetime | None] = []
    for delivery in (new, old, new):
        received = _receive(kit, delivery)
        read = await kit.connector.read(kit.connection, received.topic, delivery.body)
        moments += [value.updated_at for value in read if isinstance(value, ChannelOrder)]
    expect(len(moments) == 3 and None not in moments, f"they do not say when the order changed: {moments}")
    newest = max(moment for moment in moments if moment is not None)
    expect(moments[0] == newest == moments[2], "the newest message is not read as the newest")


@case("messages")
async def what_cannot_be_read_of_a_message_is_refused(kit: Kit) -> None:
    """A genuine message with a body of any form is Refused or read; nothing else comes out. Topics unknown are left."""
    received = _receive(kit, kit.bench.message(_bought(kit)))
    for body in (b"", b"null", b"[]", b"7", b'"x"', b"{}", b'{"id": null}', b"[" * 100_000, b"\xff"):
        try:
            read = await kit.connector.read(kit.connection, received.topic, body)
        except (Refused, Unavailable):
            continue
        expect(not read, f"{body[:20]!r} is read as {read}")
    expect(not await kit.connector.read(kit.connection, "a.topic/of-no-kind", b"{}"), "an unknown topic is read")
