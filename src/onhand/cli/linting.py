"""What `onhand policy lint` and `onhand playbook lint` have in common."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer
from rich.console import Console

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


def lint_files(
    files: Iterable[Path], find: Callable[[str], tuple[bool, Sequence[object]]], *, strict: bool, what: tuple[str, str]
) -> None:
    """Print what is wrong with each file. Exits 1 for errors, or for anything if strict; 2 if a file cannot be read.

    find  of a text: whether it is fit for use, and what is found wrong with it
    what  one and several of what the files are
    """
    texts = [(file, text_of(file)) for file in files]
    failed = False
    for file, text in texts:
        fit, findings = find(text)
        for finding in findings:
            out.print(f"{file}:{finding}")
        failed |= not fit or (strict and bool(findings))
    if failed:
        raise typer.Exit(1)
    out.print(f"{len(texts)} {f'{what[0]} is' if len(texts) == 1 else f'{what[1]} are'} fit for use")


def text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        err.print(f"error: {file}: {why}")
        raise typer.Exit(2) from None
