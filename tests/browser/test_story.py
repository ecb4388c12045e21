"""A world tells its story; the tower shows it, and what somebody wishes there reaches the world with its next word."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from onhand.base.ids import new_id


def chapter(title: str, state: str, day: float, **more: Any) -> dict[str, Any]:
    begun = {} if state == "to_come" else {"began_at": "2026-03-02T09:00:00Z"}
    empty = {"began_at": None, "about": [], "figures": [], "incidents": []}
    return {"from_day": day, "title": title, "text": f"{title}, it is said.", "state": state, **empty, **begun, **more}


@pytest.fixture(scope="module")
def incident(house):
    incident_id = new_id()
    with house.app.db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
            " currency, since, opened_at, seen_at)"
            " VALUES (%s, 'oversell', 'item', '{MUG-RED}', 48200, 48200, 0.9, 'EUR', now(), now(), now())",
            (incident_id,),
        )
        conn.execute(
            "INSERT INTO incident_finding VALUES (%s, 'item', '{MUG-RED}', %s, 'too many', 48200, 0.9, now(), '[]')",
            (incident_id, json.dumps({"units": 3})),
        )
    return str(incident_id)


@pytest.fixture
def tell(house, incident):
    """Tells how far the world is, as the demo does; what is wished of it."""
    run = {"playbook": "oversell", "status": "standing", "steps": ["source elsewhere"]}
    seen = {
        "incident_id": incident, "kind": "oversell", "cause": ["MUG-RED"], "risk_minor": 48_200, "currency": "EUR",
        "status": "open", "runs": [run],
    }  # fmt: skip
    figures = [{"name": "orders", "value": 812}, {"name": "cancelled", "value": 0}]
    about = [{"what": "item", "key": "MUG-RED"}]

    def tell(at: int = 1, *, name: str = "viral_item", speed: float = 60.0) -> dict[str, Any]:
        states = ["told" if n < at else "now" if n == at else "to_come" for n in range(3)]
        body = {
            "name": name, "description": "An item goes viral.", "speed": speed, "day": 5.4, "days": 21, "chapter": at,
            "chapters": [
                chapter("An ordinary week", states[0], 0, figures=[{"name": "orders", "value": 77}]),
                chapter("A mug goes viral", states[1], 5, about=about, figures=figures, incidents=[seen]),
                chapter("It is over", states[2], 12),
            ],
        }  # fmt: skip
        answer = house.client.put("/v1/story", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return tell


def test_an_ordinary_server_has_no_story(house, sit) -> None:
    assert house.get("/v1/story") == {"story": None}
    page = sit().go("/")
    expect(page.locator("#story")).to_have_count(0)
    refused = house.client.put("/v1/story/pace", json={"speed": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "story.none")


def test_the_tower_tells_it_in_every_light_and_size(tell, sit) -> None:
    tell()
    sit().show("/", "Control tower", "story")


def test_a_chapter_says_what_happened_what_was_seen_and_done(tell, sit, incident) -> None:
    tell()
    page = sit().go("/")
    story = page.locator("#story")
    expect(story.locator("h3")).to_have_text("Day 5: A mug goes viral")
    expect(story.get_by_role("link", name="MUG-RED")).to_have_attribute("href", "/stock/MUG-RED")
    expect(story.get_by_role("link", name="Oversell", exact=True)).to_have_attribute("href", f"/incidents/{incident}")
    expect(story).to_contain_text("€482 at risk")
    expect(story).to_contain_text("source elsewhere")
    expect(story).to_contain_text("812 orders placed")
    expect(story.get_by_text("cancelled")).to_have_count(0)
    # Those to come give nothing away, and those that were told can be looked back at.
    later = story.get_by_role("button", name="begins on day 12")
    expect(later).to_be_disabled()
    story.get_by_role("button", name="An ordinary week").click()
    expect(story.locator("h3")).to_have_text("Day 0: An ordinary week")
    expect(story).to_contain_text("77 orders placed")


def test_what_is_wished_reaches_the_world_and_what_it_does_is_shown(tell, sit) -> None:
    assert tell(name="another") == {"speed": None, "chapter": None}
    page = sit().go("/")
    story = page.locator("#story")
    wished = lambda: page.expect_response("**/v1/story/pace")  # noqa: E731
    with wished():
        story.get_by_label("Speed").select_option("300")
    expect(page.get_by_text("in a moment").first).to_be_visible()
    assert tell(name="another") == {"speed": 300, "chapter": None}
    tell(name="another", speed=300)
    expect(story.get_by_label("Speed")).to_have_value("300")
    with wished():
        story.get_by_role("button", name="Pause").click()
    assert tell(name="another", speed=300)["speed"] == 0
    tell(name="another", speed=0)
    go_on = story.get_by_role("button", name="Go on")
    expect(go_on).to_be_visible()
    with wished():
        go_on.click()
    assert tell(name="another", speed=0)["speed"] == 300
    with wished():
        story.get_by_role("button", name="Next chapter").click()
    assert tell(name="another")["chapter"] == 2
    tell(2, name="another")
    expect(story.locator("h3")).to_have_text("Day 12: It is over")
    expect(story.get_by_role("button", name="Next chapter")).to_be_disabled()
    assert tell(name="one that begins") == {"speed": None, "chapter": None}
