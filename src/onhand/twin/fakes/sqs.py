"""A queue that speaks the JSON protocol of Amazon SQS: at least once, hidden while it is worked on, signed requests.

The clock is the owner's, so that time can be moved on.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PATH = "/123456789012/notifications"
"""Of the queue's own address; requests go to "/" and name it."""


@dataclass(slots=True)
class _Lying:
    message_id: str
    body: str
    visible_at: float = 0.0
    receipt: str = ""
    deliveries: int = 0


class Queue:
    """One queue and the user who may read it. now: seconds, of any beginning."""

    def __init__(self, *, key_id: str, secret: str, now: Callable[[], float]) -> None:
        self.key_id, self.secret, self._now = key_id, secret, now
        self._lying: list[_Lying] = []

    def __len__(self) -> int:
        return len(self._lying)

    def put(self, body: str) -> None:
        """A message; with another id each time, also if it is the same."""
        self._lying.append(_Lying(message_id=secrets.token_hex(16), body=body))

    async def endpoint(self, request: Request) -> Response:
        """One request; its action is in X-Amz-Target."""
        body = await request.body()
        if (refused := self._refused(request, body)) is not None:
            return refused
        asked = json.loads(body)
        if not str(asked.get("QueueUrl", "")).endswith(PATH):
            return _error("QueueDoesNotExist", "The specified queue does not exist.")
        match request.headers.get("x-amz-target", "").partition(".")[2]:
            case "ReceiveMessage":
                return JSONResponse(self._receive(asked))
            case "DeleteMessage":
                self._delete(asked["ReceiptHandle"])
                return JSONResponse({})
            case "DeleteMessageBatch":
                return JSONResponse(self._delete_batch(asked["Entries"]))
            case action:
                return _error("InvalidAction", f"The action {action} is not valid for this endpoint.")

    def _receive(self, asked: dict[str, Any]) -> dict[str, Any]:
        now = self._now()
        found: list[dict[str, str]] = []
        hidden_s = float(asked.get("VisibilityTimeout", 30))
        for message in self._lying:
            if message.visible_at <= now and len(found) < int(asked.get("MaxNumberOfMessages", 1)):
                message.visible_at = now + hidden_s
                message.receipt, message.deliveries = secrets.token_hex(24), message.deliveries + 1
                found.append(
                    {
                        "MessageId": message.message_id, "ReceiptHandle": message.receipt, "Body": message.body,
                        "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
                    }
                )  # fmt: skip
        return {"Messages": found} if found else {}

    def _delete(self, receipt: str) -> bool:
        before = len(self._lying)
        self._lying = [message for message in self._lying if message.receipt != receipt]
        return len(self._lying) < before

    def _delete_batch(self, entries: list[dict[str, str]]) -> dict[str, Any]:
        gone: list[dict[str, str]] = []
        failed: list[dict[str, Any]] = []
        for entry in entries:
            if self._delete(entry["ReceiptHandle"]):
                gone.append({"Id": entry["Id"]})
            else:
                failed.append(
                    {"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "Message": "stale", "SenderFault": True}
                )
        return {"Successful": gone, "Failed": failed}

    def _refused(self, request: Request, body: bytes) -> Response | None:
        """Signature Version 4, read from what came; independent of how anybody signs."""
        given = request.headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            return _error("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        parts = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        key_id, _, scope = parts["Credential"].partition("/")
        if key_id != self.key_id:
            return _error("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        names = parts["SignedHeaders"].split(";")
        if not {"host", "x-amz-date", "x-amz-target"} <= set(names):
            return _error("SignatureDoesNotMatch", "host, x-amz-date and x-amz-target must be signed", 403)
        lines = [f"{name}:{request.headers.get(name, '').strip()}" for name in names]
        canonical = "\n".join(
            [request.method, request.url.path, request.url.query, *lines, "", parts["SignedHeaders"],
             hashlib.sha256(body).hexdigest()]
        )  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signed = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest])
        key = ("AWS4" + self.secret).encode()
        for part in [*scope.split("/"), signed]:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(key.hex(), parts["Signature"]):
            return _error("SignatureDoesNotMatch", "The request signature we calculated does not match.", 403)
        return None


def _error(code: str, message: str, status: int = 400) -> Response:
    return JSONResponse({"__type": f"com.amazonaws.sqs#{code}", "message": message}, status)
