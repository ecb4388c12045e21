"""A batch of items: what each row does, whatever stands beside it."""

from hypothesis import given
from hypothesis import strategies as st

from onhand.base.results import RowResult, rejected
from onhand.catalog.decide import Known, decide_items, item_of
from onhand.catalog.model import ItemRow

SKUS = list("ABC")
NOTHING = Known(items={}, parts={}, in_use=(), highest_id=0)


def row(sku, *components, **fields):
    parts = [{"sku": part, "quantity": 2} for part in components]
    return ItemRow.model_validate({"sku": sku, "name": sku, "components": parts, **fields})


def known(*rows, in_use=()):
    """A catalogue that holds `rows`, with ids in their order."""
    items = {r.sku: item_of(r.sku, r, n) for n, r in enumerate(rows, 1)}
    parts = {}
    for r in rows:
        for c in r.components:
            parts.setdefault(c.sku, []).append(r.sku)
    ids = {items[sku].item_id for sku in in_use}
    return Known(items=items, parts=parts, in_use=ids, highest_id=len(rows))


def statuses(changes):
    return [r.status for r in changes.results]


def only_error(result):
    (error,) = result.errors
    return error.path, error.message


def test_a_bundle_may_stand_before_its_components():
    changes = decide_items([row("SET", "A", "B"), row("A"), row("B")], NOTHING)
    assert statuses(changes) == ["created"] * 3
    assert {i.sku: i.item_id for i in changes.written} == {"A": 1, "B": 2, "SET": 3}


def test_the_same_again_is_unchanged_and_not_written():
    rows = [row("A", attributes={"organic": True}), row("SET", "A")]
    changes = decide_items(rows, known(*rows))
    assert statuses(changes) == ["unchanged", "unchanged"]
    assert changes.written == []


def test_true_and_one_are_not_the_same():
    before = known(row("A", attributes={"organic": True}))
    assert statuses(decide_items([row("A", attributes={"organic": 1})], before)) == ["updated"]


def test_components_in_another_order_are_the_same():
    before = known(row("A"), row("B"), row("SET", "A", "B"))
    assert statuses(decide_items([row("SET", "B", "A")], before)) == ["unchanged"]


def test_an_update_keeps_the_id():
    changes = decide_items([row("B", name="new")], known(row("A"), row("B")))
    assert [(i.item_id, i.name) for i in changes.written] == [(2, "new")]


def test_refused_bundles_name_the_field():
    cases = {
        ("components[0].sku", "no item 'X'"): (row("SET", "X"), NOTHING),
        ("components[1].sku", "'A' stands twice; add the quantities up"): (row("SET", "A", "A"), known(row("A"))),
        ("components[0].sku", "a bundle cannot contain itself"): (row("SET", "SET"), NOTHING),
        ("components[0].sku", "'S1' is a bundle; name its components instead"): (
            row("SET", "S1"),
            known(row("A"), row("S1", "A")),
        ),
        ("components", "'A' is part of bundle 'S1': it cannot be one itself"): (
            row("A", "B"),
            known(row("A"), row("B"), row("S1", "A")),
        ),
        ("components", "'A' has stock, inbound supply or waiting orders: it cannot become a bundle"): (
            row("A", "B"),
            known(row("A"), row("B"), in_use=["A"]),
        ),
        ("currency", "required with a price or a unit cost"): (row("A", price_minor=0), NOTHING),
    }
    for expected, (bad, before) in cases.items():
        changes = decide_items([bad, row("GOOD")], before)
        assert statuses(changes) == ["rejected", "created"], expected
        assert only_error(changes.results[0]) == expected


def test_a_bundle_that_names_a_bundle_of_the_batch_is_refused_and_the_other_stays():
    changes = decide_items([row("S1", "S2"), row("S2", "A"), row("A")], NOTHING)
    assert statuses(changes) == ["rejected", "created", "created"]
    assert only_error(changes.results[0])[1] == "'S2' is a bundle; name its components instead"


def test_a_part_of_a_bundle_of_the_batch_cannot_become_one():
    changes = decide_items([row("S1", "A"), row("A", "B")], known(row("A"), row("B")))
    assert statuses(changes) == ["created", "rejected"]
    assert only_error(changes.results[1])[1] == "'A' is part of bundle 'S1': it cannot be one itself"


def test_a_bundle_of_a_refused_item_is_refused_too():
    changes = decide_items([row("SET", "A"), row("A", price_minor=5)], NOTHING)
    assert statuses(changes) == ["rejected", "rejected"]


def test_the_second_row_of_a_sku_is_refused():
    changes = decide_items([row("A"), row("B"), row("A", name="other")], NOTHING)
    assert statuses(changes) == ["created", "created", "rejected"]
    assert only_error(changes.results[2]) == ("sku", "'A' stands in this batch already, as row 0")


def test_an_unbundled_item_frees_its_parts():
    before = known(row("A"), row("B"), row("S1", "A"))
    changes = decide_items([row("S1"), row("A", "B")], before)
    assert statuses(changes) == ["updated", "updated"]


names = st.sampled_from(SKUS)
rows = st.lists(
    st.one_of(
        st.builds(row, names),
        st.builds(row, names, names),
        st.builds(row, names, names, names),
        st.just(rejected("?", ("name", "required"))),
    ),
    max_size=12,
)


@given(batch=rows, stored=rows, in_use=st.sets(names))
def test_any_batch_leaves_a_sound_catalogue(batch, stored, in_use):
    """Whatever is sent: one result per row, in order; ids dense and kept; bundles only of plain items that exist."""
    first = decide_items(stored, NOTHING)
    catalogue = {i.sku: i for i in first.written}
    before = Known(
        items=dict(catalogue),
        parts=parts_of(catalogue),
        in_use={catalogue[s].item_id for s in in_use if s in catalogue},
        highest_id=len(catalogue),
    )
    changes = decide_items(batch, before)

    assert len(changes.results) == len(batch)
    for sent, result in zip(batch, changes.results, strict=True):
        if isinstance(sent, RowResult):
            assert result is sent
        else:
            assert result.key == sent.sku
            assert bool(result.errors) == (result.status == "rejected")
    after = catalogue | {i.sku: i for i in changes.written}
    assert sorted(i.item_id for i in after.values()) == list(range(1, len(after) + 1))
    for sku, item in after.items():
        if sku in catalogue:
            assert item.item_id == catalogue[sku].item_id
        for part in item.components:
            assert part.sku in after and not after[part.sku].components
        if item.components and sku in catalogue and not catalogue[sku].components:
            assert sku not in in_use
    done = [r.key for r in changes.results if r.status in ("created", "updated")]
    assert sorted(done) == sorted(i.sku for i in changes.written)


@given(batch=rows)
def test_plain_rows_do_not_depend_on_their_neighbours(batch):
    changes = decide_items(batch, NOTHING)
    seen = set()
    for sent, result in zip(batch, changes.results, strict=True):
        if not isinstance(sent, RowResult) and not sent.components and sent.sku not in seen:
            assert result.status == "created"
        if not isinstance(sent, RowResult):
            seen.add(sent.sku)


def parts_of(catalogue):
    parts = {}
    for item in catalogue.values():
        for part in item.components:
            parts.setdefault(part.sku, []).append(item.sku)
    return parts
