"""`onhand playbook`: check playbooks before they are saved, see those that are in force."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onhand.cli.database import database
from onhand.cli.linting import lint_files
from onhand.errors import NotFound

if TYPE_CHECKING:
    pass

out = Console(soft_wrap=True, highlight=False, markup=False)
commands = typer.Typer(no_args_is_help=True, help="Check, list and show playbooks.")


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="playbook")


@commands.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="Playbooks in YAML or JSON.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
) -> None:
    """Say what is wrong with playbooks, by line and column. Needs no database. Exits 1 for errors, 2 if a file cannot
    be read.
    """
    from onhand.incidents.playbooks.lint import lint as find

    def found(text: str) -> "tuple[bool, Sequence[object]]":
        linted = find(text)
        return linted.playbook is not None, linted.findings

    lint_files(files, found, strict=strict, what=("playbook", "playbooks"))


@commands.command("list")
def list_all() -> None:
    """List playbooks in their latest versions, with the kinds of incidents that begin them."""
    from rich.table import Table
    from rich.text import Text

    from onhand.incidents.playbooks import store

    with database() as db, db.connection() as conn:
        found = store.latest(conn)
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "version", "active", "on", "summary"):
        table.add_column(heading)
    for version in found:
        playbook = version.playbook()
        number = str(version.version) if version.version else "ships"
        cells = (version.name, number, "yes" if playbook.active else "no", ", ".join(playbook.on), playbook.summary)
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)


@commands.command()
def show(
    name: Annotated[str, typer.Argument(help="As `onhand playbook list` shows it.")],
    version: Annotated[int | None, typer.Argument(min=1, help="Left out: the latest.")] = None,
) -> None:
    """Print the text of a playbook: what is printed is a playbook again."""
    from onhand.incidents.playbooks import store

    with database() as db, db.connection() as conn:
        found = store.latest_of(conn, name) if version is None else store.get_version(conn, name, version)
    if found is None:
        raise NotFound("playbook", name if version is None else f"{name}@{version}")
    typer.echo(found.text, nl=not found.text.endswith("\n"))
