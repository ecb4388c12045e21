"""GraphQL documents and their variables, held against a schema. Needs graphql-core, which is no part of the core."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from onhand.connectors._sdk.contracts.described import Uncheckable
from onhand.connectors._sdk.contracts.fitting import Fitting, Problem, listed
from onhand.documents.findings import did_you_mean
from onhand.documents.text import BEGINNING, Location, Place


def schema_of(document: Any) -> Any:
    """A schema: of its text, or of its introspection. Raises Uncheckable, also if graphql-core is not installed."""
    graphql = _graphql()
    try:
        if isinstance(document, str):
            return graphql.build_schema(document, assume_valid=True)
        return graphql.build_client_schema(document, assume_valid=True)
    except (graphql.GraphQLError, TypeError, ValueError, KeyError) as error:
        raise Uncheckable(f"no GraphQL schema: {str(error)[:300]}") from None


def _graphql() -> Any:
    if find_spec("graphql") is None:
        raise Uncheckable("graphql-core reads GraphQL schemas and is not installed: pip install 'graphql-core>=3.2'")
    return import_module("graphql")


def wrong_document(schema: Any, text: str) -> list[tuple[Place, str, str]]:
    """(where, what, remedy) of what is wrong with a GraphQL document."""
    graphql = _graphql()
    try:
        errors = graphql.validate(schema, graphql.parse(text))
    except graphql.GraphQLSyntaxError as error:
        errors = [error]
    return [_told(error) for error in errors]


def _told(error: Any) -> tuple[Place, str, str]:
    at = error.locations[0] if error.locations else None
    said, is_hinted, hint = str(error.message).partition(" Did you mean ")
    remedy = f"did you mean {hint}" if is_hinted else "write it as the schema has it"
    return (BEGINNING if at is None else Place(at.line, at.column)), said.rstrip("."), remedy


def wrong_variables(
    schema: Any, text: str, variables: Mapping[str, Any], lists: Mapping[str, tuple[Location, Any]], at: Location
) -> Iterator[Problem]:
    """What is wrong with the variables that stand `at` a location, for a document that fits."""
    graphql = _graphql()
    nodes = [
        node
        for definition in graphql.parse(text).definitions
        if isinstance(definition, graphql.OperationDefinitionNode)
        for node in definition.variable_definitions or ()
    ]
    types = {node.variable.name.value: graphql.type_from_ast(schema, node.type) for node in nodes}
    fitting = Fitting(root={"inputs": _Inputs(schema, graphql)}, lists=lists)
    for name, value in variables.items():
        if name not in types:
            remedy = did_you_mean(name, types, listed(types))
            message = f"the document has no variable ${name}"
            yield Problem(location=(*at, name), message=message, remedy=remedy, of_name=True)
        else:
            yield from fitting.misfits(value, _schema(types[name], graphql), (*at, name))
    for node in nodes:
        name = node.variable.name.value
        if name not in variables and graphql.is_non_null_type(types[name]) and node.default_value is None:
            yield Problem(location=at, message=f"the variable ${name} is missing", remedy="give it a value")


class _Inputs(dict[str, Any]):
    """Input types of a schema by name, each made when it is asked for: some schemas have thousands."""

    def __init__(self, schema: Any, graphql: Any) -> None:
        super().__init__()
        self._schema, self._graphql = schema, graphql

    def __missing__(self, name: str) -> dict[str, Any]:
        fields = self._schema.type_map[name].fields
        made: dict[str, Any] = {
            "type": ["object", "null"],
            "properties": {key: _schema(one.type, self._graphql) for key, one in fields.items()},
            "required": [key for key, one in fields.items() if self._graphql.is_required_input_field(one)],
            "additionalProperties": False,
        }
        self[name] = made
        return made


def _schema(kind: Any, graphql: Any) -> dict[str, Any]:
    """The type of an input as the schema of its value."""
    if graphql.is_non_null_type(kind):
        inner = _schema(kind.of_type, graphql)
        return {**inner, "type": [one for one in inner["type"] if one != "null"]} if "type" in inner else inner
    if graphql.is_list_type(kind):
        inner = _schema(kind.of_type, graphql)
        # A value alone is a list of one.
        return {"anyOf": [{"type": ["array", "null"], "items": inner}, inner]}
    if graphql.is_enum_type(kind):
        return {"type": ["string", "null"], "enum": list(kind.values)}
    if graphql.is_input_object_type(kind):
        return {"$ref": f"#/inputs/{kind.name}"}
    kinds = {"Int": ["integer"], "Float": ["number"], "String": ["string"], "Boolean": ["boolean"],
             "ID": ["string", "integer"]}  # fmt: skip
    return {"type": [*kinds[kind.name], "null"]} if kind.name in kinds else {}
