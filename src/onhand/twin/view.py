"""The live view of a run: one picture of a board, for any size from 80 x 24."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.align import Align
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from onhand.twin.board import Board, Line, clock_text

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_DIGITS: Final = {
    "0": ("█▀█", "█ █", "▀▀▀"),
    "1": ("▀█ ", " █ ", "▀▀▀"),
    "2": ("▀▀█", "█▀▀", "▀▀▀"),
    "3": ("▀▀█", " ▀█", "▀▀▀"),
    "4": ("█ █", "▀▀█", "  ▀"),
    "5": ("█▀▀", "▀▀█", "▀▀▀"),
    "6": ("█▀▀", "█▀█", "▀▀▀"),
    "7": ("▀▀█", "  █", "  ▀"),
    "8": ("█▀█", "█▀█", "▀▀▀"),
    "9": ("█▀█", "▀▀█", "▀▀▀"),
    ".": (" ", " ", "▀"),
    "–": ("   ", "▀▀▀", "   "),
}
_STATES: Final = (
    ("allocated", "yellow"),
    ("accepted", "cyan"),
    ("packed", "blue"),
    ("partly_shipped", "magenta"),
    ("shipped", "green"),
)
_QUEUE_STYLES: Final = {"backorder": "yellow", "unfillable": "red", "rejected": "magenta"}
_EVENT_STYLES: Final = {
    "order.sourced": "green",
    "order.backordered": "yellow",
    "order.unfillable": "red",
    "order.cancelled": "bright_black",
    "fulfilment.rejected": "magenta",
    "reservation.expired": "bright_black",
    "return.received": "blue",
    "inbound.created": "cyan",
    "stock.received": "green",
}
_WIDE: Final = 130
_ANSWERS_W, _OVERSOLD_W, _STOCK_W, _QUEUES_W = 33, 24, 23, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """What does not change during a run. `admin_key` only when it was just made: it is shown once."""

    url: str
    home: str
    seed: int
    run: int
    speed: float
    admin_key: str | None = None


def render(board: Board, banner: Banner, *, width: int, height: int) -> RenderableType:
    """The picture for a terminal of that size."""
    head = 3 + (banner.admin_key is not None)
    figures, middle = 7, 14 if height >= 46 else 9
    channels = len(board.lines) + 3 if board.lines else 0
    if channels and height - head - 2 - figures - channels < middle:
        middle = 0  # on a small terminal channels stand where work would
    events = max(0, height - head - 2 - figures - middle - channels)
    layout = Layout()
    layout.split_column(
        Layout(_head(board, banner), size=head + 1, name="head"),
        Layout(name="figures", size=figures),
        *([Layout(name="middle", size=middle)] if middle else ()),
        *([Layout(_channels(board, width), size=channels, name="channels")] if channels else ()),
        *([Layout(_events(board, rows=max(1, events - 2)), name="events")] if events > 2 or not channels else ()),
        Layout(_foot(board), size=1, name="foot"),
    )
    rate_width = width - _ANSWERS_W - _OVERSOLD_W
    layout["figures"].split_row(
        Layout(_rate(board, rate_width - 4)),
        Layout(_answers(board), size=_ANSWERS_W),
        Layout(_oversold(board), size=_OVERSOLD_W),
    )
    side = 46 if width >= _WIDE else 28
    # What a bar may take: its panel less border, padding, the longest name and number, and the gaps between them.
    parcels_bar = width - _STOCK_W - _QUEUES_W - side - 4 - 13 - 8
    if not middle:
        return layout
    layout["middle"].split_row(
        Layout(_stock(board), size=_STOCK_W),
        Layout(_queues(board), size=_QUEUES_W),
        Layout(_parcels(board, parcels_bar)),
        Layout(_load(board, rows=middle - 2, bar=side - 4 - 14 - 8), size=side),
    )
    return layout


def line(board: Board) -> str:
    """The same in one line, for logs."""
    orders = board.orders.quantiles_ms(0.5, 0.99)
    latency = f"{orders[0]:.1f}/{orders[1]:.1f} ms" if orders else "-"
    queues = " ".join(f"{name}={count}" for name, count in board.queues.items() if count != "0") or "none"
    return (
        f"{clock_text(board.clock())} orders={board.counts['orders']} rate={board.rate.mean(5):.1f}/s p50/p99={latency}"
        f" on_hand={board.total('on_hand')} available={board.total('available')} split={board.split_share:.1%}"
        f" queues: {queues} shipped={board.counts['shipped']} delivered={board.counts['delivered']}"
        f" oversold={board.total('oversold')}"
    )


def bars(values: Sequence[float], *, rows: int, top: float) -> list[str]:
    """A column chart in text, `rows` high; `top` is its upper edge."""
    eighths = [round(min(1.0, value / top) * rows * 8) if top > 0 else 0 for value in values]
    return ["".join(_BLOCKS[max(0, min(8, e - 8 * row))] for e in eighths) for row in reversed(range(rows))]


def big(text: str) -> list[str]:
    """Digits three rows high."""
    return [" ".join(_DIGITS[char][row] for char in text) for row in range(3)]


def _panel(body: RenderableType, title: str, style: str = "bright_black", note: str | None = None) -> Panel:
    return Panel(body, title=f"[bold]{title}[/]", title_align="left", subtitle=note, border_style=style, padding=(0, 1))


def _head(board: Board, banner: Banner) -> Panel:
    seconds = board.clock()
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(
        Text.assemble((banner.url, "bold underline cyan"), ("   docs ", "bright_black"), f"{banner.url}/docs"),
        Text.assemble(
            ("day ", "bright_black"), f"{int(seconds // 86400) + 1} ", (clock_text(seconds), "bold"),
            ("  at ", "bright_black"), f"{banner.speed:g}x",
        ),
    )  # fmt: skip
    grid.add_row(
        Text.assemble(("home ", "bright_black"), banner.home),
        Text.assemble(("seed ", "bright_black"), str(banner.seed), ("  run ", "bright_black"), str(banner.run)),
    )
    if banner.admin_key is not None:
        key = Text.assemble(("admin key ", "bright_black"), (banner.admin_key, "bold yellow"))
        grid.add_row(key, "keep it: shown once")
    title = "[bold cyan]onhand[/] · a simulated world"
    return Panel(grid, title=title, title_align="left", border_style="cyan", padding=(0, 1))


def _rate(board: Board, width: int) -> Panel:
    rate = board.rate.mean(5)
    figure = big(f"{rate:.1f}" if rate < 100 else f"{rate:.0f}")
    room = max(8, width - len(figure[0]) - 3)
    values = board.rate.history(room)
    top = max(values, default=1) or 1
    chart = [row.rjust(room) for row in bars(values, rows=5, top=top)]
    text = Text()
    for n, row in enumerate(chart):
        left = figure[n - 1] if 1 <= n <= 3 else ""
        text.append(left.ljust(len(figure[0]) + 3), "bold white")
        text.append(row, "cyan")
        if n < len(chart) - 1:
            text.append("\n")
    return _panel(text, "orders per second", note=f"[bright_black]last {room} s, top {top}[/]")


def _answers(board: Board) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column()
    for _ in range(2):
        table.add_column(justify="right")
    table.add_row("", "[bright_black]p50[/]", "[bright_black]p99[/]")
    for name, latencies in (("order", board.orders), ("promise", board.promises)):
        found = latencies.quantiles_ms(0.5, 0.99)
        cells = [_ms(value) for value in found] if found else ["–", "–"]
        table.add_row(name, *cells)
    table.add_row("promises", "", f"{board.counts['promises']:,}")
    table.add_row("busy, retried", "", _quiet(board.counts["busy"], "yellow"))
    return _panel(table, "answers, last 30 s")


def _oversold(board: Board) -> Panel:
    units = board.total("oversold")
    style = "red" if units else "green"
    label = "promised twice" if units else "nothing sold twice"
    figure = Text("\n".join(big(str(units))), style=f"bold {style}", justify="center")
    return _panel(Group("", Align.center(figure), Align.center(Text(label, style=style))), "oversold", style)


def _stock(board: Board) -> Panel:
    table = _pairs()
    for name, key in (("on hand", "on_hand"), ("available", "available"), ("allocated", "allocated")):
        table.add_row(name, f"[bold]{board.total(key):,}[/]")
    table.add_row("unavailable", _quiet(board.total("unavailable")))
    table.add_row("inbound", _quiet(board.total("inbound"), "cyan"))
    table.add_row("received", _quiet(board.counts["receipts"], "green"))
    table.add_row("positions", f"{board.total('positions'):,}")
    return _panel(table, "stock, units")


def _queues(board: Board) -> Panel:
    table = _pairs()
    for name, count in board.queues.items():
        style = _QUEUE_STYLES.get(name, "white") if count != "0" else "bright_black"
        table.add_row(name, f"[{style}]{count}[/]")
    return _panel(table, "queues")


def _channels(board: Board, width: int) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    for _ in _COLUMNS:
        table.add_column(justify="right", no_wrap=True)
    is_wide = width >= _WIDE
    shown = [n for n, (_, is_needed) in enumerate(_COLUMNS) if is_needed or is_wide]
    table.columns = [table.columns[0], *(table.columns[n + 1] for n in shown)]
    table.add_row("", *(f"[bright_black]{_COLUMNS[n][0]}[/]" for n in shown))
    for code, channel in board.lines.items():
        cells = _cells(channel)
        table.add_row(code, *(cells[n] for n in shown))
    return _panel(table, "channels at vendors", note="[bright_black]oversold: of 1,000 orders one is accepted[/]")


# Heading, and whether it is shown on a narrow terminal too.
_COLUMNS: Final = (
    ("connector", False),
    ("", True),
    ("orders", True),
    ("behind", True),
    ("heard p50 / p99", False),
    ("told p50 / p99", True),
    ("queue", True),
    ("stale", False),
    ("sold out", False),
    ("outages", True),
    ("lost", False),
    ("oversold", True),
)
_STATUS_STYLES: Final = {"publishing": "green", "down": "bold red", "failing": "red", "files": "cyan"}


def _cells(channel: Line) -> list[str]:
    hearing = channel.hearing.quantiles_ms(0.5, 0.99)
    oversold = f"{channel.oversold:,}" + (f" {channel.oversold_share:.1%}" if channel.oversold else "")
    return [
        f"[bright_black]{channel.connector}[/]",
        f"[{_STATUS_STYLES.get(channel.status, 'yellow')}]{channel.status}[/]",
        f"[bold]{channel.bought:,}[/]",
        _quiet(channel.bought - channel.heard, "yellow"),
        _pair(hearing),
        _pair(channel.lag_ms),
        _quiet(channel.queue, "yellow"),
        "–" if channel.stale_s is None else f"{channel.stale_s:,.0f} s",
        _quiet(channel.sold_out),
        _quiet(channel.outages, "yellow"),
        _quiet(channel.lost, "yellow"),
        f"[red]{oversold}[/]" if channel.oversold else "[green]0[/]",
    ]


def channel_line(code: str, channel: Line) -> str:
    """A channel in one line, for logs and the end."""
    return (
        f"{code}: orders={channel.bought} heard={channel.heard} in {_pair(channel.hearing.all_ms(0.5, 0.99))}"
        f" told in {_pair(channel.lag_ms)} to_tell={channel.queue} cancelled={channel.cancelled}"
        f" sold_out={channel.sold_out}"
        f" outages={channel.outages} lost_messages={channel.lost} oversold={channel.oversold}"
        f" ({channel.oversold_share:.2%})"
        + (" reconciled" if channel.reconciled else "")
        + (f" last_error={channel.last_error!r}" if channel.queue and channel.last_error else "")
    )


def _pair(pair: Sequence[float] | None) -> str:
    return "–" if pair is None else " / ".join(_seconds(ms) for ms in pair)


def _seconds(ms: float) -> str:
    return f"{ms:,.0f} ms" if ms < 1000 else f"{ms / 1000:,.1f} s"


def _parcels(board: Board, bar: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    most = max((board.parcels[state] for state, _ in _STATES), default=0)
    for state, style in _STATES:
        count = board.parcels[state]
        shown = Text(_bar(count, most, max(3, bar)), style=style)
        table.add_row(state.replace("partly_", "part "), shown, f"{count:,}")
    table.add_row("[green]delivered[/]", "", f"{board.counts['delivered']:,}")
    table.add_row("[bright_black]rejected[/]", "", f"{board.counts['rejected']:,}")
    return _panel(table, "fulfilments")


def _load(board: Board, *, rows: int, bar: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    busiest = board.load.most_common(rows)
    most = busiest[0][1] if busiest else 0
    for node, count in busiest:
        table.add_row(node, Text(_bar(count, most, max(3, bar)), style="cyan"), f"{count:,}")
    return _panel(table, "nodes by open work")


def _events(board: Board, *, rows: int) -> Panel:
    text = Text(no_wrap=True, overflow="ellipsis")
    shown = list(board.events)[-rows:]
    for n, (at, kind, what) in enumerate(shown):
        text.append(f"{at}  ", "bright_black")
        text.append(kind.ljust(22), _EVENT_STYLES.get(kind, "white"))
        text.append(what + ("\n" if n < len(shown) - 1 else ""))
    return _panel(text, "last events")


def _foot(board: Board) -> Text:
    counts = board.counts
    parts = [
        ("orders", f"{counts['orders']:,}"),
        ("lines", f"{counts['lines']:,}"),
        ("split", f"{board.split_share:.1%}"),
        ("backordered", f"{counts['backordered']:,}"),
        ("unfillable", f"{counts['unfillable']:,}"),
        ("cancelled", f"{counts['cancelled']:,}"),
        ("returned", f"{counts['returned']:,}"),
    ]
    text = Text(" ", no_wrap=True, overflow="ellipsis")
    for name, value in parts:
        text.append(f"{name} ", "bright_black")
        text.append(f"{value}  ")
    if counts["errors"]:
        text.append(f"errors {counts['errors']}  ", "bold red")
    text.append("ctrl-C ends", "italic bright_black")
    return text


def _pairs() -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _quiet(count: int, style: str = "white") -> str:
    return f"[{style}]{count:,}[/]" if count else "[bright_black]0[/]"


def _bar(value: int, most: int, width: int) -> str:
    """A horizontal bar, to an eighth of a cell."""
    eighths = round(value / most * width * 8) if most > 0 else 0
    full, rest = divmod(max(0, eighths), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
