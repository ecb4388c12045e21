"""Whether the requests of a `connector.yaml` fit the vendor's own description of its interface, before any is sent.

Descriptions are OpenAPI and Swagger documents, GraphQL schemas, and the index of a WordPress server. What a request
fills in is not known yet: what it is sure to ask is checked, and nothing is guessed. Start reading at checking.py.
"""

from onhand.connectors._sdk.contracts.checking import Told, against_contract
from onhand.connectors._sdk.contracts.described import Uncheckable

__all__ = ["Told", "Uncheckable", "against_contract"]
