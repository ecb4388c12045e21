"""Signals that are fetched by themselves: from a server on loopback, into a real database."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route
from tests.connectors.running import serving

from onhand.base.actor import SYSTEM
from onhand.demand import store
from onhand.demand.feeds import FeedIn
from onhand.flows.accounts import Connectors
from onhand.flows.demand.feeds import read_feeds, set_feed

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
GOOD = "day,mean\n2026-03-08,3.5\n2026-03-09,4.5\n"


class Weather:
    """A service of weather: what it answers, and what it was asked."""

    def __init__(self):
        self.status, self.text, self.asked = 200, GOOD, []
        self.before_answer = lambda: None

    def app(self):
        def answer(request):
            self.asked.append((str(request.url.query), dict(request.headers)))
            self.before_answer()
            if self.status == 307:
                return RedirectResponse("https://elsewhere.example/")
            return PlainTextResponse(self.text, self.status)

        return Starlette(routes=[Route("/daily.csv", answer)])


class Feeds:
    def __init__(self, merchant, weather, url, home):
        self.merchant, self.db, self.weather, self.url = merchant, merchant.db, weather, url
        self.connectors = Connectors(home, secret_key="k" * 16)

    def set(self, name="temperature", **more):
        feed = {
            "url": f"{self.url}/daily.csv?from={{from}}", "format": "csv", "columns": {"at": "day", "value": "mean"},
            "scope": {"region": "DE-BE"}, "every_s": 3600, **more,
        }  # fmt: skip
        return set_feed(self.db, self.connectors, name, FeedIn.model_validate(feed), by=SYSTEM)

    def read(self, **more):
        return read_feeds(self.db, self.connectors, **{"allow_private_urls": True, "now": lambda: NOW, **more})

    def get(self, name="temperature"):
        with self.db.connection() as conn:
            return store.get_feed(conn, name)

    def due(self):
        self.merchant.rows("UPDATE signal_feed SET next_at = now() RETURNING 1")

    def values(self):
        return self.merchant.rows("SELECT at::date::text, value FROM signal_value ORDER BY at, known_at")


@pytest.fixture
def feeds(merchant, tmp_path):
    weather = Weather()
    with serving(weather.app()) as url:
        yield Feeds(merchant, weather, url, tmp_path)


def test_a_feed_is_read_at_once_and_then_on_schedule(feeds):
    feeds.set(secret_headers={"X-Key": "secret"}, headers={"Accept": "text/csv"})
    assert feeds.read() == 1 and feeds.read() == 0
    ((query, headers),) = feeds.weather.asked
    assert query == "from=2026-02-08" and headers["x-key"] == "secret" and headers["accept"] == "text/csv"
    assert feeds.values() == [("2026-03-08", 3.5), ("2026-03-09", 4.5)]
    feed = feeds.get()
    assert (feed.written, feed.rejected, feed.failures, feed.error) == (2, 0, 0, None)
    assert 3_500 < (feed.next_at - datetime.now(UTC)).total_seconds() <= 3_600
    feeds.weather.text = GOOD.replace("4.5", "5")
    feeds.due()
    assert feeds.read() == 1
    assert feeds.values() == [("2026-03-08", 3.5), ("2026-03-09", 4.5), ("2026-03-09", 5.0)], "corrected, both kept"
    assert feeds.get().written == 1


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (500, "", "HTTP 500"), (307, "", "HTTP 307 (redirects are not followed)"), (200, "<html>", "no column 'day'"),
        (200, "day,mean\nx,1\n", "none of 1 rows"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_kept_shown_and_tried_again(feeds, status, text, why):
    feeds.set()
    feeds.weather.status, feeds.weather.text = status, text
    for failures, seconds in ((1, 60), (2, 120), (3, 240)):
        feeds.due()
        assert feeds.read() == 1
        feed = feeds.get()
        assert feed.failures == failures and why in feed.error and feed.read_at is None
        assert seconds - 10 < (feed.next_at - datetime.now(UTC)).total_seconds() <= seconds
    assert feeds.values() == []
    told = feeds.merchant.rows("SELECT data ->> 'name' FROM event WHERE kind = 'signal_feed.failed'")
    assert told == [("temperature",)], "once, not each time"
    feeds.weather.status, feeds.weather.text = 200, GOOD
    feeds.due()
    feeds.read()
    assert (feeds.get().failures, feeds.get().error, len(feeds.values())) == (0, None, 2)


def test_rows_that_cannot_be_used_stop_no_other(feeds):
    feeds.set(columns={"at": "day", "value": "mean", "sku": "sku"}, scope={})
    feeds.weather.text = "day,mean,sku\n2026-03-08,1,A\n2026-03-08,2,Z\n2026-03-08,warm,A\n"
    feeds.read()
    feed = feeds.get()
    assert (feed.written, feed.rejected, feed.failures) == (1, 2, 0)
    assert feed.reject == "row 3: value: expected a number, got 'warm'"
    assert feeds.values() == [("2026-03-08", 1.0)]


def test_private_addresses_are_not_called_unless_the_operator_allows_it(feeds):
    feeds.set()
    assert feeds.read(allow_private_urls=False) == 1
    assert feeds.weather.asked == [] and "not a public one" in feeds.get().error


def test_one_that_died_while_reading_is_read_again_later_and_nobody_reads_beside_it(feeds):
    feeds.set()
    with feeds.db.connection() as conn:
        assert store.take_feed(conn, lease_s=300) is not None, "and then its process died"
    assert feeds.read() == 0
    feeds.due()
    assert feeds.read() == 1 and len(feeds.values()) == 2


def test_what_was_asked_under_an_older_setting_is_not_kept(feeds):
    feeds.set()
    feeds.weather.before_answer = lambda: (
        setattr(feeds.weather, "before_answer", lambda: None),
        feeds.set(every_s=600),
    )
    assert feeds.read(go_on=iter([True, False]).__next__) == 1
    assert feeds.values() == [] and feeds.get().failures == 0
    assert feeds.read() == 1 and len(feeds.values()) == 2, "it is due under the new one"


def test_paused_feeds_are_not_read(feeds):
    feeds.set(active=False)
    assert feeds.read() == 0


def test_values_and_the_end_of_reading_are_one(feeds, monkeypatch):
    """A worker that dies before the end is written has written no value either."""
    feeds.set()

    def dies(*_, **__):
        raise RuntimeError("killed")

    monkeypatch.setattr(store, "end_feed", dies)
    with pytest.raises(RuntimeError):
        feeds.read()
    assert feeds.values() == [] and feeds.get().read_at is None


def test_two_workers_read_two_feeds(feeds):
    feeds.set("one")
    feeds.set("two")
    meet = threading.Barrier(2, timeout=10)
    feeds.weather.before_answer = meet.wait
    counts = []
    workers = [threading.Thread(target=lambda: counts.append(feeds.read())) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(counts) == [1, 1] and len(feeds.values()) == 4


def test_who_takes_a_feed_does_not_wait_for_one_that_is_being_taken(feeds):
    feeds.set("one")
    feeds.set("two")
    with feeds.db.connection() as first, first.transaction():
        assert store.take_feed(first, lease_s=300).name == "one"
        with feeds.db.connection() as second:
            second.execute("SET lock_timeout = '5s'")
            assert store.take_feed(second, lease_s=300).name == "two"


def test_a_key_that_was_lost_is_told(feeds, tmp_path):
    feeds.set(secret_headers={"X-Key": "secret"})
    feeds.connectors = Connectors(tmp_path, secret_key="another-key-of-16")
    assert feeds.read(now=lambda: NOW + timedelta(days=1)) == 1
    assert "ONHAND_SECRET_KEY" in feeds.get().error and feeds.weather.asked == []
