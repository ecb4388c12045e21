"""The library of CEL without its command line, which it imports whoever asks: an editor and its colours, a tenth of
what every program of ours waits for at its start."""

import sys
from types import ModuleType

_CLI = "cel.cli"
_is_there = _CLI in sys.modules
if not _is_there:
    sys.modules[_CLI] = ModuleType(_CLI)

import cel  # noqa: E402

if not _is_there:  # who wants it can still have it
    del sys.modules[_CLI]

__all__ = ["cel"]
