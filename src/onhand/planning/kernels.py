# pyright: basic
"""Loops of planning over rows and paths, compiled."""

import numpy as np

from onhand.base.compiled import compiled


def _interval_totals(quantiles, lead, more, place, along, fraction, rank, first_row, before, after):
    """Fill before[row, path] and after[row, path]: see protection.drawn_totals."""
    rows, days, levels = quantiles.shape
    tables, paths, _ = place.shape
    kinds = lead.shape[1]
    week = min(7, days)
    rising = np.empty((days, levels), np.float32)
    for row in range(rows):
        for day in range(days):
            high = np.float32(0.0)
            for level in range(levels):
                high = max(high, quantiles[row, day, level])
                rising[day, level] = high
        table = (first_row + row) % tables
        for path in range(paths):
            wait = lead[row, rank[table, path] * kinds // paths]
            early = 0
            late = 0
            for day in range(wait + more[row]):
                at = day if day < days else days - week + (day - days) % week
                k = place[table, path, day]
                low = rising[at, k]
                units = low + along[table, path, day] * (rising[at, k + 1] - low)
                if units > 0.0:
                    whole = int(units + fraction[table, path, day])
                    if day < wait:
                        early += whole
                    else:
                        late += whole
            before[row, path] = early
            after[row, path] = late


interval_totals = compiled(_interval_totals)
