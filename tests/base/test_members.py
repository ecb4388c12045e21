"""Keys that come twice in a JSON object."""

import pytest

from onhand.base.members import RepeatedKey, check_members, check_outer_members, has_as_many_members


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'[{"b":{"a":1,"c":[],"a":2}}]', b'{"a" : 1, "\\u0061" : 2}'])
def test_a_key_that_comes_twice_is_found_at_any_depth(body):
    with pytest.raises(RepeatedKey, match="'a'"):
        check_members(body)


def test_only_the_outermost_object_is_looked_at():
    check_outer_members(b'{"a":[{"b":1,"b":2}],"n":' + b"9" * 5000 + b"}")
    with pytest.raises(RepeatedKey):
        check_outer_members(b'{"a":[],"a":[]}')


@pytest.mark.parametrize(
    ("body", "read", "same"),
    [
        (b'{"a":1,"b":"\\":"}', b'{"b":"\\":","a":1}', True),
        (b'{"a":1,"a":2}', b'{"a":2}', False),
        (b'{"a":1,"b":null}', b'{"a":1}', False),
        (b'{"a": 1}', b'{"a":1}', True),
    ],
)
def test_a_glance_tells_whether_a_member_was_lost(body, read, same):
    assert has_as_many_members(body, read) is same
