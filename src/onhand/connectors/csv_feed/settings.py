"""What an operator says of a folder of files, in a closed vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from onhand.base.money import is_currency
from onhand.connectors._sdk.inbox import Where
from onhand.connectors._sdk.values import OrderStatus, ShipmentStatus
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn
from onhand.connectors.csv_feed.records import COLUMNS, KINDS, Kind
from onhand.connectors.csv_feed.rows import DELIMITERS, ENCODINGS, Dates, Format
from onhand.wire.folder import parts, split_url

STOCK_COLUMNS: Final = ("sku", "external_id", "quantity", "place", "at")
PRICE_COLUMNS: Final = ("sku", "external_id", "price", "currency", "place", "at")
REQUEST_COLUMNS: Final = (
    "fulfilment_id", "order_number", "ordered_at", "line_id", "sku", "external_sku", "item_name", "quantity", "price",
    "currency", "place", "carrier", "service", "ship_by", "deliver_by", "name", "company", "street", "city", "region",
    "postal_code", "country", "email", "phone", "note",
)  # fmt: skip


def _text(description: str, default: str | None = None, *, required: bool = False) -> SettingIn:
    return SettingIn(description=description, default=default, required=required)


def _choice(description: str, choices: tuple[str, ...], default: str) -> SettingIn:
    return SettingIn(type="choice", description=description, choices=list(choices), default=default, required=False)


def _map(description: str) -> SettingIn:
    return SettingIn(type="map", description=description, required=False)


REACHED: Final[Mapping[str, SettingIn]] = {
    "url": SettingIn(
        description="sftp://user@host/folder, or file:///folder below ONHAND_FILES_ROOT",
        example="sftp://shop@files.example/out",
        address=True,
    ),
    "host_key": SettingIn(
        description="of the SFTP server, as ssh-keyscan prints it; checked with whoever runs it",
        required=False,
        address=True,
    ),
    "node": _text("code of our node that they run: what they count is of it, what is sourced there they are asked for"),
    "done_folder": _text("where files go that were taken", "done"),
    "rejects_folder": _text("where what cannot be read goes, with the reason", "rejects"),
    "settle_s": SettingIn(
        type="integer", description="seconds a file stays as it is before it is taken", default=30, required=False
    ),
    "keep_files": SettingIn(
        type="boolean", description="leave files where they are; those taken are remembered", default=False,
        required=False,
    ),
}  # fmt: skip
SETTINGS: Final[Mapping[str, SettingIn]] = {
    **REACHED,
    **{f"{kind}_folder": _text(f"where {kind} come; without it there are none") for kind in KINDS},
    "stock_folder": _text("where our stock is written to; without it, it is not"),
    "prices_folder": _text("where our prices are written to; without it, they are not"),
    "requests_folder": _text("where what is to be shipped is written to, a file each; without it, nowhere"),
    "pattern": _text("of names of files", "*.csv"),
    "delimiter": _choice("between cells", tuple(DELIMITERS), "comma"),
    "encoding": _choice("of letters", tuple(ENCODINGS), "utf-8"),
    "decimal": _choice("sign", ("point", "comma"), "point"),
    "dates": _choice("how days are written", get_args(Dates), "iso"),
    "time_zone": _text("of moments that do not say theirs", "UTC"),
    "has_header": SettingIn(
        type="boolean", description="the first row names the columns", default=True, required=False
    ),
    "currency": _text("of orders that do not say theirs"),
    **{f"{kind}_columns": _map(f"our names of columns of {kind} -> theirs, or numbers from 1") for kind in KINDS},
    "stock_columns": _map(f"columns of what we write: {', '.join(STOCK_COLUMNS)} -> their headers, in this order"),
    "prices_columns": _map(f"the same of prices: {', '.join(PRICE_COLUMNS)} -> their headers, in this order"),
    "request_columns": _map("columns of what is to be shipped: our names -> their headers, in this order"),
    "statuses": _map("their words for states of orders and shipments -> ours"),
}  # fmt: skip
CREDENTIALS: Final[Mapping[str, CredentialIn]] = {
    "password": CredentialIn(description="of the SFTP user", required=False),
    "private_key": CredentialIn(description="of the SFTP user, OpenSSH or PEM, instead of a password", required=False),
    "passphrase": CredentialIn(description="of the private key", required=False),
}


def _map_of(settings: Mapping[str, Any], name: str) -> dict[str, str]:
    return cast("dict[str, str]", settings.get(name) or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The settings, read."""

    form: Format
    has_header: bool
    currency: str
    statuses: Mapping[str, str]
    folders: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]]
    pattern: str
    done: str
    rejects: str
    settle_s: int
    keep: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """`settings` without problems; defaults for what they do not say."""
        said: dict[str, Any] = {name: s.default for name, s in SETTINGS.items() if s.default is not None}
        said |= settings
        return cls(
            form=Format(
                delimiter=DELIMITERS[said["delimiter"]],
                encoding=ENCODINGS[said["encoding"]],
                decimal="." if said["decimal"] == "point" else ",",
                dates=said["dates"],
                zone=said["time_zone"],
            ),
            has_header=said["has_header"],
            currency=said.get("currency") or "",
            statuses=_map_of(said, "statuses"),
            folders={
                name: "/".join(parts(said[f"{name}_folder"])) if said.get(f"{name}_folder") else ""
                for name in (*KINDS, "stock", "prices", "requests")
            },
            columns={name: _map_of(said, f"{name}_columns") for name in (*KINDS, "stock", "prices", "request")},
            pattern=said["pattern"],
            done="/".join(parts(said["done_folder"])),
            rejects="/".join(parts(said["rejects_folder"])),
            settle_s=said["settle_s"],
            keep=said["keep_files"],
        )

    def where(self, kind: Kind) -> Where:
        """Where files of a kind are. A count is a fact also when it is the same as the last one."""
        path = self.folders[kind]
        return Where(
            path=path, pattern=self.pattern, done=f"{self.done}/{path}", rejects=f"{self.rejects}/{path}",
            settle_s=self.settle_s, keep=self.keep, once=kind != "counts",
        )  # fmt: skip


def wrong_places(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with where files are; for all that is passed in files."""
    problems: list[tuple[str, str]] = []
    try:
        split = split_url(settings["url"])
    except ValueError as error:
        problems.append(("settings.url", str(error)))
    else:
        if split.scheme == "sftp" and not settings.get("host_key"):
            problems.append(("settings.host_key", "required for sftp: what ssh-keyscan prints, checked"))
    folders = {name: said for name, said in settings.items() if name.endswith("_folder") and said}
    used: dict[str, str] = {}
    for name, said in folders.items():
        try:
            path = "/".join(parts(said))
        except ValueError as error:
            problems.append((f"settings.{name}", str(error)))
            continue
        if not path:
            problems.append((f"settings.{name}", "expected the name of a folder"))
        elif path in used:
            problems.append((f"settings.{name}", f"expected another folder than {used[path]}"))
        used[path] = name
    if not 0 <= settings["settle_s"] <= 86_400:
        problems.append(("settings.settle_s", "expected 0 to 86400"))
    return problems


def wrong_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with settings whose types are right."""
    problems = wrong_places(settings)
    try:
        ZoneInfo(settings["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(("settings.time_zone", f"{settings['time_zone']!r} is no time zone; write Europe/Berlin"))
    if settings.get("currency") and not is_currency(settings["currency"]):
        problems.append(("settings.currency", "expected a code such as EUR"))
    for kind in KINDS:
        problems += _wrong_columns(f"{kind}_columns", settings, COLUMNS[kind])
        if settings.get(f"{kind}_folder") and not settings["has_header"]:
            said = _map_of(settings, f"{kind}_columns")
            missing = [name for name, needed in COLUMNS[kind].items() if needed and name not in said]
            if missing:
                problems.append((f"settings.{kind}_columns", f"without a header: say where {', '.join(missing)} stand"))
    problems += _wrong_columns("stock_columns", settings, dict.fromkeys(STOCK_COLUMNS, False))
    problems += _wrong_columns("prices_columns", settings, dict.fromkeys(PRICE_COLUMNS, False))
    problems += _wrong_columns("request_columns", settings, dict.fromkeys(REQUEST_COLUMNS, False))
    known = {*get_args(OrderStatus), *get_args(ShipmentStatus)}
    for word, ours in _map_of(settings, "statuses").items():
        if ours not in known:
            problems.append((f"settings.statuses.{word}", f"expected one of {', '.join(sorted(known))}"))
    return problems


def _wrong_columns(name: str, settings: Mapping[str, Any], known: Mapping[str, bool]) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    is_read = name not in {"stock_columns", "prices_columns", "request_columns"}
    for ours, theirs in _map_of(settings, name).items():
        if ours not in known:
            problems.append((f"settings.{name}.{ours}", f"unknown: expected one of {', '.join(known)}"))
        elif is_read and not settings["has_header"] and not (theirs.isdecimal() and 1 <= int(theirs) <= 1000):
            problems.append((f"settings.{name}.{ours}", "without a header: expected the number of a column, from 1"))
    return problems
