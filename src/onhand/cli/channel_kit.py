"""`onhand channel kit` and `record`: examine a connector, and keep what a channel said to examine it by."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onhand.cli.examined import Examined
    from onhand.connectors import Connector
    from onhand.connectors._sdk.conformance import Bench, Result

HELP = "A folder with a connector.yaml, a name that `onhand channel connectors` shows, or package.module:function."
out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


def join(commands: typer.Typer) -> None:
    commands.command()(kit)
    commands.command()(record)


def kit(
    connector: Annotated[str, typer.Argument(help=HELP)],
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

    about = _read(connector)
    one, folder = about.connector, about.folder
    make = _bench(one, bench)
    try:
        wrong = asyncio.run(differing(one, folder, write=write))
        recorded = fixtures(folder)
    except ValueError as error:
        err.print(f"error: {folder}/fixtures/{error}")
        raise typer.Exit(2) from None
    for name, (wanted, got) in wrong.items():
        out.print(f"recording {name}: something else is understood than its golden file says")
        _show_difference(wanted, got)
    out.print(f"{len(recorded)} recordings, {len(wrong)} of them understood otherwise")
    results = [asyncio.run(examine(one, make, case)) for case in CASES.values()]
    for result in results:
        if result.grade in (Grade.FAILED, Grade.EXCUSED):
            out.print(f"{result.case.name}: {result.grade}: {result.case.promise} {result.why}")
    counts = {grade: sum(result.grade is grade for result in results) for grade in Grade}
    out.print(", ".join(f"{count} {grade}" for grade, count in counts.items() if count))
    said = [(one.of, one.call) for one in recorded.values()]
    lacking = dict(zip(("beta", "stable"), unearned(results, said, one.capabilities), strict=True))
    for status, lines in lacking.items():
        for line in lines:
            out.print(f"for {status}: {line}")
    status = about.status
    out.print(f"its status is {status}; earned is {_earned(*lacking.values())}")
    unmet = [name for name in lacking if lacking[name] and status in ("stable", name)]
    if unmet:
        err.print(f"error: its status {status} is not earned")
    if wrong or unmet or _any_failed(results):
        raise typer.Exit(1)


def _any_failed(results: "list[Result]") -> bool:
    from onhand.connectors._sdk.conformance import Grade

    return any(result.grade is Grade.FAILED for result in results)


def _earned(beta: list[str], stable: list[str]) -> str:
    return "alpha" if beta else "beta" if stable else "stable"


def _read(given: str) -> "Examined":
    from onhand.cli.examined import examined
    from onhand.connectors import Unusable

    try:
        return examined(given)
    except (Unusable, LookupError, OSError) as error:
        err.print(f"error: {given}: {error.strerror or error if isinstance(error, OSError) else error.args[0]}")
        raise typer.Exit(2) from None


def _bench(connector: "Connector", file: Path | None) -> "Callable[[], Bench]":
    from onhand.connectors._sdk.conformance.drill import Drill

    if file is None:
        return lambda: Drill(connector)
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
    connector: Annotated[str, typer.Argument(help=HELP)],
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

    about = _read(connector)
    one, folder = about.connector, about.folder
    given, secrets = _filled_in(one, settings or [])
    try:
        names = asyncio.run(_recorded(one, folder, given, secrets, of, days, allow_private_urls))
    except (Refused, Unavailable) as error:
        err.print(f"error: {error}")
        raise typer.Exit(1) from None
    asyncio.run(differing(one, folder, write=True))
    out.print(f"kept in {folder / 'fixtures'}, understood as {folder / 'golden'} says: {', '.join(names)}")


async def _recorded(
    connector: "Connector",
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
