"""What commands that work on the merchant's data have in common: the database, and rows named by the end of an id."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from onhand.errors import InvalidInput, NotFound
from onhand.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

    from onhand.db import Database

_HEX: Final = frozenset("0123456789abcdef")
_DIGITS_MIN: Final = 4


@contextmanager
def database(settings: Settings | None = None, *, pool_max: int = 2) -> "Generator[Database]":
    """The database of the settings in its newest form; an embedded server runs meanwhile."""
    from onhand.db import Database, migrate
    from onhand.db.embedded import located

    settings = settings or Settings.load()
    with located(settings.database_url, settings.home) as url:
        migrate(url)
        with Database.open(url, pool_max=pool_max) as db:
            yield db


def id_ending(
    db: "Database", given: str, ids_ending_in: "Callable[[Connection[TupleRow], str], Sequence[str]]", what: str
) -> str:
    """The id that ends in what was given, as lists show it. Raises NotFound, InvalidInput.

    what  such as "incident"
    """
    digits = given.lower().replace("-", "")
    if len(digits) < _DIGITS_MIN or not set(digits) <= _HEX:
        raise InvalidInput.at("ID", f"expected four digits or more of the end of an id, got {given!r}")
    with db.connection() as conn:
        found = ids_ending_in(conn, digits)
    if not found:
        raise NotFound(what, given)
    if len(found) > 1:
        raise InvalidInput.at("ID", f"several {what}s end in {given!r}: give more digits")
    return found[0]
