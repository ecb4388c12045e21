"""Transaction sets as our values and back: 940, 850 and 997 written; 945, 846, 855, 856 and 997 read. Pure.

Of the many things that a set may say only those are said and read that we have a use for; partners differ in the rest.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

import msgspec

from onhand.base.fields import INT4_MAX
from onhand.base.money import EXPONENTS
from onhand.connectors._sdk.values import Fulfilment, Level, Shipment, ShipmentStatus, ShippedLine
from onhand.connectors.edi_x12.x12 import Fault, Group, Message, Segment, Separators, Unwritable, segment

GROUP_OF: Final[Mapping[str, str]] = {
    "940": "OW", "945": "SW", "846": "IB", "850": "PO", "855": "PR", "856": "SH", "997": "FA",
}  # fmt: skip
"""GS01 of each set."""
REFERENCE_MAX: Final = 22
_ITEM_QUALIFIERS: Final = ("SK", "VN", "VC", "VP", "BP", "IN", "UP", "EN", "UK", "MG")


class Faulty(Exception):
    """A message that cannot be used."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed with the partner.

    item      qualifier that our SKU stands behind
    place     code of the warehouse, where a request does not name one
    on_hand   846: read units on hand before units for sale
    ascii     letters are written without marks
    """

    item: str = "SK"
    unit: str = "EA"
    place: str = ""
    on_hand: bool = True
    ascii: bool = True
    is_5010: bool = False
    separators: Separators = field(default_factory=Separators)


# Writing --------------------------------------------------------------------------------------------------------------

# What is left of letters that are more than a letter with a mark.
_PLAIN: Final = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "AE", "œ": "oe",
                               "Œ": "OE", "đ": "d", "Đ": "D", "þ": "th", "ı": "i", "’": "'", "–": "-", "—": "-",
                               "“": '"', "”": '"'})  # fmt: skip


def _free(text: str, longest: int, terms: Terms, *, shortest: int = 1) -> str:
    """Text for people: separators become blanks, too much of it is cut. Raises Unwritable for other alphabets."""
    said = text
    if terms.ascii:
        said = unicodedata.normalize("NFKD", text.translate(_PLAIN))
        said = "".join(c for c in said if not unicodedata.combining(c))
        if not said.isascii():
            raise Unwritable(f"{text[:40]!r} cannot be written in ASCII; agree on letters: utf-8")
    said = "".join(" " if c in terms.separators or not c.isprintable() else c for c in said)
    said = " ".join(said.split())[:longest].strip()
    return said if len(said) >= shortest else ""


def _code(text: str, longest: int, what: str) -> str:
    """A name that has to come back as it is."""
    if len(text) > longest:
        raise Unwritable(f"{what} {text[:60]!r} is longer than {longest} characters")
    return text


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y%m%d}"


def _ship_to(order: Fulfilment, terms: Terms) -> list[Segment]:
    to = order.destination
    name = _free(to.name or to.company, 60, terms)
    out = [segment("N1", "ST", name or "-")]
    if to.company and to.name:
        out.append(segment("N2", _free(to.company, 60, terms)))
    street = _free(to.street, 110, terms)
    if street:
        out.append(segment("N3", street[:55].strip(), street[55:].strip()))
    state = _free(to.region.rpartition("-")[2], 2, terms, shortest=2) if len(to.region.rpartition("-")[2]) == 2 else ""
    out.append(
        segment(
            "N4", _free(to.city, 30, terms, shortest=2), state, _free(to.postal_code, 15, terms, shortest=3),
            _free(to.country, 3, terms, shortest=2),
        )
    )  # fmt: skip
    phone, email = _free(order.phone or to.phone, 80, terms), _free(order.email, 80, terms)
    reached = [*(("TE", phone) if phone else ()), *(("EM", email) if email else ())]
    if reached:
        out.append(segment("PER", "CN", "", *reached))
    return [one for one in out if one.elements]


def _units(order: Fulfilment) -> int:
    return sum(line.quantity for line in order.lines)


def _items(order_sku: str, external_sku: str, terms: Terms) -> list[str]:
    names = [terms.item, _code(order_sku, 48, "sku")]
    if external_sku and external_sku != order_sku:
        names += ["VC" if terms.item != "VC" else "VN", _code(external_sku, 48, "external_sku")]
    return names


def _scac(carrier: str) -> str:
    return carrier if re.fullmatch(r"[A-Z]{2,4}", carrier) else ""


def shipping_order(order: Fulfilment, reference: str, terms: Terms) -> list[Segment]:
    """940, warehouse shipping order. reference: at most REFERENCE_MAX characters; comes back in the 945."""
    out = [segment("W05", "N", _code(reference, REFERENCE_MAX, "reference"), _free(order.order_number, 22, terms))]
    place = order.place or terms.place
    if place:
        out.append(segment("N1", "WH", "", "92", _code(place, 80, "place")))
    out += _ship_to(order, terms)
    out.append(segment("N9", "CO", _free(order.order_number, 30, terms)))
    out += [
        segment("G62", qualifier, _day(moment))
        for qualifier, moment in (("10", order.ship_by), ("02", order.deliver_by))
        if moment is not None
    ]
    if note := _free(order.note, 80, terms):
        out.append(segment("NTE", "GEN", note))
    service = _free(order.service or order.carrier, 35, terms)
    if service:
        out.append(segment("W66", "PP", "M", "", "", service, "", "", "", "", _scac(order.carrier)))
    for number, line in enumerate(order.lines, 1):
        out.append(segment("LX", number))
        out.append(segment("W01", line.quantity, terms.unit, "", *_items(line.sku, line.external_sku, terms)))
        if name := _free(line.name, 45, terms):
            out.append(segment("G69", name))
        out.append(segment("N9", "LI", _code(line.line_id, 30, "line_id")))
    out.append(segment("W76", _units(order)))
    return out


def purchase_order(order: Fulfilment, reference: str, terms: Terms) -> list[Segment]:
    """850, purchase order, to be shipped to the customer (drop ship)."""
    out = [
        segment("BEG", "00", "DS", _code(reference, REFERENCE_MAX, "reference"), "", _day(order.ordered_at)),
        segment("CUR", "BY", order.currency),
        segment("REF", "CO", _free(order.order_number, 30, terms)),
    ]
    out += [
        segment("DTM", qualifier, _day(moment))
        for qualifier, moment in (("010", order.ship_by), ("002", order.deliver_by))
        if moment is not None
    ]
    routing = _free(order.service or order.carrier, 35, terms)
    if routing:
        scac = _scac(order.carrier)
        out.append(segment("TD5", "", "2" if scac else "", scac, "M", routing))
    if order.note:
        text = _free(order.note, 264, terms)
        # 005010 knows no MSG here.
        out += [segment("N9", "ZZ", "NOTE"), segment("MTX", "", text) if terms.is_5010 else segment("MSG", text)]
    out += _ship_to(order, terms)
    exponent = EXPONENTS.get(order.currency, 2)
    for line in order.lines:
        price = f"{Decimal(line.price_minor).scaleb(-exponent):.{exponent}f}"
        line_id = _code(line.line_id, 20, "line_id")
        items = _items(line.sku, line.external_sku, terms)
        out.append(segment("PO1", line_id, line.quantity, terms.unit, price, "", *items))
        if name := _free(line.name, 80, terms):
            out.append(segment("PID", "F", "", "", "", name))
    out.append(segment("CTT", len(order.lines), _units(order)))
    return out


def acknowledgement(group: Group, faults: Mapping[str, Sequence[Fault]]) -> list[Segment]:
    """997, functional acknowledgement of a group. faults: of its messages, by control number"""
    out = [segment("AK1", group.code, group.control)]
    accepted = 0
    for message in group.messages:
        found = [*message.faults, *faults.get(message.control, ())]
        out.append(segment("AK2", message.kind, message.control))
        for fault in found:
            if fault.segment:
                out.append(segment("AK3", fault.segment, fault.position, "", fault.segment_code or "8"))
                if fault.element:
                    out.append(segment("AK4", fault.element, "", fault.element_code or "7"))
        out.append(segment("AK5", "R", *dict.fromkeys(f.set_code for f in found)) if found else segment("AK5", "A"))
        accepted += not found
    total = len(group.messages)
    status = "R" if group.fault or not accepted else "A" if accepted == total else "P"
    out.append(segment("AK9", status, total, total, 0 if group.fault else accepted, group.fault))
    return out


# Reading --------------------------------------------------------------------------------------------------------------


def _fail(one: Segment, element: int, code: str, why: str) -> Faulty:
    return Faulty(Fault(why=why, segment=one.id, position=one.position, segment_code="8", element=element,
                        element_code=code))  # fmt: skip


def _needed(message: Message, id_: str) -> Segment:
    found = message.first(id_)
    if found is None:
        at = len(message.segments) + 2
        raise Faulty(Fault(why=f"there is no {id_}", segment=id_, position=at, segment_code="3"))
    return found


def _said(one: Segment, n: int, what: str) -> str:
    if not one[n].strip():
        raise _fail(one, n, "1", f"{what} is missing")
    return one[n].strip()


def _quantity(one: Segment, n: int) -> int:
    text = _said(one, n, "a quantity")
    try:
        value = Decimal(text) if re.fullmatch(r"-?[0-9]*\.?[0-9]*", text) else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if value.is_nan() or value != int(value) or abs(value) > INT4_MAX:
        raise _fail(one, n, "6", f"expected a whole number of units, got {text[:20]!r}")
    return int(value)


def _at(one: Segment, day: int, time: int = 0) -> datetime:
    text = _said(one, day, "a date")
    try:
        found = datetime.strptime(text, "%Y%m%d" if len(text) == 8 else "%y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise _fail(one, day, "8", f"expected a date, got {text[:20]!r}") from None
    said = one[time][:4] if time else ""
    if said:
        if not re.fullmatch(r"([01][0-9]|2[0-3])[0-5][0-9]", said):
            raise _fail(one, time, "9", f"expected a time, got {said!r}")
        found = found.replace(hour=int(said[:2]), minute=int(said[2:]))
    return found


def _item(one: Segment, first: int, terms: Terms) -> str:
    """Our SKU among pairs of qualifier and name that begin at `first`."""
    pairs = {one[n]: one[n + 1].strip() for n in range(first, len(one.elements), 2) if one[n + 1].strip()}
    sku = next((pairs[q] for q in (terms.item, *_ITEM_QUALIFIERS) if q in pairs), "")
    if not sku:
        raise _fail(one, first + 1, "1", f"no item is named behind {terms.item}")
    return sku


def _after(message: Message, at: int, *, until: Sequence[str]) -> list[Segment]:
    """Segments that follow the one at `at`, up to the next of some kinds."""
    out: list[Segment] = []
    for n in range(at + 1, len(message.segments)):  # a slice would copy the rest of the message each time
        one = message.segments[n]
        if one.id in until:
            break
        out.append(one)
    return out


def _reads_shipping_advice(message: Message, name: str, terms: Terms) -> list[Shipment]:
    """945: units ordered, shipped, and what becomes of the difference."""
    w06 = _needed(message, "W06")
    w27 = message.first("W27")
    lines: list[ShippedLine] = []
    more = False
    for at, one in enumerate(message.segments):
        if one.id != "W12":
            continue
        shipped = _quantity(one, 3) if one[3] else 0
        ordered = _quantity(one, 2) if one[2] else shipped
        # BP: a part, the rest follows; otherwise what is short stays short.
        follows = one[1] == "BP"
        more |= follows
        details = _after(message, at, until=("W12", "LX", "W03"))
        line_id = next((d[2] for d in details if d.id == "N9" and d[1] == "LI"), "")
        sku = _item(one, 7, terms)
        missing = 0 if follows else max(0, ordered - shipped)
        lines.append(ShippedLine(sku=sku, line_id=line_id, quantity=shipped, missing=missing))
    if not lines:
        raise Faulty(Fault(why="there is no W12", segment="W12", position=len(message.segments) + 2, segment_code="3"))
    where = message.first("N1", "WH") or message.first("N1", "SF")
    left = any(line.quantity for line in lines)
    return [
        Shipment(
            external_id=name,
            fulfilment_id=_said(w06, 2, "the order"),
            status="shipped" if left or more else "refused",
            status_word=w06[1],
            at=_at(w06, 3) if w06[3] else _dated(message),
            lines=tuple(lines),
            carrier="" if w27 is None else w27[2] or w27[3],
            service="" if w27 is None else w27[3],
            tracking=_tracking(message.segments),
            place="" if where is None else where[4],
            is_complete=not more,
        )
    ]


def _dated(message: Message) -> datetime:
    for one in message.all("G62", "DTM"):
        if one[2]:
            return _at(one, 2)
    raise Faulty(Fault(why="no day is said", segment="G62", position=len(message.segments) + 2, segment_code="3"))


def _tracking(segments: Sequence[Segment]) -> str:
    """The carrier's number: marks of packages before references of the whole."""
    for id_, qualifiers in (("MAN", ("CP",)), ("N9", ("2I", "CN", "BM")), ("REF", ("2I", "CN", "BM"))):
        for qualifier in qualifiers:
            for one in segments:
                if one.id == id_ and one[1] == qualifier and one[2]:
                    return one[2]
    return ""


def _reads_inventory(message: Message, _name: str, terms: Terms) -> list[Level]:
    """846: units of each item, at the place of the message or at places of its own."""
    bia = _needed(message, "BIA")
    at = _at(bia, 4, 5)
    head = _after(message, -1, until=("LIN",))
    of_all = next((s[4] for s in head if s.id == "N1" and s[1] in {"WH", "SF", "LW"}), terms.place)
    # 17 is on hand, 33 for sale; some say only one of them.
    order = ("17", "33", "QH", "02") if terms.on_hand else ("33", "17", "02", "QH")
    levels: list[Level] = []
    for n, one in enumerate(message.segments):
        if one.id != "LIN":
            continue
        sku = _item(one, 2, terms)
        details = _after(message, n, until=("LIN", "CTT"))
        spread = [s for s in details if s.id == "SDQ"]
        for sdq in spread:
            for pair in range(3, len(sdq.elements), 2):
                units = _quantity(sdq, pair + 1)
                levels.append(_level(sdq, pair + 1, sku, units, _said(sdq, pair, "a place"), at))
        if spread:
            continue
        quantities = {s[1]: s for s in reversed(details) if s.id == "QTY"}
        qty = next((quantities[code] for code in order if code in quantities), None)
        if qty is None:
            raise Faulty(
                Fault(why=f"no quantity of {sku} is said", segment="QTY", position=one.position, segment_code="3")
            )
        place = next((s[4] for s in details if s.id == "N1" and s[4]), of_all)
        levels.append(_level(qty, 2, sku, _quantity(qty, 2), place, at))
    return levels


def _level(one: Segment, n: int, sku: str, units: int, place: str, at: datetime) -> Level:
    if units < 0:
        raise _fail(one, n, "6", "expected a count of 0 or more")
    return Level(external_id=sku, external_sku=sku, quantity=units, place=place, counted_at=at)


_ANSWERS: Final[Mapping[str, ShipmentStatus]] = {
    "AC": "accepted", "AD": "accepted", "AE": "accepted", "AT": "accepted", "AK": "accepted", "AP": "accepted",
    "RD": "refused", "RF": "refused", "RJ": "refused", "RO": "refused",
}  # fmt: skip
# Of a line (ACK01): what will not come. The others are accepted, perhaps later, perhaps otherwise.
_NOT_COMING: Final = frozenset({"IR", "R1", "R2", "R3", "R4", "IW", "ID"})


def _reads_order_answer(message: Message, name: str, terms: Terms) -> list[Shipment]:
    """855: a supplier takes an order, or some of it, or not."""
    bak = _needed(message, "BAK")
    status: ShipmentStatus = _ANSWERS.get(bak[2], "unknown")
    lines: list[ShippedLine] = []
    for n, one in enumerate(message.segments):
        if one.id != "PO1":
            continue
        sku, wanted = _item(one, 6, terms), _quantity(one, 2) if one[2] else 0
        answers = [s for s in _after(message, n, until=("PO1", "CTT")) if s.id == "ACK"]
        missing = sum(_quantity(a, 2) if a[2] else wanted for a in answers if a[1] in _NOT_COMING)
        taken = sum(_quantity(a, 2) if a[2] else wanted for a in answers if a[1] not in _NOT_COMING)
        if not answers:
            missing, taken = (wanted, 0) if status == "refused" else (0, wanted)
        missing = max(missing, wanted - taken)
        lines.append(ShippedLine(sku=sku, line_id=one[1], quantity=taken, missing=missing))
    if lines and not any(line.quantity for line in lines):
        status = "refused"
    return [
        Shipment(
            external_id=name, fulfilment_id=_said(bak, 3, "the order"), status=status, status_word=bak[2],
            at=_at(bak, 9 if bak[9] else 4), lines=tuple(lines), is_complete=status == "refused",
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Level:
    """What an HL of a 856 and those above it say."""

    order: str = ""
    tracking: str = ""
    carrier: str = ""
    service: str = ""


def _reads_ship_notice(message: Message, name: str, terms: Terms) -> list[Shipment]:
    """856: shipment > order > package > item, each item under the nearest order and package above it."""
    bsn = _needed(message, "BSN")
    at = _at(bsn, 3, 4)
    known: dict[str, _Level] = {"": _Level()}
    found: dict[_Level, list[ShippedLine]] = {}
    for n, hl in enumerate(message.segments):
        if hl.id != "HL":
            continue
        details = _after(message, n, until=("HL", "CTT"))
        if hl[2] not in known:
            raise _fail(hl, 2, "7", f"there is no HL {hl[2]!r} before it")
        here = known[hl[2]]
        prf = next((s for s in details if s.id == "PRF"), None)
        td5 = next((s for s in details if s.id == "TD5"), None)
        here = _Level(
            order=here.order if prf is None else _said(prf, 1, "the order"),
            tracking=_tracking(details) or here.tracking,
            carrier=here.carrier if td5 is None else td5[3] or td5[5],
            service=here.service if td5 is None else td5[5],
        )
        known[hl[1]] = here
        for lin, sn1 in _pairs(details):
            if not here.order:
                raise _fail(hl, 2, "7", "an item stands under no order (PRF)")
            found.setdefault(here, []).append(
                ShippedLine(sku=_item(lin, 2, terms), line_id=lin[1] or sn1[1], quantity=_quantity(sn1, 2))
            )
    if not found:
        raise Faulty(Fault(why="it has no items", segment="LIN", position=len(message.segments) + 2, segment_code="3"))
    return [
        Shipment(
            external_id=f"{name}:{number}", fulfilment_id=level.order, status="shipped", status_word=bsn[1], at=at,
            lines=tuple(lines), carrier=level.carrier, service=level.service, tracking=level.tracking,
            is_complete=False,
        )
        for number, (level, lines) in enumerate(found.items(), 1)
    ]  # fmt: skip


def _pairs(details: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    out: list[tuple[Segment, Segment]] = []
    lin: Segment | None = None
    for one in details:
        if one.id == "LIN":
            lin = one
        elif one.id == "SN1" and lin is not None:
            out.append((lin, one))
            lin = None
    return out


READERS: Final[Mapping[str, Callable[[Message, str, Terms], Sequence[Shipment | Level]]]] = {
    "945": _reads_shipping_advice,
    "846": _reads_inventory,
    "855": _reads_order_answer,
    "856": _reads_ship_notice,
}


def read_message(message: Message, name: str, terms: Terms) -> Sequence[Shipment | Level]:
    """What a message says; `fulfilment_id` is the reference that we sent. Raises Faulty.

    name  of the message; the same for a repeat
    """
    if message.faults:
        raise Faulty(message.faults[0])
    reader = READERS.get(message.kind)
    if reader is None:
        raise Faulty(Fault(why=f"{message.kind} is not read here", set_code="1"))
    return reader(message, name, terms)


Verdict = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What a 997 says of a group that we sent. why: the codes, if it was rejected"""

    code: str
    control: int
    verdict: Verdict
    why: str = ""


def read_acknowledgement(message: Message) -> Acknowledged:
    """997 of a group with one message, as we send them. Raises Faulty."""
    if message.faults:
        raise Faulty(message.faults[0])
    ak1, ak9 = _needed(message, "AK1"), _needed(message, "AK9")
    if not re.fullmatch(r"[0-9]{1,9}", ak1[2]):
        raise _fail(ak1, 2, "6", "expected the control number of a group")
    # E: accepted, with errors noted.
    is_taken = _said(ak9, 1, "the verdict") in {"A", "E"}
    places = [f"{s.id} {' '.join(s.elements)}" for s in message.all("AK3", "AK4", "AK5")]
    return Acknowledged(
        code=ak1[1], control=int(ak1[2]), verdict="accepted" if is_taken else "rejected",
        why="" if is_taken else "; ".join([*places, f"AK9 {' '.join(ak9.elements)}"])[:500],
    )  # fmt: skip


def with_fulfilment(shipment: Shipment, fulfilment_id: str) -> Shipment:
    """The same of our own name."""
    return msgspec.structs.replace(shipment, fulfilment_id=fulfilment_id)
