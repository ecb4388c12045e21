"""Paths: plain ones are read without an interpreter, and say the same."""

import jmespath
from hypothesis import example, given
from hypothesis import strategies as st

from onhand.connectors._sdk import mapping

NAMES = st.sampled_from(["a", "b", "c"])
RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(NAMES, min_size=1, max_size=4).map(".".join), RECORDS)
@example("a.b.c", {"a": {"b": {"c": 7}}})
@example("a.b", {"a": [{"b": 1}]})
@example('"a".b', {"a": {"b": 0}})
@example("a[0].b", {"a": [{"b": 1}]})
def test_a_plain_path_reads_what_jmespath_reads(text, record):
    assert mapping.path(text)(record) == jmespath.search(text, record)
