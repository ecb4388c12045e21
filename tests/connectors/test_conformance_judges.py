"""What connectors ask, and what they take for genuine, before judges that are none of ours."""

import asyncio
import json
from collections import Counter
from functools import cache
from urllib.parse import urlsplit

import pytest

from onhand.connectors import NotGenuine, find, names
from onhand.connectors._sdk.conformance import CASES, Grade, abilities, examine

from .judges import Described, graphql_objects, prism, shopify_validates, wordpress_objects
from .running import CONTRACTS, needs_contracts
from .test_conformance import bench_of


@cache
def asked_by(name):
    """Requests that a connector makes in the whole kit; of each form some."""
    asked, kept, seen = [], [], Counter()
    connector, make = find(name).connector, bench_of(name)
    for case in CASES.values():
        if case.needs <= abilities(connector):
            asyncio.run(examine(connector, make, case, asked=asked))
    for request in asked:
        form = _form(request)
        seen[form] += 1
        if seen[form] <= 5:
            kept.append(request)
    return kept


def _form(request):
    try:
        body = json.loads(request.body or b"null")
    except ValueError:
        body = None
    query = body.get("query") if isinstance(body, dict) else None
    fields = tuple(sorted(body)) if isinstance(body, dict) else str(type(body))
    shape = query if isinstance(query, str) else fields
    path = "/".join("#" if any(c.isdigit() for c in part) else part for part in urlsplit(request.url).path.split("/"))
    return request.method, path, shape


def of_kind(kind):
    found = [(name, getattr(find(name).connector, "document", None)) for name in names()]
    return [
        (name, document.contract.file, version)
        for name, document in found
        if document is not None and document.contract is not None and document.contract.kind == kind
        for version in document.contract.versions
    ]


def is_for(name, version, request):
    """Whether a document is to judge a request: where a vendor describes his interface in several, that of its path.
    `others` of a bench: paths that are none of that interface."""
    if any(path in request.url for path in getattr(bench_of(name), "others", ())):
        return False
    contract = find(name).connector.document.contract
    knowing = [v for v in contract.versions if _paths(contract.file, v).knows(request.method, request.url)]
    return version in knowing or not knowing


@cache
def _paths(file, version):
    return Described.of(CONTRACTS / file.replace("{version}", version))


@needs_contracts
@pytest.mark.parametrize(("name", "file", "version"), of_kind("graphql"))
def test_every_request_fits_the_schema_with_its_variables(name, file, version):
    requests = asked_by(name)
    assert len(requests) > 10
    wrong = [(r, graphql_objects(file.replace("{version}", version), r)) for r in requests]
    assert [(r.body[:200], objections) for r, objections in wrong if objections] == []
    bad = json.loads(requests[0].body)
    bad["variables"]["first"] = "many"
    changed = type(requests[0])(method="POST", url=requests[0].url, body=json.dumps(bad).encode())
    assert graphql_objects(file.replace("{version}", version), changed), "the judge sleeps"


@needs_contracts
@pytest.mark.parametrize(("name", "file", "version"), of_kind("wordpress"))
def test_every_request_fits_the_index_of_a_real_server(name, file, version):
    requests = asked_by(name)
    assert len(requests) > 10
    wrong = [(r.method, r.url, r.body[:200], wordpress_objects(file, r)) for r in requests]
    assert [w for w in wrong if w[3]] == []
    changed = type(requests[0])(method="GET", url="http://x.test/wp-json/wc/v3/orders?per_page=101&colour=red")
    assert len(wordpress_objects(file, changed)) == 2, "the judge sleeps"


@needs_contracts
@pytest.mark.parametrize(("name", "file", "version"), of_kind("openapi"))
def test_every_request_fits_the_description_as_we_read_it(name, file, version):
    """Also where prism cannot be had."""
    base, description = getattr(bench_of(name), "prefix", ""), _paths(file, version)
    requests = [request for request in asked_by(name) if is_for(name, version, request)]
    wrong = [(r.method, r.url, found) for r in requests if (found := description.wrong(r, base))]
    assert wrong == []


@needs_contracts
@pytest.mark.parametrize(("name", "file", "version"), of_kind("openapi"))
def test_every_request_fits_the_openapi_document(name, file, version):
    """By prism, which checks paths, parameters, types and bodies; not rates, credentials, or what is said in prose."""
    bench = bench_of(name)
    with prism(CONTRACTS / file.replace("{version}", version)) as judge:
        base = getattr(bench, "prefix", "")
        wrong = [judge.objects(request, base=base) for request in asked_by(name) if is_for(name, version, request)]
    assert [w for w in wrong if w] == []


@needs_contracts
def test_prism_judges():
    """It takes what fits and objects to what does not: a wrong type, a missing parameter, an unknown path."""
    from onhand.wire import Request

    path = "http://x.test/orders/2026-01-01/orders"
    with prism(CONTRACTS / "amazon-sp-api/models/orders_2026-01-01.json") as judge:

        def objects(query, path=path):
            headers = {"x-amz-access-token": "a"}
            return judge.objects(Request(method="GET", url=f"{path}?{query}", headers=headers))

        assert objects("createdAfter=2026-01-01T00:00:00Z&marketplaceIds=ATVPDKIKX0DER") is None
        assert "maxResultsPerPage" in objects("createdAfter=2026-01-01T00:00:00Z&maxResultsPerPage=abc")
        assert objects("", path="http://x.test/orders/2026-01-01/nothing") is not None


def test_shopifys_own_library_takes_what_we_take():
    """`webhooks.validate` of @shopify/shopify-api and our receive agree on each of these."""
    bench = bench_of("shopify")()
    order = bench.buy({bench.offer("MUG", 5): 1})
    good, secret = bench.message(order), bench.credentials["webhook_secret"]
    deliveries = {
        "genuine": (secret, good.headers, good.body),
        "changed by a space": (secret, good.headers, good.body + b" "),
        "another secret": ("another", good.headers, good.body),
        "no signature": (secret, _without(good.headers, "x-shopify-hmac-sha256"), good.body),
        "cut signature": (secret, {**good.headers, "x-shopify-hmac-sha256": "AAAA"}, good.body),
        "characters of the world": (secret, *_signed(bench, '{"note": "Z\u00fcrich \U0001f600"}'.encode(), good)),
        "an empty body": (secret, *_signed(bench, b"", good)),
    }
    answers = shopify_validates(deliveries.values())
    theirs = {name: answer["valid"] for name, answer in zip(deliveries, answers, strict=True)}
    ours = {name: _is_taken("shopify", *delivery) for name, delivery in deliveries.items()}
    del theirs["an empty body"]  # theirs asks for a body; it is signed all the same
    assert ours.pop("an empty body")
    assert theirs == ours
    assert sum(theirs.values()) == 2


def _without(headers, name):
    return {n: v for n, v in headers.items() if n != name}


def _signed(bench, body, like):
    import base64
    import hashlib
    import hmac

    digest = hmac.new(bench.credentials["webhook_secret"].encode(), body, hashlib.sha256).digest()
    return {**like.headers, "x-shopify-hmac-sha256": base64.b64encode(digest).decode()}, body


def _is_taken(name, secret, headers, body):
    from datetime import UTC, datetime

    try:
        find(name).connector.receive(
            headers, body, url="", credentials={"webhook_secret": secret}, now=datetime.now(UTC)
        )
    except NotGenuine:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in names() if bench_of(name)])
def test_the_kit_asks_for_everything_a_connector_can_do(name):
    """No capability is without a case that reaches its channel."""
    connector = find(name).connector
    passed = set()
    for case in CASES.values():
        if case.needs and case.needs <= abilities(connector):
            result = asyncio.run(examine(connector, bench_of(name), case))
            passed |= case.needs if result.grade is Grade.PASSED else set()
    # What only few can do is proved in their own tests.
    own = {
        "node_stock.pull",
        "messages.pull",
        "stock.confirm",
        "shipping.push",
        "shipping.cancel",
        "shipping.pull",
        "counts.pull",
    }
    # Parcels and lines are of orders: where none can be read, the connector's own test tells of them.
    of_orders = set() if "orders.pull" in connector.capabilities else {"fulfilments.push", "orders.cancel_lines"}
    # `ships` and `orders.once` say how something is done, not what.
    assert set(connector.capabilities) - passed <= {"ships", "orders.once", "sales.pull", *own, *of_orders}
