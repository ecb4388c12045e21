"""Which connector `onhand channel kit`, `record` and `test` are about: a folder, a name, or a piece of Python."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from onhand.connectors import FILE, Connector, Unusable, built_in, find, read_folder, status_of
from onhand.flows.accounts import FOLDER
from onhand.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A connector, where its recordings lie, and the status that it claims."""

    connector: Connector
    folder: Path
    status: str


def examined(given: str) -> Examined:
    """What `given` stands for. Raises Unusable, LookupError, FileNotFoundError."""
    path = Path(given)
    if path.is_dir() or path.name == FILE:
        folder = (path.parent if path.name == FILE else path).resolve()
        return _of(_in(folder), folder)
    if ":" in given:
        return _of_python(given)
    found = find(given, folder=own_folder())
    if found.place == "onhand":
        return _of(found.connector, Path(str(files("onhand.connectors").joinpath(given))))
    if Path(found.place).is_dir():
        return _of(found.connector, Path(found.place))
    return _of_python(found.place)


def own_folder() -> Path:
    """Where connectors of this installation's own lie, if there are any."""
    return Settings.load().home / FOLDER


def _in(folder: Path) -> Connector:
    """One of ours may have a program beside its document: then that is it."""
    if folder.name in built_in() and folder == Path(str(files("onhand.connectors").joinpath(folder.name))).resolve():
        return find(folder.name).connector
    if not folder.joinpath(FILE).is_file():
        raise FileNotFoundError(f"there is no {FILE} in it; a program is named as package.module:function")
    return read_folder(folder)


def _of_python(place: str) -> Examined:
    """The connector that an entry point makes, which need not be installed: its module is looked for here as well."""
    module, _, name = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        loaded = importlib.import_module(module)
        make: Callable[[], Any] = getattr(loaded, name)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{place}: {error}") from None
    made = make()
    if lacking := [name for name in ("name", "capabilities", "settings", "credentials") if not hasattr(made, name)]:
        raise Unusable(f"{place} makes no connector: it has no {', no '.join(lacking)}")
    return _of(made, Path(loaded.__file__ or here).resolve().parent)


def _of(connector: Connector, folder: Path) -> Examined:
    return Examined(connector=connector, folder=folder, status=status_of(connector))
