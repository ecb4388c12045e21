"""What happens between us and channels, in plain words, for the audit log and the timelines of orders. Pure.

No words of the channel itself stand in them: they may name people, and events are kept for ever.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from onhand.channels.inbound.store import Notice
from onhand.connectors._sdk.values import Fate, Outcome, PriceWrite, Write

Event = tuple[str, str, dict[str, object]]
"""Kind, subject, data."""

_WORDS: Final = {
    Fate.STALE: "another number stood there than we thought, so it is read again and written anew",
    Fate.RETRY: "it did not take it, so it is sent again",
    Fate.UNKNOWN: "whether it took it is not known, so it is sent again under the same key",
    Fate.REFUSED: "it refuses it",
    Fate.GONE: "it does not have it any more",
}
_SILENT: Final = ("no_way", "not_told", "part_of_a_bundle")
_SHOWN: Final = 10


def of_notice(code: str, notice: Notice, outcome: Outcome, *, again_s: float | None) -> Event | None:
    """Of a notice to channel `code`; None: nothing to tell. Of tries that fail the 1st, 2nd, 4th, 8th and so on.

    again_s  after which it is sent again; None: it has ended
    """
    what = f"parcel {notice.shipment_no}"
    if notice.kind == "cancel":
        what = "cancelled units" if notice.shipment_no else "its cancellation"
    tries = "" if notice.attempts == 1 else f" at try {notice.attempts}"
    if outcome.fate in (Fate.DONE, Fate.ACCEPTED):
        if outcome.code in _SILENT:
            return None
        kind, sentence = "channel.told", f"{code} was told of {what}{tries}"
        if outcome.code == "known":
            sentence = f"{code} knew of {what} already"
    elif again_s is None:
        why = "it has no way to hear of it" if outcome.code == "no_way" else _because(outcome)
        kind, sentence = "channel.refused", f"{code} was not told of {what}: {why}; a person must look"
    elif notice.attempts & (notice.attempts - 1):
        return None
    else:
        kind = "channel.not_told"
        sentence = f"{code} could not be told of {what}{tries}: {_because(outcome)}; again in {again_s:.0f} s"
    data: dict[str, object] = {
        "order_id": notice.order_id, "channel": code, "tries": notice.attempts, "fate": str(outcome.fate),
        "sentence": sentence,
    }  # fmt: skip
    return kind, notice.order_id, data


def _because(outcome: Outcome) -> str:
    code = f" ({outcome.code})" if outcome.code else ""
    return f"{_WORDS.get(outcome.fate, str(outcome.fate))}{code}"


def of_batch(code: str, writes: Sequence[Write], outcomes: Sequence[Outcome], *, failures: int) -> Event | None:
    """Of numbers that were written to channel `code`; None: nothing to tell. Where it fails altogether, of the 1st,
    2nd, 4th, 8th time in a row.

    failures  so often in a row, this time included, it failed altogether
    """
    counts = Counter(outcome.fate for outcome in outcomes if outcome.fate in _WORDS)
    if not counts or failures & (failures - 1):
        return None
    parts = [f"{n} of {len(writes)} numbers: {_WORDS[fate]}" for fate, n in sorted(counts.items())]
    named = [
        {"external_id": write.external_id, "quantity": write.quantity, "fate": str(outcome.fate), "code": outcome.code}
        for write, outcome in zip(writes, outcomes, strict=True)
        if outcome.fate in _WORDS
    ]
    kind = "publication.conflict" if set(counts) == {Fate.STALE} else "publication.failed"
    data: dict[str, object] = {
        "channel": code, "fates": {str(fate): n for fate, n in sorted(counts.items())}, "listings": named[:_SHOWN],
        "sentence": f"{code}, {'; '.join(parts)}",
    }  # fmt: skip
    return kind, code, data


def of_prices(code: str, writes: Sequence[PriceWrite], outcomes: Sequence[Outcome], *, failures: int) -> Event | None:
    """Of prices that channel `code` did not take; None: nothing to tell. failures: see `of_batch`."""
    counts = Counter(outcome.fate for outcome in outcomes if outcome.fate in _WORDS)
    if not counts or failures & (failures - 1):
        return None
    parts = [f"{n} of {len(writes)} prices: {_WORDS[fate]}" for fate, n in sorted(counts.items())]
    named = [
        {
            "external_id": write.external_id, "price_minor": write.price_minor, "fate": str(outcome.fate),
            "code": outcome.code,
        }
        for write, outcome in zip(writes, outcomes, strict=True)
        if outcome.fate in _WORDS
    ]  # fmt: skip
    data: dict[str, object] = {
        "channel": code, "fates": {str(fate): n for fate, n in sorted(counts.items())}, "listings": named[:_SHOWN],
        "sentence": f"{code}, {'; '.join(parts)}",
    }  # fmt: skip
    return "prices.failed", code, data


def of_price_drift(code: str, drift: Mapping[str, Any]) -> Event:
    """Of prices at channel `code` that were not ours when they were read."""
    differing = {kind: drift[kind] for kind in ("foreign", "lost", "currency") if drift[kind]}
    count = sum(differing.values())
    sentence = f"{code} asked another price than ours for {count} of {drift['read']} listings"
    data: dict[str, object] = {
        "channel": code, "kinds": differing, "listings": drift["examples"][:_SHOWN], "sentence": sentence,
    }  # fmt: skip
    return "prices.drifted", code, data
