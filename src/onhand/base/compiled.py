# pyright: basic
"""Loops over arrays, compiled by Numba where it is installed: the machine code is kept beside the source."""

import hashlib
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: whoever needs it compiles it
    fcntl = None
try:
    from numba import njit
    from numba.core import event
    from numba.core.event import Listener
except ImportError:  # pragma: no cover - the interpreted path is tested by its own process

    def njit(*_args, **_kwargs):
        return lambda function: function

    event = None
    Listener = object


# Compiling what takes longer is told of: somebody may be waiting for it.
_TOLD_FROM_S = 5.0


class _Teller(Listener):  # pyright: ignore[reportGeneralTypeIssues]
    """Tells people at a terminal what they wait for, once a process: machine code is kept, so it is rare, but the first
    decision on a machine takes a minute. compiled: names of the functions that this process had to compile."""

    def __init__(self):
        self.compiled = []
        self._depth = 0
        self._told = False
        self._began = 0.0

    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if not _is_ours(function):
            return
        self._depth += 1
        if self._depth > 1:
            return
        self.compiled.append(f"{function.__module__}.{function.__name__}")
        self._began = time.monotonic()
        if not self._told and sys.stderr is not None and sys.stderr.isatty():
            self._told = True
            _say("onhand compiles its solver: once after an installation, a minute or so")

    def on_end(self, event):
        if not _is_ours(event.data["dispatcher"].py_func):
            return
        self._depth -= 1
        took = time.monotonic() - self._began
        if not self._depth and self._told and took > _TOLD_FROM_S:
            _say(f"compiled in {took:.0f} s")


def _is_ours(function):
    return function.__module__.split(".")[0] == "onhand"


def _say(text):
    print(text, file=sys.stderr, flush=True)  # noqa: T201


_teller = _Teller()
if event is not None:
    # Called at the start and at the end of each compilation, nested ones too; not for what is read from the disk.
    event.register("numba:compile", _teller)


def compiled_here() -> list[str]:
    """Names of the functions that this process has compiled, those left out that it found on the disk."""
    return list(_teller.compiled)


def is_kept(function: Any) -> bool:
    """Whether there is machine code of a `compiled` function on the disk, as its source is now."""
    file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return file is None or Path(file._index_path).exists()


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
        _Turns(made, cache, folder)
    return made


class _Turns:
    """Of several processes that need code of a package that is not kept yet, one compiles it; the others wait until it
    is on the disk, and read it. Who dies gives up his turn."""

    _open: dict[Path, Any] = {}  # files of the turns that this process has  # noqa: RUF012

    def __init__(self, dispatcher, cache, package):
        self._compile, self._load = dispatcher.compile, cache.load_overload
        path = Path(cache.cache_path)
        folder = package / path.name if path.is_relative_to(package) else path.parent
        self._path = folder / f"compiling-{package.name}.lock"
        dispatcher.compile, cache.load_overload = self.compile, self.load_overload

    def compile(self, sig):
        """Numba's, which looks for it on the disk first; for what it calls, it is called again."""
        has_turn = self._path in self._open
        try:
            return self._compile(sig)
        finally:
            if not has_turn and (file := self._open.pop(self._path, None)) is not None:
                file.close()

    def load_overload(self, sig, target_context):
        """Numba's; what is not on the disk is looked for once more when it is our turn to compile it."""
        found = self._load(sig, target_context)
        if found is None and self._path not in self._open:
            with suppress(OSError):  # a folder that nobody may write to keeps no code either
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._open[self._path] = self._path.open("a")
                if fcntl is not None:
                    fcntl.flock(self._open[self._path], fcntl.LOCK_EX)
            found = self._load(sig, target_context)
        return found


def _package(function) -> Path:
    """Folder of the package below `onhand` that `function` is in, else its own."""
    parts = function.__module__.split(".")
    file = Path(sys.modules[function.__module__].__file__ or ".").resolve()
    return file.parents[max(0, len(parts) - 3)] if parts[0] == "onhand" else file.parent
