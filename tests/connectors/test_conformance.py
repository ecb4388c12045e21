"""Every connector stands every case of the kit; one without a bench fails, unless it is named here with a reason."""

import asyncio
import importlib
from importlib.resources import files
from pathlib import Path

import pytest

from onhand.connectors import Connection, Declared, MemoryNotes, find, lint, names
from onhand.connectors._sdk import inbox
from onhand.connectors._sdk.conformance import CASES, Bench, Grade, abilities, examine, fixtures, unearned
from onhand.connectors._sdk.inbox import Inbox, Position
from onhand.connectors._sdk.values import Fate, Outcome
from onhand.connectors.csv_feed import program as csv_program
from onhand.connectors.csv_feed.reading import Gathering
from onhand.connectors.edi_x12 import program as edi_program
from onhand.connectors.edi_x12.program import _Desk

WITHOUT_A_BENCH: dict[str, str] = {}


def bench_of(name):
    """The maker of a connector's bench; None if there is none."""
    try:
        return importlib.import_module(f".conformance.{name}", __package__).make
    except ModuleNotFoundError as error:
        if error.name and error.name.endswith(f".{name}"):
            return None
        raise


def status_of(connector):
    document = getattr(connector, "document", None)
    return getattr(connector, "status", None) or ("alpha" if document is None else document.status)


JOINED = [name for name in names() if name not in WITHOUT_A_BENCH]


@pytest.mark.parametrize("name", JOINED)
def test_every_connector_has_a_bench(name):
    assert bench_of(name) is not None, f"add conformance/{name}.py, or say in WITHOUT_A_BENCH why there is none"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", JOINED)
def test_it_stands_the_case(name, case):
    connector, make = find(name).connector, bench_of(name)
    if make is None:
        pytest.skip(f"{name} has no bench")
    result = asyncio.run(examine(connector, make, CASES[case]))
    if result.grade is Grade.FAILED:
        raise AssertionError(f"{CASES[case].promise} {result.why}") from result.error
    if result.grade is Grade.NOT_FOR_IT:
        pytest.skip(f"{name} cannot {', '.join(sorted(CASES[case].needs - abilities(connector)))}")
    if result.grade in (Grade.EXCUSED, Grade.MISSING):
        assert result.grade is Grade.EXCUSED or status_of(connector) == "alpha", (
            f"{name} is not alpha, and {result.why}"
        )
        pytest.skip(f"{name}: {result.why}")


@pytest.mark.parametrize("name", JOINED)
def test_its_status_is_earned(name):
    """What `beta` and `stable` ask for; the message says what is missing."""
    connector, make, status = find(name).connector, bench_of(name), status_of(find(name).connector)
    if make is None:
        pytest.skip(f"{name} has no bench")
    results = [asyncio.run(examine(connector, make, case)) for case in CASES.values()]
    folder = Path(str(files("onhand.connectors").joinpath(name)))
    recorded = [(fixture.of, fixture.call) for fixture in fixtures(folder).values()] if folder.is_dir() else []
    beta, stable = unearned(results, recorded, connector.capabilities)
    assert status == "alpha" or not beta, beta
    assert status != "stable" or not stable, stable


# Whether the kit would notice --------------------------------------------------------------------------------------

# ruff: noqa: E501 - a change a line
HARM = [
    ("woocommerce", ", sorted: true", "", "nothing_is_lost_while_pages_shift"),
    ("woocommerce", "overlap_s: 120", "overlap_s: 0", "the_next_reading_begins_where_this_one_ended"),
    ("woocommerce", "per_page: \"{size}\"\n", "per_page: 50\n", "orders_of_all_pages_are_read"),
    ("woocommerce", ", more: \"length(@) == `100`\"", "", "the_numbers_of_all_listings_are_read"),
    ("woocommerce", "processing: open", "processing: open\n        on-the-moon: open", "an_unknown_status_is_read_as_unknown"),
    ("woocommerce", "        codes: {woocommerce_rest_product_invalid_id: gone}\n", "        codes: {woocommerce_rest_product_invalid_id: done}\n", "a_listing_that_is_not_there_stops_no_other"),
    ("woocommerce", "errors:\n", "errors:\n  - {when: 'status >= 500', then: retry}\n", "a_failing_channel_may_have_done_it"),
    ("woocommerce", "errors:\n", "errors:\n  - {when: 'status == 429', then: unknown}\n", "told_to_wait_we_wait"),
    ("woocommerce", "dedupe: {header: X-WC-Webhook-Delivery-ID}", "dedupe: {header: X-WC-Webhook-ID}", "a_repeat_is_known_and_another_is_another"),
    ("woocommerce", "    updated_at: moment(date_modified_gmt)\n", "", "messages_in_any_order_end_the_same"),
    ("woocommerce", "quantity: quantity\n", "quantity: {const: 1}\n", "more_is_bought_than_there_is"),
    ("shopify", "changeFromQuantity: \"{expected}\"", "changeFromQuantity: null", "a_number_that_others_changed_is_not_written_over"),
    ("shopify", "CHANGE_FROM_QUANTITY_STALE: stale", "CHANGE_FROM_QUANTITY_STALE: done", "a_number_that_others_changed_is_not_written_over"),
    ("shopify", "size(create.again) == 0 && size", "size", "a_part_that_is_told_twice_is_there_once"),
    ("shopify", "atomic: true", "atomic: false", "a_listing_that_is_not_there_stops_no_other"),
    ("shopify", 'id: "{read.variant}", price: "{price}"', 'id: "{read.variant}", price: "{price_minor}"', "a_price_is_asked_to_the_last_cent_and_as_before_again"),
    ("shopify", "inventoryItem.id, missing: gone", "inventoryItem.id, missing: done", "a_price_of_nothing_stops_no_other"),
    ("woocommerce", "regular_price: \"{price}\"}}\n      outcomes", "regular_price: \"{price}\", stock_quantity: 0}}\n      outcomes", "a_price_changes_no_number_and_a_number_no_price"),
    ("rest_generic", "more: \"length(items) == `100`\"", "more: \"`false`\"", "what_is_asked_is_read_to_the_last_cent"),
    ("amazon", "{price:number}", "{price_minor}", "a_price_is_asked_to_the_last_cent_and_as_before_again"),
    ("vendure", "        when: size(add.mine) == 0\n", "", "a_parcel_that_is_told_twice_is_there_once"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "there", "instead", "case"), HARM, ids=lambda value: str(value)[:40])
def test_the_kit_notices_a_connector_that_was_harmed(name, there, instead, case):
    folder = files("onhand.connectors").joinpath(name)
    text = folder.joinpath("connector.yaml").read_text("utf-8")
    assert there in text
    linted = lint(text.replace(there, instead), read_file=lambda file: folder.joinpath(file).read_text("utf-8"))
    documents = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".graphql")}
    result = asyncio.run(examine(Declared(linted.connector, documents), bench_of(name), CASES[case]))
    assert result.grade is Grade.FAILED, result


async def _nothing(*_, **__):
    return None


SHORTCUTS = [
    ("csv_feed", Inbox, "_put_away", _nothing, "a_file_is_taken_once_and_put_away"),
    ("csv_feed", inbox, "_digest", lambda _: "", "the_same_file_sent_again_is_taken_once"),
    ("csv_feed", Position, "is_last", True, "orders_of_all_pages_are_read"),
    ("csv_feed", Inbox, "aside", Inbox.done, "a_damaged_file_is_put_aside_and_stops_no_other"),
    ("csv_feed", Gathering, "close", lambda self: self._open.clear(), "a_record_that_cannot_be_read_stops_no_other"),
    ("csv_feed", csv_program, "fate_of", lambda _: Outcome(fate=Fate.DONE), "a_write_that_was_lost_on_the_way_may_have_happened"),
    ("csv_feed", MemoryNotes, "get", _nothing, "the_same_file_sent_again_is_taken_once"),
    ("edi_x12", _Desk, "_check", lambda *_: None, "a_damaged_file_is_put_aside_and_stops_no_other"),
    ("edi_x12", _Desk, "_named", _nothing, "what_is_shipped_is_told_of_the_fulfilment_that_was_asked_for"),
    ("edi_x12", Inbox, "still", _nothing, "a_file_is_taken_once_and_put_away"),
    ("edi_x12", edi_program, "fate_of", repr, "a_request_to_ship_whose_answer_is_lost_is_there_once"),
    ("edi_x12", Connection, "__repr__", lambda self: str(self.credentials), "a_secret_of_a_folder_never_shows"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "where", "what", "instead", "case"), SHORTCUTS, ids=[f"{s[0]}-{s[2]}-{s[4]}" for s in SHORTCUTS]
)
def test_the_kit_notices_a_program_that_takes_a_shortcut(monkeypatch, name, where, what, instead, case):
    monkeypatch.setattr(where, what, instead)
    result = asyncio.run(examine(find(name).connector, bench_of(name), CASES[case]))
    assert result.grade is Grade.FAILED, result


# Files behind an SFTP server ---------------------------------------------------------------------------------------

# Each opening is a server of its own: those that open a folder for a thousand times are left to the local one.
LONG_OVER_SFTP = ("a_reading_that_breaks_off_anywhere_takes_everything_once",)
WRITTEN = ("a_number_is_shown", "a_write_whose_answer_is_lost_may_have_happened", "orders_of_all_pages_are_read")
OF_FILES = [case for case in CASES if "files" in CASES[case].needs and case not in LONG_OVER_SFTP]


@pytest.mark.parametrize("case", [*OF_FILES, *WRITTEN])
@pytest.mark.parametrize("name", ["csv_feed", "edi_x12"])
def test_over_sftp_it_stands_the_case(monkeypatch, name, case):
    make = bench_of(name)
    monkeypatch.setattr(make, "is_sftp", True)
    connector = find(name).connector
    if not CASES[case].needs <= abilities(connector):
        pytest.skip(f"{name} cannot {', '.join(sorted(CASES[case].needs - abilities(connector)))}")
    result = asyncio.run(examine(connector, make, CASES[case]))
    assert result.grade is Grade.PASSED, result.why


def test_a_bench_that_lacks_something_is_missing_and_not_passed():
    result = asyncio.run(examine(find("vendure").connector, _Bare, CASES["orders_of_all_pages_are_read"]))
    assert (result.grade, result.why) == (Grade.MISSING, "the bench has no listings")
    beta, stable = unearned([result], [("fake", "orders.pull")], ["orders.pull"])
    assert beta == ["orders_of_all_pages_are_read: missing: the bench has no listings"]
    assert stable == ["no answer of the vendor to orders.pull is recorded"]
    assert unearned([], [("vendor", "orders.pull")], ["orders.pull"]) == ([], [])


class _Bare(Bench):
    def __init__(self):
        super().__init__({}, {})
