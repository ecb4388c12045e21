"""docs/explanations: the programs of a page run, one after the other, and print what the page says."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.pages import marked_blocks

FOLDER = Path(__file__).parents[2] / "docs/explanations"


@pytest.mark.parametrize("page", sorted(path.name for path in FOLDER.glob("*.md")))
def test_examples_come_out_as_the_page_says(page: str) -> None:
    blocks = marked_blocks((FOLDER / page).read_text("utf-8"))
    assert [b.how for b in blocks] == ["python", "prints"] * (len(blocks) // 2) != [], "each program has its answer"
    names: dict[str, object] = {}
    for program, answer in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(program.text, page, "exec"), names)
        assert printed.getvalue() == answer.text
