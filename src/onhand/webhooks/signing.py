"""Standard Webhooks: the message, its headers and its signature."""

import base64
import secrets
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook as Signer

from onhand.webhooks.model import Delivery

_SECRET_BYTES = 24


def new_secret() -> str:
    """A fresh secret, `whsec_...`."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def message_id(epoch: str, delivery: Delivery) -> str:
    """Id of the message: the same at every try, so that the receiver can drop repeats."""
    return f"msg_{epoch}.{delivery.event_xid}.{delivery.event_pos}"


def payload(delivery: Delivery) -> bytes:
    """The body: what happened, when, to which subject. Ids only; details are for the caller's own key to read."""
    return msgspec.json.encode(
        {
            "type": delivery.kind,
            "timestamp": delivery.at,
            "data": {"subject": delivery.subject, **delivery.data},
        }
    )


def headers(secret: str, message: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that let the receiver check sender, age and content."""
    whole_second = now.astimezone(UTC).replace(microsecond=0)
    return {
        "content-type": "application/json",
        "user-agent": "onhand-webhooks/1",
        "webhook-id": message,
        "webhook-timestamp": str(int(whole_second.timestamp())),
        "webhook-signature": Signer(secret).sign(message, whole_second, body.decode()),
    }
