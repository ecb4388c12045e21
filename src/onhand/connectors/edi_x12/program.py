"""`edi_x12`: a third party or a supplier that ships for us and is spoken to in X12, over folders of files."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast

from onhand.connectors._sdk.folders import folder_of
from onhand.connectors._sdk.inbox import BEGINNING, Inbox, Position, Where
from onhand.connectors._sdk.interface import Connection, Notes, Refused, Unavailable
from onhand.connectors._sdk.outcomes import fate_of
from onhand.connectors._sdk.program import Program
from onhand.connectors._sdk.values import Fate, Fulfilment, Level, Outcome, Page, Reject, Shipment
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn
from onhand.connectors.csv_feed.settings import CREDENTIALS, REACHED, wrong_places
from onhand.connectors.edi_x12 import sets, x12
from onhand.connectors.edi_x12.sets import Faulty, Terms
from onhand.connectors.edi_x12.x12 import Damaged, Fault, Group, Interchange, Message, Segment
from onhand.wire import Folder
from onhand.wire.folder import parts

NAME: Final = "edi_x12"
FILE_BYTES_MAX: Final = 64 * 2**20
RECORDS_OF_A_PAGE: Final = 1_000
_ASIDE_MAX: Final = 20
Part = Literal["stock", "shipping"]


def _text(description: str, default: str | None = None, *, required: bool = False) -> SettingIn:
    return SettingIn(description=description, default=default, required=required)


def _choice(description: str, *choices: str) -> SettingIn:
    return SettingIn(
        type="choice", description=description, choices=list(choices), default=choices[0], required=False
    )  # fmt: skip


SETTINGS: Final[Mapping[str, SettingIn]] = {
    **REACHED,
    "in_folder": _text("where their files come", "in"),
    "out_folder": _text("where ours are written to", "out"),
    "pattern": _text("of names of their files", "*"),
    "partner": _choice("warehouse: 940 and 945; supplier: 850, 855 and 856", "warehouse", "supplier"),
    "our_id": _text("ours in ISA, at most 15 letters", required=True),
    "our_qualifier": _text("of our id", "ZZ"),
    "their_id": _text("theirs in ISA, at most 15 letters", required=True),
    "their_qualifier": _text("of their id", "ZZ"),
    "version": _choice("of the sets", "004010", "005010"),
    "usage": _choice("production or test, as ISA15 says", "production", "test"),
    "item_qualifier": _text("that our SKU stands behind: SK, VN, UP, ...", "SK"),
    "unit": _text("of quantities", "EA"),
    "place": _text("code of their warehouse, for what does not say which"),
    "stock": _choice("what 846 is read for: units on hand, or for sale", "on_hand", "for_sale"),
    "letters": _choice("what they can read", "ascii", "utf-8", "iso-8859-1"),
    "element_separator": _choice("between elements", "*", "|", "+"),
    "segment_terminator": _choice("behind segments", "~", "'", "newline"),
    "line_breaks": SettingIn(type="boolean", description="a line for each segment", default=True, required=False),
    "acknowledge": SettingIn(type="boolean", description="send 997 for what comes", default=True, required=False),
    "acknowledged_within_h": SettingIn(
        type="integer", description="hours after which a missing 997 is told; 0: never", default=24, required=False
    ),
}  # fmt: skip


def connector() -> "EdiX12":
    """For the registry."""
    return EdiX12()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """The settings, read."""

    ours: tuple[str, str]
    theirs: tuple[str, str]
    version: str
    is_test: bool
    is_supplier: bool
    terms: Terms
    encoding: str
    line_breaks: bool
    acknowledge: bool
    within: timedelta | None
    out: str
    where: Where

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Partner":
        """`settings` without problems; defaults for what they do not say."""
        said: dict[str, Any] = {name: s.default for name, s in SETTINGS.items() if s.default is not None}
        said |= settings
        path, done, rejects = ("/".join(parts(said[f"{name}_folder"])) for name in ("in", "done", "rejects"))
        newline = said["segment_terminator"] == "newline"
        hours = said["acknowledged_within_h"]
        return cls(
            ours=(said["our_qualifier"], said["our_id"]),
            theirs=(said["their_qualifier"], said["their_id"]),
            version=said["version"],
            is_test=said["usage"] == "test",
            is_supplier=said["partner"] == "supplier",
            terms=Terms(
                item=said["item_qualifier"], unit=said["unit"], place=said.get("place") or "",
                on_hand=said["stock"] == "on_hand", ascii=said["letters"] == "ascii",
                is_5010=said["version"] == "005010",
                separators=x12.Separators(
                    element=said["element_separator"], segment="\n" if newline else said["segment_terminator"]
                ),
            ),
            encoding="latin-1" if said["letters"] == "iso-8859-1" else "utf-8",
            line_breaks=said["line_breaks"] and not newline,
            acknowledge=said["acknowledge"],
            within=timedelta(hours=hours) if hours else None,
            out="/".join(parts(said["out_folder"])),
            where=Where(
                path=path, pattern=said["pattern"], done=f"{done}/{path}", rejects=f"{rejects}/{path}",
                settle_s=said["settle_s"], keep=said["keep_files"],
            ),
        )  # fmt: skip

    def interchange(self, kind: str, segments: Sequence[Segment], control: int, at: datetime) -> Interchange:
        """One message in envelopes of its own, all with one control number."""
        group = Group(
            code=sets.GROUP_OF[kind], control=control, version=self.version,
            messages=[Message(kind=kind, control="0001", segments=segments)],
        )  # fmt: skip
        return Interchange(
            sender=self.ours, receiver=self.theirs, at=at, control=control, groups=[group], is_test=self.is_test,
            version="00401" if self.version == "004010" else "00501", separators=self.terms.separators,
        )  # fmt: skip


@dataclass(slots=True)
class _Content:
    """What a file says. faults: of messages by (interchange, group, message); references are not yet ours"""

    records: list[Shipment | Level | Reject] = field(default_factory=list[Shipment | Level | Reject])
    faults: dict[tuple[int, int], dict[str, list[Fault]]] = field(
        default_factory=dict[tuple[int, int], dict[str, list[Fault]]]
    )


class EdiX12(Program):
    """See `interface.Shipper`."""

    name = NAME
    title = "EDI X12: who keeps or ships goods for us"
    capabilities = frozenset({"shipping.push", "shipping.pull", "counts.pull"})
    passes_files = True
    status = "beta"

    def __init__(
        self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), records: int = RECORDS_OF_A_PAGE
    ) -> None:
        self._now, self._records = now, records

    def timed(self, now: Callable[[], datetime]) -> "EdiX12":
        """The same, by another clock."""
        return EdiX12(now=now, records=self._records)

    @property
    def settings(self) -> Mapping[str, SettingIn]:
        """What the operator fills in."""
        return SETTINGS

    @property
    def credentials(self) -> Mapping[str, CredentialIn]:
        """Secrets that the operator fills in."""
        return CREDENTIALS

    def wrong_settings(self, settings: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """See `interface.Particular`."""
        problems = wrong_places(settings)
        for name in ("our", "their"):
            if len(settings[f"{name}_qualifier"]) != 2:
                problems.append((f"settings.{name}_qualifier", "expected 2 letters, such as ZZ or 01"))
            said = settings[f"{name}_id"]
            if not (said.isascii() and said.replace("-", "").replace(" ", "").isalnum() and len(said) <= 15):
                problems.append((f"settings.{name}_id", "expected 1 to 15 letters and digits"))
        for name in ("item_qualifier", "unit"):
            if not (len(settings[name]) == 2 and settings[name].isalnum()):
                problems.append((f"settings.{name}", "expected a code of 2 letters"))
        if not 0 <= settings["acknowledged_within_h"] <= 10_000:
            problems.append(("settings.acknowledged_within_h", "expected 0 to 10000"))
        return problems

    # Writing ------------------------------------------------------------------------------------------------------

    async def push_fulfilment(self, connection: Connection, fulfilment: Fulfilment) -> Outcome:
        """A 940 or an 850. ACCEPTED until they say more; a repeat has the same control number, and is not sent again
        once it was written."""
        partner = Partner.of(connection.settings)
        key = hashlib.sha256(fulfilment.key.encode()).hexdigest()[:24]
        reference = _reference(fulfilment.fulfilment_id)
        kind = "850" if partner.is_supplier else "940"
        try:
            make = sets.purchase_order if partner.is_supplier else sets.shipping_order
            segments = make(fulfilment, reference, partner.terms)
            # Before anything is noted: what cannot be written takes no number.
            x12.write(partner.interchange(kind, segments, 1, self._now()), line_breaks=partner.line_breaks)
            async with folder_of(connection) as (folder, notes):
                return await self._send(partner, folder, notes, kind, segments, key, reference, fulfilment)
        except x12.Unwritable as error:
            return Outcome(fate=Fate.REFUSED, code="unwritable", message=str(error))
        except UnicodeEncodeError as error:
            letter = error.object[error.start : error.end]
            return Outcome(fate=Fate.REFUSED, code="unwritable", message=f"{letter!r} is no letter of theirs")
        except (Unavailable, Refused) as error:
            return fate_of(error)

    async def _send(
        self, partner: Partner, folder: Folder, notes: Notes, kind: str, segments: Sequence[Segment], key: str,
        reference: str, fulfilment: Fulfilment,
    ) -> Outcome:  # fmt: skip
        said = await notes.get(f"sent:{key}")
        if said is None:
            control = await notes.next_number("interchange", last=x12.CONTROL_MAX)
            made = {"control": control, "at": self._now().isoformat(), "kind": kind,
                    "fulfilment": fulfilment.fulfilment_id, "state": "made"}  # fmt: skip
            said = await notes.put_new(f"sent:{key}", json.dumps(made))
        note = cast("dict[str, Any]", json.loads(said))
        if note["state"] == "rejected":
            return Outcome(fate=Fate.REFUSED, code="rejected", message=note["why"])
        if note["state"] != "made":
            return Outcome(fate=Fate.ACCEPTED)
        interchange = partner.interchange(kind, segments, note["control"], datetime.fromisoformat(note["at"]))
        text = x12.write(interchange, line_breaks=partner.line_breaks).encode(partner.encoding)
        # What comes back has to be understood from the moment that they can read the file.
        await notes.put(f"order:{reference}", fulfilment.fulfilment_id)
        await notes.put(f"group:{note['control']}", key)
        await notes.put(f"waiting:{note['at']}:{key}", str(note["control"]))
        await folder.write(f"{partner.out}/{kind}_{note['control']:09d}.x12", text)
        await notes.put(f"sent:{key}", json.dumps(note | {"state": "written"}))
        return Outcome(fate=Fate.ACCEPTED)

    # Reading ------------------------------------------------------------------------------------------------------

    async def pull_shipments(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """What 945, 855 and 856 say, and what was rejected by a 997."""
        return await self._pull(connection, "shipping", at)

    async def pull_counts(self, connection: Connection, at: str | None, *, since: datetime) -> Page:  # noqa: ARG002
        """What 846 says."""
        return await self._pull(connection, "stock", at)

    async def _pull(self, connection: Connection, part: Part, at: str | None) -> Page:
        partner = Partner.of(connection.settings)
        async with folder_of(connection) as (folder, notes):
            desk = _Desk(partner, folder, notes, Inbox(folder, notes, partner.where, self._now), self._now)
            rejects: list[Reject] = []
            position = Position.read(at)
            if position is not None:
                if position.is_last:
                    await desk.taken(position, part)
                    position = None
                elif await desk.inbox.still(position) is None:
                    position = None
            if position is None:
                position = await desk.begin(part, rejects)
            if position is None:
                more = len(rejects) >= _ASIDE_MAX
                overdue = [] if more or part == "stock" else await desk.overdue()
                return Page(
                    records=(), rejects=[*rejects, *overdue], next=BEGINNING if more else None, cursor=BEGINNING
                )
            content = await desk.content(position, part)
            found = content.records[position.row : position.row + self._records]
            row = position.row + len(found)
            following = position.at(0, row, is_last=row >= len(content.records))
            return Page(
                records=[one for one in found if not isinstance(one, Reject)],
                rejects=[*rejects, *(one for one in found if isinstance(one, Reject))],
                next=following.text(),
            )


def _reference(fulfilment_id: str) -> str:
    """What a fulfilment is called in a set, which has 22 letters for it: itself, or made of it, always the same."""
    is_short = len(fulfilment_id) <= sets.REFERENCE_MAX and fulfilment_id.isascii()
    if is_short and fulfilment_id.replace("-", "").replace("_", "").isalnum():
        return fulfilment_id
    return "F" + hashlib.sha256(fulfilment_id.encode()).hexdigest()[:19].upper()


class _Desk:
    """Their files, one after the other. Every file is looked at by two who pull: for stock, and for shipments; it is
    done with when those that it concerns have taken their part, and then it is acknowledged."""

    def __init__(
        self, partner: Partner, folder: Folder, notes: Notes, inbox: Inbox, now: Callable[[], datetime]
    ) -> None:
        self._partner, self._folder, self._notes, self.inbox, self._now = partner, folder, notes, inbox, now

    async def begin(self, part: Part, rejects: list[Reject]) -> Position | None:
        """The next file that has something for `part`; those that are none of ours are put aside."""
        skipped: set[str] = set()
        for _ in range(500):
            entry = await self.inbox.first(but=frozenset(skipped))
            if entry is None or len(rejects) >= _ASIDE_MAX:
                return None
            if entry.size > FILE_BYTES_MAX:
                begun = Position(name=entry.name, size=entry.size, modified_at=entry.modified_at, digest="too-large")
                await self._refuse(begun, f"it is larger than {FILE_BYTES_MAX:,} bytes", rejects)
                continue
            position = await self.inbox.begin(entry)
            if position is None:
                continue
            try:
                interchanges = await self._read(position)
                self._check(interchanges)
            except Damaged as error:
                await self._refuse(position, str(error), rejects)
                continue
            if part in _parts(interchanges) and await self._notes.get(f"part:{position.digest}:{part}") is None:
                return position
            skipped.add(entry.name)
        return None

    async def _refuse(self, position: Position, why: str, rejects: list[Reject]) -> None:
        await self.inbox.aside(position, why)
        rejects.append(Reject(external_id=position.name, why=why))

    def _check(self, interchanges: Sequence[Interchange]) -> None:
        for one in interchanges:
            if one.receiver != self._partner.ours:
                raise Damaged(f"interchange {one.control} is for {one.receiver[1]}, not for {self._partner.ours[1]}")
            if one.sender != self._partner.theirs:
                raise Damaged(f"interchange {one.control} is of {one.sender[1]}, not of {self._partner.theirs[1]}")
            if one.is_test != self._partner.is_test:
                raise Damaged(f"interchange {one.control} is {'a test' if one.is_test else 'no test'}")

    async def _read(self, position: Position) -> list[Interchange]:
        chunks: list[bytes] = []
        offset = 0
        while chunk := await self._folder.read(self.inbox.path_of(position.name), offset=offset):
            chunks.append(chunk)
            offset += len(chunk)
            if offset > FILE_BYTES_MAX:
                raise Damaged(f"it is larger than {FILE_BYTES_MAX:,} bytes")
        body = b"".join(chunks)
        try:
            return x12.read(body.decode("utf-8"))
        except UnicodeDecodeError:
            return x12.read(body.decode("latin-1"))

    async def _is_repeat(self, one: Interchange, position: Position) -> bool:
        """Whether its control number came in another file before."""
        name = f"in:{one.sender[0]}:{one.sender[1]}:{one.control}"
        return await self._notes.put_new(name, position.digest) != position.digest

    async def content(self, position: Position, part: Part) -> _Content:
        """What the file says to `part`."""
        out = _Content()
        for n, one in enumerate(await self._read(position)):
            if await self._is_repeat(one, position):
                why = f"interchange {one.control} came before, and is not taken again"
                out.records.append(Reject(external_id=f"{position.name}:{one.control}", why=why))
                continue
            for g, group in enumerate(one.groups):
                if part == _part_of(group):
                    faults = out.faults.setdefault((n, g), {})
                    await self._group(one, group, out.records, faults)
        return out

    async def _group(
        self,
        one: Interchange,
        group: Group,
        records: list[Shipment | Level | Reject],
        faults: dict[str, list[Fault]],
    ) -> None:
        for message in group.messages:
            name = f"{message.kind}:{one.control}:{group.control}:{message.control}"
            try:
                if group.fault:
                    raise Faulty(Fault(why="its group does not hold together (GE)", set_code="5"))
                if message.kind == "997":
                    records += await self._acknowledged(message, name)
                    continue
                for record in sets.read_message(message, name, self._partner.terms):
                    records.append(record if isinstance(record, Level) else await self._named(record))
            except Faulty as error:
                if not message.faults and not group.fault:
                    faults.setdefault(message.control, []).append(error.fault)
                records.append(Reject(external_id=name, why=str(error)))

    async def _named(self, shipment: Shipment) -> Shipment | Reject:
        """By our own name for the fulfilment."""
        known = await self._notes.get(f"order:{shipment.fulfilment_id}")
        if known is None:
            why = f"{shipment.fulfilment_id[:60]!r} is no order that was sent to them"
            return Reject(external_id=shipment.external_id, why=why)
        return sets.with_fulfilment(shipment, known)

    async def _acknowledged(self, message: Message, name: str) -> list[Shipment | Reject]:
        said = sets.read_acknowledgement(message)
        key = await self._notes.get(f"group:{said.control}")
        note = None if key is None else await self._notes.get(f"sent:{key}")
        if key is None or note is None:
            return [Reject(external_id=name, why=f"group {said.control} of {said.code} was not sent to them")]
        sent = cast("dict[str, Any]", json.loads(note))
        if sets.GROUP_OF[sent["kind"]] != said.code:
            return [Reject(external_id=name, why=f"group {said.control} was {sent['kind']}, not {said.code}")]
        await self._notes.put(f"sent:{key}", json.dumps(sent | {"state": said.verdict, "why": said.why}))
        await self._notes.drop(f"waiting:{sent['at']}:{key}")
        if said.verdict == "accepted":  # it could be read; whether it is done is told by a 945 or an 855
            return []
        why = f"rejected by their 997: {said.why}"
        return [
            Shipment(
                external_id=name, fulfilment_id=sent["fulfilment"], status="refused", at=self._now(), reason=why,
                status_word="997",
            )
        ]  # fmt: skip

    async def taken(self, position: Position, part: Part) -> None:
        """`part` has stored what the file says to it."""
        if await self.inbox.still(position) is None:
            return
        await self._notes.put(f"part:{position.digest}:{part}", "taken")
        interchanges = await self._read(position)
        for other in _parts(interchanges):
            if await self._notes.get(f"part:{position.digest}:{other}") is None:
                return
        if self._partner.acknowledge:
            await self._acknowledge(position, interchanges)
        await self.inbox.done(position)
        for other in _parts(interchanges):
            await self._notes.drop(f"part:{position.digest}:{other}")

    async def _acknowledge(self, position: Position, interchanges: Sequence[Interchange]) -> None:
        """A 997 for each group, with the same number however often it is begun."""
        faults: dict[tuple[int, int], dict[str, list[Fault]]] = {}
        for part in _parts(interchanges):
            faults |= (await self.content(position, part)).faults
        for (n, g), found in sorted(faults.items()):
            group = interchanges[n].groups[g]
            if group.code == "FA":  # acknowledgements are not acknowledged
                continue
            name = f"ack:{position.digest}:{n}:{g}"
            said = await self._notes.get(name)
            if said is None:
                control = await self._notes.next_number("interchange", last=x12.CONTROL_MAX)
                said = await self._notes.put_new(name, f"{control} {self._now().isoformat()}")
            number, at = said.split(" ")
            interchange = self._partner.interchange(
                "997", sets.acknowledgement(group, found), int(number), datetime.fromisoformat(at)
            )
            text = x12.write(interchange, line_breaks=self._partner.line_breaks)
            path = f"{self._partner.out}/997_{int(number):09d}.x12"
            await self._folder.write(path, text.encode(self._partner.encoding))

    async def overdue(self) -> list[Reject]:
        """What was sent and not acknowledged in time, each told once."""
        if self._partner.within is None:
            return []
        out: list[Reject] = []
        latest = self._now() - self._partner.within
        for name, control in (await self._notes.starting("waiting:", limit=100)).items():
            at = datetime.fromisoformat(name.removeprefix("waiting:").rpartition(":")[0])
            if at > latest:
                break
            hours = self._partner.within.total_seconds() / 3600
            out.append(Reject(external_id=control, why=f"no 997 came within {hours:g} h for interchange {control}"))
            await self._notes.drop(name)
        return out


def _part_of(group: Group) -> Part:
    return "stock" if group.code == "IB" else "shipping"


def _parts(interchanges: Sequence[Interchange]) -> list[Part]:
    """Whom a file concerns; one that says nothing concerns those who read shipments."""
    found: dict[Part, None] = {_part_of(group): None for one in interchanges for group in one.groups}
    return list(found) or ["shipping"]
