"""The console: files of a built web page, as they lie in `console/` beside this module.

`make setup` builds them from the folder `console/` of the repository; a wheel brings them along. What is named by its
content is kept by browsers for ever, the page itself is asked for each time. Nothing but the page's own files may run
in it or be reached from it.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_FOLDER: Final = "console"
_PAGE: Final = "index.html"
# Vite puts a hash of the content into the names of these.
_FOR_EVER: Final = "assets/"
_API: Final = ("v1", "sign-in", "healthz", "readyz", "metrics", "openapi.json", "docs", "mcp")
# Of our own: what the standard library says depends on the machine.
_TYPES: Final = {
    "html": "text/html", "js": "text/javascript", "css": "text/css", "json": "application/json", "svg": "image/svg+xml",
    "woff2": "font/woff2", "md": "text/markdown",
}  # fmt: skip

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}

_NOT_BUILT: Final = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>onhand</title>
<h1>The console has not been built</h1>
<p>This is a checkout of onhand whose web console is still source code. Build it once, with Node.js 20.19 or later or
without any (<code>make</code> brings one along):</p>
<pre>make setup</pre>
<p>The interface for programs works without it: <a href="/docs">/docs</a>.</p>
</html>
"""


class ConsoleFiles:
    """The built files of `folder`, read once each; nothing that lies elsewhere can be named."""

    def __init__(self, folder: Traversable) -> None:
        self._files = dict(_walk(folder, ""))
        self._bytes: dict[str, bytes] = {}

    @property
    def is_built(self) -> bool:
        return _PAGE in self._files

    def answer(self, request: Request) -> Response | None:
        """The file or the page at the address that is asked for; None if it is not the console's.

        Rooms of the console have addresses that only the page knows. They give the page to whoever reads HTML, which
        browsers do and programs that mistype an address of the interface do not.
        """
        name = request.scope["path"].removeprefix("/")
        if request.method not in ("GET", "HEAD") or name.partition("/")[0] in _API:
            return None
        if name in self._files and name != _PAGE:
            return self._file(request, name)
        if name in ("", _PAGE) or ("text/html" in request.headers.get("accept", "") and not name.startswith(_FOR_EVER)):
            return self._page(request)
        return None

    def _page(self, request: Request) -> Response:
        if not self.is_built:
            return HTMLResponse(_NOT_BUILT, 404, _HEADERS | {"content-security-policy": "default-src 'none'"})
        response = self._file(request, _PAGE)
        response.headers["content-security-policy"] = POLICY
        return response

    def _file(self, request: Request, name: str) -> Response:
        kept = "public, max-age=31536000, immutable" if name.startswith(_FOR_EVER) else "no-cache"
        headers = _HEADERS | {"cache-control": kept, "vary": "accept-encoding"}
        packed = f"{name}.gz"
        if packed in self._files and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            body = self._read(packed)
        else:
            body = self._read(name)
        media_type = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        return Response(body, 200, headers, media_type=media_type)

    def _read(self, name: str) -> bytes:
        if name not in self._bytes:
            self._bytes[name] = self._files[name].read_bytes()
        return self._bytes[name]


def built() -> ConsoleFiles:
    """What was built into this package."""
    return ConsoleFiles(files("onhand.api") / _FOLDER)


def _walk(folder: Traversable, prefix: str) -> "list[tuple[str, Traversable]]":
    if not folder.is_dir():
        return []
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            found.append((prefix + entry.name, entry))
    return found
