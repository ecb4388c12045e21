"""What is wrong with a connector.yaml: where, and what to do about it."""

from importlib.resources import files

import jsonschema_rs
import pytest

from onhand.connectors import FILE, built_in, lint, lint_folder, schema
from onhand.connectors._sdk.registry import Unusable, find, read_text

GOOD = """\
connector: corner_shop
title: Corner Shop
settings:
  url: {type: url, description: of the shop}
credentials:
  token: {description: of its administration}
plans: {setStock: {rate_per_s: 1, burst: 2}}
base_url: "{settings.url}/api"
auth: {type: bearer, token: "{credentials.token}"}
errors:
  - {when: 'status == 418', then: retry}
operations:
  orders.pull:
    request: {path: /orders, query: {since: "{cursor:rfc3339}", page: "{page}"}}
    records: orders
    paging: {by: page}
    cursor: {each: changed}
    map: order
  stock.push:
    request: {method: PUT, path: "/items/{external_id}", json: {units: "{quantity}"}}
    write: {guard: none}
  fulfilments.push:
    request:
      method: POST
      path: /sent
      json: {by: "{carrier}", of: {each: "{lines}", item: {n: "{line_id}", u: "{item.quantity}"}}}
maps:
  order:
    to: order
    external_id: id
    status: {path: state, table: {paid: open}}
    currency: {const: EUR}
    placed_at: moment(at)
    lines: {each: items, line_id: text(n), sku: sku, quantity: count, price_minor: "money(price, currency)"}
webhooks:
  verify: {scheme: hmac, header: X-Sign, secret: "{credentials.token}"}
  topic: {header: X-Topic}
  dedupe: {path: id}
  topics: {order: {map: order}}
"""

# replaced, by what, where it is found (its beginning), part of the message or remedy
WRONG = [
    ("topics: {order: {map: order}}", "topics: {order: {get: payments.get, id: id}}", "{get", "payments.get"),
    ("scheme: hmac, header", "scheme: stamped, digst: v1, header", "digst", "did you mean"),
    ("  orders.pull:", "  payments.get: {request: {path: /p}, map: order}\n  orders.pull:", "order}", "to: payment"),
    ("  orders.pull:", "  payments.void: {request: {path: \"/{sum}\"}}\n  orders.pull:", "\"/{sum}", "is called sum"),
    ("title: Corner Shop", "title: Corner Shop\ntitel: x", "titel", "did you mean 'title'"),
    ("type: bearer", "type: bearr", "{type: bearr", "bearer"),
    ("token: \"{credentials.token}\"}\nerr", "tokn: \"{credentials.token}\"}\nerr", "tokn", "did you mean 'token'"),
    ("{settings.url}/api", "{settings.uri}/api", "\"{settings.uri}", "did you mean 'settings.url'"),
    ("{settings.url}/api", "{settings.url/api", "\"{settings.url/api", "no blank"),
    ("{cursor:rfc3339}", "{cursor:rfc1}", "\"{cursor:rfc1}\"", "rfc3339"),
    ("page: \"{page}\"}}", "x: 1}}", "{by: page}", "{page}"),
    ("    cursor: {each: changed}\n", "", "request:", "add cursor"),
    ("records: orders", "records: orders..x", "orders..x", "not JMESPath at character 8"),
    ("url: {type", "overrides: {type", "{type: url", "has this setting already"),
    ("  token: {d", "  key: {description: x}\n  token: {d", "{description: x}", "choose another name: api_key"),
    ("moment(at)", "momnt(at)", "momnt(at)", "no function 'momnt'"),
    ("moment(at)", "moment(at, b)", "moment(at, b)", "takes 1, not 2"),
    ("money(price, currency)", "money(price", "\"money(price", "not JMESPath"),
    ("map: order\n  stock", "map: ordr\n  stock", "ordr", "read by a map to: order"),
    ("'status == 418'", "'status == \"418\"'", "== \"418\"", "without quotes"),
    ("'status == 418'", "'state == 418'", "state == 418", "nothing is called 'state'"),
    ("then: retry", "then: again", "again", "'retry'"),
    ("    write: {guard: none}\n", "", "request:", "add write"),
    ("method: PUT, ", "", "", "GET has no body"),
    ("path: state, table: {paid: open}", "path: state", "status", "required"),
    ("sku: sku, quantity", "sky: sku, quantity", "sky", "did you mean 'sku'"),
    ("{credentials.token}\"}\n  topic", "{settings.url}{x}\"}\n  topic", "", "nothing is called x"),
    ("topics: {order: {map: order}}", "topics: {order: {}}", "", "by a map, or it is a hint"),
    ("topics: {order: {map: order}}", "topics: {onhand.sale: {map: order}}", "{map: order}}", "are our own"),
    ("header: X-Topic", "header: X-Topic, path: id", "", "header, or in the body"),
    ("{paid: open}", "{paid: opn}", "opn", "did you mean 'open'"),
    ("table: {paid: open}", "table: {paid: open}, default: gone", "gone", "known are cancelled"),
    ("{path: state, table: {paid: open}}", "{const: paid}", "paid", "no order of ours is 'paid'"),
    ("const: EUR", "const: EURO", "EURO", "no currency"),
    ("{line_id}", "{lineid}", "{n: ", "did you mean 'line_id'"),
    ("{item.quantity}", "{item.units}", "{n: ", "nothing is called units here"),
    ("{line_id}", "{tracking}{x}", "{n: ", "nothing is called x here"),
    ("stock.push:", "stock.pushes:", "stock.pushes", "none of the words"),
    ("request: {method: PUT", "request: {plan: setStok, method: PUT", "setStok", "did you mean 'setStock'"),
    ("scheme: hmac, header: X-Sign, secret: \"{credentials.token}\"", "scheme: queue", "X-Topic", "have no headers"),
    ("request: {method: PUT", "steps: []\n    reqest: {method: PUT", "reqest", "did you mean 'request'"),
]  # fmt: skip


def findings(text):
    return lint(text, read_file=lambda _: None).findings


def test_a_good_one_has_no_findings_and_fits_the_published_schema():
    assert findings(GOOD) == []
    assert read_text(GOOD).capabilities == {"orders.pull", "stock.push", "fulfilments.push"}
    from onhand.documents.text import read

    assert jsonschema_rs.is_valid(schema(), read(GOOD).value)
    assert not jsonschema_rs.is_valid(schema(), read(GOOD).value | {"titel": "x"})


@pytest.mark.parametrize(("old", "new", "where", "says"), WRONG)
def test_what_is_wrong_is_found_where_it_stands(old, new, where, says):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    found = findings(text)
    assert found, "nothing was found"
    told = [f for f in found if says in f"{f.message}; {f.remedy}"]
    assert told, [str(f) for f in found]
    line = text.splitlines()[told[0].line - 1]
    assert line[told[0].column - 1 :].startswith(where), (str(told[0]), line)
    with pytest.raises(Unusable, match=r"connector\.yaml:\d+:\d+: error"):
        read_text(text)


def test_graphql_lies_beside_it_and_the_folder_has_its_name():
    text = GOOD.replace('path: "/items/{external_id}", json: {units: "{quantity}"}', "graphql: set.graphql")
    assert any("no file 'set.graphql'" in f.message for f in lint(text, read_file=lambda _: None).findings)
    assert lint(text, read_file=lambda _: "mutation { x }").findings == []
    (found,) = lint(GOOD, read_file=lambda _: None, folder="other").findings
    assert (found.line, "'other'" in found.message) == (1, True)


@pytest.mark.parametrize("name", built_in())
def test_every_connector_of_ours_is_without_findings(name):
    folder = files("onhand.connectors").joinpath(name)
    if folder.joinpath(FILE).is_file():  # else it is a program only
        assert lint_folder(folder).findings == []
    assert find(name).connector.name == name


def test_an_operators_folder_goes_before_ours_and_an_unknown_name_is_told(tmp_path):
    folder = tmp_path / "woocommerce"
    folder.mkdir()
    (folder / "connector.yaml").write_text(GOOD.replace("corner_shop", "woocommerce"))
    assert find("woocommerce", folder=tmp_path).place == str(folder)
    assert find("woocommerce").place == "onhand"
    with pytest.raises(LookupError, match=r"there are .*vendure.*woocommerce"):
        find("shopwre")
