"""Conditions of policies: what they may ask, which is what `facts` declares."""

from collections.abc import Iterable
from typing import Final

from onhand.documents.expression import Checked
from onhand.documents.expression import check as check_expression
from onhand.sourcing.policies.facts import CONTEXT

_ELSEWHERE: Final = dict.fromkeys(CONTEXT, "nodes are asked in `nodes`, orders in both")


def check(text: str, variables: Iterable[str]) -> Checked:
    """Read and check a condition that may ask `variables` of the context. Pure; never raises for a bad expression."""
    return check_expression(text, {name: CONTEXT[name] for name in variables}, elsewhere=_ELSEWHERE)
