"""`POST /v1/plans/run`."""

import pytest
from tests.shop import open_shop


@pytest.fixture
def shop(server):
    return open_shop(server.client)


def test_what_is_sourced_is_planned_again(shop):
    answer = shop.call("POST", "/v1/plans/run", {"kind": "sourcing", "limit": 5}, status=200)
    assert set(answer) == {"orders_considered", "orders_moved", "saving_minor", "gap"}
    assert answer["orders_considered"] <= 5
    dry = shop.call("POST", "/v1/plans/run", {"kind": "sourcing", "apply": False}, status=200)
    assert dry["orders_considered"] >= answer["orders_considered"]
    assert dry["saving_minor"] >= 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "kind"),
        ({"kind": "dinner"}, "kind"),
        ({"kind": "sourcing", "limit": 0}, "limit"),
        ({"kind": "sourcing", "x": 1}, "x"),
    ],
)
def test_what_cannot_be_planned_is_told_by_its_field(server, body, path):
    answer = server.client.post("/v1/plans/run", json=body)
    assert answer.status_code == 422
    assert [e["path"] for e in answer.json()["errors"]] == [path]
