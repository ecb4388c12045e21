"""What others rely on, word for word: a change here is a change for users. `make golden` rewrites the files."""

import ast
import inspect
import json
import os
from pathlib import Path

import msgspec
import pytest
import typer
from tests.docs import reference

import onhand
from onhand.api.app import create_api
from onhand.api.openapi import operations_of
from onhand.app import App
from onhand.cli import build
from onhand.connectors import described, find, names, schema
from onhand.orders.states import FULFILMENT_STEPS, ORDER_STEPS
from onhand.settings import Settings
from onhand.sourcing.term_table import built_in
from onhand.twin.scenarios.document import schema as scenario_schema
from onhand.webhooks.kinds import KINDS

FOLDER = Path(__file__).parent
SOURCES = FOLDER.parents[1] / "src/onhand"
REFERENCE = FOLDER.parents[1] / "docs/reference"


def check(name: str, text: str, folder: Path = FOLDER) -> None:
    path = folder / name
    if os.environ.get("ONHAND_GOLDEN") == "write":
        path.write_text(text, "utf-8")
    assert path.exists(), f"no {name}: run `make golden` and read the diff"
    assert text == path.read_text("utf-8"), f"{name} differs: if that is meant, run `make golden` and read the diff"


@pytest.fixture
def document(dsn):
    """The OpenAPI document of the API."""
    with App.open(Settings(database_url=dsn)) as app:
        return msgspec.json.decode(create_api(app).edge.openapi())


def test_golden_routes_and_their_reference(document):
    """Method, path, scope and documented statuses of every operation; and all of it for people."""
    rows = []
    for path, method, operation in operations_of(document):
        scopes = [scope for entry in operation.get("security", ()) for scope in entry.get("apiKey", ())]
        rows.append(
            f"{method.upper():6} {path}  [{' '.join(scopes) or '-'}]  {' '.join(sorted(operation['responses']))}"
        )
    check("routes.txt", "\n".join(sorted(rows)) + "\n")
    pages = reference.api(document)
    for name, text in pages.items():
        check(name, text, REFERENCE)
    assert {f"api/{path.name}" for path in (REFERENCE / "api").iterdir()} == pages.keys() - {"api.md"}


def test_golden_openapi(dsn):
    """The description of the interface, of which the console's types are made: without its words and examples, and
    without problems, which are all alike and whose statuses stand in routes.txt."""
    with App.open(Settings(database_url=dsn)) as app:
        document = msgspec.json.decode(create_api(app).edge.openapi())
    for _, _, operation in operations_of(document):
        operation["responses"] = {code: told for code, told in operation["responses"].items() if code < "400"}
    check("openapi.json", _by_line(_bare(document)), FOLDER.parents[1] / "console")


def _by_line(document):
    """JSON with a line for each operation and each schema, so that a diff shows what changed and no more."""

    def text(value, depth):
        if not depth or not isinstance(value, dict):
            return json.dumps(value, sort_keys=True)
        rows = [f"{json.dumps(key)}: {text(value[key], depth - 1)}" for key in sorted(value)]
        return "{\n" + ",\n".join(rows) + "\n}"

    return text(document, 3) + "\n"


_WORDS = ("description", "summary", "title", "example", "examples")


def _bare(value, are_names=False):
    """`value` without words and examples; a field may well be called `title`, and its schema is no text."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _bare(item, are_names=key == "properties" and not are_names)
        for key, item in value.items()
        if are_names or key not in _WORDS
    }


def test_golden_commands():
    """Commands with their options."""

    def lines(command, name):
        if hasattr(command, "commands"):
            return [line for sub, child in sorted(command.commands.items()) for line in lines(child, f"{name} {sub}")]
        options = [p.opts[-1] if p.opts[-1].startswith("-") else p.name.upper() for p in command.params]
        return [" ".join([name, *(o for o in options if o != "--help")])]

    check("commands.txt", "\n".join(lines(typer.main.get_command(build()), "onhand")) + "\n")


def test_golden_schema():
    """What editors complete connector.yaml by, as it is published with the documentation."""
    check("connector.schema.json", json.dumps(schema(), indent=2) + "\n", FOLDER.parents[1] / "docs")
    rows = []
    for name in names():
        told = described(find(name).connector)
        rows.append((f"`{name}`", told.status, told.vendor_api, ", ".join(told.capabilities)))
    check("connectors.md", reference.connectors(schema(), rows), REFERENCE)


def test_golden_schema_of_scenarios():
    """The same of scenarios."""
    check("scenario.schema.json", json.dumps(scenario_schema(), indent=2) + "\n", FOLDER.parents[1] / "docs")


def test_golden_reference_of_the_command_line():
    check("cli.md", reference.cli(typer.main.get_command(build())), REFERENCE)


def test_golden_reference_of_cost_terms():
    terms = built_in()
    texts = {t.name: ast.parse((SOURCES / f"sourcing/terms/{t.name}.py").read_text("utf-8")) for t in terms}
    check("cost-terms.md", reference.cost_terms(terms, {n: ast.get_docstring(t) for n, t in texts.items()}), REFERENCE)


def test_golden_reference_of_settings():
    check("settings.md", reference.settings(Settings), REFERENCE)


def test_golden_reference_of_events():
    check("events.md", reference.events(KINDS), REFERENCE)


def test_golden_reference_of_errors():
    check("errors.md", reference.errors(sorted(SOURCES.rglob("*.py"))), REFERENCE)


def test_golden_states():
    """The state machines of orders and fulfilments."""
    rows = [f"fulfilment  {step}" for step in FULFILMENT_STEPS] + [f"order  {step}" for step in ORDER_STEPS]
    check("states.txt", "\n".join(rows) + "\n")


def test_golden_library():
    """Names and signatures of the package root."""
    rows = []
    for name in onhand.__all__:
        value = getattr(onhand, name)
        called = value if inspect.isfunction(value) else value.__init__
        own = called is not Exception.__init__
        rows.append(f"{name}{inspect.signature(called) if own else ''}")
    check("library.txt", "\n".join(rows) + "\n")
