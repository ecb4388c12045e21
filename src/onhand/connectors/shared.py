"""Limits, tokens and notes of a channel that all processes share, in the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from onhand.base.sealing import Seal, Unsealable
from onhand.connectors._sdk.interface import Unavailable
from onhand.db import Database, queries

SQL = queries(__file__)
_WAIT_MAX_S = 60.0
# For so long turns are taken ahead; a pause that another process was told is heeded so much later.
_AHEAD_S = 0.05


class SharedLimiter:
    """See `interface.Limiter`. A turn is taken in the database, and waited for here.

    wait_max_s  a longer wait is no wait: Unavailable, so that what was to be asked may be another thing by then
    """

    def __init__(
        self,
        db: Database,
        channel_id: int,
        *,
        wait_max_s: float = _WAIT_MAX_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._channel_id, self._wait_max_s, self._sleep = db, channel_id, wait_max_s, sleep
        self._clock = clock
        # Tokens that were taken and not used yet, until when they may be, by bucket.
        self._ahead: dict[str, tuple[float, float]] = {}

    async def turn(self, bucket: str, *, rate_per_s: float, burst: int, weight: float = 1.0) -> None:
        """Wait for `weight` tokens. Raises Unavailable, and then takes none.

        Where many requests are allowed a few are taken at once, for the next moment; what is not used then is lost.
        """
        now = self._clock()
        left, until = self._ahead.get(bucket, (0.0, 0.0))
        if left >= weight and now < until:
            self._ahead[bucket] = left - weight, until
            return
        many = max(weight, float(min(burst, int(rate_per_s * _AHEAD_S))))
        wait_s = await asyncio.to_thread(partial(self._take, bucket, rate_per_s, burst, many))
        if wait_s > 0:
            await self._sleep(wait_s)
        if many > weight:
            self._ahead[bucket] = many - weight, self._clock() + _AHEAD_S

    def _take(self, bucket: str, rate_per_s: float, burst: int, weight: float) -> float:
        values = {
            "channel_id": self._channel_id, "name": bucket, "rate": rate_per_s, "burst": float(burst),
            "weight": weight, "wait_max_s": self._wait_max_s,
        }  # fmt: skip
        with self._db.connection() as conn:
            row = conn.execute(SQL["take_turn"], values).fetchone()
            if row is not None:
                return row[0]
            paused = conn.execute(SQL["paused_for"], {"channel_id": self._channel_id, "name": bucket}).fetchone()
        wait_s = max(self._wait_max_s, paused[0] if paused else 0.0)
        raise Unavailable(f"the channel is asked as often as it allows: in {wait_s:.0f} s again", retry_after_s=wait_s)

    async def pause(self, seconds: float, *, bucket: str | None = None) -> None:
        """Nobody asks before `seconds` have passed."""
        self._ahead.clear()
        values = {"channel_id": self._channel_id, "name": bucket or "", "seconds": seconds}
        await asyncio.to_thread(self._write, "pause", values)

    def _write(self, name: str, values: Mapping[str, object]) -> None:
        with self._db.connection() as conn:
            conn.execute(SQL[name], values)


def forget_token(conn: psycopg.Connection[TupleRow], channel_id: int) -> None:
    """Have the channel signed in to anew: the token is of another account, or not to be sent to another address."""
    conn.execute(SQL["forget_token"], {"channel_id": channel_id})


class SharedTokens:
    """See `interface.Tokens`."""

    def __init__(self, db: Database, channel_id: int, seal: Seal) -> None:
        self._db, self._channel_id, self._seal = db, channel_id, seal

    async def get(self) -> tuple[str, datetime | None] | None:
        """What was put last, by any process; None also if it cannot be opened any more: it is only a token."""
        return await asyncio.to_thread(self._get)

    def _get(self) -> tuple[str, datetime | None] | None:
        with self._db.connection() as conn:
            row = conn.execute(SQL["get_token"], {"channel_id": self._channel_id}).fetchone()
        try:
            return None if row is None else (self._seal.open(row[0]), row[1])
        except Unsealable:
            return None

    async def put(self, token: str, expires_at: datetime | None) -> None:
        """Keep a token for all processes."""
        await asyncio.to_thread(self._put, token, expires_at)

    def _put(self, token: str, expires_at: datetime | None) -> None:
        values = {"channel_id": self._channel_id, "sealed": self._seal.close(token), "expires_at": expires_at}
        with self._db.connection() as conn:
            conn.execute(SQL["put_token"], values)


class SharedNotes:
    """See `interface.Notes`."""

    def __init__(self, db: Database, channel_id: int) -> None:
        self._db, self._channel_id = db, channel_id

    async def _ask(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._ask_now, sql, values)

    def _ask_now(self, sql: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self._db.connection() as conn:
            done = conn.execute(SQL[sql], {"channel_id": self._channel_id, **values})
            return [] if done.description is None else done.fetchall()

    async def get(self, name: str) -> str | None:
        """What was noted, by any process."""
        rows = await self._ask("get_note", name=name)
        return rows[0][0] if rows else None

    async def put(self, name: str, text: str) -> None:
        """Note it for all processes."""
        await self._ask("put_note", name=name, text=text)

    async def put_new(self, name: str, text: str) -> str:
        """Note it unless something is."""
        return (await self._ask("put_new_note", name=name, text=text))[0][0]

    async def starting(self, prefix: str, *, limit: int = 1_000) -> Mapping[str, str]:
        """What is noted under names that begin so."""
        return dict(await self._ask("notes_starting", prefix=prefix, limit=limit))

    async def drop(self, name: str) -> None:
        """Forget it."""
        await self._ask("drop_note", name=name)

    async def next_number(self, series: str, *, last: int) -> int:
        """The next one; it is never given to another, also if what it was for fails."""
        return (await self._ask("next_number", name=series, last=last))[0][0]
