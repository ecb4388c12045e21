"""Every request of a connector fits the vendor's own description of its interface, of each version it names."""

from importlib.resources import files

import graphql
import pytest

from onhand.connectors import built_in, find
from onhand.connectors._sdk.declared import Declared

from .judges import graphql_schema
from .running import needs_contracts


def of_kind(kind):
    connectors = [find(name).connector for name in built_in()]
    documents = [connector.document for connector in connectors if isinstance(connector, Declared)]
    return [
        pytest.param(document.connector, version, id=f"{document.connector}-{version}")
        for document in documents
        if document.contract is not None and document.contract.kind == kind
        for version in document.contract.versions
    ]


@needs_contracts
@pytest.mark.parametrize(("name", "version"), of_kind("graphql"))
def test_graphql_documents_fit_the_schema(name, version):
    contract = find(name).connector.document.contract
    schema = graphql_schema(contract.file.replace("{version}", version))
    documents = [f for f in files("onhand.connectors").joinpath(name).iterdir() if f.name.endswith(".graphql")]
    assert documents
    wrong = {f.name: [e.message for e in graphql.validate(schema, graphql.parse(f.read_text()))] for f in documents}
    assert {name: errors for name, errors in wrong.items() if errors} == {}


@needs_contracts
def test_what_the_schema_cannot_say_is_said(name="shopify"):
    """Real stores refuse a write without the directive or without the number it compares with; the schema allows it."""
    connector = find(name).connector.document
    text = files("onhand.connectors").joinpath(name, "set_quantities.graphql").read_text()
    assert "@idempotent(key: $key)" in text
    assert "changeFromQuantity" in connector.operations["stock.push"].batch.item
