"""Notes of a channel: in memory and in the database they are the same."""

import asyncio
import threading

import pytest

from onhand.connectors import MemoryNotes
from onhand.connectors.shared import SharedNotes


@pytest.fixture
def channels(db):
    with db.connection() as conn:
        for number, code in ((1, "shop"), (2, "other")):
            conn.execute(
                "INSERT INTO channel (channel_id, code, name, currency) VALUES (%s, %s, %s, 'EUR')",
                (number, code, code),
            )


async def _story(notes):
    assert await notes.get("a") is None
    await notes.put("a", "1")
    await notes.put("a", "2")
    assert await notes.get("a") == "2"
    assert await notes.put_new("a", "3") == "2"
    assert await notes.put_new("b_1", "x") == "x"
    assert await notes.put_new("bX1", "y") == "y"
    assert await notes.starting("b_") == {"b_1": "x"}, "a prefix is no pattern"
    assert list(await notes.starting("b")) == ["bX1", "b_1"]
    assert list(await notes.starting("b", limit=1)) == ["bX1"]
    await notes.drop("a")
    await notes.drop("a")
    assert await notes.get("a") is None
    assert [await notes.next_number("n", last=3) for _ in range(5)] == [1, 2, 3, 1, 2]
    assert await notes.next_number("m", last=3) == 1


def test_in_memory():
    asyncio.run(_story(MemoryNotes()))


def test_in_the_database_each_channel_has_its_own(db, channels):
    asyncio.run(_story(SharedNotes(db, 1)))
    asyncio.run(_story(SharedNotes(db, 2)))


def test_of_several_at_once_one_notes_and_all_know(db, channels):
    told, numbers = [], []

    def work(name):
        async def go():
            notes = SharedNotes(db, 1)
            told.append(await notes.put_new("who", name))
            numbers.extend([await notes.next_number("n", last=10**9) for _ in range(10)])

        asyncio.run(go())

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    assert len(set(told)) == 1
    assert sorted(numbers) == list(range(1, 61))
