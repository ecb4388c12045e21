"""Types of what a condition can ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "bool", "int", "double", "string", "bytes", "timestamp", "duration", "null", "dyn", "list", "map", "object"
]


@dataclass(frozen=True, slots=True)
class Type:
    """A CEL type: of a list `element` is that of its members, of an object `facts` are its fields."""

    kind: Kind
    element: "Type | None" = None
    facts: Mapping[str, "Fact"] = field(default_factory=dict[str, "Fact"])

    def __str__(self) -> str:
        return f"list of {self.element}" if self.kind == "list" and self.element else self.kind


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that can be asked. `vocabulary` names the set its values come from."""

    type: Type
    meaning: str
    vocabulary: str | None = None


BOOL, INT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION, NULL, DYN, MAP = (
    Type(kind) for kind in ("bool", "int", "double", "string", "bytes", "timestamp", "duration", "null", "dyn", "map")
)


def list_of(element: Type) -> Type:
    """A list whose members have one type."""
    return Type("list", element)


def object_of(**facts: Fact) -> Type:
    """An object with these fields."""
    return Type("object", facts=facts)
