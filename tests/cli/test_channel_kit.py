"""`onhand channel kit` and `record`: an author examines a connector of his own."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from onhand.cli import run
from onhand.twin.fakes.woocommerce import Shop

from ..connectors.running import serving  # noqa: TID252

WOO = Path(str(files("onhand.connectors").joinpath("woocommerce")))
BENCH = Path(__file__).parents[1] / "connectors" / "conformance" / "woocommerce.py"


def onhand(*arguments):
    return run(["channel", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(WOO, tmp_path / "woocommerce")
    return tmp_path / "woocommerce"


def edit(folder, there, instead):
    file = folder / "connector.yaml"
    text = file.read_text("utf-8")
    assert there in text
    file.write_text(text.replace(there, instead), "utf-8")


def test_a_connector_that_stands_everything_has_earned_its_status(folder, capsys):
    assert onhand("kit", folder, "--bench", BENCH) == 0
    said = capsys.readouterr().out
    assert "12 recordings, 0 of them understood otherwise" in said
    assert "for stable: no answer of the vendor to stock.push is recorded" in said
    assert "for beta:" not in said
    edit(folder, "status: beta", "status: stable")
    assert onhand("kit", folder, "--bench", BENCH) == 1
    assert "its status stable is not earned" in capsys.readouterr().err


def test_without_a_bench_it_is_said_what_was_not_examined(folder, capsys):
    assert onhand("kit", folder) == 1
    said = capsys.readouterr()
    assert "for beta: a_number_is_shown: missing" in said.out
    assert "its status beta is not earned" in said.err
    edit(folder, "status: beta", "status: alpha")
    assert onhand("kit", folder) == 0


def test_what_is_understood_otherwise_is_shown_and_can_be_kept(folder, capsys):
    edit(folder, "status: beta", "status: alpha")
    edit(folder, "processing: open", "processing: pending")
    assert onhand("kit", folder) == 1
    said = capsys.readouterr().out
    assert "recording orders: something else is understood" in said
    assert '+        "status": "pending",' in said
    assert onhand("kit", folder, "--write") == 0
    assert onhand("kit", folder) == 0


def test_a_case_that_fails_is_named(folder, capsys):
    edit(folder, ", sorted: true", "")
    assert onhand("kit", folder, "--bench", BENCH) == 1
    assert "nothing_is_lost_while_pages_shift: failed" in capsys.readouterr().out


def test_what_is_not_there_is_told(folder, tmp_path, capsys):
    assert onhand("kit", tmp_path / "nowhere") == 2
    assert onhand("kit", folder, "--bench", tmp_path / "bench.py") == 2
    (folder / "fixtures" / "orders.json").write_text("{", "utf-8")
    assert onhand("kit", folder) == 2
    assert "orders.json" in capsys.readouterr().err


def test_what_a_channel_says_is_kept_without_secrets(folder, capsys, monkeypatch):
    shop = Shop(key="ck_0123456789", secret="cs_0123456789")
    shop.buy({shop.add_product("W-1", 7): 2})
    monkeypatch.setenv("ONHAND_SECRET_CONSUMER_KEY", shop.key)
    monkeypatch.setenv("ONHAND_SECRET_CONSUMER_SECRET", shop.secret)
    shutil.rmtree(folder / "fixtures")
    shutil.rmtree(folder / "golden")
    with serving(shop.app()) as url:
        assert onhand("record", folder, f"url={url}", "--allow-private-urls", "--of", "fake") == 0
    assert "listings, stock, orders" in capsys.readouterr().out
    kept = "".join(file.read_text("utf-8") for file in folder.rglob("*.json"))
    assert "0123456789" not in kept
    orders = json.loads((folder / "golden" / "orders.json").read_text("utf-8"))
    assert orders["understood"]["records"][0]["lines"][0]["quantity"] == 2
    edit(folder, "status: beta", "status: alpha")
    assert onhand("kit", folder) == 0
    with serving(shop.app()) as url:
        monkeypatch.setenv("ONHAND_SECRET_CONSUMER_SECRET", "wrong")
        assert onhand("record", folder, f"url={url}", "--allow-private-urls") == 1


# A connector written in Python ----------------------------------------------------------------------------------------

GENERIC_BENCH = BENCH.with_name("rest_generic.py")
PROGRAM = "tests.cli.programs.market"


def test_a_program_stands_the_same_kit(capsys):
    assert onhand("kit", f"{PROGRAM}:Market", "--bench", GENERIC_BENCH) == 0
    said = capsys.readouterr().out
    assert "its status is beta; earned is beta" in said
    assert "for stable: no answer of the vendor to orders.pull is recorded" in said
    assert onhand("kit", f"{PROGRAM}:Boastful", "--bench", GENERIC_BENCH) == 1
    assert "its status stable is not earned" in capsys.readouterr().err


def test_the_kit_notices_a_program_that_guesses(capsys):
    assert onhand("kit", f"{PROGRAM}:Careless", "--bench", GENERIC_BENCH) == 1
    assert "a_write_whose_answer_is_lost_may_have_happened: failed" in capsys.readouterr().out


def test_a_program_is_found_by_its_entry_point(monkeypatch, capsys):
    from importlib.metadata import EntryPoint

    entry = EntryPoint(name="market", value=f"{PROGRAM}:Market", group="onhand.connectors")

    def entry_points(*, group, name=None):
        return [entry] if group == entry.group and name in (None, entry.name) else []

    monkeypatch.setattr("onhand.connectors._sdk.registry.entry_points", entry_points)
    assert onhand("kit", "market", "--bench", GENERIC_BENCH) == 0
    assert "its status is beta" in capsys.readouterr().out


def test_one_of_ours_is_examined_with_its_program(capsys):
    assert onhand("kit", "amazon", "--bench", BENCH.with_name("amazon.py")) == 0
    said = capsys.readouterr().out
    assert "no answer of the vendor to shipping.push is recorded" in said, "what only its program can do"
    assert onhand("kit", "csv_feed") == 1
    assert "missing" in capsys.readouterr().out


def test_what_is_no_connector_is_told(capsys):
    assert onhand("kit", f"{PROGRAM}:Nothing") == 2
    assert "makes no connector: it has no name" in capsys.readouterr().err
    assert onhand("kit", f"{PROGRAM}:Nobody") == 2
    assert onhand("kit", "tests.cli.programs.nowhere:make") == 2
    assert onhand("kit", "nobody") == 2
    assert "no connector is called 'nobody'" in capsys.readouterr().err


def test_a_program_is_tried_out(capsys, monkeypatch):
    from onhand.twin.fakes.generic import Shop as Generic

    shop = Generic()
    shop.buy({shop.add_product("W-1", 7): 2})
    monkeypatch.setenv("ONHAND_SECRET_TOKEN", shop.token)
    monkeypatch.setenv("ONHAND_SECRET_WEBHOOK_SECRET", shop.hook_secret)
    with serving(shop.app()) as url:
        assert onhand("test", f"{PROGRAM}:Market", f"url={url}/api", "--allow-private-urls") == 0
    assert "orders.pull: 1 read" in capsys.readouterr().out
