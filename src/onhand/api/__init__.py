"""The HTTP interface, version 1.

Owns routes, authentication, problem documents, idempotency at the edge, events and OpenAPI.
Promises: bad input is a 4xx that names the field and writes nothing; every operation states its
scope; what is not in /openapi.json does not exist. Start reading at app.py (`create_api`), then
routing.py (what every ordinary route passes), then any routes_*.py.
"""
