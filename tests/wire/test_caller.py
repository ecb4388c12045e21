"""The guarded client: where it connects, and what it refuses."""

import asyncio
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest

from onhand.base.addresses import WebAddress
from onhand.wire import Caller, Guard, NotReachable, Request, caller

PLAIN = ssl.create_default_context()


def post(url, *, allow_private=True, tls=PLAIN):
    async def go():
        async with Caller(Guard(allow_private=allow_private), tls) as out:
            return await out.post(url, b"{}", {"content-type": "application/json"})

    return asyncio.run(go())


@contextmanager
def raw_server(answer, tls=None):
    """Answers each connection with bytes, or by calling `answer(connection)`; yields port and what came."""
    requests = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        talk = tls.wrap_socket(connection, server_side=True) if tls else connection
                        requests.append(talk.recv(65536))
                        if callable(answer):
                            answer(talk)
                        else:
                            talk.sendall(answer)
                    except OSError as error:
                        requests.append(type(error).__name__.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], requests
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def names(monkeypatch, table):
    """Make the name server say what `table` says: name -> addresses, one list per question."""
    real = socket.getaddrinfo
    asked = []

    def getaddrinfo(host, port, *args, **options):
        if host in table:
            asked.append(host)
            answers = table[host]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:169.254.169.254]", "169.254.169.254", "10.1.2.3", "[64:ff9b::7f00:1]", "[fe80::1]"],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_called(host):
    with raw_server(OK) as (port, requests), pytest.raises(NotReachable):
        post(f"http://{host}:{port}/", allow_private=False)
    assert requests == []


def test_one_private_address_among_public_ones_spoils_the_name(monkeypatch):
    names(monkeypatch, {"mixed.example": [["8.8.8.8", "127.0.0.1"]]})
    with pytest.raises(NotReachable, match="not a public one"):
        post("http://mixed.example/", allow_private=False)


def test_a_name_that_changes_its_mind_is_asked_once_and_called_where_it_was_checked(monkeypatch):
    with raw_server(OK) as (port, requests):
        asked = names(monkeypatch, {"rebind.example": [["127.0.0.1"], ["127.0.0.2"]]})
        assert post(f"http://rebind.example:{port}/hook") == 200
    assert asked == ["rebind.example"]
    assert b"POST /hook HTTP/1.1" in requests[0]
    assert f"host: rebind.example:{port}".encode() in requests[0].lower()


def test_a_name_that_cannot_be_resolved_is_refused():
    with pytest.raises(NotReachable, match="cannot be resolved"):
        post("http://nothing.invalid/")


def test_the_next_address_is_tried_when_one_cannot_be_connected(monkeypatch):
    with raw_server(OK) as (port, _):
        names(monkeypatch, {"two.example": [["127.0.0.9", "127.0.0.1"]]})
        assert post(f"http://two.example:{port}/") == 200


def test_the_whole_exchange_has_a_deadline(monkeypatch):
    """A byte now and then resets every time-out of a socket, but not this one."""
    monkeypatch.setattr(caller, "TIMEOUT_S", 0.4)
    stop = threading.Event()

    def dribble(connection):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000:
            connection.sendall(bytes([byte]))
            if stop.wait(0.05):
                return

    with raw_server(dribble) as (port, _):
        try:
            with pytest.raises(NotReachable, match="no answer within"):
                post(f"http://127.0.0.1:{port}/")
        finally:
            stop.set()


def test_an_endless_answer_is_cut_off_after_its_status():
    sent = []

    def flood(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        while len(sent) < 10_000:
            connection.sendall(chunk)
            sent.append(1)

    with raw_server(flood) as (port, _):
        assert post(f"http://127.0.0.1:{port}/") == 200
    assert len(sent) < 1_000


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000, b"SSH-2.0-OpenSSH\r\n"]
)
def test_an_answer_that_is_none_is_a_failure_that_quotes_nothing(answer):
    with raw_server(answer) as (port, _), pytest.raises(NotReachable) as raised:
        post(f"http://127.0.0.1:{port}/")
    assert "SSH" not in str(raised.value)
    assert "garbage" not in str(raised.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of shop.example, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example",
         "-addext", "subjectAltName=DNS:shop.example", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_the_certificate_is_checked_against_the_name_not_the_address(certificate, monkeypatch):
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    names(monkeypatch, {"shop.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]})
    with raw_server(OK, serving) as (port, _):
        assert post(f"https://shop.example:{port}/", tls=trusting) == 200
        with pytest.raises(NotReachable):
            post(f"https://other.example:{port}/", tls=trusting)
        with pytest.raises(NotReachable):
            post(f"https://shop.example:{port}/", tls=PLAIN)


def test_a_connection_is_used_again_for_the_same_name_only(certificate, monkeypatch):
    """Whoever has the same address, or pretends to, is no shop.example: the connection was checked for that name."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    names(monkeypatch, {"shop.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]})
    later = []

    def stay(connection):
        connection.sendall(OK)
        if not requests[1:]:
            later.append(connection.recv(65536))
            connection.sendall(OK)

    async def go(port):
        async with Caller(Guard(allow_private=True), trusting) as out:
            for name in ("shop", "shop", "other"):
                await out.post(f"https://{name}.example:{port}/", b"{}", {"authorization": name})

    with raw_server(stay, serving) as (port, requests), pytest.raises(NotReachable, match="certificate"):
        asyncio.run(go(port))
    assert (len(requests), len(later)) == (2, 1), "one connection for both to shop, and one that never was"
    assert b"other" not in b"".join(requests + later)


def test_names_that_were_called_long_ago_are_let_go(monkeypatch):
    table = {f"n{n}.example": [["127.0.0.1"]] for n in range(9)}
    names(monkeypatch, table)
    monkeypatch.setattr(caller, "_NAMES_KEPT_MAX", 3)

    async def go(port):
        async with Caller(Guard(allow_private=True), PLAIN, connections=4) as out:
            await asyncio.gather(*(out.post(f"http://{name}:{port}/", b"", {}) for name in table))
            return len(out._lines)

    with raw_server(OK.replace(b"content-length", b"connection: close\r\ncontent-length")) as (port, requests):
        assert asyncio.run(go(port)) == 3
    assert len(requests) == 9


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_a_proxy_of_the_environment_is_not_asked(name, monkeypatch):
    with raw_server(OK) as (proxy, asked), raw_server(OK) as (port, requests):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert post(f"http://127.0.0.1:{port}/") == 200
    assert asked == []
    assert len(requests) == 1


def test_what_is_sent_is_not_logged(caplog):
    caplog.set_level("DEBUG")
    with raw_server(b"HTTP/1.1 200 OK\r\nset-cookie: session=s3cret\r\ncontent-length: 6\r\n\r\ns3cret") as (port, _):

        async def go():
            async with Caller(Guard(allow_private=True), PLAIN) as out:
                headers = {"authorization": "Bearer s3cret"}
                await out.send(Request(method="GET", url=f"http://127.0.0.1:{port}/?key=s3cret", headers=headers))

        asyncio.run(go())
    assert "s3cret" not in caplog.text
    assert not [record for record in caplog.records if "s3cret" in str(record.__dict__)]


def test_a_guard_for_threads_answers_alike():
    with pytest.raises(NotReachable):
        Guard().resolve_now(WebAddress.parse("http://127.0.0.1/"))
    assert Guard(allow_private=True).resolve_now(WebAddress.parse("http://127.0.0.1/"))


def send(port, count=1, **options):
    async def go():
        async with Caller(Guard(allow_private=True), PLAIN) as out:
            request = Request(method="PATCH", url=f"http://127.0.0.1:{port}/x?a=1", body=b"{}", **options)
            return [await out.send(request) for _ in range(count)]

    return asyncio.run(go())


def test_an_answer_has_its_status_headers_and_body_whatever_the_status():
    said = (
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nset-cookie: a=b\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy"
    )
    with raw_server(said) as (port, requests):
        answers = send(port, count=2, headers={"x-key": "k"})
    assert [(a.status, a.headers["retry-after"], a.body) for a in answers] == [(429, "7", b"busy")] * 2
    assert requests[1].startswith(b"PATCH /x?a=1 HTTP/1.1\r\n")
    assert b"x-key: k" in requests[1]
    assert b"cookie" not in requests[1].lower()


def test_a_redirect_is_an_answer_and_is_not_followed():
    with raw_server(b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n") as (
        port,
        got,
    ):
        assert send(port)[0].status == 302
    assert len(got) == 1


def test_too_long_an_answer_is_refused():
    with (
        raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0123456789a") as (port, _),
        pytest.raises(NotReachable, match="longer than 10 bytes") as raised,
    ):
        send(port, answer_bytes_max=10)
    assert raised.value.was_sent


def test_it_is_told_whether_the_request_may_have_had_its_effect():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotReachable) as raised:
        send(port)
    assert not raised.value.was_sent
    with raw_server(b"") as (port, requests), pytest.raises(NotReachable) as raised:
        send(port)
    assert raised.value.was_sent
    assert requests
    stop = threading.Event()
    with raw_server(lambda _: stop.wait(20)) as (port, requests):
        try:
            with pytest.raises(NotReachable, match=r"within 0\.3 s") as raised:
                send(port, timeout_s=0.3)
        finally:
            stop.set()
    assert raised.value.was_sent
