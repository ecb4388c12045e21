"""What goods cost at a border, and in tax at home, that nobody gives back: rules compiled to rates by destination, by
country of the node, and by class of goods.

For the shipping of one order from one node: what is due is `rate` x value of each line, by its class, and once `fee`,
as soon as the value of the shipment exceeds `de_minimis`.
"""

import math
import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from onhand.base.dates import EPOCH

Float64 = npt.NDArray[np.float64]
Goods = tuple[str | None, str | None]
"""Customs tariff number and category of an item."""

PROVIDERS = "onhand.tax_providers"
# Of destinations that only a provider tells apart; regions come from strangers. Beyond, the rules alone count.
ASKED_MAX = 1_024
_KEYS_MAX = 100_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What is due on goods, as shares of their value; shares of it that come back, or that customers pay, are no cost.

    duty_rate               of the value
    duty_recoverable_share  of the duty
    tax_rate                of the value with the duty on it
    unrecoverable_share     of the tax
    """

    duty_rate: float = 0.0
    duty_recoverable_share: float = 0.0
    tax_rate: float = 0.0
    unrecoverable_share: float = 0.0

    def __post_init__(self) -> None:
        rates = self.duty_rate, self.tax_rate
        shares = self.duty_recoverable_share, self.unrecoverable_share
        if not all(math.isfinite(r) and r >= 0 for r in rates) or not all(0 <= s <= 1 for s in shares):
            raise ValueError(f"expected rates of at least 0 and shares from 0 to 1, got {self!r}")

    @property
    def cost(self) -> float:
        """Money lost per money of value. Import tax is levied on the value with the duty (as Directive 2006/112/EC,
        article 86(1)(a), has it for the European Union); freight, which is part of that value too, is left out."""
        duty = self.duty_rate * (1 - self.duty_recoverable_share)
        return duty + (1 + self.duty_rate) * self.tax_rate * self.unrecoverable_share


class TaxProvider(Protocol):
    """An outside tax engine. Installed under the entry-point group `onhand.tax_providers` as a callable without
    arguments that makes one.

    It is asked while an order waits, once per destination, day, country of nodes and class of goods: it answers from
    memory, or knows by itself when to give up.
    """

    def rates(
        self,
        from_country: str,
        to_country: str,
        to_region: str,
        hs_code: str | None,
        category: str | None,
        on: date,
    ) -> Rate | None:
        """The rate of some goods on a day; None: the network's own rules decide. What it raises counts as None."""
        ...


class _Rule(NamedTuple):
    """A rule as it is looked up. None matches everything; `imports`: it names no origin and is for borders only."""

    imports: bool
    origins: frozenset[str] | None
    countries: frozenset[str] | None
    regions: frozenset[str] | None
    hs_prefixes: tuple[str, ...] | None
    categories: frozenset[str] | None
    first_day: int
    end_day: float
    cost: float
    de_minimis: float
    fee: float

    def leads_to(self, country: str, region: str, day: int) -> bool:
        return (
            self.first_day <= day < self.end_day
            and (self.countries is None or country in self.countries)
            and (self.regions is None or region in self.regions or f"{country}-{region}" in self.regions)
        )

    def comes_from(self, origin: str, country: str) -> bool:
        return origin != country if self.imports else self.origins is None or origin in self.origins

    def is_for_category(self, category: str | None) -> bool:
        return self.categories is None or category in self.categories

    @property
    def is_general(self) -> bool:
        return self.hs_prefixes is None and self.categories is None


class _Destination(NamedTuple):
    country: str
    region: str
    day: int
    rules: frozenset[int]  # those that lead there on that day
    is_asked: bool  # whether the provider has a say


class DutyTable:
    """Rates for the destinations and goods seen so far.

    `node_origin`  int32[node_id]: index of the node's country
    `rate`         float64[row, origin, class]: money lost per money of value
    `de_minimis`   float64[row, origin]: value of a shipment, in minor units, up to which nothing is due
    `fee`          float64[row, origin]: minor units per shipment above it

    A rule that names goods decides on their rate; threshold and fee belong to the shipment, and are those of the first
    rule for all goods that matches, or when there is none of the first one that matches.

    Row 0 is for destinations where nothing is due; class 0 is for goods of which nothing is known. Rows and classes are
    only ever added: read the arrays after `row` and `class_of`, they may have grown. Safe for several threads.
    """

    def __init__(
        self,
        rules: Sequence[Mapping[str, Any]],
        node_countries: Sequence[str],
        provider: TaxProvider | None = None,
    ) -> None:
        """rules           documents (see DutyIn) with their code
        node_countries  by node_id; "" for ids that are no node
        """
        ordered = sorted(rules, key=lambda rule: (rule.get("priority", 100), rule["code"]))
        self._rules = [_rule(rule) for rule in ordered]
        self._provider = provider
        self.has_duties = bool(self._rules) or provider is not None
        self.origins = sorted(set(node_countries)) or [""]
        self.node_origin = np.array([self.origins.index(country) for country in node_countries], np.int32)
        self._named_regions = {r for rule in self._rules for r in rule.regions or ()}
        # Days between which no rule begins or ends.
        self._turns = sorted({day for rule in self._rules for day in (rule.first_day, rule.end_day) if day < math.inf})
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str, int], int] = {}
        self._rows_of_rules: dict[tuple[str, frozenset[int]], int] = {}
        self._rows_asked: dict[tuple[str, str], int] = {}
        self._destinations = [_Destination("", "", 0, frozenset(), is_asked=False)]
        # A customs tariff has thousands of rules: found by the beginnings of a number, not one after the other.
        self._rules_by_prefix: dict[str, list[int]] = {}
        for n, rule in enumerate(self._rules):
            for prefix in rule.hs_prefixes or ("",):
                self._rules_by_prefix.setdefault(prefix, []).append(n)
        self._goods: list[Goods] = [(None, None)]
        self._goods_rules = [self._rules_for((None, None))]
        self._classes: dict[Goods, int] = {(None, None): 0}
        self._classes_of_rules = {self._goods_rules[0]: 0}
        rows = 4 if self.has_duties else 1
        self.rate: Float64 = np.zeros((rows, len(self.origins), rows))
        self.de_minimis: Float64 = np.zeros((rows, len(self.origins)))
        self.fee: Float64 = np.zeros((rows, len(self.origins)))

    def row(self, country: str, region: str, day: int) -> int:
        """Row of the arrays for a destination (ISO 3166-1; ISO 3166-2 with or without the country) on a day since
        1970-01-01."""
        if not self.has_duties:
            return 0
        region = region.removeprefix(f"{country}-")
        if self._provider is None:
            # Only what some rule looks at tells destinations and days apart.
            region = region if region in self._named_regions or f"{country}-{region}" in self._named_regions else ""
            key = country, region, bisect_right(self._turns, day)
        else:
            key = country, region, day
        row = self._rows.get(key)
        return self._add_row(key, country, region, day) if row is None else row

    def class_of(self, hs_code: str | None, category: str | None) -> int:
        """Class of goods of a customs tariff number and a category."""
        if not self.has_duties:
            return 0
        goods = hs_code, category
        found = self._classes.get(goods)
        return self._add_class(goods) if found is None else found

    def classes_of(self, goods: Iterable[Goods]) -> npt.NDArray[np.int32]:
        """`class_of` each, int32[goods]."""
        return np.array([self.class_of(*each) for each in goods], np.int32)

    def _add_row(self, key: tuple[str, str, int], country: str, region: str, day: int) -> int:
        rules = frozenset(n for n, rule in enumerate(self._rules) if rule.leads_to(country, region, day))
        with self._lock:
            # Another thread may have been faster.
            row = self._rows.get(key)
            if row is None:
                if len(self._rows) >= _KEYS_MAX:
                    self._rows.clear()
                row = self._row_of(_Destination(country, region, day, rules, is_asked=self._provider is not None))
                self._rows[key] = row
        return row

    def _row_of(self, to: _Destination) -> int:
        at = to.country, to.region
        if to.is_asked and at not in self._rows_asked and len(self._rows_asked) >= ASKED_MAX:
            to = to._replace(is_asked=False)
        # Rules for imports tell a country of nodes from the others.
        at_home = to.country if to.country in self.origins else ""
        if not to.is_asked:
            known = self._rows_of_rules.get((at_home, to.rules)) if to.rules else 0
            if known is not None:
                return known
        row = len(self._destinations)
        if row >= len(self.rate):
            self.rate = _grown(self.rate, (row * 2, *self.rate.shape[1:]))
            self.de_minimis = _grown(self.de_minimis, (row * 2, len(self.origins)))
            self.fee = _grown(self.fee, (row * 2, len(self.origins)))
        self._fill(row, to, range(len(self._goods)))
        for o, origin in enumerate(self.origins):
            self.de_minimis[row, o], self.fee[row, o] = self._thresholds(to, origin)
        if to.is_asked:
            # Most days are as the day before: no row of their own.
            before = self._rows_asked.get(at)
            if before is not None and all(
                np.array_equal(array[row], array[before]) for array in (self.rate, self.de_minimis, self.fee)
            ):
                self._destinations[before] = to
                return before
            self._rows_asked[at] = row
        else:
            self._rows_of_rules[at_home, to.rules] = row
        self._destinations.append(to)
        return row

    def _add_class(self, goods: Goods) -> int:
        rules = self._rules_for(goods)
        with self._lock:
            known = self._classes_of_rules.get(rules) if self._provider is None else self._classes.get(goods)
            if known is None:
                known = len(self._goods)
                if known >= self.rate.shape[2]:
                    self.rate = _grown(self.rate, (*self.rate.shape[:2], known * 2))
                self._goods.append(goods)
                self._goods_rules.append(rules)
                for row, to in enumerate(self._destinations):
                    self._fill(row, to, range(known, known + 1))
                self._classes_of_rules[rules] = known
            self._classes[goods] = known
        return known

    def _rules_for(self, goods: Goods) -> tuple[int, ...]:
        """The rules for some goods, in their order."""
        hs_code, category = goods
        digits = _digits(hs_code or "")
        found = {n for end in range(len(digits) + 1) for n in self._rules_by_prefix.get(digits[:end], ())}
        return tuple(n for n in sorted(found) if self._rules[n].is_for_category(category))

    def _fill(self, row: int, to: _Destination, classes: range) -> None:
        """Set the rates of some classes of a row."""
        ask = _Asking(self._provider if to.is_asked else None, to)
        for o, origin in enumerate(self.origins):
            if not origin:
                continue
            for c in classes:
                cost = ask.cost(origin, self._goods[c])
                if cost is None:
                    ways = (self._rules[n] for n in self._goods_rules[c] if n in to.rules)
                    cost = next((rule.cost for rule in ways if rule.comes_from(origin, to.country)), 0.0)
                self.rate[row, o, c] = cost
        ask.tell()

    def _thresholds(self, to: _Destination, origin: str) -> tuple[float, float]:
        ways = (self._rules[n] for n in sorted(to.rules))
        rules = [rule for rule in ways if rule.comes_from(origin, to.country)]
        rule = next((rule for rule in rules if rule.is_general), rules[0] if rules else None)
        return (0.0, 0.0) if rule is None else (rule.de_minimis, rule.fee)


class _Asking:
    """Asks a provider for the rates of one row, until it raises: then the rules count for the rest of it."""

    def __init__(self, provider: TaxProvider | None, to: _Destination) -> None:
        self._provider = provider
        self._to = to
        self._unknown = 0
        self._error: Exception | None = None

    def cost(self, origin: str, goods: Goods) -> float | None:
        """Money lost per money of value, None when the rules decide."""
        if self._provider is None or self._error is not None:
            return None
        to = self._to
        try:
            rate = self._provider.rates(origin, to.country, to.region, *goods, EPOCH + timedelta(days=to.day))
            if rate is not None:
                return rate.cost
        except Exception as error:  # whatever a stranger's code raises: orders go on
            self._error = error
        else:
            self._unknown += 1
        return None

    def tell(self) -> None:
        """One line, however many rates were asked for."""
        to = {"country": self._to.country, "region": self._to.region}
        if self._error is not None:
            log.warning("tax provider failed; the network's rules count instead", **to, error=repr(self._error))
        elif self._unknown:
            log.info("tax provider knows no rate; the network's rules count instead", **to, rates=self._unknown)


class _FirstAnswer:
    """Several providers as one: the first that knows a rate."""

    def __init__(self, providers: Sequence[TaxProvider]) -> None:
        self._providers = providers

    def rates(
        self, from_country: str, to_country: str, to_region: str, hs_code: str | None, category: str | None, on: date
    ) -> Rate | None:
        """The first rate that is known."""
        for provider in self._providers:
            rate = provider.rates(from_country, to_country, to_region, hs_code, category, on)
            if rate is not None:
                return rate
        return None


@lru_cache(maxsize=1)
def installed_provider() -> TaxProvider | None:
    """The tax providers that are installed, by name, as one; None without any. One that cannot be loaded is logged and
    left out."""
    found: list[TaxProvider] = []
    for entry in sorted(entry_points(group=PROVIDERS), key=lambda entry: entry.name):
        try:
            found.append(entry.load()())
        except Exception as error:  # a broken plug-in must not keep the shop closed
            log.error("tax provider cannot be loaded", provider=entry.name, error=repr(error))
    if not found:
        return None
    return found[0] if len(found) == 1 else _FirstAnswer(found)


def _rule(rule: Mapping[str, Any]) -> _Rule:
    until = rule.get("valid_until")
    origins = frozenset(rule.get("from_countries") or ())
    rates = ("duty_rate", "duty_recoverable_share", "tax_rate", "unrecoverable_share")
    return _Rule(
        imports=not origins,
        origins=origins or None,
        countries=frozenset(rule.get("to_countries") or ()) or None,
        regions=frozenset(rule.get("to_regions") or ()) or None,
        hs_prefixes=tuple(_digits(prefix) for prefix in rule.get("hs_prefixes") or ()) or None,
        categories=frozenset(rule.get("categories") or ()) or None,
        first_day=_day(rule["valid_from"]),
        end_day=math.inf if until is None else _day(until) + 1,
        cost=Rate(**{name: rule.get(name) or 0.0 for name in rates}).cost,
        de_minimis=rule.get("de_minimis_minor") or 0,
        fee=rule.get("fee_minor") or 0,
    )


def _digits(hs_code: str) -> str:
    return hs_code.replace(".", "").replace(" ", "")


def _day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def _grown(array: Float64, shape: tuple[int, ...]) -> Float64:
    grown = np.zeros(shape)
    grown[tuple(map(slice, array.shape))] = array
    return grown
