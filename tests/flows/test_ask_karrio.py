"""Carriers are asked by karrio, which need not be there; what they tell is recorded, once."""

import json
from datetime import UTC, datetime
from importlib.util import find_spec
from zoneinfo import ZoneInfo

import pytest
from tests.flows.tracked import NOW, one, shown

from onhand.base.actor import Actor
from onhand.cli import run
from onhand.errors import SettingsError
from onhand.flows.tracking.ask_karrio import by_karrio, follow
from onhand.flows.tracking.settle import deliver_scanned

BY = Actor(key_id=7)
BERLIN = ZoneInfo("Europe/Berlin")
needs_none = pytest.mark.skipif(find_spec("karrio") is not None, reason="karrio is here")


class Carrier:
    """Answers as `by_karrio` does."""

    def __init__(self, **told):
        self.told, self.asked = told, []

    def __call__(self, numbers):
        self.asked.append(list(numbers))
        known = [n for n in numbers if n in self.told]
        details = [{"tracking_number": n, "status": "in_transit", "events": self.told[n]} for n in known]
        return details, [f"404: nothing of {n}" for n in numbers if n not in self.told]


def event(status, hours_ago, **more):
    at = datetime.fromtimestamp(NOW.timestamp() - 3_600 * hours_ago, BERLIN)
    return {"date": at.strftime("%Y-%m-%d"), "time": at.strftime("%H:%M %p"), "status": status, "code": status, **more}


def test_what_is_on_its_way_is_asked_for_and_followed(merchant):
    order, other = one(merchant, "N1", 2), one(merchant, "N2", 1)
    one(merchant, "UPS1", 1, carrier="ups")
    one(merchant, "OLD", 200)
    carrier = Carrier(N1=[event("delivered", 3), event("in_transit", 20), event(None, 40)])
    done = follow(merchant.db, carrier, "dhl", BERLIN, now=NOW, by=BY)
    assert sorted(carrier.asked[0]) == ["N1", "N2"] and len(carrier.asked) == 1
    assert (done.numbers, done.created, done.unchanged, done.rejected, done.skipped) == (2, 2, 0, 0, 1)
    assert done.complaints == ("404: nothing of N2",)
    again = follow(merchant.db, carrier, "dhl", BERLIN, now=NOW, by=BY)
    assert (again.created, again.unchanged) == (0, 2)
    deliver_scanned(merchant.state)
    row = shown(merchant, order)
    assert row["status"] == "delivered" and [e["milestone"] for e in row["events"]] == ["in_transit", "delivered"]
    said = datetime.fromisoformat(row["delivered_at"]) if isinstance(row["delivered_at"], str) else row["delivered_at"]
    assert abs((NOW - said.astimezone(UTC)).total_seconds() / 3_600 - 3) < 0.02
    # What has come is not asked for any more.
    follow(merchant.db, carrier, "dhl", BERLIN, now=NOW, by=BY)
    assert carrier.asked[-1] == ["N2"] and shown(merchant, other)["events"] == []


def test_parcels_are_asked_for_twenty_at_a_time(merchant):
    merchant.stock("berlin", A=45)
    for n in range(45):
        one(merchant, f"M{n}", 1)
    carrier = Carrier()
    done = follow(merchant.db, carrier, "dhl", BERLIN, now=NOW, by=BY)
    assert [len(some) for some in carrier.asked] == [20, 20, 5] and done.numbers == 45
    assert len({n for some in carrier.asked for n in some}) == 45


def test_what_cannot_be_used_is_told_and_stops_no_other(merchant):
    one(merchant, "N1", 2)
    carrier = Carrier(N1=[{"status": "in_transit", "code": "X"}, event("in_transit", 5)])
    done = follow(merchant.db, carrier, "dhl", BERLIN, now=NOW, by=BY)
    assert (done.created, done.rejected) == (1, 1) and done.complaints[0].startswith("at: ")


@needs_none
def test_without_karrio_one_is_told_what_to_install():
    with pytest.raises(SettingsError, match="pip install karrio karrio-dhl-universal"):
        by_karrio("dhl_universal", {})


@needs_none
def test_the_command_says_so_too(tmp_path, capsys):
    settings = tmp_path / "dhl.json"
    settings.write_text(json.dumps({"consumer_key": "k", "consumer_secret": "s"}))
    asked = ["tracking", "karrio", "dhl", "--as", "dhl_universal", "--settings", str(settings)]
    assert run([*asked, "--zone", "Europe/Berlin"]) == 2
    assert "pip install karrio karrio-dhl-universal" in capsys.readouterr().err
    assert run([*asked, "--zone", "Berlin"]) == 2
    assert "IANA time zone" in capsys.readouterr().err
    settings.write_text("[]")
    assert run([*asked, "--zone", "Europe/Berlin"]) == 2
    assert "expected an object" in capsys.readouterr().err
