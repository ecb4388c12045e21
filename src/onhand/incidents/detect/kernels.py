# pyright: basic
"""Loops of detectors over shipments and positions, compiled."""

from typing import Any

import numpy as np

from onhand.base.compiled import bare, compiled


def _score(tables, first_e, step_e, first_d, step_d, shift, e):
    """Evidence of a residual e (in spreads) for a shift (log of spreads): of the nearest row, linear along it."""
    row = int((shift - first_d) / step_d + 0.5)
    row = min(max(row, 0), tables.shape[0] - 1)
    at = (e - first_e) / step_e
    last = tables.shape[1] - 1
    if at <= 0.0:
        return tables[row, 0]
    if at >= last:
        return tables[row, last]
    low = int(at)
    return tables[row, low] + (at - low) * (tables[row, low + 1] - tables[row, low])


score: Any = bare(_score)


def _lane_sums(begin, end, shipped, delivered, median, spread, shift, bias, cap, now, seen, waiting, grid):
    """(sum[lane], first row of its evidence[lane], largest sum of a prefix) of rows in order of lane, then shipped."""
    lanes = len(begin)
    total = np.zeros(lanes)
    since = np.full(lanes, -1)
    for lane in range(lanes):
        s = 0.0
        first = -1
        for row in range(begin[lane], end[lane]):
            if shipped[row] > now:
                break
            is_open = delivered[row] > now
            age = (now if is_open else delivered[row]) - shipped[row]
            e = (age - median[row] - bias[lane]) / spread[row]
            z = score(waiting if is_open else seen, grid[0], grid[1], grid[2], grid[3], shift[row], e)
            s += z
            if s <= 0.0:
                s = 0.0
                first = -1
            else:
                if first < 0:
                    first = row
                s = min(s, cap[lane])
        total[lane] = s
        since[lane] = first
    return total, since


lane_sums: Any = compiled(_lane_sums)


def _lane_trace(shipped, delivered, median, spread, shift, bias, cap, looks, settle, seen, waiting, grid):
    """Sums of one lane at each look, float64[look]; rows in order of shipped, looks rising.

    What is settled, delivered or given up, is added up once: looks only go over what came after it.
    """
    out = np.zeros(len(looks))
    base = 0.0
    settled = 0
    rows = len(shipped)
    for look in range(len(looks)):
        now = looks[look]
        while settled < rows and shipped[settled] <= now:
            is_open = delivered[settled] > now
            if is_open and now - shipped[settled] < settle:
                break
            age = (now if is_open else delivered[settled]) - shipped[settled]
            e = (age - median[settled] - bias) / spread[settled]
            z = score(waiting if is_open else seen, grid[0], grid[1], grid[2], grid[3], shift[settled], e)
            base = min(max(base + z, 0.0), cap)
            settled += 1
        s = base
        for row in range(settled, rows):
            if shipped[row] > now:
                break
            is_open = delivered[row] > now
            age = (now if is_open else delivered[row]) - shipped[row]
            e = (age - median[row] - bias) / spread[row]
            z = score(waiting if is_open else seen, grid[0], grid[1], grid[2], grid[3], shift[row], e)
            s = min(max(s + z, 0.0), cap)
        out[look] = s
    return out


lane_trace: Any = compiled(_lane_trace)


def _openings(sums, levels):
    """How often sums pass each level, int64[level]; it is passed again only after they fell below half of it."""
    out = np.zeros(len(levels), np.int64)
    for k in range(len(levels)):
        is_open = False
        for s in sums:
            if is_open:
                is_open = s >= 0.5 * levels[k]
            elif s >= levels[k]:
                is_open = True
                out[k] += 1
    return out


openings: Any = compiled(_openings)


def _absent(
    group, units, days, run, factor, misses, prior, hazard, log_prior, seldom, often, rate, size, per_miss, out, mean
):
    """Fill out[row] with the chance that nothing is there, mean[row] with the velocity: see phantoms.believed.

    log_prior[group, k], often[group, k] = log(rate / (rate + size)), seldom[group, k] = size log(1 + rate / size)
    """
    points = log_prior.shape[1]
    weight = np.empty(points)
    for row in range(len(group)):
        g = group[row]
        high = -np.inf
        for k in range(points):
            weight[k] = log_prior[g, k] + units[row] * often[g, k] - days[row] * seldom[g, k]
            high = max(high, weight[k])
        gone = 0.0
        here = 0.0
        velocity = 0.0
        length = run[row]
        for k in range(points):
            w = np.exp(weight[k] - high)
            if w < 1e-9:
                continue
            # A day on which only a share of the usual is wanted has the zero probability of a rate that much smaller.
            silence = seldom[g, k]
            if factor[row] != 1.0:
                silence = size[g] * np.log1p(rate[g, k] * factor[row] / size[g])
            stays = (1.0 - hazard[row]) * np.exp(-silence)
            still = stays**length
            began = 0.0
            if hazard[row] > 0.0:
                began = hazard[row] * (1.0 - still) / (1.0 - stays)
            b = (1.0 - prior[row]) * still * per_miss ** -misses[row]
            a = prior[row] + (1.0 - prior[row]) * began
            gone += w * a
            here += w * b
            velocity += w * a * rate[g, k]
        out[row] = gone / (gone + here)
        mean[row] = velocity / gone * factor[row] if gone > 0.0 else 0.0


absent: Any = compiled(_absent)
