"""Our schemas of Order Network eXchange against the published ones, read where they are."""

import json
import os
from pathlib import Path

import pytest

from onhand.mcp.model import Failure
from onhand.mcp.onx import errors, schemas
from onhand.mcp.onx.tools import ONX

CONTRACT = Path(os.environ.get("ONHAND_CONTRACTS", "../shared/contracts")) / "onx"
SCHEMAS = CONTRACT / "schemas"
needs_contract = pytest.mark.skipif(
    not CONTRACT.is_dir(),
    reason=f"NOT CHECKED AGAINST THE STANDARD: no {CONTRACT}; set ONHAND_CONTRACTS to the folder of contracts",
)
# The standard names these tools, and publishes no schema of their arguments.
UNPUBLISHED = {"create-return", "get-product-variants", "get-returns"}


def bare(schema):
    """Without what only people read, and without an order where there is none."""
    if isinstance(schema, dict):
        words = {name for name in ("$schema", "title", "description") if isinstance(schema.get(name), str)}
        return {
            name: sorted(value) if name == "required" else bare(value)
            for name, value in schema.items()
            if name not in words
        }
    return [bare(value) for value in schema] if isinstance(schema, list) else schema


def published(path):
    return bare(json.loads((SCHEMAS / path).read_text("utf-8")))


@needs_contract
@pytest.mark.parametrize("name", sorted(schemas.DOCUMENTS))
def test_documents_are_those_of_the_standard(name):
    assert bare(schemas.DOCUMENTS[name]) == published(f"{name}.json")


@needs_contract
@pytest.mark.parametrize("name", sorted(schemas.INPUTS.keys() - UNPUBLISHED))
def test_arguments_are_those_of_the_standard(name):
    assert bare(schemas.INPUTS[name]) == published(f"tool-inputs/{name}.json")


@needs_contract
def test_every_schema_and_every_tool_of_the_standard_is_here():
    files = {path.stem for path in SCHEMAS.glob("*.json")}
    inputs = {path.stem for path in SCHEMAS.glob("tool-inputs/*.json")}
    assert schemas.DOCUMENTS.keys() == files
    assert schemas.INPUTS.keys() - UNPUBLISHED == inputs
    reference = (CONTRACT / "docs/standard/tools-reference.md").read_text("utf-8")
    named = {line.removeprefix("### ") for line in reference.splitlines() if line.startswith("### ")}
    assert {tool.name for tool in ONX} == named == schemas.INPUTS.keys()


@needs_contract
def test_numbers_of_errors_are_those_of_the_standard():
    model = (CONTRACT / "docs/standard/error-model.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in model.splitlines() if line.startswith("| ")]
    standard = {int(row[0]): row[3] for row in rows if row[0].isdigit()}
    failures = {
        2001: Failure(status=422, code="input.invalid", message="", fields=(("a", "expected 1 or more"),)),
        2002: Failure(status=422, code="input.invalid", message="", fields=(("a", "required"),)),
        2003: Failure(status=422, code="input.invalid", message="", facts={"keyword": "pattern"}),
        3001: Failure(status=429, code="http.429", message="", retryable=True),
        3002: Failure(status=0, code="server.unanswered", message="the server took too long", retryable=True),
        4001: Failure(status=409, code="order.closed", message=""),
        4002: Failure(status=503, code="overloaded", message="", retryable=True),
        5001: errors.cannot("orderDiscount", "leave it out").failure,
    }
    assert failures.keys() == standard.keys()
    for number, failure in failures.items():
        said = errors.say(failure)
        assert said["success"] is False
        error = said["error"]
        assert error["code"] == number
        assert standard[number] == "Varies" or error["retryable"] is (standard[number] == "Yes")
        assert error["details"]["originalError"] == failure.code.replace(".", "_").upper()
