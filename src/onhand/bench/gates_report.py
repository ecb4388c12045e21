"""The experiment of `gates.py` from end to end, its figures, and its picture."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from onhand.bench import gates
from onhand.bench.gates import CHANNELS, Buffer, FixedSearch, Period, Score, Setting
from onhand.channels.gates import Bursts, decide, no_sales, nothing_told, observe
from onhand.channels.gates.demand import fit_bursts

ALPHA = 0.001
# At least so much less is lost: at equal total oversell, and with every channel within its target.
FLOOR_TOTAL, FLOOR_EACH = 0.40, 0.30
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it; scores are of test shops, in percent.

    bursts           as fitted to the sales of a training shop
    together, each   computed gates with one budget for all channels, and with a budget each
    fixed_each       the best fixed buffer with every channel within the target on the training shops
    fixed_lost       avoidable lost sales of fixed buffers at the total oversell of `together`
    less_total, less_each  how much less is lost, 0 to 1
    """

    seconds: float
    looked_at: int
    bursts: Bursts
    taus_together: tuple[float, ...]
    taus_each: tuple[float, ...]
    went: list[Period]
    fixed_curve: list[tuple[Buffer, Score]]
    fixed_each_curve: list[Score]
    curve: list[Score]
    each_curve: list[Score]
    none: Score
    together: Score
    each: Score
    fixed_each: tuple[Buffer, Score]
    fixed_lost: float
    less_total: float
    less_each: float

    @property
    def ok(self) -> bool:
        return (
            self.less_total >= FLOOR_TOTAL
            and self.less_each >= FLOOR_EACH
            and max(self.each.by_channel) <= 100.0 * ALPHA
        )

    def document(self) -> dict[str, object]:
        return {**asdict(self), "bursts": self.bursts._asdict(), "ok": self.ok}


def experiment(
    setting: Setting, *, items: int, search_items: int, seeds: int, periods: int, progress: Callable[[str], None]
) -> Report:
    """Search fixed buffers, learn prices of risk, and compare on shops of `items` that neither has seen."""
    began = time.perf_counter()
    progress("bursts, fitted to a week of 400 items")
    past = gates.draw(50, items=400, one_channel=setting.one_channel)
    bursts = fit_bursts(past.shop.first, past.shop.at_h, past.shop.channel, past.forecast, past.shop.end_h)
    progress(f"{bursts}; prices of risk, learned in {periods} periods of 300 items")
    taus_together, _ = gates.learn(setting, bursts, alpha=ALPHA, together=True, periods=periods, seed=100)
    taus_each, went = gates.learn(setting, bursts, alpha=ALPHA, together=False, periods=periods, seed=200)
    progress(f"together {_short(taus_together)}, each {_short(taus_each)}; fixed buffers, on 2 x {search_items} items")
    search = FixedSearch(
        [gates.draw(s, items=search_items, one_channel=setting.one_channel) for s in (11, 12)], setting
    )
    front = search.curve()
    chosen = search.each_below(100.0 * ALPHA)
    front_each = search.front(lambda of: max(of.by_channel))
    progress(f"{len(search.seen)} looked at, best with every channel in target {chosen}; test")

    worlds = [gates.draw(1000 + s, items=items, one_channel=setting.one_channel) for s in range(seeds)]

    def fixed(buffer: Buffer) -> Score:
        return gates.score_fixed(worlds, setting, buffer)

    def computed(taus: Sequence[float]) -> Score:
        return gates.score_computed(worlds, setting, taus, bursts)

    fixed_curve = [(buffer, fixed(buffer)) for buffer in front]
    together, each, fixed_each = computed(taus_together), computed(taus_each), fixed(chosen)
    curve, each_curve = [together], [each]
    for factor in FACTORS:
        if factor != 1.0:
            progress(f"curves, factor {factor:g}")
            curve.append(computed([tau * factor for tau in taus_together]))
            each_curve.append(computed([tau * factor for tau in taus_each]))
    fixed_lost = gates.lost_at([of for _, of in fixed_curve], together.total)
    return Report(
        seconds=time.perf_counter() - began,
        looked_at=len(search.seen),
        bursts=bursts,
        taus_together=taus_together,
        taus_each=taus_each,
        went=went,
        fixed_curve=fixed_curve,
        fixed_each_curve=[fixed(buffer) for buffer in front_each],
        curve=sorted(curve, key=lambda of: of.total),
        each_curve=sorted(each_curve, key=lambda of: max(of.by_channel)),
        none=fixed(Buffer(units=(0,) * 4, of_stock=(0.0,) * 4, of_base=(0.0,) * 4)),
        together=together,
        each=each,
        fixed_each=(chosen, fixed_each),
        fixed_lost=fixed_lost,
        less_total=1.0 - together.lost / fixed_lost,
        less_each=1.0 - each.lost / fixed_each.lost,
    )


def _short(numbers: Sequence[float]) -> str:
    return "/".join(f"{number:.3g}" for number in numbers)


def table(report: Report) -> str:
    """Lines for people."""
    head = f"{'':34}{'avoidably':>10}   oversold, % of orders taken\n"
    head += f"{'':34}{'lost, %':>10}" + "".join(f"{name:>9}" for name in (*CHANNELS, "all")) + f"{'writes':>9}\n"

    def line(name: str, of: Score) -> str:
        return (
            f"{name:34}{of.lost:10.3f}"
            + "".join(f"{x:9.3f}" for x in (*of.by_channel, of.total))
            + f"{of.writes:9.2f}\n"
        )

    fixed = "fixed, best at this total oversell"
    text = head + line("no gate", report.none) + line("computed, one budget", report.together)
    text += f"{fixed:34}{report.fixed_lost:10.3f}" + " " * 36 + f"{report.together.total:9.3f}\n"
    text += line("computed, a budget each", report.each) + line("fixed, best with each in target", report.fixed_each[1])
    text += f"\nlost at equal total oversell {-100 * report.less_total:+.0f} %, at least {-100 * FLOOR_TOTAL:.0f} %\n"
    text += f"lost with every channel in target {-100 * report.less_each:+.0f} %, at least {-100 * FLOOR_EACH:.0f} %\n"
    text += f"most oversold channel {max(report.each.by_channel):.3f} %, at most {100 * ALPHA:.1f} %\n"
    return text + ("all floors are met\n" if report.ok else "A FLOOR IS MISSED\n")


def picture(report: Report) -> str:
    """Both curves as SVG: lost over total oversell, and over the oversell of the worst channel."""
    fixed = sorted((of.total, of.lost) for _, of in report.fixed_curve)
    fixed_each = sorted((max(of.by_channel), of.lost) for of in report.fixed_each_curve)
    ours = [(of.total, of.lost) for of in report.curve]
    ours_each = [(max(of.by_channel), of.lost) for of in report.each_curve]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 380" font-family="sans-serif" font-size="12">',
        '<rect width="860" height="380" fill="#ffffff"/>',
        *_panel(60, "oversold orders in all, %", fixed, ours),
        *_panel(490, "oversold orders of the worst channel, %", fixed_each, ours_each),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


_WIDE, _HIGH, _TOP = 340, 270, 50
_LEFT_END, _RIGHT_END, _LOST_MOST = 0.005, 2.0, 5.0


def _panel(
    left: int, label: str, fixed: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]]
) -> list[str]:
    def x(oversold: float) -> float:
        share = math.log(max(oversold, _LEFT_END) / _LEFT_END) / math.log(_RIGHT_END / _LEFT_END)
        return left + _WIDE * min(1.0, share)

    def y(lost: float) -> float:
        low = -1.0
        return _TOP + _HIGH * (1.0 - (min(max(lost, low), _LOST_MOST) - low) / (_LOST_MOST - low))

    def path(points: Sequence[tuple[float, float]], colour: str) -> list[str]:
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        dots = [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in points]
        return [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]

    parts = [f'<rect x="{left}" y="{_TOP}" width="{_WIDE}" height="{_HIGH}" fill="none" stroke="#999999"/>']
    for tick in (0.005, 0.01, 0.03, 0.1, 0.3, 1.0):
        weight = "#c62828" if tick == 0.1 else "#dddddd"
        at = f"{x(tick):.1f}"
        parts.append(f'<line x1="{at}" y1="{_TOP}" x2="{at}" y2="{_TOP + _HIGH}" stroke="{weight}"/>')
        parts.append(f'<text x="{at}" y="{_TOP + _HIGH + 16}" text-anchor="middle">{tick:g}</text>')
    for lost in range(-1, 6):
        at = f"{y(lost):.1f}"
        parts.append(f'<line x1="{left}" y1="{at}" x2="{left + _WIDE}" y2="{at}" stroke="#eeeeee"/>')
        parts.append(f'<text x="{left - 6}" y="{y(lost) + 4:.1f}" text-anchor="end">{lost}</text>')
    parts += path(fixed, "#757575") + path(ours, "#1565c0")
    middle = left + _WIDE / 2
    parts.append(f'<text x="{middle}" y="{_TOP + _HIGH + 38}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{left}" y="{_TOP - 26}">avoidably lost sales, % of orders</text>')
    parts.append(f'<text x="{left}" y="{_TOP - 8}" fill="#1565c0">computed gates</text>')
    parts.append(f'<text x="{left + 110}" y="{_TOP - 8}" fill="#757575">best fixed buffers</text>')
    return parts


def seconds_to_decide(listings: int = 100_000) -> tuple[float, float]:
    """(seconds for all from cold, seconds for one changed item) of shops with four channels; the best of some."""
    items = listings // len(CHANNELS)
    world = gates.draw(7, items=items, days=0.1)
    setting = Setting()
    by = gates.rule(setting, [0.05] * len(CHANNELS))
    bursts = Bursts()
    velocity = no_sales(world.forecast, bursts=bursts)
    stock = np.maximum(1, world.shop.base // 2).astype(np.int32)
    due = np.full(items, 24.0)
    everything = np.arange(items, dtype=np.int32)
    all_of, one_of = math.inf, math.inf
    one = np.array([5], dtype=np.int32)
    told = nothing_told(items, len(CHANNELS))
    for _ in range(3):
        told = nothing_told(items, len(CHANNELS))
        start = time.perf_counter()
        decide(velocity, told, everything, stock, due, due + 3.0, by, bursts, 1.0)
        all_of = min(all_of, time.perf_counter() - start)
    for n in range(50):
        now = np.array([1.0 + 0.01 * n])
        start = time.perf_counter()
        observe(velocity, one, one % 4, one * 0 + 1, now, bursts)
        decide(velocity, told, one, stock[one], due[one], due[one] + 3.0, by, bursts, float(now[0]))
        one_of = min(one_of, time.perf_counter() - start)
    return all_of, one_of
