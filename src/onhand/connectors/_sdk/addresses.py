"""Where the credentials of a channel are sent, by its settings: another address is not given those of the one before.
Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.filling import blanks
from onhand.connectors._sdk.interface import Connector
from onhand.connectors._sdk.lint import operations
from onhand.connectors._sdk.overriding import SETTING
from onhand.connectors._sdk.vocabulary import ConnectorIn, LoginIn, OAuth2In

# Scheme, host and port: what comes after them is the same vendor's.
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*")
_PREFIX: Final = "settings."


def sent_to(connector: Connector, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that say where credentials are sent, with their values; equal answers: to the same places.

    Those of the type `url`, those that say so (`address`), and those that hold a URL whatever their type says, for a
    program may have forgotten to say it; of a document also those that its hosts are made of. Under `overrides` are
    these hosts as the document writes them, with blanks: only that setting can change them.

    settings  with their defaults
    """
    found = {
        name: settings.get(name)
        for name, asked in connector.settings.items()
        if asked.type == "url" or asked.address or "://" in str(settings.get(name) if asked.type == "text" else "")
    }
    if isinstance(connector, Declared):
        origins = sorted(set(_origins(connector.document)))
        names = [name for name, _ in blanks(origins) if name.startswith(_PREFIX)]
        found |= {name: settings.get(name) for name in (name.removeprefix(_PREFIX) for name in names)}
        found[SETTING] = origins
    return found


def _origins(document: ConnectorIn) -> Iterator[str]:
    base, auth = document.base_url, document.auth
    yield _origin(base)
    if isinstance(auth, OAuth2In):
        yield _origin(auth.token_url)
    requests = [auth.request] if isinstance(auth, LoginIn) else []
    for _, _, way in operations(document):
        requests += [one.request for one in (way, *way.steps) if one.request is not None]
    for request in requests:
        # A path without a slash in front would lengthen the name of the host.
        yield _origin(base.rstrip("/") + request.path)
        if request.path and not request.path.startswith("/"):
            yield _origin(request.path)


def _origin(text: str) -> str:
    found = _ORIGIN.match(text)
    assert found is not None, "it matches nothing, too"
    return found[0]
