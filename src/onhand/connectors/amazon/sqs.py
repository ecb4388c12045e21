"""A queue of Amazon SQS: receive and delete, by its JSON protocol, signed with Signature Version 4.

Sources: AWS General Reference, "Create a signed AWS API request"; SQS API Reference, ReceiveMessage,
DeleteMessageBatch. What is not deleted becomes visible again, so a message comes at least once, in any order.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

from onhand.connectors._sdk.interface import Refused, Sender, Unavailable
from onhand.wire import NotReachable, Request

BATCH_MAX: Final = 10
"""Messages in one answer, receipts in one deletion."""
_HIDDEN_S: Final = 120  # long enough to store ten messages, short enough for another worker to take them over
_HOST = re.compile(r"^(?:sqs|queue)[.-]([a-z0-9-]+)\.amazonaws\.com")
_BUSY: Final = frozenset({"RequestThrottled", "ThrottlingException", "Throttling", "OverLimit", "KmsThrottled"})
_NOT_LET_IN: Final = frozenset(
    {
        "InvalidClientTokenId", "SignatureDoesNotMatch", "AccessDenied", "AccessDeniedException", "InvalidSecurity",
        "UnrecognizedClientException", "InvalidAccessKeyId", "ExpiredToken", "MissingAuthenticationToken",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who signs."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One delivery of a message; `receipt` belongs to this delivery."""

    message_id: str
    receipt: str
    body: bytes = field(repr=False)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Keys,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """`headers` and those that sign them, the method, the address (which has no query here) and the body."""
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    parts = urlsplit(url)
    signed = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc, "x-amz-date": moment}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        (
            method, parts.path or "/", "", *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)), "",
            names, hashlib.sha256(body).hexdigest(),
        )
    )  # fmt: skip
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    by = f"AWS4-HMAC-SHA256 Credential={keys.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return signed | {"authorization": by}


class Queue:
    """One queue. Keeps nothing.

    url   of the queue; its host names the region, unless `region` does
    hide  a text without our secrets
    """

    def __init__(
        self,
        url: str,
        *,
        keys: Keys,
        sender: Sender,
        region: str = "",
        hide: Callable[[str], str] = str,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        host = urlsplit(url).netloc
        found = _HOST.match(host)
        self._url, self._keys, self._sender = url, keys, sender
        self._hide = hide
        self._region = region or (found[1] if found else "us-east-1")
        self._now = now or (lambda: datetime.now(UTC))

    async def receive(self, *, wait_s: int, most: int = BATCH_MAX) -> list[Message]:
        """Messages that are there, or come within `wait_s`. One whose body arrived damaged is left for the next time.
        Raises Unavailable, Refused."""
        asked = {
            "QueueUrl": self._url, "MaxNumberOfMessages": most, "WaitTimeSeconds": min(wait_s, 20),
            "VisibilityTimeout": _HIDDEN_S,
        }  # fmt: skip
        answer = await self._ask("ReceiveMessage", asked, timeout_s=wait_s + 15.0)
        found: list[Message] = []
        for said in cast("list[dict[str, str]]", answer.get("Messages") or []):
            body = said.get("Body", "").encode()
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            if said.get("MD5OfBody", digest) == digest:
                found.append(Message(message_id=said["MessageId"], receipt=said["ReceiptHandle"], body=body))
        return found

    async def delete(self, receipts: Sequence[str]) -> list[str]:
        """Those of `receipts` that could not be deleted: their messages come again. Raises Unavailable, Refused."""
        left: list[str] = []
        for start in range(0, len(receipts), BATCH_MAX):
            some = receipts[start : start + BATCH_MAX]
            entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(some)]
            answer = await self._ask("DeleteMessageBatch", {"QueueUrl": self._url, "Entries": entries}, timeout_s=15.0)
            failed = cast("list[dict[str, Any]]", answer.get("Failed") or [])
            left += [some[int(said["Id"])] for said in failed]
        return left

    async def _ask(self, action: str, asked: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        body = json.dumps(asked).encode()
        parts = urlsplit(self._url)
        url = f"{parts.scheme}://{parts.netloc}/"
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{action}"}
        signed = sign("POST", url, headers, body, keys=self._keys, region=self._region, service="sqs", now=self._now())
        request = Request(method="POST", url=url, headers=signed, body=body, timeout_s=timeout_s)
        try:
            answer = await self._sender.send(request)
        except NotReachable as error:
            raise Unavailable(f"the queue: {error}", was_sent=error.was_sent) from None
        said = _fields(answer.body)
        if answer.status < 300:
            return said
        code = str(said.get("__type", "")).rpartition("#")[2] or str(answer.status)
        code = self._hide(code)[:100]
        message = f"the queue: {self._hide(str(said.get('message') or said.get('Message') or code))[:500]}"
        if answer.status >= 500 or answer.status == 429 or code.partition(".")[0] in _BUSY:
            raise Unavailable(message)
        is_gone = code in ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
        raise Refused(message, code=code, is_gone=is_gone, is_unauthorised=code in _NOT_LET_IN)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
