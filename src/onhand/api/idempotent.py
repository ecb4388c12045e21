"""`Idempotency-Key` on ordinary routes: the answer is stored in the transaction of its effect.

A flow takes `transact: Transactor | None = None` (see `onhand.flows.transactor`) for the one
transaction whose result is the answer. The route hands it the keyed one:

    @router.post("/v1/returns", status_code=201, response_model=Return, ...)
    def add_return(body: NewReturn, app: TheApp, by: By, once: OnceDep) -> Response:
        return once.run(
            lambda transact: flows.add_return(app.db, body.lines, by=by, transact=transact),
            status=201,
        )

or, when a single function does it all in the route's own transaction:

        return once.commit(app.db, lambda conn: ledger.add_inbound(conn, ...), status=201)

What the rules ask of a flow:

- it calls `transact` exactly once, and what `work(conn)` returns there *is* the answer (or `answer`
  makes it from that, purely: it runs inside the transaction); what the flow returns is not used;
- follow-up transactions (reroute, publish) use `db.transact` and come after it;
- it reads the state it decides on inside `work`: on a repeat, a check before `transact` could
refuse
  what the first request has already done. Should one do so all the same, `run` looks for the first
  answer before it lets the refusal out.

Without the header, `run` is just the flow and its answer. Refusals are never stored: the caller may
repeat them with the same key. A COMMIT with an unknown result is resolved by reading the key again.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

import msgspec
from fastapi import Depends, Header
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from onhand.api.auth import Principal
from onhand.api.context import edge
from onhand.db import Database, idempotency
from onhand.db.idempotency import Replay
from onhand.errors import CommitUnknown, DatabaseUnavailable, IdempotencyKeyReused, InvalidInput, OnhandError
from onhand.flows.transactor import Transactor

T = TypeVar("T")
R = TypeVar("R")

KEY_LENGTH_MAX = 255


class _Replayed(Exception):
    """Ends the transaction of a repeat, which has nothing to write."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay


class _TrialOver(Exception):
    """Ends the transaction of a trial: nothing it wrote is to stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One request that must take effect at most once. `key` is None when the caller sent none."""

    db: Database
    actor_key_id: int
    route: str
    key: str | None
    body_hash: bytes

    def run(
        self,
        flow: Callable[[Transactor], R],
        *,
        status: int | Callable[[Any], int] = 200,
        answer: Callable[[Any], object] = lambda result: result,
        stored: Callable[[Any], object] | None = None,
        is_trial: bool = False,
    ) -> Response:
        """Run `flow` with a transactor that also stores the answer; or give the first answer again.

        status  the number, or what makes it from what the flow's transaction returned
        answer  makes the body from what the flow's transaction returned: dataclasses, pydantic
                models, mappings and lists of them, dates, UUIDs
        stored  what to keep instead, when the answer holds a secret or personal data
        is_trial  roll everything back once the answer is known, and keep none: the flow does not return then

        Raises whatever the flow raises, and IdempotencyKeyReused, IdempotencyInFlight.
        """
        bodies: list[tuple[bytes, int, str]] = []

        def code_of(result: object) -> int:
            return status(result) if callable(status) else status

        def transact(work: Callable[[Connection[TupleRow]], T]) -> T:
            def keyed(conn: Connection[TupleRow]) -> T:
                if is_trial:
                    result = work(conn)
                    bodies[:] = [(to_json(answer(result)), code_of(result), "")]
                    raise _TrialOver
                if self.key is not None:
                    replay = self._begin(conn, self.key)
                    if replay is not None:
                        raise _Replayed(replay)
                result = work(conn)
                body = to_json(answer(result))
                code = code_of(result)
                kept = (body if stored is None else to_json(stored(result))).decode()
                if self.key is not None:
                    is_ours = idempotency.finish(conn, self.actor_key_id, self.route, self.key, code, kept)
                    assert is_ours, "begin claimed the key in this transaction"
                bodies[:] = [(body, code, kept)]  # a retried transaction answers once
                return result

            assert not bodies, "a flow uses the transactor of its answer once"
            return self.db.transact(keyed)

        try:
            flow(transact)
        except _Replayed as repeat:
            return _replayed(repeat.replay)
        except _TrialOver:
            pass
        except OnhandError as error:
            replay = None if self.key is None or is_trial else self._find_after(error)
            if replay is None:
                raise
            if not bodies or replay.answer != bodies[0][2]:
                return _replayed(replay)
            # It is this attempt that was committed; only the word of it was lost.
        assert bodies, "the flow did not use the transactor it was given"
        body, code, _ = bodies[0]
        return Response(body, code, media_type="application/json")

    def commit(
        self,
        work: Callable[[Connection[TupleRow]], R],
        *,
        status: int = 200,
        answer: Callable[[R], object] = lambda result: result,
    ) -> Response:
        """`run` for work that is one function in one transaction."""
        return self.run(lambda transact: transact(work), status=status, answer=answer)

    def each(self, work: Callable[[], R], *, answer: Callable[[R], object] = lambda result: result) -> Response:
        """For batches whose rows are transactions of their own, idempotent by themselves. The key is bound to this body
        before the first row, so that another body is refused while nothing of it is done; should the answer be lost
        after rows were written, a repeat gives each row's outcome all the same.

        Raises what `work` raises, and IdempotencyKeyReused.
        """
        key = self.key
        if key is not None and (replay := self.db.transact(lambda conn: self._begin(conn, key))):
            return _replayed(replay)
        body = to_json(answer(work()))
        # The rows are written: that the answer could not be kept is no reason not to give it.
        with suppress(DatabaseUnavailable):
            if key is not None and (replay := self.db.transact(lambda conn: self._finish(conn, key, body))):
                return _replayed(replay)
        return Response(body, media_type="application/json")

    def _begin(self, conn: Connection[TupleRow], key: str) -> Replay | None:
        return idempotency.begin(conn, self.actor_key_id, self.route, key, self.body_hash)

    def _finish(self, conn: Connection[TupleRow], key: str, body: bytes) -> Replay | None:
        """The answer of a twin that was faster, which stays."""
        if idempotency.finish(conn, self.actor_key_id, self.route, key, 200, body.decode()):
            return None
        return idempotency.find(conn, self.actor_key_id, self.route, key, self.body_hash)

    def _find(self, key: str) -> Replay | None:
        with self.db.connection() as conn:
            return idempotency.find(conn, self.actor_key_id, self.route, key, self.body_hash)

    def _find_after(self, error: OnhandError) -> Replay | None:
        """Whether the request took effect although it failed: its own COMMIT was cut off, or a
        twin was faster.
        """
        if error.http_status == 503 and not isinstance(error, CommitUnknown):
            return None  # nothing was written, and the database may be away
        assert self.key is not None
        return self._find(self.key)


def once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=f"^[ -~]{{1,{KEY_LENGTH_MAX}}}$",
            description="The same key and body again give the first answer again",
        ),
    ] = None,
) -> Once:
    """FastAPI dependency, see OnceDep."""
    principal = request.scope["onhand_principal"]
    assert isinstance(principal, Principal), "the route declares no scope: add require(...)"
    body = cast("bytes", getattr(request, "_body", b""))
    query = cast("bytes", request.scope["query_string"])
    return Once(
        db=edge(request).app.db,
        actor_key_id=principal.key_id,
        route=f"{request.method} {request.scope['path']}",
        key=idempotency_key,
        body_hash=hashlib.sha256(query + b"\n" + body).digest(),
    )


OnceDep = Annotated[Once, Depends(once)]
"""Parameter type: makes the request idempotent under the header `Idempotency-Key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceForRows:
    """The key of a batch whose rows are idempotent by themselves; without a key it does nothing.

    The key only has to tell a repeat from another body: `find` before the rows, `keep` once all are
    answered. That may be a transaction of its own: should it be lost after the rows were written,
    a repeat gives each row's first answer all the same, and just does not say that it is a repeat.
    """

    db: Database
    actor_key_id: int
    route: str
    key: str | None
    body_hash: bytes

    @classmethod
    def of(cls, body: bytes, key: str | None, *, db: Database, actor_key_id: int, route: str) -> "OnceForRows":
        """That of one request."""
        body_hash = b"" if key is None else hashlib.sha256(body).digest()
        return cls(db=db, actor_key_id=actor_key_id, route=route, key=key, body_hash=body_hash)

    async def find(self) -> bool:
        """Whether the same key and body were answered before. Raises IdempotencyKeyReused."""
        if self.key is None:
            return False
        return await run_in_threadpool(self._find, self.key)

    async def keep(self) -> None:
        """Remember key and body. The rows are written, so another body under the same key at the same
        moment is too late to be refused."""
        if self.key is not None:
            with suppress(IdempotencyKeyReused):
                await run_in_threadpool(self.db.transact, self._keep)

    def _find(self, key: str) -> bool:
        with self.db.connection() as conn:
            return idempotency.find(conn, self.actor_key_id, self.route, key, self.body_hash) is not None

    def _keep(self, conn: Connection[TupleRow]) -> None:
        assert self.key is not None
        if idempotency.begin(conn, self.actor_key_id, self.route, self.key, self.body_hash) is None:
            idempotency.finish(conn, self.actor_key_id, self.route, self.key, 200, "")


def checked_key(key: str | None) -> str | None:
    """The header's value, for the hot routes. Raises InvalidInput."""
    if key is None:
        return None
    if not 0 < len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise InvalidInput.at("Idempotency-Key", f"expected 1 to {KEY_LENGTH_MAX} printable ASCII characters")
    return key


def to_json(value: object) -> bytes:
    """An answer as JSON."""
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _replayed(replay: Replay) -> Response:
    return Response(
        replay.answer,
        replay.status,
        {"idempotent-replayed": "true"},
        media_type="application/json",
    )
