"""An account at Stripe, as its API reference (2025-03-31.basil) and its pages on holds, idempotency and signatures say;
no recording of one was seen.

What it keeps of the real one: a PaymentIntent is confirmed, held, captured once (or in parts where that was asked for)
and gives back what is left; it lapses by itself; nobody captures more than is held or refunds more than was captured; a
key that comes again with the same parameters is answered as before, refusals and failures too, and with others refused.

Payment methods tell how the bank behaves: `pm_ok...` pays; `pm_declined...` never does; `pm_later_N...` does from the
N-th time on that it is asked.

Every movement of money is a row of `ledger`, checked as it is written: our books must agree with its sums.
"""

import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

Json = dict[str, Any]
_LATER: Final = re.compile(r"pm_later_(\d+)")
_FORGOTTEN_AFTER: Final = timedelta(hours=24)
_LIVES: Final = timedelta(days=7)


class StripeError(Exception):
    """What the API answers in place of an object."""

    def __init__(self, status: int, kind: str, code: str, message: str, **more: Any) -> None:
        self.status = status
        self.body: Json = {"error": {"type": kind, "code": code, "message": message, **more}}
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Row:
    """One movement: authorise, capture, release, refund."""

    kind: str
    intent: str
    amount: int
    at: datetime


class Account:
    """The state of an account. key: of its API; hook_secret: signs its events; now: its clock; fee_rate: share of what
    is captured; settles_in: currency of its bank account, "" that of the payment."""

    def __init__(
        self,
        *,
        key: str = "sk_test_fake",
        hook_secret: str = "whsec_fake",  # noqa: S107
        now: Callable[[], datetime] | None = None,
        lives: timedelta = _LIVES,
    ) -> None:
        self.key, self.hook_secret, self.lives = key, hook_secret, lives
        self.fee_rate, self.settles_in = 0.0, ""
        self.disputes: dict[str, Json] = {}
        self._clock = now
        self.intents: dict[str, Json] = {}
        self.ledger: list[Row] = []
        self.events: list[Json] = []
        self.repeats = 0
        self._keys: dict[str, tuple[str, datetime, int, Json]] = {}
        self._asked: Counter[str] = Counter()
        self._id = 0

    def __getstate__(self) -> Json:
        return {**vars(self), "_clock": None}

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [
            Route("/v1/payment_intents", self._post(self.create), methods=["POST"]),
            Route("/v1/payment_intents/{id}", self._get),
            Route("/v1/payment_intents/{id}/capture", self._post(self.capture), methods=["POST"]),
            Route("/v1/payment_intents/{id}/cancel", self._post(self.cancel), methods=["POST"]),
            Route("/v1/refunds", self._post(self.refund), methods=["POST"]),
            Route("/v1/disputes", self._list_disputes),
        ]
        control = [
            Route("/_fake/ledger", self._tell),
            Route("/_fake/expire", self._expire, methods=["POST"]),
            Route("/_fake/refund", self._refund_here, methods=["POST"]),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    def now(self) -> datetime:
        return self._clock() if self._clock is not None else datetime.now(UTC)

    # What the API does ----------------------------------------------------------------------------------------------

    def create(self, form: Mapping[str, str]) -> Json:
        """A PaymentIntent, confirmed at once. Raises StripeError."""
        amount, token = int(form["amount"]), form.get("payment_method", "")
        if amount < 1:
            raise StripeError(400, "invalid_request_error", "amount_too_small", "Amount must be at least 1.")
        self._id += 1
        now = self.now()
        intent: Json = {
            "id": f"pi_{self._id:08d}", "object": "payment_intent", "amount": amount, "currency": form["currency"],
            "capture_method": form.get("capture_method", "automatic"), "created": int(now.timestamp()),
            "amount_capturable": 0, "amount_received": 0, "status": "requires_payment_method",
            "payment_method": token, "customer": form.get("customer"), "latest_charge": None,
            "metadata": {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")},
            "is_many": form.get("payment_method_options[card][request_multicapture]") == "if_available",
        }  # fmt: skip
        self.intents[intent["id"]] = intent
        self._asked[token] += 1
        later = _LATER.match(token)
        if token.startswith("pm_declined") or (later and self._asked[token] < int(later[1])):
            declined = {"decline_code": "insufficient_funds", "payment_intent": {"id": intent["id"]}}
            raise StripeError(402, "card_error", "card_declined", "Your card has insufficient funds.", **declined)
        intent["latest_charge"] = {
            "id": f"ch_{self._id:08d}", "amount_refunded": 0, "disputed": False, "balance_transaction": None,
            "payment_method_details": {"card": {"capture_before": int((now + self.lives).timestamp())}},
        }  # fmt: skip
        intent |= {"status": "requires_capture", "amount_capturable": amount}
        self._book("authorise", intent, amount)
        if intent["capture_method"] == "automatic":
            self.capture({}, intent["id"])
        return intent

    def capture(self, form: Mapping[str, str], intent_id: str) -> Json:
        """Take what is held, or a part of it. Raises StripeError."""
        intent = self._intent(intent_id)
        if intent["status"] != "requires_capture":
            raise self._unexpected(intent, "captured")
        amount = int(form.get("amount_to_capture") or intent["amount_capturable"])
        if not 0 < amount <= intent["amount_capturable"]:
            raise StripeError(400, "invalid_request_error", "amount_too_large", "It is more than can be captured.")
        intent["amount_capturable"] -= amount
        intent["amount_received"] += amount
        self._book("capture", intent, amount)
        intent["latest_charge"]["balance_transaction"] = {
            "fee": round(intent["amount_received"] * self.fee_rate), "currency": self.settles_in or intent["currency"],
        }  # fmt: skip
        if not intent["amount_capturable"] or not intent["is_many"] or form.get("final_capture") == "true":
            self._release(intent)
            intent["status"] = "succeeded"
            self._tell_of("payment_intent.succeeded", intent)
        return intent

    def cancel(self, _form: Mapping[str, str], intent_id: str) -> Json:
        """Give back what is held. Raises StripeError."""
        intent = self._intent(intent_id)
        if intent["status"] in ("canceled", "succeeded"):
            raise self._unexpected(intent, "canceled")
        self._lapse(intent)
        return intent

    def refund(self, form: Mapping[str, str]) -> Json:
        """Give back what was captured, or a part of it. Raises StripeError."""
        intent = self._intent(form["payment_intent"])
        charge, amount = intent["latest_charge"] or {"amount_refunded": 0}, int(form["amount"])
        if not 0 < amount <= intent["amount_received"] - charge["amount_refunded"]:
            raise StripeError(400, "invalid_request_error", "charge_already_refunded", "It is more than was captured.")
        charge["amount_refunded"] += amount
        self._book("refund", intent, amount)
        self._tell_of("charge.refunded", {"id": charge["id"], "payment_intent": intent["id"]})
        self._id += 1
        return {"id": f"re_{self._id:08d}", "object": "refund", "amount": amount, "status": "succeeded"}

    def get(self, intent_id: str) -> Json:
        """How a PaymentIntent is. Raises StripeError."""
        return self._intent(intent_id)

    # What happens by itself -----------------------------------------------------------------------------------------

    def dispute(self, intent_id: str, amount: int | None = None) -> None:
        """The customer asks his bank for it, all of it or a part."""
        intent = self._intent(intent_id)
        intent["latest_charge"]["disputed"] = True
        self.disputes[intent_id] = {
            "id": f"dp_{len(self.disputes) + 1}", "object": "dispute", "payment_intent": intent_id,
            "amount": amount or intent["amount_received"], "currency": intent["currency"], "status": "needs_response",
        }  # fmt: skip
        self._tell_of("charge.dispute.created", self.disputes[intent_id])

    def end_dispute(self, intent_id: str, *, won: bool) -> None:
        """The banks have decided."""
        self.disputes[intent_id]["status"] = "won" if won else "lost"
        self._tell_of("charge.dispute.closed", self.disputes[intent_id])

    def expire(self, intent_id: str) -> None:
        """Its hold lapses now."""
        intent = self.intents[intent_id]
        if intent["status"] == "requires_capture":
            self._lapse(intent)

    def totals(self) -> dict[str, int]:
        """Sums of the ledger by kind."""
        sums: Counter[str] = Counter()
        for row in self.ledger:
            sums[row.kind] += row.amount
        return {kind: sums[kind] for kind in ("authorise", "capture", "release", "refund")}

    def _intent(self, intent_id: str) -> Json:
        intent = self.intents.get(intent_id)
        if intent is None:
            raise StripeError(404, "invalid_request_error", "resource_missing", "No such payment_intent.")
        if intent["status"] == "requires_capture":
            until = intent["latest_charge"]["payment_method_details"]["card"]["capture_before"]
            if until <= self.now().timestamp():
                self._lapse(intent)
        return intent

    def _lapse(self, intent: Json) -> None:
        self._release(intent)
        # What was captured in parts stays captured.
        intent["status"] = "succeeded" if intent["amount_received"] else "canceled"
        self._tell_of("payment_intent.canceled", intent)

    def _release(self, intent: Json) -> None:
        if intent["amount_capturable"]:
            self._book("release", intent, intent["amount_capturable"])
            intent["amount_capturable"] = 0

    def _book(self, kind: str, intent: Json, amount: int) -> None:
        self.ledger.append(Row(kind, intent["id"], amount, self.now()))
        back = (intent["latest_charge"] or {"amount_refunded": 0})["amount_refunded"]
        assert 0 <= back <= intent["amount_received"] <= intent["amount"], f"the books of {intent['id']} are wrong"

    def _unexpected(self, intent: Json, what: str) -> StripeError:
        text = f"This PaymentIntent could not be {what} because it has a status of {intent['status']}."
        return StripeError(400, "invalid_request_error", "payment_intent_unexpected_state", text)

    def _tell_of(self, kind: str, thing: Mapping[str, Any]) -> None:
        self._id += 1
        self.events.append(
            {"id": f"evt_{self._id:08d}", "object": "event", "type": kind, "data": {"object": dict(thing)}}
        )

    def deliver(self, event: Mapping[str, Any], *, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of a message that tells of an event."""
        body = json.dumps(event).encode()
        moment = str(int((at or datetime.now(UTC)).timestamp()))
        digest = hmac.new(self.hook_secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "stripe-signature": f"t={moment},v1={digest},v0=ignored"}, body

    # HTTP -----------------------------------------------------------------------------------------------------------

    def once(self, key: str | None, path: str, form: Mapping[str, str], work: Callable[[], Json]) -> tuple[int, Json]:
        """Status and body of a request with an Idempotency-Key: done, or answered as it was before."""
        asked = json.dumps([path, sorted(form.items())])
        known = self._keys.get(key or "")
        if key and known is not None and self.now() - known[1] < _FORGOTTEN_AFTER:
            if known[0] != asked:
                error = StripeError(400, "idempotency_error", "", "Keys can only be used with the same parameters.")
                return error.status, error.body
            self.repeats += 1
            return known[2], known[3]
        try:
            status, body = 200, json.loads(json.dumps(work()))
        except StripeError as error:
            status, body = error.status, error.body
        if key:
            self._keys[key] = (asked, self.now(), status, body)
        return status, body

    def _post(self, work: Callable[..., Json]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            if (refused := self._stranger(request)) is not None:
                return refused
            form = dict(parse_qsl((await request.body()).decode()))
            arguments = [request.path_params["id"]] if "id" in request.path_params else []
            key = request.headers.get("idempotency-key")
            status, body = self.once(key, request.url.path, form, lambda: work(form, *arguments))
            return JSONResponse(body, status)

        return answer

    async def _get(self, request: Request) -> Response:
        if (refused := self._stranger(request)) is not None:
            return refused
        try:
            return JSONResponse(self.get(request.path_params["id"]))
        except StripeError as error:
            return JSONResponse(error.body, error.status)

    async def _list_disputes(self, request: Request) -> Response:
        if (refused := self._stranger(request)) is not None:
            return refused
        found = self.disputes.get(request.query_params["payment_intent"])
        return JSONResponse({"object": "list", "data": [] if found is None else [found], "has_more": False})

    def _stranger(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        return JSONResponse({"error": {"type": "invalid_request_error", "message": "Invalid API Key."}}, 401)

    async def _tell(self, _: Request) -> Response:
        rows = [{"kind": r.kind, "intent": r.intent, "amount": r.amount, "at": r.at.isoformat()} for r in self.ledger]
        return JSONResponse({"totals": self.totals(), "rows": rows, "repeats": self.repeats})

    async def _expire(self, request: Request) -> Response:
        self.expire((await request.json())["id"])
        return JSONResponse({})

    async def _refund_here(self, request: Request) -> Response:
        """Somebody gives money back by hand."""
        asked = await request.json()
        try:
            return JSONResponse(self.refund({"payment_intent": asked["id"], "amount": str(asked["amount"])}))
        except StripeError as error:
            return JSONResponse(error.body, error.status)
