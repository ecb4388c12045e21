"""Rows of nodes: what each does, and when promised capacity has to be counted."""

from hypothesis import given
from hypothesis import strategies as st

from onhand.base.results import rejected
from onhand.network.decide import decide_nodes
from onhand.network.model import NodeRow

from .documents import NODE


def row(code, **change):
    return NodeRow.model_validate(NODE | {"code": code} | change)


LIMITED = {"capacity": {"orders": 5}}


def test_limits_that_come_and_go_are_told_apart():
    first = decide_nodes([row("A"), row("B", **LIMITED), row("C", **LIMITED), row("D")], {}, 0)
    assert (first.now_limited, first.now_unlimited) == ([], [])  # nothing can be promised of a new node
    known = {n.code: n for n in first.written}
    second = decide_nodes(
        [row("A", capacity={"units": 0}), row("B"), row("C", capacity={"lines": 9}), row("D")], known, 4
    )
    assert [r.status for r in second.results] == ["updated", "updated", "updated", "unchanged"]
    assert (second.now_limited, second.now_unlimited) == ([1], [2])


rows = st.lists(
    st.one_of(
        st.builds(row, st.sampled_from("ABCDE"), name=st.sampled_from(["x", "y"])),
        st.just(rejected(None, ("", "expected an object"))),
    ),
    max_size=10,
)


@given(stored=rows, batch=rows)
def test_ids_are_dense_and_kept_and_results_keep_their_order(stored, batch):
    first = decide_nodes(stored, {}, 0)
    known = {n.code: n for n in first.written}
    changes = decide_nodes(batch, known, len(known))
    after = known | {n.code: n for n in changes.written}
    assert sorted(n.node_id for n in after.values()) == list(range(1, len(after) + 1))
    assert all(after[code].node_id == node.node_id for code, node in known.items())
    assert [r.key for r in changes.results] == [getattr(r, "code", None) for r in batch]
    seen = set()
    for sent, result in zip(batch, changes.results, strict=True):
        if not isinstance(sent, NodeRow) or sent.code in seen:
            assert result.status == "rejected"
            continue
        seen.add(sent.code)
        before = known.get(sent.code)
        expected = "created" if before is None else "unchanged" if before.name == sent.name else "updated"
        assert result.status == expected
