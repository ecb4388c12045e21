"""`onhand twin`: scenarios that go wrong, checked and lived through with and without responses. Needs no database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onhand.twin.scenarios.compare import Measure
    from onhand.twin.scenarios.document import Scenario

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
commands = typer.Typer(no_args_is_help=True, help="Live through scenarios that go wrong, with and without responses.")


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="twin")


@commands.command("list")
def list_() -> None:
    """Show the scenarios that come with the package."""
    from rich.table import Table

    from onhand.twin.scenarios.document import SHIPPED, shipped

    table = Table()
    table.add_column("scenario", no_wrap=True)
    for heading in ("days", "playbooks", "what happens"):
        table.add_column(heading)
    for name in SHIPPED:
        scenario = shipped(name)
        table.add_row(name, str(scenario.days), ", ".join(scenario.playbooks), scenario.description)
    out.print(table)


@commands.command()
def show(scenario: Annotated[str, typer.Argument(help="As `onhand twin list` shows it.")]) -> None:
    """Print the document of a scenario: a beginning for one of your own."""
    from onhand.twin.scenarios.document import shipped, text_of

    shipped(scenario)
    typer.echo(text_of(scenario), nl=False)


@commands.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="Scenarios in YAML or JSON.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
) -> None:
    """Say what is wrong with scenarios, by line and column. Exits 1 for errors, 2 if a file cannot be read."""
    from onhand.twin.scenarios.document import parse

    failed = False
    for file, text in [(file, _text(file)) for file in files]:
        scenario, found = parse(text)
        for finding in found:
            out.print(f"{file}:{finding}")
        failed |= scenario is None or (strict and bool(found))
    if failed:
        raise typer.Exit(1)
    out.print(f"{len(files)} {'scenario is' if len(files) == 1 else 'scenarios are'} fit for use")


@commands.command()
def run(
    *,
    scenario: Annotated[str, typer.Option(help="One that comes with the package, or a file.")],
    seeds: Annotated[int, typer.Option(min=2, max=100, help="How often, each time with other chance.")] = 3,
    first: Annotated[int, typer.Option(min=0, help="First seed.")] = 1,
    bound: Annotated[bool, typer.Option("--bound", help="A third time: autopilot is told the truth.")] = False,
) -> None:
    """Live through a scenario twice with the same chance: with nobody who responds, and with autopilot."""
    from rich.progress import track

    from onhand.twin.scenarios.compare import live_twice, measured

    chosen = _scenario(scenario)
    numbers = range(first, first + seeds)
    progress = track(numbers, description=chosen.name, console=err, disable=not err.is_terminal, transient=True)
    pairs = [live_twice(chosen, seed, is_bounded=bound) for seed in progress]
    _print(measured(chosen.name, pairs), seeds)
    acted: dict[str, int] = {}
    for pair in pairs:
        for what, times in pair.acted.items():
            acted[what] = acted.get(what, 0) + times
    out.print(
        "acted, a run: " + (", ".join(f"{what} {n / seeds:,.0f}" for what, n in sorted(acted.items())) or "never")
    )


def _print(measures: "Sequence[Measure]", seeds: int) -> None:
    from rich.table import Table

    table = Table(title=f"{measures[0].scenario}, {seeds} seeds", title_justify="left")
    table.add_column("a run")
    for heading in ("off", "auto", "difference", "95 %", "share", "told the truth"):
        table.add_column(heading, justify="right")
    for m in measures:
        scale = 100 if m.name == "lost_margin" else 1
        share = "nothing to gain" if m.share is None else f"{m.share:+.0%}"
        known = "" if m.bound is None else f"{m.bound:+.0%}"
        figures = (f"{m.off / scale:,.0f}", f"{m.auto / scale:,.0f}", f"{m.difference / scale:+,.0f}")
        table.add_row(m.name.replace("_", " "), *figures, f"± {m.half_width / scale:,.0f}", share, known)
    out.print(table)


def _scenario(name: str) -> "Scenario":
    from onhand.twin.scenarios.document import SHIPPED, parse, shipped

    if name in SHIPPED or not Path(name).suffix:
        return shipped(name)
    scenario, found = parse(_text(Path(name)))
    for finding in found:
        err.print(f"{name}:{finding}")
    if scenario is None:
        raise typer.Exit(1)
    return scenario


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        err.print(f"{file}: {error}")
        raise typer.Exit(2) from None
