"""`onhand channel add|list|sync|reconcile|gates`: the channels of this installation."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from onhand.cli.database import database
from onhand.settings import Settings

if TYPE_CHECKING:
    from onhand.connectors import Connector
    from onhand.db import Database
    from onhand.flows.accounts import Connectors

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
_LOOK_EVERY_S = 0.5


def add_to(commands: typer.Typer) -> None:
    """Add them to `onhand channel`. Not called `register`: they would also be commands of their own."""
    commands.command()(add)
    commands.command("list")(list_all)
    commands.command()(sync)
    commands.command()(reconcile)
    commands.command()(gates)


def add(
    code: Annotated[str, typer.Argument(help="What we call the channel.")],
    connector: Annotated[str, typer.Argument(help="A name that `onhand channel connectors` shows.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="name=value, as the connector asks for them; overrides=@FILE of YAML or JSON."),
    ] = None,
    *,
    currency: Annotated[str, typer.Option(help="ISO 4217, such as EUR.")],
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    node_group: Annotated[str | None, typer.Option(help="Nodes it sells from; all if absent.")] = None,
    prices: Annotated[bool, typer.Option("--prices", help="It takes our prices, in its currency.")] = False,
) -> None:
    """Connect a channel, or change how: settings and secrets are checked, secrets are sealed.

    Secrets come from the environment, ONHAND_SECRET_<NAME>, not from the command line.
    """
    from pydantic import ValidationError

    from onhand.base.actor import Actor
    from onhand.base.fields import reject_reasons
    from onhand.channels.model import ChannelIn
    from onhand.cli.overrides import overrides_of
    from onhand.connectors import Unusable
    from onhand.errors import InvalidInput
    from onhand.flows.set_up import set_channel

    otherwise, told = overrides_of(settings or [])
    with _database() as (db, connectors, _):
        try:
            asked = connectors.find(connector, {} if otherwise is None else {"overrides": otherwise})
        except (LookupError, Unusable) as error:
            err.print(f"error: {error.args[0]}")
            raise typer.Exit(2) from None
        secrets = {
            f"{key}{suffix}": value
            for key in asked.credentials
            for suffix in ("", "_before")
            if (value := os.environ.get(f"ONHAND_SECRET_{key.upper()}{suffix.upper()}"))
        }
        document: dict[str, Any] = {
            "connector": connector, "currency": currency, "name": name, "node_group": node_group,
            "settings": _settings_of(asked, told) | ({} if otherwise is None else {"overrides": otherwise}),
            "credentials": secrets or None, "prices": prices,
        }  # fmt: skip
        try:
            channel = ChannelIn.model_validate({k: v for k, v in document.items() if v is not None})
            written, _ = set_channel(db, code, channel, by=Actor(reason="onhand channel add"), connectors=connectors)
        except (ValidationError, InvalidInput) as error:
            reasons = (
                reject_reasons(error)
                if isinstance(error, ValidationError)
                else [(e.path, e.message) for e in error.errors]
            )
            for path, message in reasons:
                hint = f" (ONHAND_SECRET_{path.partition('.')[2].upper()})" if path.startswith("credentials.") else ""
                err.print(f"error: {path}{hint}: {message}")
            raise typer.Exit(2) from None
    out.print(f"channel {code} is {written}; next: onhand channel sync {code}")


def _settings_of(connector: "Connector", given: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in given:
        key, is_given, value = text.partition("=")
        if not is_given:
            err.print(f"error: {text!r}: write name=value")
            raise typer.Exit(2)
        kind = connector.settings[key].type if key in connector.settings else "text"
        if kind == "integer" and value.lstrip("-").isdigit():
            settings[key] = int(value)
        elif kind == "boolean" and value in ("true", "false"):
            settings[key] = value == "true"
        elif kind == "map":
            pairs = [pair.partition(":") for pair in value.split(",") if pair]
            settings[key] = {name: told for name, _, told in pairs}
        else:
            settings[key] = value
    return settings


def list_all() -> None:
    """List channels and how they are doing."""
    from rich.table import Table

    from onhand.channels import store
    from onhand.flows.channel_health import channel_health

    with _database() as (db, _, _):
        with db.connection() as conn:
            codes = [channel.code for channel in store.list_channels(conn, limit=100_000)]
        table = Table(box=None, pad_edge=False)
        for heading in ("channel", "connector", "status", "listings", "queue", "lag p99", "failing", "reconciled"):
            table.add_column(heading)
        for code in codes:
            health = channel_health(db, code)
            lag = health["lag_ms"]
            at = health["reconciled_at"]
            table.add_row(
                code,
                health["connector"],
                health["status"],
                str(health["staleness"]["listings"]),
                str(health["queue_depth"]),
                "" if lag is None else f"{lag['p99']:.0f} ms",
                str(health["failing_listings"]),
                "" if at is None else f"{at:%Y-%m-%d %H:%M}",
            )
    out.print(table)


def sync(
    code: Annotated[str, typer.Argument(help="A channel.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Read what a channel sells and list it, matched by sku. Exits 1 if it cannot be read."""
    import asyncio

    from onhand.base.actor import Actor
    from onhand.connectors import Refused, Unavailable
    from onhand.flows.accounts import Accounts, NotConnected
    from onhand.flows.sync_listings import Synced, sync_listings

    with _database() as (db, connectors, settings):

        async def go() -> Synced:
            async with Accounts(db, connectors, allow_private_urls=settings.allow_private_urls) as accounts:
                account = await accounts.get(code)
                if "listings.pull" not in account.connector.capabilities:
                    raise NotConnected(f"connector {account.connector.name} cannot tell what its channel sells")
                return await sync_listings(db, account, by=Actor(reason="onhand channel sync"), dry_run=dry_run)

        try:
            synced = asyncio.run(go())
        except (NotConnected, Refused, Unavailable) as error:
            err.print(f"error: {error}")
            raise typer.Exit(1) from None
    would = "would be " if dry_run else ""
    out.print(
        f"{synced.read} read: {synced.created} {would}listed, {synced.updated} {would}changed, {synced.unchanged} as"
        f" they were, {synced.unknown} no item of ours, {synced.rejected} not understood"
    )
    for sku in synced.examples:
        out.print(f"    no item: {sku}")


def reconcile(
    code: Annotated[str, typer.Argument(help="A channel.")],
    *,
    wait_s: Annotated[float, typer.Option(min=0, help="How long to wait for what is found.")] = 300.0,
) -> None:
    """Have all that a channel shows, and its orders of the last days, read and compared.

    Numbers that differ are written again, lost orders are taken in. `onhand serve` or `onhand worker` has to run: it
    does it. Exits 1 if anything differed, or was not heard in time."""
    import asyncio

    from onhand.cli.reconciled import tables
    from onhand.errors import OnhandError
    from onhand.flows.accounts import Accounts, NotConnected
    from onhand.flows.channel_health import ask_reconcile
    from onhand.flows.reconciled import Reconciled, reconciled

    with _database() as (db, connectors, settings):

        async def able() -> frozenset[str]:
            async with Accounts(db, connectors, allow_private_urls=settings.allow_private_urls) as accounts:
                return (await accounts.get(code)).connector.capabilities

        try:
            asked = ask_reconcile(db, code)
            can = asyncio.run(able())
        except (OnhandError, NotConnected) as error:
            err.print(f"error: {error}")
            raise typer.Exit(2) from None
        stock = {"stock.push", "stock.pull"} <= can
        orders = "orders.pull" in can and "orders.once" not in can
        if not (stock or orders):
            err.print("error: its connector can read neither what the channel shows nor its orders again")
            raise typer.Exit(2)

        def is_done(found: Reconciled) -> bool:
            return (found.stock_at is not None or not stock) and (found.answers >= asked or not orders)

        until = time.monotonic() + wait_s
        while not is_done(found := reconciled(db, code)):
            if time.monotonic() > until:
                for why in found.errors:
                    err.print(f"error: {why}")
                err.print("error: not all of it is done yet: does `onhand serve` or `onhand worker` run?")
                raise typer.Exit(1)
            time.sleep(_LOOK_EVERY_S)
    for table in tables(found, stock=stock, orders=orders):
        out.print(table)
    if not found.is_all_right:
        raise typer.Exit(1)


def gates(
    code: Annotated[str, typer.Argument(help="A channel.")],
    *,
    sku: Annotated[str | None, typer.Option(help="Of this item only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, those that changed last first.")] = 20,
) -> None:
    """Say what is hidden from a channel, and why."""
    from onhand.errors import OnhandError
    from onhand.flows.channel_health import channel_gates, channel_health

    with _database() as (db, _, _):
        try:
            gate = channel_health(db, code)["gate"]
            found = channel_gates(db, code, sku=sku, limit=limit)
        except OnhandError as error:
            err.print(f"error: {error}")
            raise typer.Exit(2) from None
    if gate["mode"] != "adaptive":
        out.print(f"the gate of {code} is {gate['mode']}: nothing is computed")
        return
    times = ", ".join(
        f"{name} {'not measured' if gate[key] is None else f'{gate[key]:.1f} s'}"
        for name, key in (("hear", "hear_s"), ("wait", "wait_s"), ("apply", "apply_s"))
    )
    risk = "" if gate["price_of_risk"] is None else f", price of risk {gate['price_of_risk']:.3g}"
    out.print(f"{times}; target {100 * gate['target']:.3g} %{risk}")
    for row in found:
        out.print(f"{row['sku']}: {row['why']}")
    if not found:
        out.print("nothing is hidden")


@contextmanager
def _database() -> "Generator[tuple[Database, Connectors, Settings]]":
    from onhand.flows.accounts import Connectors

    settings = Settings.load()
    with database(settings, pool_max=4) as db:
        yield db, Connectors(settings.home, secret_key=settings.secret_key, files_root=settings.files_root), settings
