"""A warehouse that speaks X12 on the bench: an interchange is a file, a record is a transaction set of its own."""

from itertools import count

from onhand.connectors.edi_x12 import sets, x12
from onhand.connectors.edi_x12.x12 import Group, Interchange, Message, segment

from .folder_bench import AT, FolderBench


class WarehouseBench(FolderBench):
    name = "edi_x12"
    suffix = ".x12"

    def __init__(self):
        super().__init__(
            {"our_id": "ONHAND", "their_id": "WAREHOUSE1"}, dict.fromkeys(("counts.pull", "shipping.pull"), "in")
        )
        self.control, self.serial = count(1), count(1)

    def content(self, capability, units, *, spoilt=()):
        kind, make = ("846", self._count) if capability == "counts.pull" else ("945", self._advice)
        messages = [
            Message(kind=kind, control=f"{n:04}", segments=make(quantity, "none" if n - 1 in spoilt else quantity))
            for n, quantity in enumerate(units, 1)
        ]
        control = next(self.control)
        group = Group(code=sets.GROUP_OF[kind], control=control, version="004010", messages=messages)
        one = Interchange(
            sender=("ZZ", "WAREHOUSE1"), receiver=("ZZ", "ONHAND"), at=AT, control=control, groups=[group],
            version="00401",
        )  # fmt: skip
        return x12.write(one).encode()

    def _count(self, _, said):
        return [
            segment("BIA", "00", "DD", "REF1", "20261127", "0830"),
            segment("LIN", "", "SK", f"SKU-{next(self.serial)}"),
            segment("QTY", "17", said),
            segment("CTT", 1),
        ]

    def _advice(self, units, said):
        return [
            segment("W06", "F", f"F{units}", "20261127", "S-1"),
            segment("W27", "M", "UPSN", "GROUND"),
            segment("LX", 1),
            segment("MAN", "CP", f"1Z{next(self.serial)}"),
            segment("W12", "CC", units, said, 0, "EA", "", "SK", "MUG"),
            segment("N9", "LI", "1"),
            segment("W03", units),
        ]

    def damaged(self, capability, body):
        text = body.decode()
        (one,) = x12.read(text)
        ways = {
            "another control number behind it": text.replace(
                f"IEA*1*{one.control:09}", f"IEA*1*{one.control + 500:09}"
            ),
            "more groups than there are": text.replace("IEA*1*", "IEA*2*"),
            "a group without an end": text.replace("GE*", "XX*"),
            "no end": text[:-4],
            "something behind it": text + text[:50],
            "something before it": "rubbish" + text,
            "of somebody else": text.replace("WAREHOUSE1     ", "SOMEBODY       "),
            "for somebody else": text.replace("ONHAND         ", "SOMEBODY       "),
            "a test": text.replace("*P*>", "*T*>"),
            "empty": "",
        }
        assert text not in ways.values()
        return {way: damaged.encode() for way, damaged in ways.items()}

    def requested(self):
        orders = [x12.read(file.read_text())[0] for file in sorted((self.box / "out").glob("940_*"))]
        return [int(one.groups[0].messages[0].first("W76")[1]) for one in orders]


make = WarehouseBench
