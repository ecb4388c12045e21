"""What a channel says otherwise than its connector: parts of `connector.yaml` in its settings, laid over the document.

As a merge patch (RFC 7396): what is given replaces, null removes, lists are replaced as a whole. One thing is added: a
part that is said to be of another kind (`type`, `scheme`, `to`) replaces the one that was there, with all it had. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

SETTING: Final = "overrides"
"""The setting of every described connector that holds them."""
FIXED: Final = ("connector", "vocabulary", "status")
_KINDS: Final = ("type", "scheme", "to")


def overridden(document: Any, by: Any) -> Any:
    """`document` with `by` laid over it; neither is changed."""
    if not isinstance(by, Mapping):
        return by
    patch = cast("Mapping[str, Any]", by)
    there: Mapping[str, Any] = cast("Mapping[str, Any]", document) if isinstance(document, Mapping) else {}
    if any(kind in patch and patch[kind] != there.get(kind) for kind in _KINDS):
        there = {}
    made = dict(there)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = overridden(there.get(name), value)
    return made
