"""What reconciliation has found, for people. Pure."""

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

if TYPE_CHECKING:
    from onhand.flows.reconciled import Reconciled

_STOCK: Final = {
    "read": "listings read",
    "verified": "show our number",
    "learned": "show a number that we did not know of",
    "foreign": "showed a number that somebody else wrote: ours is written again",
    "lost": "showed an older number of ours: the last is written again",
    "unheard": "showed less than ours: sales we have not heard of, or a foreign number; compared and written again",
    "skipped": "were just being written: the next time tells",
    "unknown": "things it sells that are no listing of ours",
    "missing": "listings of ours that it does not show",
    "rejected": "records that could not be read",
}
_ORDERS: Final = {
    "seen": "orders read",
    "lost": "orders we had not heard of: taken in",
    "changed": "orders that had moved on since we heard of them: followed",
    "differing": "findings, each below",
}
_ALWAYS: Final = ("read", "verified", "seen")
_ROWS_MAX: Final = 50


def tables(found: "Reconciled", *, stock: bool, orders: bool) -> list[Table]:
    """Counts of what was looked at, then each thing that was not as it should be."""
    shown: list[Table] = []
    if stock:
        shown.append(_counts("stock", _STOCK, found.drift))
    if orders:
        shown.append(_counts("orders", _ORDERS, found.orders))
    rows = [_listing(example) for example in found.examples] if stock else []
    rows += [_order(finding) for finding in found.findings] if orders else []
    if rows:
        shown.append(_rows(rows))
    return shown


def _counts(heading: str, words: dict[str, str], counts: dict[str, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(heading, justify="right")
    table.add_column("")
    for name, what in words.items():
        if counts.get(name) or name in _ALWAYS:
            table.add_row(str(counts.get(name, 0)), what)
    return table


def _rows(rows: list[tuple[str, str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "there", "in words"):
        table.add_column(heading)
    for row in rows[:_ROWS_MAX]:
        table.add_row(*row)
    if len(rows) > _ROWS_MAX:
        table.add_row("", "", f"and {len(rows) - _ROWS_MAX} more")
    return table


def _listing(example: dict[str, Any]) -> tuple[str, str, str]:
    name = " ".join(str(example[key]) for key in ("external_id", "external_sku") if example.get(key))
    match example.get("kind"):
        case "unknown":
            return (
                "unknown listing",
                name,
                f"shows {example.get('seen')}; `onhand channel sync` lists it, if it is an item",
            )
        case "missing":
            return "missing listing", name, "it does not show it"
        case kind:
            return f"{kind} number", name, f"showed {example.get('seen')} instead of {example.get('believed')}"


def _order(finding: dict[str, Any]) -> tuple[str, str, str]:
    return "order", str(finding["external_id"]), f"{finding['finding']}: {finding['done']}"
