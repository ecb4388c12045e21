"""Settings: `ONHAND_*` variables, then `onhand.toml`, then defaults. Read once, at the start of a program."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from onhand.errors import SettingsError

_LOG_LEVELS = ("debug", "info", "warning", "error")
_WAYS = ("smtp", "webhook")


def _default_home() -> Path:
    try:
        return Path.home() / ".onhand"
    except RuntimeError as error:
        raise SettingsError("home: no home folder for this user; set ONHAND_HOME to a folder") from error


def _says(text: str, *, default: object = None) -> dict[str, object]:
    """A setting in words; of one whose default is made at the start, how that is described."""
    return {"says": text, "default": default}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may set. The name of a field is its key in `onhand.toml`, and `ONHAND_<NAME>` its variable."""

    database_url: str | None = field(
        default=None,
        repr=False,
        metadata=_says(
            "a PostgreSQL (15 to 18) of yours, `postgresql://user:password@host:5432/database`; without it an embedded"
            " one is kept under `home`"
        ),
    )
    home: Path = field(
        default_factory=_default_home,
        metadata=_says("folder for the embedded database and for connectors", default="~/.onhand"),
    )
    admin_key: str | None = field(
        default=None,
        repr=False,
        metadata=_says("an API key that may do everything; without it the first start makes one and shows it once"),
    )
    secret_key: str | None = field(
        default=None,
        repr=False,
        metadata=_says(
            "seals the credentials of channels, at least 16 characters; of several, separated by commas, the first"
            " seals and all open; without it one is kept in a file under `home`"
        ),
    )
    files_root: Path | None = field(
        default=None,
        metadata=_says("folders of this machine that channels may name are below it; without it there are none"),
    )
    host: str = field(default="127.0.0.1", metadata=_says("address that `onhand serve` listens on"))
    port: int = field(default=8080, metadata=_says("port that it listens on; 0: any that is free"))
    log_level: str = field(default="info", metadata=_says("`debug`, `info`, `warning` or `error`"))
    reoptimise_every_s: int = field(
        default=0,
        metadata=_says("seconds between two rounds of planning unreleased orders again, up to 86,400; 0: never"),
    )
    smtp_url: str | None = field(
        default=None,
        repr=False,
        metadata=_says(
            "mail server, `smtp://user:password@host:587` (or `smtps://`, or `smtp+plain://` for one of this machine);"
            " by which customers are written to"
        ),
    )
    mail_from: str | None = field(default=None, metadata=_says("address that customers are written to from"))
    messages_by: str = field(
        default="smtp",
        metadata=_says(
            "how customers are written to: `smtp`, or `webhook`: an event `message.due` tells a mailer of yours, which"
            " takes each message"
        ),
    )
    delivery_signals: tuple[str, ...] = field(
        default=(),
        metadata=_says(
            "signals that predictions of deliveries hear, by name: weather or any other; separated by commas"
        ),
    )
    allow_private_urls: bool = field(
        default=False, metadata=_says("lets webhooks reach loopback and private addresses")
    )
    mcp_confirm_above_minor: int = field(
        default=10_000,
        metadata=_says("what an agent changes beyond that, in minor units (cents), a person confirms first"),
    )
    mcp_origins: tuple[str, ...] = field(
        default=(),
        metadata=_says("pages of a browser that may call `/mcp`, beside those of this machine; separated by commas"),
    )
    public_url: str | None = field(
        default=None,
        metadata=_says("where browsers find this server, `https://onhand.example.org`; to sign in by OIDC"),
    )
    oidc_issuer: str | None = field(
        default=None,
        metadata=_says(
            "identity provider that people sign in at, its issuer as an URL; without it they sign in by keys"
        ),
    )
    oidc_client_id: str | None = field(default=None, metadata=_says("how the provider knows this server"))
    oidc_client_secret: str | None = field(
        default=None, repr=False, metadata=_says("its secret; without one PKCE alone proves who asks")
    )
    oidc_scope: str = field(
        default="openid profile email", metadata=_says("what is asked of the provider; some name groups only if asked")
    )
    oidc_claim: str = field(default="groups", metadata=_says("claim of the ID token that grants go by"))
    oidc_grants: tuple[str, ...] = field(
        default=(),
        metadata=_says(
            "who may do what, by values of that claim: `ops=read+orders:write, admins=admin, *=read`; `*` is everybody"
        ),
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Self:
        """Settings of this process; `folder` holds `onhand.toml` (default: the current folder).

        `ONHAND_CONFIG` names another file. Raises SettingsError, which names the setting and the
        remedy.
        """
        environ = os.environ if environ is None else environ
        stated = _read_toml(environ, Path.cwd() if folder is None else folder)
        for name in _READERS:
            variable = f"ONHAND_{name.upper()}"
            if environ.get(variable):  # empty means absent, as compose files write it
                stated[name] = (variable, environ[variable])
        return cls(**{name: _READERS[name](label, value) for name, (label, value) in stated.items()})


def _read_toml(environ: Mapping[str, str], folder: Path) -> dict[str, tuple[str, Any]]:
    """Key -> (how to call it in messages, value)."""
    named = environ.get("ONHAND_CONFIG")
    path = Path(named) if named else folder / "onhand.toml"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if named:
            raise SettingsError(f"ONHAND_CONFIG: no file {path}; create it or unset the variable") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    for key in document:
        if key not in _READERS:
            raise SettingsError(f"{path}: unknown setting {key!r}; known are {', '.join(sorted(_READERS))}")
    return {key: (f"{key} in {path}", value) for key, value in document.items()}


def _text(label: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{label}: expected text, got {value!r}")
    return value


def _secret(label: str, value: Any) -> str:
    # A key travels in a header: printable ASCII, no spaces. Its value is not shown.
    if not isinstance(value, str) or not value or not all("!" <= c <= "~" for c in value):
        raise SettingsError(f"{label}: expected printable ASCII characters without spaces")
    return value


def _secret_keys(label: str, value: Any) -> str:
    keys = _secret(label, value)
    if any(len(key) < 16 for key in keys.split(",")):
        raise SettingsError(f"{label}: expected at least 16 characters; of several keys, separated by commas, each")
    return keys


def _database_url(label: str, value: Any) -> str:
    text = _text(label, value)
    expected = f"{label}: expected postgresql://user:password@host:5432/database"
    if "://" in text and not text.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{expected}, got a URL that starts with {text.split('://')[0]}://")
    try:
        conninfo_to_dict(text)
    except ProgrammingError:
        raise SettingsError(expected) from None  # its own words may repeat a password
    return text


def _smtp_url(label: str, value: Any) -> str:
    text = _text(label, value)
    scheme, rest, host = text.partition("://")
    if scheme not in ("smtp", "smtps", "smtp+plain") or not rest or not host:
        raise SettingsError(
            f"{label}: expected smtp://user:password@host:587 (STARTTLS), smtps:// (TLS), or smtp+plain:// for a server"
            " of this machine"
        )
    return text


def _address(label: str, value: Any) -> str:
    text = _text(label, value)
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", text):
        raise SettingsError(f"{label}: expected an e-mail address such as orders@example.org")
    return text


def _way(label: str, value: Any) -> str:
    text = _text(label, value).lower()
    if text not in _WAYS:
        raise SettingsError(f"{label}: expected smtp or webhook, got {value!r}")
    return text


def _folder(label: str, value: Any) -> Path:
    text = _text(label, value)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"{label}: {text.split('/')[0]} has no home folder; state the path in full") from None


def _port(label: str, value: Any) -> int:
    try:
        port = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        port = -1
    if not 0 <= port <= 65_535:
        raise SettingsError(f"{label}: expected a port from 0 to 65535, got {value!r}")
    return port


def _seconds(label: str, value: Any) -> int:
    try:
        seconds = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise SettingsError(f"{label}: expected seconds from 0 to 86400, got {value!r}")
    return seconds


def _minor(label: str, value: Any) -> int:
    try:
        minor = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        minor = -1
    if not 0 <= minor <= 10**12:
        raise SettingsError(f"{label}: expected minor units from 0 to 10^12, such as 10000 for 100.00, got {value!r}")
    return minor


def _origins(label: str, value: Any) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in _text(label, value).split(","))
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.\-]+(:\d{1,5})?", origin):
            raise SettingsError(f"{label}: expected origins as https://agents.example.org, by commas, got {origin!r}")
    return origins


def _web_url(label: str, value: Any) -> str:
    text = _text(label, value)
    if not re.fullmatch(r"https://[^\s?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?(/[^\s?#@]*)?", text):
        raise SettingsError(f"{label}: expected https://host/path (or http://localhost to try it), got {text!r}")
    return text


def _grants(label: str, value: Any) -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(label, value).split(",") if part.strip())


def _log_level(label: str, value: Any) -> str:
    text = _text(label, value).lower()
    if text not in _LOG_LEVELS:
        raise SettingsError(f"{label}: expected one of {', '.join(_LOG_LEVELS)}, got {value!r}")
    return text


def _flag(label: str, value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    flag = value if isinstance(value, bool) else known.get(str(value).lower())
    if flag is None:
        raise SettingsError(f"{label}: expected true or false, got {value!r}")
    return flag


def _names(label: str, value: Any) -> tuple[str, ...]:
    names = tuple(name.strip() for name in _text(label, value).split(","))
    if not all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", name) for name in names):
        raise SettingsError(f'{label}: expected names of signals, separated by commas, such as "temperature,rain"')
    return names


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "database_url": _database_url,
    "home": _folder,
    "files_root": _folder,
    "admin_key": _secret,
    "secret_key": _secret_keys,
    "host": _text,
    "port": _port,
    "log_level": _log_level,
    "reoptimise_every_s": _seconds,
    "smtp_url": _smtp_url,
    "mail_from": _address,
    "messages_by": _way,
    "delivery_signals": _names,
    "allow_private_urls": _flag,
    "mcp_confirm_above_minor": _minor,
    "mcp_origins": _origins,
    "public_url": _web_url,
    "oidc_issuer": _web_url,
    "oidc_client_id": _text,
    "oidc_client_secret": _secret,
    "oidc_scope": _text,
    "oidc_claim": _text,
    "oidc_grants": _grants,
}
assert set(_READERS) == {f.name for f in fields(Settings)}, "every setting has a reader"
