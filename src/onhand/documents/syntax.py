"""CEL as text: where a syntax error is, and the tree of an expression.

The engine that evaluates conditions says where a syntax error is, but shows no tree; so they are read here a second
time, after the engine has accepted them, by the grammar of the CEL specification (google/cel-spec, doc/langdef.md).
Positions are offsets in characters from the beginning of the expression.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from onhand.documents.cel import cel
from onhand.documents.types import BOOL, BYTES, DOUBLE, INT, NULL, STRING, Type

NESTING_MAX: Final = 24  # the engine gives up at about a hundred


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where (offset in characters), and what to do about it."""

    offset: int
    message: str
    remedy: str
    is_error: bool = True


_POSITION = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


def syntax_problem(text: str) -> Problem | None:
    """The first error of the engine's own reader, if any."""
    depth = 0
    for token in _tokens(text):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth > NESTING_MAX:
            return Problem(token.at, f"nested deeper than {NESTING_MAX} levels", "divide it over several rules")
    try:
        cel.compile(text)
    except ValueError as error:
        match = _POSITION.search(str(error))
        if match is None:
            return Problem(0, "this is not CEL", "see the examples in the documentation")
        return Problem(_offset(text, int(match[1]), int(match[2])), *_in_words(match[3]))
    return None


def _in_words(said: str) -> tuple[str, str]:
    """Message and remedy of what the engine's reader says."""
    if said.startswith(("token recognition error at: '= '", "token recognition error at: '='")):
        return "a single = stands here", "compare with =="
    if said.startswith("token recognition error"):
        what = said.partition("at: ")[2]
        if what.startswith(("'\"", "''")):
            return "this text is not closed", "end it with the quote it begins with"
        return f"unexpected {what}", "remove it, or put text in quotes"
    if "'<EOF>'" in said.partition(" expecting ")[0]:
        return "it ends too early", "add what is missing: a value, or a closing bracket"
    if "has()" in said:
        return "has takes one field", "write it as in has(node.attributes.fragile)"
    message = re.sub(r"\s+expecting \{.*", "", said).replace("<EOF>", "the end")
    return message[:1].lower() + message[1:], "remove what is too much, or add the operator that is missing"


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    before = sum(len(part) + 1 for part in lines[: line - 1])
    return min(before + column - 1, len(text))


# Reading --------------------------------------------------------------------------------------------------------------

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_TOKEN = re.compile(
    r"""
      (?P<blank>\s+|//[^\n]*)
    | (?P<string>(?:[rR][bB]?|[bB][rR]?)?
        (?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<operator>&&|\|\||==|!=|<=|>=|[-<>+*/%!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    """All that can be read, in order; what cannot be is left out (the engine has refused it, or will)."""
    return [
        _Token(str(match.lastgroup), match[0], match.start())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "blank"
    ]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant."""

    at: int
    type: Type
    value: object


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`of.field`; `at` is the field's place."""

    at: int
    of: "Tree"
    field: str


@dataclass(frozen=True, slots=True)
class Index:
    """`of[index]`."""

    at: int
    of: "Tree"
    index: "Tree"


@dataclass(frozen=True, slots=True)
class Call:
    """`function(parts)`, or `parts[0].function(parts[1:])` of a method; operators are functions too."""

    at: int
    function: str
    parts: "tuple[Tree, ...]"
    is_method: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """A list, or the values of a map."""

    at: int
    parts: "tuple[Tree, ...]"
    is_map: bool = False


Tree = Constant | Name | Select | Index | Call | Members


class Unreadable(Exception):
    """The engine accepts it, we do not know it."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


# By how strongly they bind, weakest first; all to the left.
_BINARY: Final[tuple[frozenset[str], ...]] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!=", "<", "<=", ">", ">=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_WORDS: Final[Mapping[str, tuple[Type, object]]] = {
    "true": (BOOL, True),
    "false": (BOOL, False),
    "null": (NULL, None),
}


def read(text: str) -> Tree:
    """The tree of an expression that has no `syntax_problem`. Raises Unreadable for what nobody should write."""
    return _Parser(text).parse()


class _Parser:
    """Recursive descent."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), _Token("end", "", len(text))]
        self._next = 0

    def parse(self) -> Tree:
        tree = self._expression()
        self._expect("")
        return tree

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _skip(self, text: str) -> bool:
        """Take the next token if it is `text`."""
        token = self._peek()
        if token.text != text or token.kind == "string":
            return False
        self._take()
        return True

    def _expect(self, text: str) -> None:
        token = self._take()
        if token.text != text:
            raise Unreadable(f"unexpected {token.text or 'end'!r}", token.at)

    def _expression(self) -> Tree:
        tree = self._binary(0)
        at = self._peek().at
        if not self._skip("?"):
            return tree
        yes = self._binary(0)
        self._expect(":")
        return Call(at, "?:", (tree, yes, self._expression()))

    def _binary(self, level: int) -> Tree:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while (token := self._peek()).kind != "string" and token.text in _BINARY[level]:
            self._take()
            left = Call(token.at, token.text, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Tree:
        signs: list[_Token] = []
        while self._peek().kind == "operator" and self._peek().text in ("!", "-"):
            signs.append(self._take())
        tree = self._member()
        if len(signs) > NESTING_MAX:
            raise Unreadable("too many signs", signs[0].at)
        for sign in reversed(signs):
            tree = Call(sign.at, f"{sign.text}_", (tree,))
        return tree

    def _member(self) -> Tree:
        tree = self._primary()
        while True:
            at = self._peek().at
            if self._skip("."):
                token = self._take()
                if token.kind != "name":
                    raise Unreadable(f"unexpected {token.text or 'end'!r}", token.at)
                if self._skip("("):
                    tree = Call(token.at, token.text, (tree, *self._parts(")")), is_method=True)
                else:
                    tree = Select(token.at, tree, token.text)
            elif self._skip("["):
                index = self._expression()
                self._expect("]")
                tree = Index(at, tree, index)
            else:
                return tree

    def _primary(self) -> Tree:
        token = self._take()
        if token.kind == "string":
            is_bytes = "b" in token.text[: token.text.index(token.text[-1])].lower()
            return Constant(token.at, BYTES if is_bytes else STRING, _text(token))
        if token.kind == "number":
            return Constant(token.at, DOUBLE if _is_double(token.text) else INT, None)
        if token.text in _WORDS:
            return Constant(token.at, *_WORDS[token.text])
        if token.kind == "name":
            if self._skip("("):
                return Call(token.at, token.text, self._parts(")"))
            return Name(token.at, token.text)
        if token.text == "(":
            tree = self._expression()
            self._expect(")")
            return tree
        if token.text == "[":
            return Members(token.at, self._parts("]"))
        if token.text == "{":
            return Members(token.at, self._entries(), is_map=True)
        raise Unreadable(f"unexpected {token.text or 'end'!r}", token.at)

    def _parts(self, closing: str) -> tuple[Tree, ...]:
        parts: list[Tree] = []
        while not self._skip(closing):
            if parts:
                self._expect(",")
                if self._skip(closing):  # [1, 2,]
                    break
            parts.append(self._expression())
        return tuple(parts)

    def _entries(self) -> tuple[Tree, ...]:
        parts: list[Tree] = []
        while not self._skip("}"):
            if parts:
                self._expect(",")
                if self._skip("}"):
                    break
            parts.append(self._expression())
            self._expect(":")
            parts.append(self._expression())
        return tuple(parts)


def _text(token: _Token) -> str:
    """The value of a string; CEL's escapes are Python's but for a few that nobody writes."""
    try:
        value = ast.literal_eval(token.text.replace("\n", "\\n") if token.text[-3:-2] != token.text[-1] else token.text)
    except (SyntaxError, ValueError):
        return token.text
    return value if isinstance(value, str) else ""


def _is_double(digits: str) -> bool:
    return not digits.lower().startswith("0x") and any(c in ".eE" for c in digits)
