"""`onhand channel`: describe a kind of channel, check the description, try it out against the real one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from onhand.cli import channel_kit, channels_live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onhand.connectors import Connector

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
commands = typer.Typer(
    no_args_is_help=True, help="Connect channels; describe kinds of them, check and try the descriptions."
)


def register(app: typer.Typer) -> None:
    channels_live.add_to(commands)
    channel_kit.join(commands)
    app.add_typer(commands, name="channel")


@commands.command()
def connectors(
    *,
    folder: Annotated[
        Path | None,
        typer.Option(help="Of connectors of your own, one folder each; `connectors` under ONHAND_HOME if absent."),
    ] = None,
) -> None:
    """List the kinds of channels that can be talked to, and what each can do."""
    from rich.table import Table

    from onhand.cli.examined import own_folder
    from onhand.connectors import Unusable, described, find, names

    folder = own_folder() if folder is None else folder
    table = Table(box=None, pad_edge=False)
    for heading in ("connector", "status", "interface", "can", "from"):
        table.add_column(heading)
    for name in names(folder=folder):
        try:
            found = find(name, folder=folder)
        except Unusable:
            table.add_row(name, "unusable", "", f"see: onhand channel lint {folder / name}", str(folder / name))
            continue
        told = described(found.connector)
        table.add_row(name, told.status, told.vendor_api, ", ".join(told.capabilities), found.place)
    out.print(table)


@commands.command()
def new(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
    *,
    folder: Annotated[Path, typer.Option(help="Where its folder is made.")] = Path(),
) -> None:
    """Make a folder with a connector.yaml to begin with, and its JSON Schema for editors. Exits 1 if there is one."""
    from onhand.connectors import STARTER, lint

    text = STARTER.replace("corner_shop", name).replace("Corner Shop", name.replace("_", " ").title())
    linted = lint(text, read_file=lambda _: None)
    if linted.connector is None:
        err.print(
            f"error: {name!r} is no name for a connector: use small letters, digits and _, beginning with a letter"
        )
        raise typer.Exit(2)
    target = folder / name / "connector.yaml"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        target.with_name("connector.schema.json").write_text(_schema(), "utf-8")
    except FileExistsError:
        err.print(f"error: {target} is there already; choose another name, or edit it")
        raise typer.Exit(1) from None
    except OSError as error:
        err.print(f"error: {target}: {error.strerror}")
        raise typer.Exit(2) from None
    out.print(f"{target} is made; edit it, then: onhand channel lint {target.parent}")


@commands.command()
def lint(
    folders: Annotated[list[Path], typer.Argument(help="Folders of connectors.")],
    *,
    contract: Annotated[
        Path | None,
        typer.Option(
            help="Description of the interface: OpenAPI, GraphQL, a WordPress index; or the folder of those named."
        ),
    ] = None,
) -> None:
    """Say what is wrong with connectors, by line and column. Exits 1 for errors, 2 if one cannot be read.

    Where a description of the channel's interface is named or given, requests are held against it as well.
    """
    from onhand.connectors import FILE, Uncheckable, against_contract, lint_folder

    failed = False
    for given in folders:
        folder = given.parent if given.name == FILE else given
        try:
            linted = lint_folder(folder.resolve())
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
            err.print(f"error: {folder / FILE}: {why}")
            raise typer.Exit(2) from None
        for finding in linted.findings:
            out.print(f"{folder / FILE}:{finding}")
        failed |= linted.connector is None
        try:
            told = [] if linted.connector is None else against_contract(folder.resolve(), linted.connector, contract)
        except (Uncheckable, OSError) as error:
            err.print(f"error: {_why(error)}")
            raise typer.Exit(2) from None
        for one in told:
            out.print(f"{folder}/{one}")
        failed |= any(one.finding.severity == "error" for one in told)
    if failed:
        raise typer.Exit(1)
    out.print(f"{len(folders)} {'connector is' if len(folders) == 1 else 'connectors are'} fit for use")


def _why(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


@commands.command()
def schema() -> None:
    """Print the JSON Schema of a connector.yaml, for editors."""
    print(_schema(), end="")  # noqa: T201  as it is, however wide


def _schema() -> str:
    import json

    from onhand.connectors import schema as of

    return json.dumps(of(), indent=2) + "\n"


@commands.command()
def test(
    connector: Annotated[str, typer.Argument(help=channel_kit.HELP)],
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="name=value, as the connector asks for them; overrides=@FILE of YAML or JSON."),
    ] = None,
    *,
    allow_private_urls: Annotated[bool, typer.Option(help="The channel is on this machine or network.")] = False,
) -> None:
    """Try a connector out: read a page of each kind and show what is understood. Writes nothing.

    Secrets come from the environment, ONHAND_SECRET_<NAME>, not from the command line. Exits 1 if something fails.
    """
    from onhand.cli.examined import examined, own_folder
    from onhand.cli.overrides import overrides_of
    from onhand.connectors import Unusable, for_channel

    otherwise, told = overrides_of(settings or [])
    try:
        path = Path(connector)
        if not otherwise:
            tried = examined(connector).connector
        else:
            folder = path.resolve().parent if path.is_dir() else own_folder()
            tried = for_channel(path.name if path.is_dir() else connector, {"overrides": otherwise}, folder=folder)
    except (Unusable, LookupError, OSError) as error:
        err.print(f"error: {error.strerror or error if isinstance(error, OSError) else error.args[0]}")
        raise typer.Exit(2) from None
    given, secrets = _filled_in(tried, told)
    if not _try(tried, given, secrets, allow_private_urls=allow_private_urls):
        raise typer.Exit(1)


def _filled_in(connector: "Connector", settings: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings and secrets, as the connector asks for them. Exits 2, naming what is missing."""
    given: dict[str, Any] = {name: s.default for name, s in connector.settings.items() if s.default is not None}
    for setting in settings:
        name, is_given, value = setting.partition("=")
        if not is_given or name not in connector.settings:
            known = ", ".join(connector.settings) or "none"
            err.print(f"error: {setting!r}: write name=value; settings of {connector.name} are {known}")
            raise typer.Exit(2)
        given[name] = int(value) if connector.settings[name].type == "integer" and value.isdigit() else value
    secrets = {name: os.environ.get(f"ONHAND_SECRET_{name.upper()}", "") for name in connector.credentials}
    missing = [f"{name}=..." for name, s in connector.settings.items() if s.required and name not in given]
    missing += [
        f"ONHAND_SECRET_{name.upper()} in the environment"
        for name, credential in connector.credentials.items()
        if credential.required and not secrets[name]
    ]
    if missing:
        err.print(f"error: missing: {', '.join(missing)}")
        raise typer.Exit(2)
    return given, secrets


def _try(
    connector: "Connector", settings: dict[str, Any], secrets: dict[str, str], *, allow_private_urls: bool
) -> bool:
    import asyncio
    import ssl
    from datetime import UTC, datetime, timedelta

    from onhand.connectors import Connection, MemoryLimiter, MemoryTokens, Refused, Unavailable
    from onhand.wire import Caller, Guard

    since = datetime.now(UTC) - timedelta(days=7)
    asks: list[tuple[str, Callable[[Connection], Awaitable[Any]]]] = [
        ("listings.pull", lambda c: connector.pull_listings(c, None)),
        ("stock.pull", lambda c: connector.pull_stock(c, None)),
        ("orders.pull", lambda c: connector.pull_orders(c, None, since=since)),
    ]

    async def go() -> bool:
        is_well = True
        async with Caller(Guard(allow_private=allow_private_urls), ssl.create_default_context()) as caller:
            connection = Connection(
                settings=settings,
                credentials=secrets,
                sender=caller,
                limiter=MemoryLimiter(),
                tokens=MemoryTokens(),
            )
            for name, ask in asks:
                if name in connector.capabilities:
                    try:
                        is_well &= _shown(name, await ask(connection))
                    except (Refused, Unavailable) as error:
                        out.print(f"{name}: FAILED: {error}")
                        is_well = False
        return is_well

    return asyncio.run(go())


def _shown(name: str, page: Any) -> bool:
    out.print(f"{name}: {len(page.records)} read, {len(page.rejects)} not understood")
    for record in page.records[:3]:
        out.print(f"    {record}")
    for reject in page.rejects[:3]:
        out.print(f"    {reject.external_id}: {reject.why}")
    return not page.rejects
