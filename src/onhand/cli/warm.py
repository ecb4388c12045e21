"""`onhand warm`: compile ahead."""

import time

import typer
from rich.console import Console

out = Console(soft_wrap=True, highlight=False)


def register(app: typer.Typer) -> None:
    app.command()(warm)


def warm() -> None:
    """Compile the solver now, so that nobody waits for it later. Needed once after an installation; a server compiles
    what orders need before it answers, and the rest in the background."""
    from onhand.base.compiled import compiled_here
    from onhand.channels.gates.warm import warm_gates
    from onhand.incidents.detect.warm import warm_detectors
    from onhand.sourcing.warm import warm_kernel, warm_together

    began = time.monotonic()
    warm_kernel()
    warm_together()
    warm_gates()
    warm_detectors()
    made = len(compiled_here())
    out.print(f"compiled {made} functions in {time.monotonic() - began:.0f} s" if made else "everything is compiled")
