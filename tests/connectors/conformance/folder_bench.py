"""Somebody who passes files on the bench: a folder of this machine's disk, or the same behind an SFTP server."""

import shutil
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from onhand.connectors import completed, find
from onhand.connectors._sdk.conformance import Bench
from onhand.connectors._sdk.values import Address, Fulfilment, FulfilmentLine
from onhand.wire import Doors, Guard

PASSWORD = "tiger-7f21c09be4d35a86"
AT = datetime(2026, 11, 27, 9, tzinfo=UTC)
NO_STATUS = "a folder answers without a status and without a text; what breaks off is examined by the cases of files"
EXCUSED = {
    "told_to_wait_we_wait": NO_STATUS,
    "told_that_it_is_too_much_we_wait_too": NO_STATUS,
    "a_failing_channel_may_have_done_it": NO_STATUS,
    "an_answer_that_is_none_confirms_nothing": NO_STATUS,
    "whatever_is_said_a_write_has_an_outcome": NO_STATUS,
    "a_page_that_is_none_is_not_an_empty_one": "a_damaged_file_... is the same of files",
    "whatever_is_said_reading_ends_in_our_words": "a_damaged_file_... is the same of files",
    "somebody_else_is_not_asked": "a folder cannot send us elsewhere",
    "a_secret_that_is_refused_is_tried_twice_at_most": "a folder has no token to be renewed",
    "a_secret_never_shows": "what is read is a file, not an answer; a_secret_of_a_folder_never_shows instead",
    "a_listing_that_is_not_there_stops_no_other": (
        "nobody answers which listings there are; a_number_that_cannot_be_written_... instead"
    ),
    "a_price_of_nothing_stops_no_other": "nobody answers which listings there are",
}


class FolderBench(Bench):
    """name: of the connector. inboxes: folder for each capability of reading."""

    name = ""
    suffix = ""
    is_sftp = False
    excused = EXCUSED

    def __init__(self, given, inboxes):
        self.root = Path(tempfile.mkdtemp(prefix="onhand-bench-"))
        self.box = self.root / "box"
        self.box.mkdir()
        self.inboxes = inboxes
        asked = find(self.name).connector.settings
        super().__init__(completed(asked, {"url": "file:///box", "settle_s": 0, **given}), {"password": PASSWORD})

    def folders(self):
        return self

    @asynccontextmanager
    async def open(self, url, *, host_key="", credentials=None):
        self.come()
        doors = Doors(guard=Guard(allow_private=True), local_root=self.root)
        if not self.is_sftp:
            async with doors.open(url, host_key=host_key, credentials=credentials) as folder:
                yield folder
            return
        from ...wire.sftp_server import sftp_server  # noqa: TID252 - an extra

        async with (
            sftp_server(self.root, password=PASSWORD) as server,
            doors.open(server.url("box"), host_key=server.host_key, credentials=credentials) as folder,
        ):
            yield folder

    def come(self):
        """What was told since the folder was opened last is put into it."""

    def close(self):
        shutil.rmtree(self.root)

    def put(self, path, body):
        target = self.box / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)

    def files(self, path):
        """Contents of the files of a folder, in the order of their names."""
        return [file.read_bytes() for file in sorted((self.box / path).glob("*")) if file.is_file()]

    def lay(self, capability, name, body):
        self.put(f"{self.inboxes[capability]}/{name}{self.suffix}", body)

    def lies(self, name):
        for where, below in (("in", ""), ("rejects", "rejects/"), ("done", "done/")):
            if any((self.box / f"{below}{inbox}/{name}{self.suffix}").is_file() for inbox in self.inboxes.values()):
                return where
        return ""

    def fulfilment(self, units):
        return Fulfilment(
            fulfilment_id=f"F{units}", key=f"key-{units}", order_number=f"WEB-{units}", ordered_at=AT, currency="USD",
            destination=Address(name="Ada", country="US", region="US-NY", postal_code="10001", city="New York",
                                street="1 Main Street"),
            lines=(FulfilmentLine(line_id="1", sku="MUG", quantity=units, price_minor=1999),),
        )  # fmt: skip
