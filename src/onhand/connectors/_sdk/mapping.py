"""From a channel's records to our values: JMESPath (jmespath.org) with a closed set of helper functions.

Functions beside the standard's: `money(amount, currency)` in minor units; `moment(x)`; `moment_in(x, 'zone')` for
times without a zone that are not UTC; `text(x)`; `integer(x)`; `last_part(id, '/')`; `lower(x)`, `upper(x)`;
`join_on(left, right, 'path', 'path')`: pairs {left, right} that have the same there; `below(list, 'path')`: pairs
{parent, child}, one for each member of the lists there; `grouped(list, 'path')`: {key, members}; `allot(left, right,
'path', 'path', 'amount', 'amount')`: {left, right, amount}, what each left one wants shared out among the right ones
that have the same there, none more than its amount; `minus(a, b)`; `present(x)`: false for null, "", [] and {}.
"""

# jmespath has no types of its own.
# pyright: basic

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError, LexerError, ParseError
from jmespath.visitor import Options

from onhand.connectors._sdk.filling import minor_units
from onhand.connectors._sdk.moments import moment_of

Path = Callable[[Any], Any]


class Unmappable(Exception):
    """A record does not have what the map asks of it."""


class _Functions(functions.Functions):
    @functions.signature({"types": []}, {"types": ["string"]})
    def _func_money(self, amount: Any, currency: str) -> int:
        return minor_units(amount, currency)

    @functions.signature({"types": ["string", "number", "null"]})
    def _func_moment(self, said: str | float | None) -> str | None:
        return self._func_moment_in(said, "UTC")

    @functions.signature({"types": ["string", "number", "null"]}, {"types": ["string"]})
    def _func_moment_in(self, said: str | float | None, zone: str) -> str | None:
        return None if said is None or said == "" else _moment(said, zone).isoformat()

    @functions.signature({"types": []})
    def _func_text(self, value: Any) -> str:
        if value is None:
            return ""
        return ("false", "true")[value] if isinstance(value, bool) else str(value)

    @functions.signature({"types": []})
    def _func_integer(self, value: Any) -> int:
        number = float(value) if not isinstance(value, bool) and value is not None else None
        if number is None or number != int(number):
            raise ValueError(f"expected a whole number, got {value!r}")
        return int(str(value)) if isinstance(value, str) and value.lstrip("-").isdigit() else int(number)

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_last_part(self, value: str, separator: str) -> str:
        return value.rpartition(separator)[2] if separator else value

    @functions.signature({"types": ["string", "null"]})
    def _func_lower(self, value: str | None) -> str:
        return (value or "").lower()

    @functions.signature({"types": ["string", "null"]})
    def _func_upper(self, value: str | None) -> str:
        return (value or "").upper()

    @functions.signature({"types": []})
    def _func_present(self, value: Any) -> bool:
        return value not in (None, "", [], {})

    @functions.signature({"types": ["array"]}, {"types": ["array"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_join_on(self, left: list[Any], right: list[Any], of_left: str, of_right: str) -> list[Any]:
        there: dict[str, list[Any]] = {}
        for member in right:
            there.setdefault(str(path(of_right)(member)), []).append(member)
        of = path(of_left)
        return [{"left": a, "right": b} for a in left for b in there.get(str(of(a)), ())]

    @functions.signature({"types": ["array"]}, {"types": ["string"]})
    def _func_grouped(self, members: list[Any], by: str) -> list[Any]:
        of = path(by)
        groups: dict[Any, list[Any]] = {}
        for member in members:
            groups.setdefault(of(member), []).append(member)
        return [{"key": key, "members": those} for key, those in groups.items()]

    @functions.signature(
        {"types": ["array"]}, {"types": ["array"]},
        {"types": ["string"]}, {"types": ["string"]}, {"types": ["string"]}, {"types": ["string"]},
    )  # fmt: skip
    def _func_allot(
        self, left: list[Any], right: list[Any], of_left: str, of_right: str, wanted: str, there: str
    ) -> list[Any]:
        rest = [path(there)(member) or 0 for member in right]
        names = [str(path(of_right)(member)) for member in right]
        shares: list[Any] = []
        for member in left:
            name, missing = str(path(of_left)(member)), path(wanted)(member) or 0
            for n, other in enumerate(names):
                amount = min(missing, rest[n]) if other == name else 0
                if amount > 0:
                    shares.append({"left": member, "right": right[n], "amount": amount})
                    missing, rest[n] = missing - amount, rest[n] - amount
        return shares

    @functions.signature({"types": ["number"]}, {"types": ["number"]})
    def _func_minus(self, a: float, b: float) -> float:
        return a - b

    @functions.signature({"types": ["array"]}, {"types": ["string"]})
    def _func_below(self, parents: list[Any], children: str) -> list[Any]:
        of = path(children)
        return [{"parent": parent, "child": child} for parent in parents for child in of(parent) or ()]


def _moment(said: str | float, zone: str) -> datetime:
    if isinstance(said, (int, float)):
        # Seconds until the year 5138, else milliseconds.
        return datetime.fromtimestamp(said if abs(said) < 1e11 else said / 1000, UTC)
    return moment_of(said, zone)


_OPTIONS = Options(custom_functions=_Functions())


@lru_cache(maxsize=10_000)
def path(text: str) -> Path:
    """`text` compiled. Raises ValueError that says where it is wrong; what it returns raises Unmappable."""
    try:
        compiled = jmespath.compile(text)
    except (LexerError, ParseError) as error:
        at = getattr(error, "lex_position", None)
        at = getattr(error, "lexer_position", 0) if at is None else at
        raise ValueError(f"not JMESPath at character {at + 1}: {text!r}") from None
    except JMESPathError as error:
        raise ValueError(f"not JMESPath: {str(error).splitlines()[0]}") from None
    _check_functions(compiled.parsed)
    names = _names(compiled.parsed)
    if names is not None:
        return lambda record: _member(record, names)

    def look(record: Any) -> Any:
        try:
            return compiled.search(record, options=_OPTIONS)
        except (JMESPathError, ValueError, TypeError, ArithmeticError, AttributeError, OSError) as error:
            raise Unmappable(f"{text}: {str(error).splitlines()[0]}") from None

    return look


def _names(tree: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Of a plain path such as `a.b.c`, which is most of them, its names: they are read ten times as fast."""
    if tree.get("type") == "field":
        return (str(tree["value"]),)
    if tree.get("type") != "subexpression":
        return None
    parts = [_names(child) for child in tree["children"]]
    return None if None in parts else tuple(name for part in parts for name in part or ())


def _member(record: Any, names: tuple[str, ...]) -> Any:
    """As JMESPath has it: what is not there, or in no object, is null."""
    for name in names:
        if not isinstance(record, dict):
            return None
        record = cast("dict[str, Any]", record).get(name)
    return record


def _check_functions(tree: Mapping[str, Any]) -> None:
    if tree.get("type") == "function_expression":
        known = _Functions.FUNCTION_TABLE
        name = tree["value"]
        if name not in known:
            raise ValueError(f"there is no function {name!r}: known are {', '.join(sorted(known))}")
        wanted = known[name]["signature"]
        given = len(tree["children"])
        is_variadic = any(part.get("variadic") for part in wanted)
        if given < len(wanted) or (given > len(wanted) and not is_variadic):
            raise ValueError(f"{name} takes {len(wanted)}{' or more' * is_variadic}, not {given}")
    for child in tree.get("children", ()):
        if isinstance(child, Mapping):
            _check_functions(child)
