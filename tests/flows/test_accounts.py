"""Channels with connectors: what is asked for is checked, secrets are sealed, accounts follow the database."""

import asyncio
import json
import threading

import pytest

from onhand.base.actor import SYSTEM
from onhand.channels import store
from onhand.channels.model import ChannelIn
from onhand.errors import InvalidInput
from onhand.flows.accounts import KEY_FILE, Account, Accounts, Connectors, NotConnected
from onhand.flows.set_up import set_channel

WOO = {
    "currency": "USD", "connector": "woocommerce", "settings": {"url": "http://127.0.0.1:9009"},
    "credentials": {"consumer_key": "ck_1", "consumer_secret": "cs_very_secret"},
}  # fmt: skip


@pytest.fixture
def connectors(tmp_path):
    return Connectors(tmp_path)


def put(db, connectors, code="shop", **change):
    document = {k: v for k, v in (WOO | change).items() if v is not None}
    return set_channel(db, code, ChannelIn.model_validate(document), by=SYSTEM, connectors=connectors)


def refused(db, connectors, **change):
    with pytest.raises(InvalidInput) as refusal:
        put(db, connectors, **change)
    return {error.path: error.message for error in refusal.value.errors}


def sealed(db, code="shop"):
    with db.connection() as conn:
        return store.get_sealed(conn, code)


def test_what_a_connector_asks_for_is_checked_by_the_name_of_the_field(db, connectors):
    assert "woocommerce" in refused(db, connectors, connector="ftp")["connector"]
    assert set(refused(db, connectors, settings={})) == {"settings.url"}
    assert set(refused(db, connectors, settings={"url": "ftp://x", "colour": "red"})) == {
        "settings.url", "settings.colour",
    }  # fmt: skip
    assert "credentials.consumer_secret" in refused(db, connectors, credentials={"consumer_key": "ck_1"})
    found = refused(db, connectors, credentials=WOO["credentials"] | {"pin": "1234"})
    assert set(found) == {"credentials.pin"}
    assert "1234" not in str(found)
    assert "credentials" in refused(db, connectors, connector="api")


def test_credentials_are_sealed_kept_and_exchanged(db, connectors):
    assert put(db, connectors)[0] == "created"
    first = sealed(db)
    assert "cs_very" not in first
    assert json.loads(connectors.seal.open(first)) == WOO["credentials"]
    assert put(db, connectors)[0] == "unchanged"
    assert put(db, connectors, credentials=None)[0] == "unchanged", "left out: as they are"
    assert put(db, connectors, credentials=None, priority=3)[0] == "updated"
    assert sealed(db) == first
    renewed = WOO["credentials"] | {"consumer_secret": "cs_new", "webhook_secret_before": "old"}
    assert put(db, connectors, priority=3, credentials=renewed)[0] == "updated"
    assert json.loads(connectors.seal.open(sealed(db))) == renewed
    put(db, connectors, connector="api", settings=None, credentials=None)
    assert sealed(db) is None, "of another connector"


def test_a_token_is_forgotten_with_the_address_or_the_account_it_is_of(db, connectors):
    def token(*, then):
        with db.connection() as conn:
            conn.execute("INSERT INTO channel_token (channel_id, sealed) SELECT channel_id, 'x' FROM channel")
        then()
        with db.connection() as conn:
            return conn.execute("DELETE FROM channel_token RETURNING 1").fetchall() != []

    put(db, connectors)
    assert token(then=lambda: put(db, connectors, credentials=None, priority=3))
    assert not token(then=lambda: put(db, connectors, settings={"url": "http://127.0.0.1:9010"}))
    assert not token(
        then=lambda: put(db, connectors, settings={"url": "http://127.0.0.1:9010"},
                         credentials=WOO["credentials"] | {"consumer_secret": "cs_new"})
    )  # fmt: skip


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path):
    keys = []
    threads = [
        threading.Thread(target=lambda: keys.append(Connectors(tmp_path / "home").seal.close("x"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Connectors(tmp_path / "home")
    assert [again.seal.open(key) for key in keys] == ["x"] * 8
    assert [file.name for file in (tmp_path / "home").iterdir()] == [KEY_FILE]
    assert (tmp_path / "home" / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_the_first_of_several_keys_seals_and_all_open(tmp_path):
    old = Connectors(tmp_path, secret_key="a key of the operator")
    both = Connectors(tmp_path, secret_key="another key of his,a key of the operator")
    assert both.seal.open(old.seal.close("x")) == "x"
    assert Connectors(tmp_path, secret_key="another key of his").seal.open(both.seal.close("x")) == "x"
    assert not (tmp_path / KEY_FILE).exists()


def test_accounts_are_live_and_follow_the_database(db, connectors):
    put(db, connectors)
    put(db, connectors, code="direct", connector="api", settings=None, credentials=None)

    async def go():
        async with Accounts(db, connectors, fresh_s=0) as accounts:
            first = await accounts.get("shop")
            assert first is await accounts.get(first.channel_id), "nothing changed"
            assert first.connection.settings["url"] == "http://127.0.0.1:9009"
            assert first.connection.credentials == WOO["credentials"]
            assert "cs_very" not in repr(first)
            with pytest.raises(NotConnected):
                await accounts.get("direct")
            await asyncio.to_thread(put, db, connectors, settings={"url": "http://127.0.0.1:9010"})
            second = await accounts.get("shop")
            assert second.connection.settings["url"] == "http://127.0.0.1:9010"
            assert list(await accounts.all()) == ["shop"]
            await asyncio.to_thread(put, db, connectors, active=False)
            assert await accounts.all() == {}

    asyncio.run(go())


def test_an_account_that_cannot_be_opened_says_why_and_hinders_no_other(db, connectors, tmp_path):
    put(db, connectors)
    other = Connectors(tmp_path, secret_key="a key of somebody else")
    put(db, other, code="second")

    async def go():
        async with Accounts(db, connectors) as accounts:
            return await accounts.all()

    found = asyncio.run(go())
    assert isinstance(found["shop"], Account)
    assert "ONHAND_SECRET_KEY" in str(found["second"])


def test_what_a_channel_does_otherwise_is_checked_and_its_account_does_it(db, connectors):
    def otherwise(**overrides):
        return {"url": "http://127.0.0.1:9009", "overrides": overrides}

    found = refused(db, connectors, settings=otherwise(operations={"stock.push": {"pth": "/x"}}))
    assert set(found) == {"settings.overrides"}
    assert "pth" in found["settings.overrides"]
    assert "fixed" in refused(db, connectors, settings=otherwise(connector="x"))["settings.overrides"]
    asked = otherwise(credentials={"pin": {"description": "x"}}, limits={"at_once": 7})
    assert "credentials.pin" in refused(db, connectors, settings=asked)
    put(db, connectors, settings=asked, credentials=WOO["credentials"] | {"pin": "1234"})
    put(db, connectors, "plain")

    async def look():
        async with Accounts(db, connectors, allow_private_urls=True) as accounts:
            return [(await accounts.get(code)).connector.at_once for code in ("shop", "plain")]

    assert asyncio.run(look()) == [7, 2]
