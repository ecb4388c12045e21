"""Supply that is on its way is recorded once per reference."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import ValidationError
from tests.events import settled

from onhand.base.actor import Actor
from onhand.catalog.catalogue import Catalogue
from onhand.errors import Conflict, InvalidInput
from onhand.flows.record_inbound import record_inbound
from onhand.ledger import inbound
from onhand.ledger.inbound import InboundIn, InboundLineIn, OpenLine, split_received

SOON = datetime(2026, 3, 9, 8, 0, 0, 123456, tzinfo=UTC)
BY = Actor(key_id=3)


def line(sku="A", quantity=10, **more):
    return InboundLineIn(sku=sku, quantity=quantity, expected_at=SOON, **more)


def request(reference="PO-1", node="N1", lines=None, **more):
    return InboundIn(reference=reference, node=node, lines=lines or [line()], **more)


def record(db, what):
    return record_inbound(db, Catalogue(), {}, what, BY)


def test_a_document_is_kept_as_announced(shop):
    made = record(shop, request(lines=[line(), line("B", 5, confidence=0.5)], supplier="Nord"))
    assert made.is_new
    found = made.inbound
    assert (found.reference, found.node, found.kind, found.supplier) == ("PO-1", "N1", "purchase", "Nord")
    assert [astuple(n) for n in found.lines] == [
        (1, "A", 10, 0, 0, SOON, 1.0),
        (2, "B", 5, 0, 0, SOON, 0.5),
    ]
    with shop.connection() as conn:
        assert inbound.find_inbound(conn, inbound_id=found.inbound_id) == found
        (event,) = settled(conn)
    assert (event.kind, event.subject, event.actor) == (
        "inbound.created", str(found.inbound_id), 3,
    )  # fmt: skip


def test_the_same_again_is_the_same_document_and_another_is_refused(shop):
    first = record(shop, request())
    with shop.connection() as conn:  # what has happened since does not make it another
        conn.execute("UPDATE inbound_line SET received = 4")
    again = record(shop, request())
    assert not again.is_new
    assert again.inbound.inbound_id == first.inbound.inbound_id
    for other in (
        request(node="N2"),
        request(supplier="Nord"),
        request(lines=[line(quantity=11)]),
        request(lines=[line(confidence=0.9)]),
        request(lines=[line(), line()]),
        request(kind="transfer"),
    ):
        with pytest.raises(Conflict) as refused:
            record(shop, other)
        assert refused.value.code == "inbound.reference_taken"
    with shop.connection() as conn:
        assert len(settled(conn)) == 1


def test_twins_make_one_document(shop):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: record(shop, request()), range(16)))
    assert sum(m.is_new for m in made) == 1
    assert len({m.inbound.inbound_id for m in made}) == 1


def test_unknown_names_and_bundles_are_named(shop):
    with shop.connection() as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (11, 'SET', 'set')")
        conn.execute("INSERT INTO bundle_component VALUES (11, 1, 2)")
    with pytest.raises(InvalidInput) as refused:
        record(shop, request(node="nowhere", lines=[line(), line("nobody"), line("SET")]))
    assert [e.path for e in refused.value.errors] == ["node", "lines[1].sku", "lines[2].sku"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": []},
        {"reference": ""},
        {"lines": [{"sku": "A", "quantity": 0, "expected_at": "2026-03-09T08:00:00Z"}]},
        {"lines": [{"sku": "A", "quantity": 2**31, "expected_at": "2026-03-09T08:00:00Z"}]},
        {"lines": [{"sku": "A", "quantity": 1, "expected_at": "2026-03-09"}]},
        {"lines": [{"sku": "A", "quantity": 1, "expected_at": "2026-03-09T08:00:00Z", "confidence": 1.1}]},
        {"lines": [{"sku": "A", "quantity": 1, "expected_at": "2026-03-09T08:00:00Z", "confidence": float("nan")}]},
        {"kind": "gift"},
        {"colour": "red"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong):
    good = {
        "reference": "PO-1",
        "node": "N1",
        "lines": [{"sku": "A", "quantity": 1, "expected_at": "2026-03-09T08:00:00Z"}],
    }
    InboundIn.model_validate(good)
    with pytest.raises(ValidationError):
        InboundIn.model_validate(good | wrong)


def test_documents_are_listed_page_by_page(shop):
    made = [record(shop, request(f"PO-{n}", node="N1" if n % 2 else "N2", lines=[line("AB"[n % 2])])) for n in range(5)]
    ids = [m.inbound.inbound_id for m in made]
    with shop.connection() as conn:
        conn.execute("UPDATE inbound SET closed_at = now() WHERE reference = 'PO-0'")

        def listed(**where):
            return [i.inbound_id for i in inbound.list_inbound(conn, limit=10, **where)]

        assert listed() == ids
        assert [i.inbound_id for i in inbound.list_inbound(conn, limit=2, after=ids[1])] == ids[2:4]
        assert listed(node_id=2) == ids[::2]
        assert listed(item_id=2) == ids[1::2]
        assert listed(reference="PO-3") == [ids[3]]
        assert listed(is_open=True) == ids[1:]
        assert listed(is_open=False) == ids[:1]
        assert listed(item_id=9) == []


def test_arrivals_fill_lines_in_order_and_the_rest_goes_to_the_last():
    def open_line(n, units, reference="PO", item=1):
        return OpenLine(UUID(int=1), n, reference, item, 1, units)

    lines = [open_line(1, 5), open_line(2, 3, item=2), open_line(3, -1), open_line(4, 5)]
    at = UUID(int=1)
    assert split_received(lines, {("PO", 1, 1): 7}) == {(at, 1): 5, (at, 4): 2}
    assert split_received(lines, {("PO", 1, 1): 13}) == {(at, 1): 5, (at, 4): 8}
    assert split_received(lines, {("PO", 2, 1): 1, ("PO", 2, 2): 9, ("XX", 1, 1): 9}) == {(at, 2): 1}
