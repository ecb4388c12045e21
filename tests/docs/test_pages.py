"""All pages: commands, options and routes that they name are there, documents are sound, links lead somewhere, and
nothing on them asks the network."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML
from tests.docs.reference import commands_of

from onhand.cli import build
from onhand.connectors import lint as lint_connector
from onhand.incidents.playbooks.lint import lint as lint_playbook
from onhand.sourcing.policies.lint import lint as lint_policy
from onhand.twin.scenarios.document import parse as parse_scenario

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "examples/README.md", "benchmarks/README.md")),
    *(page for page in sorted(DOCS.rglob("*.md")) if "reference" not in page.parts),  # that is written by the product
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCED = re.compile(r"^(?P<in> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=in)```$", re.M | re.S)
INLINE = re.compile(r"`(onhand [^`\n]+)`")
INDENTED = re.compile(r"^ {4}(?P<line>onhand .+)$", re.M)
ROUTE = re.compile(r"\b(GET|PUT|POST|DELETE|PATCH) +(?:\$ONHAND|https?://[\w.:]+)?(/[\w./{}$-]+)")
PATH = re.compile(r"(?<![\w}])(?:\$ONHAND|localhost:8080|127\.0\.0\.1:8080)?(/v1/[\w./{}$-]+)")
ASKED = re.compile(r"\b(GET|PUT|POST|DELETE) \"?(/v1/[\w./{}$-]+)\?([\w=&.$:,*-]+)")
LINK = re.compile(r"(?<!\\)\]\((?P<to>[^)\s]+)\)")
# Words that a page writes where a reader has something of his own.
OWN = re.compile(r"\$?[A-Z][A-Z_0-9]*\]?|\.\.\.|\[.*|…")


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    return commands_of(typer.main.get_command(build()))


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    """Method and path of every operation, as tests/golden keeps them."""
    rows = (ROOT / "tests/golden/routes.txt").read_text("utf-8").splitlines()
    return {(method, path) for method, path, *_ in map(str.split, rows)}


@pytest.fixture(scope="module")
def parameters() -> dict[tuple[str, str], set[str]]:
    """Names of what may stand in the query of an operation, as the reference has them."""
    found: dict[tuple[str, str], set[str]] = {}
    for page in (DOCS / "reference/api").glob("*.md"):
        for section in re.split(r"^## ", page.read_text("utf-8"), flags=re.M):
            if operation := re.match(r"`([A-Z]+) (\S+)`", section):
                found[operation[1], operation[2]] = set(re.findall(r"^\| `([\w-]+)`[^|]*\| query \|", section, re.M))
    return found


def lines_with_commands(text: str) -> Iterator[str]:
    for block in FENCED.finditer(text):
        if block["language"] in ("", "sh", "bash", "console", "text"):
            whole = block["text"].replace("\\\n", " ")
            for line in whole.splitlines():
                found = re.match(r"\s*(?:\$ )?(?:\w+=\S+ )*(onhand [^#|&>;]+)", line)
                if found and not re.match(r"onhand (listens|is)\b", found[1]):
                    # Two spaces and words behind them are a remark, as `onhand COMMAND   what it does`.
                    yield re.split(r" {3,}", found[1])[0].strip()
    without = FENCED.sub("", text)
    yield from (m[1] for m in INLINE.finditer(without))
    yield from (re.split(r" {3,}|#", m["line"])[0].strip() for m in INDENTED.finditer(without))


def wrong_with(line: str, commands: dict[str, Any]) -> str | None:
    try:
        words = shlex.split(line)
    except ValueError as error:
        return f"{line}: {error}"
    called = "onhand"
    at = 1
    while at < len(words) and any(
        c == f"{called} {words[at]}" or c.startswith(f"{called} {words[at]} ") for c in commands
    ):
        called = f"{called} {words[at]}"
        at += 1
    rest = words[at:]
    if called not in commands:
        # A group by its name, or what holds for all: `onhand --help`.
        alone = not rest or rest[0].startswith("-") or OWN.fullmatch(rest[0])
        return None if alone else f"{line}: no command {called} {rest[0]}"
    options = {opt for p in commands[called].params for opt in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    unknown = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options]
    # Connectors have settings of their own, which are no options.
    return f"{line}: {called} has no {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", NAMES)
def test_commands_and_options_are_there(page: str, commands: dict[str, Any]) -> None:
    assert [w for line in lines_with_commands(text_of(page)) if (w := wrong_with(line, commands))] == []


def fits(path: str, template: str) -> bool:
    """Whether a path, with anything for its ids, is that of a route."""
    ours, theirs = path.rstrip("/").split("/"), template.split("/")
    return len(ours) == len(theirs) and all(
        their.startswith("{") or our == their for our, their in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("page", NAMES)
def test_routes_are_there(page: str, routes: set[tuple[str, str]]) -> None:
    text = text_of(page)
    # What others send is checked by their signatures, not by a key, and is not in the OpenAPI document.
    served = {"/v1/channels/{code}/inbound", "/v1/carriers/{code}/inbound"}
    routes = routes | {("POST", path) for path in served}
    named = [(method, path.rstrip(".")) for method, path in ROUTE.findall(text) if path.startswith("/v1/")]
    missing = [f"{m} {p}" for m, p in named if not any(m == method and fits(p, t) for method, t in routes)]
    known = {path for _, path in routes}
    for path in (found.rstrip(".") for found in PATH.findall(text)):
        # `/v1/incidents/...` stands for all below.
        below = path.endswith("/") and any(t.startswith(path) for t in known)
        if not below and not any(fits(path, t) for t in known):
            missing.append(path)
    assert missing == []


def _shown_elsewhere(_name: str) -> str | None:
    """A file that lies beside a connector is no part of what a page shows."""
    return None


@pytest.mark.parametrize("page", NAMES)
def test_documents_are_sound(page: str) -> None:
    wrong: list[str] = []
    for block in FENCED.finditer(text_of(page)):
        text, language = block["text"], block["language"]
        if language == "python":
            ast.parse(text)
        elif language == "json" and "..." not in text and "…" not in text.replace("…", ""):
            json.loads(text)
        elif language in ("yaml", "yml"):
            document = YAML(typ="safe").load(text)
            keys = set(document) if isinstance(document, dict) else set()
            if {"on", "steps"} <= keys or {True, "steps"} <= keys:
                wrong += [str(finding) for finding in lint_playbook(text).findings]
            elif {"events", "days"} <= keys:
                wrong += [str(finding) for finding in parse_scenario(text)[1]]
            elif {"connector", "operations"} <= keys:
                wrong += [str(finding) for finding in lint_connector(text, read_file=_shown_elsewhere).findings]
            elif {"rules", "fallback"} <= keys:
                wrong += [str(finding) for finding in lint_policy(text).errors]
    assert wrong == []


@pytest.mark.parametrize("page", NAMES)
def test_queries_are_understood(page: str, parameters: dict[tuple[str, str], set[str]]) -> None:
    assert len(parameters) > 100 and "sku" in parameters["GET", "/v1/availability"]
    unknown: list[str] = []
    for method, path, query in ASKED.findall(text_of(page)):
        known = next((names for (m, t), names in parameters.items() if m == method and fits(path, t)), None)
        names = {one.split("=")[0] for one in query.split("&") if one}
        unknown += [] if known is None else [f"{method} {path}: {name}" for name in sorted(names - known)]
    assert unknown == []


def headings(text: str) -> set[str]:
    """Anchors of a page, as the builder makes them."""
    found = set(re.findall(r"\{ #([\w-]+) \}", text)) | set(re.findall(r'<a id="([\w-]+)"', text))
    for title in re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M):
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", re.sub(r"\{ #.*\}", "", title)).strip().lower()
        found.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-"))
    return found


@pytest.mark.parametrize(
    "page", [*NAMES, *(str(p.relative_to(ROOT)) for p in sorted((DOCS / "reference").rglob("*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    text = here.read_text("utf-8")
    for link in (m["to"] for m in LINK.finditer(FENCED.sub("", text))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        to, _, anchor = link.partition("#")
        there = (here.parent / to).resolve() if to else here
        assert there.exists(), f"{page}: {link}"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there.read_text("utf-8")), f"{page}: {link}"


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    return tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]


def entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from entries(one)


def test_every_page_is_in_the_navigation_once(site: dict[str, Any]) -> None:
    named = list(entries(site["nav"]))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(pages - set(named)) == [], "put them into nav in zensical.toml"
    assert sorted(named) == sorted(pages)


ASKS = re.compile(r"<(script|link|iframe|img)\b|!\[[^\]]*\]\(https?:|```(mermaid|pyodide)|class=\"?(mermaid|glightbox)")


def test_nothing_asks_the_network(site: dict[str, Any]) -> None:
    assert site["theme"]["font"] is False
    assert not site.keys() & {"extra_javascript", "extra_css", "repo_url", "repo_name", "extra"}
    assert [f"{p}: {m[0]}" for p in DOCS.rglob("*.md") for m in ASKS.finditer(p.read_text("utf-8"))] == []
