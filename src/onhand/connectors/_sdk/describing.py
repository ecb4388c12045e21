"""A connector for those who choose among them: what it is, what it can do, what it asks for as JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.filled_in import SECRET_MAX, TEXT_MAX
from onhand.connectors._sdk.interface import Connector
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn

_TYPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string", "maxLength": TEXT_MAX},
    "url": {"type": "string", "format": "uri", "maxLength": TEXT_MAX},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "choice": {"type": "string"},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
    "document": {"type": "object"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """settings, credentials: JSON Schemas of those parts of a channel's document."""

    name: str
    title: str
    description: str
    status: str
    vendor_api: str
    capabilities: list[str]
    settings: dict[str, Any]
    credentials: dict[str, Any]


def described(connector: Connector) -> Described:
    """What is told of a connector."""
    document = connector.document if isinstance(connector, Declared) else None
    said = document or connector
    return Described(
        name=connector.name,
        title=getattr(said, "title", "") or connector.name.replace("_", " ").capitalize(),
        description=getattr(said, "description", ""),
        status=status_of(connector),
        vendor_api="" if document is None else document.vendor_api,
        capabilities=sorted(connector.capabilities),
        settings=_object({name: _setting(s) for name, s in connector.settings.items()}, connector.settings),
        credentials=_object({name: _secret(c) for name, c in connector.credentials.items()}, connector.credentials),
    )


def status_of(connector: Connector) -> str:
    """alpha, beta or stable; a program says it itself, or has it from its document."""
    said = getattr(connector, "status", None)
    if said is None and isinstance(connector, Declared):
        said = connector.document.status
    return str(said or "alpha")


def _object(
    properties: Mapping[str, Mapping[str, Any]], asked: Mapping[str, SettingIn] | Mapping[str, CredentialIn]
) -> dict[str, Any]:
    required = [name for name, one in asked.items() if one.required and getattr(one, "default", None) is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _setting(setting: SettingIn) -> dict[str, Any]:
    return {
        **_TYPES[setting.type],
        "description": setting.description,
        **({"enum": setting.choices} if setting.type == "choice" else {}),
        **({} if setting.default is None else {"default": setting.default}),
        **({} if setting.example is None else {"examples": [setting.example]}),
    }


def _secret(credential: CredentialIn) -> dict[str, Any]:
    return {
        "type": "string", "format": "password", "writeOnly": True, "maxLength": SECRET_MAX,
        "description": credential.description,
    }  # fmt: skip
