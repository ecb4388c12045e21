# pyright: basic
"""Loops over arrays, compiled by Numba where it is installed: the machine code is kept beside the source."""

import hashlib
import sys
from pathlib import Path
from typing import Any

try:
    from numba import njit
except ImportError:  # pragma: no cover - the interpreted path is tested by its own process

    def njit(*_args, **_kwargs):
        return lambda function: function


def _stamp(folder: Path) -> str:
    """Changes with any source file below `folder` that compiled functions are in, or take their numbers from."""
    files = [(path, path.read_bytes()) for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"".join(text for _, text in files if b"# pyright: basic" in text)).hexdigest()


_stamps: dict[Path, str] = {}


def inner(function, **options):
    """`compiled` for functions that only compiled ones call: without the way in from Python, which takes as long to
    make as the function itself."""
    return compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def bare(function):
    """`inner` for functions that make no arrays: they do without counting who uses the arrays of their arguments, which
    for a tuple of fifty takes longer than most of them."""
    return inner(function, _nrt=False)


def compiled(function, **options):
    """`function` compiled at its first call, and kept.

    Numba looks only at the file of the function that is called; ours call each other across files of a package, so
    kept code is named after the content of all of them: code of an older state is never taken for this one's, not even
    while another process is writing it.
    """
    # NumPy's errors: a division by zero that raised would cost every loop that holds one its optimisation (half the
    # speed).
    made = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    cache: Any = getattr(made, "_cache", None)
    file = getattr(cache, "_cache_file", None)
    if file is not None:
        folder = _package(function)
        stamp = _stamps.get(folder) or _stamps.setdefault(folder, _stamp(folder))
        name = f"{cache._impl.filename_base}-{stamp[:16]}"
        cache._cache_file = type(file)(cache._cache_path, name, file._source_stamp)
    return made


def _package(function) -> Path:
    """Folder of the package below `onhand` that `function` is in, else its own."""
    parts = function.__module__.split(".")
    file = Path(sys.modules[function.__module__].__file__ or ".").resolve()
    return file.parents[max(0, len(parts) - 3)] if parts[0] == "onhand" else file.parent
