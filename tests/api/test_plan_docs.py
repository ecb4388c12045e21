"""docs/how-to/plan-stock.md: every request in it is taken, and what it says is what is there."""

import json
import re
from pathlib import Path

from onhand.api.routes_plans import BuyingIn, KeepingIn, PruningIn, RebalancingIn

PAGE = Path(__file__).parents[2] / "docs/how-to/plan-stock.md"
_REQUEST = re.compile(r"^<!-- request: (?P<method>\w+) (?P<path>\S+) -->\n```json\n(?P<body>.*?)^```$", re.M | re.S)


def test_every_request_of_the_page_is_taken(server):
    text = PAGE.read_text("utf-8")
    server.client.put("/v1/items/MUG-BLUE", json={"name": "mug", "category": "kitchen"})
    for code in ("LYON", "BERLIN"):
        place = {"node_type": "store", "country": "DE", "latitude": 50, "longitude": 8, "timezone": "UTC"}
        server.client.put(f"/v1/nodes/{code}", json={"name": code} | place)
    requests = list(_REQUEST.finditer(text))
    assert len(requests) == text.count("```json") == 4
    for request in requests:
        answer = server.client.request(request["method"], request["path"], json=json.loads(request["body"]))
        assert answer.status_code in (200, 202), answer.text
        assert '"rejected"' not in answer.text, answer.text
    own, every = server.client.get("/v1/supply").json()["data"][::-1]
    assert (own["node"], own["order_days"], every["node"]) == ("BERLIN", [1, 4], None)
    assert len(server.client.get("/v1/lanes?node=LYON").json()["data"]) == 2


def test_every_setting_is_on_the_page():
    text = PAGE.read_text("utf-8")
    for name in KeepingIn.model_fields | BuyingIn.model_fields | RebalancingIn.model_fields | PruningIn.model_fields:
        assert f"`{name}`" in text, name
