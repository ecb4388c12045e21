"""`onhand db`: bring the schema up to date, check, repair, back up and restore."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onhand.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
commands = typer.Typer(
    no_args_is_help=True, help="Upgrade, verify, rebuild, back up and restore the database; check its server."
)


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="db")


@commands.command()
def upgrade() -> None:
    """Apply the migrations that the database lacks. Safe to run twice, and by two processes at once."""
    from onhand.db.migrate import migrate

    with _url() as url:
        applied = migrate(url)
    for name in applied:
        out.print(f"applied {name}")
    out.print("the database is up to date")


@commands.command()
def verify() -> None:
    """Recompute every counter from the ledger and print what differs. Exits 1 if anything does."""
    with _current_database() as conn:
        _report(conn)


@commands.command()
def rebuild() -> None:
    """Make the counters again from the ledger, then verify. Writers wait meanwhile."""
    from onhand.ledger.verify import rebuild as rebuild_counters

    with _current_database() as conn:
        rows = rebuild_counters(conn)
        out.print(f"{rows} {'row was' if rows == 1 else 'rows were'} wrong and made again")
        _report(conn)


@commands.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file; readable by its owner only.")]) -> None:
    """Write a consistent copy of the database to one file. Others may write meanwhile."""
    from onhand.db.backup import backup as back_up

    with _url() as url:
        size_bytes = back_up(url, file)
    out.print(f"{file}: {size_bytes:,} bytes")


@commands.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `onhand db backup` wrote.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what the database holds.")] = False,
) -> None:
    """Fill an empty database from a backup and upgrade it. Nothing else may use the database meanwhile."""
    from onhand.db.backup import restore as restore_from
    from onhand.db.migrate import migrate

    with _url() as url:
        restore_from(url, file, force=force)
        applied = migrate(url)
    out.print(f"restored {file}" + (f", applied {', '.join(applied)}" if applied else ""))


@commands.command()
def doctor() -> None:
    """Check that the server keeps what it acknowledges. Exits 1 if it may not."""
    from onhand.db.doctor import doctor as examine

    with _connection() as conn:
        findings = examine(conn)
    for finding in findings:
        out.print(f"{finding.severity}: {finding.message}")
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(1)
    out.print("the server keeps what it acknowledges")


def _report(conn: "Connection[TupleRow]") -> None:
    """Verify and print; typer.Exit(1) if anything differs."""
    from rich.progress import Progress

    from onhand.ledger.verify import verify as find_differences

    begun = time.monotonic()
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("verifying")

        def show(check: str, done: int, total: int) -> None:
            bar.update(task, description=check.removeprefix("invariant_"), completed=done, total=total)

        differences = find_differences(conn, show)
    for difference in differences:
        hint = " (onhand db rebuild repairs it)" if difference.is_repairable else ""
        out.print(f"{difference.check}: {difference.message}{hint}")
    seconds = time.monotonic() - begun
    if differences:
        out.print(f"{len(differences)} found in {seconds:.1f} s")
        raise typer.Exit(1)
    out.print(f"every counter agrees with the ledger ({seconds:.1f} s)")


@contextmanager
def _url() -> Generator[str]:
    """The database of the settings; an embedded server runs meanwhile."""
    from onhand.cli import logs
    from onhand.db.embedded import located

    settings = Settings.load()
    logs.set_up(settings.log_level)
    with located(settings.database_url, settings.home) as url:
        yield url


@contextmanager
def _connection() -> "Generator[Connection[TupleRow]]":
    from onhand.db import Database

    with _url() as url, Database.open(url) as db, db.connect() as conn:
        yield conn


@contextmanager
def _current_database() -> "Generator[Connection[TupleRow]]":
    from onhand.db.migrate import require_current

    with _connection() as conn:
        require_current(conn)
        yield conn
