"""An order is promised another day by hand, and its customer is told once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.playbooks.commands import want_messages
from onhand.flows.playbooks.messages import send_messages

from ..shop import open_shop  # noqa: TID252

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def shop(server):
    return open_shop(server.client)


class House:
    def __init__(self, server, shop, order="shelf"):
        self.client, self.db = server.client, server.app.db
        self.id = shop.orders[order]

    def order(self):
        return self.client.get(f"/v1/orders/{self.id}").json()

    def promised(self):
        return datetime.fromisoformat(self.order()["promise"]["deliver_by"])

    def ask(self, days=None, *, key=None, status=200, **body):
        """Another promise, so many days after the one that stands."""
        if days is not None:
            body["deliver_by"] = (self.promised() + timedelta(days=days)).isoformat()
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.client.post(f"/v1/orders/{self.id}/repromise", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def messages(self):
        with self.db.connection() as conn:
            return conn.execute("SELECT status, promise_no FROM customer_message ORDER BY message_id").fetchall()

    def send(self):
        """What the mail server was handed; at noon where the order goes, when customers may be written to."""
        mails = []
        send_messages(self.db, mails.append, now=lambda: NOON + timedelta(days=1))
        return mails


@pytest.fixture
def house(server, shop):
    return House(server, shop)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(house):
    before, was = house.order(), house.promised()
    said = house.ask(2, dry_run=True)
    day, old = ((was + timedelta(days=n)).date().isoformat() for n in (2, 0))
    assert (said["is_new"], said["is_dry_run"], said["untold"]) == (True, True, None)
    assert datetime.fromisoformat(said["deliver_by"]) - datetime.fromisoformat(said["was"]) == timedelta(days=2)
    assert f"by {day} instead of {old}" in said["message"]["text"]
    assert "Dear {customer.name}," in said["message"]["text"] and "2 x MUG-BLUE" in said["message"]["text"]
    assert (house.order(), house.messages()) == (before, [])


def test_the_customer_is_told_once_and_the_timeline_says_so(house):
    was = house.promised()
    said = house.ask(3)
    assert house.promised() == was + timedelta(days=3)
    assert house.messages() == [("due", 1)]
    assert house.order()["timeline"][-1]["kind"] == "order.promised_anew"
    (mail,) = house.send()
    assert (mail["To"], mail["Subject"]) == ("ada@example.org", said["message"]["subject"])
    assert mail.get_content().strip() == said["message"]["text"].replace("{customer.name}", "Ada Berg").strip()
    assert house.send() == []
    # The same day again is nothing new.
    again = house.ask(0)
    assert (again["is_new"], again["untold"], again["message"]) == (False, "promised_already", None)
    assert house.messages() == [("sent", 1)]


def test_two_at_once_promise_once_and_tell_once(house):
    to = (house.promised() + timedelta(days=2)).isoformat()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: house.ask(deliver_by=to), range(8)))
    assert sorted(answer["is_new"] for answer in answers) == [False] * 7 + [True]
    assert house.messages() == [("due", 1)]
    assert len(house.send()) == 1


def test_the_same_key_is_answered_the_same_without_a_second_promise(house):
    to = (house.promised() + timedelta(days=2)).isoformat()
    first = house.ask(deliver_by=to, key="k1")
    again = house.client.post(
        f"/v1/orders/{house.id}/repromise", json={"deliver_by": to}, headers={"Idempotency-Key": "k1"}
    )
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert house.messages() == [("due", 1)]


def test_a_mailer_takes_what_the_customer_is_to_be_told_once(house):
    said = house.ask(2)
    with house.db.connection() as conn:
        # Without quiet hours, so that it may be taken whenever this runs.
        conn.execute("""UPDATE customer_message SET template = template || '{"from": "00:00", "until": "00:00"}'""")
        ((message_id,),) = conn.execute("SELECT message_id FROM customer_message").fetchall()
    path = f"/v1/messages/{message_id}/take"
    taken = house.client.post(path)
    assert taken.status_code == 200, taken.text
    assert (taken.json()["to"], taken.json()["subject"]) == ("ada@example.org", said["message"]["subject"])
    again = house.client.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "message.taken")
    assert house.client.post(f"/v1/messages/{message_id + 1}/take").status_code == 404
    assert house.messages() == [("sent", 1)]


def test_a_day_that_is_withdrawn_is_never_told_nor_promised_again(house):
    house.ask(2)
    withdrawn = house.promised()
    house.ask(3)
    (mail,) = house.send()
    assert house.promised().date().isoformat() in mail.get_content()
    assert [status for status, _ in house.messages()] == ["dropped", "sent"]
    refused = house.ask(deliver_by=withdrawn.isoformat(), status=422)
    assert refused["errors"][0]["path"] == "deliver_by" and "withdrawn" in refused["errors"][0]["message"]


def test_a_day_that_nobody_was_told_is_told_though_its_hour_changes(house):
    """And instead of the day that the customer knows, not of one in between."""
    first = house.promised().date().isoformat()
    house.ask(2)
    later = (house.promised() + timedelta(hours=1)).isoformat()
    assert house.ask(deliver_by=later)["untold"] is None
    (mail,) = house.send()
    assert house.promised().date().isoformat() in mail.get_content()
    assert f"instead of {first}" in mail.get_content()
    again = (house.promised() - timedelta(minutes=90)).isoformat()
    assert house.ask(deliver_by=again)["untold"] == "same_day"
    assert [status for status, _ in house.messages()] == ["dropped", "sent"]


def test_who_cannot_or_will_not_be_written_to_is_not(house, server, shop):
    same_day = house.promised().replace(hour=11, minute=0)
    assert house.ask(deliver_by=same_day.isoformat())["untold"] == "same_day"
    assert house.ask(1, tell=False)["untold"] == "not_asked"
    want_messages(server.app.db, house.order()["customer_id"], wanted=False, by=SYSTEM)
    assert house.ask(1)["untold"] == "unwanted"
    assert House(server, shop, "held-1").ask(1)["untold"] == "no_address"
    assert house.messages() == []


def test_without_a_day_it_is_what_its_parts_now_say(house):
    planned = house.promised()
    assert house.ask(dry_run=True)["is_new"] is False
    with house.db.connection() as conn:
        # It should have left the day before yesterday, and a little: three days are lost.
        conn.execute(
            "UPDATE fulfilment SET ship_by = now() - interval '49 h' WHERE order_id = %s AND status = 'allocated'",
            (house.id,),
        )
    said = house.ask()
    assert datetime.fromisoformat(said["deliver_by"]) == planned + timedelta(days=3)
    assert house.ask()["is_new"] is False


def test_supply_tells_the_day_and_where_nobody_knows_one_it_must_be_said(server, shop):
    waits = House(server, shop, "supply")
    assert waits.ask(dry_run=True)["is_new"] is False  # promised from that very supply
    shop.orders["never"] = shop.order("none", ("PLATE", 1_000_000), customer={"email": "n@example.org"})["order_id"]
    never = House(server, shop, "never")
    refused = never.ask(status=409)
    assert refused["code"] == "order.no_date"
    to = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    said = never.ask(deliver_by=to)
    assert (said["was"], said["is_new"]) == (None, True)
    assert (
        said["message"]["subject"] == "Your order none has a delivery date" and "instead" not in said["message"]["text"]
    )
    assert len(never.send()) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"deliver_by": "2020-01-01T00:00:00Z"}, "deliver_by"),
        ({"deliver_by": "2999-01-01T00:00:00Z"}, "deliver_by"),
        ({"deliver_by": "soon"}, "deliver_by"),
        ({"subject": "{order.colour}", "dry_run": True}, "subject"),
        ({"text": "open { brace", "dry_run": True}, "text"),
        ({"when": "now"}, "when"),
    ],
)
def test_what_cannot_be_promised_or_said_is_refused(house, body, path):
    if "subject" in body or "text" in body:
        body |= {"deliver_by": (house.promised() + timedelta(days=1)).isoformat()}
    refused = house.ask(status=422, **body)
    assert [error["path"] for error in refused["errors"]] == [path]
    assert house.messages() == []


def test_what_is_over_is_promised_nothing(house, server, shop):
    cancelled = House(server, shop, "more-35")
    server.client.post(f"/v1/orders/{cancelled.id}/cancel").raise_for_status()
    refused = cancelled.ask(status=409)
    assert (refused["code"], refused["state"], refused["allowed"]) == ("order.not_allowed", "cancelled", [])
    house.id = "00000000-0000-7000-8000-000000000000"
    assert house.ask(status=404)["code"] == "order.not_found"
