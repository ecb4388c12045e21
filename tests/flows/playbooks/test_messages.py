"""Customers are told once, by day, and nothing that does not hold any more."""

import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from tests.events import settle

from onhand.base.actor import SYSTEM, Actor
from onhand.base.ids import new_id
from onhand.errors import Conflict, NotFound
from onhand.flows.customers import erase_customer
from onhand.flows.playbooks.commands import undo_runs, want_messages
from onhand.flows.playbooks.messages import NotTaken, Smtp, Unclear, send_messages
from onhand.flows.playbooks.offer import keep_waiting, offer_messages, take_message
from onhand.webhooks import add_webhook, new_secret, signing
from onhand.webhooks.store import due, fan_out

from .scenes import SCENES, prepare

BY = Actor(key_id=7)


class Outbox:
    """A mailer that keeps what it is given, and does first what it is told to."""

    def __init__(self):
        self.mails, self.first = [], []

    def __call__(self, mail, /):
        if self.first:
            raise self.first.pop(0)
        self.mails.append(mail)


class Died(BaseException):
    pass


@pytest.fixture
def late(merchant):
    """An order of a slow lane, promised anew; its customer is to be told."""
    t = prepare(merchant)
    happens = SCENES["carrier-lane-slow"](t)
    t.incident_id = happens()
    t.turn()
    t.outbox = Outbox()
    assert merchant.rows("SELECT status FROM customer_message") == [("due",)]
    return t


def send(t, **more):
    send_messages(t.merchant.db, t.outbox, now=lambda: t.merchant.now, **more)
    return [row[0] for row in t.merchant.rows("SELECT status FROM customer_message ORDER BY message_id")]


def why(t):
    return t.merchant.rows("SELECT why FROM customer_message ORDER BY message_id")[0][0]


def status(t):
    return t.merchant.rows("SELECT status FROM customer_message")[0][0]


def test_a_message_has_the_facts_of_its_order_and_is_sent_once(late):
    assert send(late) == ["sent"]
    assert send(late) == ["sent"]
    (mail,) = late.outbox.mails
    ((number, deliver_by),) = late.merchant.rows(
        "SELECT external_id, o.deliver_by FROM orders o JOIN new_promise USING (order_id)"
    )
    assert mail["To"] == "ada3@example.org" and mail["Subject"] == f"Your order {number} will come later"
    text = mail.get_content()
    day, was = deliver_by.date().isoformat(), (deliver_by - timedelta(days=2)).date().isoformat()
    assert "Dear Ada 3," in text and f"order {number} (2 x C)" in text
    assert f"promised it by {was}" in text.replace("\n", " ") and f"with you by {day}" in text


def test_the_same_words_about_the_same_promise_are_said_once_whatever_says_them(late):
    assert send(late) == ["sent"]
    late.close(late.incident_id)
    late.later()
    # It comes back: the date is another one, and is told; a third incident says nothing new.
    late.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 1.0}))
    late.later()
    assert send(late) == ["sent", "sent"]
    days = [mail.get_content().split("with you by ")[1][:10] for mail in late.outbox.mails]
    assert days[1] > days[0]


def test_a_day_that_was_told_is_not_told_again_after_it_was_taken_back(late):
    """The customer was told; a person takes it back, which tells nobody; the same day is promised again."""
    assert send(late) == ["sent"]
    undo_runs(late.merchant.state, late.incident_id, by=BY)
    late.turn()
    late.close(late.incident_id)
    late.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 1.6}), cause=("carrier", ("dhl",)))
    late.later()
    assert late.merchant.rows("SELECT count(*) FROM new_promise WHERE withdrawn_at IS NULL") == [(1,)]
    assert send(late) == ["sent"] and len(late.outbox.mails) == 1


def test_what_a_later_promise_took_the_place_of_holds_again_when_that_is_taken_back(late):
    """And it is told, as it was not yet."""
    second = late.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 4.0}))
    late.close(late.incident_id)
    late.later()
    late.later()
    days = "SELECT deliver_by, withdrawn_at IS NULL FROM new_promise ORDER BY promise_no"
    assert [stands for _, stands in late.merchant.rows(days)] == [False, True]
    undo_runs(late.merchant.state, second, by=BY)
    late.turn()
    (first, stands), _ = late.merchant.rows(days)
    assert stands and (first,) in late.merchant.rows("SELECT deliver_by FROM orders")
    assert send(late) == ["sent", "dropped"]
    assert f"with you by {first.date().isoformat()}" in late.outbox.mails[0].get_content()


def test_a_date_that_is_withdrawn_is_not_told(late):
    undo_runs(late.merchant.state, late.incident_id, by=BY)
    # The sender is quicker than the run that takes it back, but the promise is withdrawn already.
    with late.merchant.db.connection() as conn:
        conn.execute("UPDATE new_promise SET withdrawn_at = now()")
    assert send(late) == ["dropped"] and why(late) == "what it promises is withdrawn"
    late.turn()
    assert late.outbox.mails == []


def test_a_date_that_another_sourcing_changed_is_not_told(late):
    with late.merchant.db.connection() as conn:
        conn.execute("UPDATE orders SET deliver_by = orders.deliver_by + interval '1 day' FROM new_promise p"
                     " WHERE p.order_id = orders.order_id")  # fmt: skip
    assert send(late) == ["dropped"] and why(late) == "what it promises is withdrawn"


def test_who_does_not_want_it_or_was_erased_is_not_told(late):
    ((customer,),) = late.merchant.rows("SELECT customer_id::text FROM orders JOIN customer_message USING (order_id)")
    want_messages(late.merchant.db, customer, wanted=False, by=BY)
    assert send(late) == ["dropped"] and why(late) == "the customer wants no such messages"
    want_messages(late.merchant.db, customer, wanted=True, by=BY)
    with late.merchant.db.connection() as conn:
        conn.execute("UPDATE customer_message SET status = 'due', why = NULL")
    erase_customer(late.merchant.db, customer, by=BY)
    assert send(late) == ["dropped"] and why(late) == "nobody to write to"
    assert late.outbox.mails == []


def test_nobody_is_woken(late):
    """21:30 in Berlin: the next morning at eight."""
    late.merchant.now = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    assert send(late) == ["due"] and late.outbox.mails == []
    assert late.merchant.rows("SELECT due_at FROM customer_message") == [(datetime(2026, 3, 3, 7, 0, tzinfo=UTC),)]
    late.merchant.now = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    assert send(late) == ["sent"]


def test_the_server_says_no_for_now_and_for_good(late):
    late.outbox.first = [NotTaken("450 greylisted")]
    assert send(late) == ["due"] and why(late) == "450 greylisted"
    assert send(late) == ["due"]
    late.merchant.now += timedelta(minutes=1)
    assert send(late) == ["sent"] and len(late.outbox.mails) == 1
    with late.merchant.db.connection() as conn:
        conn.execute("UPDATE customer_message SET status = 'due'")
    late.outbox.first = [NotTaken("550 no such mailbox", is_final=True)]
    assert send(late) == ["dead"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_while_it_sends_leaves_a_message_that_is_never_sent_again(late, when):
    def fault(at):
        if at == when:
            raise Died

    with pytest.raises(Died):
        send(late, fault=fault)
    told = len(late.outbox.mails)
    assert told == (when == "after")
    assert send(late) == ["sending"]  # its lease is not over: it may be at work
    with late.merchant.db.connection() as conn:
        conn.execute("UPDATE customer_message SET lease_until = clock_timestamp() - interval '1 second'")
    assert send(late) == ["unknown"]
    assert len(late.outbox.mails) == told


def test_a_connection_that_breaks_after_the_text_is_never_tried_again(late):
    late.outbox.first = [Unclear("reset")]
    assert send(late) == ["unknown"]
    assert send(late) == ["unknown"] and late.outbox.mails == []


def test_two_workers_send_it_once(late):
    threads = [threading.Thread(target=send, args=(late,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(late.outbox.mails) == 1


# A mailer of the merchant's ------------------------------------------------------------------------


@pytest.fixture
def heard(late):
    """A webhook of theirs asks for messages."""
    late.merchant.db.transact(
        lambda conn: add_webhook(
            conn, webhook_id=new_id(), url="https://mailer.example.org/", kinds=["message.*"], secret=new_secret(),
            actor=SYSTEM.key_id,
        )
    )  # fmt: skip
    return late


def offer(t):
    """Ids of messages that webhooks were told of by now."""
    offer_messages(t.merchant.db, now=lambda: t.merchant.now)
    return [row[0] for row in t.merchant.rows("SELECT (data ->> 'message_id')::int FROM event"
                                              " WHERE kind = 'message.due' ORDER BY xid, pos")]  # fmt: skip


def take(t, message_id):
    return take_message(t.merchant.db, message_id, now=t.merchant.now, by=BY)


def refused(t, message_id):
    with pytest.raises(Conflict) as caught:
        take(t, message_id)
    return caught.value.code


def test_a_mailer_is_told_of_a_message_once_and_takes_it_once(heard):
    (told,) = offer(heard)
    assert offer(heard) == [told] and status(heard) == "due"
    letter = take(heard, told)
    ((number,),) = heard.merchant.rows("SELECT external_id FROM orders JOIN new_promise USING (order_id)")
    assert (letter["to"], letter["subject"]) == ("ada3@example.org", f"Your order {number} will come later")
    assert "Dear Ada 3," in letter["text"] and status(heard) == "sent"
    assert refused(heard, told) == "message.taken"
    assert send(heard) == ["sent"] and heard.outbox.mails == [] and offer(heard) == [told]
    with pytest.raises(NotFound):
        take(heard, told + 1)


def test_the_webhook_carries_ids_alone(heard):
    (told,) = offer(heard)
    with heard.merchant.db.connection() as conn:
        settle(conn)
        fan_out(conn, 5_000)
        ((_, (delivery,)),) = due(conn, busy=[], each=10, limit=10)
    body = signing.payload(delivery).decode()
    assert delivery.kind == "message.due" and delivery.data.keys() == {"message_id", "order_id", "take"}
    assert f"/v1/messages/{told}/take" in body and "Ada" not in body and "ada3@" not in body


def test_what_a_mailer_was_told_of_is_not_sent_by_mail_too(heard):
    offer(heard)
    assert send(heard) == ["due"] and heard.outbox.mails == []


def test_four_that_take_a_message_at_once_have_it_once(heard):
    (told,) = offer(heard)
    with ThreadPoolExecutor(4) as pool:
        taken = [f.exception() for f in [pool.submit(take, heard, told) for _ in range(4)]]
    assert sorted(getattr(e, "code", "") for e in taken) == ["", *["message.taken"] * 3]


def test_a_mailer_is_not_given_a_day_that_was_withdrawn_since(heard):
    (told,) = offer(heard)
    undo_runs(heard.merchant.state, heard.incident_id, by=BY)
    heard.turn()
    assert refused(heard, told) == "message.dropped" and status(heard) == "dropped"


def test_a_mailer_is_not_given_what_the_customer_does_not_want(heard):
    (told,) = offer(heard)
    ((customer,),) = heard.merchant.rows("SELECT customer_id::text FROM orders JOIN customer_message USING (order_id)")
    want_messages(heard.merchant.db, customer, wanted=False, by=BY)
    assert refused(heard, told) == "message.dropped" and why(heard) == "the customer wants no such messages"
    assert refused(heard, told) == "message.dropped"


def test_a_mailer_that_comes_at_night_is_told_again_in_the_morning(heard):
    (told,) = offer(heard)
    heard.merchant.now = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    assert refused(heard, told) == "message.quiet" and offer(heard) == [told]
    heard.merchant.now = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    assert offer(heard) == [told, told] and take(heard, told)["message_id"] == told


def test_at_night_no_mailer_is_told(heard):
    heard.merchant.now = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    assert offer(heard) == []


def test_a_message_that_nobody_would_hear_of_waits_and_says_why(late):
    assert offer(late) == [] and status(late) == "due"
    assert "no webhook" in why(late) and "ONHAND_MESSAGES_BY" in why(late)
    keep_waiting(late.merchant.db, "set ONHAND_SMTP_URL", now=late.merchant.now)
    assert why(late) == "set ONHAND_SMTP_URL"
    assert send(late) == ["sent"] and why(late) is None


# The mail server ------------------------------------------------------------------------------------


class _Server(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as one message takes; hangs up after the text if told to."""

    def handle(self):
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += self.rfile.readline()
                self.server.taken.append(text)
                if self.server.hangs_up:
                    return
                self._say("250 taken")
            elif verb == "RCPT" and "nobody@" in line:
                self._say("550 no such mailbox")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, line):
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def smtp():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Server) as server:
        server.taken, server.hangs_up = [], False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_real_conversation(late, smtp):
    url = f"smtp+plain://127.0.0.1:{smtp.server_address[1]}"
    mailer = Smtp(url=url, sender="shop@example.org")
    send_messages(late.merchant.db, mailer, now=lambda: late.merchant.now)
    (text,) = smtp.taken
    assert b"From: shop@example.org" in text and b"To: ada3@example.org" in text and b"Dear Ada 3" in text


def test_what_is_known_of_a_message_that_did_not_arrive(smtp):
    from email.message import EmailMessage

    mailer = Smtp(url=f"smtp+plain://127.0.0.1:{smtp.server_address[1]}", sender="shop@example.org")
    mail = EmailMessage()
    mail["To"] = "nobody@example.org"
    with pytest.raises(NotTaken, match="550 no such mailbox") as caught:
        mailer(mail)
    assert caught.value.is_final
    del mail["To"], mail["From"]
    mail["To"] = "ada@example.org"
    smtp.hangs_up = True
    with pytest.raises(Unclear):
        mailer(mail)
    assert len(smtp.taken) == 1
    with pytest.raises(NotTaken) as refused:
        Smtp(url="smtp+plain://127.0.0.1:1", sender="shop@example.org")(EmailMessage())
    assert not refused.value.is_final
