"""UUIDv7: what RFC 9562 says of it, and that a batch stays in order."""

import time
import uuid

import pytest

from onhand.base.ids import new_id, new_ids, texts


@pytest.mark.parametrize("count", [1, 2, 257, 4096, 4097, 20_000])
def test_ids_of_one_call_ascend_and_are_all_different(count: int) -> None:
    raw = new_ids(count, now_ms=1_700_000_000_000)
    ids = [bytes(row) for row in raw]
    assert ids == sorted(set(ids)) and len(ids) == count
    text = texts(raw)
    assert text == sorted(text), "as text they sort alike"


def test_every_id_is_a_version_7_uuid_of_its_moment() -> None:
    now_ms = 1_767_225_600_123
    for n, text in enumerate(texts(new_ids(10_000, now_ms=now_ms))):
        made = uuid.UUID(text)
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert made.int >> 80 == now_ms + n // 4096
        assert str(made) == text


def test_ids_of_later_milliseconds_come_later() -> None:
    assert bytes(new_ids(4096, now_ms=5)[-1]) < bytes(new_ids(1, now_ms=6)[0])


def test_the_clock_is_the_clock() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_two_calls_in_the_same_millisecond_do_not_collide() -> None:
    made = {text for _ in range(50) for text in texts(new_ids(100, now_ms=7))}
    assert len(made) == 5_000


def test_no_ids_are_no_ids() -> None:
    assert new_ids(0).shape == (0, 16)
    assert texts(new_ids(0)) == []
