"""CEL conditions checked against the declared context, and the facts they ask for.

What is found here is found before an order meets it: an unknown fact, a comparison that can never hold, a result that
is not true or false.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from onhand.documents.cel import cel
from onhand.documents.findings import did_you_mean
from onhand.documents.syntax import (
    Call,
    Constant,
    Index,
    Members,
    Name,
    Problem,
    Select,
    Tree,
    Unreadable,
    read,
    syntax_problem,
)
from onhand.documents.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    MAP,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
)

_MACROS_DEEP_MAX: Final = 2  # work grows as lines to this power

Path = tuple[str, ...]
"""A fact that is asked: ("order", "destination", "country"). "[]" stands for each member of a list; at the end, for
how many there are."""

EACH: Final = "[]"


@dataclass(frozen=True, slots=True)
class Named:
    """A literal that is compared with a fact of a known set: `text` at `offset` should be in `vocabulary`."""

    vocabulary: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading an expression found; `reads` are the facts that its value depends on."""

    problems: list[Problem]
    reads: frozenset[Path]
    named: list[Named]
    constant: bool | None = None


def check(
    text: str,
    variables: Mapping[str, Type],
    *,
    elsewhere: Mapping[str, str] | None = None,
    answers: Literal["bool", "number"] = "bool",
) -> Checked:
    """Read and check an expression that may ask `variables`. Pure; never raises for a bad expression.

    elsewhere  names that are known in other expressions, and what to do instead
    answers    what it has to come to; of a condition true or false
    """
    problem = syntax_problem(text)
    if problem is not None:
        return Checked([problem], frozenset(), [])
    try:
        tree = read(text)
    except Unreadable as error:
        remedy = "write it with the operators, functions and macros of CEL"
        return Checked([Problem(error.offset, str(error), remedy)], frozenset(), [])
    checker = _Checker(variables, elsewhere or {})
    result = checker.value(tree)
    if answers == "bool" and result.kind not in ("bool", "dyn"):
        checker.fail(tree.at, f"this is {_a(result)}, expected true or false", "compare it, as in `order.units > 1`")
    elif answers == "number" and result.kind not in (*_NUMBERS, "dyn"):
        checker.fail(tree.at, f"this is {_a(result)}, expected a number", "name a fact that is one")
    problems = sorted(checker.problems, key=lambda found: found.offset)
    constant = tree.value if isinstance(tree, Constant) and isinstance(tree.value, bool) else None
    return Checked(problems, frozenset(checker.reads), checker.named, constant)


_NUMBERS: Final = frozenset({"int", "double"})
_ORDERED: Final = frozenset({"string", "timestamp", "duration", "bool", "bytes"})
_OPERATORS: Final = frozenset(
    {"?:", "&&", "||", "!_", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "-_", "*", "/", "%"}
)
_MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_TYPE_NAMES: Final = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"})


@dataclass(frozen=True, slots=True)
class _Function:
    """Types of its parts (a method's first is what it is called on), and of its result."""

    parts: tuple[frozenset[str], ...]
    result: Type


def _function(result: Type, *parts: str) -> _Function:
    return _Function(tuple(frozenset(part.split()) for part in parts), result)


_FUNCTIONS: Final[Mapping[str, _Function]] = {
    "size": _function(INT, "string list map bytes"),
    "int": _function(INT, "int double string timestamp"),
    "double": _function(DOUBLE, "int double string"),
    "string": _function(STRING, "int double string timestamp duration bytes"),
    "bytes": _function(BYTES, "string bytes"),
    "timestamp": _function(TIMESTAMP, "string timestamp"),
    "duration": _function(DURATION, "string duration"),
    "dyn": _function(DYN, "bool int double string bytes timestamp duration null list map object"),
    "type": _function(DYN, "bool int double string bytes timestamp duration null list map object"),
}
_METHODS: Final[Mapping[str, _Function]] = {
    "size": _function(INT, "string list map bytes"),
    "contains": _function(BOOL, "string", "string"),
    "startsWith": _function(BOOL, "string", "string"),
    "endsWith": _function(BOOL, "string", "string"),
    "matches": _function(BOOL, "string", "string"),
    **{
        name: _function(INT, "timestamp")
        for name in (
            "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours",
            "getMinutes", "getSeconds", "getMilliseconds",
        )
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """A value's type, and the fact it is, if it is one."""

    type: Type
    path: Path | None = None
    vocabulary: str | None = None


@dataclass(slots=True)
class _Checker:
    """Types of a tree, and what is found on the way. `scope` maps names to what they are."""

    variables: Mapping[str, Type]
    elsewhere: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list[Problem])
    reads: set[Path] = field(default_factory=set[Path])
    named: list[Named] = field(default_factory=list[Named])
    scope: dict[str, _Place] = field(default_factory=dict[str, _Place])
    guarded: set[Path] = field(default_factory=set[Path])
    deep: int = 0

    def fail(self, at: int, message: str, remedy: str, *, is_error: bool = True) -> Type:
        self.problems.append(Problem(at, message, remedy, is_error))
        return DYN

    def value(self, tree: Tree) -> Type:
        """The type of a value that is used: the fact it is counts as read."""
        return self._used(tree).type

    def place(self, tree: Tree) -> _Place:
        match tree:
            case Constant():
                return _Place(tree.type)
            case Name():
                return self._name(tree)
            case Select():
                return self._select(tree)
            case Index():
                return self._index(tree)
            case Members():
                return _Place(self._members(tree))
            case Call():
                return _Place(self._call(tree))

    def _name(self, tree: Name) -> _Place:
        if tree.name in self.scope:
            return self.scope[tree.name]
        if tree.name in self.variables:
            return _Place(self.variables[tree.name], (tree.name,))
        if tree.name in _TYPE_NAMES:
            return _Place(DYN)
        if tree.name in self.elsewhere:
            remedy = self.elsewhere[tree.name]
            return _Place(self.fail(tree.at, f"{tree.name} is not known in this condition", remedy))
        owners = [name for name, type_ in self.variables.items() if tree.name in type_.facts]
        remedy = (
            f"write {owners[0]}.{tree.name}"
            if owners
            else did_you_mean(tree.name, [*self.variables, *self.scope], "put text in quotes")
        )
        return _Place(self.fail(tree.at, f"nothing is called {tree.name!r} here", remedy))

    def _select(self, tree: Select) -> _Place:
        of = self.place(tree.of)
        return self._field(of, tree.field, tree.at)

    def _field(self, of: _Place, name: str, at: int) -> _Place:
        path = None if of.path is None else (*of.path, name)
        if of.type.kind == "object":
            fact = of.type.facts.get(name)
            if fact is None:
                owner = ".".join(of.path or ()).replace(f".{EACH}", "[]") or "this"
                remedy = did_you_mean(name, of.type.facts, f"known are {', '.join(of.type.facts)}")
                return _Place(self.fail(at, f"{owner} has no {name!r}", remedy))
            return _Place(fact.type, path, fact.vocabulary)
        if of.type.kind == "map":
            if path is not None and path not in self.guarded:
                self.problems.append(
                    Problem(
                        at,
                        f"{'.'.join(path).replace(f'.{EACH}', '[]')} may be missing, and then the rule does not apply",
                        "ask first, as in has(node.attributes.fragile) && node.attributes.fragile == true",
                        is_error=False,
                    )
                )
                self.guarded.add(path)  # once is enough
            return _Place(DYN, path)
        if of.type.kind != "dyn":
            remedy = "use exists, all or [0] to ask its members" if of.type.kind == "list" else "compare it as it is"
            return _Place(self.fail(at, f"{_a(of.type)} has no {name!r}", remedy))
        return _Place(DYN, of.path)  # inside an attribute: the whole of it counts

    def _index(self, tree: Index) -> _Place:
        of = self.place(tree.of)
        if of.type.kind in ("object", "map") and isinstance(tree.index, Constant) and tree.index.type is STRING:
            return self._field(of, str(tree.index.value), tree.index.at)
        index = self.value(tree.index)
        if of.path is not None:
            self.reads.add(of.path)
        if of.type.kind == "list":
            if index.kind not in ("int", "dyn"):
                self.fail(tree.at, f"a list is asked by number, not by {_a(index)}", "write [0] for the first")
            return _Place(of.type.element or DYN)
        if of.type.kind == "object":
            return _Place(self.fail(tree.at, "its facts are asked by name", "write it as in order.channel"))
        if of.type.kind not in ("map", "dyn"):
            return _Place(self.fail(tree.at, f"{_a(of.type)} has no members", "compare it as it is"))
        return _Place(DYN)

    def _members(self, tree: Members) -> Type:
        types = [self.value(part) for part in tree.parts]
        if tree.is_map:
            return MAP
        same = bool(types) and all(type_.kind == types[0].kind for type_ in types)
        return list_of(types[0] if same else DYN)

    def _call(self, tree: Call) -> Type:
        if tree.function == "has" and not tree.is_method:
            return self._has(tree)
        if tree.is_method and tree.function in _MACROS:
            return self._macro(tree)
        if tree.function in _OPERATORS:
            return self._operator(tree)
        table = _METHODS if tree.is_method else _FUNCTIONS
        known = table.get(tree.function)
        if known is None:
            other = tree.function in (_FUNCTIONS if tree.is_method else _METHODS)
            remedy = (
                f"write {'x.' * (not tree.is_method)}{tree.function}({'x' * tree.is_method})"
                if other
                else did_you_mean(tree.function, [*table, *_MACROS], f"known are {', '.join(sorted(table))}")
            )
            for part in tree.parts:
                self.place(part)
            return self.fail(tree.at, f"there is no function {tree.function!r}", remedy)
        return self._apply(tree, known)

    def _operator(self, tree: Call) -> Type:
        match tree.function:
            case "?:":
                return self._ternary(tree)
            case "&&" | "||" | "!_":
                return self._logic(tree)
            case "==" | "!=":
                return self._equal(tree)
            case "<" | "<=" | ">" | ">=":
                return self._order(tree)
            case "in":
                return self._in(tree)
            case "+" | "-":
                return self._add(tree)
            case "-_":
                return self._minus(tree)
            case _:
                return self._multiply(tree)

    def _apply(self, tree: Call, known: _Function) -> Type:
        if tree.function == "size" and self._is_length(tree.parts):
            return INT
        types = [self.value(part) for part in tree.parts]
        if len(types) != len(known.parts):
            wanted = len(known.parts) - tree.is_method
            return self.fail(tree.at, f"{tree.function} takes {wanted}", f"give it {wanted} in its brackets")
        for part, type_, allowed in zip(tree.parts, types, known.parts, strict=True):
            if type_.kind not in allowed and type_.kind != "dyn":
                self.fail(part.at, f"{tree.function} takes no {type_.kind}", f"give it {' or '.join(sorted(allowed))}")
        if tree.function == "matches" and isinstance(tree.parts[1], Constant):
            self._pattern(tree.parts[1])
        return known.result

    def _is_length(self, parts: tuple[Tree, ...]) -> bool:
        """Whether these are one list that is a fact; then its length is read, and nothing of its members."""
        if not parts:
            return False
        of = self.place(parts[0])
        if len(parts) > 1 or of.type.kind != "list" or of.path is None:
            return False
        self.reads.add((*of.path, EACH))
        return True

    def _pattern(self, pattern: Constant) -> None:
        try:
            cel.evaluate("''.matches(pattern)", {"pattern": str(pattern.value)})
        except RuntimeError:
            self.fail(pattern.at, "this pattern is not a regular expression", "use RE2 syntax, as in '^9[0-9]{4}$'")

    def _has(self, tree: Call) -> Type:
        if len(tree.parts) != 1 or not isinstance(tree.parts[0], Select):
            return self.fail(tree.at, "has takes one field", "write it as in has(node.attributes.fragile)")
        select = tree.parts[0]
        of = self.place(select.of)
        if of.path is not None and of.type.kind == "map":
            self.guarded.add((*of.path, select.field))
        self.value(select)
        if of.type.kind == "object" and select.field in of.type.facts:
            remedy = 'compare with "" or 0 instead'
            self.fail(select.at, f"{select.field} is always there", remedy, is_error=False)
        return BOOL

    def _macro(self, tree: Call) -> Type:
        of = self.place(tree.parts[0])
        if of.type.kind not in ("list", "map", "dyn"):
            return self.fail(tree.at, f"{tree.function} asks the members of a list, not {_a(of.type)}", "name a list")
        wanted = (3, 4) if tree.function == "map" else (3,)
        if len(tree.parts) not in wanted or not isinstance(tree.parts[1], Name):
            return self.fail(
                tree.at, f"{tree.function} takes a name and a condition", "write order.items.exists(i, i.units > 1)"
            )
        path = None
        if of.path is not None:
            if of.type.kind == "list":
                path = (*of.path, EACH)
                self.reads.add(path)
            else:
                self.reads.add(of.path)
        name, before = tree.parts[1].name, dict(self.scope)
        self.scope[name] = _Place(of.type.element or DYN, path, of.vocabulary)
        self.deep += 1
        if self.deep > _MACROS_DEEP_MAX:
            self.fail(tree.at, f"macros stand deeper than {_MACROS_DEEP_MAX} in each other", "divide it over rules")
        types = [self.value(part) for part in tree.parts[2:]]
        self.deep -= 1
        self.scope = before
        tested = types if tree.function != "map" else types[:-1]
        for part, type_ in zip(tree.parts[2:], tested, strict=False):
            if type_.kind not in ("bool", "dyn"):
                self.fail(part.at, f"this is {_a(type_)}, expected true or false", "compare it")
        if tree.function == "map":
            return list_of(types[-1])
        if tree.function == "filter":
            # Its members are whole members, whatever is asked of them.
            if of.path is not None:
                self.reads.add(of.path)
            return list_of(of.type.element or DYN)
        return BOOL

    def _ternary(self, tree: Call) -> Type:
        condition, yes, no = (self.value(part) for part in tree.parts)
        self._need_bool(tree.parts[0], condition)
        return yes if yes.kind == no.kind else DYN

    def _logic(self, tree: Call) -> Type:
        for part in tree.parts:
            self._need_bool(part, self.value(part))
        return BOOL

    def _need_bool(self, part: Tree, type_: Type) -> None:
        if type_.kind not in ("bool", "dyn"):
            self.fail(part.at, f"this is {_a(type_)}, expected true or false", "compare it, as in `order.units > 1`")

    def _equal(self, tree: Call) -> Type:
        left, right = (self._used(part) for part in tree.parts)
        self._compare(left, tree.parts[1], right.type, tree.at)
        self._compare(right, tree.parts[0], left.type, tree.at, again=True)
        return BOOL

    def _compare(self, fact: _Place, other: Tree, type_: Type, at: int, *, again: bool = False) -> None:
        if not again and type_.kind == "null" and fact.type.kind not in ("null", "dyn"):
            self.fail(at, f"{_a(fact.type)} is never null here", 'compare with "" or 0', is_error=False)
        elif not again and not _are_comparable(fact.type, type_) and "null" not in (fact.type.kind, type_.kind):
            self.fail(at, f"{_a(fact.type)} never equals {_a(type_)}", _conversion(fact.type, type_))
        if fact.vocabulary and isinstance(other, Constant) and isinstance(other.value, str):
            self.named.append(Named(fact.vocabulary, other.value, other.at))

    def _used(self, tree: Tree) -> _Place:
        place = self.place(tree)
        if place.path is not None:
            # A member as a whole: the list as a whole.
            self.reads.add(place.path[:-1] if place.path[-1] == EACH else place.path)
        return place

    def _order(self, tree: Call) -> Type:
        left, right = (self.value(part) for part in tree.parts)
        if "dyn" in (left.kind, right.kind) or {left.kind, right.kind} <= _NUMBERS:
            return BOOL
        if left.kind != right.kind or left.kind not in _ORDERED:
            self.fail(tree.at, f"{_a(left)} and {_a(right)} have no order", _conversion(left, right))
        return BOOL

    def _in(self, tree: Call) -> Type:
        member, among = self._used(tree.parts[0]), self._used(tree.parts[1])
        if among.type.kind not in ("list", "map", "dyn"):
            self.fail(tree.at, f"`in` asks a list, not {_a(among.type)}", 'write order.channel in ["web", "shop"]')
            return BOOL
        element = among.type.element
        if element is not None and not _are_comparable(member.type, element):
            self.fail(tree.at, f"{_a(member.type)} is never among {among.type}", _conversion(member.type, element))
        first, second = tree.parts
        if among.vocabulary and isinstance(first, Constant) and isinstance(first.value, str):
            self.named.append(Named(among.vocabulary, first.value, first.at))
        if member.vocabulary and isinstance(second, Members) and not second.is_map:
            self.named += [
                Named(member.vocabulary, part.value, part.at)
                for part in second.parts
                if isinstance(part, Constant) and isinstance(part.value, str)
            ]
        return BOOL

    def _add(self, tree: Call) -> Type:
        left, right = (self.value(part) for part in tree.parts)
        kinds = (left.kind, right.kind)
        if "dyn" in kinds:
            return DYN
        if kinds in _SUMS and (tree.function == "+" or "string" not in kinds):
            return _SUMS[kinds]
        if tree.function == "-" and kinds == ("timestamp", "timestamp"):
            return DURATION
        if tree.function == "+" and kinds == ("list", "list"):
            return left
        return self.fail(tree.at, f"{_a(left)} {tree.function} {_a(right)} is not possible", _conversion(left, right))

    def _multiply(self, tree: Call) -> Type:
        left, right = (self.value(part) for part in tree.parts)
        if "dyn" in (left.kind, right.kind):
            return DYN
        if left.kind == right.kind and left.kind in _NUMBERS and not (tree.function == "%" and left.kind == "double"):
            return left
        return self.fail(tree.at, f"{_a(left)} {tree.function} {_a(right)} is not possible", _conversion(left, right))

    def _minus(self, tree: Call) -> Type:
        type_ = self.value(tree.parts[0])
        if type_.kind not in (*_NUMBERS, "dyn"):
            return self.fail(tree.at, f"minus {_a(type_)} is not possible", "give it a number")
        return type_


_SUMS: Final[Mapping[tuple[str, str], Type]] = {
    ("int", "int"): INT,
    ("double", "double"): DOUBLE,
    ("string", "string"): STRING,
    ("timestamp", "duration"): TIMESTAMP,
    ("duration", "duration"): DURATION,
}


def _are_comparable(left: Type, right: Type) -> bool:
    kinds = {left.kind, right.kind}
    return len(kinds) == 1 or "dyn" in kinds or kinds <= _NUMBERS


def _conversion(left: Type, right: Type) -> str:
    kinds = {left.kind, right.kind}
    if kinds == {"int", "double"}:
        return "numbers are not mixed here: write double(...) around the whole one, or 2.0 instead of 2"
    if kinds in ({"int", "string"}, {"double", "string"}):
        return "write the number without quotes, or the text with"
    if "timestamp" in kinds and "string" in kinds:
        return 'write timestamp("2027-03-01T00:00:00Z")'
    return "give both sides the same type"


def _a(type_: Type) -> str:
    return f"{'an' if type_.kind in ('int', 'object') else 'a'} {type_}"
