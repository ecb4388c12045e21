"""docs/how-to/detectors.md: its example finds the lane that it slows."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/how-to/detectors.md"


def test_the_example_of_the_page_finds_the_slow_lane(capsys):
    (program,) = [block.partition("```")[0] for block in PAGE.read_text("utf-8").split("```python\n")[1:]]
    exec(program, {})
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("lane leipzig/IT takes about ")
