"""What was accepted is asked about until it is shown: on a book, with a channel that says what it is told to say."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from onhand.channels.publication.book import NONE, Book, Listing
from onhand.connectors._sdk.values import Fate, Outcome
from onhand.flows.confirm_writes import Unconfirmed, confirm

ACCEPTED = Outcome(fate=Fate.ACCEPTED)
FED = Outcome(fate=Fate.ACCEPTED, ticket="t")


class Channel:
    """Answers in turn, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []
        self.connection = None
        self.connector = SimpleNamespace(confirm_stock=self.confirm_stock)

    async def confirm_stock(self, connection, writes, ticket):
        self.asked.append((ticket, [w.external_id for w in writes]))
        return self.answers.pop(0)


@pytest.fixture
def book():
    book = Book(batch_max=10)
    book.put([Listing(item_id=n, external_id=f"L{n}", external_sku="") for n in range(3)])
    want(book, 7, 7, 7, at=0.0)
    return book


def want(book, *units, at):
    book.want(np.arange(len(units)), np.array(units), at)


def send(book, now, *outcomes):
    """All that is due is sent, and its outcomes told."""
    rows = book.pick(now)
    batch = book.write(rows, now, batch_id=f"b{now}", keys=[f"k{row}-{now}" for row in rows], sold={})
    told = list(outcomes) or [ACCEPTED] * len(rows)
    book.told(batch, told, now)
    return batch, told


def ask(channel, book, unconfirmed, now):
    asked = unconfirmed.take(now)
    assert asked is not None
    return asyncio.run(confirm(channel, book, unconfirmed, asked, now))


def seen(units, fate=Fate.DONE, ticket=""):
    return Outcome(fate=fate, seen=units, ticket=ticket)


def test_what_is_shown_is_verified_and_what_is_under_way_is_asked_again(book):
    unconfirmed = Unconfirmed()
    unconfirmed.add(*send(book, 100.0), 100.0)
    assert (unconfirmed.take(150.0), unconfirmed.next_at()) == (None, 160.0)
    channel = Channel([seen(7), seen(3, Fate.ACCEPTED, "u"), seen(3, Fate.ACCEPTED, "u")], [seen(7), seen(7)])
    assert sorted(ask(channel, book, unconfirmed, 160.0)) == [0]
    assert book.verified_at.tolist() == [160.0, 0.0, 0.0]
    assert book.depth(160.0) == 0, "what is under way is not written again"
    assert sorted(ask(channel, book, unconfirmed, 300.0)) == [1, 2]
    assert channel.asked == [("", ["L0", "L1", "L2"]), ("u", ["L1", "L2"])]
    assert unconfirmed.waiting == []


def test_what_was_refused_after_all_is_not_taken_for_shown(book):
    unconfirmed = Unconfirmed()
    unconfirmed.add(*send(book, 100.0), 100.0)
    fates = [
        Outcome(fate=Fate.REFUSED, code="90117"),
        Outcome(fate=Fate.GONE),
        Outcome(fate=Fate.UNKNOWN, code="FATAL"),
    ]
    ask(Channel(fates), book, unconfirmed, 160.0)
    assert book.shown.tolist() == [NONE, NONE, NONE]
    assert book.is_gone.tolist() == [False, True, False]
    assert "90117" in book.errors[0]
    assert book.pick(161.0) == [2], "what broke off is written again at once, what was refused is not"


def test_what_is_not_shown_for_an_hour_is_written_again(book):
    unconfirmed = Unconfirmed()
    unconfirmed.add(*send(book, 100.0), 100.0)
    under_way = [seen(3, Fate.ACCEPTED)] * 3
    ask(Channel(under_way), book, unconfirmed, 160.0)
    assert book.pick(161.0) == []
    ask(Channel(under_way), book, unconfirmed, 3_701.0)
    assert book.shown.tolist() == [3, 3, 3]
    assert sorted(book.pick(3_702.0)) == [0, 1, 2]


def test_of_what_a_newer_number_has_followed_nothing_is_asked(book):
    unconfirmed = Unconfirmed()
    unconfirmed.add(*send(book, 100.0), 100.0)
    want(book, 7, 2, 7, at=110.0)
    later, told = send(book, 110.0)
    assert [write.quantity for write in later.writes] == [2]
    unconfirmed.add(later, told, 110.0)
    channel = Channel([seen(7), seen(7)], [seen(2)])
    ask(channel, book, unconfirmed, 165.0)
    ask(channel, book, unconfirmed, 171.0)
    assert [names for _, names in channel.asked] == [["L0", "L2"], ["L1"]]
    assert book.shown.tolist() == [7, 2, 7]
    assert (book.verified_at > 0).all()


def test_an_older_number_that_comes_last_is_found_and_the_newer_one_written_again(book):
    """A feed says 7; sold out is told one by one, and shown; then the feed is worked on."""
    unconfirmed = Unconfirmed()
    fed, told = send(book, 100.0, FED, FED, FED)
    unconfirmed.add(fed, told, 100.0)
    want(book, 0, 7, 7, at=110.0)
    patched, told = send(book, 110.0)
    unconfirmed.add(patched, told, 110.0)
    under_way = [Outcome(fate=Fate.ACCEPTED, ticket="t")] * 3
    ask(Channel(under_way), book, unconfirmed, 165.0)
    ask(Channel([seen(0)]), book, unconfirmed, 171.0)
    assert (book.shown[0], book.depth(171.0)) == (0, 0)
    ended = [seen(0, Fate.ACCEPTED), seen(7), seen(7)]  # the report is there, its number not yet shown
    ask(Channel(ended), book, unconfirmed, 300.0)
    assert (book.shown[0], book.depth(300.0)) == (0, 0)
    channel = Channel([seen(7)])
    assert ask(channel, book, unconfirmed, 500.0) == [0]
    assert channel.asked == [("", ["L0"])]
    assert book.shown[0] == 7
    assert book.pick(501.0) == [0], "zero is written again"
    assert unconfirmed.waiting == []
