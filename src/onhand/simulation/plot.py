"""The differences of reports as a picture. Needs matplotlib, which is an extra."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from onhand.errors import InvalidInput

MEASURES: Final = ("paid_minor", "profit_minor", "days", "late", "broken", "split", "unserved", "filled", "co2_g")
"""What is shown, from the top; what a report does not have is left out."""
KINDS: Final = (".png", ".svg", ".pdf")
_COLOURS: Final = {"better": "#0b7a53", "worse": "#b3261e", "different": "#5a4fcf", "same": "#7b8388"}


def check(path: Path) -> None:
    """Whether a picture can be written there, before anything long is done. Raises InvalidInput."""
    if path.suffix.lower() not in KINDS:
        raise InvalidInput.at("plot", f"expected a name that ends with {', '.join(KINDS)}, got {path.name!r}")
    if find_spec("matplotlib") is None:
        raise InvalidInput.at("plot", "matplotlib is not installed: pip install 'onhand[plots]'")


def plot(reports: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a picture of each measure's difference with its 95 % interval, as a share of the value under the baseline;
    a panel for each report. Raises InvalidInput, OSError."""
    check(path)
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = [_rows(report["differences"]) for report in reports]
    most = max(map(len, shown), default=0)
    # Their types are half unknown to the checker.
    figure: Any = Figure(figsize=(9, 1.2 + (0.42 * most + 0.9) * len(reports)), dpi=150, layout="constrained")
    for n, (report, rows) in enumerate(zip(reports, shown, strict=True), 1):
        axes = figure.add_subplot(len(reports), 1, n)
        ours, theirs = report["baseline"]["version"], report["candidate"]["version"]
        axes.set_title(f"{theirs} against {ours}: {report['period']['orders']:,} orders", loc="left", fontsize=11)
        axes.axvline(0, color="#b9bec1", linewidth=1)
        for y, d in enumerate(rows):
            scale = 100 / abs(d["baseline"])
            middle, low, high = (d[key] * scale for key in ("difference", "low", "high"))
            axes.errorbar(
                middle, y, xerr=[[middle - low], [high - middle]], fmt="o", markersize=4.5, capsize=3,
                color=_COLOURS[d["verdict"]],
            )  # fmt: skip
            axes.annotate(
                f"{middle:+.1f} %", (high, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(rows)), [d["name"] for d in rows], fontsize=9)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"difference, % of {ours}, with 95 % intervals", fontsize=9)
    figure.savefig(path)


def _rows(differences: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that have an interval and something to be a share of."""
    by = {d["metric"]: d for d in differences}
    return [d for key in MEASURES if (d := by.get(key)) and d["low"] is not None and d["baseline"]]
