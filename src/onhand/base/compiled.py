# pyright: basic
"""Loops over arrays, compiled by Numba where it is installed: the machine code is kept beside the source."""

import hashlib
import sys
from pathlib import Path

try:
    from numba import njit
except ImportError:  # pragma: no cover - the interpreted path is tested by its own process

    def njit(*_args, **_kwargs):
        return lambda function: function


def _stamp(folder: Path) -> str:
    """Changes with any source file below `folder`."""
    found = sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*.py"))
    return hashlib.sha256(repr(found).encode()).hexdigest()


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
    kept code counts as old as soon as any file of its package has changed.
    """
    # NumPy's errors: a division by zero that raised would cost every loop that holds one its optimisation (half the
    # speed).
    made = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    cache = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if cache is not None:
        folder = _package(function)
        stamp = _stamps.get(folder) or _stamps.setdefault(folder, _stamp(folder))
        cache._source_stamp = cache._source_stamp, stamp
    return made


def _package(function) -> Path:
    """Folder of the package below `onhand` that `function` is in, else its own."""
    parts = function.__module__.split(".")
    file = Path(sys.modules[function.__module__].__file__ or ".").resolve()
    return file.parents[max(0, len(parts) - 3)] if parts[0] == "onhand" else file.parent
