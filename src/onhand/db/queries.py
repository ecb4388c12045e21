"""Named SQL blocks: `-- name: lock_positions` opens a block in the `queries.sql` beside a module."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString, cast

_NAME = re.compile(r"^--\s*name:\s*(\w+)\s*$", re.MULTILINE)
_COMMENT_LINE = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def queries(module_file: str) -> Mapping[str, LiteralString]:
    """The blocks of `queries.sql` in the folder of `module_file` (a module's `__file__`), by name.

    Whole-line comments are dropped: a `%` in one would be taken for a parameter. ValueError if a
    name comes twice or the file has no block.
    """
    path = Path(module_file).with_name("queries.sql")
    _, *parts = _NAME.split(path.read_text("utf-8"))
    if not parts:
        raise ValueError(f"{path}: expected at least one `-- name: ...` block")
    blocks: dict[str, LiteralString] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in blocks:
            raise ValueError(f"{path}: the name {name!r} comes twice")
        # Our own files, read from the package: as trustworthy as a literal.
        blocks[name] = cast(LiteralString, _COMMENT_LINE.sub("", body).strip().removesuffix(";"))
    return blocks
