"""The same request twice takes effect once, whatever happens in between."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from onhand.api.idempotent import Once, checked_key, to_json
from onhand.errors import CommitUnknown, Conflict, DatabaseUnavailable, IdempotencyKeyReused, InvalidInput


def once(db, key="k", body=b"body", actor=1, route="POST /v1/things"):
    return Once(db=db, actor_key_id=actor, route=route, key=key, body_hash=body)


@dataclass
class Thing:
    number: int


@pytest.fixture
def add(db):
    """A flow that adds a row and returns its number."""
    with db.connection() as conn:
        conn.execute("CREATE TABLE thing (number int GENERATED ALWAYS AS IDENTITY, name text)")

    def flow(transact):
        def work(conn):
            return Thing(conn.execute("INSERT INTO thing (name) VALUES ('x') RETURNING number").fetchone()[0])

        return transact(work)

    return flow


def count(db):
    with db.connection() as conn:
        return conn.execute("SELECT count(*) FROM thing").fetchone()[0]


def replayed(response):
    return response.headers.get("idempotent-replayed") == "true"


def test_a_repeat_gets_the_first_answer(db, add):
    first = once(db).run(add, status=201)
    again = once(db).run(add, status=201)
    assert (first.status_code, first.body) == (201, b'{"number":1}')
    assert (again.status_code, again.body) == (201, b'{"number":1}')
    assert (replayed(first), replayed(again)) == (False, True)
    assert count(db) == 1


def test_without_a_key_nothing_is_remembered(db, add):
    bodies = [once(db, key=None).run(add).body for _ in range(2)]
    assert bodies == [b'{"number":1}', b'{"number":2}']


def test_keys_are_apart_by_caller_and_route(db, add):
    once(db).run(add)
    once(db, actor=2).run(add)
    once(db, route="POST /v1/others").run(add)
    assert count(db) == 3


def test_another_body_is_refused(db, add):
    once(db).run(add)
    with pytest.raises(IdempotencyKeyReused):
        once(db, body=b"other").run(add)
    assert count(db) == 1


def test_twins_take_effect_once(db, add):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: once(db).run(add), range(8)))
    assert {a.body for a in answers} == {b'{"number":1}'}
    assert sum(not replayed(a) for a in answers) == 1
    assert count(db) == 1


def test_a_refusal_is_not_remembered(db, add):
    def refuse(transact):
        def work(conn):
            conn.execute("INSERT INTO thing (name) VALUES ('half')")
            raise Conflict("thing.closed", "not now")

        return transact(work)

    with pytest.raises(Conflict):
        once(db).run(refuse)
    assert count(db) == 0
    assert not replayed(once(db).run(add))
    assert count(db) == 1


def test_a_refusal_after_the_first_took_effect_is_the_first_answer(db, add):
    """A flow that checks outside its transaction would refuse its own repeat."""

    def checked(transact):
        if count(db):
            raise Conflict("thing.exists", "there is one already")
        return add(transact)

    once(db).run(checked)

    def slow(transact):  # the twin commits after our own look for an answer
        once(db, key="late").run(add)
        raise Conflict("thing.exists", "there is one already")

    assert replayed(once(db, key="late").run(slow))


def test_a_commit_with_an_unknown_result_is_resolved(db, add, monkeypatch):
    real = db.transact

    def cut_after(work, **options):
        real(work, **options)
        raise CommitUnknown("the connection broke")

    def cut_before(work, **options):
        raise CommitUnknown("the connection broke")

    monkeypatch.setattr(db, "transact", cut_after)
    answer = once(db).run(add, status=201)
    assert (answer.status_code, answer.body, replayed(answer)) == (201, b'{"number":1}', False)  # by this very attempt
    assert replayed(once(db).run(add, status=201))
    monkeypatch.setattr(db, "transact", cut_before)
    with pytest.raises(CommitUnknown):
        once(db, key="other").run(add)
    monkeypatch.setattr(db, "transact", real)
    assert count(db) == 1


def row_by_row(db, meanwhile=lambda: None):
    """A batch of two rows, each a transaction of its own and written once."""

    def work():
        for name in ("a", "b"):
            db.transact(
                lambda conn, name=name: conn.execute(
                    "INSERT INTO thing (name) SELECT %s::text EXCEPT SELECT name FROM thing",
                    (name,),
                )
            )
            meanwhile()
        return {"rows": 2}

    return work


def test_a_batch_binds_its_key_before_its_first_row(db, add):
    refused = []

    def other():
        with pytest.raises(IdempotencyKeyReused) as caught:
            once(db, body=b"other").each(
                lambda: db.transact(lambda conn: conn.execute("INSERT INTO thing (name) VALUES ('x')"))
            )
        refused.append(caught)

    answer = once(db).each(row_by_row(db, other))
    assert (answer.status_code, answer.body, replayed(answer)) == (200, b'{"rows":2}', False)
    assert (len(refused), count(db)) == (2, 2)  # nothing of the other body was done
    assert replayed(once(db).each(row_by_row(db)))


def test_twins_of_a_batch_give_one_answer(db, add):
    twins = []
    answer = once(db).each(row_by_row(db, lambda: twins.append(once(db).each(row_by_row(db)))))
    assert (replayed(answer), [replayed(t) for t in twins]) == (True, [False, True])
    assert {answer.body, *(t.body for t in twins)} == {b'{"rows":2}'}
    assert count(db) == 2


def test_a_batch_that_broke_off_goes_on_under_its_key(db, add):
    def broken():
        raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        once(db).each(row_by_row(db, broken))
    assert count(db) == 1
    with pytest.raises(IdempotencyKeyReused):
        once(db, body=b"other").each(row_by_row(db))
    assert not replayed(once(db).each(row_by_row(db)))
    assert count(db) == 2


def test_a_batch_answers_although_the_answer_cannot_be_kept(db, add, monkeypatch):
    real = db.transact

    def away(work, **options):
        raise DatabaseUnavailable("away")

    def lost():
        if count(db) == 2:
            monkeypatch.setattr(db, "transact", away)

    assert once(db).each(row_by_row(db, lost)).body == b'{"rows":2}'
    monkeypatch.setattr(db, "transact", real)
    assert not replayed(once(db).each(row_by_row(db)))


def test_a_database_that_is_away_stays_that(db, add, monkeypatch):
    def away(work, **options):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(db, "transact", away)
    with pytest.raises(DatabaseUnavailable):
        once(db).run(add)


def test_an_answer_that_cannot_be_made_leaves_nothing(db, add):
    with pytest.raises(ZeroDivisionError):
        once(db).run(add, answer=lambda thing: 1 / 0)
    assert count(db) == 0


def test_secrets_are_not_stored(db, add):
    def run():
        return once(db).run(add, answer=lambda t: {"secret": "s3cret"}, stored=lambda t: {"secret": None})

    assert run().body == b'{"secret":"s3cret"}'
    assert run().body == b'{"secret":null}'
    with db.connection() as conn:
        assert "s3cret" not in str(conn.execute("SELECT * FROM idempotency").fetchall())


def test_a_flow_that_does_not_use_its_transactor_is_a_bug(db, add):
    with pytest.raises(AssertionError, match="did not use"):
        once(db).run(lambda transact: None)


def test_work_of_one_function_is_committed_with_its_answer(db, add):
    def work(conn):
        conn.execute("INSERT INTO thing (name) VALUES ('x')")
        return {"ok": True}

    assert once(db).commit(work).body == b'{"ok":true}'
    assert replayed(once(db).commit(work))
    assert count(db) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\x00", "\u00e9", "\x7f"])
def test_what_cannot_be_a_key_is_refused(key):
    with pytest.raises(InvalidInput, match="Idempotency-Key"):
        checked_key(key)


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b", "019ca7a4-5d00", "!~"])
def test_what_can_be_a_key_is_taken(key):
    assert checked_key(key) == key
    assert checked_key(None) is None


def test_the_header_is_checked_at_the_edge(server):
    def post(key):
        body = {"name": "x", "scopes": ["read"]}
        return server.client.post("/v1/keys", json=body, headers={"Idempotency-Key": key})

    for key in ("x" * 256, b"\xc3\xa9", "a\tb"):
        answer = post(key)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "Idempotency-Key"), key
    assert post("x" * 255).status_code == 201


def test_what_has_no_json_form_is_a_bug():
    with pytest.raises((TypeError, NotImplementedError)):
        to_json(object())
