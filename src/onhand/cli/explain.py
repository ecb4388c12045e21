"""`onhand explain`: why an order is served as it is."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from onhand.cli.database import database

out = Console(highlight=False, markup=False, soft_wrap=True)
# Candidates shown; `--json` has all.
_SHOWN = 12


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    order: Annotated[str, typer.Argument(help="An order's id, CHANNEL/EXTERNAL_ID, or the id of one of its plans.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Say why an order is served as it is: its candidates with what they would cost by term, why others were left out,
    the runner-up, and what would have changed the decision. Of an order, its latest plan.
    """
    from onhand.flows.explain_plan import explain_plan, latest_plan

    with database(pool_max=1) as db:
        answer = explain_plan(db, latest_plan(db, order))
    if as_json:
        print(json.dumps(answer, indent=1, default=str))  # noqa: T201
        return
    out.print(f"plan {answer['plan_id']}, policy {answer['policy']}, objective {answer['objective']['name']}")
    for sentence in answer["sentences"]:
        out.print(f"- {sentence}")
    table = _table(answer["candidates"])
    if table.row_count:
        Console(highlight=False).print(table)
    hidden = len(answer["candidates"]) - _SHOWN
    if hidden > 0:
        out.print(f"and {hidden} more: --json shows them")


def _table(candidates: list[dict[str, Any]]) -> Table:
    """A row per candidate, a column per term that says anything."""
    shown = candidates[:_SHOWN]
    costs: list[dict[str, int]] = [c["cost"] for c in shown if c.get("cost")]
    # Terms of others stand only where they are not 0.
    named = dict.fromkeys(term for cost in costs for term in cost)
    terms = [term for term in named if any(cost.get(term) for cost in costs)]
    table = Table(title="What each node would cost alone, in minor units", title_justify="left", box=None)
    for heading in ("node", "", "service", *terms, "in all", "because"):
        table.add_column(heading, justify="right" if heading in (*terms, "in all") else "left")
    for c in shown:
        cost: dict[str, int] = c.get("cost") or {}
        missing = ", ".join(f"{units} of {sku}" for sku, units in c["missing"].items())
        table.add_row(
            c["node"],
            "chosen" if c["chosen"] else "",
            c.get("best_service") or "",
            *(f"{cost.get(term, 0)}" if cost else "" for term in terms),
            "" if c.get("cost_minor") is None else f"{c['cost_minor']}",
            c.get("excluded_because") or (f"lacks {missing}" if missing else ""),
        )
    return table
