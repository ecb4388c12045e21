"""The live view: every size of terminal, with and without anything to show."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from onhand.twin.board import Board, Shelf, clock_text
from onhand.twin.view import Banner, bars, big, line, render

BANNER = Banner(url="http://127.0.0.1:8080", home="/home/me/.onhand", seed=1, run=1, speed=60, admin_key="onh_secret")


def busy(oversold: int = 0) -> Board:
    draw = random.Random(1)
    board = Board(clock=lambda: 14.5 * 3600)
    for _ in range(200):
        board.heard("/v1/orders", 201, draw.uniform(0.001, 0.1))
        board.heard("/v1/promises", 200, draw.uniform(0.001, 0.1))
    board.counts.update(orders=1_234_567, lines=2_000_000, sourced=1_200_000, split=150_000, delivered=1_000_000)
    for n in range(12):
        board.shelves[f"NODE-{n}"] = Shelf(on_hand=5_000, available=4_000, allocated=990, unavailable=10)
        board.load[f"NODE-{n}"] = 100 * n
    board.shelves["NODE-0"] = Shelf(on_hand=1, oversold=oversold)
    board.parcels.update(allocated=12, accepted=120, packed=1_200, shipped=120_000)
    board.queues.update(backorder="12", unfillable="1000+", rejected="0", to_source="0", held="0", preorder="0")
    for n in range(60):
        board.event("order.backordered", f"WEB-1-{n:07d}: " + "long " * 40)
    return board


def picture(board: Board, width: int, height: int, banner: Banner = BANNER) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(render(board, banner, width=width, height=height), height=height)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 45), (230, 60)])
@pytest.mark.parametrize("board", [Board(), busy()], ids=["empty", "busy"])
def test_a_picture_fills_its_terminal_exactly(board: Board, size: tuple[int, int]) -> None:
    lines = picture(board, *size)
    assert len(lines) == size[1]
    assert max(len(text) for text in lines) <= size[0]


@pytest.mark.parametrize("size", [(100, 30), (160, 45)])
def test_what_people_look_for_is_there(size: tuple[int, int]) -> None:
    text = "\n".join(picture(busy(), *size))
    for what in (BANNER.url, "onh_secret", "nothing sold twice", "on hand", "backorder", "1000+", "NODE-11", "packed"):
        assert what in text, what
    assert "promised twice" not in text
    assert "14:30" in text


def test_an_oversell_shows() -> None:
    text = "\n".join(picture(busy(oversold=3), 100, 30))
    assert "promised twice" in text and "nothing sold twice" not in text
    assert "oversold=3" in line(busy(oversold=3))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 6))
def test_bars_are_as_high_as_their_values(values, rows) -> None:
    top = max(values) or 1.0
    chart = bars(values, rows=rows, top=top)
    assert len(chart) == rows
    eighths = [sum(" ▁▂▃▄▅▆▇█".index(row[n]) for row in chart) for n in range(len(values))]
    for height, value in zip(eighths, values, strict=True):
        assert abs(height - value / top * rows * 8) <= 0.5


def test_big_digits_are_three_rows_of_one_width() -> None:
    rows = big("0123456789.")
    assert len(rows) == 3 and len({len(row) for row in rows}) == 1


def test_the_clock_wraps_at_midnight() -> None:
    assert (clock_text(0), clock_text(86_399), clock_text(86_400 + 60)) == ("00:00", "23:59", "00:01")
