"""YAML and JSON with places."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.documents.text import LENGTH_MAX, Unreadable, read

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(-1e9, 1e9), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=4), st.sampled_from([None, 2, "\t"]))
@settings(max_examples=200, deadline=None)
def test_json_is_read_as_json(value, indent):
    assert read(json.dumps(value, indent=indent)).value == value


def test_scalars_are_those_of_yaml_1_2():
    text = "a: yes\nb: 012\nc: 0o14\nd: 2027-03-01\ne: .5\nf: 1e3\ng: ~\nh:\ni: 'true'\nj: True\nk: 1_000\nl: !!str 3\n"
    value = read(text.partition("l:")[0]).value
    assert value == {
        "a": "yes", "b": 12, "c": 12, "d": "2027-03-01", "e": 0.5, "f": 1000.0, "g": None, "h": None, "i": "true",
        "j": True, "k": "1_000",
    }  # fmt: skip
    assert {name: type(v) for name, v in value.items() if name in "bef"} == {"b": int, "e": float, "f": float}


# text, line, column, part of the message
BAD = [
    ("a: 1\nb:\n  c: 2\n  c: 3\n", 4, 3, "'c' stands twice; first in line 3"),
    ('{"a": 1,\n "a": 2}', 2, 2, "'a' stands twice"),
    ("a: [1\nb: 2", 2, 2, "not YAML"),
    ('{"a" 1}', 1, 6, "not JSON"),
    ("a: &x 1\nb: 2", 1, 4, "anchors and aliases"),
    ("a: &x [1]\nb: *x", 1, 4, "anchors and aliases"),
    ("a:\n  <<: *b", 2, 7, "anchors and aliases"),
    ("a: !!python/object:os.system 1", 1, 4, "tag"),
    ("a: !!int '3'", 1, 4, "tag"),
    ("a: 1\n---\nb: 2", 2, 1, "second document"),
    ("%YAML 1.1\n---\na: 1", 2, 1, "directive"),
    ("? [a]\n: 1", 1, 3, "name is expected"),
    ("\ta: 1", 1, 1, "not YAML"),
    ("- " * 40, 1, 65, "nested deeper"),
    ('a: "\\0"', 1, 4, "character that no text may have"),
    ('{"a": ["x", "\\ud800"]}', 1, 13, "character that no text may have"),
    ("a: \x01", 1, 1, "not YAML"),
    ("a: " + "9" * 40, 1, 4, "too many digits"),
    ("x" * (LENGTH_MAX + 1), 1, 1, "longer than"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), BAD, ids=[row[3] for row in BAD])
def test_what_hides_its_meaning_or_has_none_is_refused_at_its_place(text, line, column, message):
    with pytest.raises(Unreadable) as caught:
        read(text)
    assert message in str(caught.value)
    assert (caught.value.place.line, caught.value.place.column) == (line, column)
    assert caught.value.remedy


def test_tabs_are_named():
    with pytest.raises(Unreadable) as caught:
        read("a:\n\tb: 1")
    assert "tabs" in caught.value.remedy


def test_a_bomb_of_aliases_is_refused_at_once():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    began = time.perf_counter()
    with pytest.raises(Unreadable, match="aliases"):
        read("\n".join(lines))
    assert time.perf_counter() - began < 1


STYLES = [
    "when: order.aa == 1 && order.bb == 2",
    "when: 'order.aa == 1 && order.bb == 2'",
    'when: "order.aa == 1 && order.bb == 2"',
    'when: "order.aa == 1 \\\n  && order.bb == 2"',
    "when: order.aa == 1\n  && order.bb == 2",
    "when: >\n  order.aa == 1\n  && order.bb == 2\n",
    "when: |\n  order.aa == 1\n  && order.bb == 2\n",
    "when: >-\n\n    order.aa == 1\n    && order.bb == 2\n",
    '{"when": "order.aa == 1 && order.bb == 2"}',
    "when: 'order.zz == ''x'' && order.bb == 2'",
    'when: "order.zz == \\"x\\" && order.bb == 2"',
    '{"when": "order.aa == 1\\n\\t&& order.\\u0062b == 2"}',
    "{when: order.aa == 1\n&& order.bb == 2}",
    "when: order.aa == 1\r\n  && order.bb == 2\r\n",
]


@pytest.mark.parametrize("text", STYLES)
def test_a_place_within_a_text_is_found_in_every_style(text):
    document = read(text)
    place = document.place_within(("when",), document.value["when"].index("bb"))
    line = text.split("\n")[place.line - 1]
    assert line[place.column - 1 :].startswith(("bb", "\\u0062b"))


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text):
    try:
        read(text)
    except Unreadable as error:
        assert error.place.line >= 1
        assert error.place.column >= 1
