"""Whether a server keeps what it acknowledges: settings that would break our promises, found before they matter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db.programs import MAJOR_MAX, MAJOR_MIN

_VOLATILE = {"tmpfs", "ramfs", "overlay"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong. `error`: acknowledged work can be lost; `warning`: worth knowing."""

    severity: Literal["error", "warning"]
    setting: str
    message: str


def doctor(conn: Connection[TupleRow]) -> list[Finding]:
    """What is wrong with the server behind `conn`, errors first; empty when all is well."""
    values: dict[str, str] = dict(
        conn.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit',"
            " 'data_checksums', 'max_prepared_transactions', 'data_directory')"
        ).fetchall()
    )
    found: list[Finding] = []

    def add(severity: Literal["error", "warning"], setting: str, message: str) -> None:
        found.append(Finding(severity=severity, setting=setting, message=message))

    if values["fsync"] == "off":
        add("error", "fsync", "fsync is off: a power cut can destroy the database; turn it on")
    if values["full_page_writes"] == "off":
        add("error", "full_page_writes", "full_page_writes is off: a power cut can tear pages; turn it on")
    if values["synchronous_commit"] == "off":
        add("error", "synchronous_commit", "synchronous_commit is off: a crash loses acknowledged work; turn it on")
    major = conn.info.server_version // 10_000
    if major < MAJOR_MIN:
        add("error", "server_version", f"PostgreSQL {major} is too old: {MAJOR_MIN} or newer is needed")
    if major > MAJOR_MAX:
        add("warning", "server_version", f"PostgreSQL {major} is newer than what was tested ({MAJOR_MAX})")
    if values["data_checksums"] == "off":
        add("warning", "data_checksums", "no data checksums: damage on disk goes unnoticed (pg_checksums --enable)")
    if values["max_prepared_transactions"] != "0":
        add(
            "warning",
            "max_prepared_transactions",
            "prepared transactions are allowed: one that is forgotten stops every consumer of events; set it to 0",
        )
    # Shown to privileged roles only, and of use only where the server is on this machine.
    folder = values.get("data_directory")
    if folder and conn.info.host.startswith("/") and (kind := _file_system(Path(folder))) in _VOLATILE:
        add("warning", "data_directory", f"{folder} is on {kind}: its data end with the machine or container")
    return sorted(found, key=lambda f: f.severity)


def _file_system(folder: Path) -> str | None:
    """Type of the file system that holds `folder`, on Linux."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return None
    mounts = {Path(mount): kind for _, mount, kind, *_ in (line.split(" ") for line in lines)}
    return next((mounts[p] for p in (folder, *folder.parents) if p in mounts), None)
