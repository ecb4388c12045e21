"""`onhand import`: items, nodes, stock, orders, sales, signals, lanes, supply, scans of parcels and costs from CSV,
JSON lines and Parquet.

Start reading at run.py (batches, rejects, resuming); files.py reads, columns.py knows the columns, targets.py writes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onhand.cli.imports.columns import COLUMNS, What

if TYPE_CHECKING:
    from onhand.cli.imports.run import Tally

out = Console(soft_wrap=True, highlight=False)
progress_to = Console(stderr=True, highlight=False)


def _help() -> str:
    paragraphs = [
        "Import items, nodes, stock, orders, sales of days, signals, lanes between nodes, supply of items, scans of"
        " parcels (tracking) or what carriers charged (costs) from CSV, JSON lines or Parquet files.",
        "Rows go straight to the database of the settings, or to a running API with --url. A row that is refused goes"
        " to the rejects file with its line number and the reason, and stops no other; the exit code is then 1.",
        "Columns of CSV and Parquet files (* required). A dot leads into an object; lists and objects stand in a cell"
        " as JSON; an empty cell is left out. Stock without a kind is a count. Rows of JSON lines are documents of the"
        " API.",
    ]
    for what, columns in COLUMNS.items():
        names = [f"{name}*" for name in columns.required] + list(columns.optional)
        names += [f"{prefix}.NAME" for prefix in columns.free]
        paragraphs.append(f"{what}: {' '.join(names)}")
    return "\n\n".join(paragraphs)


def register(app: typer.Typer) -> None:
    app.command("import", help=_help())(import_)


def import_(
    what: Annotated[What, typer.Argument(help="What the files hold.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".csv .tsv .jsonl .ndjson .parquet")],
    *,
    url: Annotated[str | None, typer.Option(help="Import through the API at this address.")] = None,
    key: Annotated[
        str | None, typer.Option(help="API key for --url; default: ONHAND_ADMIN_KEY.", show_default=False)
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go; default: <what>.rejects.jsonl here.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="A column under another name; may be repeated."),
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option(help="Leave unknown columns out instead of refusing the file.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on where the import that was cut off stopped.")] = False,
) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from onhand.base.actor import Actor
    from onhand.cli.imports.files import FileError, Row, Source
    from onhand.cli.imports.run import import_files
    from onhand.cli.imports.targets import target
    from onhand.settings import Settings

    columns = _columns(column or [])
    try:
        sources = [Source.open(f, what, columns=columns, ignore_unknown=ignore_unknown) for f in files]
    except FileError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    if len({s.path.resolve() for s in sources}) < len(sources):
        raise typer.BadParameter("the same file comes twice", param_hint="FILE")
    settings = Settings.load()
    rejects_path = rejects or Path(f"{what}.rejects.jsonl")
    reason = f"import of {', '.join(f.name for f in files)}"[:500]
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[note]}"),
        TimeRemainingColumn(),
        console=progress_to,
        disable=not progress_to.is_terminal,
    )
    with (
        target(what, settings, url=url, key=key or settings.admin_key, by=Actor(reason=reason)) as where,
        bars,
    ):
        tasks = {s.path: bars.add_task(s.path.name, total=s.size or 1, note="") for s in sources}

        def advance(source: Source, row: Row, outcomes: Mapping[str, int]) -> None:
            refused = outcomes.get("rejected", 0)
            note = f"{sum(outcomes.values()):,} rows" + (f", [red]{refused:,} rejected[/]" if refused else "")
            bars.update(tasks[source.path], completed=row.position, note=note)

        try:
            tally = import_files(sources, where, rejects_path=rejects_path, resume=resume, advance=advance)
        except KeyboardInterrupt:
            progress_to.print("stopped; [bold]--resume[/] goes on from here")
            raise typer.Exit(130) from None
    _report(what, tally, rejects_path)
    if tally.rejected:
        raise typer.Exit(1)


def _columns(pairs: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in pairs:
        ours, is_pair, theirs = pair.partition("=")
        if not is_pair or not ours or not theirs:
            raise typer.BadParameter(f"expected OURS=THEIRS, got {pair!r}", param_hint="--column")
        columns[ours.strip()] = theirs.strip()
    return columns


def _report(what: What, tally: "Tally", rejects_path: Path) -> None:
    from rich.table import Table

    table = Table(title=f"import {what}", title_justify="left")
    table.add_column("outcome")
    table.add_column("rows", justify="right")
    for status, rows in sorted(tally.outcomes.items()):
        if rows:
            table.add_row(status, f"{rows:,}", style="red" if status == "rejected" else None)
    table.add_section()
    table.add_row("all", f"{sum(tally.outcomes.values()):,}")
    out.print(table)
    rate = tally.sent / tally.seconds if tally.seconds else 0
    out.print(f"{tally.seconds:.1f} s, {rate:,.0f} rows/s")
    if tally.rejected:
        out.print(f"rejected rows with their reasons: {rejects_path}")
