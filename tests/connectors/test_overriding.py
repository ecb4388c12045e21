"""What a channel says otherwise than its connector: laid over the document, checked as a whole, used by its account."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.connectors import Unusable, for_channel, read_text
from onhand.connectors._sdk.overriding import overridden
from onhand.connectors._sdk.registry import find
from onhand.connectors._sdk.values import Fate, Write

from .running import Wire, connect, run, said

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


def by_the_rfc(target, patch):
    """MergePatch as RFC 7396 writes it, section 2."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        target = dict(target)
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = by_the_rfc(target.get(name), value)
        return target
    return patch


@given(objects, objects)
def test_it_is_the_merge_patch_of_the_rfc(document, by):
    before = json.dumps([document, by])
    assert overridden(document, by) == by_the_rfc(document, by)
    assert json.dumps([document, by]) == before, "neither is changed"


def test_a_part_of_another_kind_replaces_all_that_was_there():
    document = {"auth": {"type": "oauth1", "key": "a", "secret": "b"}, "keep": 1}
    assert overridden(document, {"auth": {"type": "bearer", "token": "t"}}) == {
        "auth": {"type": "bearer", "token": "t"}, "keep": 1,
    }  # fmt: skip
    assert overridden(document, {"auth": {"key": "c"}})["auth"] == {"type": "oauth1", "key": "c", "secret": "b"}
    assert overridden(document, {"auth": {"type": "oauth1", "key": "c"}})["auth"]["secret"] == "b", "the same kind"


def test_a_channel_is_talked_to_as_it_says():
    overrides = {
        "auth": {"type": "header", "header": "X-Key", "value": "{credentials.secret}"},
        "credentials": {"secret": {"description": "x"}},
        "operations": {
            "stock.push": {
                "request": {"method": "PUT", "path": "/levels", "json": {"levels": None, "rows": "{items}"}},
                "batch": {"item": {"sku": None, "place": None, "item_id": None, "quantity": None,
                                   "ref": "{external_id}", "n": "{quantity}"}},
            },
            "orders.pull": None,
        },
    }  # fmt: skip
    connector = for_channel("rest_generic", {"overrides": overrides})
    wire = Wire([said({})])
    (outcome,) = run(connector.push_stock(connect(wire), [Write(external_id="a", quantity=3, key="k")]))
    (sent,) = wire.sent
    assert outcome.fate is Fate.DONE
    assert (sent.method, sent.url) == ("PUT", "https://shop.example/levels")
    assert json.loads(sent.body) == {"rows": [{"ref": "a", "n": 3}]}
    assert sent.headers["x-key"] == "s3cret" and "authorization" not in sent.headers
    assert connector.capabilities == find("rest_generic").connector.capabilities - {"orders.pull"}
    assert connector is for_channel("rest_generic", {"overrides": overrides}), "made once"
    assert for_channel("rest_generic", {"url": "x"}) is find("rest_generic").connector, "nothing is otherwise"


def test_graphql_stays_where_it_is():
    connector = for_channel("shopify", {"overrides": {"limits": {"rate_per_s": 3}}})
    assert connector.document.limits.rate_per_s == 3
    assert connector.document.limits.cost is not None
    assert connector._asker._documents == find("shopify").connector._asker._documents


@pytest.mark.parametrize(
    ("overrides", "said_so"),
    [
        ({"connector": "other"}, "connector: fixed"),
        ({"status": "stable"}, "status: fixed"),
        ({"tittle": "x"}, "tittle: "),
        ({"operations": {"stock.push": {"request": {"path": "/{nothing}"}}}}, "nothing is called nothing here"),
        ({"operations": {"orders.pull": {"records": "a..b"}}}, "not JMESPath at character 3"),
        ({"maps": {"order": None}}, "operations"),
        ({"operations": {"stock.push": {"when": "true"}}}, "when"),
        ("all of it", "expected an object"),
    ],
)
def test_what_is_wrong_is_said_by_field(overrides, said_so):
    with pytest.raises(Unusable) as raised:
        for_channel("rest_generic", {"overrides": overrides})
    assert said_so in str(raised.value)


def test_there_has_to_be_such_a_connector():
    with pytest.raises(LookupError):
        for_channel("nobody", {"overrides": {"title": "x"}})


def test_an_operators_own_folder_goes_first(tmp_path):
    (tmp_path / "mine").mkdir()
    text = (
        "connector: mine\ntitle: Mine\nbase_url: https://x.example\n"
        "operations: {stock.push: {request: {method: POST, path: /a}, write: {guard: none}}}\n"
    )
    (tmp_path / "mine" / "connector.yaml").write_text(text)
    settings = {"overrides": {"operations": {"stock.push": {"request": {"path": "/b"}}}}}
    connector = for_channel("mine", settings, folder=tmp_path)
    assert connector.document.operations["stock.push"].request.path == "/b"
    (tmp_path / "mine" / "connector.yaml").write_text(text.replace("POST", "PUT"))
    assert for_channel("mine", settings, folder=tmp_path).document.operations["stock.push"].request.method == "PUT"
    assert read_text(text).settings["overrides"].type == "document"


def test_a_connector_that_is_a_program_stays_one():
    plans = {"searchOrders": {"rate_per_s": 7, "burst": 3}}
    connector = for_channel("amazon", {"overrides": {"plans": plans}})
    assert connector.document.plans["searchOrders"].rate_per_s == 7
    assert connector.document.plans["getOrder"].rate_per_s == 0.5
    assert connector.capabilities == find("amazon").connector.capabilities
    assert {"messages.pull", "stock.confirm"} <= connector.capabilities
