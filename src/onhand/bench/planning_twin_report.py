"""The studies of `planning_twin_study.py` on several seeds: figures and a picture."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Final

import numpy as np

from onhand.bench.planning_twin_study import Figures, Found, Setting, one

FLOOR_LOST, AIM_LOST = 0.25, 0.40
FLOOR_NEXT, AIM_NEXT = 0.08, 0.15


def experiment(setting: Setting, seeds: Sequence[int], *, say: Callable[[str], None], processes: int = 2) -> "Report":
    """Both studies of all seeds."""
    found: list[Found] = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(one, setting, seed) for seed in seeds]
        for job in jobs:
            found.append(job.result())
            last = found[-1]
            say(f"seed {last.seed}: lost {last.ours.lost_share:.2%} against {last.average.lost_share:.2%}")
    return Report(setting=setting, found=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    setting: Setting
    found: tuple[Found, ...]

    @property
    def less_lost(self) -> float:
        """Units lost less than by averages, of all seeds, as a share."""
        return 1.0 - sum(f.ours.lost for f in self.found) / max(sum(f.average.lost for f in self.found), 1)

    @property
    def less_lost_minor(self) -> float:
        return 1.0 - sum(f.ours.lost_minor for f in self.found) / max(
            sum(f.average.lost_minor for f in self.found), 1.0
        )

    @property
    def more_next_day(self) -> float:
        """Share of units wanted that come the next day: with transfers before the demand, less without any."""
        return self.mean_of(lambda f: f.centres["flow"].next_day - f.centres["still"].next_day)

    @property
    def more_than_filled(self) -> float:
        return self.mean_of(lambda f: f.centres["flow"].next_day - f.centres["filled"].next_day)

    @property
    def breaks_foretold(self) -> float:
        """Share of promotions whose stock ran out within a day of the day foretold."""
        return self._share_of_breaks(0)

    @property
    def breaks_foretold_knowing(self) -> float:
        """The same by somebody who knows the rates of demand: no forecast can do better."""
        return self._share_of_breaks(1)

    def _share_of_breaks(self, who: int) -> float:
        return sum(f.breaks[who] for f in self.found) / max(sum(f.breaks[2] for f in self.found), 1)

    def mean_of(self, of: Callable[[Found], float]) -> float:
        return float(np.mean([of(found) for found in self.found]))

    @property
    def ok(self) -> bool:
        return self.less_lost >= FLOOR_LOST and self.more_next_day >= FLOOR_NEXT

    def document(self) -> dict[str, object]:
        return {
            "less_lost": self.less_lost,
            "less_lost_money": self.less_lost_minor,
            "more_next_day": self.more_next_day,
            "more_next_day_than_filled": self.more_than_filled,
            "more_next_day_where_all_are_supplied": self.mean_of(lambda f: f.flow.next_day - f.ours.next_day),
            "breaks_foretold": self.breaks_foretold,
            "breaks_foretold_knowing_rates": self.breaks_foretold_knowing,
            "net_minor": self.mean_of(lambda f: net_minor(f.centres["flow"], f.centres["still"])),
            "ok": self.ok,
            "setting": asdict(self.setting),
            "seeds": [asdict(found) for found in self.found],
        }


def net_minor(moved: Figures, still: Figures) -> float:
    """Money that transfers gain: parcels that are nearer, less what the transfers cost and what is lost meanwhile. What
    an earlier day is worth to shoppers is not in it."""
    return (still.last_mile_minor - moved.last_mile_minor) - moved.moving_minor - (moved.lost_minor - still.lost_minor)


def table(report: Report) -> str:
    """Both studies in words and figures."""
    rows = [
        "lost sales, 90 days each          by forecast                by average (s, S)          rates known",
        "seed        lost units  money k  capital k    lost units  money k  capital k    lost units",
    ]
    rows[0] = rows[0].replace("90 days", f"{report.setting.days} days")
    for f in report.found:
        a, b = f.ours, f.average
        rows.append(
            f"{f.seed:<10}{_lost(a)}{a.lost_minor / 1e5:9.1f}{a.capital / 1e5:11.1f}"
            f"  {_lost(b)}{b.lost_minor / 1e5:9.1f}{b.capital / 1e5:11.1f}  {_lost(f.rates)}"
        )
    rows += [
        f"less lost by {report.less_lost:.0%} of units, {report.less_lost_minor:.0%} of money;"
        f" floor {FLOOR_LOST:.0%}, aim {AIM_LOST:.0%}",
    ]
    for n, carrying in enumerate(report.setting.carrying[1:], 1):
        ours, average = (sum(f.curve[n][k].lost for f in report.found) for k in (0, 1))
        capital = report.mean_of(lambda f, n=n: f.curve[n][0].capital / f.ours.capital)
        rows.append(
            f"with {capital:.2f} times the capital (carrying {carrying:g}): {1 - ours / max(average, 1):.0%} less"
        )
    rows += [
        "",
        "next day                        next day   lost    days   held k  moved  transfers k  parcels k",
    ]
    for name, arm in _ARMS.items():
        of = [arm(f) for f in report.found]
        rows.append(
            f"{name:30}{_mean(of, 'next_day'):10.1%}{_mean(of, 'lost_share'):8.1%}{_mean(of, 'days'):8.2f}"
            f"{_mean(of, 'held') / 1e5:9.1f}{_mean(of, 'moved'):7.2f}{_mean(of, 'moving_minor') / 1e5:13.2f}"
            f"{_mean(of, 'last_mile_minor') / 1e5:11.1f}"
        )
    net = report.mean_of(lambda f: net_minor(f.centres["flow"], f.centres["still"]))
    rows.append(
        f"next day {100 * report.more_next_day:+.1f} points against nothing moved ({100 * report.more_than_filled:+.1f}"
        f" against filled up by averages), net {net / 1e5:.1f} k a seed;"
        f" floor {100 * FLOOR_NEXT:+.0f}, aim {100 * AIM_NEXT:+.0f}"
    )
    rows.append(
        f"stock for a promotion runs out within a day of the day foretold: {report.breaks_foretold:.0%} of"
        f" {sum(f.breaks[2] for f in report.found)},"
        f" {report.breaks_foretold_knowing:.0%} by somebody who knows the rates"
    )
    return "\n".join(rows) + "\n"


def _lost(of: Figures) -> str:
    return f"{of.lost:6d} {of.lost_share:5.1%}"


def _mean(of: Sequence[Figures], name: str) -> float:
    return float(np.mean([getattr(f, name) for f in of]))


_ARMS: Final[Mapping[str, Callable[[Found], Figures]]] = {
    "two centres, nothing moved": lambda f: f.centres["still"],
    "two centres, by averages": lambda f: f.centres["filled"],
    "two centres, by forecasts": lambda f: f.centres["flow"],
    "all nodes, nothing moved": lambda f: f.ours,
    "all nodes, by forecasts": lambda f: f.flow,
}
_WIDE, _HIGH, _TOP = 340, 250, 60


def picture(report: Report) -> str:
    """As SVG: units lost by seed, by averages and by forecasts; and what comes the next day, by how stock is moved."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="12">',
        '<rect width="900" height="380" fill="#ffffff"/>',
        *_lost_by_seed(report, 60),
        *_next_day(report, 480),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(left: int, title: str, most: float) -> list[str]:
    parts = [f'<text x="{left}" y="{_TOP - 34}" font-weight="bold">{title}</text>']
    for n in range(5):
        y = _TOP + _HIGH * (1 - n / 4)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + _WIDE}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * most * n / 4:.3g}</text>')
    return parts


def _bar(x: float, wide: float, share: float, most: float, colour: str) -> str:
    high = _HIGH * min(share / most, 1.0)
    return (
        f'<rect x="{x:.1f}" y="{_TOP + _HIGH - high:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}">'
        f"<title>{share:.1%}</title></rect>"
    )


def _lost_by_seed(report: Report, left: int) -> list[str]:
    most = math.ceil(100 * max(f.average.lost_share for f in report.found) / 4) * 4 / 100
    parts = _frame(left, "lost sales with the same capital, % of units wanted", most)
    step = _WIDE / len(report.found)
    for n, f in enumerate(report.found):
        x = left + step * (n + 0.14)
        parts.append(_bar(x, step * 0.34, f.average.lost_share, most, "#9e9e9e"))
        parts.append(_bar(x + step * 0.36, step * 0.34, f.ours.lost_share, most, "#1565c0"))
        middle = x + step * 0.35
        parts.append(f'<text x="{middle:.1f}" y="{_TOP + _HIGH + 18}" text-anchor="middle">seed {f.seed}</text>')
    parts.append(f'<text x="{left}" y="{_TOP - 14}" fill="#757575">(s, S) by 28-day average</text>')
    parts.append(f'<text x="{left + 170}" y="{_TOP - 14}" fill="#1565c0">by forecasts</text>')
    return parts


def _next_day(report: Report, left: int) -> list[str]:
    parts = _frame(left, "delivered the next day, % of units wanted", 1.0)
    colours = {"nothing moved": "#9e9e9e", "by averages": "#78909c", "by forecasts": "#1565c0"}
    step = _WIDE / len(_ARMS)
    for n, (name, arm) in enumerate(_ARMS.items()):
        how = name.split(", ")[1]
        share = report.mean_of(lambda f, arm=arm: arm(f).next_day)
        x = left + step * (n + 0.12)
        parts.append(_bar(x, step * 0.76, share, 1.0, colours[how]))
        middle, top = x + step * 0.38, _TOP + _HIGH * (1 - share) - 5
        parts.append(f'<text x="{middle:.1f}" y="{top:.1f}" text-anchor="middle">{share:.0%}</text>')
        for line, word in enumerate(how.split(" ")):
            parts.append(
                f'<text x="{middle:.1f}" y="{_TOP + _HIGH + 16 + 14 * line}" text-anchor="middle">{word}</text>'
            )
    at = _TOP + _HIGH + 52
    parts.append(
        f'<text x="{left + 1.5 * step:.1f}" y="{at}" text-anchor="middle">suppliers deliver to two centres</text>'
    )
    parts.append(f'<text x="{left + 4 * step:.1f}" y="{at}" text-anchor="middle">... to all nodes</text>')
    return parts
