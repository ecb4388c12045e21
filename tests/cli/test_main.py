"""Every end of a command has its exit code, and errors are one line."""

from importlib import metadata

import pytest
import typer

from onhand import cli
from onhand.errors import NotFound, SettingsError


@pytest.fixture
def ending(monkeypatch):
    """Makes `onhand x` end with the given exception."""

    def make(error):
        def build():
            app = typer.Typer(pretty_exceptions_enable=False)

            @app.command()
            def x():
                if error is not None:
                    raise error

            return app

        monkeypatch.setattr(cli, "build", build)

    return make


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (typer.Exit(1), 1),
        (typer.BadParameter("no"), 2),
        (NotFound("item", "A[1]\nB"), 1),
        (SettingsError("port: expected a number"), 2),
        (ZeroDivisionError("bug"), 1),
    ],
)
def test_exit_codes(ending, capsys, error, code):
    ending(error)
    assert cli.run([]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err


def test_an_error_is_one_line_whatever_it_holds(ending, capsys):
    ending(NotFound("item", "A[1]\nB" + "x" * 300))
    cli.run([])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no item 'A[1]")


def test_debug_shows_the_traceback(ending, monkeypatch):
    monkeypatch.setenv("ONHAND_LOG_LEVEL", "debug")
    ending(ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        cli.run([])


def test_the_version_is_told(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == metadata.version("onhand")


def test_help_names_every_group(capsys):
    assert cli.run(["--help"]) == 0
    said = capsys.readouterr().out
    for command in ("db", "bench"):
        assert f" {command} " in said
