"""docs/reference/events.md: every kind that the code writes is there, and none that it does not."""

import ast
import re
from pathlib import Path

from onhand.incidents import keeping
from onhand.orders.states import FULFILMENT_STEPS, ORDER_STATUSES
from onhand.webhooks.kinds import KINDS
from onhand.webhooks.model import KIND

SOURCES = Path(keeping.__file__).parents[1]
# Functions and values that take the kind of an event.
WRITERS = {"write_event", "write_events", "tell", "_tell", "_told", "News"}
IN_SQL = re.compile(r"INSERT INTO event\b.*?;", re.S)


def written() -> set[str]:
    """Kinds that stand as text where events are written: all but those that are put together from a status."""
    found: set[str] = set()
    for source in SOURCES.rglob("*.py"):
        if "connectors" in source.parts:
            continue  # what they tell stands in the words of other systems
        text = source.read_text("utf-8")
        if not any(f"{writer}(" in text for writer in WRITERS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in WRITERS:
                texts = [n.value for argument in (*node.args, *(k.value for k in node.keywords))
                         for n in ast.walk(argument) if isinstance(n, ast.Constant)]  # fmt: skip
                found |= {one for one in texts if isinstance(one, str) and KIND.fullmatch(one)}
    for source in SOURCES.rglob("*.sql"):
        for statement in IN_SQL.findall(source.read_text("utf-8")):
            found |= set(re.findall(r"'([a-z_]+\.[a-z_]+)'", statement))
    return found


def test_every_kind_that_is_written_is_told_of() -> None:
    made = {f"order.{status}" for status in ORDER_STATUSES} | {f"fulfilment.{step.then}" for step in FULFILMENT_STEPS}
    seen = written()
    assert len(seen) > 50
    assert sorted((seen | made) - KINDS.keys()) == [], "say in webhooks/kinds.py when they are written"


def test_every_kind_that_is_told_of_is_written() -> None:
    text = "\n".join(p.read_text("utf-8") for p in SOURCES.rglob("*.py") if p.name != "kinds.py")
    text += "\n".join(p.read_text("utf-8") for p in SOURCES.rglob("*.sql"))
    put_together = ("order.", "fulfilment.", "reservation.", "invoice.", "credit")
    absent = [k for k in KINDS if f'"{k}"' not in text and f"'{k}'" not in text and not k.startswith(put_together)]
    assert absent == []
