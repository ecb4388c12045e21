"""tests/pages.py: what is told apart, and what is let through."""

from tests.pages import Block, differences, marked_blocks, missing_words, shape


def test_marked_blocks_are_found_in_order() -> None:
    text = (
        "a\n<!-- test: background -->\n```sh\nmake demo\n```\n\n```sh\nno\n```\n<!-- test -->\n\n```sh\ncurl\n-s\n```\n"
    )
    assert marked_blocks(text) == [Block("background", "make demo\n"), Block("run", "curl\n-s\n")]


def test_shape_tells_names_and_types_apart() -> None:
    assert shape({"a": 1, "b": [{"c": "x"}, {}]}) == shape({"b": [{"c": "y"}], "a": 7})
    assert shape({"a": 1}) != shape({"a": "1"})
    assert shape({"a": 1}) != shape({"b": 1})


def test_a_part_of_an_answer_may_be_shown_but_nothing_else() -> None:
    got = {
        "order_id": "01a2229a-8294-7000-b98b-48f3d7036652", "status": "held", "units": 3, "cost_minor": 705,
        "sure": 0.97, "lines": [{"sku": "A"}, {"sku": "B"}], "queue": None,
        "why": "Order 1002 of web came at 2026-11-28T14:41:21Z",
    }  # fmt: skip
    assert not differences({"order_id": "01a2229a-0000-7000-b98b-48f3d7036652", "units": 3, "cost_minor": 744}, got)
    assert not differences({"lines": [{"sku": "A"}], "why": "Order 1… came at 2026-12-01T00:00:00Z", "sure": 0.9}, got)
    assert differences({"status": "sourced"}, got) == [".status: expected 'sourced', got 'held'"]
    assert differences({"units": 4, "queue": "held"}, got) == [
        ".units: expected 4, got 3", ".queue: expected 'held', got None"
    ]  # fmt: skip
    assert differences({"state": "held"}, got) == [".state: missing"]
    assert differences({"lines": [{"sku": "B"}]}, got) == [".lines[0].sku: expected 'B', got 'A'"]
    assert differences({"lines": [{}, {}, {}]}, got) and differences({"lines": []}, got)


def test_words_are_looked_for_without_their_numbers_and_spaces() -> None:
    printed = "plan 01a2229a-8294-7000-b98b-48f3d7036652-p1\n lyon   chosen  590\n"
    assert missing_words("plan 01a20000-8294-7000-b98b-48f3d7036652-p1\nlyon chosen 610", printed) == []
    assert missing_words("berlin chosen 590", printed) == ["berlin chosen 590"]
