"""Facts of orders and nodes, by Hypothesis: small sets of words, so that conditions hold now and then."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from onhand.sourcing.policies.facts import node_facts, order_facts

WORDS = ("", "web", "amazon", "DE", "FR", "lamp", "express")
words = st.sampled_from(WORDS)
numbers = st.integers(0, 5)
attributes = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([1, 1.0, True, False, "x", [1], {"c": 1}]))

items = st.builds(
    lambda sku, category, units, price, weight, of: {
        "sku": sku, "category": category, "units": units, "price_minor": price, "weight_g": weight, "attributes": of
    },
    words, words, st.integers(1, 5), numbers, numbers, attributes,
)  # fmt: skip

orders = st.builds(
    lambda channel, service, country, region, of, email, hours: order_facts(
        channel=channel, currency="EUR", placed_at=datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hours),
        country=country, items=of, service=service, region=region, email=email,
    ),
    words, words, words, words, st.lists(items, min_size=1, max_size=3), st.sampled_from([None, "Ada@Example.org"]),
    st.integers(0, 200),
)  # fmt: skip

nodes = st.builds(
    lambda code, type_, country, groups, of, km: node_facts(
        code=code, type=type_, country=country, groups=groups, attributes=of, distance_km=km
    ),
    words, st.sampled_from(["warehouse", "store"]), words, st.lists(words, max_size=2), attributes,
    st.floats(0, 6, width=16),
)  # fmt: skip


# Conditions -------------------------------------------------------------------------------------------------------

_TEXTS = (
    "order.channel", "order.service", "order.destination.country", "order.destination.region", "node.country",
    "node.code", "order.items[0].category", 'order["channel"]', "order.customer.email_domain",
)  # fmt: skip
_INTS = (
    "order.units", "order.lines", "order.value_minor", "order.hour", "order.weekday", "size(order.items)",
    "order.placed_at.getHours()", "order.items.size()", "order.items[0].units", "size(node.groups)",
    "order.items.filter(i, i.units > 1).size()", "order.items.map(i, i.units)[0]",
)  # fmt: skip
_quoted = words.map(lambda word: f'"{word}"')
_texts = st.one_of(st.sampled_from(_TEXTS), _quoted)
_ints = st.one_of(st.sampled_from(_INTS), numbers.map(str))
_atoms = st.one_of(
    st.tuples(st.sampled_from(_TEXTS), st.sampled_from(["==", "!=", "<", ">="]), _texts).map(" ".join),
    st.tuples(_ints, st.sampled_from(["==", "!=", "<", ">=", "+ 1 >", "* 2 <="]), _ints).map(" ".join),
    st.tuples(st.just("node.distance_km"), st.sampled_from(["<", ">="]), numbers.map(str)).map(" ".join),
    st.tuples(st.sampled_from(_TEXTS), st.sampled_from(["contains", "startsWith"]), _quoted).map(
        lambda parts: f"{parts[0]}.{parts[1]}({parts[2]})"
    ),
    _quoted.map(lambda word: f"{word} in node.groups"),
    _quoted.map(lambda word: f"order.channel in [{word}, 'web']"),
    _quoted.map(lambda word: f"order.items.exists(i, i.category == {word} && i.units > 1)"),
    numbers.map(lambda number: f"order.items.all(x, x.price_minor >= {number})"),
    _quoted.map(lambda word: f"node.groups.exists(g, g == {word})"),
    st.just("order.items.exists(i, order.items.exists(j, i == j && i.units > 2))"),
    st.just("order.destination == order.destination"),
    st.just("has(node.attributes.a) && node.attributes.a == 1"),
    st.just("order.items.exists(i, has(i.attributes.b) && i.attributes.b == true)"),
    st.just('"a" in node.attributes'),
    st.just("order.customer.known"),
    st.just('order.placed_at > timestamp("2026-03-05T00:00:00Z")'),
)
conditions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||", "=="]), inner).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]}) ? ({p[1]}) : ({p[2]})"),
    ),
    max_leaves=4,
)
