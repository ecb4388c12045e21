"""The console's files as they are served: the page for its rooms, its parts for ever, nothing of the interface's."""

import gzip

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from onhand.api.console import POLICY, ConsoleFiles

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>the page")
    (tmp_path / "theme.js").write_text("1")
    (tmp_path / ".built").write_text("of what")
    (tmp_path / "assets" / "index-1a2b.js").write_text("const long = 1")
    (tmp_path / "assets" / "index-1a2b.js.gz").write_bytes(gzip.compress(b"const long = 1"))
    return tmp_path


def ask(folder, path, *, method="GET", **headers):
    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"", "app": Starlette(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    return ConsoleFiles(folder).answer(Request(scope))


def test_every_room_is_the_page_with_a_policy_and_not_kept(folder):
    for path in ("/", "/index.html", "/orders", "/stock/MUG/BLUE", "/nothing.at.all"):
        answer = ask(folder, path, **HTML)
        assert isinstance(answer, Response) and answer.body == b"<p>the page"
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert ask(folder, "/").body == b"<p>the page"


def test_named_parts_are_kept_for_ever_and_come_packed_to_who_unpacks(folder):
    plain = ask(folder, "/assets/index-1a2b.js")
    assert (plain.body, plain.headers["content-type"]) == (b"const long = 1", "text/javascript; charset=utf-8")
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    packed = ask(folder, "/assets/index-1a2b.js", **{"Accept-Encoding": "br, gzip"})
    assert (packed.headers["content-encoding"], gzip.decompress(packed.body)) == ("gzip", b"const long = 1")
    assert ask(folder, "/theme.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/docs/x", "/metrics/", "/mcp", "/assets/gone.js", "/openapi.json", "/v1"]
)
def test_what_is_not_its_own_stays_what_it_is(folder, path):
    assert ask(folder, path, **HTML) is None


@pytest.mark.parametrize("path", ["/../secret", "/assets/../.built", "/.built", "/etc/passwd", "//etc/passwd"])
def test_nothing_beside_the_files_can_be_named(folder, path):
    assert ask(folder, path) is None


def test_programs_that_mistype_an_address_get_no_page(folder):
    assert ask(folder, "/ordres", Accept="application/json") is None
    assert ask(folder, "/orders", method="POST", **HTML) is None


def test_a_checkout_that_was_not_built_says_how(tmp_path):
    answer = ask(tmp_path, "/", **HTML)
    assert answer.status_code == 404 and b"make setup" in answer.body


def test_the_server_gives_it_at_the_root_and_the_interface_stays(server):
    page = server.client.get("/", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.client.get("/v1/nothing", headers=HTML).json()["code"] == "route.not_found"
    assert server.client.get("/healthz", headers=HTML).json() == {"status": "ok"}
    assert "onhand: HTTP interface" in server.client.get("/docs", headers=HTML).text
    answer = server.client.post("/orders", headers=HTML)
    assert (answer.status_code, answer.json()["code"]) == (404, "route.not_found")
