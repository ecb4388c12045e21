"""`onhand channel`: from a new folder to a shop that answers."""

import json

import pytest

from onhand.cli import run
from onhand.twin.fakes.market import Market
from onhand.twin.fakes.woocommerce import Shop

from ..connectors.harbour import HARBOUR  # noqa: TID252
from ..connectors.running import serving  # noqa: TID252


def onhand(*arguments):
    return run(["channel", *map(str, arguments)])


def test_a_new_connector_is_fit_for_use_until_it_is_edited_badly(tmp_path, capsys):
    assert onhand("new", "tea_house", "--folder", tmp_path) == 0
    assert onhand("new", "tea_house", "--folder", tmp_path) == 1
    assert onhand("new", "Tea House", "--folder", tmp_path) == 2
    folder = tmp_path / "tea_house"
    assert onhand("lint", folder) == 0
    file = folder / "connector.yaml"
    assert "title: Tea House" in file.read_text()
    assert file.read_text().startswith("# yaml-language-server: $schema=connector.schema.json\n")
    assert json.loads((folder / "connector.schema.json").read_text())["title"] == "connector.yaml"
    file.write_text(file.read_text().replace("orders.pull:", "orders.pul:"))
    capsys.readouterr()
    assert onhand("lint", file) == 1
    said = capsys.readouterr().out
    assert f"{folder}/connector.yaml:" in said
    assert "orders.pul" in said
    assert onhand("lint", tmp_path / "nowhere") == 2


def test_connectors_and_the_schema_are_listed(capsys):
    assert onhand("connectors") == 0
    said = capsys.readouterr().out
    assert "woocommerce" in said
    assert "stock.push" in said
    assert onhand("schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "connector.yaml"


def test_connectors_of_the_installation_are_known_by_their_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ONHAND_HOME", str(tmp_path))
    assert onhand("new", "tea_house", "--folder", tmp_path / "connectors") == 0
    assert onhand("new", "spoiled", "--folder", tmp_path / "connectors") == 0
    (tmp_path / "connectors" / "spoiled" / "connector.yaml").write_text("connector: spoiled")
    capsys.readouterr()
    assert onhand("connectors") == 0
    rows = {cells[0]: cells[1:] for line in capsys.readouterr().out.splitlines() if (cells := line.split())}
    assert (rows["tea_house"][0], rows["csv_feed"][0]) == ("alpha", "beta")
    assert rows["spoiled"][0] == "unusable"
    monkeypatch.setenv("ONHAND_SECRET_TOKEN", "x")
    assert onhand("test", "tea_house", "url=http://127.0.0.1:3990") == 1
    assert "orders.pull: FAILED: the address is not a public one" in capsys.readouterr().out
    assert onhand("kit", "tea_house") == 0
    assert "its status is alpha" in capsys.readouterr().out
    assert onhand("test", "spoiled") == 2
    assert "spoiled/connector.yaml:1:1: error" in capsys.readouterr().err


def test_a_connector_is_tried_out_without_writing(capsys, monkeypatch):
    shop = Shop()
    product = shop.add_product("W-1", 7)
    with serving(shop.app()) as url:
        assert onhand("test", "woocommerce", f"url={url}") == 2
        assert "ONHAND_SECRET_CONSUMER_KEY" in capsys.readouterr().err
        monkeypatch.setenv("ONHAND_SECRET_CONSUMER_KEY", shop.key)
        monkeypatch.setenv("ONHAND_SECRET_CONSUMER_SECRET", shop.secret)
        assert onhand("test", "woocommerce", f"url={url}") == 1  # a private address
        assert "not a public one" in capsys.readouterr().out
        assert onhand("test", "woocommerce", f"url={url}", "--allow-private-urls") == 0
        said = capsys.readouterr().out
        assert "stock.pull: 1 read, 0 not understood" in said
        assert f"external_id='{product}', quantity=7" in said
        monkeypatch.setenv("ONHAND_SECRET_CONSUMER_SECRET", "wrong_secret")
        assert onhand("test", "woocommerce", f"url={url}", "--allow-private-urls") == 1
        said = capsys.readouterr().out
        assert "Invalid signature" in said
        assert "wrong_secret" not in said


@pytest.mark.parametrize("arguments", [["shopwre"], ["woocommerce", "url"], ["woocommerce", "nothing=1"]])
def test_what_is_not_there_is_told(arguments, capsys):
    assert onhand("test", *arguments) == 2
    assert "error: " in capsys.readouterr().err


def test_what_is_otherwise_is_tried_out_from_a_file(tmp_path, capsys, monkeypatch):
    market = Market()
    market.offer("MUG", 3)
    monkeypatch.setenv("ONHAND_SECRET_TOKEN", market.key)
    file = tmp_path / "harbour.yaml"
    file.write_text(HARBOUR)
    with serving(market.app()) as url:
        arguments = (f"url={url}/seller", f"overrides=@{file}", "--allow-private-urls")
        assert onhand("test", "rest_generic", *arguments) == 0
        assert "stock.pull: 1 read" in capsys.readouterr().out
        assert onhand("new", "mine", "--folder", tmp_path) == 0
        file.write_text("title: 7")
        assert onhand("test", tmp_path / "mine", *arguments) == 2
        assert "title: " in capsys.readouterr().err
        file.write_text("a: [")
        assert onhand("test", "rest_generic", *arguments) == 2
        assert f"{file}:1:" in capsys.readouterr().err
        file.unlink()
        assert onhand("test", "rest_generic", *arguments) == 2
