"""`onhand bench`: this machine's figures."""

import sys
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onhand.bench.promise import Profile
    from onhand.bench.report import Measure

out = Console(highlight=False)
progress = Console(stderr=True, highlight=False)


class Suite(StrEnum):
    PROMISE = "promise"
    SOURCING = "sourcing"
    PUBLICATION = "publication"
    PLANNING = "planning"


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    *,
    suite: Annotated[Suite, typer.Option(help="What to measure.")] = Suite.PROMISE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each run.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each; medians are compared.")] = 3,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="orders, batch, hot, entries, availability, memory or verify; of sourcing kernel, joint, prices or "
            "simulate; of publication fanout, gates or sales; of planning replenish or rebalance; may be "
            "repeated."
        ),
    ] = None,
    profile: Annotated[bool, typer.Option(help="Also show where the CPU time of single orders goes.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where to make the database; a temporary folder if absent.")
    ] = None,
) -> None:
    """Measure this machine and print ratios to what its raw database does in the same run.

    `promise` starts an embedded PostgreSQL of its own, the API as a process of its own and a load generator
    as another; takes some 6 minutes and 5 GB of disk. `sourcing` decides in this process, without a
    database, in about a minute. `publication` tells channels on this machine. `planning` plans purchases and transfers
    in this process, in some ten minutes. Exits with 1 if a floor is missed.
    """
    from onhand.bench import planning, promise, publication, report, sourcing

    groups = {
        Suite.PROMISE: promise.GROUPS, Suite.SOURCING: sourcing.GROUPS, Suite.PUBLICATION: publication.GROUPS,
        Suite.PLANNING: planning.GROUPS,
    }[suite]  # fmt: skip
    if unknown := sorted(set(only or ()) - set(groups)):
        raise typer.BadParameter(
            f"{', '.join(unknown)}: expected some of {', '.join(groups)}",
            param_hint="--only",
        )
    if suite is Suite.PUBLICATION:
        told = publication.run(
            publication.Options(seconds=seconds, only=only or groups),
            say=lambda text: progress.print(text, style="dim"),
        )
        _show(report.hardware(), told, as_json=as_json)
        return
    if suite is Suite.PLANNING:
        planned = planning.run(
            planning.Options(rounds=rounds, only=only or groups), say=lambda text: progress.print(text, style="dim")
        )
        _show(report.hardware(), planned, as_json=as_json)
        return
    if suite is Suite.SOURCING:
        measures = sourcing.run(
            sourcing.Options(rounds=rounds, only=only or groups), say=lambda text: progress.print(text, style="dim")
        )
        _show(report.hardware(), measures, as_json=as_json)
        return
    result = promise.run(
        promise.Options(seconds=seconds, rounds=rounds, only=only or promise.GROUPS, profile=profile),
        say=lambda text: progress.print(text, style="dim"),
        folder=folder,
    )
    if result.profile is not None:
        (progress if as_json else out).print(_costs(result.profile))
    _show(result.machine, result.measures, as_json=as_json)


def _show(machine: dict[str, Any], measures: "Sequence[Measure]", *, as_json: bool) -> None:
    from onhand.bench import report

    if as_json:
        sys.stdout.write(report.to_json(machine, measures) + "\n")
    else:
        out.print(report.to_table(machine, measures))
    if not all(m.ok for m in measures):
        raise typer.Exit(1)


def _costs(profile: "Profile") -> Table:
    by_process = ", ".join(f"{name} {us:.0f}" for name, us in profile.cpu_us.items())
    table = Table(
        title="Where the API works under full load of single orders",
        caption=f"CPU microseconds an order: {by_process}",
        min_width=len(by_process) + 40,
    )
    table.add_column("module, then function")
    table.add_column("share", justify="right")
    table.add_column("us an order", justify="right")
    modules: defaultdict[str, float] = defaultdict(float)
    for cost in profile.costs:
        modules[cost.place.partition(":")[0].partition(" ")[0]] += cost.share
    dearest = sorted(modules.items(), key=lambda m: -m[1])[:8]
    rows = [*dearest, *((c.place, c.share) for c in profile.costs[:12])]
    for number, (place, share) in enumerate(rows, 1):
        table.add_row(
            escape(place),
            f"{share:.1%}",
            f"{share * profile.cpu_us['API']:.0f}",
            end_section=number == len(dearest),
        )
    return table
