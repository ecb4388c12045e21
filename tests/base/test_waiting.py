"""Steps wait in a thread or in the event loop; those that take turns let only so many wait at once."""

import asyncio

import pytest

from onhand.base.waiting import InThread, InTurn, run, run_soon


class Gate:
    """Waits until it is opened; counts who waits at it."""

    def __init__(self):
        self.inside = 0
        self.most = 0
        self.opened = asyncio.Event()

    def wait(self):
        return "at once"

    async def wait_soon(self):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.opened.wait()
        self.inside -= 1
        return "soon"


def steps(*waits):
    answers = []
    for wait in waits:
        answers.append((yield wait))  # noqa: PERF401 - a comprehension cannot yield
    return answers


def test_only_so_many_wait_in_turn_and_all_get_their_turn():
    async def all_of_them():
        gate, turns = Gate(), asyncio.Semaphore(2)
        tasks = [asyncio.create_task(run_soon(steps(InTurn(gate, turns)))) for _ in range(5)]
        while gate.inside < 2:
            await asyncio.sleep(0)
        for _ in range(20):  # time enough for the others to come in, if they may
            await asyncio.sleep(0)
        gate.opened.set()
        return gate, await asyncio.gather(*tasks)

    gate, answers = asyncio.run(all_of_them())
    assert gate.most == 2
    assert answers == [["soon"]] * 5


def test_a_turn_ends_with_an_error_too():
    class Broken:
        def wait(self):
            raise KeyError

        async def wait_soon(self):
            raise KeyError

    async def twice():
        turns = asyncio.Semaphore(1)
        for _ in range(2):
            with pytest.raises(KeyError):
                await run_soon(steps(InTurn(Broken(), turns)))

    asyncio.run(asyncio.wait_for(twice(), 5))
    with pytest.raises(KeyError):
        run(steps(InTurn(Broken(), asyncio.Semaphore(1))))


def test_the_same_steps_run_in_a_thread_and_in_the_event_loop():
    assert run(steps(InThread(lambda: 1), InTurn(InThread(lambda: 2), asyncio.Semaphore()))) == [1, 2]
    assert asyncio.run(run_soon(steps(InThread(lambda: 1), InThread(lambda: 2)))) == [1, 2]
