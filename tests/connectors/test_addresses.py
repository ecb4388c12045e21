"""Where the credentials of a channel are sent, by its settings."""

import pytest

from onhand.connectors import built_in, find, read_text, sent_to
from onhand.connectors._sdk.program import Program
from onhand.connectors._sdk.vocabulary import SettingIn


@pytest.mark.parametrize("name", built_in())
def test_every_setting_of_ours_that_is_an_address_is_known_as_one(name):
    connector = find(name).connector
    known = sent_to(connector, {}).keys()
    named = {setting for setting in connector.settings if "url" in setting or "host" in setting}
    assert named and named <= known
    assert not {"place", "version", "node", "settle_s"} & known


SHOP = """
connector: tenants
title: Tenants
settings:
  shop: {description: of the shop}
  zone: {description: of the files}
  place: {description: that shows our number}
credentials:
  token: {description: secret}
base_url: "https://{settings.shop}.example/{settings.place}"
auth: {type: bearer, token: "{credentials.token}"}
operations:
  listings.pull:
    steps:
      - {name: ask, request: {path: "/{settings.place}"}, save: {url: url}}
      - {name: file, request: {path: "https://{settings.zone}.files.example/{settings.place}"}}
      - {name: read, request: {path: "{ask.url}"}}
      - {name: longer, request: {path: ".elsewhere.example"}}
    map: offer
maps:
  offer: {to: offer, external_id: id, external_sku: sku}
"""


def test_of_a_document_those_count_that_hosts_are_made_of():
    found = sent_to(read_text(SHOP), {"shop": "a", "zone": "b", "place": "c"})
    assert {name: said for name, said in found.items() if name != "overrides"} == {"shop": "a", "zone": "b"}
    assert set(found["overrides"]) == {
        "https://{settings.shop}.example", "https://{settings.zone}.files.example", ".elsewhere.example", "{ask.url}",
    }  # fmt: skip


def test_a_path_cannot_lengthen_the_name_of_a_host_unseen():
    text = SHOP.replace('.example/{settings.place}"', '.example"', 1)
    assert "https://{settings.shop}.example.elsewhere.example" in sent_to(read_text(text), {})["overrides"]


def test_a_program_that_forgot_to_say_it_is_seen_by_its_values():
    class Old(Program):
        settings = {"server": SettingIn(description="x"), "host": SettingIn(description="x", address=True)}  # noqa: RUF012

    assert sent_to(Old(), {"server": "ftp://a", "host": "b"}) == {"server": "ftp://a", "host": "b"}
    assert sent_to(Old(), {"server": "a", "host": "c"}) == {"host": "c"}
