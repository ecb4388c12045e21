"""Orders decided by the policy in force, on the database: rules, fall-backs, floors, shares, and versions on trial."""

import math
from datetime import datetime, timedelta

import msgspec
import pytest
from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.flows.explain_plan import explain_plan
from onhand.flows.fulfil import reject
from onhand.flows.give_up import cancel_overdue
from onhand.flows.hold_order import release_order
from onhand.flows.policies import promote_policy, set_policy
from onhand.flows.promise import prepare_question, promise
from onhand.flows.source_again import source_orders
from onhand.flows.state import State
from onhand.flows.trials import outcomes, watch_trials
from onhand.orders.intake import PromiseIn
from onhand.orders.store import first_answers
from onhand.sourcing.policies import store


def follow(state):
    """Take over what is committed, once nobody else's transaction hides it."""
    with state.db.connection() as conn:
        settle(conn, state.cursor)
    state.follow()


def decide_by(merchant, text, to="active", share=None):
    """Write a version and promote it; memory follows."""
    written = set_policy(merchant.db, "standard", text, by=SYSTEM)
    promote_policy(
        merchant.db, "standard", to=to, version=written.version.version, share=share, why="a test", by=SYSTEM
    )
    follow(merchant.state)
    return written.version.version


def nodes(answer):
    return [f["node"] for f in answer["fulfilments"]]


def labels(merchant, *answers):
    found = dict(merchant.rows("SELECT order_id::text, policy FROM plan WHERE plan_no = 1"))
    return [found[a["order_id"]] for a in answers]


MUNICH_FOR_LARGE = """
rules:
  - {name: large orders, when: order.units >= 5, nodes: node.code == "munich"}
  - {name: the rest}
"""


def test_a_rule_sends_the_orders_it_is_for_from_its_nodes_and_the_plan_names_it(merchant):
    merchant.stock("berlin", A=100, B=100)
    merchant.stock("munich", A=100, B=100)
    assert nodes(merchant.place(("A", 1))) == ["berlin"]
    number = decide_by(merchant, MUNICH_FOR_LARGE)
    small, large = merchant.place_many([([("A", 1)], {}), ([("A", 3), ("B", 2)], {})])
    assert (nodes(small), nodes(large)) == (["berlin"], ["munich"])
    assert labels(merchant, small, large) == [f"standard@{number}/1", f"standard@{number}/0"]


def test_where_a_rule_has_no_plan_the_next_one_decides_unless_it_stops(merchant):
    merchant.stock("berlin", A=100)
    merchant.stock("munich", A=6)
    number = decide_by(merchant, MUNICH_FOR_LARGE)
    first, second = merchant.place(("A", 5)), merchant.place(("A", 5))
    assert (nodes(first), nodes(second)) == (["munich"], ["berlin"])
    assert labels(merchant, first, second) == [f"standard@{number}/0", f"standard@{number}/1"]
    decide_by(merchant, MUNICH_FOR_LARGE.replace('"munich"}', '"munich", otherwise: stop}'))
    assert merchant.place(("A", 5))["status"] == "unfillable"


def test_another_process_follows_the_promotion(merchant):
    merchant.stock("berlin", A=100)
    merchant.stock("munich", A=100)
    other = State(merchant.db, now=lambda: merchant.now)
    other.load()
    follow(other)
    assert other.policy.version == "standard@1"
    number = decide_by(merchant, MUNICH_FOR_LARGE)
    follow(other)
    assert other.policy.version == merchant.state.policy.version == f"standard@{number}"


@pytest.mark.parametrize(
    ("limits", "service", "status"),
    [
        ("{services: [standard]}", "standard", "sourced"),
        ("{days_max: 1}", None, "unfillable"),
        ("{days_max: 4}", "standard", "sourced"),
        ("{distance_km_max: 10}", "standard", "sourced"),
    ],
)
def test_limits_hold_for_every_order(merchant, limits, service, status):
    merchant.stock("berlin", A=1)
    merchant.stock("munich", A=9)
    decide_by(merchant, f"limits: {limits}\nfallback: {{on_no_plan: unfillable}}")
    answer = merchant.place(("A", 1))
    assert answer["status"] == status
    assert [f["service"] for f in answer["fulfilments"]] == ([service] if service else [])
    if "distance" in limits:
        assert merchant.place(("A", 1))["status"] == "unfillable", "munich is farther"


def test_groups_attributes_and_the_customers_domain_are_asked_for(merchant):
    merchant.stock("berlin", A=100)
    merchant.stock("munich", A=100)
    merchant.stock("hamburg", A=100)
    with merchant.db.connection() as conn:
        conn.execute("INSERT INTO node_group VALUES ('south', 'South', '{2}')")
        conn.execute("UPDATE node SET attributes = '{\"gifts\": true}' WHERE code = 'hamburg'")
        conn.execute("UPDATE item SET attributes = '{\"fragile\": true}' WHERE sku = 'B'")
    merchant.state.learn_items(["B"])
    merchant.stock("berlin", B=10)
    merchant.stock("munich", B=10)
    merchant.stock("hamburg", B=10)
    decide_by(
        merchant,
        """
rules:
  - name: fragile
    when: order.items.exists(i, has(i.attributes.fragile) && i.attributes.fragile == true)
    nodes: has(node.attributes.gifts) && node.attributes.gifts == true
  - {name: friends, when: order.customer.email_domain == "example.org", groups: [south]}
  - {name: the rest}
""".replace("groups: [south]", """nodes: '"south" in node.groups'"""),
    )
    ada = {"customer": {"email": "ada@Example.org", "name": "Ada"}}
    of_all = merchant.place_many([([("A", 1)], {}), ([("A", 1)], ada), ([("B", 1)], ada)])
    assert [nodes(a) for a in of_all] == [["berlin"], ["munich"], ["hamburg"]]
    # Sourced again, the same is known of it: munich is out, so it takes the next rule.
    order_id = of_all[1]["order_id"]
    reject(merchant.state, f"{order_id}-f1", "closed", by=SYSTEM)
    assert [(n, s) for n, s, _ in merchant.fulfilments(order_id)] == [("munich", "rejected"), ("berlin", "allocated")]


@pytest.mark.parametrize("fallback", ["hold", "unfillable", "backorder", "partial"])
def test_what_has_no_plan_falls_back_as_the_policy_says(merchant, fallback):
    merchant.stock("berlin", A=3, B=5)
    merchant.inbound("berlin", "po-1", days=3, A=50)
    decide_by(merchant, f"fallback: {{on_no_plan: {fallback}, unserved: {{order_minor: 10, unit_minor: 300}}}}")
    order = merchant.place(("A", 5), ("B", 2))
    order_id = order["order_id"]
    served = {sku: n for _, _, units in merchant.fulfilments(order_id) for sku, n in units.items()}
    waits = sorted(merchant.waiting(order_id))
    expected = {
        "hold": ("held", {}, [("held", "A", 5), ("held", "B", 2)]),
        "unfillable": ("unfillable", {}, [("unfillable", "A", 5), ("unfillable", "B", 2)]),
        "backorder": ("backordered", {"B": 2}, [("backorder", "A", 5)]),
        "partial": ("backordered", {"A": 3, "B": 2}, [("backorder", "A", 2)]),
    }[fallback]
    assert (order["status"], served, waits) == expected
    assert merchant.status(order_id)[0] == expected[0]


def test_a_part_is_served_although_nobody_knows_when_the_rest_comes(merchant):
    merchant.stock("berlin", A=3)
    decide_by(merchant, "fallback: {on_no_plan: partial, unserved: {order_minor: 10, unit_minor: 900}}")
    order = merchant.place(("A", 5))
    assert (order["status"], order["promise"]) == ("unfillable", None)
    assert merchant.fulfilments(order["order_id"]) == [("berlin", "allocated", {"A": 3})]
    assert merchant.waiting(order["order_id"]) == [("unfillable", "A", 2)]
    whole = merchant.place(("A", 5), allow_split=False)
    assert (whole["status"], whole["fulfilments"]) == ("unfillable", []), "not in parts, as the customer wished"
    merchant.stock("munich", A=2)
    assert source_orders(merchant.state, [order["order_id"]]) == 1
    assert merchant.status(order["order_id"]) == ("sourced", None)


def test_an_order_below_the_profit_floor_waits_for_a_person_who_may_let_it_go(merchant):
    merchant.stock("berlin", A=100)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 10 WHERE sku = 'A'")
    merchant.state.learn_items(["A"])
    decide_by(merchant, "profit_floor: {share: 0.1}")
    # 90 of margin a unit; 700 for the parcel and 100 for handling: 9 units leave 10 of 900, 10 units 100 of 1000.
    lost, good = merchant.place(("A", 9)), merchant.place(("A", 10))
    assert (lost["status"], good["status"]) == ("held", "sourced")
    assert labels(merchant, lost)[0].endswith("/-1f")
    order_id = lost["order_id"]
    assert source_orders(merchant.state, [order_id]) == 0, "nobody but a person lets it go"
    release_order(merchant.state, order_id, by=SYSTEM)
    assert merchant.fulfilments(order_id) == [("berlin", "allocated", {"A": 9})]


def test_a_canary_decides_its_share_and_is_taken_back_when_it_breaks_its_guard(merchant):
    merchant.stock("berlin", A=5_000)
    merchant.stock("munich", A=5_000)
    number = decide_by(
        merchant,
        'rules: [{name: from afar, nodes: node.code == "munich"}]\n'
        "guards: [{metric: cost_per_order_minor, worse_by: 0.03, min_orders: 50}]",
        to="canary",
        share=0.3,
    )
    answers = [a for _ in range(8) for a in merchant.place_many([([("A", 1)], {}) for _ in range(50)])]
    of_version = {}
    for answer, label in zip(answers, labels(merchant, *answers), strict=True):
        of_version.setdefault(label, set()).update(nodes(answer))
    assert of_version == {"standard@1": {"berlin"}, f"standard@{number}/0": {"munich"}}
    share = sum(nodes(a) == ["munich"] for a in answers) / len(answers)
    assert 0.2 < share < 0.4
    merchant.state.tally.write(merchant.db)
    with merchant.db.connection() as conn:
        canary = store.in_force(conn, "standard")["canary"]
        sums = outcomes(conn, canary.state_id)
    assert {v: s.orders for v, s in sums.items()} == {1: 400 - round(share * 400), number: round(share * 400)}
    assert sums[number].cost / sums[number].planned > sums[1].cost / sums[1].planned
    (breach,) = watch_trials(merchant.db)
    assert breach.metric == "cost_per_order_minor"
    follow(merchant.state)
    assert len(merchant.state.asking.versions) == 1
    assert nodes(merchant.place(("A", 1))) == ["berlin"]
    assert watch_trials(merchant.db) == []


def test_a_canary_that_leaves_orders_unserved_is_taken_back(merchant):
    merchant.stock("berlin", A=5_000)
    decide_by(
        merchant,
        'rules: [{name: from nowhere, nodes: node.code == "none", otherwise: stop}]\n'
        "fallback: {on_no_plan: unfillable}\n"
        "guards: [{metric: unfillable_share, worse_by: 0.01, min_orders: 20}]",
        to="canary",
        share=0.4,
    )
    answers = merchant.place_many([([("A", 1)], {}) for _ in range(150)])
    assert {a["status"] for a in answers} == {"sourced", "unfillable"}
    merchant.state.tally.write(merchant.db)
    (breach,) = watch_trials(merchant.db)
    assert breach.metric == "unfillable_share"


def test_a_shadow_is_compared_and_changes_nothing(merchant):
    merchant.stock("berlin", A=40, B=3)
    merchant.stock("munich", A=100, B=100)
    number = decide_by(merchant, 'rules: [{name: from afar, nodes: node.code == "munich"}]', to="shadow")
    before = merchant.state.snapshot.pending.copy()
    answers = merchant.place_many([([("A", 1), ("B", 1)], {}) for _ in range(3)])
    assert {tuple(nodes(a)) for a in answers} == {("berlin",)}
    assert labels(merchant, *answers) == ["standard@1"] * 3
    assert (merchant.state.snapshot.pending == before).all()
    assert merchant.position("A", "munich") == (100, 0, 0, 0)
    merchant.state.tally.write(merchant.db)
    with merchant.db.connection() as conn:
        shadow = store.in_force(conn, "standard")["shadow"]
        sums = outcomes(conn, shadow.state_id)
    assert {v: (s.orders, s.planned) for v, s in sums.items()} == {1: (3, 3), number: (3, 3)}
    assert sums[number].cost > sums[1].cost


def test_a_promise_is_made_by_the_rules_that_the_order_will_meet(merchant):
    merchant.stock("berlin", A=100)
    merchant.stock("munich", A=100)
    decide_by(merchant, MUNICH_FOR_LARGE)
    for units, node in ((1, "berlin"), (6, "munich")):
        body = {
            "channel": "web",
            "destination": {"country": "DE", "postal_code": "10115", "latitude": 52.5, "longitude": 13.4},
            "lines": [{"sku": "A", "quantity": units}],
            "objective": "margin",
        }
        (promised,) = promise(merchant.state, [prepare_question(merchant.state, msgspec.convert(body, PromiseIn))])
        assert [f["node"] for o in msgspec.json.decode(promised.answer)["options"] for f in o["fulfilments"]] == [node]


def test_the_plan_of_a_rule_is_explained_by_it(merchant):
    merchant.stock("berlin", A=100)
    merchant.stock("munich", A=100)
    merchant.stock("hamburg", A=100)
    number = decide_by(merchant, MUNICH_FOR_LARGE.replace('node.code == "munich"', 'node.code != "berlin"'))
    answer = explain_plan(merchant.db, merchant.place(("A", 7))["plan_id"])
    assert answer["reproduced"]
    assert (answer["policy"], answer["rule"]) == (f"standard@{number}", {"number": 0, "name": "large orders"})
    why = {c["node"]: c.get("excluded_because") for c in answer["candidates"]}
    assert why["berlin"] == 'rule "large orders" does not admit it'
    assert any("large orders" in sentence for sentence in answer["sentences"])


def test_what_waits_too_long_without_a_date_is_cancelled_and_nothing_else(merchant):
    merchant.stock("berlin", A=3, B=9)
    merchant.inbound("berlin", "po-1", days=30, C=5)
    decide_by(
        merchant,
        "fallback: {on_no_plan: partial, cancel_after_hours: 48, unserved: {order_minor: 10, unit_minor: 900}}",
    )
    orders = merchant.place_many(
        [([("A", 5)], {}), ([("C", 2)], {}), ([("D", 1)], {"hold": "call first"}), ([("E", 1), ("B", 2)], {})]
    )
    part, dated, held, some = (a["order_id"] for a in orders)
    before = {order_id: merchant.status(order_id) for order_id in (dated, held)}
    now = merchant.rows("SELECT now()")[0][0]
    merchant.now = now + timedelta(hours=47)
    assert cancel_overdue(merchant.state) == 0
    merchant.now = now + timedelta(hours=49)
    assert cancel_overdue(merchant.state) == 2
    assert merchant.status(part) == merchant.status(some) == ("sourced", None)
    assert merchant.waiting(part) == merchant.waiting(some) == []
    assert [merchant.order(part).line(1).cancelled, merchant.order(some).line(1).cancelled] == [2, 1]
    assert {order_id: merchant.status(order_id) for order_id in (dated, held)} == before
    (reason,) = merchant.rows(
        "SELECT DISTINCT e.reason FROM event e, unfold_v1(e) u WHERE u.subject = %s AND e.reason IS NOT NULL", part
    )
    assert reason[0].startswith("standard@2: nothing could serve it within 48 hours")
    assert cancel_overdue(merchant.state) == 0


def test_an_order_that_the_policy_holds_is_cancelled_in_time(merchant):
    decide_by(merchant, "fallback: {on_no_plan: hold, cancel_after_hours: 1}")
    order = merchant.place(("A", 1))
    assert order["status"] == "held"
    merchant.now = merchant.rows("SELECT now()")[0][0] + timedelta(hours=2)
    assert cancel_overdue(merchant.state) == 1
    assert merchant.status(order["order_id"]) == ("cancelled", None)


def test_a_promise_is_as_late_as_its_confidence_asks_for(merchant):
    merchant.stock("berlin", A=100)
    usual = merchant.place(("A", 1))
    dates = {}
    for confidence in (0.8, 0.99):
        decide_by(merchant, f"confidence: {confidence}")
        order = merchant.place(("A", 1))
        assert order["promise"]["confidence"] == confidence
        dates[confidence] = datetime.fromisoformat(order["promise"]["deliver_by"])
        again = merchant.place_many([([("A", 1)], {"external_id": "same"}) for _ in range(2)])
        assert again[0] == again[1], "told again as it was told"
        assert explain_plan(merchant.db, order["plan_id"])["reproduced"]
        merchant.rows("UPDATE orders SET external_id = order_id::text WHERE external_id = 'same' RETURNING 1")
    departs = datetime.fromisoformat(usual["fulfilments"][0]["ship_by"])
    # Log-normal with a median of 2 days and a 95 % quantile of 4.
    sigma = math.log(2) / 1.6448536
    for confidence, z in ((0.8, 0.8416212), (0.99, 2.3263479)):
        days = (dates[confidence] - departs).total_seconds() / 86_400
        assert days == pytest.approx(2 * math.exp(sigma * z), abs=1e-3)


def test_a_canary_promises_with_its_own_confidence(merchant):
    merchant.stock("berlin", A=1_000)
    decide_by(merchant, "confidence: 0.8", to="canary", share=0.5)
    answers = merchant.place_many([([("A", 1)], {}) for _ in range(60)])
    told = {(a["promise"]["confidence"], a["promise"]["deliver_by"]) for a in answers}
    assert {confidence for confidence, _ in told} == {0.8, 0.95}
    assert len(told) == 2
    with merchant.db.connection() as conn:
        kept = first_answers(conn, [a["order_id"] for a in answers])
    assert [msgspec.json.decode(kept[a["order_id"]]) for a in answers] == answers
