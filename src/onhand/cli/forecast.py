"""`onhand forecast`: make a forecast and keep it, or see what forecasts would have been worth."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from onhand.cli.database import database
from onhand.cli.progress import told_progress

if TYPE_CHECKING:
    from onhand.db import Database
    from onhand.demand.ablate import Trial
    from onhand.demand.backtest import Tried
    from onhand.demand.panel import Float64, Panel

out = Console(highlight=False, markup=False)
err = Console(highlight=False, markup=False, stderr=True, soft_wrap=True)
commands = typer.Typer(no_args_is_help=True, help="Forecast demand, and see what forecasts are worth.")

_WIDTH_MAX = 400
# Intervals in tables; the others are in the JSON and on the page.
_SHARES_MAX = 3

Told = Callable[[str, int, int], None]
Freq = Annotated[Literal["D", "W"], typer.Option(help="Days, or weeks.")]
Levels = Annotated[str | None, typer.Option(help="Of quantiles, as in 0.1,0.5,0.9; left out: nine of them.")]


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="forecast")


@commands.callback()
def root() -> None:
    """Forecast demand, and see what forecasts are worth."""


@commands.command()
def run(
    *,
    freq: Freq = "D",
    horizon: Annotated[int | None, typer.Option(min=1, help="Periods; left out: 42 days or 13 weeks.")] = None,
    levels: Levels = None,
    origin: Annotated[str | None, typer.Option(help="First day; left out: after the last day with demand.")] = None,
    by_channel: Annotated[bool, typer.Option("--by-channel", help="A forecast for each channel.")] = False,
    ablate: Annotated[bool, typer.Option(help="Try signals one by one when something is learned.")] = True,
    learn: Annotated[bool, typer.Option("--learn", help="Learn anew, whatever was learned before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
) -> None:
    """Forecast demand of every item at every place, in a process of its own, and keep it, as `POST /v1/forecasts/run`
    does. What died on the way goes on where it was.
    """
    from datetime import UTC, datetime

    from onhand.api.idempotent import to_json
    from onhand.demand.forecasts.model import HORIZON, LEVELS
    from onhand.demand.forecasts.model import Settings as Asked
    from onhand.flows.demand.fold import fold
    from onhand.flows.forecasts.job import ask
    from onhand.flows.forecasts.read import shown_run

    asked = Asked(
        freq=freq, horizon=horizon or HORIZON[freq], levels=LEVELS if levels is None else _levels(levels),
        by_channel=by_channel, ablate=ablate, learn=learn,
    )  # fmt: skip
    first = None if origin is None else _day(origin)
    with database() as db:
        fold(db)
        made = db.transact(lambda conn: ask(conn, asked, at=datetime.now(UTC), by=0, origin=first))
        with told_progress(err) as told:
            _work(db, made.job_id, told)
        with db.connection() as conn:
            found = shown_run(conn, made.run_id)
    if as_json:
        typer.echo(to_json(found).decode())
        return
    out.print(f"{found['series']} series from {found['origin']} on, {found['horizon']} x {found['freq']}")
    _print_run(found)


def _work(db: "Database", job_id: str, told: Told) -> None:
    """Work on jobs of forecasts until this one has ended: here, or in a worker that was faster."""
    import threading

    from onhand.flows.forecasts.job import KIND, WORK
    from onhand.jobs.store import get_job
    from onhand.jobs.worker import run_next

    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        while not stop.is_set() and not ended.is_set():
            if not run_next(db, {KIND: WORK}, stop):
                ended.wait(0.5)

    thread = threading.Thread(target=work, name="onhand forecast", daemon=True)
    thread.start()
    try:
        while True:
            with db.connection() as conn:
                job = get_job(conn, job_id)
            assert job is not None, "it was asked for"
            told(job.stage or "starting", job.done, job.total)
            if job.finished_at is not None:
                break
            ended.wait(0.3)
    except KeyboardInterrupt:
        err.print("stopped; a worker, or this command with another run, goes on with it")
        stop.set()
        raise
    finally:
        ended.set()
        thread.join()
    if job.state != "done":
        why = "it was cancelled" if job.error is None else f"{job.error['code']}: {job.error['message']}"
        err.print(f"error: no forecast: {why}")
        raise typer.Exit(1)


def _print_run(found: Mapping[str, Any]) -> None:
    rows = [
        [
            row["segment"], str(row["series"]), row["in_charge"], _models(row["shares"]), _number(row["loss"]),
            _number(row["loss_baseline"]), _percent(row["gain"], sign=True),
            _interval(row["gain_low"], row["gain_high"]),
        ]
        for row in found["segments"]
    ]  # fmt: skip
    _print_table(
        "Who is in charge, and what that was worth on the past",
        ("kind", "series", "in charge", "models", "loss", "baseline", "value added", "90 %"), rows, texts=(0, 2, 3),
    )  # fmt: skip
    if found["signals"]:
        _print_signals(found["signals"])
    if found["realised"]:
        _print_table(
            "What came",
            ("kind", "by", "periods", "loss", "baseline", "value added", "90 %", "bias"),
            [
                [
                    row["segment"], row["part"], str(row["periods"]), _number(row["loss"]),
                    _number(row["loss_baseline"]), _percent(row["gain"], sign=True),
                    _interval(row["low"], row["high"]), _percent(row["bias"], sign=True),
                ]
                for row in found["realised"]
            ],
            texts=(0, 1),
        )  # fmt: skip


@commands.command()
def backtest(
    file: Annotated[
        Path | None,
        typer.Argument(help="History with unique_id, ds, y, CSV or Parquet; left out: that of the database."),
    ] = None,
    *,
    horizon: Annotated[int, typer.Option(min=1, help="Periods ahead.")] = 28,
    freq: Annotated[Literal["D", "W", "MS"], typer.Option(help="Days, weeks; of files months too.")] = "D",
    origins: Annotated[int, typer.Option(min=1, max=52, help="How many.")] = 3,
    step: Annotated[int | None, typer.Option(min=1, help="Periods between them; left out: the horizon.")] = None,
    levels: Levels = None,
    known: Annotated[Path | None, typer.Option(help="File with ds, maybe unique_id, and what is known ahead.")] = None,
    past: Annotated[Path | None, typer.Option(help="The same, known up to each origin only.")] = None,
    static: Annotated[Path | None, typer.Option(help="File with unique_id and what a series is of.")] = None,
    series: Annotated[int | None, typer.Option(min=1, help="Only so many, drawn by chance.")] = None,
    trees: Annotated[bool, typer.Option(help="Let boosted trees compete.")] = True,
    ablate: Annotated[bool, typer.Option("--ablate", help="Try signals one by one before the earliest.")] = False,
    seed: int = 0,
    html: Annotated[Path | None, typer.Option(help="Write tables and plots as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON document.")] = False,
) -> None:
    """Forecast from past origins, each time knowing nothing later, and lay beside what came and beside the baseline:
    who is in charge, loss, value added, coverage, bias, runtime. Changes nothing.
    """
    import time

    import numpy as np

    from onhand.demand.backtest import report, try_origin
    from onhand.demand.backtest_page import page
    from onhand.demand.forecasts.model import LEVELS
    from onhand.demand.learn import has_trees

    at = np.array(LEVELS if levels is None else _levels(levels))
    can_use_trees = trees and has_trees()
    if trees and not can_use_trees:
        err.print("without boosted trees: pip install 'onhand[forecast]' adds them")
    where = (
        _panels_of_database(horizon, freq, origins, step, series, at, seed)
        if file is None
        else _panels_of_files(file, known, past, static, horizon, freq, origins, step, series, seed)
    )
    tried: list[Tried] = []
    seconds: list[float] = []
    trials: list[Trial] = []
    with told_progress(err) as told, where as panels:
        for number, (panel, came) in enumerate(panels):
            if ablate and number == 0:
                trials = _trials(panel, at, trees=can_use_trees, seed=seed, told=told)
                panel = _without(panel, trials)  # noqa: PLW2901
            elif trials:
                panel = _without(panel, trials)  # noqa: PLW2901
            began = time.perf_counter()
            said = f"origin {number + 1} of {origins}"

            def say(what: str, share: float, said: str = said, number: int = number) -> None:
                told(f"{said}: {what}", int(1000 * (number + share)), 1000 * origins)

            tried.append(try_origin(panel, came, at, trees=can_use_trees, seed=seed, progress=say))
            seconds.append(time.perf_counter() - began)
    if not tried:
        err.print("error: no series was asked for anything before these origins")
        raise typer.Exit(1)
    found = report(tried, at, seconds)
    if html is not None:
        name = "the history of the database" if file is None else file.name
        html.write_text(page(found, f"Forecasts of {name}, tried on the past"), "utf-8")
        err.print(f"wrote {html}")
    if as_json:
        shown = [_trial_row(trial) for trial in trials]
        typer.echo(json.dumps(found | {"signals": shown}, separators=(",", ":")))
        return
    _print_backtest(found)
    if trials:
        _print_signals([_trial_row(trial) for trial in trials])


def _print_backtest(found: Mapping[str, Any]) -> None:
    all_shares = [*found["segments"][0]["coverage"]]
    shares = all_shares[:: max(1, -(-len(all_shares) // _SHARES_MAX))]
    heads = (
        "kind", "series", "young", "in charge", "loss", "baseline", "value added", "90 %", "bias",
        *(f"in {float(share) * 100:g} %" for share in shares),
    )  # fmt: skip

    def row(of: Mapping[str, Any]) -> list[str]:
        return [
            of["segment"], str(of["series"]), str(of["young"]), _models(of["models"]), _number(of["loss"]),
            _number(of["loss_baseline"]), _percent(of["gain"], sign=True), _interval(of["gain_low"], of["gain_high"]),
            _percent(of["bias"], sign=True), *(_percent(of["coverage"][share]) for share in shares),
        ]  # fmt: skip

    for origin in found["origins"]:
        title = f"From {origin['origin']}: {origin['series']} series, {origin['seconds']:.1f} s"
        _print_table(title, heads, [row(of) for of in origin["segments"]], texts=(0, 3))
    if len(found["origins"]) > 1:
        took = sum(origin["seconds"] for origin in found["origins"])
        title = f"All {len(found['origins'])} origins: {took:.1f} s"
        _print_table(title, heads, [row(of) for of in found["segments"]], texts=(0, 3))
    if found["contributions"]:
        best = [*found["contributions"].items()][:10]
        out.print("\nTrees look at: " + ", ".join(f"{name} {share:.0%}" for name, share in best))


def _print_signals(trials: Sequence[Mapping[str, Any]]) -> None:
    _print_table(
        "Signals, one by one: mean loss without and with each",
        ("signal", "verdict", "without", "with", "gain", "worst origin"),
        [
            [
                row["signal"], row["verdict"].replace("_", " "), _number(row["without"]), _number(row["with"]),
                _percent(row["gain"], sign=True), _percent(row["worst"], sign=True),
            ]
            for row in trials
        ],
        texts=(0, 1),
    )  # fmt: skip


def _print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Sequence[int]) -> None:
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number in texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print()
    # A number that is cut off is none: rather a line that is too long for the terminal.
    wide = Measurement.get(out, out.options.update(max_width=_WIDTH_MAX), table).maximum
    Console(highlight=False, markup=False, width=max(wide, out.width)).print(table)


def _models(shares: Mapping[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda one: -one[1])
    return ", ".join(name if share > 0.995 else f"{name} {share:.0%}" for name, share in ranked)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _percent(value: float | None, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''}.1%}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.1%} to {high:+.1%}"


# Where panels come from -----------------------------------------------------------------------------------------------


@contextmanager
def _panels_of_files(
    file: Path,
    known: Path | None,
    past: Path | None,
    static: Path | None,
    horizon: int,
    freq: str,
    origins: int,
    step: int | None,
    series: int | None,
    seed: int,
) -> "Generator[Iterator[tuple[Panel, Float64]]]":
    import numpy as np
    import polars as pl

    from onhand.demand.backtest import past_panels
    from onhand.errors import InvalidInput
    from onhand.library.panels import panel_of

    history = _table(file)
    ahead, behind, of = (None if path is None else _table(path) for path in (known, past, static))
    whole = panel_of(history, horizon=1, freq=freq)
    if whole.periods <= horizon:
        raise InvalidInput.at("horizon", f"expected fewer than the {whole.periods} periods of {file.name}")
    last = whole.dates[whole.periods - horizon - 1].astype(object)
    days = history["ds"].cast(pl.String).str.slice(0, 10).str.to_date()
    panel = panel_of(history.filter(days <= last), horizon=horizon, freq=freq, known=ahead, past=behind, static=of)
    row = {name: number for number, name in enumerate(whole.ids)}
    later = whole.y[[row[name] for name in panel.ids], whole.periods - horizon :]
    if series is not None and series < panel.count:
        some = np.sort(np.random.default_rng(seed).choice(panel.count, series, replace=False))
        panel, later = panel.with_sums().rows(some), later[some]
    try:
        yield past_panels(panel, later, origins, step)
    except ValueError as error:
        raise InvalidInput.at("origins", str(error)) from None


def _table(path: Path) -> Any:
    """A CSV or Parquet file. Raises InvalidInput."""
    import polars as pl

    from onhand.errors import InvalidInput

    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=10_000, schema_overrides={"unique_id": pl.String})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidInput.at(path.name, f"it cannot be read as CSV or Parquet: {str(error).splitlines()[0]}") from None


@contextmanager
def _panels_of_database(
    horizon: int, freq: str, origins: int, step: int | None, series: int | None, levels: "Float64", seed: int
) -> "Generator[Iterator[tuple[Panel, Float64]]]":
    from datetime import UTC, datetime

    from onhand.demand.forecasts.model import Settings as Asked
    from onhand.flows.demand.fold import fold
    from onhand.flows.forecasts.backtest import past_origins

    if freq == "MS":
        raise typer.BadParameter("of the database days and weeks can be forecast", param_hint="--freq")
    asked = Asked(freq="W" if freq == "W" else "D", horizon=horizon, levels=tuple(levels.tolist()), seed=seed)
    with database() as db:
        fold(db)
        with db.connection() as conn:
            yield past_origins(
                conn, asked, origins=origins, step=step, until=datetime.now(UTC).date(), series_max=series
            )


def _trials(panel: "Panel", levels: "Float64", *, trees: bool, seed: int, told: Told) -> "list[Trial]":
    from onhand.demand.ablate import ablate, on_past

    signals = [*panel.known, *panel.past]
    losses = on_past(panel, levels, trees=trees, seed=seed)
    if losses is None or not signals:
        err.print("signals are not tried: there are none, or the past is too short for five origins")
        return []
    asked = iter(range(len(signals)))

    def go_on() -> bool:
        told("trying signals", next(asked), len(signals))
        return True

    return ablate(signals, losses, go_on=go_on)


def _without(panel: "Panel", trials: "Sequence[Trial]") -> "Panel":
    from onhand.demand.ablate import with_signals

    out_of_it = {trial.signal for trial in trials if not trial.stays}
    return with_signals(panel, [name for name in (*panel.known, *panel.past) if name not in out_of_it])


def _trial_row(trial: "Trial") -> dict[str, Any]:
    from onhand.flows.forecasts.learn import shown_trial

    return shown_trial(trial)


# What is shared -------------------------------------------------------------------------------------------------------


def _levels(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or sorted(set(found)) != [*found] or found[0] <= 0 or found[-1] >= 1:
        raise typer.BadParameter(f"{text!r}: expected rising levels such as 0.1,0.5,0.9", param_hint="--levels")
    return found


def _day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected a day such as 2026-03-02", param_hint="--origin") from None
