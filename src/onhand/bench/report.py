"""Figures and how they are shown: a value, what it is held against, and whether that is enough."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from rich.table import Table

from onhand.db import Database

# What durability and speed of the database under test depend on.
POSTGRES_SETTINGS = (
    "server_version",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "data_checksums",
    "shared_buffers",
    "max_wal_size",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure. `ok` is `ratio >= floor` whatever the kind; `against` says what `reference` is.

    A figure held against the raw database has that rate as its reference. One held against a limit
    has the limit, and its ratio says how many times over the limit is met: value / limit where
    more is better, limit / value where less is better. A floor of 0 marks a figure for information.
    """

    name: str
    value: float
    unit: str
    reference: float
    ratio: float
    floor: float
    ok: bool
    against: str


def relative(name: str, value: float, unit: str, reference: float, *, floor: float, against: str) -> Measure:
    """At least `floor` times what the reference reached in the same run."""
    ratio = value / reference
    return Measure(
        name=name,
        value=value,
        unit=unit,
        reference=reference,
        ratio=ratio,
        floor=floor,
        ok=ratio >= floor,
        against=against,
    )


def at_least(name: str, value: float, unit: str, limit: float) -> Measure:
    return relative(name, value, unit, limit, floor=1.0, against="at least")


def at_most(name: str, value: float, unit: str, limit: float, *, floor: float = 1.0) -> Measure:
    # A value of 0 meets any limit; the ratio stays a number that JSON can hold.
    ratio = limit / max(value, limit * 1e-6) if limit else float(value == 0)
    return Measure(
        name=name,
        value=value,
        unit=unit,
        reference=limit,
        ratio=ratio,
        floor=floor,
        ok=ratio >= floor,
        against="at most",
    )


def exactly(name: str, value: float, unit: str, expected: float) -> Measure:
    """Neither more nor less: the floor cannot say so, `ok` does."""
    return Measure(
        name=name,
        value=value,
        unit=unit,
        reference=expected,
        ratio=value / expected if expected else float(value == 0),
        floor=1.0,
        ok=value == expected,
        against="exactly",
    )


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine(url: str) -> dict[str, Any]:
    """What the figures were measured on: hardware, system, Python and the database's settings."""
    with Database.open(url) as db, db.connection() as conn:
        return hardware() | {"postgres": {name: _setting(conn, name) for name in POSTGRES_SETTINGS}}


def hardware() -> dict[str, Any]:
    """The same where no database was at work."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _setting(conn: psycopg.Connection[Any], name: str) -> str:
    row = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None, "a SELECT without FROM returns a row"
    return str(row[0])


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def to_json(facts: dict[str, Any], measures: Sequence[Measure]) -> str:
    rows = [{k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(m).items()} for m in measures]
    return json.dumps({"machine": facts, "measures": rows}, indent=1)


def to_table(facts: dict[str, Any], measures: Sequence[Measure]) -> Table:
    caption = f"{facts['cores']} cores of {facts['cpu']}, {facts['memory_gib']} GiB, Python {facts['python']}"
    if postgres := facts.get("postgres"):
        caption += (
            f", PostgreSQL {postgres['server_version']}, synchronous_commit {postgres['synchronous_commit']}, "
            f"fsync {postgres['fsync']}; load generator and database on the same cores"
        )
    table = Table(caption=caption)
    number: Literal["right"] = "right"
    table.add_column("measure")
    table.add_column("value", justify=number)
    table.add_column("held against", justify=number)
    table.add_column("ratio", justify=number)
    table.add_column("floor", justify=number)
    table.add_column("")
    for m in measures:
        ok = "" if m.floor == 0 else "[green]ok[/]" if m.ok else "[bold red]missed[/]"
        table.add_row(
            m.name,
            f"{_figure(m.value)} {m.unit}",
            f"{m.against}: {_figure(m.reference)}",
            f"{m.ratio:.2f}",
            f"{m.floor:.2f}" if m.floor else "",
            ok,
        )
    return table


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
