"""All cost terms there are, for people: the built-in ones, and those of others in this environment."""

import ast
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from onhand.sourcing import custom
from onhand.sourcing.policies.model import MONEY_TERMS, TERMS

# What a term charges for; see `tables.Costs`. One file each in sourcing/terms.
_CHARGES: Final = {
    "shipping": "each parcel, by weight",
    "handling": "each fulfilment, line and unit",
    "split": "each fulfilment after the first",
    "tax_duty": "each unit, and a fee",
    "lateness": "each fulfilment",
    "carbon": "each fulfilment, and gram",
    "capacity_price": "each fulfilment, line, unit and parcel",
    "opportunity": "each unit",
    "rejection_risk": "each line",
    "margin_floor": "nothing: a limit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TermInfo:
    """A cost term in words. has_weight: a policy's `weights` may name it; origin: `built-in`, or its distribution."""

    name: str
    summary: str
    charges: str
    has_weight: bool
    origin: str


def built_in() -> list[TermInfo]:
    """The terms that come with onhand, from the docstrings of their files."""
    return [
        TermInfo(
            name=name, summary=_summary(name), charges=_CHARGES[name], has_weight=name not in MONEY_TERMS,
            origin="built-in",
        )
        for name in TERMS
    ]  # fmt: skip


def all_terms() -> list[TermInfo]:
    """Built-in ones first."""
    return built_in() + [
        TermInfo(
            name=term.name, summary=term.summary, charges=_parts(term), has_weight=True, origin=term.origin
        )
        for term in custom.installed()
    ]  # fmt: skip


def table() -> str:
    """The built-in terms as a Markdown table."""
    rows = [
        f"| `{t.name}` | {t.summary} | {t.charges} | {'yes' if t.has_weight else 'no'} |" for t in built_in()
    ]  # fmt: skip
    return "\n".join(["| term | what it is | is charged for | has a weight |", "|---|---|---|---|", *rows])


def _summary(name: str) -> str:
    source = (files("onhand.sourcing.terms") / f"{name}.py").read_text("utf-8")
    first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    title = name.replace("_", " ").capitalize()
    text = first.removeprefix(f"{title}: ")
    return text[:1].upper() + text[1:]


def _parts(term: custom.Term) -> str:
    return " and ".join(
        f"each {part}" for part, asked in (("fulfilment", term.fulfilment), ("unit", term.unit)) if asked
    )
