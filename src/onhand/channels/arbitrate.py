"""Who is served when two channels sold the last unit. Pure.

An order waits for units that orders of other channels hold. Serving it instead of them is worth what not serving it
would lose, less what taking the units from them loses; what an order loses is the margin it brings, the penalty that
its channel asks for an order that is not served, and the days that its customer waits beyond the promise. Whoever came
first keeps what he has unless that is clearly dearer: a promise is not taken back for pennies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["backorder", "transfer", "substitute", "cancel"]

SWITCH_RATE: Final = 1.25
"""So many times what the holders lose must be at stake for them to give way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What becomes of an order that is not served from these units.

    days  until it can be served beyond its promise; None: nobody knows
    what  in words: from when, from which node, which sku
    """

    kind: Kind
    days: float | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An order's claim to units of one item.

    units               it waits for, or holds
    margin_minor        that it brings, whole
    penalty_minor       its channel asks for an order that is not served
    late_minor_per_day  a day of waiting costs this much
    placed_at           seconds since 1970
    """

    order_id: str
    channel: str
    external_id: str
    units: int
    margin_minor: int
    penalty_minor: int
    late_minor_per_day: int
    placed_at: float
    way: Way

    @property
    def loss_minor(self) -> int:
        """What not serving it now loses: waiting, if somebody knows how long and that is cheaper than losing it."""
        lost = self.margin_minor + self.penalty_minor
        if self.way.kind == "cancel" or self.way.days is None:
            return lost
        return min(lost, round(self.way.days * self.late_minor_per_day))

    @property
    def name(self) -> str:
        return f"{self.channel} {self.external_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Who is served. give_way: the holders that give their units up, none if the waiting order waits on.

    sentence  why, in one
    """

    served: str
    give_way: tuple[str, ...]
    way: Way
    sentence: str


def arbitrate(waiting: Claim, holders: Sequence[Claim]) -> Ruling:
    """Whether `holders` of other channels give way to `waiting`: those that lose least for each unit, the later ones of
    equals, until there is enough; only if that is worth SWITCH_RATE times what it costs."""
    order = sorted(holders, key=lambda c: (c.loss_minor / c.units, -c.placed_at, c.order_id))
    chosen: list[Claim] = []
    units = 0
    for claim in order:
        if units >= waiting.units:
            break
        chosen.append(claim)
        units += claim.units
    # Whom the others cover already keeps his units.
    for claim in sorted(chosen, key=lambda c: -c.loss_minor):
        if units - claim.units >= waiting.units:
            chosen.remove(claim)
            units -= claim.units
    loss = sum(claim.loss_minor for claim in chosen)
    if units < waiting.units:
        have = sum(claim.units for claim in holders)
        why = f"{waiting.name} wants {waiting.units}, others hold {have}: it gets {_words(waiting.way)}"
        return Ruling(served="", give_way=(), way=waiting.way, sentence=why)
    names = ", ".join(claim.name for claim in chosen)
    if waiting.loss_minor <= SWITCH_RATE * loss:
        why = (
            f"{names} came first and would lose {_money(loss)}, {waiting.name} {_money(waiting.loss_minor)}, which is"
            f" not {SWITCH_RATE} times as much: {waiting.name} gets {_words(waiting.way)}"
        )
        return Ruling(served=chosen[0].order_id, give_way=(), way=waiting.way, sentence=why)
    why = (
        f"{waiting.name} would lose {_money(waiting.loss_minor)}, {names} {_money(loss)}: {waiting.name} is served and"
        f" {names} gets {' and '.join(dict.fromkeys(_words(claim.way) for claim in chosen))}"
    )
    return Ruling(
        served=waiting.order_id, give_way=tuple(claim.order_id for claim in chosen), way=chosen[0].way, sentence=why
    )


def choose_way(ways: Sequence[Way], claim_loss_minor: int, late_minor_per_day: int) -> Way:
    """The cheapest of what is possible; a date before a wish, and to lose the order last."""
    lost = Way(kind="cancel", days=None, what="nothing can serve it")
    rank = {"backorder": 0, "transfer": 1, "substitute": 2, "cancel": 3}

    def cost(way: Way) -> tuple[float, int]:
        return (claim_loss_minor if way.days is None else way.days * late_minor_per_day, rank[way.kind])

    return min([*ways, lost], key=cost)


def _words(way: Way) -> str:
    article = {
        "backorder": "a backorder",
        "transfer": "a transfer",
        "substitute": "a substitute",
        "cancel": "cancelled",
    }
    return f"{article[way.kind]} ({way.what})"


def _money(minor: int) -> str:
    return f"{minor / 100:.2f}"
