"""A cost term of others that fails is seen by who watches the server, and by nobody else."""

import pytest
from tests.shop import BERLIN, open_shop

from onhand.sourcing import custom
from onhand.sourcing.custom import Term


@pytest.fixture
def failing(monkeypatch):
    """A term that fails, and has not done so before."""
    monkeypatch.setattr(custom, "_faults", type(custom._faults)())

    def fail(batch):
        raise RuntimeError(f"nothing for {batch.postal_code[0]}")

    terms = (Term(name="toll", summary="x", origin="x 1", fulfilment=fail),)
    monkeypatch.setattr(custom, "installed", lambda: terms)


def test_a_term_that_fails_is_reported_and_the_server_stays_ready(failing, server):
    shop = open_shop(server.client)
    answer = shop.call(
        "POST", "/v1/promises", {"channel": "web", "destination": BERLIN, "lines": [{"sku": "PLATE", "quantity": 1}]}
    )
    assert answer["options"] and all("toll" not in f["cost"] for o in answer["options"] for f in o["fulfilments"])
    times = custom.faults()[0].count
    ready = server.client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["checks"]["cost_terms"] == f"toll failed {times} times"
    assert "10115" not in ready.text, "what it said is for the log"
    assert f"onhand_cost_term_failures {float(times)}" in server.client.get("/metrics").text
