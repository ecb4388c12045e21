"""A TCP proxy before PostgreSQL that cuts the connection at a chosen moment."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Proxy:
    """Forwards until the client sends `cut_at`; then drops the answer to it, and the connection.

    url  the server's address through this proxy
    """

    def __init__(self, url: str, *, cut_at: bytes, before: bool = False) -> None:
        to = conninfo_to_dict(url)
        self._host, self._port = str(to.get("host", "127.0.0.1")), int(to.get("port") or 5432)
        self._cut_at, self._before = cut_at, before
        self.armed = False
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = make_conninfo(
            url, host="127.0.0.1", port=self._listener.getsockname()[1], sslmode="disable", gssencmode="disable"
        )
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._upstream()
                cut = threading.Event()
                for run in (self._to_server, self._to_client):
                    thread = threading.Thread(target=run, args=(client, server, cut), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _upstream(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(Path(self._host) / f".s.PGSQL.{self._port}"))
            return server
        return socket.create_connection((self._host, self._port))

    def _to_server(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while sent := client.recv(65536):
                if self.armed and self._cut_at in sent:
                    self.armed = False
                    self.cuts += 1
                    if self._before:
                        break
                    cut.set()
                server.sendall(sent)
        _hang_up(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while answer := server.recv(65536):
                if cut.is_set():
                    break
                client.sendall(answer)
        _hang_up(client, server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes a thread in accept, which closing alone does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
