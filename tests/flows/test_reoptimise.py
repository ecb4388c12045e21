"""Orders that no node has begun to work on are planned again together: moved when that pays, all of it or nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.flows.test_parcels import RATES, TO_GERMANY, carry, counted, service, ways

from onhand.base.actor import Actor
from onhand.errors import Conflict
from onhand.flows import reoptimise as module
from onhand.flows.cancel_order import cancel_order
from onhand.flows.explain_plan import explain_plan
from onhand.flows.fulfil import accept, reject
from onhand.flows.hold_order import hold_order
from onhand.flows.reoptimise import reoptimise

BY = Actor(key_id=7)


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def nodes(merchant, answer):
    return sorted(f.node for f in merchant.order(answer["order_id"]).live)


def crossed(merchant):
    """Two orders, each at the other's node: 100 more for either than it need be."""
    merchant.stock("berlin", A=1)
    south = merchant.place(("A", 1), to="munich")
    merchant.stock("munich", A=1)
    north = merchant.place(("A", 1), to="berlin")
    assert (nodes(merchant, south), nodes(merchant, north)) == (["berlin"], ["munich"])
    return south, north


def test_two_orders_that_cross_are_swapped(merchant):
    south, north = crossed(merchant)
    before = {o["order_id"]: merchant.order(o["order_id"]) for o in (south, north)}
    done = reoptimise(merchant.state, by=BY)
    assert (done.orders_considered, done.orders_moved, done.saving_minor) == (2, 2, 200)
    assert done.gap <= 1e-4
    assert (nodes(merchant, south), nodes(merchant, north)) == (["munich"], ["berlin"])
    for placed in (south, north):
        order = merchant.order(placed["order_id"])
        assert merchant.status(order.order_id) == ("sourced", None)
        assert order.deliver_by <= before[order.order_id].deliver_by
        assert [f.status for f in order.fulfilments] == ["cancelled", "allocated"]
        assert merchant.events(order.order_id) == ["order.sourced", "order.sourced"]
        assert merchant.events(first(placed)) == ["fulfilment.cancelled"]
        kept = merchant.rows("SELECT decision FROM plan WHERE order_id = %s AND plan_no = 2", order.order_id)[0][0]
        assert json.loads(kept)["because"] == "re-optimised"
    assert merchant.position("A", "berlin") == merchant.position("A", "munich") == (1, 0, 1, 0)
    assert reoptimise(merchant.state).orders_moved == 0, "once is enough"


def test_a_move_is_explained(merchant):
    south, _ = crossed(merchant)
    reoptimise(merchant.state)
    told = explain_plan(merchant.db, f"{south['order_id']}-p2")
    assert [c["node"] for c in told["candidates"] if c["chosen"]] == ["munich"]


def test_a_dry_run_says_what_it_would_save(merchant):
    south, north = crossed(merchant)
    done = reoptimise(merchant.state, apply=False)
    assert (done.orders_moved, done.saving_minor) == (2, 200)
    assert (nodes(merchant, south), nodes(merchant, north)) == (["berlin"], ["munich"])


def test_one_order_moves_to_stock_that_came_later(merchant):
    merchant.stock("paris", A=2)
    placed = merchant.place(("A", 2), to="berlin")
    merchant.stock("berlin", A=5)
    assert reoptimise(merchant.state).orders_moved == 1
    assert nodes(merchant, placed) == ["berlin"]
    assert merchant.position("A", "paris") == (2, 0, 0, 0)


def test_a_split_order_is_put_together_again(merchant):
    merchant.stock("berlin", A=1)
    merchant.stock("munich", B=1)
    placed = merchant.place(("A", 1), ("B", 1), to="hamburg")
    assert len(nodes(merchant, placed)) == 2
    merchant.stock("hamburg", A=1, B=1)
    assert reoptimise(merchant.state).saving_minor > 500
    assert nodes(merchant, placed) == ["hamburg"]


def test_nothing_moves_when_nothing_is_gained(merchant):
    merchant.stock("berlin", A=5)
    for _ in range(3):
        merchant.place(("A", 1), to="berlin")
    merchant.stock("hamburg", A=5)
    done = reoptimise(merchant.state)
    assert (done.orders_considered, done.orders_moved, done.saving_minor) == (3, 0, 0)
    assert merchant.rows("SELECT count(*) FROM fulfilment") == [(3,)]


def test_rounds_go_on_where_the_last_one_ended(merchant):
    """Five orders wait, all at the wrong node; a round looks at two of them."""
    merchant.stock("paris", A=5)
    placed = [merchant.place(("A", 1), to="berlin") for _ in range(5)]
    merchant.stock("berlin", A=5)

    def moved():
        return [n for n, answer in enumerate(placed) if nodes(merchant, answer) == ["berlin"]]

    assert reoptimise(merchant.state, limit=2, apply=False).orders_moved == 2
    done = [reoptimise(merchant.state, limit=2).orders_moved for _ in range(2)]
    assert (done, len(moved())) == ([2, 2], 4)
    # The fifth one, and then, from the start, one that has moved.
    third = reoptimise(merchant.state, limit=2)
    assert (third.orders_considered, third.orders_moved) == (2, 1)
    assert len(moved()) == 5


def test_a_round_that_looks_at_all_begins_anew(merchant):
    merchant.stock("paris", A=3)
    for _ in range(3):
        merchant.place(("A", 1), to="berlin")
    for _ in range(3):
        assert reoptimise(merchant.state, limit=10).orders_considered == 3
    assert merchant.state.reoptimised_to is None


def test_little_is_not_enough(merchant):
    crossed(merchant)
    assert reoptimise(merchant.state, saving_share_min=0.5).orders_moved == 0


def test_what_a_node_works_on_stays(merchant):
    south, north = crossed(merchant)
    accept(merchant.state, first(south), by=BY)
    assert reoptimise(merchant.state).orders_moved == 0
    hold_order(merchant.state, north["order_id"], "wait", by=BY)
    assert reoptimise(merchant.state).orders_considered == 0
    assert nodes(merchant, south) == ["berlin"]


def test_what_leaves_soon_or_was_placed_long_ago_stays(merchant):
    crossed(merchant)
    merchant.now += timedelta(hours=7)  # 17:00 in Berlin: the cut-off has passed
    assert reoptimise(merchant.state).orders_considered == 0
    merchant.now -= timedelta(hours=7)
    assert reoptimise(merchant.state, placed_within=timedelta(0)).orders_considered == 0
    assert reoptimise(merchant.state, limit=1).orders_considered == 1
    assert reoptimise(merchant.state).orders_moved == 2


def test_room_of_a_day_is_respected_and_given_back(merchant):
    merchant.stock("munich", A=9)
    merchant.stock("berlin", A=9)
    merchant.limit("berlin", orders=1)
    orders = [merchant.place(("A", 1), to="berlin") for _ in range(3)]
    before = [merchant.order(o["order_id"]).live[0] for o in orders]
    reoptimise(merchant.state)
    after = [merchant.order(o["order_id"]).live[0] for o in orders]
    taken = [f.ship_day for f in after if f.node == "berlin"]
    assert len(taken) == len(set(taken))
    assert sum(f.cost_minor for f in after) <= sum(f.cost_minor for f in before)
    held = merchant.rows("SELECT day, orders FROM capacity_day WHERE orders > 0 ORDER BY day")
    assert [day for day, orders in held] == sorted(taken)


def test_the_room_that_an_order_gives_up_is_free_for_another(merchant):
    """The day of berlin is full with an order that munich could serve as well as anybody; another one needs it."""
    merchant.limit("berlin", orders=1)
    merchant.stock("berlin", A=1, B=1)
    south = merchant.place(("A", 1), to="munich")
    merchant.stock("munich", A=1, B=1)
    north = merchant.place(("B", 1), to="berlin")
    assert (nodes(merchant, south), nodes(merchant, north)) == (["berlin"], ["munich"]) or north
    done = reoptimise(merchant.state)
    assert done.orders_moved >= 1
    assert (nodes(merchant, south), nodes(merchant, north)) == (["munich"], ["berlin"])
    assert len({merchant.order(north["order_id"]).live[0].ship_day}) == 1


@pytest.mark.parametrize("of_lane", [False, True])
def test_the_parcel_that_an_order_gives_up_is_free_for_another(merchant, of_lane):
    """The cheap service takes one parcel a day, of berlin or of the whole country; it saves the heavier order more."""
    limit = {"parcels_per_day": 1}
    cheap = service("cheap", **({"lanes": [TO_GERMANY | limit]} if of_lane else limit | {"lanes": [TO_GERMANY]}))
    table = RATES | {"prices_minor": [[light + 50, heavy + 200] for light, heavy in RATES["prices_minor"]]}
    carry(merchant, cheap, service("dear", rate_table=table, lanes=[TO_GERMANY]))
    merchant.stock("berlin", A=20)
    placed = [merchant.place(("A", 1)), merchant.place(("A", 10))]
    assert [f[1] for f in ways(*placed)] == ["cheap", "dear"]
    done = reoptimise(merchant.state)
    assert done.orders_moved == 2 and done.saving_minor == pytest.approx(150, abs=1), "rounded for each order"
    assert [f.service for p in placed for f in merchant.order(p["order_id"]).live] == ["dear", "cheap"]
    assert [row[-1] for row in counted(merchant)] == [1]
    assert reoptimise(merchant.state).orders_moved == 0, "once is enough"
    assert [f[1] for f in ways(merchant.place(("A", 1)))] == ["dear"], "memory knows that it is taken"


def test_nobody_is_promised_later_than_before(merchant):
    """Berlin is nearer and closed today: cheaper by 100, less what a day is worth, and a day later."""
    merchant.stock("munich", A=1)
    placed = merchant.place(("A", 1), to="berlin")
    promised = merchant.order(placed["order_id"]).deliver_by
    merchant.rows("UPDATE node SET working_days = '{2,3,4,5}' WHERE code = 'berlin' RETURNING 1")
    merchant.state.reload_network()
    merchant.stock("berlin", A=1)
    assert reoptimise(merchant.state).orders_moved == 0
    assert merchant.order(placed["order_id"]).deliver_by == promised
    merchant.rows("UPDATE node SET working_days = '{1,2,3,4,5}' WHERE code = 'berlin' RETURNING 1")
    merchant.state.reload_network()
    assert reoptimise(merchant.state).orders_moved == 1


def test_safety_stock_that_an_order_has_stays_its_own(merchant):
    merchant.rows("UPDATE node SET safety_stock_default = 1 WHERE code = 'berlin' RETURNING 1")
    merchant.state.reload_network()
    merchant.stock("berlin", A=1)
    placed = merchant.place(("A", 1), to="berlin")
    assert nodes(merchant, placed) == ["berlin"]
    merchant.stock("munich", A=1)
    done = reoptimise(merchant.state)
    assert (done.orders_considered, done.orders_moved) == (1, 0)


@pytest.mark.parametrize("rival", ["accept", "cancel", "reject", "order", "dearer"])
def test_who_is_quicker_wins(merchant, monkeypatch, rival):
    """Between looking and moving, somebody else does something: nothing moves, nothing is lost."""
    south, _ = crossed(merchant)
    plan = module.plan_together

    def meanwhile(*arguments, **named):
        joint = plan(*arguments, **named)
        if rival == "accept":
            accept(merchant.state, first(south), by=BY)
        elif rival == "cancel":
            cancel_order(merchant.state, south["order_id"], by=BY)
        elif rival == "reject":
            reject(merchant.state, first(south), "closed", by=BY)
        elif rival == "dearer":
            merchant.rows("UPDATE node SET handling_cost_minor = 900 WHERE code = 'berlin' RETURNING 1")
            merchant.state.reload_network()
        else:
            merchant.place(("A", 1), to="berlin")  # waits: there is no unit for it
        return joint

    monkeypatch.setattr(module, "plan_together", meanwhile)
    done = reoptimise(merchant.state)
    assert done.orders_moved == (2 if rival == "order" else 0)
    assert merchant.position("A", "munich")[2] == 1
    if rival in ("accept", "dearer"):
        assert nodes(merchant, south) == ["berlin"]


def test_under_fire_every_unit_is_promised_once(merchant):
    """Orders are accepted, cancelled, rejected and placed while two workers plan again and again."""
    for node, units in (("berlin", 12), ("munich", 12), ("hamburg", 6)):
        merchant.stock(node, A=units)
    placed = [merchant.place(("A", 1), to=("munich", "berlin")[n % 2]) for n in range(18)]
    merchant.stock("paris", A=3)

    def act(n):
        answer = placed[n]
        try:
            if n % 3 == 0:
                accept(merchant.state, first(answer), by=BY)
            elif n % 3 == 1:
                cancel_order(merchant.state, answer["order_id"], by=BY)
            else:
                reject(merchant.state, first(answer), "closed", by=BY)
        except Conflict:
            pass  # it was moved, and its first fulfilment is dead

    def sweep(_):
        return [reoptimise(merchant.state, saving_share_min=0.0, time_limit_s=0.2) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        acts = [pool.submit(act, n) for n in range(18)]
        sweeps = [pool.submit(sweep, n) for n in range(2)]
        for task in (*acts, *sweeps):
            task.result()
    live = merchant.rows(
        "SELECT coalesce(sum(l.quantity), 0) FROM fulfilment_line l JOIN fulfilment f USING (order_id, fulfilment_no)"
        " WHERE f.status NOT IN ('cancelled', 'rejected')"
    )[0][0]
    assert merchant.rows("SELECT sum(allocated) FROM stock_position")[0][0] == live
