"""A program of ours does not carry the editor that the command line of CEL is made of."""

import subprocess
import sys

PROGRAM = """
import sys
from onhand.documents.cel import cel
assert cel.evaluate("1 + 2") == 3
assert "prompt_toolkit" not in sys.modules
import cel.cli
assert callable(cel.cli.main), "who wants it has it"
"""


def test_its_command_line_is_left_where_it_is() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
