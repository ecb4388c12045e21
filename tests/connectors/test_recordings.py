"""What channels once said is understood as it was: fixtures and golden files beside each connector.

After a change that is meant: `onhand channel kit FOLDER --write`, and read what changed.
"""

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest

from onhand.connectors import built_in, find
from onhand.connectors._sdk.conformance import abilities, differing, fixtures

FOLDERS = {name: Path(str(files("onhand.connectors").joinpath(name))) for name in built_in()}
RECORDED = [name for name, folder in FOLDERS.items() if (folder / "fixtures").is_dir()]


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_understood_as_it_was(name):
    assert fixtures(FOLDERS[name])
    wrong = asyncio.run(differing(find(name).connector, FOLDERS[name]))
    for wanted, got in wrong.values():
        assert got == wanted


@pytest.mark.parametrize("name", RECORDED)
def test_no_golden_file_is_without_its_recording(name):
    golden = {file.stem for file in (FOLDERS[name] / "golden").glob("*.json")}
    assert golden == set(fixtures(FOLDERS[name]))


# What only programs do is a matter of their own tests. Messages are recorded of Square only: those of Standard Webhooks
# are genuine for five minutes, and the kit signs its own for all.
PROGRAMMED = {"counts.pull", "messages.pull", "node_stock.pull", "stock.confirm"}


@pytest.mark.parametrize("name", [name for name in FOLDERS if name not in ("csv_feed", "edi_x12")])
def test_what_it_can_do_is_recorded(name):
    calls = {fixture.call for fixture in fixtures(FOLDERS[name]).values()}
    able = {a for a in abilities(find(name).connector) if a not in PROGRAMMED and not a.startswith("shipping.")}
    wanted = able - {"compared"} - ({"messages"} if name != "square" else set())
    assert {"message" if ability == "messages" else ability for ability in wanted} <= calls


def test_a_change_of_what_is_understood_is_told(tmp_path):
    folder = tmp_path / "woocommerce"
    (folder / "fixtures").mkdir(parents=True)
    (folder / "golden").mkdir()
    for part in ("fixtures", "golden"):
        text = (FOLDERS["woocommerce"] / part / "numbers.json").read_text("utf-8")
        (folder / part / "numbers.json").write_text(text.replace('"Invalid ID."', '"Gone."'), "utf-8")
    connector = find("woocommerce").connector
    assert asyncio.run(differing(connector, folder)) == {}
    changed = (folder / "fixtures" / "numbers.json").read_text("utf-8").replace('"Gone."', '"Away."')
    (folder / "fixtures" / "numbers.json").write_text(changed, "utf-8")
    ((name, (wanted, got)),) = asyncio.run(differing(connector, folder)).items()
    assert (name, "Gone." in wanted, "Away." in got) == ("numbers", True, True)
    assert asyncio.run(differing(connector, folder, write=True)) == {}
    assert asyncio.run(differing(connector, folder)) == {}


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "orders.json").write_text('{"of": "vendor"}', "utf-8")
    with pytest.raises(ValueError, match=r"orders\.json.*call"):
        fixtures(tmp_path)
