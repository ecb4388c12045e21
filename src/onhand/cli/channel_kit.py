"""`onhand channel kit` and `record`: examine a connector, and keep what a channel said to examine it by."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onhand.connectors import Declared
    from onhand.connectors._sdk.conformance import Bench, Result

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


def join(commands: typer.Typer) -> None:
    commands.command()(kit)
    commands.command()(record)


def kit(
    folder: Annotated[Path, typer.Argument(help="Of the connector.")],
    *,
    bench: Annotated[
        Path | None,
        typer.Option(help="Python file whose `make()` is a bench; without it, only some cases can be."),
    ] = None,
    write: Annotated[bool, typer.Option(help="Make the golden files of its recordings anew.")] = False,
) -> None:
    """Examine a connector: its recordings are understood as they were, and it stands the cases of the kit.

    Says what is missing for the statuses beta and stable. Exits 1 if a case or a recording fails, or if its status is
    not earned.
    """
    import asyncio

    from onhand.connectors._sdk.conformance import CASES, Grade, differing, examine, fixtures, unearned

    connector = _read(folder)
    make = _bench(connector, bench)
    try:
        wrong = asyncio.run(differing(connector, folder.resolve(), write=write))
        recorded = fixtures(folder.resolve())
    except ValueError as error:
        err.print(f"error: {folder}/fixtures/{error}")
        raise typer.Exit(2) from None
    for name, (wanted, got) in wrong.items():
        out.print(f"recording {name}: something else is understood than its golden file says")
        _show_difference(wanted, got)
    out.print(f"{len(recorded)} recordings, {len(wrong)} of them understood otherwise")
    results = [asyncio.run(examine(connector, make, case)) for case in CASES.values()]
    for result in results:
        if result.grade in (Grade.FAILED, Grade.EXCUSED):
            out.print(f"{result.case.name}: {result.grade}: {result.case.promise} {result.why}")
    counts = {grade: sum(result.grade is grade for result in results) for grade in Grade}
    out.print(", ".join(f"{count} {grade}" for grade, count in counts.items() if count))
    said = [(one.of, one.call) for one in recorded.values()]
    lacking = dict(zip(("beta", "stable"), unearned(results, said, connector.capabilities), strict=True))
    for status, lines in lacking.items():
        for line in lines:
            out.print(f"for {status}: {line}")
    status = connector.document.status
    unmet = [name for name in lacking if lacking[name] and status in ("stable", name)]
    if unmet:
        err.print(f"error: its status {status} is not earned")
    if wrong or unmet or _any_failed(results):
        raise typer.Exit(1)


def _any_failed(results: "list[Result]") -> bool:
    from onhand.connectors._sdk.conformance import Grade

    return any(result.grade is Grade.FAILED for result in results)


def _read(folder: Path) -> "Declared":
    from onhand.connectors import Declared, Unusable, read_folder

    try:
        connector = read_folder(folder.resolve())
    except (Unusable, OSError) as error:
        err.print(f"error: {folder}: {error.strerror if isinstance(error, OSError) else error}")
        raise typer.Exit(2) from None
    assert isinstance(connector, Declared), "a folder is a document"
    return connector


def _bench(connector: "Declared", file: Path | None) -> "Callable[[], Bench]":
    from onhand.connectors._sdk.conformance.drill import Drill

    if file is None:
        return lambda: Drill(connector.document)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        err.print(f"error: {file} is no file of Python")
        raise typer.Exit(2)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Callable[[], Bench] | None = getattr(module, "make", None)
    if make is None:
        err.print(f"error: {file} has no `make`")
        raise typer.Exit(2)
    return make


def _show_difference(wanted: str, got: str) -> None:
    from difflib import unified_diff

    for line in list(unified_diff(wanted.splitlines(), got.splitlines(), "golden", "now", lineterm="", n=2))[:40]:
        out.print(f"    {line}")


def record(
    folder: Annotated[Path, typer.Argument(help="Of the connector.")],
    settings: Annotated[list[str] | None, typer.Argument(help="name=value, as the connector asks for them.")] = None,
    *,
    of: Annotated[str, typer.Option(help="Who answers: vendor, or fake.")] = "vendor",
    days: Annotated[int, typer.Option(help="Orders of so many days.", min=1, max=365)] = 7,
    allow_private_urls: Annotated[bool, typer.Option(help="The channel is on this machine or network.")] = False,
) -> None:
    """Keep what a channel answers now to each kind of reading, in fixtures/ and golden/. Writes nothing there.

    Secrets come from the environment as for `test`, and are not kept; what customers said of themselves is: read the
    files before you give them to anybody.
    """
    import asyncio

    from onhand.cli.channel import _filled_in  # pyright: ignore[reportPrivateUsage]
    from onhand.connectors import Refused, Unavailable
    from onhand.connectors._sdk.conformance import differing

    connector = _read(folder)
    given, secrets = _filled_in(connector, settings or [])
    try:
        names = asyncio.run(_recorded(connector, folder, given, secrets, of, days, allow_private_urls))
    except (Refused, Unavailable) as error:
        err.print(f"error: {error}")
        raise typer.Exit(1) from None
    asyncio.run(differing(connector, folder.resolve(), write=True))
    out.print(f"kept in {folder / 'fixtures'}, understood as {folder / 'golden'} says: {', '.join(names)}")


async def _recorded(
    connector: "Declared",
    folder: Path,
    given: dict[str, Any],
    secrets: dict[str, str],
    of: str,
    days: int,
    private: bool,
) -> list[str]:
    import ssl
    from datetime import UTC, datetime, timedelta

    import msgspec

    from onhand.connectors import Connection, MemoryLimiter, MemoryTokens
    from onhand.connectors._sdk.conformance import Fixture, Recording
    from onhand.connectors._sdk.conformance.recorded import as_text
    from onhand.wire import Caller, Guard

    since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
    limiter, tokens = MemoryLimiter(), MemoryTokens()
    kept: list[str] = []
    async with Caller(Guard(allow_private=private), ssl.create_default_context()) as caller:

        def connect(sender: Any) -> Connection:
            return Connection(settings=given, credentials=secrets, sender=sender, limiter=limiter, tokens=tokens)

        asks: list[tuple[str, str, dict[str, Any], Callable[[Connection], Awaitable[Any]]]] = [
            ("listings.pull", "listings", {}, lambda c: connector.pull_listings(c, None)),
            ("stock.pull", "stock", {}, lambda c: connector.pull_stock(c, None)),
            ("orders.pull", "orders", {"since": since.isoformat()},
             lambda c: connector.pull_orders(c, None, since=since)),
        ]  # fmt: skip
        asks = [ask for ask in asks if ask[0] in connector.capabilities]
        if asks:
            await asks[0][3](connect(caller))  # signs in, unheard
        for call, name, arguments, ask in asks:
            heard = Recording(caller)
            heard.connection = connect(heard)
            await ask(heard.connection)
            fixture = Fixture(
                of=of, call=call, settings=given, credentials=dict.fromkeys(secrets, "a-secret-that-was-not-kept"),
                given=arguments, answers=heard.answers,
            )  # fmt: skip
            file = folder / "fixtures" / f"{name}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text(as_text(msgspec.to_builtins(fixture)), "utf-8")
            kept.append(name)
    return kept
