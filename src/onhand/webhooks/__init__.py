"""Telling other systems: endpoints, signed messages, retries, and the list of what could not be delivered.

Owns `webhook` and `webhook_delivery`. Promises: every event an endpoint wants is sent at least once or ends in its list
of dead deliveries; one endpoint never waits for another; no request goes to an address that is not public.
Start reading at deliver.py (the loop), then model.py (when to give up).
"""

from onhand.webhooks.deliver import Deliverer
from onhand.webhooks.model import KIND, Delivery, Webhook
from onhand.webhooks.signing import new_secret
from onhand.webhooks.store import (
    add_webhook,
    backlog,
    delete_webhook,
    enable_webhook,
    get_webhook,
    is_wanted,
    list_deliveries,
    list_webhooks,
    replay_dead,
    replay_from,
)

__all__ = [
    "KIND",
    "Deliverer",
    "Delivery",
    "Webhook",
    "add_webhook",
    "backlog",
    "delete_webhook",
    "enable_webhook",
    "get_webhook",
    "is_wanted",
    "list_deliveries",
    "list_webhooks",
    "new_secret",
    "replay_dead",
    "replay_from",
]
