"""`onhand terms`: the cost terms that decisions weigh."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

out = Console(highlight=False, markup=False)
err = Console(highlight=False, markup=False, stderr=True, soft_wrap=True)


def register(app: typer.Typer) -> None:
    app.command()(terms)


def terms(*, as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False) -> None:
    """List the cost terms that decisions weigh, in minor units: those built in, and those that packages installed here
    bring. Exits 1 if one of these cannot be used.
    """
    import warnings

    from rich.table import Table
    from rich.text import Text

    from onhand.sourcing import custom
    from onhand.sourcing.term_table import all_terms

    with warnings.catch_warnings():  # they are told below
        warnings.simplefilter("ignore", RuntimeWarning)
        found = all_terms()
    if as_json:
        print(json.dumps([asdict(term) for term in found], indent=1))  # noqa: T201
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("name", "minor units for", "weight", "from", "what it is"):
            table.add_column(heading)
        for term in found:
            cells = (term.name, term.charges, "yes" if term.has_weight else "no", term.origin, term.summary)
            table.add_row(*(Text(cell) for cell in cells))
        out.print(table)
    broken = custom.faults()
    for fault in broken:
        err.print(f"error: cost term {fault.name}: {fault.message}")
    if broken:
        raise typer.Exit(1)
