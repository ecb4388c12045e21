"""`onhand db` on a real database, as a user runs it."""

import psycopg
import pytest

from onhand import cli
from onhand.cli import logs


@pytest.fixture
def onhand(monkeypatch, capsys, dsn):
    """Runs a command line on the test's database; gives (exit code, stdout, stderr)."""
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setattr(logs, "set_up", lambda level: None)  # would log to a stderr that is gone later

    def run(*arguments):
        code = cli.run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_upgrade_twice(onhand, monkeypatch, empty_dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", empty_dsn)
    code, said, _ = onhand("db", "upgrade")
    assert (code, "applied 0001_base" in said) == (0, True)
    assert onhand("db", "upgrade") == (0, "the database is up to date\n", "")


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_an_empty_database_must_be_upgraded_first(onhand, monkeypatch, empty_dsn, command):
    monkeypatch.setenv("ONHAND_DATABASE_URL", empty_dsn)
    code, _, said = onhand("db", command)
    assert code == 2
    assert "onhand db upgrade" in said


@pytest.mark.broken_invariants
def test_a_damaged_counter_is_found_and_repaired(onhand, dsn):
    assert onhand("db", "verify")[0] == 0
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name) VALUES (1, 'A', 'A');"
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone)"
            " VALUES (1, 'N', 'N', 'store', 'GB', 0, 0, 'UTC');"
            "INSERT INTO stock_position (item_id, node_id, on_hand) VALUES (1, 1, 5)"
        )
    code, said, _ = onhand("db", "verify")
    assert code == 1
    assert "position_is_the_sum_of_its_entries" in said
    assert onhand("db", "rebuild")[0] == 0
    assert onhand("db", "verify")[0] == 0


def test_a_backup_is_restored(onhand, dsn, empty_dsn, monkeypatch, tmp_path):
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO setting VALUES ('x', '1')")
    assert onhand("db", "backup", str(tmp_path / "b"))[0] == 0
    code, _, said = onhand("db", "restore", str(tmp_path / "b"))
    assert (code, "--force" in said) == (1, True)
    monkeypatch.setenv("ONHAND_DATABASE_URL", empty_dsn)
    assert onhand("db", "restore", str(tmp_path / "b"))[0] == 0
    with psycopg.connect(empty_dsn) as conn:
        assert conn.execute("SELECT value FROM setting WHERE name = 'x'").fetchone() == (1,)
    assert onhand("db", "verify")[0] == 0


def test_the_doctor_fails_on_a_server_that_forgets(onhand, dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        (name,) = conn.execute("SELECT current_database()").fetchone()
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    code, said, _ = onhand("db", "doctor")
    assert code == 1
    assert "synchronous_commit is off" in said


def test_no_server_is_one_line(onhand, monkeypatch):
    monkeypatch.setenv("ONHAND_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, out, err = onhand("db", "upgrade")
    assert (code, out, len(err.splitlines())) == (1, "", 1)


def test_a_bad_url_is_a_bad_setting(onhand, monkeypatch):
    monkeypatch.setenv("ONHAND_DATABASE_URL", "mysql://x")
    code, _, err = onhand("db", "upgrade")
    assert code == 2
    assert "ONHAND_DATABASE_URL" in err
