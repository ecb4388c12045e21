"""Folders of an account, for connectors whose channel passes files."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from onhand.connectors._sdk.interface import Connection, Notes, Refused, Unavailable
from onhand.wire import Folder, NoSuchFile, NotReachable


@asynccontextmanager
async def folder_of(connection: Connection) -> AsyncGenerator[tuple[Folder, Notes]]:
    """The folder at `settings.url` of an account, open, and its notes. What fails in the block too is raised as
    Unavailable or Refused."""
    if connection.folders is None or connection.notes is None:
        raise Refused("folders cannot be opened here", code="no_folders")
    settings = connection.settings
    try:
        async with connection.folders.open(
            settings["url"], host_key=settings.get("host_key") or "", credentials=connection.credentials
        ) as folder:
            yield folder, connection.notes
    except NotReachable as error:
        raise Unavailable(str(error), was_sent=error.was_sent) from None
    except NoSuchFile:
        raise Unavailable("a file went away while it was worked with") from None
    except ValueError as error:
        raise Refused(str(error), code="settings") from None
