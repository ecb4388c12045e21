"""`onhand autopilot`: what may be done without a person, what was done, and the switch that stops it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from onhand.base.fields import reject_reasons
from onhand.base.money import EXPONENTS
from onhand.cli.database import database
from onhand.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from onhand.autopilot.model import Domain, Guardrails, Mode

out = Console(highlight=False, soft_wrap=True)
commands = typer.Typer(no_args_is_help=True, help="What may be done without a person; stop and resume it.")

Why = Annotated[str | None, typer.Option("--reason", help="Why, for the audit log.")]


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="autopilot")


@commands.command()
def status() -> None:
    """The switch, and each domain with its limits, what it used in the last hour, and what came of it."""
    from onhand.autopilot import store
    from onhand.autopilot.decide import HOUR
    from onhand.autopilot.model import Domain
    from onhand.autopilot.trust import evidence

    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("domain", "mode", "last hour", "limits an hour", "saved of what was at stake", "since", "reason"):
        table.add_column(name, overflow="fold")
    with database() as db, db.connection() as conn:
        switch = store.get_switch(conn)
        for row in store.list_domains(conn):
            domain, rails = Domain(row.domain), row.rails()
            used = store.used_since(conn, domain, now - HOUR)
            found = evidence(store.judged_since(conn, domain, datetime.min.replace(tzinfo=UTC)))
            table.add_row(
                row.domain,
                {"auto": "[green]auto[/]", "off": "[dim]off[/]"}.get(row.mode, row.mode),
                f"{_money(used.money_minor, rails.currency)}, {used.units:,} units, {used.orders:,} orders",
                _limits(rails),
                "" if found is None else f"{found.saved:.0%} ({found.low:.0%} to {found.high:.0%}), promised"
                f" {found.promised:.0%}; {found.acted:,} done, {found.held_out:,} held out",
                f"{row.changed_at:%Y-%m-%d %H:%M}",
                row.reason or "",
            )  # fmt: skip
    if switch.stopped:
        why = f": {switch.reason}" if switch.reason else ""
        out.print(f"[bold red]stopped[/] since {switch.at:%Y-%m-%d %H:%M} UTC{why}")
    out.print(table)


@commands.command("set")
def set_(
    domain: Annotated[str, typer.Argument(help="reroute, rebalance, replenish, gates, price, listings or promises.")],
    mode: Annotated[str, typer.Argument(help="off, recommend or auto.")],
    *,
    currency: Annotated[str | None, typer.Option(help="Of the money limits: EUR.")] = None,
    money_per_hour: Annotated[int | None, typer.Option(min=0, help="Minor units (cents) in any 60 minutes.")] = None,
    units_per_hour: Annotated[int | None, typer.Option(min=0)] = None,
    orders_per_hour: Annotated[int | None, typer.Option(min=0)] = None,
    money_per_action: Annotated[int | None, typer.Option(min=0, help="More asks a person.")] = None,
    units_per_action: Annotated[int | None, typer.Option(min=0, help="More asks a person.")] = None,
    orders_per_action: Annotated[int | None, typer.Option(min=0, help="More asks a person.")] = None,
    confidence: Annotated[float | None, typer.Option(min=0, max=1, help="Less asks a person.")] = None,
    cool_down: Annotated[int | None, typer.Option(min=0, help="Seconds until the same is acted on again.")] = None,
    hold_out: Annotated[float | None, typer.Option(min=0, max=0.5, help="Share left undone, to compare with.")] = None,
    reason: Why = None,
) -> None:
    """Say what a domain may do. What is left out stays as it is."""
    from onhand.autopilot import store
    from onhand.autopilot.model import Domain, Guardrails
    from onhand.base.actor import Actor
    from onhand.flows.autopilot.switch import set_domain

    named: Domain = _one_of(domain, Domain, "DOMAIN")
    if mode not in ("off", "recommend", "auto"):
        raise typer.BadParameter("expected off, recommend or auto", param_hint="MODE")
    said: Mode = mode  # pyright: ignore[reportAssignmentType]
    changed = {
        "currency": currency, "money_per_hour_minor": money_per_hour, "units_per_hour": units_per_hour,
        "orders_per_hour": orders_per_hour, "money_per_action_minor": money_per_action,
        "units_per_action": units_per_action, "orders_per_action": orders_per_action, "confidence_min": confidence,
        "cool_down_s": cool_down, "hold_out_share": hold_out,
    }  # fmt: skip
    with database() as db:
        with db.connection() as conn:
            before = next(row for row in store.list_domains(conn) if row.domain == named)
        try:
            rails = Guardrails.model_validate(
                before.guardrails | {name: value for name, value in changed.items() if value is not None}
            )
        except ValidationError as error:
            raise InvalidInput([FieldError(path, told) for path, told in reject_reasons(error)]) from None
        now, by = datetime.now(UTC), Actor(reason=reason or "onhand autopilot set")
        row = db.transact(lambda conn: set_domain(db, conn, named, said, rails, now=now, by=by))
        db.notify()
    out.print(f"{row.domain}: {row.mode}; {_limits(row.rails())}")


@commands.command()
def stop(*, reason: Why = None) -> None:
    """Stop everything, in all processes: when this has ended, nothing is done without a person any more."""
    _turn(stopped=True, reason=reason)
    out.print("stopped: nothing is done without a person until `onhand autopilot resume`")


@commands.command()
def resume(*, reason: Why = None) -> None:
    """Let domains in `auto` act again."""
    _turn(stopped=False, reason=reason)
    out.print("resumed")


@commands.command()
def log(*, limit: Annotated[int, typer.Option(min=1, max=1_000, help="Rows.")] = 20) -> None:
    """What was done lately and what came of it, and what was not done and why."""
    from onhand.autopilot import store

    with database() as db, db.connection() as conn:
        actions = store.list_actions(conn, limit=limit)
        verdicts = store.list_verdicts(conn, limit=limit, before=(datetime(9999, 1, 1, tzinfo=UTC), ""))
    done = Table(box=None, pad_edge=False, header_style="bold", title="done", title_justify="left")
    for name in ("at", "domain", "on", "asked by", "cost", "units", "orders", "promised", "lost all the same"):
        done.add_column(name, overflow="fold")
    for row in actions:
        lost = row.void or ("" if row.lost_minor is None else _money(row.lost_minor, row.currency))
        done.add_row(
            f"{row.at:%Y-%m-%d %H:%M}", row.domain, " ".join(row.key), row.reference,
            "held out" if row.held_out else _money(row.money_minor, row.currency), f"{row.units:,}",
            f"{row.orders:,}", _money(row.gain_minor, row.currency), lost,
        )  # fmt: skip
    left = Table(box=None, pad_edge=False, header_style="bold", title="not done", title_justify="left")
    for name in ("at", "domain", "asked by", "verdict", "why"):
        left.add_column(name, overflow="fold")
    for noted in verdicts:
        left.add_row(f"{noted.at:%Y-%m-%d %H:%M}", noted.domain, noted.reference, noted.verdict, noted.detail)
    for table, rows in ((done, actions), (left, verdicts)):
        out.print(table if rows else f"{table.title}: nothing")


def _turn(*, stopped: bool, reason: str | None) -> None:
    from onhand.base.actor import Actor
    from onhand.flows.autopilot.switch import stop_or_resume

    by = Actor(reason=reason)
    with database() as db:
        db.transact(lambda conn: stop_or_resume(db, conn, stopped=stopped, now=datetime.now(UTC), by=by))
        db.notify()


def _one_of(text: str, names: "type[Domain]", hint: str) -> "Domain":
    try:
        return names(text)
    except ValueError:
        raise typer.BadParameter(f"expected one of {', '.join(names)}", param_hint=hint) from None


def _limits(rails: "Guardrails") -> str:
    told = [
        *([] if rails.money_per_hour_minor is None else [_money(rails.money_per_hour_minor, rails.currency)]),
        *([] if rails.units_per_hour is None else [f"{rails.units_per_hour:,} units"]),
        *([] if rails.orders_per_hour is None else [f"{rails.orders_per_hour:,} orders"]),
    ]
    return ", ".join(told) or "none"


def _money(minor: int, currency: str | None) -> str:
    digits = EXPONENTS.get(currency or "", 2)
    return f"{Decimal(minor).scaleb(-digits):,.{digits}f}{f' {currency}' if currency else ''}"
