"""The report of a backtest as one page, which needs nothing else to be read: no script, no request."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root{--page:#f7f7f5;--card:#fff;--ink:#1a1c1e;--soft:#5d6469;--line:#d9dcdd;--better:#0b7a53;--worse:#b3261e;
--same:#7b8388;--made:#0b63b8}
@media (prefers-color-scheme:dark){:root{--page:#131517;--card:#1c1f22;--ink:#e9ebec;--soft:#a2aab0;--line:#363b40;
--better:#4cc38a;--worse:#ff8a80;--same:#8d959b;--made:#6cb6ff}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:68rem;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.6rem;margin:0}
h2{font-size:1.15rem;margin:2.5rem 0 .75rem}p{margin:.4rem 0;max-width:46rem}.soft{color:var(--soft)}
.better{color:var(--better)}.worse{color:var(--worse)}.same{color:var(--same)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;margin-top:1.5rem}
.card,.wide,figure{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem 1rem}
.card b{display:block;font-size:1.55rem;font-variant-numeric:tabular-nums;line-height:1.25}
.card small,.card span{display:block;color:var(--soft);font-size:.86rem}
.wide{overflow-x:auto;margin-top:.75rem}.fans{display:grid;grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));
gap:.75rem}figure{margin:0}figcaption{font-size:.92rem}figcaption span{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th{font-weight:600;color:var(--soft);text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}tr:last-child td{border-bottom:0}
svg{display:block;width:100%;height:auto;max-width:60rem}svg text{fill:var(--ink);font:13px system-ui,sans-serif}
svg .soft{fill:var(--soft)}svg .axis{stroke:var(--line)}.key{display:inline-block;width:1.4rem;height:.7rem;
margin:0 .35rem 0 .9rem;vertical-align:baseline}
"""


def page(report: Mapping[str, Any], title: str) -> str:
    """The page of a report (demand/backtest.py)."""
    everything = report["segments"][0]
    origins = report["origins"]
    span = origins[0]["origin"] if len(origins) == 1 else f"{origins[0]['origin']} to {origins[-1]['origin']}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{everything["series"]:,} series, {report["horizon"]} periods ahead, from {len(origins)} '
        f"past origin{'s' if len(origins) > 1 else ''}: {escape(span)}. Each forecast knew nothing later.</p>",
        '<div class="cards">',
        *_cards(report),
        "</div>",
        "<h2>Value added over the baseline</h2>",
        '<p class="soft">The share by which scaled pinball loss is smaller than that of the baseline, with a '
        "90&nbsp;% interval: of each kind of demand over all origins, and of all series at each origin. A bar that "
        "crosses the line at 0 may be chance.</p>",
        f'<div class="wide">{_gains(report)}</div>',
        "<h2>Who is in charge</h2>",
        f'<div class="wide">{_table(report["segments"])}</div>',
        "<h2>Coverage</h2>",
        '<p class="soft">The share of demand that came within each central interval, over the share that it is to '
        "hold. On the line is right; below it, intervals are too narrow.</p>",
        f'<div class="wide">{_coverage(everything)}</div>',
        "<h2>Some series at the latest origin</h2>",
        f'<p class="soft">{_fan_keys(report["levels"])}</p>',
        f'<div class="fans">{"".join(_fan(fan) for fan in report["fans"])}</div>',
        *_contributions(report["contributions"]),
        "<h2>Each origin</h2>",
        f'<div class="wide">{_origins(origins)}</div>',
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _percent(value: float | None, *, sign: bool = False) -> str:
    return "&ndash;" if value is None else f"{value * 100:{'+' if sign else ''}.1f}&nbsp;%"


def _verdict(row: Mapping[str, Any]) -> str:
    if row["gain_low"] is not None and row["gain_low"] > 0:
        return "better"
    return "worse" if row["gain_high"] is not None and row["gain_high"] < 0 else "same"


def _cards(report: Mapping[str, Any]) -> list[str]:
    row = report["segments"][0]
    widest = max(row["coverage"], key=float)
    took = sum(origin["seconds"] for origin in report["origins"]) / len(report["origins"])
    cards = [
        (
            "Value added", f'<b class="{_verdict(row)}">{_percent(row["gain"], sign=True)}</b>',
            f"90&nbsp;%: {_percent(row['gain_low'], sign=True)} to {_percent(row['gain_high'], sign=True)}",
        ),
        ("Bias", f"<b>{_percent(row['bias'], sign=True)}</b>", f"baseline {_percent(row['bias_baseline'], sign=True)}"),
        (
            f"Within the central {float(widest) * 100:g}&nbsp;%", f"<b>{_percent(row['coverage'][widest])}</b>",
            f"baseline {_percent(row['coverage_baseline'][widest])}",
        ),
        ("An origin took", f"<b>{took:,.1f}&nbsp;s</b>", "learning and forecasting"),
    ]  # fmt: skip
    return [f'<div class="card"><small>{name}</small>{value}<span>{more}</span></div>' for name, value, more in cards]


def _gains(report: Mapping[str, Any]) -> str:
    rows = [(row["segment"], row, True) for row in report["segments"]]
    rows += [(f"from {origin['origin']}", origin["segments"][0], False) for origin in report["origins"]]
    rows = [(name, row, strong) for name, row, strong in rows if row["gain"] is not None]
    ends = [abs(row[key]) for _, row, _ in rows for key in ("gain_low", "gain", "gain_high") if row[key] is not None]
    most = _nice(min(max([*ends, 0.01]), 1.0))
    left, middle, half, step = 190, 540, 330, 28
    height = step * len(rows) + 50
    out = [
        f'<svg viewBox="0 0 900 {height}" role="img" aria-label="Value added with its 90 % interval">',
        *(
            f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="8" y2="{height - 32}" stroke-width="{1 + (n == 0)}"/>'
            f'<text class="soft" x="{x:.0f}" y="{height - 12}" text-anchor="middle">'
            f"{f'{n * most / 2:+.1%}' if n else '0'}</text>"
            for n in range(-2, 3)
            for x in [middle + n * half / 2]
        ),
    ]
    for n, (name, row, strong) in enumerate(rows):
        y = 24 + n * step
        colour = f"var(--{_verdict(row)})"
        at = middle + half * max(-1.0, min(1.0, row["gain"] / most))
        if row["gain_low"] is not None:
            low, high = (middle + half * max(-1.0, min(1.0, row[k] / most)) for k in ("gain_low", "gain_high"))
            out.append(
                f'<line x1="{low:.1f}" x2="{max(high, low + 2):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                'stroke-width="8" stroke-linecap="round" opacity=".45"/>'
            )
        weight = ' font-weight="600"' if strong else ' class="soft"'
        out.append(
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end"{weight}>{escape(name)}</text>'
            f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="{colour}">'
            f"<title>{escape(name)}: {_percent(row['gain'], sign=True)}</title></circle>"
        )
    return "".join([*out, "</svg>"])


def _nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    base = 10.0 ** math.floor(math.log10(value))
    return next(step * base for step in (1, 2, 5, 10) if step * base >= value * (1 - 1e-12))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th>kind</th><th>in charge</th><th>series</th><th>young</th><th>loss</th><th>baseline</th>"
    shares = [*rows[0]["coverage"]]
    # What fits beside the rest; the plot has all of them.
    shares = shares[:: -(-len(shares) // 3)] if shares else []
    head += "<th>value added</th><th>90&nbsp;%</th><th>bias</th>" + "".join(
        f"<th>in {float(share) * 100:g}&nbsp;%</th>" for share in shares
    )
    out = [f"<table>{head}</tr>"]
    for row in rows:
        models = ", ".join(f"{escape(name)} {share:.0%}" for name, share in row["models"].items()) or "&ndash;"
        interval = (
            "&ndash;"
            if row["gain_low"] is None
            else f"{_percent(row['gain_low'], sign=True)} to {_percent(row['gain_high'], sign=True)}"
        )
        out.append(
            f"<tr><td>{escape(row['segment'])}</td><td>{models}</td><td>{row['series']:,}</td>"
            f"<td>{row['young']:,}</td>"
            f"<td>{_number(row['loss'])}</td><td>{_number(row['loss_baseline'])}</td>"
            f'<td class="{_verdict(row)}">{_percent(row["gain"], sign=True)}</td><td>{interval}</td>'
            f"<td>{_percent(row['bias'], sign=True)}</td>"
            + "".join(f"<td>{_percent(row['coverage'][share])}</td>" for share in shares)
            + "</tr>"
        )
    return "".join([*out, "</table>"])


def _number(value: float | None) -> str:
    return "&ndash;" if value is None else f"{value:.4f}"


def _coverage(row: Mapping[str, Any]) -> str:
    left, top, size = 70, 14, 340

    def at(share: float, seen: float) -> tuple[float, float]:
        return left + size * share, top + size * (1 - seen)

    out = [
        '<svg viewBox="0 0 640 400" style="max-width:40rem" role="img" aria-label="Coverage of central intervals">',
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="none" class="axis"/>',
        f'<line class="axis" x1="{left}" y1="{top + size}" x2="{left + size}" y2="{top}" stroke-width="2"/>',
    ]
    for n in range(5):
        x, y = at(n / 4, n / 4)
        out.append(
            f'<text class="soft" x="{x:.0f}" y="{top + size + 19}" text-anchor="middle">{n / 4:.0%}</text>'
            f'<text class="soft" x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{n / 4:.0%}</text>'
        )
    for name, key, colour in (("baseline", "coverage_baseline", "same"), ("forecast", "coverage", "made")):
        points = [(float(share), seen) for share, seen in row[key].items() if seen is not None]
        if not points:
            continue
        places = [at(*point) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="var(--{colour})" stroke-width="2"/>')
        out += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="var(--{colour})"><title>{name}: {seen:.1%} within the '
            f"central {share:.0%}</title></circle>"
            for (x, y), (share, seen) in zip(places, points, strict=True)
        ]
    for n, (name, colour) in enumerate((("forecast", "made"), ("baseline", "same"))):
        y = top + 20 + 24 * n
        out.append(
            f'<circle cx="{left + size + 30}" cy="{y}" r="5" fill="var(--{colour})"/>'
            f'<text x="{left + size + 44}" y="{y + 4}">{name}</text>'
        )
    out.append(
        f'<text class="soft" x="{left + size / 2}" y="{top + size + 40}" text-anchor="middle">share to be held</text>'
        f'<text class="soft" x="18" y="{top + size / 2}" text-anchor="middle" '
        f'transform="rotate(-90 18 {top + size / 2})">share that came within</text>'
    )
    return "".join([*out, "</svg>"])


def _bands(levels: Sequence[float]) -> list[tuple[int, int]]:
    """Places of the levels of at most three central intervals, the widest first."""
    found = [
        (low, high)
        for low, level in enumerate(levels)
        for high in [min(range(len(levels)), key=lambda n: abs(levels[n] - (1 - level)))]
        if level < 0.5 and abs(levels[high] - (1 - level)) < 1e-6
    ]
    return found if len(found) <= 3 else [found[0], found[len(found) // 2], found[-1]]


def _fan_keys(levels: Sequence[float]) -> str:
    bands = "".join(
        f'<span class="key" style="background:var(--made);opacity:{0.16 + 0.12 * n:.2f}"></span>central '
        f"{(levels[high] - levels[low]) * 100:g}&nbsp;%"
        for n, (low, high) in enumerate(_bands(levels))
    )
    return (
        f'<span class="key" style="background:var(--ink);height:.15rem;margin-left:0"></span>what came{bands}'
        '<span class="key" style="background:var(--made);height:.15rem"></span>mean forecast'
    )


def _fan(fan: Mapping[str, Any]) -> str:
    before, came, mean, quantiles = fan["before"], fan["came"], fan["mean"], fan["quantiles"]
    bands = _bands(fan["levels"])
    highest = [row[bands[0][1]] for row in quantiles] if bands else []
    seen = [value for value in [*before, *came] if value is not None]
    most = _nice(max([*seen, *highest, *mean, 1e-6]))
    left, top, width, height = 44, 10, 420, 170
    count = len(before) + len(mean)

    def at(n: float, value: float) -> str:
        return f"{left + width * n / max(count - 1, 1):.1f},{top + height * (1 - min(value, most) / most):.1f}"

    out = [
        f"<figure><figcaption>{escape(fan['name'])} <span>{escape(fan['segment'])}</span></figcaption>"
        f'<svg viewBox="0 0 480 216" role="img" aria-label="{escape(fan["name"])}: forecast and what came">'
    ]
    for n in range(3):
        y = top + height * (1 - n / 2)
        out.append(
            f'<line class="axis" x1="{left}" x2="{left + width}" y1="{y:.0f}" y2="{y:.0f}"/>'
            f'<text class="soft" x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{_brief(most * n / 2)}</text>'
        )
    first = len(before)
    for n, (low, high) in enumerate(bands):
        upper = [at(first + k, row[high]) for k, row in enumerate(quantiles)]
        lower = [at(first + k, row[low]) for k, row in enumerate(quantiles)]
        out.append(
            f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="var(--made)" '
            f'opacity="{0.16 + 0.12 * n:.2f}"/>'
        )
    points = " ".join(at(first + k, value) for k, value in enumerate(mean))
    out.append(f'<polyline points="{points}" fill="none" stroke="var(--made)" stroke-width="2"/>')
    for run in _runs([*before, *came]):
        line = " ".join(at(place, value) for place, value in run)
        style = 'fill="none" stroke="var(--ink)" stroke-width="1.4" stroke-linejoin="round"'
        out.append(f'<polyline points="{line}" {style}/>')
    x = left + width * (first - 0.5) / max(count - 1, 1)
    out.append(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" stroke="var(--soft)" stroke-dasharray="3 4"/>'
        f'<text class="soft" x="{left}" y="{top + height + 20}">{fan["dates"][0]}</text>'
        f'<text class="soft" x="{x:.0f}" y="{top + height + 20}" text-anchor="middle">{fan["dates"][first]}</text>'
        f'<text class="soft" x="{left + width}" y="{top + height + 20}" text-anchor="end">{fan["dates"][-1]}</text>'
    )
    return "".join([*out, "</svg></figure>"])


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """(place, value) of values without gaps between them."""
    found: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((place, value))
    return [run for run in found if run]


def _contributions(of: Mapping[str, float]) -> list[str]:
    shown = [*of.items()][:15]
    if not shown:
        return []
    most = max(share for _, share in shown)
    rows = "".join(
        f'<text x="238" y="{22 + 24 * n}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="250" y="{11 + 24 * n}" width="{520 * share / most:.1f}" height="14" rx="3" fill="var(--made)" '
        f'opacity=".75"/><text class="soft" x="{258 + 520 * share / most:.1f}" y="{22 + 24 * n}">{share:.1%}</text>'
        for n, (name, share) in enumerate(shown)
    )
    return [
        "<h2>What the boosted trees look at</h2>",
        '<p class="soft">How much each brings to the mean, as a share of all.</p>',
        f'<div class="wide"><svg viewBox="0 0 900 {24 * len(shown) + 16}" role="img" '
        f'aria-label="Contributions of features">{rows}</svg></div>',
    ]


def _origins(origins: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th>first date</th><th>kind</th><th>series</th><th>young</th><th>loss</th><th>baseline</th>"
    head += "<th>value added</th><th>bias</th><th>seconds</th></tr>"
    out = [f"<table>{head}"]
    for origin in origins:
        for n, row in enumerate(origin["segments"]):
            out.append(
                f"<tr><td>{escape(origin['origin']) if n == 0 else ''}</td><td>{escape(row['segment'])}</td>"
                f"<td>{row['series']:,}</td><td>{row['young']:,}</td>"
                f"<td>{_number(row['loss'])}</td><td>{_number(row['loss_baseline'])}</td>"
                f'<td class="{_verdict(row)}">{_percent(row["gain"], sign=True)}</td>'
                f"<td>{_percent(row['bias'], sign=True)}</td>"
                f"<td>{origin['seconds'] if n == 0 else ''}</td></tr>"
            )
    return "".join([*out, "</table>"])


def _brief(value: float) -> str:
    """In at most five characters: 50k for fifty thousand."""
    for unit, name in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if value >= 10 * unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:g}"
