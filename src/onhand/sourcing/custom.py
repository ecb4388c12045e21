"""Cost terms of others: found by entry points, one file each, asked for a whole batch at once.

A term is a module, a class or an object under an entry point of the group `onhand.terms`, whose name is the term's:

    summary                    what it is, in one sentence
    fulfilment(batch)          minor units of one fulfilment of each order from each node: [orders, nodes]
    unit(batch)                minor units of one unit of each demand row from each node: [demand, nodes]
    paid                       True: it is money that is really paid, and lowers an order's profit

At least one of the two functions; `batch` is a `TermBatch`. Below zero is a saving, +inf: may not be. The solver adds
them to the built-in terms at the weight that the policy gives to the name, 1 if it gives none, and never asks at 0.

What fails never loses an order: a term that raises, or answers in another shape, counts 0 for that batch, one that is
NaN for an order counts 0 for that order; it is counted and logged (`faults`). Values are kept as float32, so that a
plan's record holds exactly what was weighed. docs/how-to/add-a-cost-term.md is for those who write one.
"""

import inspect
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import structlog

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.orders.model import TERMS
from onhand.sourcing import tables
from onhand.sourcing.policy import Policy
from onhand.sourcing.term_batch import TermBatch

if TYPE_CHECKING:
    from onhand.sourcing.solve import Asked

log = structlog.get_logger(__name__)

GROUP: Final = "onhand.terms"
# Beyond these a number is a mistake, or no money: rounded costs must fit their columns.
MINOR_MAX: Final = 1e12
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TAKEN: Final = frozenset((*TERMS, "margin_floor"))

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Ask = Callable[[TermBatch], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A cost term of others. origin: name and version of the distribution that brings it, or its module."""

    name: str
    summary: str
    origin: str
    fulfilment: Ask | None = None
    unit: Ask | None = None
    paid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How often a term has failed in this process (0: it could not be loaded), and how it did first."""

    name: str
    count: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the terms `names` ask in a batch.

    fulfilment  float32[term, orders, node_id]
    unit        float32[term, demand, node_id], or empty when no term has that
    paid        bool[term]: whether it lowers the profit
    seen        bool[orders, node_id]: who may hold anything of the order, which is what a record keeps
    """

    names: tuple[str, ...]
    fulfilment: Float32
    unit: Float32
    paid: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.bool_]

    @property
    def table(self) -> tables.Custom:
        """As the kernel reads it."""
        return tables.Custom(self.fulfilment, self.unit, self.paid)

    def only(self, orders: npt.NDArray[np.int64], demand_first: npt.NDArray[np.int32]) -> "Weighed":
        """Some of the orders, in that order. demand_first: int32[orders + 1], where the demand of each begins now."""
        if not self.names:
            return self
        sizes = np.diff(demand_first)[orders]
        starts = np.cumsum(sizes) - sizes
        demand = np.arange(int(sizes.sum())) - np.repeat(starts - demand_first[:-1][orders], sizes)
        # `take` and no index: what that gives is laid out otherwise, and the kernel would be compiled for it.
        unit = np.take(self.unit, demand, axis=1) if len(self.unit) else self.unit
        return replace(self, fulfilment=np.take(self.fulfilment, orders, axis=1), unit=unit, seen=self.seen[orders])

    @classmethod
    def join(cls, parts: Sequence["Weighed"]) -> "Weighed":
        """Batches of the same terms and nodes, orders numbered through."""
        if len(parts) == 1 or not parts[0].names:
            return parts[0]
        return replace(
            parts[0],
            fulfilment=np.concatenate([p.fulfilment for p in parts], axis=1),
            unit=np.concatenate([p.unit for p in parts], axis=1),
            seen=np.concatenate([p.seen for p in parts]),
        )


_NONE: Final = np.zeros((0, 0, 0), np.float32)
NOTHING: Final = Weighed(
    names=(), fulfilment=_NONE, unit=_NONE, paid=np.zeros(0, np.bool_), seen=np.zeros((0, 0), np.bool_)
)


# Which there are -----------------------------------------------------------------------------------------------------


@cache
def installed() -> tuple[Term, ...]:
    """The terms of others, by name, found once per process. One that cannot be used is warned of and left out."""
    found: dict[str, Term] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, _origin(e))):
        try:
            if entry.name in found:
                raise ValueError(f"{found[entry.name].origin} has a term of that name already")
            term = term_of(entry.name, entry.load(), origin=_origin(entry))
        except Exception as error:  # a broken plug-in must not keep the shop closed
            fault = _faults.lost(entry.name, error)
            # Not by the log, which programs that answer on stdout have not set up.
            warnings.warn(f"cost term {fault.name} of {_origin(entry)} {fault.message}", RuntimeWarning, stacklevel=2)
        else:
            found[term.name] = term
    return tuple(found.values())


def log_installed() -> None:
    """Say in the log which terms of others there are, and which cannot be used."""
    for term in installed():
        log.info("cost term found", term=term.name, origin=term.origin)
    for fault in faults():
        log.error("cost term left out", term=fault.name, error=fault.message)


def names() -> tuple[str, ...]:
    """Of the terms of others, in the order of their columns."""
    return tuple(term.name for term in installed())


def unasked() -> Weighed:
    """Of decisions that were put together of others: the terms have names, what they asked is not known any more."""
    return replace(NOTHING, names=names())


def term_names() -> tuple[str, ...]:
    """Of all addends of a fulfilment's cost, built-in ones first: the columns of `Decisions.terms`."""
    return (*TERMS, *names())


def term_of(name: str, given: Any, *, origin: str) -> Term:
    """A term of what an entry point names. ValueError says what is wrong with it."""
    term: Any = given() if inspect.isclass(given) else given
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} is none: expected small letters, digits and _, beginning with a letter")
    if name in _TAKEN:
        raise ValueError(f"{name!r} is the name of a built-in term")
    if getattr(term, "name", name) != name:
        raise ValueError(f"its `name` is {term.name!r}, that of its entry point {name!r}")
    summary = getattr(term, "summary", None)
    if not isinstance(summary, str) or not summary.strip():
        raise ValueError("it has no `summary`: say in a sentence what it is")
    asks = {part: getattr(term, part, None) for part in ("fulfilment", "unit")}
    if not any(asks.values()) or not all(ask is None or callable(ask) for ask in asks.values()):
        raise ValueError("expected a function `fulfilment(batch)`, `unit(batch)`, or both")
    paid = bool(getattr(term, "paid", False))
    return Term(name=name, summary=" ".join(summary.split()), origin=origin, paid=paid, **asks)


def _origin(entry: EntryPoint) -> str:
    return entry.value if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


# What they ask -------------------------------------------------------------------------------------------------------


def weigh(
    asked: "Asked",
    policy: Policy,
    network: Network,
    goods: Goods,
    free: npt.NDArray[np.int32],
    *,
    now: float,
) -> Weighed:
    """Ask every term that `policy` gives any weight, and those that are paid: what orders come to counts them whatever
    they weigh. The others are 0.

    free  int32[demand, node_id]: units that may lie at each node
    """
    terms = installed()
    if not terms:
        return NOTHING
    orders, nodes = len(asked.zone), network.count + 1
    demand = len(asked.item)
    has_units = any(term.unit for term in terms)
    fulfilment = np.zeros((len(terms), orders, nodes), np.float32)
    unit = np.zeros((len(terms) if has_units else 0, demand if has_units else 0, nodes if has_units else 0), np.float32)
    batch = TermBatch(asked, network, goods, now)
    for x, term in enumerate(terms):
        if orders and (term.paid or any(o.weights.get(term.name, 1.0) for o in policy.objectives.values())):
            found = ask(term, batch)
            if found is not None:
                fulfilment[x][:, batch.node_id] = found[0]
                if has_units:
                    unit[x][:, batch.node_id] = found[1]
    seen = np.zeros((orders, nodes), np.bool_)
    wants = np.diff(asked.demand_first) > 0
    if wants.any():
        seen[wants] = np.logical_or.reduceat(free[:, :nodes] > 0, asked.demand_first[:-1][wants])
    paid = np.array([term.paid for term in terms], np.bool_)
    return Weighed(names=tuple(term.name for term in terms), fulfilment=fulfilment, unit=unit, paid=paid, seen=seen)


def ask(term: Term, batch: TermBatch) -> tuple[Float32, Float32] | None:
    """(float32[orders, nodes] of a fulfilment, float32[demand, nodes] of a unit), sound; None: it failed, and is 0."""
    try:
        fulfilment = _answer(term.fulfilment, batch, "fulfilment", (batch.orders, batch.nodes))
        unit = _answer(term.unit, batch, "unit", (len(batch.order), batch.nodes))
    except Exception as error:  # whatever a plug-in does, the orders go on
        _faults.add(term.name, f"{type(error).__name__}: {error}")
        return None
    bad = _unsound(fulfilment)
    bad[batch.order[_unsound(unit)]] = True
    if bad.any():
        row = int(bad.argmax())
        _faults.add(term.name, f"no money for {int(bad.sum())} of {batch.orders} orders, such as row {row}: expected "
                               f"numbers from {-MINOR_MAX:.0e} to {MINOR_MAX:.0e}, or inf")  # fmt: skip
        fulfilment[bad] = 0
        unit[bad[batch.order]] = 0
    return fulfilment.astype(np.float32), unit.astype(np.float32)


def _answer(asked: Ask | None, batch: TermBatch, part: str, shape: tuple[int, int]) -> Float64:
    if asked is None:
        return np.zeros(shape)
    with np.errstate(all="ignore"):
        answer = np.asarray(asked(batch), np.float64)
    # One dimension could be either: what is right for a batch of 50 orders and 50 nodes must be so for all.
    if answer.ndim not in (0, 2) or any(n not in (1, m) for n, m in zip(answer.shape, shape, strict=False)):
        rows = "orders" if part == "fulfilment" else "demand"
        expected = f"[{rows}, nodes] = {list(shape)}, or 1 in place of either"
        raise ValueError(f"{part} answered an array of shape {list(answer.shape)}, expected {expected}")
    return np.broadcast_to(answer, shape).copy()


def _unsound(minor: Float64) -> npt.NDArray[np.bool_]:
    """bool[row]: whether any number of it is no money."""
    sound = (np.abs(minor) <= MINOR_MAX) | (minor == np.inf)
    return ~sound.all(axis=1)


# What went wrong -----------------------------------------------------------------------------------------------------


class _Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Fault] = {}

    def add(self, name: str, message: str) -> None:
        with self._lock:
            known = self._known.get(name)
            count = 1 if known is None else known.count + 1
            self._known[name] = Fault(name=name, count=count, message=message if known is None else known.message)
        # Every order would log it: the first time, the tenth, the hundredth.
        if count == 10 ** (len(str(count)) - 1):
            log.error("cost term failed and counts 0", term=name, times=count, error=message)

    def lost(self, name: str, error: Exception) -> Fault:
        fault = Fault(name=name, count=0, message=f"cannot be used: {type(error).__name__}: {error}")
        with self._lock:
            self._known[name] = fault
        return fault

    def all(self) -> list[Fault]:
        with self._lock:
            return [self._known[name] for name in sorted(self._known)]


_faults = _Faults()


def faults() -> list[Fault]:
    """Terms that failed in this process, by name."""
    return _faults.all()


__all__ = [
    "GROUP", "NOTHING", "Fault", "Term", "TermBatch", "Weighed", "ask", "faults", "installed", "names", "term_names",
    "term_of", "unasked", "weigh",
]  # fmt: skip
