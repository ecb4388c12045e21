"""Twenty baskets race for three units: three of them hold one, nobody else does, and one hold becomes an order.

Needs what first_order.py has set up. ONHAND_KEY=<admin key> python examples/last_units.py
"""

import os
from concurrent.futures import ThreadPoolExecutor

import httpx2

api = httpx2.Client(
    base_url=os.environ.get("ONHAND_URL", "http://127.0.0.1:8080"),
    headers={"Authorization": f"Bearer {os.environ['ONHAND_KEY']}"},
)
sku = f"LAST-{os.getpid()}"
api.put(f"/v1/items/{sku}", json={"name": "Last ones", "price_minor": 900, "currency": "EUR"}).raise_for_status()
receipt = {"kind": "receipt", "sku": sku, "node": "LYON", "quantity": 3}
api.post("/v1/stock/entries", json={"entries": [receipt]}).raise_for_status()


def hold(_: int) -> httpx2.Response:
    return api.post("/v1/reservations", json={"channel": "shop", "lines": [{"sku": sku, "quantity": 1}], "ttl_s": 60})


with ThreadPoolExecutor(20) as pool:
    answers = list(pool.map(hold, range(20)))
held = [answer.json() for answer in answers if answer.status_code == 201]
refused = [answer.json() for answer in answers if answer.status_code == 409]
print(f"held: {len(held)}, refused: {len(refused)} with {refused[0]['code']}, missing {refused[0]['missing']}")

order = {
    "channel": "shop",
    "external_id": sku,
    "currency": "EUR",
    "destination": {"country": "DE"},
    "lines": [{"line_id": "1", "sku": sku, "quantity": 1, "price_minor": 900}],
    "reservation_id": held[0]["reservation_id"],
}
print("order:", api.post("/v1/orders", json=order).json()["status"])
for other in held[1:]:
    api.delete(f"/v1/reservations/{other['reservation_id']}").raise_for_status()
(position,) = api.get("/v1/stock", params={"sku": sku}).json()["data"]
print("allocated:", position["allocated"], "available:", position["available"], "oversold:", position["oversold"])
