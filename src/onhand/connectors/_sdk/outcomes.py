"""What became of writes: batches out, outcomes back, each write with its own."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from onhand.connectors._sdk import mapping
from onhand.connectors._sdk.filling import major_units
from onhand.connectors._sdk.interface import Refused, Unavailable
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.values import Fate, Outcome, PriceWrite, Write
from onhand.connectors._sdk.vocabulary import BatchIn, OperationIn, OutcomesIn

AnyWrite = Write | PriceWrite
_FATES: Final = {
    "retry": Fate.RETRY,
    "unknown": Fate.UNKNOWN,
    "unauthorised": Fate.RETRY,
    "stale": Fate.STALE,
    "gone": Fate.GONE,
    "refuse": Fate.REFUSED,
    "done": Fate.DONE,
}


def item_of(write: AnyWrite) -> dict[str, Any]:
    """What a condition may ask of a write."""
    named = {"external_id": write.external_id, "external_sku": write.external_sku, "place": write.place}
    if isinstance(write, PriceWrite):
        return named | {"price_minor": write.price_minor, "currency": write.currency}
    return named | {"quantity": write.quantity}


def written(write: AnyWrite) -> dict[str, Any]:
    """What a request may say of a write."""
    said = item_of(write) | {"key": write.key, "at": write.at}
    if isinstance(write, PriceWrite):
        return said | {"price": major_units(write.price_minor, write.currency)}
    return said | {"expected": write.expected}


def key_of(writes: Sequence[AnyWrite]) -> str:
    """The same for the same writes: a batch that is sent again is the same batch."""
    return hashlib.sha256("\n".join(write.key for write in writes).encode()).hexdigest()[:32]


def batches_of(numbers: Sequence[int], writes: Sequence[AnyWrite], batch: BatchIn | None) -> list[list[int]]:
    """Numbers of writes that go together."""
    if batch is None:
        return [[n] for n in numbers]
    batches: list[list[int]] = []
    listings: list[set[tuple[str, str]]] = []
    for n in numbers:
        listing = (writes[n].external_id, writes[n].place)
        is_full = not batches or len(batches[-1]) >= batch.max or (batch.unique and listing in listings[-1])
        if is_full:
            batches.append([])
            listings.append(set())
        batches[-1].append(n)
        listings[-1].add(listing)
    return batches


def fate_of(error: Exception) -> Outcome:
    """What an error means for the write that met it."""
    if isinstance(error, Unavailable):
        return Outcome(fate=Fate.UNKNOWN if error.was_sent else Fate.RETRY, message=str(error))
    if isinstance(error, Refused):
        if error.code == "stale":
            fate = Fate.STALE
        elif error.is_gone:
            fate = Fate.GONE
        else:
            fate = Fate.RETRY if error.is_unauthorised else Fate.REFUSED
        return Outcome(fate=fate, code=error.code, message=str(error))
    return Outcome(fate=Fate.REFUSED, code="request", message=str(error))


def outcomes_of(way: OperationIn, body: Any, writes: Sequence[AnyWrite]) -> list[Outcome]:
    """What an answer that means well says of each write."""
    done = Fate.DONE if way.write is None or way.write.confirmed_by == "answer" else Fate.ACCEPTED
    outcomes = way.outcomes
    if outcomes is None:
        return [Outcome(fate=done)] * len(writes)
    if body is None:  # an empty answer, where one was to be read
        return [Outcome(fate=Fate.UNKNOWN, message="the answer is empty")] * len(writes)
    if outcomes.errors is not None:
        return _by_error(outcomes, body, len(writes), done)
    results = records_at(outcomes.items or "@", body)
    missing = Outcome(fate=_FATES[outcomes.missing], message="the answer says nothing of it")
    if outcomes.id is None:
        said = [_of_result(outcomes, result, done) for result in results[: len(writes)]]
        return said + [missing] * (len(writes) - len(said))
    of = mapping.path(outcomes.id)
    if outcomes.place is None:
        by_id = {str(of(result)): _of_result(outcomes, result, done) for result in results}
        return [by_id.get(write.external_id, missing) for write in writes]
    at = mapping.path(outcomes.place)
    by_place = {(str(of(result)), str(at(result))): _of_result(outcomes, result, done) for result in results}
    return [by_place.get((write.external_id, write.place), missing) for write in writes]


def _of_result(outcomes: OutcomesIn, result: Any, done: Fate) -> Outcome:
    error = None if outcomes.error is None else mapping.path(outcomes.error)(result)
    if error:
        return _failed(outcomes, result)
    seen = None if outcomes.seen is None else mapping.path(outcomes.seen)(result)
    return Outcome(fate=done, seen=seen if isinstance(seen, int) and not isinstance(seen, bool) else None)


def _by_error(outcomes: OutcomesIn, body: Any, count: int, done: Fate) -> list[Outcome]:
    try:
        failures = records_at(outcomes.errors or "@", body)
    except Unmappable:
        return [Outcome(fate=Fate.UNKNOWN, message="the answer cannot be read")] * count
    fates: list[Outcome | None] = [None] * count
    of = mapping.path(outcomes.index or "@")
    for failure in failures:
        number = of(failure)
        failed = _failed(outcomes, failure)
        if _is_number(number) and int(number) < count:
            fates[int(number)] = failed
        else:  # about all of them
            fates = [fate or failed for fate in fates]
    if failures and outcomes.atomic:
        untouched = Outcome(fate=Fate.RETRY, message="another write of its batch was refused")
        return [fate or untouched for fate in fates]
    return [fate or Outcome(fate=done) for fate in fates]


def _is_number(value: Any) -> bool:
    text = str(value)
    return text.isascii() and text.isdecimal() and len(text) < 10


def _failed(outcomes: OutcomesIn, result: Any) -> Outcome:
    code = "" if outcomes.code is None else str(mapping.path(outcomes.code)(result) or "")
    message = "" if outcomes.message is None else str(mapping.path(outcomes.message)(result) or "")
    return Outcome(fate=_FATES[outcomes.codes.get(code, "refuse")], code=code, message=message)


def listed_at(path: str, body: Any) -> list[Any]:
    """The records of a page. Raises Refused if there is no list: a page that is none is not an empty one."""
    try:
        found = mapping.path(path)(body)
    except Unmappable:
        found = None
    if not isinstance(found, list):
        raise Refused(f"the answer has no list of records at {path}", code="unreadable")
    return cast("list[Any]", found)


def records_at(path: str, body: Any) -> list[Any]:
    """The records in an answer: a list, or a single one."""
    found = mapping.path(path)(body)
    if found is None:
        return []
    return cast("list[Any]", found) if isinstance(found, list) else [found]
