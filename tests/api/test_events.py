"""The stream of events: complete, resumable, filtered, and never held up by one subscriber."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.errors import QueryCanceled
from tests.batches import begin_orders, told
from tests.events import settle

from onhand.api import events, gathered
from onhand.base.actor import SYSTEM
from onhand.db import outbox
from onhand.errors import DatabaseUnavailable


def write(app, *subjects, kind="order.sourced"):
    def work(conn):
        for subject in subjects:
            outbox.write_event(conn, kind, subject, {"n": subject}, actor=SYSTEM, origin=app.db.origin)

    app.db.transact(work)
    app.db.notify()


NODE = {
    "name": "N", "node_type": "store", "country": "DE", "latitude": 50.0, "longitude": 8.0, "timezone": "Europe/Berlin",
}  # fmt: skip


class Stream:
    """A subscriber: reads events as they come."""

    def __init__(self, response):
        self._lines = response.iter_lines()
        assert next(self._lines) == "retry: 1000"
        assert next(self._lines) == ""

    def next(self):
        fields = {}
        for line in self._lines:
            if line == "" and fields:
                break
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        if not fields:
            raise EOFError
        document = json.loads(fields["data"])
        assert fields["id"] == document["id"]
        assert fields["event"] == document["type"]
        return document

    def subjects(self, count):
        return [self.next()["subject"] for _ in range(count)]


@contextmanager
def stream(server, last=None, **params) -> Iterator[Stream]:
    """From now on: after all that was written before, which another worker's transaction could else bring only then."""
    if last is None and "from" not in params:
        with server.app.db.connection() as conn:
            settle(conn)
    headers = {"Last-Event-ID": last} if last else {}
    with server.client.stream("GET", "/v1/events", params=params, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def joined(server, count=1):
    """Wait until `count` subscribers are in the live feed."""
    hub = server.hub
    deadline = time.monotonic() + 10
    while len(hub._subscribers) != count:
        assert time.monotonic() < deadline, "no subscriber joined"
        threading.Event().wait(0.01)


def test_a_stream_starts_now_and_brings_what_is_committed_later(server):
    write(server.app, "old")
    with stream(server) as events_now:
        joined(server)
        write(server.app, "a", "b")
        first = events_now.next()
        assert first["subject"] == "a"
        assert first["type"] == "order.sourced"
        assert first["data"] == {"n": "a"}
        assert events_now.subjects(1) == ["b"]


def test_a_stream_resumes_after_the_last_event_it_saw(server):
    write(server.app, "a", "b", "c")
    with stream(server, **{"from": "start"}) as first:
        while (seen := first.next())["subject"] != "b":
            pass
    write(server.app, "d")
    with stream(server, last=seen["id"]) as second:
        assert second.subjects(2) == ["c", "d"]
        joined(server)
        write(server.app, "e")
        assert second.subjects(1) == ["e"]


def test_a_stream_resumes_in_the_middle_of_a_batch(server, monkeypatch):
    monkeypatch.setattr(events, "_PAGE", 2)

    def begin(*names):
        ids = server.app.db.transact(lambda conn: begin_orders(conn, names))
        server.app.db.notify()
        return ids

    write(server.app, "before")
    ids = begin("a", "b", "c", "d", "e")
    with stream(server, **{"from": "start"}, kinds="order.*") as first:
        seen = [first.next() for _ in range(4)]
    assert [e["subject"] for e in seen] == ["before", *ids[:3]]
    assert seen[3]["data"] == told(ids[2], "c")
    for n in (1, 2, 3):
        with stream(server, last=seen[n]["id"], kinds="order.*") as again:
            assert again.subjects(len(ids) - n) == ids[n:]
            joined(server)
            live = begin(f"f{n}", f"g{n}", f"h{n}")
            told_live = [again.next() for _ in live]
            assert [e["subject"] for e in told_live] == live
        with stream(server, last=told_live[1]["id"], kinds="order.*") as rest:
            assert rest.subjects(1) == live[2:]
        ids += live


def test_only_the_kinds_asked_for_come(server):
    with stream(server, kinds="order.*,item.changed") as some:
        joined(server)
        write(server.app, "1", kind="stock.changed")
        write(server.app, "2", kind="item.changed")
        write(server.app, "3", kind="order.held")
        write(server.app, "4", kind="orders_other")
        write(server.app, "5", kind="order.cancelled")
        assert some.subjects(3) == ["2", "3", "5"]


def test_an_event_that_commits_late_is_not_skipped(server, dsn):
    with stream(server) as all_events, psycopg.connect(dsn) as late:
        joined(server)
        late.execute("INSERT INTO event (kind, subject, actor, origin, data) VALUES ('x.late', 'late', 0, 0, '{}')")
        write(server.app, "early")  # has the higher xid, commits first
        late.commit()
        server.app.db.notify()
        assert all_events.subjects(2) == ["late", "early"]


def test_many_subscribers_each_get_everything_while_others_come_and_go(server):
    subscribers, count = 8, 300
    got = []

    def subscribe(n):
        with stream(server, **{"from": "start"}, kinds="order.*") as mine:
            subjects = mine.subjects(count if n % 2 else count // 3)
        got.append((n, subjects))

    threads = [threading.Thread(target=subscribe, args=(n,)) for n in range(subscribers)]
    wanted = [str(n) for n in range(count)]
    for index, thread in enumerate(threads):
        thread.start()
        for subject in wanted[index * 30 : (index + 1) * 30]:
            write(server.app, subject)
    for subject in wanted[subscribers * 30 :]:
        write(server.app, subject)
    for thread in threads:
        thread.join(60)
    assert sorted(n for n, _ in got) == list(range(subscribers))
    for n, subjects in got:
        assert subjects == wanted[: count if n % 2 else count // 3]


def test_a_subscriber_that_does_not_read_is_disconnected_and_holds_nobody_up(server, monkeypatch):
    monkeypatch.setattr(events, "BUFFER_MAX", 50)
    monkeypatch.setattr("onhand.api.routes_events.SEND_TIMEOUT_S", 0.3)
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as lazy, stream(server) as keen:
        request = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_key}\r\n\r\n"
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(request.encode())
        joined(server, 2)
        big = {"text": "x" * 60_000}

        def work(conn):
            outbox.write_event(conn, "order.big", "big", big, actor=SYSTEM, origin=1)

        for _ in range(200):  # more than the sockets' buffers and ours take
            server.app.db.transact(work)
            server.app.db.notify()
            assert keen.next()["subject"] == "big"
        deadline = time.monotonic() + 10
        while server.hub.streams != 1:
            assert time.monotonic() < deadline, "the lazy subscriber still holds its place"
            threading.Event().wait(0.02)


def test_what_waits_for_a_subscriber_is_bounded(server, monkeypatch):
    monkeypatch.setattr(events, "BUFFER_MAX", 50)
    hub, slow, keen = server.hub, events._Subscriber(events.matcher([])), events._Subscriber(events.matcher([]))
    hub._subscribers |= {slow, keen}
    for n in range(200):
        frame = events.Frame(outbox.Cursor(1, n), "order.held", b"x")
        hub._publish([frame], hub._stop, threading.Event())
        keen.frames.clear()
    assert (slow.overrun, len(slow.frames)) == (True, 50)
    assert [f.cursor.pos for f in slow.frames] == list(range(50))  # an unbroken start: it may resume from there
    assert not keen.overrun


def test_the_number_of_streams_is_bounded(server, monkeypatch):
    monkeypatch.setattr(events, "STREAMS_MAX", 2)
    with stream(server), stream(server):
        refused = server.client.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) > 0
    deadline = time.monotonic() + 10
    while server.hub.streams:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    with stream(server):
        pass


def test_a_revoked_key_ends_its_streams(server):
    made = server.client.post("/v1/keys", json={"name": "watcher", "scopes": ["read"]}).json()
    with (
        server.as_key(made["key"]) as watcher,
        watcher.stream("GET", "/v1/events") as response,
    ):
        lines = response.iter_lines()
        assert next(lines) == "retry: 1000"
        began = time.monotonic()
        assert server.client.delete(f"/v1/keys/{made['key_id']}").status_code == 200
        list(lines)  # until the server ends it
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?gathered=true"])
def test_a_stream_ends_with_its_key_also_while_much_happens(server, monkeypatch, path):
    monkeypatch.setattr(gathered, "_LOOK_S", 0.2)
    made = server.client.post("/v1/keys", json={"name": "gone", "scopes": ["read"]}).json()
    with server.as_key(made["key"]) as client, client.stream("GET", path) as response:
        lines = response.iter_lines()
        assert next(lines) == "retry: 1000"
        server.client.delete(f"/v1/keys/{made['key_id']}").raise_for_status()
        deadline = time.monotonic() + 20
        for n, _ in enumerate(lines):
            assert time.monotonic() < deadline, "it goes on without a key"
            write(server.app, f"s{n}")


def test_streams_wait_for_names_that_cannot_be_read(server, monkeypatch):
    """The one thread that feeds them all lives on, and nothing is skipped."""
    names, troubles = server.hub._names, [DatabaseUnavailable("gone"), QueryCanceled("slow")]

    def read(items):
        if troubles:
            raise troubles.pop()
        return names(items)

    monkeypatch.setattr(server.hub, "_names", read)
    server.client.put("/v1/items/A", json={"name": "A"}).raise_for_status()
    server.client.put("/v1/nodes/N", json=NODE).raise_for_status()
    with stream(server, kinds="stock.changed") as found:
        entry = {"kind": "receipt", "sku": "A", "node": "N", "quantity": 1}
        server.client.post("/v1/stock/entries", json={"entries": [entry]}).raise_for_status()
        assert found.next()["data"]["skus"] == ["A"]
    assert troubles == []


def test_ids_that_cannot_be_resumed_are_refused(server):
    def ask(last):
        answer = server.client.get("/v1/events", headers={"Last-Event-ID": last})
        return answer.status_code, answer.json()["code"]

    assert ask("nonsense") == (422, "input.invalid")
    assert ask("a.1.99999999999999999999") == (422, "input.invalid")
    assert ask("00000000-0000-0000-0000-000000000000.1.1") == (410, "events.epoch_changed")
    wrong = server.client.get("/v1/events", params={"kinds": "order.*;drop"})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "kinds")


def test_a_closing_server_ends_its_streams(server):
    with stream(server) as mine:
        joined(server)
        server.hub.close()
        began = time.monotonic()
        try:
            while True:
                mine.next()
        except EOFError:
            assert time.monotonic() - began < 3


def test_stock_is_told_by_name_too(server):
    server.client.put("/v1/items/A", json={"name": "A"}).raise_for_status()
    server.client.put("/v1/nodes/N", json=NODE).raise_for_status()
    with stream(server, kinds="stock.changed") as found:
        joined(server)
        entry = {"kind": "receipt", "sku": "A", "node": "N", "quantity": 1}
        server.client.post("/v1/stock/entries", json={"entries": [entry]}).raise_for_status()
        data = found.next()["data"]
    assert (data["skus"], len(data["items"])) == (["A"], 1)


def test_subscribers_are_only_given_what_they_want(server):
    hub = server.hub
    all_, some, same = (events._Subscriber(events.matcher(kinds)) for kinds in ([], ["stock.*"], ["stock.*"]))
    hub._subscribers |= {all_, some, same}
    frames = [events.Frame(outbox.Cursor(1, n), kind, b"x") for n, kind in enumerate(("order.held", "stock.changed"))]
    hub._publish(frames[:1], hub._stop, threading.Event())
    assert (len(all_.frames), len(some.frames), some.changed.is_set()) == (1, 0, False)
    hub._publish(frames[1:], hub._stop, threading.Event())
    assert [f.kind for f in some.frames] == [f.kind for f in same.frames] == ["stock.changed"]


# Gathered -----------------------------------------------------------------------------------------


class Gathered:
    def __init__(self, response):
        self._lines = response.iter_lines()
        assert next(self._lines) == "retry: 1000"

    def until(self, enough):
        """Digests added up until `enough` of them."""
        found = {}
        kind = None
        for line in self._lines:
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                assert kind == "gathered"
                for name, of in json.loads(line[6:]).items():
                    before = found.get(name, {"count": 0, "subjects": [], "is_all": True})
                    found[name] = {
                        "count": before["count"] + of["count"], "subjects": before["subjects"] + of["subjects"],
                        "is_all": before["is_all"] and of["is_all"],
                    }  # fmt: skip
                if enough(found):
                    return found
        raise EOFError


@contextmanager
def gathering(server, **params):
    with server.client.stream("GET", "/v1/events", params={"gathered": "true"} | params) as response:
        assert response.status_code == 200, response.read()
        yield Gathered(response)


def test_gathered_events_say_how_many_of_what(server):
    with gathering(server, kinds="order.*") as found:
        write(server.app, "a", "b", "a")
        write(server.app, "c", kind="stock.of_no_interest")
        write(server.app, *(f"s{n}" for n in range(130)), kind="order.held")
        told_ = found.until(lambda f: f.get("order.held", {}).get("count") == 130)
    assert told_.keys() == {"order.sourced", "order.held"}
    assert told_["order.sourced"] == {"count": 3, "subjects": ["a", "b"], "is_all": True}
    held = told_["order.held"]
    assert held["is_all"] == (len(held["subjects"]) == 130)  # of one second no more than a hundred are named
    assert set(held["subjects"]) <= {f"s{n}" for n in range(130)}


def test_a_row_of_orders_is_gathered_as_so_many(server):
    with gathering(server, kinds="order.sourced") as found:
        ids = server.app.db.transact(lambda conn: begin_orders(conn, [f"o{n}" for n in range(150)]))
        of = found.until(lambda f: f["order.sourced"]["count"] >= 150)["order.sourced"]
    assert (of["count"], len(of["subjects"]), of["is_all"]) == (150, 100, False)
    assert set(of["subjects"]) <= set(ids)


def test_gathered_stock_is_told_by_sku(server):
    for sku in "AB":
        server.client.put(f"/v1/items/{sku}", json={"name": sku}).raise_for_status()
    server.client.put("/v1/nodes/N", json=NODE).raise_for_status()
    with gathering(server, kinds="stock.changed") as found:
        entries = [{"kind": "receipt", "sku": sku, "node": "N", "quantity": 1} for sku in "AB"]
        server.client.post("/v1/stock/entries", json={"entries": entries}).raise_for_status()
        of = found.until(lambda _: True)["stock.changed"]
    assert (sorted(of["subjects"]), of["is_all"]) == (["A", "B"], True)


def test_gathered_streams_begin_now_and_end_with_the_server(server):
    for headers, params in (({"Last-Event-ID": "x.1.1"}, {}), ({}, {"from": "start"})):
        refused = server.client.get("/v1/events", params={"gathered": "true"} | params, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "gathered")
    with gathering(server) as found:
        server.hub.close()
        with pytest.raises(EOFError):
            found.until(lambda _: True)
    assert server.hub.streams == 0


def test_gathered_streams_outlive_a_query_that_fails(server, monkeypatch):
    read, troubles = outbox.read_brief, [QueryCanceled("slow"), DatabaseUnavailable("gone")]

    def fail(*arguments):
        if troubles:
            raise troubles.pop()
        return read(*arguments)

    with gathering(server) as found:
        monkeypatch.setattr(outbox, "read_brief", fail)
        write(server.app, "a")
        assert found.until(lambda f: "order.sourced" in f)["order.sourced"]["subjects"] == ["a"]
    assert troubles == []
