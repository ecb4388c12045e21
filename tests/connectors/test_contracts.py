"""Every request of a connector fits the vendor's own description of its interface, of each version it names; and what
does not fit is found where it stands, of whoever's connector it is."""

import importlib.util
import json
from importlib.resources import files
from pathlib import Path

import pytest

from onhand.cli import run
from onhand.connectors import Uncheckable, against_contract, built_in, find, lint, lint_folder
from onhand.connectors._sdk.contracts import spoken
from onhand.connectors._sdk.declared import Declared

from .running import CONTRACTS, needs_contracts

FOLDERS = {name: Path(str(files("onhand.connectors").joinpath(name))) for name in built_in()}


def named():
    connectors = {name: find(name).connector for name in FOLDERS}
    documents = {name: one.document for name, one in connectors.items() if isinstance(one, Declared)}
    return [name for name, document in documents.items() if document.contract is not None]


@needs_contracts
@pytest.mark.parametrize("name", named())
def test_what_our_connectors_ask_fits_the_vendors_description(name):
    document = lint_folder(FOLDERS[name]).connector
    assert [str(told) for told in against_contract(FOLDERS[name], document, CONTRACTS)] == []


# Of the vendors' own descriptions: part of our document, by what, part of what is told.
SPOILT = [
    ("amazon", "path: /fba/inventory/v1/summaries", "path: /fba/inventory/v1/summary", "is not described"),
    ("amazon", "includedData:", "includeData:", "did you mean 'includedData'"),
    ("square", "method: POST\n      path: /v2/orders/search", "method: DELETE\n      path: /v2/orders/search",
     "DELETE is not possible"),
    ("square", "{idempotency_key:", "{idempotence_key:", "did you mean 'idempotency_key'"),
    ("woocommerce", "{update: \"{items}\"}", "{updates: \"{items}\"}", "did you mean 'update'"),
    ("woocommerce", "orderby: id,", "orderby: idd,", "none of the words"),
    ("shopify", "variables: {id: \"{id}\", note:", "variables: {id: \"{id}\", notes:", "no variable $notes in 2026-10"),
]  # fmt: skip


@needs_contracts
@pytest.mark.parametrize(("name", "old", "new", "says"), SPOILT)
def test_what_our_connectors_would_ask_wrongly_is_found(tmp_path, name, old, new, says):
    folder = tmp_path / name
    folder.mkdir()
    for file in FOLDERS[name].iterdir():
        if file.suffix in (".yaml", ".graphql"):
            (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    text = (folder / "connector.yaml").read_text("utf-8")
    assert old in text
    (folder / "connector.yaml").write_text(text.replace(old, new, 1), "utf-8")
    linted = lint_folder(folder)
    assert linted.connector is not None, linted.findings
    assert any(says in str(told) for told in against_contract(folder, linted.connector, CONTRACTS))


@needs_contracts
def test_what_the_schema_cannot_say_is_said(name="shopify"):
    """Real stores refuse a write without the directive or without the number it compares with; the schema allows it."""
    connector = find(name).connector.document
    text = FOLDERS[name].joinpath("set_quantities.graphql").read_text()
    assert "@idempotent(key: $key)" in text
    assert "changeFromQuantity" in connector.operations["stock.push"].batch.item


# A connector of somebody's own ----------------------------------------------------------------------------------------

OPENAPI = """\
openapi: 3.0.3
info: {title: Tea House, version: "2"}
servers: [{url: "https://api.tea.example/v2"}]
paths:
  /orders:
    get:
      parameters:
        - {name: since, in: query, required: true, schema: {type: string, format: date-time}}
        - {name: state, in: query, schema: {type: string, enum: [paid, sent]}}
        - {name: page, in: query, schema: {type: integer}}
        - {name: per_page, in: query, schema: {type: integer, maximum: 50}}
        - {$ref: "#/components/parameters/Filter"}
      responses: {"200": {description: orders}}
  /items/{id}/stock:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    put:
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Stock"}}}
      responses: {"200": {description: done}}
  /orders/{id}/parcels:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [tracking, lines]
              properties:
                tracking: {type: string, nullable: true}
                carrier: {oneOf: [{type: string, enum: [UPS, DHL]}, {$ref: "#/components/schemas/Carrier"}]}
                lines:
                  type: array
                  items: {type: object, required: [line], properties: {line: {type: string}, units: {type: string}}}
                notes: {type: object, additionalProperties: {type: string}}
      responses: {"200": {description: done}}
components:
  parameters:
    Filter: {name: filter, in: query, style: deepObject, schema: {type: object}}
  schemas:
    Carrier: {type: object, required: [code], properties: {code: {type: string}}}
    Stock:
      allOf:
        - {type: object, required: [units], properties: {units: {type: integer, minimum: 0}}}
        - {type: object, properties: {kind: {type: string, enum: [absolute, relative]}}}
"""
CONNECTOR = """\
connector: tea_house
title: Tea House
contract: {kind: openapi, file: "api-{version}.yaml", versions: ["2"]}
settings:
  url: {type: url, description: of the shop}
base_url: "{settings.url}/v2"
operations:
  orders.pull:
    request:
      path: /orders
      query:
        since: "{cursor:rfc3339}"
        state: paid
        page: "{page}"
        per_page: 50
        filter[shop]: main
    records: orders
    paging: {by: page}
    cursor: {each: changed}
    map: order
  stock.push:
    request:
      method: PUT
      path: "/items/{external_id}/stock"
      json:
        units: "{quantity}"
        kind: absolute
    write: {guard: none}
  fulfilments.push:
    request:
      method: POST
      path: "/orders/{order_id}/parcels"
      json:
        tracking: "{tracking}"
        carrier: {code: UPS}
        notes: {said: hello}
        lines:
          each: "{lines}"
          item:
            line: "{line_id}"
            units: "{item.quantity:text}"
maps:
  order:
    to: order
    external_id: id
    status: {path: state, table: {paid: open}}
    currency: {const: EUR}
    placed_at: moment(at)
    lines: {each: items, line_id: text(n), sku: sku, quantity: count, price_minor: "money(price, currency)"}
"""
# replaced, by what, what the line begins with, part of message or remedy
WRONG = [
    ("path: /orders\n", "path: /order\n", "path: /order", "did you mean '/orders'?"),
    ("}/v2", "}/v3", "path: /orders",
     "/orders is not described; end base_url in what stands before it there, which is '/v2'"),
    ("method: PUT", "method: PATCH", "method: PATCH",
     "PATCH is not possible at /items/{external_id}/stock; known are PUT"),
    ("        since: \"{cursor:rfc3339}\"\n", "        sinc: \"{cursor:rfc3339}\"\n", "sinc:", "did you mean 'since'?"),
    ("        since: \"{cursor:rfc3339}\"\n", "        filter[after]: \"{cursor:rfc3339}\"\n", "filter[after]",
     "the query parameter 'since' is missing; add it"),
    ("state: paid\n", "state: payed\n", "state: payed",
     "'payed' is none of the words that it knows; did you mean 'paid'?"),
    ("per_page: 50", "per_page: 100", "per_page: 100", "100 is out of its range; write 50 or less"),
    ("per_page: 50", "per_page: many", "per_page: many", "'many' is no integer"),
    ("kind: absolute", "kinds: absolute", "kinds:", "no field is called 'kinds'; did you mean 'kind'?"),
    ("kind: absolute", "kind: delta", "kind: delta", "known are absolute, relative"),
    ("        units: \"{quantity}\"\n", "", "kind: absolute", "'units' is missing; add it"),
    ("units: \"{quantity}\"", "units: \"{quantity:text}\"", "units:", "{quantity:text} is no integer"),
    ("units: \"{quantity}\"", "units: -1", "units: -1", "write 0 or more"),
    ("tracking: \"{tracking}\"", "tracking: [\"{tracking}\"]", "tracking:", "a list is no string"),
    ("{code: UPS}", "{cod: UPS}", "carrier:", "no field is called 'cod'; did you mean 'code'?"),
    ("{code: UPS}", "TNT", "carrier: TNT", "known are DHL, UPS"),
    ("{said: hello}", "{said: 7}", "notes:", "7 is no string"),
    ("line: \"{line_id}\"", "lin: \"{line_id}\"", "lin:", "no field is called 'lin'; did you mean 'line'?"),
    ("{item.quantity:text}", "{item.quantity}", "units: \"{item", "{item.quantity} is no string; write {name:text}"),
]  # fmt: skip


def made(folder, text=CONNECTOR, **beside):
    folder = folder / "tea_house"
    folder.mkdir(exist_ok=True)
    (folder / "connector.yaml").write_text(text, "utf-8")
    for name, content in ({"api_2_yaml": OPENAPI} | beside).items():
        if content is not None:
            file = folder / name.replace("api_2", "api-2").replace("_yaml", ".yaml").replace("_graphql", ".graphql")
            file.write_text(content, "utf-8")
    return folder


def told_of(folder, given=None):
    linted = lint_folder(folder)
    assert linted.connector is not None, [str(finding) for finding in linted.findings]
    return against_contract(folder, linted.connector, given)


def test_what_fits_is_without_findings(tmp_path):
    assert told_of(made(tmp_path)) == []


@pytest.mark.parametrize(("old", "new", "line", "says"), WRONG)
def test_what_does_not_fit_is_found_where_it_stands(tmp_path, old, new, line, says):
    assert CONNECTOR.count(old) == 1 or old in ("}/v2", "path: /orders\n")
    text = CONNECTOR.replace(old, new, 1)
    found = told_of(made(tmp_path, text))
    told = [one for one in found if says in f"{one.finding.message}; {one.finding.remedy}"]
    assert told, [str(one) for one in found]
    assert (told[0].file, told[0].finding.severity) == ("connector.yaml", "error")
    there = text.splitlines()[told[0].finding.line - 1]
    assert there.strip().startswith(line) or line in there, (str(told[0]), there)


def test_each_mistake_is_told_once_and_by_its_place(tmp_path):
    text = CONNECTOR.replace("kind: absolute", "kinds: absolute").replace("state: paid\n", "stat: paid\n")
    found = told_of(made(tmp_path, text))
    assert [one.finding.path for one in found] == [
        "operations.orders.pull.request.query.stat", "operations.stock.push.request.json.kinds",
    ]  # fmt: skip


def test_swagger_and_batches_are_checked_too(tmp_path):
    swagger = {
        "swagger": "2.0", "basePath": "/v2", "definitions": {
            "Row": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"},
                                                                        "units": {"type": "integer"}}}},
        "paths": {"/stock": {"post": {"parameters": [{"in": "body", "name": "body", "required": True, "schema": {
            "type": "object", "properties": {"rows": {"type": "array", "items": {"$ref": "#/definitions/Row"}}}}}]}}},
    }  # fmt: skip
    text = """\
connector: tea_house
title: Tea House
settings:
  url: {type: url, description: of the shop}
base_url: "{settings.url}"
operations:
  stock.push:
    request: {method: POST, path: /v2/stock, json: {rows: "{items}"}}
    batch:
      max: 10
      item:
        id: "{external_id}"
        unit: "{quantity}"
    outcomes: {items: rows, id: id}
    write: {guard: none}
"""
    file = tmp_path / "swagger.json"
    file.write_text(json.dumps(swagger))
    (told,) = told_of(made(tmp_path, text, api_2_yaml=None), file)
    assert (told.finding.line, "did you mean 'units'?" in str(told)) == (13, True)
    assert told_of(made(tmp_path, text.replace("unit:", "units:"), api_2_yaml=None), file) == []


# GraphQL --------------------------------------------------------------------------------------------------------------

SCHEMA = """\
type Query { orders(since: String!, first: Int): [Order!]! }
type Order { id: ID!, changed: String! }
input Number { item: ID!, units: Int!, kind: Kind }
enum Kind { ABSOLUTE RELATIVE }
type Mutation { setStock(numbers: [Number!]!, key: String!): Boolean }
"""
SET = """\
mutation($numbers: [Number!]!, $key: String!) {
  setStock(numbers: $numbers, key: $key)
}
"""
SPEAKING = """\
connector: tea_house
title: Tea House
contract: {kind: graphql, file: schema.graphql, versions: ["1"]}
settings:
  url: {type: url, description: of the shop}
base_url: "{settings.url}/graphql"
operations:
  stock.push:
    request:
      graphql: set.graphql
      variables:
        numbers:
          - item: "{external_id}"
            units: "{quantity}"
            kind: ABSOLUTE
        key: "{key}"
    write: {guard: none}
"""
MISSPOKEN = [
    ("set.graphql", 2, "setStock(", "setStok(",
     "Cannot query field 'setStok' on type 'Mutation'; did you mean 'setStock'?"),
    ("set.graphql", 2, "key: $key)", "kee: $key)", "Unknown argument 'kee'"),
    ("set.graphql", 1, "[Number!]!", "[Numbr!]!", "Unknown type 'Numbr'; did you mean 'Number'?"),
    ("set.graphql", 3, "\n}\n", "\n", "Syntax Error: Expected Name, found <EOF>"),
    ("connector.yaml", 15, "kind: ABSOLUTE", "kynd: ABSOLUTE", "no field is called 'kynd'; did you mean 'kind'?"),
    ("connector.yaml", 15, "kind: ABSOLUTE", "kind: DELTA", "known are ABSOLUTE, RELATIVE"),
    ("connector.yaml", 14, "units: \"{quantity}\"", "units: \"{quantity:text}\"", "{quantity:text} is no integer"),
    ("connector.yaml", 13, "            units: \"{quantity}\"\n", "", "'units' is missing"),
    ("connector.yaml", 16, "key: \"{key}\"", "kee: \"{key}\"",
     "the document has no variable $kee; did you mean 'key'?"),
    ("connector.yaml", 12, "        key: \"{key}\"\n", "", "the variable $key is missing"),
]  # fmt: skip


def speaking(folder, text=SPEAKING, document=SET, schema=SCHEMA):
    return made(folder, text, api_2_yaml=None, set_graphql=document, schema_graphql=schema)


def test_graphql_that_fits_is_without_findings_by_text_and_by_introspection(tmp_path):
    import graphql

    assert told_of(speaking(tmp_path)) == []
    file = tmp_path / "introspection.json"
    file.write_text(json.dumps({"data": graphql.introspection_from_schema(graphql.build_schema(SCHEMA))}))
    assert told_of(speaking(tmp_path), file) == []
    alone = SPEAKING.replace("          - item:", "            item:")  # a value alone is a list of one
    assert told_of(speaking(tmp_path, alone)) == []


@pytest.mark.parametrize(("file", "line", "old", "new", "says"), MISSPOKEN)
def test_what_does_not_fit_a_schema_is_found_where_it_stands(tmp_path, file, line, old, new, says):
    text, document = SPEAKING, SET
    if file == "connector.yaml":
        assert old in text
        text = text.replace(old, new, 1)
    else:
        assert old in document
        document = document.replace(old, new, 1)
    found = told_of(speaking(tmp_path, text, document))
    told = [one for one in found if says in f"{one.finding.message}; {one.finding.remedy}"]
    assert told, [str(one) for one in found]
    assert (told[0].file, told[0].finding.line) == (file, line)


def test_without_graphql_core_it_is_said_what_to_install(tmp_path, monkeypatch):
    folder = speaking(tmp_path)
    monkeypatch.setattr(spoken, "find_spec", lambda name: None if name == "graphql" else importlib.util.find_spec(name))
    with pytest.raises(Uncheckable, match=r"pip install 'graphql-core"):
        told_of(folder)


# The command ----------------------------------------------------------------------------------------------------------


def test_lint_holds_a_connector_against_what_it_names_or_is_given(tmp_path, capsys):
    folder = made(tmp_path, CONNECTOR.replace("kind: absolute", "kinds: absolute"))
    assert run(["channel", "lint", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"{folder}/connector.yaml:27:9: error: " in said
    assert "no field is called 'kinds'; did you mean 'kind'?" in said
    other = tmp_path / "described" / "tea.yaml"
    other.parent.mkdir()
    (folder / "api-2.yaml").rename(other)
    assert run(["channel", "lint", str(folder)]) == 0, "what is not there cannot be asked"
    said = capsys.readouterr().out
    assert "connector.yaml:3:" in said
    assert "warning: contract.file: there is no 'api-2.yaml' in" in said
    assert run(["channel", "lint", str(folder), "--contract", str(other)]) == 1
    other.rename(other.with_name("api-2.yaml"))
    assert run(["channel", "lint", str(folder), "--contract", str(other.parent)]) == 1
    capsys.readouterr()
    assert run(["channel", "lint", str(folder), "--contract", str(other)]) == 2
    assert "No such file" in capsys.readouterr().err
    other.write_text("openapi: 3.0.3\npaths: {/orders: nothing}")
    assert run(["channel", "lint", str(folder), "--contract", str(other)]) == 2
    assert "something in it is not what it has to be" in capsys.readouterr().err
    other.write_text("just: something")
    assert run(["channel", "lint", str(folder), "--contract", str(other)]) == 2
    assert "expected an OpenAPI or Swagger document" in capsys.readouterr().err


def test_a_connector_that_names_none_and_is_given_none_is_not_held_against_any(tmp_path):
    folder = made(tmp_path, CONNECTOR.replace("contract:", "# contract:"), api_2_yaml=None)
    assert told_of(folder) == []
    assert lint((folder / "connector.yaml").read_text(), read_file=lambda _: None).findings == []
