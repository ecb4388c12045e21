"""`onhand policy`: check policies before they are saved, see their versions, simulate, promote and roll them back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from onhand.cli.database import database
from onhand.cli.linting import lint_files, text_of
from onhand.cli.progress import told_progress
from onhand.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from onhand.sourcing.policies.lifecycle import Move

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
commands = typer.Typer(
    no_args_is_help=True, help="Check, list, show, simulate, promote and roll back sourcing policies."
)

Name = Annotated[str, typer.Argument(help="As `onhand policy list` shows it.")]


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="policy")


@commands.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="Policies in YAML or JSON.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
) -> None:
    """Say what is wrong with policies, by line and column. Needs no database, so it knows no node groups, channels and
    services. Exits 1 for errors, 2 if a file cannot be read.
    """
    from datetime import UTC, datetime

    from onhand.sourcing.policies.lint import lint as find

    today = datetime.now(UTC).date()

    def found(text: str) -> "tuple[bool, Sequence[object]]":
        linted = find(text, today=today)
        return linted.policy is not None, linted.findings

    lint_files(files, found, strict=strict, what=("policy", "policies"))


@commands.command("list")
def list_all() -> None:
    """List policies with their versions in force."""
    from rich.table import Table
    from rich.text import Text

    from onhand.sourcing.policies import store

    with database(pool_max=1) as db, db.connection() as conn:
        rows = store.list_policies(conn, limit=100_000)
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "latest", "active", "canary", "shadow", "changed"):
        table.add_column(heading)
    for row in rows:
        canary = "" if row.canary is None else f"{row.canary} ({row.share:.0%} of orders)"
        cells = (
            row.name,
            str(row.latest),
            _number(row.active),
            canary,
            _number(row.shadow),
            f"{row.updated_at:%Y-%m-%d %H:%M}",
        )
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)


@commands.command()
def show(
    name: Name,
    version: Annotated[int | None, typer.Argument(min=1, help="Left out: the active one, or else the latest.")] = None,
) -> None:
    """Print a version's text, after its history as comments: what is printed is a policy again."""
    from onhand.sourcing.policies import store

    with database(pool_max=1) as db, db.connection() as conn:
        if version is None:
            found = store.in_force(conn, name).get("active") or store.latest_version(conn, name)
        else:
            found = store.get_version(conn, name, version)
        if found is None:
            raise NotFound("policy", name if version is None else f"{name}@{version}")
        history = store.history(conn, name, found.version)
    for stretch in history:
        share = "" if stretch.share is None else f" for {stretch.share:.0%} of orders"
        why = f": {' '.join(stretch.why.split())}" if stretch.why else ""
        # JSON has no comments.
        (err if found.text.lstrip().startswith("{") else out).print(
            f"# {found.label} {stretch.state}{share} since {stretch.at:%Y-%m-%d %H:%M}{why}"
        )
    typer.echo(found.text, nl=not found.text.endswith("\n"))


@commands.command()
def trials(name: Name = "standard") -> None:
    """How the shadow and the canary do beside the active version."""
    from rich.table import Table
    from rich.text import Text

    from onhand.flows.trials import trials_of
    from onhand.sourcing.policies.outcomes import Outcome

    with database(pool_max=1) as db, db.connection() as conn:
        rows = trials_of(conn, name)
    if not rows:
        out.print(f"{name} has neither a shadow nor a canary")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "state", "orders", "money an order", "split", "late", "g CO2 an order", "unfillable"):
        table.add_column(heading, justify="left" if heading in ("version", "state") else "right")
    for row in rows:
        for version, state in ((row.trial.version, row.trial.state), (row.active, "active")):
            sums = row.outcomes.get(version, Outcome())
            m = {key: sample.mean if sample.orders else None for key, sample in sums.metrics.items()}
            cells = (
                f"{name}@{version}", state, str(sums.orders), _amount(m["cost_per_order_minor"]),
                _percent(m["split_share"]), _percent(m["late_share"]), _amount(m["co2_g_per_order"]),
                _percent(m["unfillable_share"]),
            )  # fmt: skip
            table.add_row(*(Text(cell) for cell in cells))
    out.print(table)
    for row in rows:
        if row.breach is not None:
            out.print(f"broken guard: {row.breach}")


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


@commands.command()
def promote(
    name: Name,
    to: Annotated[Literal["shadow", "canary", "active", "retired"], typer.Option(help="Where it is to go.")],
    *,
    version: Annotated[
        int | None, typer.Option(min=1, help="Left out: the one nearest to it on the way, of drafts the newest.")
    ] = None,
    share: Annotated[float | None, typer.Option(help="Of the orders, of a canary; 0.05 is 5 %.")] = None,
    why: Annotated[str | None, typer.Option(help="Needed to leave out a step.")] = None,
) -> None:
    """Move a version on: draft, shadow, canary, active. It replaces the one that is there."""
    from onhand.base.actor import Actor
    from onhand.flows.policies import promote_policy

    if share is not None and not 0 < share < 1:
        raise typer.BadParameter("expected a share above 0 and below 1", param_hint="--share")
    by = Actor(reason=why or "onhand policy promote")
    with database(pool_max=1) as db:
        moves = promote_policy(db, name, to=to, version=version, share=share, why=why, by=by)
    _print_moves(name, moves)


@commands.command()
def rollback(name: Name, why: Annotated[str, typer.Option(help="For the history and the audit log.")]) -> None:
    """Take the canary back; without one, return to the version that was active before."""
    from onhand.base.actor import Actor
    from onhand.flows.policies import roll_back_policy

    with database(pool_max=1) as db:
        moves = roll_back_policy(db, name, why=why, by=Actor(reason=why))
    _print_moves(name, moves)


@commands.command()
def simulate(
    name: Name,
    begins: Annotated[str, typer.Option("--from", help="First day or moment of the period, UTC if it does not say.")],
    ends: Annotated[str, typer.Option("--to", help="Its end; the day or moment itself is not in it.")],
    *,
    version: Annotated[int | None, typer.Option(min=1, help="To try; left out: the newest draft.")] = None,
    file: Annotated[Path | None, typer.Option(help="A policy to try that is no version yet, YAML or JSON.")] = None,
    against: Annotated[int | None, typer.Option(min=1, help="To compare with; left out: the active version.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Stop after so many orders.")] = None,
    pareto: Annotated[bool, typer.Option("--pareto", help="Also try other prices of time and CO2.")] = False,
    seed: Annotated[int, typer.Option(help="Of rejections and transit times.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page.")] = None,
) -> None:
    """Replay the orders of a period by two policies, with stock, supply and capacity evolving under each, and say what
    differs and how certain that is. Changes nothing.
    """
    from json import dumps

    from onhand.cli.simulation import lines
    from onhand.flows.simulation.run import Request, simulate_policy
    from onhand.simulation.page import page

    if file is not None and version is not None:
        raise typer.BadParameter("give a version or a file", param_hint="--file")
    request = Request(
        name=name,
        begins=_moment(begins, "--from"),
        ends=_moment(ends, "--to"),
        version=version,
        text=None if file is None else text_of(file),
        against=against,
        orders_max=sample,
        pareto=pareto,
        seed=seed,
    )
    with database(pool_max=1) as db, told_progress(err) as told:
        report = simulate_policy(db, request, told)
    if html is not None:
        html.write_text(page(report), "utf-8")
        err.print(f"wrote {html}")
    if as_json:
        typer.echo(dumps(report, ensure_ascii=False, separators=(",", ":")))
    else:
        for line in lines(report):
            out.print(line)


@commands.command()
def lanes(
    name: Name,
    *,
    learn: Annotated[bool, typer.Option("--learn", help="Look again now, and propose what is worth it.")] = False,
    days: Annotated[int, typer.Option(min=7, max=730, help="That are looked at, back from now.")] = 90,
    floor: Annotated[float, typer.Option(min=0, help="Minor units an order that are not worth a rule.")] = 25.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON document.")] = False,
) -> None:
    """Services and nodes that cost more than they promise to some areas, and the versions proposed because of them.
    With --learn, what is sure becomes a version in shadow.
    """
    import msgspec

    from onhand.base.actor import SYSTEM
    from onhand.flows.lanes import Asked, list_proposals, propose_lanes

    with database() as db:
        if learn:
            found = [propose_lanes(db, Asked(name=name, days=days, floor_minor=floor), by=SYSTEM)]
        else:
            with db.connection() as conn:
                found = list_proposals(conn, name)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        version = "no version" if one["version"] is None else f"{name}@{one['version']}"
        out.print(f"{version}: {one.get('outcome') or one['state']}: {one['why'] or ''}".rstrip(": "))
        if seen := one["evidence"]:
            out.print(
                f"  an order costs {seen['difference']} more ({seen['low']} to {seen['high']}) of {one['currency']}"
                f" in minor units, over {seen['orders']} orders"
            )
        for lane in one["lanes"]:
            mark = "avoid" if lane["is_avoided"] else "     "
            out.print(
                f"  {mark} {lane['area']} by {lane['way']} {lane['name']}: {lane['contrast_minor']:+.0f}"
                f" +- {lane['error_minor']:.0f} beyond its promise, at least {lane['low_minor']:+.0f}"
                f" ({lane['orders']} orders)"
            )
    if not found:
        out.print("nothing was proposed yet: look with --learn")


def _moment(text: str, option: str) -> "datetime":
    from onhand.flows.simulation.read import moment

    try:
        return moment(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: expected a day or a moment, such as 2026-03-02 or 2026-03-02T08:00Z", param_hint=option
        ) from None


def _print_moves(name: str, moves: "Sequence[Move]") -> None:
    for move in moves:
        share = "" if move.share is None else f" for {move.share:.0%} of orders"
        out.print(f"{name}@{move.version} is {move.state}{share}")
    if not moves:
        out.print("it is so already")


def _number(version: int | None) -> str:
    return "" if version is None else str(version)
