"""What is otherwise at the fake `Market` than at a shop that is written for us: `overrides` of `rest_generic`."""

HARBOUR = """
auth: {type: header, header: X-Harbour-Key, value: "{credentials.token}"}
operations:
  stock.pull:
    request: {path: /offers, query: {page: null, after: "{after}"}}
    records: rows
    paging: {by: cursor, next: next}
  listings.pull: null
  orders.pull: null
maps: {level: {external_id: ref, external_sku: code, quantity: units, place: null}}
"""
