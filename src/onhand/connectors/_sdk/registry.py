"""Which connectors there are: folders of this package, folders of the operator, programs by entry point."""

import functools
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, cast

from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.interface import Connector
from onhand.connectors._sdk.lint import Linted, lint
from onhand.connectors._sdk.overriding import FIXED, SETTING, overridden
from onhand.documents.text import read

FILE: Final = "connector.yaml"
PROGRAM: Final = "program.py"
"""In a folder of this package instead of a document, or beside the one it reads: a module whose `connector()` makes
the connector."""
GROUP: Final = "onhand.connectors"
_TOLD_MAX: Final = 10
STARTER: Final = files("onhand.connectors").joinpath("_sdk", "starter.yaml").read_text("utf-8")
"""A document to begin with."""


class Unusable(Exception):
    """A connector that cannot be used; the text says why, line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A connector and where it comes from."""

    name: str
    connector: Connector
    place: str


def lint_folder(folder: Path | Traversable) -> Linted:
    """What is wrong with the connector in a folder. Raises FileNotFoundError."""
    return lint(_text(folder, FILE), read_file=lambda name: _text_or_none(folder, name), folder=folder.name)


def read_folder(folder: Path | Traversable) -> Connector:
    """The connector in a folder. Raises Unusable, FileNotFoundError."""
    linted = lint_folder(folder)
    if linted.connector is None:
        raise Unusable("\n".join(f"{folder.name}/{FILE}:{finding}" for finding in linted.findings))
    return Declared(linted.connector, _documents(folder))


def read_text(text: str) -> Connector:
    """A connector that is one text. Raises Unusable."""
    linted = lint(text, read_file=lambda _: None)
    if linted.connector is None:
        raise Unusable("\n".join(f"{FILE}:{finding}" for finding in linted.findings))
    return Declared(linted.connector)


def _text(folder: Path | Traversable, name: str) -> str:
    return folder.joinpath(name).read_text("utf-8")


def _text_or_none(folder: Path | Traversable, name: str) -> str | None:
    if "/" in name or "\\" in name or name.startswith("."):
        return None
    try:
        return _text(folder, name)
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        return None


def built_in() -> list[str]:
    """Names of the connectors of this package."""
    return sorted(
        folder.name
        for folder in files("onhand.connectors").iterdir()
        if folder.is_dir()
        and not folder.name.startswith("_")
        and any(folder.joinpath(file).is_file() for file in (FILE, PROGRAM))
    )


@functools.cache
def _of_package(name: str) -> Connector:
    folder = files("onhand.connectors").joinpath(name)
    if folder.joinpath(PROGRAM).is_file():
        return importlib.import_module(f"onhand.connectors.{name}.program").connector()
    return read_folder(folder)


def find(name: str, *, folder: Path | None = None) -> Found:
    """The connector called `name`: one in `folder` goes before one of ours. Raises Unusable; LookupError if there is
    none, with what there is."""
    if folder is not None and folder.joinpath(name, FILE).is_file():
        return Found(name=name, connector=read_folder(folder / name), place=str(folder / name))
    if name in built_in():
        return Found(name=name, connector=_of_package(name), place="onhand")
    for entry in entry_points(group=GROUP, name=name):
        try:
            make: Callable[[], Any] = entry.load()
            return Found(name=name, connector=make(), place=entry.value)
        except Exception as error:
            raise Unusable(f"{entry.value} does not load: {type(error).__name__}: {error}"[:500]) from error
    raise LookupError(f"no connector is called {name!r}: there are {', '.join(names(folder=folder))}")


def for_channel(name: str, settings: Mapping[str, Any], *, folder: Path | None = None) -> Connector:
    """The connector called `name`, with what the settings of a channel say otherwise (overriding.py). Raises Unusable,
    which names the fields that are wrong; LookupError if there is none."""
    overrides = settings.get(SETTING)
    if not overrides:
        return find(name, folder=folder).connector
    if not isinstance(overrides, Mapping):
        raise Unusable("expected an object: parts of connector.yaml that are otherwise for this channel")
    by = cast("Mapping[str, Any]", overrides)
    if fixed := [part for part in FIXED if part in by]:
        raise Unusable(f"{', '.join(fixed)}: fixed, whatever the channel")
    place, program = None if folder is None else folder / name, ""
    if place is None or not place.joinpath(FILE).is_file():
        if name not in built_in():
            find(name, folder=folder)
            raise Unusable(f"{name} is a program: it has no document that could be otherwise")
        place = files("onhand.connectors").joinpath(name)
        program = name if place.joinpath(PROGRAM).is_file() else ""
    return _otherwise(_text(place, FILE), tuple(sorted(_documents(place).items())), json.dumps(by), program)


@functools.lru_cache(maxsize=256)
def _otherwise(text: str, documents: tuple[tuple[str, str], ...], overrides: str, program: str) -> Connector:
    made = overridden(read(text).value, json.loads(overrides))
    beside = dict(documents)
    linted = lint(json.dumps(made), read_file=beside.get)
    if linted.connector is None:
        # Its lines are of no text that anybody wrote.
        told = [f"{finding.path}: {finding.message}; {finding.remedy}" for finding in linted.errors]
        raise Unusable("\n".join(told[:_TOLD_MAX]))
    if program:  # it does more than its document says
        return importlib.import_module(f"onhand.connectors.{program}.program").of(linted.connector)
    return Declared(linted.connector, beside)


def _documents(folder: Path | Traversable) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".graphql")}


def names(*, folder: Path | None = None) -> list[str]:
    """All names that `find` knows."""
    own = (
        []
        if folder is None or not folder.is_dir()
        else [f.name for f in folder.iterdir() if f.joinpath(FILE).is_file()]
    )
    return sorted({*own, *built_in(), *(entry.name for entry in entry_points(group=GROUP))})
