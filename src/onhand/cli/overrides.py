"""What a channel says otherwise than its connector, from a file: `overrides=@FILE` among its settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console

err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
_MARK: Final = "overrides=@"


def overrides_of(settings: Sequence[str]) -> tuple[Any, list[str]]:
    """(what the file says, the other settings). Exits 2 if it cannot be read."""
    from onhand.documents.text import Unreadable, read

    given = [setting for setting in settings if setting.startswith(_MARK)]
    others = [setting for setting in settings if setting not in given]
    if not given:
        return None, others
    file = Path(given[-1].removeprefix(_MARK))
    try:
        return read(file.read_text("utf-8")).value, others
    except Unreadable as error:
        err.print(f"error: {file}:{error.place.line}:{error.place.column}: {error}; {error.remedy}")
    except (OSError, UnicodeDecodeError) as error:
        err.print(f"error: {file}: {(error.strerror if isinstance(error, OSError) else None) or error}")
    raise typer.Exit(2)
