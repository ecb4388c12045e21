"""From nothing to a delivered order: a shelf, an item, a channel, a promise, an order, a parcel.

Start `onhand serve`, then: ONHAND_KEY=<its admin key> python examples/first_order.py
"""

import os

import httpx2

api = httpx2.Client(
    base_url=os.environ.get("ONHAND_URL", "http://127.0.0.1:8080"),
    headers={"Authorization": f"Bearer {os.environ['ONHAND_KEY']}"},
)


def call(method: str, path: str, body: dict | None = None) -> dict:
    answer = api.request(method, path, json=body)
    answer.raise_for_status()
    return answer.json()


lyon = {"name": "Lyon", "node_type": "warehouse", "country": "FR", "latitude": 45.7, "longitude": 4.9}
call("PUT", "/v1/nodes/LYON", lyon | {"timezone": "Europe/Paris", "working_days": [1, 2, 3, 4, 5, 6, 7]})
rates = {"by": "distance_km", "distance_km": [None], "weights_g": [30_000], "prices_minor": [[690]]}
parcel = {"code": "parcel", "rate_table": rates, "currency": "EUR", "transit_days": {"p50": 1, "p95": 2}}
call("PUT", "/v1/carriers/post", {"name": "Post", "services": [parcel]})
call("PUT", "/v1/channels/shop", {"nodes": ["LYON"], "currency": "EUR"})
call("PUT", "/v1/items/MUG-BLUE", {"name": "Enamel mug, blue", "weight_g": 340, "price_minor": 1250, "currency": "EUR"})
receipt = {"kind": "receipt", "sku": "MUG-BLUE", "node": "LYON", "quantity": 40}
print("on hand:", call("POST", "/v1/stock/entries", {"entries": [receipt]})["results"][0]["on_hand"])

basket = {"channel": "shop", "destination": {"country": "DE"}, "lines": [{"sku": "MUG-BLUE", "quantity": 2}]}
print("promise:", call("POST", "/v1/promises", basket)["options"][0]["deliver_by"])
order = basket | {"external_id": f"first-{os.getpid()}", "currency": "EUR"}
order["lines"] = [{"line_id": "1", "sku": "MUG-BLUE", "quantity": 2, "price_minor": 1250}]
placed = call("POST", "/v1/orders", order)
print("order:", placed["status"], "deliver by", placed["promise"]["deliver_by"])
for step in ("accept", "pack", "ship", "deliver"):
    print(f"{step}:", call("POST", f"/v1/fulfilments/{placed['fulfilments'][0]['fulfilment_id']}/{step}", {})["status"])
