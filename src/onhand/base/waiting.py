"""Work that waits now and then, written once for threads and for the event loop.

A generator yields what it waits for and is sent the answer (or thrown the error); `run` waits in the caller's thread,
`run_soon` lets the event loop go on meanwhile. What it does between two waits belongs to it alone in an event loop.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Wait(Protocol):
    """Something to wait for, in either way."""

    def wait(self) -> Any: ...
    async def wait_soon(self) -> Any: ...


Steps = Generator[Wait, Any, T]


class InThread:
    """A function that blocks: in an event loop it runs in a thread."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def wait(self) -> Any:
        return self._function()

    async def wait_soon(self) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, self._function)


class InTurn:
    """Something to wait for that only so many may do at once; in an event loop the others wait for their turn."""

    __slots__ = ("_turns", "_wait")

    def __init__(self, wait: Wait, turns: asyncio.Semaphore) -> None:
        self._wait = wait
        self._turns = turns

    def wait(self) -> Any:
        return self._wait.wait()

    async def wait_soon(self) -> Any:
        async with self._turns:
            return await self._wait.wait_soon()


def run(steps: Steps[T]) -> T:
    """The result of `steps`, waiting in this thread."""
    try:
        wanted = next(steps)
        while True:
            try:
                answer = wanted.wait()
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(answer)
    except StopIteration as end:
        return end.value


async def run_soon(steps: Steps[T]) -> T:
    """The result of `steps`, waiting in the event loop."""
    try:
        wanted = next(steps)
        while True:
            try:
                answer = await wanted.wait_soon()
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(answer)
    except StopIteration as end:
        return end.value
