"""Backup to one file and restore from it, with pg_dump and pg_restore, for embedded and external servers alike.

A backup is a consistent snapshot and may be taken while others write. A restore goes into an empty database; its
events get transaction ids of their own there (see `adopt_history`), so that consumers neither lose nor repeat one.
"""

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from onhand.db.history import adopt_history
from onhand.db.migrate import migrations
from onhand.db.programs import Programs, find_client
from onhand.db.queries import queries
from onhand.errors import Conflict, DatabaseUnavailable, SchemaMismatch, SettingsError

SQL = queries(__file__)

_ASIDE = "onhand_before_restore"
# A row of the table `migration` as pg_restore prints it: number, name, checksum, moment.
_MIGRATION_ROW = re.compile(r"^(\d+)\t(\w+)\t[0-9a-f]{64}\t", re.MULTILINE)


def backup(url: str, path: Path) -> int:
    """Write a consistent copy of the database at `url` to the new file `path`; its size in bytes.

    The file is readable by its owner only: it holds personal data and the hashes of keys. It appears under its name
    when it is whole. Raises SettingsError (file exists or cannot be written, no pg_dump) and DatabaseUnavailable.
    """
    with _connect(url) as conn:
        major = conn.info.server_version // 10_000
    programs = find_client("pg_dump", major)
    if path.exists():
        raise SettingsError(f"{path} exists; choose another name for the backup")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    try:
        _run(url, programs["pg_dump"], "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        # A link, unlike a rename, does not overwrite a file that came up meanwhile.
        path.hardlink_to(partial)
        return path.stat().st_size
    except FileExistsError:
        raise SettingsError(f"{path} exists; choose another name for the backup") from None
    finally:
        partial.unlink(missing_ok=True)


def restore(url: str, path: Path, *, force: bool = False) -> None:
    """Fill the empty database at `url` from the backup `path`. No other process may use it meanwhile.

    force  replace what the database holds; it is dropped when the restore has succeeded

    Raises Conflict if the database is not empty, SchemaMismatch if a newer version of onhand made the backup,
    SettingsError if it is no backup at all, DatabaseUnavailable. After an error the database is as it was.
    Run `migrate` afterwards: the backup may be older than the code.
    """
    with _connect(url) as conn:
        programs = find_client("pg_restore", conn.info.server_version // 10_000)
        _refuse_unknown(programs["pg_restore"], path)
        held = [name for (name,) in conn.execute(SQL["own_relations"])]
        if held and not force:
            raise Conflict(
                "database.not_empty",
                f"the database is not empty (it has {', '.join(held[:3])} and more): restore into an empty one,"
                " or say --force to replace it",
            )
        # Renamed, not dropped: a restore that fails gives it back.
        conn.execute(f"DROP SCHEMA IF EXISTS {_ASIDE} CASCADE".encode())
        conn.execute(f"ALTER SCHEMA public RENAME TO {_ASIDE}".encode())
        conn.execute("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")
        try:
            _load(url, programs, path)
            with conn.transaction():
                adopt_history(conn)
        except BaseException:
            conn.execute("DROP SCHEMA IF EXISTS public CASCADE")
            conn.execute(f"ALTER SCHEMA {_ASIDE} RENAME TO public".encode())
            raise
        conn.execute(f"DROP SCHEMA {_ASIDE} CASCADE".encode())
        conn.execute("ANALYZE")


def _refuse_unknown(pg_restore: str, path: Path) -> None:
    """Look into the archive before anything is touched."""
    if not path.is_file():
        raise SettingsError(f"{path}: no such file")
    rows = subprocess.run(  # noqa: S603
        [pg_restore, "--data-only", "--table=migration", "--file=-", path],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    made_by = {int(number): name for number, name in _MIGRATION_ROW.findall(rows.stdout)}
    if not made_by:
        raise SettingsError(f"{path} is not a backup of onhand: {rows.stderr.strip() or 'it has no migrations'}")
    known = {m.number for m in migrations()}
    for number, name in made_by.items():
        if number not in known:
            raise SchemaMismatch(f"{path} was made by a newer version of onhand ({number:04d}_{name}); use that one")


def _connect(url: str) -> Connection[TupleRow]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="onhand backup")
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {' '.join(str(error).split())}") from error


def _load(url: str, programs: Programs, path: Path) -> None:
    """pg_restore through psql, in one transaction.

    Not by pg_restore alone: it sends the settings of its own version, which an older server refuses.
    """
    target, environment = _target(url)
    read = [programs["pg_restore"], "--no-owner", "--no-privileges", "--file=-", str(path)]
    load = [programs["psql"], "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={target}"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(read, stdout=subprocess.PIPE, stderr=said) as reader,  # noqa: S603
        subprocess.Popen(  # noqa: S603
            load, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=environment
        ) as loader,
    ):
        assert reader.stdout is not None
        assert loader.stdin is not None
        # The loader may give up at any moment; its exit code tells.
        with suppress(BrokenPipeError), loader.stdin as script:
            script.write(b"BEGIN;\n")
            for line in reader.stdout:
                if not line.startswith(b"SET transaction_timeout"):  # since 17
                    script.write(line)
                if line.startswith(b"SELECT pg_catalog.set_config"):
                    break  # the end of the settings
            shutil.copyfileobj(reader.stdout, script)
            # Without this word nothing stays, so a torn archive must not come to it.
            if reader.wait() == 0:
                script.write(b"COMMIT;\n")
        reader.stdout.close()
        if loader.wait() or reader.wait():
            said.seek(0)
            text = " ".join(said.read().decode("utf-8", "replace").split())
            raise DatabaseUnavailable(f"the restore failed and was undone: {text}")


def _run(url: str, program: str, *options: str) -> None:
    target, environment = _target(url)
    done = subprocess.run(  # noqa: S603
        [program, *options, f"--dbname={target}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise DatabaseUnavailable(f"{Path(program).name} failed: {' '.join(done.stderr.split())}")


def _target(url: str) -> tuple[str, dict[str, str]]:
    """`url` without its password, and the environment that holds it.

    A command line is visible to every user of the machine, an environment is not.
    """
    stated: dict[str, Any] = conninfo_to_dict(url)
    password = stated.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    return make_conninfo(**stated), os.environ | secret | {"LC_MESSAGES": "C"}
