"""`onhand channel add|list|sync|reconcile`, on a database, with a shop on loopback."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest

from onhand.app import App
from onhand.cli import run
from onhand.settings import Settings
from onhand.twin.fakes.woocommerce import Shop

from ..connectors.running import serving  # noqa: TID252


def onhand(*arguments):
    return run(["channel", *map(str, arguments)])


@pytest.fixture
def installed(db, dsn, tmp_path, monkeypatch):
    """An installation with items MUG and CUP, and no channel."""
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setenv("ONHAND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONHAND_ALLOW_PRIVATE_URLS", "true")
    monkeypatch.setenv("ONHAND_SECRET_CONSUMER_KEY", "ck_fake")
    monkeypatch.setenv("ONHAND_SECRET_CONSUMER_SECRET", "cs_fake")
    with db.connection() as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (1, 'MUG', 'mug'), (2, 'CUP', 'cup')")
    return db


def test_a_shop_is_connected_listed_and_published_to(installed, capsys, monkeypatch):
    shop = Shop()
    mug, _, hat = shop.add_product("MUG", 4), shop.add_product("CUP", 5), shop.add_product("HAT", 6)
    with serving(shop.app()) as url:
        assert onhand("add", "woo", "woocommerce", f"url={url}", "--currency", "USD") == 0
        assert onhand("sync", "woo", "--dry-run") == 0
        assert "2 would be listed" in capsys.readouterr().out
        assert onhand("sync", "woo") == 0
        said = capsys.readouterr().out
        assert "2 listed" in said
        assert "no item: HAT" in said
        assert onhand("sync", "woo") == 0
        assert "2 as they were" in capsys.readouterr().out
        assert onhand("reconcile", "woo", "--wait-s", "0") == 1, "nobody works"
        assert "onhand worker" in capsys.readouterr().err
        stop = threading.Event()
        with App.open(Settings.load()) as app:
            worker = threading.Thread(target=app.run_worker, args=(stop,), daemon=True)
            worker.start()
            try:
                assert onhand("reconcile", "woo", "--wait-s", "30") in (0, 1)
                said = capsys.readouterr().out
                assert re.search(r"1 +things it sells that are no listing of ours", said), said
                assert re.search(rf"unknown listing +{hat} HAT", said), said
                # Nobody told us of it, and reading goes on from later than that: it is lost until all is compared.
                lost = shop.buy({mug: 1, hat: 1}, at=datetime.now(UTC) - timedelta(days=2))
                assert onhand("reconcile", "woo", "--wait-s", "30") == 1
                said = capsys.readouterr().out
                assert re.search(r"1 +orders we had not heard of: taken in", said), said
                assert re.search(rf"order +{lost['id']} +we had not heard of it: kept, not placed yet", said), said
                assert re.search(rf"order +{lost['id']} +no listing or item is known as '{hat}', 'HAT'", said), said
                assert onhand("list") == 0
                assert "publishing" in capsys.readouterr().out
            finally:
                stop.set()
                worker.join(30)
    assert (shop.products[mug]["stock_quantity"], shop.products[hat]["stock_quantity"]) == (0, 6 - 1)


def test_what_is_missing_is_named_and_no_secret_is_told(installed, capsys, monkeypatch):
    assert onhand("add", "woo", "nothing", "--currency", "USD") == 2
    monkeypatch.delenv("ONHAND_SECRET_CONSUMER_SECRET")
    assert onhand("add", "woo", "woocommerce", "url=https://shop.example", "colour=red", "--currency", "USD") == 2
    said = capsys.readouterr().err
    assert "ONHAND_SECRET_CONSUMER_SECRET" in said
    assert "settings.colour" in said
    assert "ck_fake" not in said
    assert onhand("sync", "woo") == 1
    assert onhand("reconcile", "woo") == 2


def test_what_a_channel_does_otherwise_comes_from_a_file(installed, capsys, tmp_path):
    shop = Shop()
    shop.add_product("MUG", 4)
    file = tmp_path / "otherwise.yaml"
    with serving(shop.app()) as url:
        arguments = ("woo", "woocommerce", f"url={url}", f"overrides=@{file}", "--currency", "USD")
        assert onhand("add", *arguments) == 2
        file.write_text("operations: {listings.pull: {request: {path: /nowhere}}}")
        assert onhand("add", *arguments) == 0
        assert onhand("sync", "woo") == 1, "that is where it is asked"
        file.write_text("operations: {listings.pull: {requst: {}}}")
        capsys.readouterr()
        assert onhand("add", *arguments) == 2
        assert "requst" in capsys.readouterr().err
