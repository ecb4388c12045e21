"""Values and decisions: when to try again, when to give up."""

import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

GIVE_UP_AFTER = timedelta(days=3)
_FIRST_RETRY_S = 5.0
_RETRY_MAX_S = 6 * 3600.0
_PAUSE_MAX_S = 300.0

# An event kind, all kinds of a subject, or everything.
KIND = re.compile(r"[a-z_]+\.([a-z_]+|\*)|\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An endpoint that is told of events. Its secret is kept apart."""

    webhook_id: str
    url: str
    kinds: list[str]
    active: bool
    created_at: datetime
    disabled_at: datetime | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint."""

    delivery_id: int
    webhook_id: str
    event_xid: int
    event_pos: int
    status: str
    attempts: int
    created_at: datetime
    due_at: datetime
    last_error: str | None
    delivered_at: datetime | None
    kind: str
    subject: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how to send: what the delivery loop needs of a webhook."""

    webhook_id: str
    url: str
    secret: str
    failing_since: datetime | None


def next_try(attempts: int, created_at: datetime, now: datetime, rng: random.Random) -> datetime | None:
    """When to try again after `attempts` failures; None when it is time to give up.

    Exponential with full jitter (Brooker, "Exponential backoff and jitter", 2015): uniform in (0, bound), the bound
    doubling from 5 s to 6 h, so that a thousand deliveries that failed together do not come back together.
    """
    bound_s = min(_RETRY_MAX_S, _FIRST_RETRY_S * 2 ** min(attempts - 1, 20))
    due = now + timedelta(seconds=1 + rng.uniform(0, bound_s))
    return due if due < created_at + GIVE_UP_AFTER else None


def pause_s(failures: int, rng: random.Random) -> float:
    """How long to leave an endpoint alone after `failures` in a row, whatever waits for it: up to 5 minutes."""
    return rng.uniform(0.5, 1.0) * min(_PAUSE_MAX_S, 2.0 ** min(failures - 1, 20))
