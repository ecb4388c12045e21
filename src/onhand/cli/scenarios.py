"""Scenarios as commands are given them: a name that ships, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from onhand.cli.linting import err, text_of

if TYPE_CHECKING:
    from onhand.twin.scenarios.document import Scenario


def chosen_scenario(name: str) -> "Scenario":
    """Exits 1 with what is wrong with a file, 2 if it cannot be read. Raises InvalidInput: no such scenario ships."""
    from onhand.twin.scenarios.document import SHIPPED, parse, shipped

    if name in SHIPPED or not Path(name).suffix:
        return shipped(name)
    scenario, found = parse(text_of(Path(name)))
    for finding in found:
        err.print(f"{name}:{finding}")
    if scenario is None:
        raise typer.Exit(1)
    return scenario
