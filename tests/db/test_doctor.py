import psycopg
import pytest

from onhand.db.doctor import doctor


def settings(url):
    with psycopg.connect(url) as conn:
        return {f.setting: f.severity for f in doctor(conn)}


def test_a_careless_server_is_found_out(dsn):
    """Each setting is weakened for new sessions of this database only."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        (name,) = conn.execute("SELECT current_database()").fetchone()
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    assert settings(dsn)["synchronous_commit"] == "error"


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_what_the_test_server_leaves_out_is_an_error(dsn, setting):
    with psycopg.connect(dsn) as conn:
        (value,) = conn.execute(f"SHOW {setting}".encode()).fetchone()
    assert (settings(dsn).get(setting) == "error") == (value == "off")
