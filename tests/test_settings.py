"""Settings: variables before the file before defaults, and every mistake named with its remedy."""

from pathlib import Path

import pytest

from onhand.errors import SettingsError
from onhand.settings import Settings


@pytest.fixture
def load(tmp_path):
    def load(toml=None, **environ):
        if toml is not None:
            (tmp_path / "onhand.toml").write_text(toml, "utf-8")
        return Settings.load({f"ONHAND_{k}": v for k, v in environ.items()}, tmp_path)

    return load


def test_defaults_need_nothing(load):
    settings = load()
    assert settings.database_url is None
    assert settings.home == Path.home() / ".onhand"
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 8080, "info")
    assert (settings.admin_key, settings.secret_key) == (None, None)


def test_variables_win_over_the_file(load):
    settings = load('port = 1\nhost = "a"\nhome = "/h"', PORT="2")
    assert (settings.port, settings.host, settings.home) == (2, "a", Path("/h"))


def test_customers_are_written_to_by_smtp_or_webhook(load):
    assert [load().messages_by, load(MESSAGES_BY="Webhook").messages_by] == ["smtp", "webhook"]
    with pytest.raises(SettingsError, match="ONHAND_MESSAGES_BY: expected smtp or webhook"):
        load(MESSAGES_BY="pigeon")


def test_an_empty_variable_is_absent(load):
    assert load("port = 1", PORT="", DATABASE_URL="").port == 1


def test_another_file_may_be_named(tmp_path, load):
    (tmp_path / "other.toml").write_text("port = 3", "utf-8")
    assert load("port = 1", CONFIG=str(tmp_path / "other.toml")).port == 3
    with pytest.raises(SettingsError, match=r"ONHAND_CONFIG.*create it or unset"):
        load(CONFIG=str(tmp_path / "missing.toml"))


def test_a_home_of_tilde_is_expanded(load):
    assert load(HOME="~/x").home == Path.home() / "x"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/d",
        "postgres://u@h/d?sslmode=require",
        "postgresql://u@/d?host=/run/x",
        "host=h dbname=d",
    ],
)
def test_urls_that_libpq_takes_are_taken(load, url):
    assert load(DATABASE_URL=url).database_url == url


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PORT", "http", "from 0 to 65535"),
        ("PORT", "-1", "from 0 to 65535"),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "80.5", "from 0 to 65535"),
        ("DATABASE_URL", "mysql://h/d", "expected postgresql://"),
        ("DATABASE_URL", "postgresql+psycopg://h/d", "expected postgresql://"),
        ("DATABASE_URL", "somewhere", "expected postgresql://"),
        ("ADMIN_KEY", "with space", "printable ASCII"),
        ("ADMIN_KEY", "schlüssel", "printable ASCII"),
        ("SECRET_KEY", "line\nbreak", "printable ASCII"),
        ("LOG_LEVEL", "loud", "one of debug, info"),
        ("HOME", "   ", "expected text"),
        ("HOME", "~nobody-of-that-name/x", "state the path in full"),
        ("HOST", " ", "expected text"),
    ],
)
def test_a_bad_variable_is_named_with_the_remedy(load, name, value, remedy):
    with pytest.raises(SettingsError, match=f"ONHAND_{name}: .*{remedy}"):
        load(**{name: value})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("prot = 1", r"onhand\.toml: unknown setting 'prot'; known are .*port"),
        ("[port]\nx = 1", r"port in .*onhand\.toml: expected a port"),
        ("port = true", r"port in .*onhand\.toml: expected a port"),
        ("port = 1.5", r"port in .*onhand\.toml: expected a port"),
        ("host = 1", r"host in .*onhand\.toml: expected text"),
        ("host = ", r"onhand\.toml: not valid TOML"),
    ],
)
def test_a_bad_file_is_named_with_the_key(load, toml, message):
    with pytest.raises(SettingsError, match=message):
        load(toml)


def test_a_file_that_is_not_text_is_named(tmp_path, load):
    (tmp_path / "onhand.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"onhand\.toml: cannot be read"):
        load()


def test_secrets_are_not_shown(load):
    shown = repr(load(ADMIN_KEY="adminadmin", SECRET_KEY="secretsecretsecret", DATABASE_URL="postgresql://u:hush@h/d"))
    assert not any(secret in shown for secret in ("adminadmin", "secretsecretsecret", "hush"))


def test_a_secret_is_not_repeated_in_its_error(load):
    for name, value in {"ADMIN_KEY": "hush hush", "DATABASE_URL": "hush"}.items():
        with pytest.raises(SettingsError) as error:
            load(**{name: value})
        assert "hush" not in str(error.value)


def test_limits_of_agents(load):
    assert (load().mcp_confirm_above_minor, load().mcp_origins) == (10_000, ())
    settings = load(MCP_CONFIRM_ABOVE_MINOR="0", MCP_ORIGINS="https://a.example, http://b.example:3000")
    assert settings.mcp_confirm_above_minor == 0
    assert settings.mcp_origins == ("https://a.example", "http://b.example:3000")
    for bad in ({"MCP_CONFIRM_ABOVE_MINOR": "-1"}, {"MCP_CONFIRM_ABOVE_MINOR": "1.5"}, {"MCP_ORIGINS": "*"},
                {"MCP_ORIGINS": "https://a.example/"}):  # fmt: skip
        (name,) = bad
        with pytest.raises(SettingsError, match=name):
            load(**bad)
