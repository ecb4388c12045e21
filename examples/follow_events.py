"""Print every change of orders and fulfilments as it happens; a broken connection goes on where it was.

ONHAND_KEY=<admin key> python examples/follow_events.py [how many]
"""

import json
import os
import sys
import time

import httpx2

many = int(sys.argv[1]) if len(sys.argv) > 1 else sys.maxsize
api = httpx2.Client(
    base_url=os.environ.get("ONHAND_URL", "http://127.0.0.1:8080"),
    headers={"Authorization": f"Bearer {os.environ['ONHAND_KEY']}"},
    timeout=60,
)
seen, last = 0, ""
while seen < many:
    headers = {"Last-Event-ID": last} if last else {}
    try:
        with api.stream("GET", "/v1/events", params={"kinds": "order.*,fulfilment.*"}, headers=headers) as stream:
            stream.raise_for_status()
            print("listening", flush=True)
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    last, seen = event["id"], seen + 1
                    print(event["timestamp"], event["type"], event["subject"], flush=True)
                    if seen == many:
                        break
    except httpx2.TransportError as error:
        print("lost the connection, trying again:", error, file=sys.stderr)
        time.sleep(1)
