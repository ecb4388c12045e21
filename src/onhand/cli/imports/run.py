"""An import from its first row to its table: batches, rejects, and a state to go on from."""

import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Self, TypeVar

import msgspec

from onhand.cli.imports.files import Row, Source
from onhand.cli.imports.targets import Outcome, Target
from onhand.errors import OnhandError, SettingsError

T = TypeVar("T")

BATCH_ROWS = 5_000
# Six tries over half a minute: a server that restarts is back by then.
_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)


class _FileState(msgspec.Struct):
    """How far one file has come; size and time tell whether it is still the same file."""

    size: int
    modified_ns: int
    rows: int = 0


class State(msgspec.Struct):
    """What an import has done, kept beside its rejects until it has ended."""

    run: str
    what: str
    rejects_bytes: int = 0
    files: dict[str, _FileState] = {}
    outcomes: dict[str, int] = {}

    @classmethod
    def load(cls, path: Path, what: str, sources: Sequence[Source]) -> Self | None:
        """The state to go on from; None if there is none. Raises SettingsError if it belongs to other files."""
        try:
            state = msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise SettingsError(f"{path}: not the state of an import: {error}") from None
        now = {str(s.path.resolve()): s.path.stat() for s in sources}
        same = state.what == what and state.files.keys() <= now.keys()
        for name, kept in state.files.items() if same else ():
            same = same and (kept.size, kept.modified_ns) == (now[name].st_size, now[name].st_mtime_ns)
        if not same:
            raise SettingsError(
                f"{path} belongs to another import, or a file has changed since; import again without --resume"
            )
        return state

    def of(self, source: Source) -> _FileState:
        """The part of one file."""
        seen = source.path.stat()
        return self.files.setdefault(
            str(source.path.resolve()), _FileState(size=seen.st_size, modified_ns=seen.st_mtime_ns)
        )

    def save(self, path: Path) -> None:
        """Replace the file in one step: a crash leaves the old state or the new one."""
        part = path.with_name(path.name + ".part")
        part.write_bytes(msgspec.json.encode(self))
        part.replace(path)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an import did: rows by outcome, of this run and of the one it resumed."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    sent: int = 0
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        return self.outcomes["rejected"]


class Rejects:
    """The file of rejected rows, JSON lines with the reason; made when the first row is rejected."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        if keep_bytes and path.exists():
            self._file = path.open("r+b")
            # What was written after the state was saved comes again.
            self._file.truncate(keep_bytes)
            self._file.seek(0, os.SEEK_END)
        else:
            path.unlink(missing_ok=True)

    def add(self, source: Source, row: Row, reason: str) -> None:
        """Keep a row with its reason."""
        if self._file is None:
            self._file = self.path.open("wb")
        kept = {"file": str(source.path), "line": row.line, "reason": reason, "row": row.raw}
        self._file.write(json.dumps(kept, default=str).encode() + b"\n")

    def flush(self) -> int:
        """Write out; the size of the file."""
        if self._file is None:
            return 0
        self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


Advance = Callable[[Source, Row, Mapping[str, int]], None]
"""Told after each batch: how far the file has come, and the outcomes so far."""


def import_files(
    sources: Sequence[Source],
    target: Target,
    *,
    rejects_path: Path,
    resume: bool,
    advance: Advance,
    sleep: Callable[[float], None] = time.sleep,
) -> Tally:
    """Import every row of every file, in order. Raises OnhandError, after which `resume` goes on where it stopped."""
    what = str(sources[0].what)
    state_path = rejects_path.with_name(rejects_path.name + ".state")
    state = State.load(state_path, what, sources) if resume else None
    if state is None:
        state = State(run=secrets.token_hex(8), what=what)
    tally = Tally(outcomes=Counter(state.outcomes))
    rejects = Rejects(rejects_path, keep_bytes=state.rejects_bytes)
    began = time.perf_counter()
    try:
        for number, source in enumerate(sources):
            place = state.of(source)
            state.save(state_path)  # before the first batch, whose key must be known to go on
            rows = islice(source.rows(), place.rows, None)
            while batch := list(islice(rows, BATCH_ROWS)):
                outcomes = _send(batch, target, f"{state.run}-{number}-{place.rows}", sleep)
                for row, outcome in zip(batch, outcomes, strict=True):
                    tally.outcomes[outcome.status] += 1
                    if outcome.status == "rejected":
                        rejects.add(source, row, outcome.reason or "no reason given")
                tally.sent += len(batch)
                place.rows += len(batch)
                state.rejects_bytes = rejects.flush()
                state.outcomes = dict(tally.outcomes)
                state.save(state_path)
                advance(source, batch[-1], tally.outcomes)
    finally:
        rejects.close()
    state_path.unlink(missing_ok=True)
    tally.seconds = time.perf_counter() - began
    return tally


def _send(batch: Sequence[Row], target: Target, key: str, sleep: Callable[[float], None]) -> list[Outcome]:
    """Outcomes of a batch, unreadable rows among them; tries again while the other side is away."""
    sound = [row for row in batch if row.problem is None]
    answers: Iterator[Outcome] = iter(())
    for wait_s in (*_WAITS_S, None) if sound else ():
        try:
            answers = iter(target.send(sound, key))
            break
        except OnhandError as error:
            if not error.retryable or wait_s is None:
                raise
            sleep(wait_s)
    return [next(answers) if row.problem is None else Outcome("rejected", row.problem) for row in batch]
