"""A connector held against the description that it names, or that is given: findings with file, line and remedy."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onhand.base.fields import path_of
from onhand.connectors._sdk import filling
from onhand.connectors._sdk.contracts import described, spoken
from onhand.connectors._sdk.contracts.described import Described, Operation, Uncheckable, content_of, document_of
from onhand.connectors._sdk.contracts.fitting import Fitting, Problem, listed
from onhand.connectors._sdk.lint import operations
from onhand.connectors._sdk.registry import FILE
from onhand.connectors._sdk.vocabulary import ConnectorIn, LoginIn, RequestIn
from onhand.documents.findings import Finding, by_place, did_you_mean, found_at
from onhand.documents.text import Document, Location, read

_ORIGIN: Final = re.compile(r"https?://[^/]*|\{[^{}]*\}")
_BLANK: Final = re.compile(r"\{[^{}]*\}")
_SETTING: Final = re.compile(r"\{settings\.([a-z0-9_]+)\}")
_PLACEHOLDER: Final = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A finding, and the file in the connector's folder that it is about."""

    file: str
    finding: Finding

    def __str__(self) -> str:
        return f"{self.file}:{self.finding}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request of a connector and where it stands; lists: see `Fitting`."""

    location: Location
    request: RequestIn
    lists: Mapping[str, tuple[Location, Any]]


def against_contract(folder: Path, connector: ConnectorIn, given: Path | None = None) -> list[Told]:
    """What of a connector does not fit the description of its channel's interface; nothing without a description.

    A connector names files in its own folder (`contract`), with `{version}` in the name for each version. Of GraphQL
    each is a version of its own; OpenAPI may be divided over several files, and a request fits if one of them has it.

    given  a file that is the description instead; or the folder in which the named ones are
    Raises Uncheckable for a description that cannot be read, OSError.
    """
    document = read(content_of(folder / FILE))
    files, missing = _files(folder, connector, given)
    found = [_missing(document, name, folder if given is None else given) for name in missing]
    whole: list[Described] = []
    for version, file in files.items():
        kind, content = document_of(file)
        if kind == "graphql":
            found += _graphql(folder, connector, document, spoken.schema_of(content), version)
        else:
            whole.append(_described(file, kind, content))
    if whole:
        for asked in _requests(connector):
            problems = _of_request(connector, asked, whole, is_whole=not missing)
            found += [Told(file=FILE, finding=_finding(document, problem)) for problem in problems]
    return _sorted(found)


def _described(file: Path, kind: described.Kind, content: Any) -> Described:
    try:
        return described.openapi(content) if kind == "openapi" else described.wordpress(content)
    except (AttributeError, LookupError, TypeError, re.error) as error:
        raise Uncheckable(
            f"{file}: no {kind} description: something in it is not what it has to be ({error})"
        ) from None


def _files(folder: Path, connector: ConnectorIn, given: Path | None) -> tuple[dict[str, Path], list[str]]:
    """({what it is called if there are several: file}, names of those that are not there)."""
    if given is not None and not given.is_dir():
        return {"": given}, []
    if connector.contract is None:
        return {}, []
    names = {connector.contract.file.replace("{version}", version): version for version in connector.contract.versions}
    base = given or folder
    there = {
        version if len(names) > 1 else "": base / name for name, version in names.items() if (base / name).is_file()
    }
    return there, [name for name in names if not (base / name).is_file()]


def _missing(document: Document, name: str, base: Path) -> Told:
    message = f"there is no {name!r} in {base}: requests are not held against it"
    place = document.place(("contract", "file"))
    remedy = "put it there, or say where it is with --contract"
    return Told(file=FILE, finding=found_at("warning", place, "contract.file", message, remedy))


def _finding(document: Document, problem: Problem, version: str = "") -> Finding:
    location = tuple("json" if part == "json_" else part for part in problem.location)
    message = f"{problem.message} in {version}" if version else problem.message
    place = document.place(location, of_name=problem.of_name)
    return found_at("error", place, path_of(location), message, problem.remedy)


def _sorted(found: Sequence[Told]) -> list[Told]:
    by_file: dict[str, list[Finding]] = {}
    for told in dict.fromkeys(found):
        by_file.setdefault(told.file, []).append(told.finding)
    names = sorted(by_file, key=lambda name: (name != FILE, name))
    return [Told(file=name, finding=finding) for name in names for finding in by_place(by_file[name])]


def _requests(connector: ConnectorIn) -> Iterator[_Asked]:
    if isinstance(connector.auth, LoginIn):
        yield _Asked(location=("auth", "request"), request=connector.auth.request, lists={})
    for _, at, operation in operations(connector):
        batch = operation.batch
        lists = {} if batch is None else {"{items}": ((*at, "batch", "item"), batch.item)}
        if operation.request is not None:
            yield _Asked(location=(*at, "request"), request=operation.request, lists=lists)
        for n, step in enumerate(operation.steps):
            yield _Asked(location=(*at, "steps", n, "request"), request=step.request, lists=lists)


# GraphQL --------------------------------------------------------------------------------------------------------------


def _graphql(folder: Path, connector: ConnectorIn, document: Document, schema: Any, version: str) -> Iterator[Told]:
    wrong: dict[str, bool] = {}
    for asked in _requests(connector):
        name = asked.request.graphql
        if name is None:
            continue
        text = content_of(folder / name)
        if name not in wrong:
            told = spoken.wrong_document(schema, text)
            wrong[name] = bool(told)
            for place, said, remedy in told:
                message = f"{said} in {version}" if version else said
                yield Told(file=name, finding=found_at("error", place, "", message, remedy))
        if not wrong[name]:
            at = (*asked.location, "variables")
            for problem in spoken.wrong_variables(schema, text, asked.request.variables, asked.lists, at):
                yield Told(file=FILE, finding=_finding(document, problem, version))


# Paths, queries and bodies --------------------------------------------------------------------------------------------


def _of_request(
    connector: ConnectorIn, asked: _Asked, whole: Sequence[Described], *, is_whole: bool
) -> Iterator[Problem]:
    """What is wrong with a request. is_whole: what none of the descriptions has is unknown to the channel."""
    request, at = asked.request, asked.location
    if request.graphql is not None or _is_of_answer(request.path):
        return
    path, _, in_path = request.path.partition("?")
    fitting: list[tuple[Described, Operation]] = []
    methods: set[str] = set()
    for one in whole:
        here = _operations_at(connector, path, one)
        methods |= {operation.method for operation in here}
        fitting += [(one, operation) for operation in here if operation.method == request.method][:1]
    for one, operation in fitting:
        yield from _of_query(asked, in_path, one, operation)
        yield from _of_body(asked, one, operation)
    if fitting or not is_whole:
        return
    if methods:
        yield Problem(
            location=(*at, "method"), message=f"{request.method} is not possible at {path}", remedy=listed(methods)
        )
        return
    known = list(dict.fromkeys(operation.shown for one in whole for operation in one.operations))
    remedy = did_you_mean(path, known, "compare it with the paths of the description")
    if path in known:
        bases = " or ".join(repr(base) for one in whole for base in one.bases)
        remedy = f"end base_url in what stands before it there, which is {bases}"
    yield Problem(location=(*at, "path"), message=f"{path or 'an empty path'} is not described", remedy=remedy)


def _is_of_answer(path: str) -> bool:
    """Whether a whole URL is meant that an answer gave."""
    return path.startswith("{") and not path.startswith("{settings.")


def _operations_at(connector: ConnectorIn, path: str, one: Described) -> list[Operation]:
    base = _ORIGIN.sub("", connector.base_url, count=1).rstrip("/")
    if path.startswith(("http://", "https://", "{")):
        base, path = "", _ORIGIN.sub("", path, count=1)
    for candidate in _candidates(base, path, one.bases):
        if found := one.at(_BLANK.sub(_PLACEHOLDER, _with_defaults(candidate, connector))):
            return found
    for candidate in _candidates(base, path, one.bases):
        if _SETTING.search(candidate):
            # What an operator fills in may be a part that the description writes out: a version.
            pattern = re.compile("[^/]+".join(map(re.escape, _BLANK.split(_SETTING.sub("{}", candidate)))))
            if found := [operation for operation in one.operations if pattern.fullmatch(operation.shown)]:
                return found
    return []


def _candidates(base: str, path: str, bases: Sequence[str]) -> Iterator[str]:
    """What a request's path may be among those of a description, which stand behind its own base.

    The address that the operator gives may end in some of it; and a description may not say what stands before.
    """
    whole = base + path
    for theirs in bases:
        if theirs and whole.startswith(theirs + "/"):
            yield whole.removeprefix(theirs)
        if not theirs or not base:
            yield whole
        if not theirs or theirs.endswith(base):
            yield path


def _with_defaults(path: str, connector: ConnectorIn) -> str:
    def put(match: re.Match[str]) -> str:
        setting = connector.settings.get(match[1])
        return match[0] if setting is None or setting.default is None else str(setting.default)

    return _SETTING.sub(put, path)


def _of_query(asked: _Asked, in_path: str, one: Described, operation: Operation) -> Iterator[Problem]:
    at = (*asked.location, "query")
    given = {part.partition("=")[0] for part in in_path.split("&") if part}
    fitting = Fitting(root=one.root, is_text=True)
    for name, value in asked.request.query.items():
        # Lists and objects have brackets behind their names: ids[], filter[status].
        known = name if name in operation.query else name.partition("[")[0]
        given.add(known)
        if known not in operation.query:
            remedy = did_you_mean(name, operation.query, listed(operation.query))
            message = f"{operation.method} {operation.shown} has no query parameter {name!r}"
            yield Problem(location=(*at, name), message=message, remedy=remedy, of_name=True)
        elif known == name:
            yield from fitting.misfits(value, operation.query[name], (*at, name))
    for name in sorted(operation.needed - given):
        location = at if asked.request.query else asked.location
        yield Problem(location=location, message=f"the query parameter {name!r} is missing", remedy="add it to query")


def _of_body(asked: _Asked, one: Described, operation: Operation) -> Iterator[Problem]:
    request = asked.request
    name, body = ("json_", request.json_) if request.json_ is not None else ("form", request.form)
    at = (*asked.location, name)
    if body is None:
        if operation.needs_body:
            message = f"{operation.method} {operation.shown} wants a body"
            yield Problem(location=asked.location, message=message, remedy="add json")
    elif operation.body is None:
        message = f"{operation.method} {operation.shown} has no body"
        yield Problem(location=at, message=message, remedy="remove it", of_name=True)
    elif isinstance(body, str) and next(filling.blanks(body), None) is not None and body not in asked.lists:
        return
    else:
        fitting = Fitting(root=one.root, lists=asked.lists, is_text=name == "form")
        yield from fitting.misfits(body, operation.body, at)
