"""Weather: one seed, one schedule, whatever happens meanwhile; and what a fake answers in it."""

import asyncio
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from onhand.twin.fakes.weather import Sky, Weather, journeys, outages

STORMY = Sky(down_every_s=60, down_for_s=5, message_delay_s=(1.0, 4.0), repeated=0.1, reordered=0.2, lost=0.05)


class Clock:
    def __init__(self):
        self.at = 1_000.0

    def __call__(self):
        return self.at


async def shop(scope, receive, send):
    await JSONResponse({"hello": "shop"})(scope, receive, send)


def ask(weather):
    """Status and headers of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(weather(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@given(st.integers(0, 2**32))
def test_one_seed_is_one_schedule(seed):
    first, again = (list(islice(outages(STORMY, seed), 20)) for _ in range(2))
    assert first == again
    assert all(begin < end for begin, end in first)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(first)), "outages do not overlap"
    assert list(islice(journeys(STORMY, seed), 20)) == list(islice(journeys(STORMY, seed), 20))
    assert first != list(islice(outages(STORMY, seed + 1), 20))


def test_it_is_as_often_down_as_it_says():
    found = list(islice(outages(STORMY, 1), 2_000))
    down_s = sum(end - begin for begin, end in found)
    assert 4.5 < down_s / len(found) < 6.5
    assert 60 < (found[-1][1] - down_s) / len(found) * 1.05 < 66
    assert list(outages(Sky(), 1)) == []


def test_messages_fare_as_it_says():
    found = list(islice(journeys(STORMY, 1), 20_000))
    assert 0.045 < sum(j.is_lost for j in found) / len(found) < 0.055
    assert 0.09 < sum(j.again_s is not None for j in found) / len(found) < 0.11
    calm = sorted(j.delay_s for j in islice(journeys(Sky(message_delay_s=(1.0, 4.0)), 1), 20_000))
    assert 0.97 < calm[10_000] < 1.03 and 3.7 < calm[19_000] < 4.3
    assert {j.delay_s for j in islice(journeys(Sky(), 1), 100)} == {0.0}


def test_a_share_shifts_no_other():
    with_loss = islice(journeys(STORMY, 3), 200)
    without = islice(journeys(Sky(message_delay_s=(1.0, 4.0), repeated=0.1, reordered=0.2), 3), 200)
    assert [(j.delay_s, j.again_s) for j in with_loss] == [(j.delay_s, j.again_s) for j in without]


def test_during_an_outage_nothing_is_answered():
    clock = Clock()
    weather = Weather(shop, Sky(down_every_s=60, down_for_s=5), 7, clock=clock)
    (begin, end), (second, _) = islice(outages(weather.sky, 7), 2)
    for since_s, status in ((begin - 0.01, 200), (begin + 0.01, 503), (end - 0.01, 503), (end + 0.01, 200)):
        clock.at = 1_000.0 + since_s
        assert ask(weather)[0] == status, since_s
    clock.at = 1_000.0 + second + 0.01
    assert weather.is_down and weather.state()["outages"] == 2


def test_beyond_its_limit_it_says_when_to_come_again():
    clock = Clock()
    weather = Weather(shop, Sky(limit_per_s=3), 1, clock=clock)
    answers = [ask(weather) for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    assert answers[-1][1][b"retry-after"] == b"1"
    clock.at += 0.4
    assert [ask(weather)[0] for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"delay_s": [2, 1]}, "p50 <= p95"),
        ({"limit_per_s": -1}, ">= 0"),
        ({"lost": 1.5}, "between 0 and 1"),
        ({"rain": True}, "not rain"),
    ],
)
def test_what_cannot_be_is_told(document, why):
    with pytest.raises(ValueError, match=why):
        Sky.of(document)


def test_a_sky_is_read_from_json():
    assert Sky.of({"delay_s": [1, 2], "lost": 0.5}) == Sky(delay_s=(1, 2), lost=0.5)
