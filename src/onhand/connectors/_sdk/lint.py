"""What is wrong with a `connector.yaml`: each finding with its line, its field and what to do about it.

Reads files beside it (GraphQL documents) through `read_file`; otherwise pure.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from onhand.base.fields import path_of
from onhand.base.money import is_currency
from onhand.connectors._sdk import filling
from onhand.connectors._sdk.overriding import SETTING
from onhand.connectors._sdk.values import OURS, OrderStatus
from onhand.connectors._sdk.vocabulary import (
    ConnectorIn,
    ConstIn,
    LoginIn,
    LookupIn,
    OAuth2In,
    OperationIn,
    OrderMapIn,
    PriceMapIn,
    QueueIn,
    RequestIn,
    SignedIn,
    TopicIn,
)
from onhand.documents.expression import check
from onhand.documents.findings import Finding, by_place, did_you_mean, found_at, found_in, validate
from onhand.documents.text import BEGINNING, Document, Location, Unreadable, read
from onhand.documents.types import BOOL, DYN, INT, MAP, STRING, Fact, Type, object_of

_PULLED: Final = {
    "orders.pull": "order", "stock.pull": "level", "listings.pull": "offer", "sales.pull": "sale",
    "node_stock.pull": "level", "prices.pull": "price",
}  # fmt: skip
_PAGED: Final = frozenset({"cursor", "page", "offset", "after", "size"})
_WRITTEN: Final = frozenset({"external_id", "external_sku", "quantity", "expected", "place", "key", "at"})
_PRICED: Final = frozenset({"external_id", "external_sku", "price", "price_minor", "currency", "place", "key", "at"})
_PARCEL: Final = frozenset(
    {"order_id", "fulfilment_id", "key", "shipped_at", "carrier", "service", "tracking", "tracking_url", "place",
     "is_complete", "lines"}
)  # fmt: skip
_LESS: Final = frozenset({"line_id", "external_item_id", "sku", "quantity", "left"})
_LINE: Final = frozenset({"line_id", "external_item_id", "sku", "quantity"})
_STATUSES: Final[frozenset[str]] = frozenset(get_args(OrderStatus))
_BLANKS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_PULLED, _PAGED),
    "orders.get": frozenset({"id"}),
    "orders.cancel": frozenset({"id", "reason", "key"}),
    "orders.cancel_lines": frozenset({"id", "reason", "key", "lines"}),
    "stock.push": _WRITTEN,
    "prices.push": _PRICED,
    "prices.currency": frozenset(),
    "fulfilments.push": _PARCEL,
    "payments.authorise": frozenset(
        {"key", "order_id", "number", "amount_minor", "currency", "token", "customer", "is_many"}
    ),
    "payments.capture": frozenset({"id", "amount_minor", "is_final", "is_many", "key"}),
    "payments.void": frozenset({"id", "reason", "key"}),
    "payments.refund": frozenset({"id", "amount_minor", "reason", "key"}),
    "payments.get": frozenset({"id"}),
}
"""What is known to each operation, beside `settings.*` and what earlier steps saved."""

_BATCHED: Final = frozenset({"stock.push", "prices.push"})
# Their answer says which payment it is, and how it is.
_OF_PAYMENTS: Final = frozenset({"payments.authorise", "payments.capture", "payments.get"})
_ANSWER: Final[Mapping[str, Type]] = {"status": INT, "headers": MAP, "body": DYN}
_ITEM: Final = object_of(
    external_id=Fact(STRING, "of the listing"),
    external_sku=Fact(STRING, "of the listing"),
    place=Fact(STRING, "at the channel"),
    quantity=Fact(INT, "to be shown"),
    price_minor=Fact(INT, "to be asked"),
    order_id=Fact(STRING, "of the channel"),
    is_complete=Fact(BOOL, "nothing is left to ship"),
    tracking=Fact(STRING, "of the parcel"),
    is_many=Fact(BOOL, "the payment is captured in parts"),
    is_final=Fact(BOOL, "nothing more of the payment is captured"),
    amount_minor=Fact(INT, "of the payment"),
    currency=Fact(STRING, "of the payment, or of the price"),
)
Problem = tuple[Location, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """Findings by place; `connector` is the document, if it can be used."""

    findings: list[Finding]
    connector: ConnectorIn | None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def lint(text: str, *, read_file: Callable[[str], str | None], folder: str | None = None) -> Linted:
    """Read a `connector.yaml` and say what is wrong with it.

    read_file  text of a file beside it; None if there is none
    folder     the name of its folder, which the connector must have too; None: in none
    """
    try:
        document = read(text)
    except Unreadable as error:
        unreadable = found_at("error", error.place, path_of(error.location), str(error), error.remedy)
        return Linted(findings=[unreadable], connector=None)
    found: list[Finding] = []
    connector = validate(document, ConnectorIn, found, what="a connector", begin="connector:")
    if connector is not None:
        if folder is not None and connector.connector != folder:
            problem = (("connector",), f"its folder is called {folder!r}", "give both the same name")
            found.append(_told(document, problem))
        found += [_told(document, problem) for problem in _problems(connector, read_file)]
        found += _conditions(connector, document)
    is_usable = connector is not None and all(finding.severity != "error" for finding in found)
    return Linted(findings=by_place(found), connector=connector if is_usable else None)


def _told(document: Document, problem: Problem) -> Finding:
    location, message, remedy = problem
    return found_in(document, _in_text(location), "error", message, remedy)


def _in_text(location: Location) -> Location:
    """As the document spells it: `json_` is `json`."""
    return tuple(part.rstrip("_") if part in ("json_", "for_") else part for part in location)


def _problems(connector: ConnectorIn, read_file: Callable[[str], str | None]) -> Iterator[Problem]:
    yield from _settings(connector)
    yield from _credentials(connector)
    known = {f"settings.{name}" for name in connector.settings}
    secrets = {f"credentials.{name}" for name in connector.credentials}
    yield from _filled(("base_url",), connector.base_url, known)
    yield from _filled(("headers",), connector.headers, known)
    yield from _auth(connector, known | secrets, read_file)
    for name, location, operation in operations(connector):
        yield from _operation(connector, name, location, operation, known, read_file)
    yield from _orders(connector)
    yield from _priced(connector)
    yield from _webhooks(connector, known | secrets)
    yield from _plans(connector)


def _plans(connector: ConnectorIn) -> Iterator[Problem]:
    """Every plan that a request counts for is there."""
    for _, location, operation in operations(connector):
        requests = [((*location, "request"), operation.request)]
        requests += [((*location, "steps", n, "request"), step.request) for n, step in enumerate(operation.steps)]
        for at, request in requests:
            if request is not None and request.plan is not None and request.plan not in connector.plans:
                remedy = did_you_mean(request.plan, connector.plans, _listed(connector.plans))
                yield (*at, "plan"), f"no plan is called {request.plan!r}", remedy


def _orders(connector: ConnectorIn) -> Iterator[Problem]:
    """What maps of orders are sure to say is something we know."""
    for name, order in connector.maps.items():
        if isinstance(order, OrderMapIn):
            for location, word in _constants(("maps", name, "status"), order.status):
                if word not in _STATUSES:
                    told = f"no order of ours is {word!r}"
                    yield location, told, did_you_mean(str(word), _STATUSES, _listed(_STATUSES))
            for location, code in _constants(("maps", name, "currency"), order.currency):
                if not is_currency(str(code)):
                    yield location, f"{code!r} is no currency of ISO 4217", "write a code such as EUR"


def _constants(location: Location, source: str | LookupIn | ConstIn) -> Iterator[tuple[Location, str | int | bool]]:
    """Values that a field gets whatever a record says, and where they stand."""
    if isinstance(source, ConstIn):
        yield (*location, "const"), source.const
    elif isinstance(source, LookupIn):
        for word, value in source.table.items():
            yield (*location, "table", word), value
        if source.default is not None:
            yield (*location, "default"), source.default


def operations(connector: ConnectorIn) -> Iterator[tuple[str, Location, OperationIn]]:
    """(capability, where it stands, one way of doing it) of all operations."""
    for name, ways in connector.operations.items():
        if isinstance(ways, OperationIn):
            yield name, ("operations", name), ways
        else:
            for number, way in enumerate(ways):
                yield name, ("operations", name, number), way


def _settings(connector: ConnectorIn) -> Iterator[Problem]:
    for name, setting in connector.settings.items():
        if name == SETTING:
            yield ("settings", name), "every connector has this setting already", "choose another name"
        if (setting.type == "choice") != bool(setting.choices):
            yield ("settings", name), "choices and the type choice belong together", "give both, or neither"
        if setting.required and setting.default is not None:
            yield ("settings", name, "default"), "what is required has no default", "write required: false"


def _credentials(connector: ConnectorIn) -> Iterator[Problem]:
    # `onhand channel test` reads a credential from ONHAND_SECRET_<NAME>: this one would be the key of the installation.
    if "key" in connector.credentials:
        yield ("credentials", "key"), "ONHAND_SECRET_KEY is what seals credentials", "choose another name: api_key"


def _filled(location: Location, value: Any, known: Collection[str]) -> Iterator[Problem]:
    """Every blank of a request is known."""
    for at, text in _texts(location, value):
        if (wrong := filling.problem(text)) is not None:
            yield at, wrong, "write braces around names only"
    for name, _ in filling.blanks(value):
        parts = name.split(".")
        if not any(".".join(parts[:n]) in known for n in range(1, len(parts) + 1)):
            yield location, f"nothing is called {name} here", did_you_mean(name, known, _listed(known))


def _texts(location: Location, value: Any) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for name, member in cast("Mapping[str, Any]", value).items():
            yield from _texts((*location, name), member)
    elif isinstance(value, list):
        for number, member in enumerate(cast("list[Any]", value)):
            yield from _texts((*location, number), member)


def _listed(known: Iterable[str]) -> str:
    return f"known are {', '.join(sorted(known))}"


def _auth(connector: ConnectorIn, known: set[str], read_file: Callable[[str], str | None]) -> Iterator[Problem]:
    auth = connector.auth
    if isinstance(auth, LoginIn):
        yield from _request(("auth", "request"), auth.request, known, read_file)
        if (auth.token is None) == (auth.token_header is None):
            yield ("auth",), "its token is in the answer's body or in a header", "give token or token_header"
        return
    if isinstance(auth, SignedIn):
        yield from _filled(("auth", "by", "secret"), auth.by.secret, known)
        return
    for name in type(auth).model_fields:
        yield from _filled(("auth", name), getattr(auth, name), known)
    if isinstance(auth, OAuth2In) and (auth.grant == "refresh_token") != (auth.refresh_token is not None):
        yield ("auth",), "a refresh_token belongs to the grant of that name", "give both, or neither"


def _request(
    location: Location, request: RequestIn, known: Collection[str], read_file: Callable[[str], str | None]
) -> Iterator[Problem]:
    for name in ("path", "query", "headers", "json_", "form", "variables"):
        yield from _filled((*location, name), getattr(request, name), known)
    bodies = [n for n in ("json_", "form", "graphql") if getattr(request, n) is not None]
    if len(bodies) > 1:
        yield (*location, bodies[1]), "a request has one body", f"remove {' or '.join(n.rstrip('_') for n in bodies)}"
    if request.variables and request.graphql is None:
        yield (*location, "variables"), "variables belong to a GraphQL document", "name it in graphql"
    if request.graphql is not None and read_file(request.graphql) is None:
        yield (*location, "graphql"), f"there is no file {request.graphql!r} beside it", "add it, or correct the name"
    if request.method == "GET" and bodies and "graphql" not in bodies:
        yield (*location, "method"), "GET has no body", "write POST or PUT"


def _operation(
    connector: ConnectorIn,
    name: str,
    location: Location,
    operation: OperationIn,
    settings: set[str],
    read_file: Callable[[str], str | None],
) -> Iterator[Problem]:
    known = settings | _BLANKS[name]
    if (operation.request is None) == (not operation.steps):
        yield location, "it has one request, or steps", "give one of the two"
    if operation.body is not None and not operation.steps:
        yield (*location, "body"), "only steps keep what an answer is made of", "leave it out, or write steps"
    of_lines = {"fulfilments.push": _LINE, "orders.cancel_lines": _LESS}.get(name, frozenset[str]())
    inner = {f"item.{part}" for part in of_lines}
    if operation.batch is not None:
        yield from _filled((*location, "batch", "item"), operation.batch.item, settings | _BLANKS[name])
        known = settings | {"items", "key"}
        if name not in _BATCHED:
            yield (*location, "batch"), "only stock.push and prices.push take batches", "remove it"
        if operation.outcomes is None:
            yield (*location, "batch"), "what became of each write is not said", "add outcomes"
    for number, step in enumerate(operation.steps):
        known = known | {step.name}
        at = (*location, "steps", number, "request")
        yield from _request(at, step.request, known | inner | {"item"}, read_file)
        yield from _lines(at, step.request, known, of_lines)
    if operation.request is not None:
        at = (*location, "request")
        yield from _request(at, operation.request, known | inner | {"item"}, read_file)
        yield from _lines(at, operation.request, known, of_lines)
    if name in _PULLED:
        yield from _pull(connector, name, location, operation)
    elif name == "orders.get" and not _maps_to(connector, operation.map, "order"):
        yield (*location, "map"), "an order is read by a map to: order", "name one"
    elif name in _OF_PAYMENTS and not _maps_to(connector, operation.map, "payment"):
        yield (*location, "map"), "a payment is read by a map to: payment", "name one"
    if name in _BATCHED and operation.write is None:
        yield location, "what kind of write it is is not said", "add write: {guard: ...}"
    if operation.outcomes is not None:
        outcomes = operation.outcomes
        if (outcomes.items is None) == (outcomes.errors is None):
            yield (*location, "outcomes"), "it lists results, or failures", "give items or errors"
        if outcomes.errors is not None and outcomes.index is None:
            yield (*location, "outcomes"), "which write a failure is about is not said", "add index"


def _lines(location: Location, request: RequestIn, known: Collection[str], lines: Collection[str]) -> Iterator[Problem]:
    """Every blank of what is made of each of `{lines}` is known: `lines`, or what is known outside."""
    for name in ("query", "json_", "form", "variables") if lines else ():
        for at, item in _made_of_lines((*location, name), getattr(request, name)):
            for blank, _ in filling.blanks(item):
                first = blank.partition(".")[2 if blank.startswith("item.") else 0].partition(".")[0]
                if first not in lines and first not in known and blank not in known:
                    yield at, f"nothing is called {first} here", did_you_mean(first, lines, _listed(lines))


def _made_of_lines(location: Location, value: Any) -> Iterator[tuple[Location, Any]]:
    """(where, item) of each mapping that makes a list of `{lines}`."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if filling.is_each(mapping) and mapping["each"] == "{lines}":
            yield (*location, "item"), mapping["item"]
        else:
            for name, member in mapping.items():
                yield from _made_of_lines((*location, name), member)
    elif isinstance(value, list):
        for number, member in enumerate(cast("list[Any]", value)):
            yield from _made_of_lines((*location, number), member)


def _maps_to(connector: ConnectorIn, name: str | None, to: str) -> bool:
    return name is not None and name in connector.maps and connector.maps[name].to == to


def _pull(connector: ConnectorIn, name: str, location: Location, operation: OperationIn) -> Iterator[Problem]:
    if not _maps_to(connector, operation.map, _PULLED[name]):
        there = [n for n, m in connector.maps.items() if m.to == _PULLED[name]]
        yield (*location, "map"), f"its records are read by a map to: {_PULLED[name]}", f"name one: {', '.join(there)}"
    paging = operation.paging
    used = {blank for blank, _ in filling.blanks(_dumped(operation.request))}
    wanted = {"page": "page", "offset": "offset", "cursor": "after"}.get(paging.by if paging else "")
    if wanted is not None and wanted not in used:
        yield (*location, "paging"), f"the request does not say {{{wanted}}}", "every page would be the first: add it"
    if paging is not None and (paging.by in ("cursor", "url")) != (paging.next is not None):
        yield (*location, "paging"), "next finds what cursor and url go on with, and nothing else", "add or remove it"
    if operation.cursor is not None and "cursor" not in used:
        yield (*location, "cursor"), "the request does not say {cursor}", "everything would be read each time: add it"
    if name in ("orders.pull", "sales.pull") and operation.cursor is None:
        yield location, "where reading goes on the next time is not said", "add cursor"


def _priced(connector: ConnectorIn) -> Iterator[Problem]:
    """A price is in minor units, or an amount."""
    for name, by in connector.maps.items():
        if isinstance(by, PriceMapIn) and (by.price_minor is None) == (by.amount is None):
            yield (
                ("maps", name),
                "a price is in minor units, or an amount as it is written",
                "give price_minor or amount",
            )
    for name, location, operation in operations(connector):
        if name == "prices.push" and operation.write is not None and operation.write.guard == "compare_and_set":
            yield (*location, "write", "guard"), "what is asked there is not expected to be known", "write none"


def _dumped(request: RequestIn | None) -> Any:
    return None if request is None else request.model_dump()


def _webhooks(connector: ConnectorIn, known: Collection[str]) -> Iterator[Problem]:
    webhooks = connector.webhooks
    if webhooks is None:
        return
    if not isinstance(webhooks.verify, QueueIn):
        yield from _filled(("webhooks", "verify", "secret"), webhooks.verify.secret, known)
    for name in ("topic", "dedupe"):
        source = getattr(webhooks, name)
        if source.header is not None and isinstance(webhooks.verify, QueueIn):
            yield ("webhooks", name, "header"), "messages of a queue have no headers", "give path"
        if (source.header is None) == (source.path is None):
            yield ("webhooks", name), "it is in a header, or in the body", "give header or path"
    for name, topic in webhooks.topics.items():
        if name.startswith(OURS):
            why = f"topics that begin with {OURS} are our own"
            yield ("webhooks", "topics", name), why, "name it as the channel does"
        yield from _topic(connector, ("webhooks", "topics", name), topic)


def _topic(connector: ConnectorIn, location: Location, topic: TopicIn) -> Iterator[Problem]:
    if (topic.map is None) == (topic.get is None):
        yield location, "its records are read by a map, or it is a hint to get", "give one of the two"
    if topic.map is not None and topic.map not in connector.maps:
        remedy = did_you_mean(topic.map, connector.maps, _listed(connector.maps))
        yield (*location, "map"), f"no map is called {topic.map!r}", remedy
    if _maps_to(connector, topic.map, "price"):
        yield (*location, "map"), "a price is not read from a message", "what is asked is read by prices.pull"
    if _maps_to(connector, topic.map, "payment"):
        yield (*location, "map"), "a payment is not read from a message", "write get: payments.get, and id"
    if topic.get is not None and (topic.id is None or topic.get not in connector.operations):
        yield location, "what it is a hint to is not said, or not possible", f"add id, and the operation {topic.get}"


def _conditions(connector: ConnectorIn, document: Document) -> Iterator[Finding]:
    conditions: list[tuple[Location, str, Mapping[str, Type]]] = [
        (("errors", n, "when"), error.when, _ANSWER) for n, error in enumerate(connector.errors)
    ]
    for _, location, operation in operations(connector):
        if operation.for_ is not None:
            conditions.append(((*location, "for"), operation.for_, {"item": _ITEM}))
        saved: dict[str, Type] = {"item": _ITEM}
        for n, step in enumerate(operation.steps):
            saved[step.name] = MAP
            if step.when is not None:
                conditions.append(((*location, "steps", n, "when"), step.when, dict(saved)))
    for name, order in connector.maps.items():
        if isinstance(order, OrderMapIn) and order.lines.when is not None:
            conditions.append((("maps", name, "lines", "when"), order.lines.when, {"line": DYN}))
    if connector.webhooks is not None and connector.webhooks.handshake is not None:
        shake = {"headers": MAP, "body": DYN}
        conditions.append((("webhooks", "handshake", "when"), connector.webhooks.handshake.when, shake))
    for location, text, variables in conditions:
        for problem in check(text, variables).problems:
            if problem.is_error:
                place = document.place_within(location, problem.offset) if document.scalars else BEGINNING
                yield found_at("error", place, path_of(location), problem.message, problem.remedy)
