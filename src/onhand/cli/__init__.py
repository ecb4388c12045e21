"""The command line `onhand`.

Every module of this package that has a function `register(app: typer.Typer) -> None` adds its
commands: either `app.add_typer(typer.Typer(...), name="db")` or `app.command()(serve)`.
Registration runs at every start, so a module imports only what its signatures need and the rest
inside its commands. Nothing else has to be edited to add one.

Exit codes: 0 done, 1 failed check or failed work, 2 bad usage or settings. A command reports a
failed check with `raise typer.Exit(1)` and lets every OnhandError pass: it is shown here, as one
line.
"""

import importlib
import os
import pkgutil
import sys
from importlib import metadata
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from onhand.errors import OnhandError, SettingsError

__all__ = ["build", "main"]


def build() -> typer.Typer:
    """The application with the commands of all modules beside this one, by name."""
    app = typer.Typer(
        name="onhand",
        help="One ledger of stock and one decision engine for merchants who sell the same stock in many places.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def root(
        *,
        version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
    ) -> None:
        # Also makes a single command need its name.
        if version:
            print(metadata.version("onhand"))  # noqa: T201
            raise typer.Exit

    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        register = getattr(importlib.import_module(f"{__name__}.{module}"), "register", None)
        if register is not None:
            register(app)
    return app


def main() -> None:
    """Entry point of the program: runs a command, exits with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; errors go to stderr as one line."""
    try:
        build()(args=arguments, prog_name="onhand")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except SettingsError as error:
        _complain(str(error))
        return 2
    except OnhandError as error:
        _complain(str(error))
        return 1
    except Exception as error:
        if os.environ.get("ONHAND_LOG_LEVEL", "").lower() == "debug":
            raise
        _complain(f"unexpected {type(error).__name__}: {error} (ONHAND_LOG_LEVEL=debug shows the traceback)")
        return 1
    return 0


def _complain(message: str) -> None:
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error[/]: {escape(line)}", highlight=False)
