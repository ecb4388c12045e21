"""What operators fill in, against what connectors ask for."""

import pytest

from onhand.connectors import completed, setting_problems
from onhand.connectors._sdk.vocabulary import SettingIn

ASKED = {
    "url": SettingIn(description="where", type="url"),
    "size": SettingIn(description="how many", type="integer", required=False, default=5),
    "kind": SettingIn(description="which", type="choice", choices=["a", "b"], required=False),
    "dry": SettingIn(description="only try", type="boolean", required=False),
    "places": SettingIn(description="by node", type="map", required=False),
    "name": SettingIn(description="who", required=False),
}


def test_defaults_are_completed():
    assert completed(ASKED, {"url": "https://x.example"}) == {"url": "https://x.example", "size": 5}
    assert completed(ASKED, {"size": 7})["size"] == 7


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("url", "https://x.example/shop", ["https://x.example/", "x.example", "https://u:p@x.example", 5]),
        ("size", 0, [True, "7", 1.5, None, 2**40]),
        ("kind", "b", ["c", "", 1]),
        ("dry", False, ["no", 0, None]),
        ("places", {"BERLIN": "loc-1"}, [["a"], {"BERLIN": 1}, "a"]),
        ("name", "me", ["", "x" * 2001, 3]),
    ],
)
def test_each_type_takes_what_it_says(name, good, bad):
    given = {"url": "https://x.example"}
    assert setting_problems("x", ASKED, given | {name: good}) == []
    for value in bad:
        (problem,) = setting_problems("x", ASKED, given | {name: value})
        assert problem[0] == f"settings.{name}", value
