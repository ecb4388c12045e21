"""`onhand mcp`: a server of the Model Context Protocol for an agent on this machine."""

import os
from typing import Annotated

import typer

from onhand.errors import OnhandError, SettingsError
from onhand.settings import Settings

_VARIABLE = "ONHAND_API_KEY"


class NotServed(OnhandError):
    """The server of the interface refuses the key, or is not there."""

    code = "mcp.not_served"


def register(app: typer.Typer) -> None:
    app.command()(mcp)


def mcp(
    url: Annotated[
        str, typer.Option(envvar="ONHAND_URL", help="Server of the HTTP interface.")
    ] = "http://127.0.0.1:8080",
    key: Annotated[
        str | None, typer.Option(help=f"API key; better {_VARIABLE}, which other users of this machine cannot see.")
    ] = None,
    confirm_above_minor: Annotated[
        int | None,
        typer.Option(min=0, help="Writes beyond it (minor units, such as cents) a person confirms first."),
    ] = None,
) -> None:
    """Serve tools to an agent over standard input and output, with what the key may do.

    An agent reads, and has things worked out; each tool that changes something needs a scope of its own on the key,
    such as tool:reserve_stock.
    """
    import logging

    from onhand.mcp import failures, stdio
    from onhand.mcp.api import Refused, Unanswered

    secret = key or os.environ.get(_VARIABLE)
    if not secret:
        raise SettingsError(f"{_VARIABLE}: no API key; `onhand key create` makes one")
    limit = Settings.load().mcp_confirm_above_minor if confirm_above_minor is None else confirm_above_minor
    # Standard output is the protocol's.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        stdio.serve(url, secret, confirm_above_minor=limit)
    except Refused as error:
        failure = failures.of_refusal(error)
        raise NotServed(f"{url}: {failure.message}; {failures.remedy(failure)}") from None
    except Unanswered as error:
        raise NotServed(f"{url}: {error}; is `onhand serve` running there?") from None
