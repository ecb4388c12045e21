"""`onhand incidents`: what fails or is about to, and why."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from onhand.cli.database import database, id_ending

if TYPE_CHECKING:
    from onhand.db import Database
    from onhand.incidents.model import Finding
    from onhand.incidents.store import Kept

out = Console(highlight=False, markup=False, soft_wrap=True)
commands = typer.Typer(no_args_is_help=True, help="See what fails or is about to, and why; look again; dismiss.")

_REASON = "onhand incidents"
# The end of an id by which an incident is shown and named.
_ID_DIGITS = 8
_STATUSES = ("open", "dismissed", "closed", "all")

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Or its end, as `onhand incidents list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="incidents")


@commands.command("list")
def list_all(
    *,
    status: Annotated[str, typer.Option(help="open, dismissed, closed or all.")] = "open",
    kind: Annotated[str | None, typer.Option(help="order_stuck, phantom_stock, oversell, ...")] = None,
    about: Annotated[
        str | None, typer.Option(help="A node, a sku, a channel, an order: any part of what it names.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the dearest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List incidents, the most money at risk first."""
    from onhand.api.idempotent import to_json
    from onhand.api.routes_incidents import public
    from onhand.flows.incidents.scene import main_currency
    from onhand.incidents.model import Kind
    from onhand.incidents.store import findings_of, list_incidents

    _one_of("--status", status, _STATUSES)
    if kind is not None:
        _one_of("--kind", kind, tuple(Kind))
    with database() as db, db.connection() as conn:
        found = list_incidents(
            conn, main=main_currency(conn), limit=limit, kind=kind, about=about,
            status=None if status == "all" else status,  # pyright: ignore[reportArgumentType]  one of them
        )  # fmt: skip
        first = [findings_of(conn, kept, limit=1) for kept in found]
    if as_json:
        typer.echo(to_json([public(kept) for kept in found]).decode())
        return
    if not found:
        out.print("no incidents" if status == "all" else f"no {status} incidents")
        return
    Console(highlight=False).print(_table(found, [findings[0].sentence for findings in first], datetime.now(UTC)))


def _one_of(option: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise typer.BadParameter(f"expected one of {', '.join(known)}, got {given!r}", param_hint=option)


def _table(found: "Sequence[Kept]", sentences: Sequence[str], now: datetime) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    for heading, right in (
        ("id", False), ("at risk", True), ("sure", True), ("since", True), ("what", False), ("why", False),
    ):  # fmt: skip
        # Numbers are never broken; what there is to say takes the lines that it needs.
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "why", overflow="fold")
    for kept, sentence in zip(found, sentences, strict=True):
        more = f" And {kept.findings - 1:,} more." if kept.findings > 1 else ""
        mark = "" if kept.status == "open" else f" ({kept.status})"
        table.add_row(
            _short(kept), _money(kept.risk_minor, kept.currency), f"{kept.confidence:.0%}", _ago(kept.since, now),
            kept.kind.replace("_", " ") + mark, Text(sentence + more),
        )  # fmt: skip
    return table


def _short(kept: "Kept") -> str:
    return str(kept.incident_id).replace("-", "")[-_ID_DIGITS:]


def _money(minor: int, currency: str) -> str:
    from decimal import Decimal

    from onhand.base.money import EXPONENTS

    digits = EXPONENTS.get(currency, 2)
    return f"{Decimal(minor).scaleb(-digits):,.{digits}f} {currency}"


def _number(value: float) -> str:
    if value == round(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 0.01 else f"{value:.2g}"


def _ago(at: datetime, now: datetime) -> str:
    seconds = (now - at).total_seconds()
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length or unit == "min":
            return f"{max(seconds / length, 0):,.0f} {unit}"
    raise AssertionError("minutes are the last")


@commands.command()
def show(
    given: Annotated[str, typer.Argument(metavar="ID", help="Or its end, as `onhand incidents list` shows it.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Findings at most, the dearest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show one incident and what it rests on."""
    from onhand.api.idempotent import to_json
    from onhand.api.routes_incidents import public, public_finding
    from onhand.incidents.store import findings_of, get_incident

    with database() as db:
        incident_id = _found(db, given)
        with db.connection() as conn:
            kept = get_incident(conn, incident_id)
            assert kept is not None, "found by its id"
            findings = findings_of(conn, kept, limit=limit)
    if as_json:
        typer.echo(to_json(public(kept) | {"evidence": [public_finding(f) for f in findings]}).decode())
        return
    for line in _told(kept, findings):
        out.print(line)


def _told(kept: "Kept", findings: "Sequence[Finding]") -> Generator[str]:
    what, *key = kept.cause
    yield f"{kept.kind.replace('_', ' ')}: {what} {'/'.join(key)}  ({kept.incident_id})"
    yield (
        f"  {_money(kept.risk_minor, kept.currency)} at risk, {_money(kept.loss_minor, kept.currency)} if all of it is"
        f" right; {kept.confidence:.0%} sure; evidence since {kept.since:%Y-%m-%d %H:%M} UTC"
    )
    yield f"  opened {kept.opened_at:%Y-%m-%d %H:%M}, last seen {kept.seen_at:%Y-%m-%d %H:%M} UTC, {kept.status}"
    if kept.dismissed_at is not None:
        yield f"  dismissed {kept.dismissed_at:%Y-%m-%d %H:%M} UTC{': ' + kept.reason if kept.reason else ''}"
    if kept.wider is not None:
        yield f"  part of {kept.wider[0]} {'/'.join(kept.wider[1:])} ({kept.merged_in})"
    for finding in findings:
        yield f"- {finding.sentence}"
        numbers = ", ".join(f"{name} {_number(value)}" for name, value in finding.numbers.items())
        yield f"    {_money(finding.loss_minor, kept.currency)}, {finding.confidence:.0%} sure; {numbers}"
    if kept.findings > len(findings):
        yield f"and {kept.findings - len(findings):,} more"


@commands.command()
def dismiss(
    ids: Ids, *, reason: Annotated[str | None, typer.Option(help="Why it is left alone.", metavar="TEXT")] = None
) -> None:
    """Leave incidents alone: they stay quiet while their evidence lasts."""
    from onhand.base.actor import Actor
    from onhand.flows.incidents.dismiss import dismiss_incident

    with database() as db:
        for incident_id in [_found(db, given) for given in ids]:
            now, by = datetime.now(UTC), Actor(reason=_REASON)
            kept = db.transact(
                lambda conn, at=incident_id, now=now, by=by: dismiss_incident(db, conn, at, reason, now=now, by=by)
            )
            db.notify()
            out.print(f"{kept.status}: {kept.kind.replace('_', ' ')} {'/'.join(kept.cause[1:])}")


@commands.command()
def scan(
    only: Annotated[list[str] | None, typer.Argument(metavar="[DETECTOR...]", help="Left out: all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Look now, with all detectors or with some, whether they are due or not. A worker does so by itself."""
    import json
    from dataclasses import asdict

    from onhand.flows.incidents.table import DETECTORS
    from onhand.flows.incidents.watch import Watch

    known = [d.name for d in DETECTORS]
    for name in only or ():
        _one_of("DETECTOR", name, known)
    with database() as db:
        done = Watch(db, now=lambda: datetime.now(UTC)).look(only=only or None, is_due=True)
    if done is None:
        out.print("a worker is looking at this moment: `onhand incidents list` shows what it finds")
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps([asdict(looked) for looked in done]))
        return
    width = max(len(looked.detector) for looked in done)
    for looked in done:
        said = looked.problem or (
            f"{looked.findings:,} findings; incidents opened {looked.opened:,}, closed {looked.closed:,}"
        )
        out.print(f"{looked.detector:{width}}  {looked.took_ms:6,} ms  {said}")


def _found(db: "Database", given: str) -> str:
    from onhand.incidents.store import ids_ending_in

    return id_ending(db, given, ids_ending_in, "incident")
