"""`onhand import`: files of every kind, bad rows told by line, nothing done twice."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand import cli
from onhand.base.actor import SYSTEM
from onhand.cli.imports import run as run_module
from onhand.cli.imports.columns import COLUMNS, What
from onhand.cli.imports.files import FileError, Source
from onhand.cli.imports.run import import_files
from onhand.cli.imports.targets import Outcome, ServerAwayError
from onhand.flows.set_up import set_channel, set_items, set_nodes

NODE = {
    "name": "Lyon",
    "node_type": "warehouse",
    "country": "FR",
    "latitude": 45.73,
    "longitude": 4.84,
    "timezone": "Europe/Paris",
}


@pytest.fixture
def onhand(dsn, tmp_path, monkeypatch) -> Callable[..., int]:
    """Runs `onhand ...` on the test's database, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setenv("ONHAND_HOME", str(tmp_path / "home"))
    return lambda *arguments: cli.run([str(a) for a in arguments])


def write(name: str, text: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rejects(name: str) -> list[tuple[int, str]]:
    """(line, reason) of every rejected row."""
    rows = [json.loads(line) for line in Path(name).read_text().splitlines()]
    return [(row["line"], row["reason"]) for row in rows]


def stored(db, sql: str) -> list[tuple]:
    with db.connection() as conn:
        return conn.execute(sql).fetchall()


def test_items_of_a_csv_with_every_kind_of_bad_row(onhand, db, capsys):
    write(
        "items.csv",
        b"\xef\xbb\xbfsku,name,weight_g,price_minor,currency,components,attributes.colour\r\n"
        b"A,Mug,340,1250,EUR,,blue\r\n"  # 2
        b'B,"Mug,\nlarge",500.0,,,,\r\n'  # 3 and 4
        b"\r\n"  # 5
        b"C,Heavy,heavy,,,,\r\n"  # 6
        b"D,Short\r\n"  # 7
        b"E,Pric\xe9,,,,,\r\n"  # 8
        b'SET,Set,,,,"[{""sku"": ""A"", ""quantity"": 2}]",\r\n'  # 9
        b"F,Bundle,,,,{broken,\r\n"  # 10
        b",No sku,,,,,\r\n"  # 11
        b"A,Again,,,,,\r\n"  # 12
        b"G,Dear,,5,,,\r\n"  # 13
        b"H,N\0l,,,,,\r\n",  # 14
    )
    assert onhand("import", "items", "items.csv") == 1
    assert stored(db, "SELECT sku, name, weight_g, attributes FROM item ORDER BY sku") == [
        ("A", "Mug", 340, {"colour": "blue"}),
        ("SET", "Set", 0, {}),
    ]
    found = dict(rejects("items.rejects.jsonl"))
    assert sorted(found) == [3, 6, 7, 8, 10, 11, 12, 13, 14]
    assert "control characters" in found[3]
    assert found[6] == "weight_g: expected a whole number, got 'heavy'"
    assert found[7] == "expected 7 cells, got 2"
    assert found[8] == "not UTF-8"
    assert found[10].startswith("components: expected JSON")
    assert found[11] == "sku: required"
    assert "already" in found[12]
    assert found[13] == "currency: required with a price or a unit cost"
    assert "NUL" in found[14]
    kept = json.loads(Path("items.rejects.jsonl").read_text().splitlines()[1])
    assert kept["row"] == {"sku": "C", "name": "Heavy", "weight_g": "heavy"}
    shown = capsys.readouterr().out
    assert "rejected" in shown and "9" in shown and "items.rejects.jsonl" in shown
    assert not Path("items.rejects.jsonl.state").exists()


def test_the_same_file_again_is_unchanged_and_leaves_no_rejects(onhand, db, capsys):
    write("items.tsv", "sku\tname\nA\tMug\nB\tCup\n")
    assert onhand("import", "items", "items.tsv") == 0
    assert "created" in capsys.readouterr().out
    assert onhand("import", "items", "items.tsv") == 0
    assert "unchanged" in capsys.readouterr().out
    assert not Path("items.rejects.jsonl").exists()
    assert stored(db, "SELECT count(*) FROM event WHERE kind = 'item.changed'") == [(1,)]


def test_headers_under_other_names(onhand, db, capsys):
    write("export.csv", "Artikel;Bezeichnung;Lager\nA;Becher;x\n")
    arguments = ["import", "items", "export.csv", "--column", "sku=Artikel"]
    assert onhand(*arguments) == 2
    assert "the column 'name' is missing; it has Artikel, Bezeichnung, Lager" in flat(capsys.readouterr().err)
    arguments += ["--column", "name=Bezeichnung"]
    assert onhand(*arguments) == 2
    assert "unknown column 'Lager'" in flat(capsys.readouterr().err)
    assert onhand(*arguments, "--ignore-unknown") == 0
    assert stored(db, "SELECT sku, name FROM item") == [("A", "Becher")]


def flat(text: str) -> str:
    """Text without the frame and the line breaks of an error box."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.csv", None, "No such file"),
        ("items.xlsx", b"x", "expected a file that ends in"),
        ("items.csv", b"", "empty"),
        ("items.csv", b"sku,name,sku\n", "the column 'sku' comes twice"),
        ("items.csv", "sku,name\nA,Mug\n".encode("utf-16"), "UTF-16"),
        ("items.parquet", b"not parquet at all", "not a Parquet file"),
    ],
)
def test_a_broken_file_is_refused_before_anything_is_imported(onhand, db, capsys, name, content, says):
    write("good.csv", "sku,name\nA,Mug\n")
    if content is not None:
        write(name, content)
    assert onhand("import", "items", "good.csv", name) == 2
    assert says in flat(capsys.readouterr().err)
    assert stored(db, "SELECT * FROM item") == []


def test_bad_options_are_refused(onhand, capsys):
    write("items.csv", "sku,name\n")
    assert onhand("import", "items", "items.csv", "items.csv") == 2
    assert onhand("import", "items", "items.csv", "--column", "sku") == 2
    assert onhand("import", "items", "items.csv", "--column", "sku=Nothing") == 2
    assert onhand("import", "sales", "items.csv") == 2
    assert onhand("import", "items", "items.csv", "--url", "ftp://x") == 2


def test_items_of_json_lines(onhand, db):
    write(
        "items.jsonl",
        b'{"sku": "A", "name": "Mug", "attributes": {"n": 1}}\n\n'
        b'{"sku": "B", "name": "Cup"\n'
        b"[1]\n"
        b'{"sku": "C", "name": "\xff"}\n'
        b'{"sku": "D", "name": "Price", "price_minor": "5"}\n'
        b'{"sku": "E", "name": "Typo", "wieght_g": 5}\n'
        b'{"sku": "F", "name": "\\u0000"}\n'
        b'{"sku": "G", "name": "backslash \\\\u0000"}',
    )
    assert onhand("import", "items", "items.jsonl", "--rejects", "bad.jsonl") == 1
    assert stored(db, "SELECT sku FROM item ORDER BY sku") == [("A",), ("G",)]
    found = dict(rejects("bad.jsonl"))
    assert sorted(found) == [3, 4, 5, 6, 7, 8]
    assert found[4] == "expected an object"
    assert found[7] == "wieght_g: unknown field"
    assert found[6].startswith("price_minor: ")


def test_nodes_of_parquet_with_gaps_and_times(onhand, db):
    polars.DataFrame(
        {
            **{name: [value, value] for name, value in NODE.items()},
            "code": ["A", "B"],
            "postal_code": [69007, None],  # a number by accident of the table
            "handling_cost_minor": [180.0, None],  # a whole number by nature
            "capacity.orders": [5, None],
            "working_days": [[1, 2], None],
            "attributes": [{"dock": 1, "gate": None}, {"dock": None, "gate": "x"}],
        }
    ).write_parquet("nodes.parquet")
    assert onhand("import", "nodes", "nodes.parquet") == 0
    sql = "SELECT code, postal_code, handling_cost_minor, capacity_orders, working_days, attributes FROM node"
    assert stored(db, sql + " ORDER BY code") == [
        ("A", "69007", 180, 5, [1, 2], {"dock": 1}),
        ("B", None, 0, None, [1, 2, 3, 4, 5], {"gate": "x"}),
    ]


def test_stock_without_a_kind_is_counted(onhand, db):
    set_items(db, [{"sku": "A", "name": "Mug"}], by=SYSTEM)
    set_nodes(db, [NODE | {"code": "LYON"}], by=SYSTEM)
    write("stock.csv", "sku,node,quantity\nA,LYON,7\nA,PARIS,3\nZ,LYON,3\nA,LYON,many\n")
    assert onhand("import", "stock", "stock.csv") == 1
    assert stored(db, "SELECT on_hand, version FROM stock_position") == [(7, 1)]
    assert stored(db, "SELECT kind FROM ledger_entry") == [("count",)]
    assert rejects("stock.rejects.jsonl") == [
        (3, "no node 'PARIS'"),
        (4, "no item 'Z'"),
        (5, "quantity: expected a whole number, got 'many'"),
    ]
    write("more.csv", "kind,sku,node,quantity,reason\nreceipt,A,LYON,5,delivery\n")
    assert onhand("import", "stock", "more.csv") == 0
    assert stored(db, "SELECT on_hand FROM stock_position") == [(12,)]


def test_orders_are_sourced_and_never_placed_twice(onhand, db, capsys):
    from onhand.channels.model import ChannelIn
    from onhand.flows.set_up import set_carrier
    from onhand.network.model import CarrierIn

    set_items(db, [{"sku": "A", "name": "Mug"}], by=SYSTEM)
    set_nodes(db, [NODE | {"code": "LYON"}], by=SYSTEM)
    example = CarrierIn.model_config["json_schema_extra"]["examples"][0]
    set_carrier(db, "POST", CarrierIn.model_validate(example), by=SYSTEM)
    set_channel(db, "web", ChannelIn(currency="EUR"), by=SYSTEM)
    write("stock.csv", "sku,node,quantity\nA,LYON,1\n")
    assert onhand("import", "stock", "stock.csv") == 0
    lines = '"[{""line_id"": ""1"", ""sku"": ""A"", ""quantity"": 1, ""price_minor"": 1250}]"'
    text = "channel,external_id,currency,destination.country,destination.postal_code,lines\n"
    for number in ("1", "2"):
        text += f"web,{number},EUR,FR,75001,{lines}\n"
    text += f"shop,3,EUR,FR,75001,{lines}\nweb,4,EUR,FR,75001,[]\nweb,5,EUR,FR,75001,\n"
    write("orders.csv", text)
    for _ in range(2):
        assert onhand("import", "orders", "orders.csv") == 1
        assert "sourced" in capsys.readouterr().out
        assert stored(db, "SELECT external_id, status FROM orders ORDER BY 1") == [
            ("1", "sourced"),
            ("2", "unfillable"),
        ]
        found = dict(rejects("orders.rejects.jsonl"))
        assert sorted(found) == [4, 5, 6]
        assert found[4].startswith("channel: no channel 'shop'")
        assert found[5].startswith("lines: ")
    assert stored(db, "SELECT on_hand, allocated FROM stock_position") == [(1, 1)]
    told = stored(db, "SELECT DISTINCT reason FROM event WHERE kind LIKE 'order.%'")
    assert told == [("import of orders.csv",)]


# Cut off and resumed ------------------------------------------------------------------------------


class Recorder:
    """Takes rows, refuses those named `bad`, and breaks down when told to; keyed like the real ones."""

    def __init__(self, fails: Callable[[int], Exception | None] = lambda _: None) -> None:
        self.answers: dict[str, list[Outcome]] = {}
        self.applied: list[str] = []
        self.calls = 0
        self.fails = fails

    def send(self, rows: Sequence, key: str) -> list[Outcome]:
        self.calls += 1
        if key not in self.answers:
            self.applied += [row.fields["sku"] for row in rows if row.fields["name"] != "bad"]
            self.answers[key] = [
                Outcome("rejected", "bad") if row.fields["name"] == "bad" else Outcome("created") for row in rows
            ]
        # After the effect: whether it took place is then unknown to the caller.
        if failure := self.fails(self.calls):
            raise failure
        return self.answers[key]


def many(name: str, count: int) -> Source:
    with Path(name).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sku", "name"])
        for n in range(count):
            table.writerow([f"S{n}", "bad" if n % 7 == 3 else "ok"] if n % 11 else ["short"])
    return Source.open(Path(name), What.ITEMS, columns={}, ignore_unknown=False)


def do_import(sources, target, *, resume=False):
    return import_files(
        sources,
        target,
        rejects_path=Path("r.jsonl"),
        resume=resume,
        advance=lambda *_: None,
        sleep=lambda _: None,
    )


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 5])
def test_an_import_that_was_cut_off_goes_on_and_does_nothing_twice(tmp_path, monkeypatch, stop_at):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "BATCH_ROWS", 10)
    sources = [many("a.csv", 35), many("b.csv", 12)]
    whole = Recorder()
    expected = do_import(sources, whole)
    expected_rejects = Path("r.jsonl").read_bytes()
    Path("r.jsonl").unlink()

    cut = Recorder(lambda call: KeyboardInterrupt() if call == stop_at else None)
    with pytest.raises(KeyboardInterrupt):
        do_import(sources, cut)
    cut.fails = lambda _: None
    resumed = do_import(sources, cut, resume=True)
    assert cut.applied == whole.applied
    assert resumed.outcomes == expected.outcomes
    assert Path("r.jsonl").read_bytes() == expected_rejects
    assert not Path("r.jsonl.state").exists()


@pytest.mark.parametrize("fails_at", [2, 3, 4, 5])
def test_rejects_written_after_the_last_saved_state_come_once(tmp_path, monkeypatch, fails_at):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "BATCH_ROWS", 10)
    source = many("a.csv", 35)
    do_import([source], Recorder())
    expected = Path("r.jsonl").read_bytes()

    saves = 0

    def save(self, path):
        nonlocal saves
        saves += 1
        if saves == fails_at:
            raise OSError("disk full")
        original(self, path)

    original = run_module.State.save
    monkeypatch.setattr(run_module.State, "save", save)
    target = Recorder()
    with pytest.raises(OSError, match="disk full"):
        do_import([source], target)
    do_import([source], target, resume=True)
    assert Path("r.jsonl").read_bytes() == expected


def test_resume_refuses_a_file_that_has_changed(onhand, db, capsys, monkeypatch):
    monkeypatch.setattr(run_module, "BATCH_ROWS", 2)
    path = write("items.csv", "sku,name\nA,a\nB,b\nC,c\n")
    source = Source.open(path, What.ITEMS, columns={}, ignore_unknown=False)
    with pytest.raises(KeyboardInterrupt):
        import_files(
            [source],
            Recorder(lambda call: KeyboardInterrupt() if call == 2 else None),
            rejects_path=Path("items.rejects.jsonl"),
            resume=False,
            advance=lambda *_: None,
        )
    write("items.csv", "sku,name\nA,a\nB,b\nC,c\nD,d\n")
    assert onhand("import", "items", "items.csv", "--resume") == 2
    assert "has changed since" in flat(capsys.readouterr().err)
    assert onhand("import", "items", "items.csv") == 0
    assert len(stored(db, "SELECT * FROM item")) == 4


def test_a_batch_is_tried_again_while_the_server_is_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = many("a.csv", 30)
    target = Recorder(lambda call: ServerAwayError("restarting") if call < 4 else None)
    tally = do_import([source], target)
    assert target.calls == 4
    assert tally.outcomes["created"] == len(target.applied)
    always = Recorder(lambda _: ServerAwayError("gone"))
    with pytest.raises(ServerAwayError):
        do_import([source], always)


def test_a_repeated_batch_of_stock_is_applied_once(db, dsn):
    """The key of a batch is stored with its effect, so a receipt whose answer was lost is not booked twice."""
    from onhand.cli.imports.files import Row
    from onhand.cli.imports.targets import target
    from onhand.settings import Settings

    set_items(db, [{"sku": "A", "name": "Mug"}], by=SYSTEM)
    set_nodes(db, [NODE | {"code": "LYON"}], by=SYSTEM)
    fields = {"kind": "receipt", "sku": "A", "node": "LYON", "quantity": 5}
    rows = [Row(line=2, position=0, raw=None, fields=fields, body=json.dumps(fields).encode())]
    with target(What.STOCK, Settings(database_url=dsn), url=None, key=None, by=SYSTEM) as stock:
        first = stock.send(rows, "key-1")
        assert stock.send(rows, "key-1") == first == [Outcome("applied")]
        assert stored(db, "SELECT on_hand FROM stock_position") == [(5,)]
        stock.send(rows, "key-2")
    assert stored(db, "SELECT on_hand FROM stock_position") == [(10,)]


# Through the API ----------------------------------------------------------------------------------


@pytest.fixture
def api(dsn):
    """(base URL, admin key) of an API on the test's database."""
    import socket
    import threading

    import uvicorn

    from onhand.api.app import create_api
    from onhand.api.auth import ensure_admin_key
    from onhand.app import App
    from onhand.settings import Settings

    with App.open(Settings(database_url=dsn)) as app, socket.create_server(("127.0.0.1", 0)) as listener:
        key = ensure_admin_key(app.db, None)
        server = uvicorn.Server(uvicorn.Config(create_api(app), log_config=None, timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", key
        server.should_exit = True
        thread.join(20)


def test_everything_goes_through_the_api_too(onhand, db, api, capsys, monkeypatch):
    url, key = api
    at = ["--url", url, "--key", key]
    monkeypatch.setattr("onhand.cli.imports.targets._BODY_BYTES_MAX", 200)  # so that batches are cut in parts
    text = "sku,name,price_minor\n" + "".join(f"S{n},item {n},\n" for n in range(20)) + "X,dear,5\n"
    write("items.csv", text)
    assert onhand("import", "items", "items.csv", *at) == 1
    assert rejects("items.rejects.jsonl") == [(22, "currency: required with a price or a unit cost")]
    write("nodes.jsonl", json.dumps(NODE | {"code": "LYON"}) + "\n")
    assert onhand("import", "nodes", "nodes.jsonl", *at) == 0
    write("stock.csv", "kind,sku,node,quantity\nreceipt,S1,LYON,5\nreceipt,S1,LYON,-5\nreceipt,Z,LYON,5\n")
    assert onhand("import", "stock", "stock.csv", *at) == 1
    assert [line for line, _ in rejects("stock.rejects.jsonl")] == [3, 4]
    assert stored(db, "SELECT on_hand FROM stock_position") == [(5,)]
    write("orders.jsonl", '{"channel": "none", "external_id": "1"}\n')
    assert onhand("import", "orders", "orders.jsonl", *at) == 1
    assert len(rejects("orders.rejects.jsonl")) == 1
    capsys.readouterr()
    assert onhand("import", "items", "items.csv", "--url", url, "--key", "onh_wrong") == 1
    assert "401" in capsys.readouterr().err


def test_an_api_that_is_not_there_is_named(onhand, capsys, monkeypatch):
    monkeypatch.setattr(run_module, "_WAITS_S", ())
    write("items.csv", "sku,name\nA,a\n")
    assert onhand("import", "items", "items.csv", "--url", "http://127.0.0.1:9") == 1
    assert "http://127.0.0.1:9 does not answer" in flat(capsys.readouterr().err)


# Cells --------------------------------------------------------------------------------------------


def test_every_column_of_the_api_can_be_imported():
    from onhand.catalog.model import ItemRow
    from onhand.fulfilment.tracking.model import TrackingRow
    from onhand.ledger.intake import EntryIn
    from onhand.network.model import NodeRow
    from onhand.network.restocking import LaneRow, SupplyRow

    def names(what):
        columns = COLUMNS[what]
        return {name.partition(".")[0] for name in [*columns.required, *columns.optional]}

    assert names(What.ITEMS) == set(ItemRow.model_fields)
    assert names(What.NODES) == set(NodeRow.model_fields)
    assert names(What.STOCK) == set(EntryIn.__struct_fields__)
    assert names(What.LANES) == {field.alias or name for name, field in LaneRow.model_fields.items()}
    assert names(What.SUPPLY) == set(SupplyRow.model_fields)
    assert names(What.TRACKING) == set(TrackingRow.model_fields)


@given(cells=st.dictionaries(st.sampled_from(sorted(COLUMNS[What.NODES].optional)), st.text(max_size=12)))
def test_any_cell_is_read_or_refused_by_name(cells):
    fields, errors = COLUMNS[What.NODES].row(cells)
    assert {name for name, _ in errors} <= set(cells)
    for name, cell in cells.items():
        top = name.partition(".")[0]
        assert (top in fields) or cell == "" or name in dict(errors)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_refused_file(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    for suffix in (".csv", ".jsonl"):
        path = folder / f"any{suffix}"
        path.write_bytes(b"sku,name\n" * (suffix == ".csv") + content)
        try:
            source = Source.open(path, What.ITEMS, columns={}, ignore_unknown=False)
            rows = list(source.rows())
        except FileError:
            continue
        assert [row.line for row in rows] == sorted({row.line for row in rows})
        assert all(row.position <= source.size for row in rows)
        assert all((row.problem is None) == bool(row.body) for row in rows)


# Sales and signals --------------------------------------------------------------------------------


def test_sales_and_signals_with_every_kind_of_bad_row(onhand, db, capsys):
    set_items(db, [{"sku": "A", "name": "Mug"}], by=SYSTEM)
    set_nodes(db, [NODE | {"code": "LYON"}], by=SYSTEM)
    write(
        "sales.csv",
        "sku,day,quantity,node,region,price_minor\nA,2025-11-28,14,LYON,,1250\nA,2025-11-28,3,,FR,\n"
        "A,2025-11-29 00:00:00,2.0,,,\n"
        "Z,2025-11-28,1,,,\nA,28.11.2025,1,,,\nA,2025-11-30,many,,,\nA,2025-11-28,1,PARIS,,\nA,2025-11-30,-1,,,\n",
    )
    assert onhand("import", "sales", "sales.csv") == 1
    assert stored(db, "SELECT day::text, units, price_minor FROM imported_sale ORDER BY day, units") == [
        ("2025-11-28", 3, None), ("2025-11-28", 14, 1250), ("2025-11-29", 2, None),
    ]  # fmt: skip
    found = dict(rejects("sales.rejects.jsonl"))
    assert sorted(found) == [5, 6, 7, 8, 9]
    assert found[5].startswith("sku: no item 'Z'") and found[6].startswith("day: expected a day")
    assert found[8].startswith("node: no node 'PARIS'")
    assert onhand("import", "sales", "sales.csv") == 1
    assert "unchanged" in capsys.readouterr().out
    write(
        "signals.jsonl",
        '{"name": "temperature", "scope": {"region": "FR"}, "at": "2026-03-01", "value": 7.5}\n'
        '{"name": "temperature", "at": "2026-03-01T12:00:00Z", "value": "warm"}\n'
        '{"name": "promotion", "at": "2036-03-01", "value": 1}\n',
    )
    write("more.csv", "name,at,value,scope.sku,known_ahead\npromotion,2036-03-01,1,A,true\n")
    assert onhand("import", "signals", "signals.jsonl", "more.csv") == 1
    assert sorted(dict(rejects("signals.rejects.jsonl"))) == [2, 3]
    sql = "SELECT name, item_id, region, known_ahead, value FROM signal JOIN signal_value USING (signal_id) ORDER BY 1"
    assert stored(db, sql) == [("promotion", 1, None, True, 1.0), ("temperature", None, "FR", False, 7.5)]


def test_sales_of_a_parquet_file_through_the_api(onhand, db, api):
    url, key = api
    set_items(db, [{"sku": "A", "name": "Mug"}], by=SYSTEM)
    days = [f"2025-11-{day:02}" for day in range(1, 31)]
    frame = polars.DataFrame({"sku": ["A"] * 30, "day": days, "quantity": range(30)})
    frame.with_columns(polars.col("day").str.to_datetime()).write_parquet("sales.parquet")
    assert onhand("import", "sales", "sales.parquet", "--url", url, "--key", key) == 0
    assert stored(db, "SELECT units FROM imported_sale ORDER BY day") == [(n,) for n in range(30)]


def test_scans_of_parcels_with_every_kind_of_bad_row(onhand, db):
    """Nobody knows their shipments yet: they are kept."""
    write(
        "scans.csv",
        "carrier,tracking,milestone,at,place.name,place.country,code,shipment_id\n"
        "dhl,JD1,at_hub,2026-03-04T06:10:00Z,Munich,DE,OFD,\n"  # 2
        "dhl,JD1,at_hub,2026-03-04T06:10:00Z,Munich,DE,OFD,\n"  # 3: the same again
        "dhl,JD1,lost,2026-03-04T06:10:00Z,,,,\n"  # 4
        "dhl,JD1,delivered,tomorrow,,,,\n"  # 5
        "dhl,,delivered,2026-03-04T09:10:00Z,,,,\n"  # 6
        ",,delivered,2026-03-04T09:10:00Z,,,,nobody-s1\n",  # 7
    )
    assert onhand("import", "tracking", "scans.csv") == 1
    assert stored(db, "SELECT carrier, tracking, milestone, place, carrier_code, source FROM tracking_event") == [
        ("dhl", "JD1", "at_hub", {"name": "Munich", "country": "DE"}, "OFD", "import")
    ]
    found = dict(rejects("tracking.rejects.jsonl"))
    assert {line: reason.partition(":")[0] for line, reason in found.items()} == {
        4: "milestone", 5: "at", 6: "", 7: "shipment_id"
    }  # fmt: skip
    assert "carrier and tracking" in found[6] and "no shipment" in found[7]
    assert onhand("import", "tracking", "scans.csv") == 1
    assert len(stored(db, "SELECT FROM tracking_event")) == 1
