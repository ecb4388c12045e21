"""Channels that pass files: their settings are checked by the connector, their folders opened where we may."""

import asyncio
from datetime import UTC, datetime

import pytest

from onhand.base.actor import SYSTEM
from onhand.channels.model import ChannelIn
from onhand.connectors import Refused
from onhand.connectors._sdk.values import Fate, Write
from onhand.errors import InvalidInput
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.set_up import set_channel

TILL = {"url": "file:///till", "sales_folder": "sales", "stock_folder": "stock", "settle_s": 0}


def put(db, connectors, **change):
    document = {"currency": "EUR", "connector": "csv_feed", "settings": TILL | change}
    return set_channel(db, "till", ChannelIn.model_validate(document), by=SYSTEM, connectors=connectors)


def talk(db, connectors, work):
    async def go():
        async with Accounts(db, connectors) as accounts:
            account = await accounts.get("till")
            return await work(account.connector, account.connection)

    return asyncio.run(go())


async def _sales(connector, connection):
    found, at = [], None
    while True:
        page = await connector.pull_sales(connection, at, since=datetime(2026, 1, 1, tzinfo=UTC))
        found += page.records
        if (at := page.next) is None:
            return found


def test_what_the_connector_finds_wrong_is_told_by_the_name_of_the_field(db, tmp_path):
    with pytest.raises(InvalidInput) as refusal:
        put(db, Connectors(tmp_path), sales_columns={"colour": "Farbe"}, url="file:///../etc")
    assert {error.path for error in refusal.value.errors} == {"settings.url", "settings.sales_columns.colour"}


def test_sales_come_from_files_and_stock_goes_to_them(db, tmp_path):
    connectors = Connectors(tmp_path / "home", files_root=tmp_path / "files")
    put(db, connectors)
    sales = tmp_path / "files" / "till" / "sales"
    sales.mkdir(parents=True)
    counts = []
    for _ in range(2):  # the second time it is a repeat, for another process too
        (sales / "a.csv").write_text("sku,quantity,at\nMUG,2,2026-11-27\n")
        counts.append(len(talk(db, connectors, _sales)))
    assert counts == [1, 0]
    write = Write(external_id="e", external_sku="MUG", quantity=3, key="k")
    (outcome,) = talk(db, connectors, lambda connector, c: connector.push_stock(c, [write]))
    assert outcome.fate is Fate.DONE
    (file,) = (tmp_path / "files" / "till" / "stock").iterdir()
    assert file.read_text() == "sku,external_id,quantity\nMUG,e,3\n"


def test_without_a_root_no_folder_of_this_machine_is_opened(db, tmp_path):
    connectors = Connectors(tmp_path)
    put(db, connectors)
    with pytest.raises(Refused, match="ONHAND_FILES_ROOT"):
        talk(db, connectors, _sales)
