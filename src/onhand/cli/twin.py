"""`onhand twin`: scenarios that go wrong, lived through with and without responses, and policies compared. Needs no
database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onhand.cli.linting import err, lint_files, out, text_of
from onhand.cli.progress import told_progress
from onhand.cli.scenarios import chosen_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onhand.twin.policies import Contender
    from onhand.twin.scenarios.compare import Measure

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
    lint_files(files, _found, strict=strict, what=("scenario", "scenarios"))


def _found(text: str) -> "tuple[bool, Sequence[object]]":
    from onhand.twin.scenarios.document import parse

    scenario, findings = parse(text)
    return scenario is not None, findings


@commands.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for an editor that checks while you write."""
    from json import dumps

    from onhand.twin.scenarios.document import schema as of_scenarios

    typer.echo(dumps(of_scenarios(), indent=2))


@commands.command()
def run(
    *,
    scenario: Annotated[str | None, typer.Option(help="One that comes with the package, or a file.")] = None,
    seeds: Annotated[int, typer.Option(min=2, max=100, help="How often, each time with other chance.")] = 3,
    first: Annotated[int, typer.Option(min=0, help="First seed; with policies the only one.")] = 1,
    bound: Annotated[bool, typer.Option("--bound", help="A third time: autopilot is told the truth.")] = False,
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", help="Compare policies instead: standard, margin, speed, ..., or a file. Twice or more."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="That policies decide.")] = 28,
    orders_per_day: Annotated[int, typer.Option(min=20, max=28_800, help="That policies decide.")] = 1_000,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the differences: .png, .svg or .pdf.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the differences as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports of policies as one JSON list.")] = False,
) -> None:
    """Live through a scenario twice with the same chance: with nobody who responds, and with autopilot. Or, with
    --policy, let each policy decide the same orders with the same supply and luck, and say what differs from the first
    and how certain that is.
    """
    if (scenario is None) == (not policies):
        raise typer.BadParameter("give --scenario, or --policy twice or more", param_hint="--scenario")
    if scenario is None:
        _run_policies(policies or [], days, orders_per_day, first, plot=plot, html=html, as_json=as_json)
        return
    if plot is not None or html is not None or as_json:
        raise typer.BadParameter("--plot, --html and --json go with --policy", param_hint="--scenario")
    _run_scenario(scenario, seeds, first, is_bounded=bound)


def _run_policies(
    names: "Sequence[str]", days: int, orders_per_day: int, seed: int, *, plot: Path | None, html: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from json import dumps

    from onhand.cli.simulation import lines
    from onhand.simulation import plot as pictures
    from onhand.simulation.page import page
    from onhand.twin.policies import compare_policies

    if plot is not None:
        pictures.check(plot)
    contenders = [_contender(name) for name in names]
    with told_progress(err) as told:
        reports = compare_policies(
            contenders, days=days, orders_per_day=orders_per_day, seed=seed,
            progress=lambda done, of: told("deciding", done, of),
        )  # fmt: skip
    if plot is not None:
        pictures.plot(reports, plot)
        err.print(f"wrote {plot}")
    if html is not None:
        html.write_text(page(*reports), "utf-8")
        err.print(f"wrote {html}")
    if as_json:
        typer.echo(dumps(reports, ensure_ascii=False, separators=(",", ":")))
        return
    for report in reports:
        for line in lines(report):
            out.print(line)


def _contender(name: str) -> "Contender":
    """A built-in policy, or that of a file, which has a suffix. Exits 1 with what is wrong with the file."""
    from onhand.twin.policies import contender

    file = Path(name)
    is_file = bool(file.suffix)
    found, findings = contender(file.stem if is_file else name, text_of(file) if is_file else None)
    for finding in findings:
        err.print(f"{name}:{finding}")
    if found is None:
        raise typer.Exit(1)
    return found


def _run_scenario(scenario: str, seeds: int, first: int, *, is_bounded: bool) -> None:
    from rich.progress import track

    from onhand.twin.scenarios.compare import live_twice, measured

    chosen = chosen_scenario(scenario)
    numbers = range(first, first + seeds)
    progress = track(numbers, description=chosen.name, console=err, disable=not err.is_terminal, transient=True)
    pairs = [live_twice(chosen, seed, is_bounded=is_bounded) for seed in progress]
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
