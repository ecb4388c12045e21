"""Those who pass files: what tills write, and a third party that understands our connector, and is understood."""

from datetime import UTC, datetime

import pytest
from tests.connectors.filing import Place

from onhand.connectors import find
from onhand.connectors._sdk.values import Address, Fate, Fulfilment, FulfilmentLine, Level, Sale, Shipment
from onhand.twin.fakes.files import Hub, Tills
from onhand.twin.storefronts import THIRD, TILLS


@pytest.fixture
def tills(tmp_path):
    place = Place(tmp_path, find("csv_feed").connector, dict(TILLS.settings) | {"url": "file:///box"})
    place.fake = Tills(place.box)
    return place


@pytest.fixture
def hub(tmp_path):
    place = Place(tmp_path, find("edi_x12").connector, dict(THIRD.settings) | {"url": "file:///box"})
    place.fake = Hub(place.box, ship_s=10.0)
    return place


def records(place, kind):
    found = list(place.pages(kind))
    assert [reject for page in found for reject in page.rejects] == []
    return [record for page in found for record in page.records]


def ask(hub, *lines, number="1"):
    wanted = Fulfilment(
        fulfilment_id=f"ORDER-{number}-f1", key=number, order_number=number, currency="EUR",
            ordered_at=datetime.now(UTC), place="BCN",
        destination=Address(country="ES", postal_code="08001", city="Barcelona", name="Ada"),
        lines=[FulfilmentLine(line_id=str(n), sku=sku, quantity=units) for n, (sku, units) in enumerate(lines, 1)],
    )  # fmt: skip
    outcome = hub.ask(lambda connection: hub.connector.push_fulfilment(connection, wanted))
    assert outcome.fate in (Fate.DONE, Fate.ACCEPTED), outcome
    return wanted.fulfilment_id


def test_what_is_sold_is_written_once_and_read_as_sales(tills):
    numbers = [tills.fake.sell("PARIS", "MUG", 2), tills.fake.sell("BERLIN", "CUP", 1)]
    tills.fake.write()
    tills.fake.write()
    tills.fake.sell("PARIS", "MUG", 1)
    tills.fake.write()
    sales = records(tills, "sales")
    assert all(isinstance(sale, Sale) for sale in sales)
    assert [(s.external_sku, s.quantity, s.place) for s in sales] == [
        ("MUG", 2, "PARIS"), ("CUP", 1, "BERLIN"), ("MUG", 1, "PARIS"),
    ]  # fmt: skip
    assert [sale.external_id for sale in sales][:2] == numbers


def test_what_is_asked_for_is_shipped_when_its_time_has_come(hub):
    hub.fake.keep({"MUG": 5, "CUP": 1}, 0.0)
    fulfilment_id = ask(hub, ("MUG", 2), ("CUP", 1))
    hub.fake.read(100.0)
    hub.fake.read(101.0)
    hub.fake.ship(100.1)
    assert records(hub, "shipments") == []
    hub.fake.ship(1_000.0)
    hub.fake.ship(1_001.0)
    (shipment,) = records(hub, "shipments")
    assert isinstance(shipment, Shipment)
    assert (shipment.fulfilment_id, shipment.status, shipment.is_complete) == (fulfilment_id, "shipped", True)
    assert [(x.line_id, x.sku, x.quantity, x.missing) for x in shipment.lines] == [
        ("1", "MUG", 2, 0),
        ("2", "CUP", 1, 0),
    ]
    assert shipment.tracking.startswith("BCN")
    assert hub.fake.shop.stock == {"MUG": 3, "CUP": 0}
    assert hub.fake.state()["orders"] == {"placed": 1, "done": 1}


def test_what_is_not_there_is_missing(hub):
    hub.fake.keep({"MUG": 1}, 0.0)
    ask(hub, ("MUG", 2))
    hub.fake.read(100.0)
    hub.fake.ship(1_000.0)
    (shipment,) = records(hub, "shipments")
    assert [(x.quantity, x.missing) for x in shipment.lines] == [(1, 1)]
    assert shipment.is_complete


def test_only_shelves_at_rest_are_counted(hub):
    hub.fake.keep({"MUG": 5, "CUP": 1, "POT": 2}, 0.0)
    hub.fake.keep({"POT": 1}, 900.0)
    ask(hub, ("CUP", 1))
    hub.fake.read(10.0)
    hub.fake.count(1_000.0)
    (level,) = records(hub, "counts")
    assert isinstance(level, Level)
    assert (level.external_sku, level.quantity, level.place) == ("MUG", hub.fake.shop.stock["MUG"], "BCN")
