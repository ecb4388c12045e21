"""What an operator fills in for a channel, checked against what its connector asks for. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from onhand.base.addresses import WebAddress
from onhand.base.fields import INT4_MAX
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn

TEXT_MAX: Final = 2_000
SECRET_MAX: Final = 20_000  # a private key
_PAIRS_MAX: Final = 1_000
# A secret that is being exchanged: messages signed by the one before are still taken.
BEFORE: Final = "_before"

Problem = tuple[str, str]
"""A path in the channel's document, and what is wrong there."""


def completed(asked: Mapping[str, SettingIn], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, and the defaults of what is not."""
    return {name: s.default for name, s in asked.items() if s.default is not None} | dict(given)


def setting_problems(connector: str, asked: Mapping[str, SettingIn], given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings of a channel."""
    problems: list[Problem] = []
    for name, setting in asked.items():
        if name not in given:
            if setting.required and setting.default is None:
                problems.append((f"settings.{name}", f"required: {setting.description}"))
        elif (wrong := _wrong(setting, given[name])) is not None:
            problems.append((f"settings.{name}", wrong))
    return problems + _unknown("settings", connector, given, asked)


def credential_problems(
    connector: str, asked: Mapping[str, CredentialIn], given: Mapping[str, str] | None
) -> list[Problem]:
    """What is wrong with the credentials of a channel; never says any of them."""
    known = given or {}
    problems: list[Problem] = []
    for name, credential in asked.items():
        if credential.required and not known.get(name):
            problems.append((f"credentials.{name}", f"required: {credential.description}"))
    problems += [
        (f"credentials.{name}", f"expected a text of at most {SECRET_MAX:,} characters")
        for name, secret in known.items()
        if len(secret) > SECRET_MAX
    ]
    names = {*asked, *(f"{name}{BEFORE}" for name in asked)}
    return problems + _unknown("credentials", connector, known, names)


def _unknown(part: str, connector: str, given: Mapping[str, Any], known: Any) -> list[Problem]:
    names = ", ".join(name for name in known if not name.endswith(BEFORE)) or "none"
    return [(f"{part}.{name}", f"unknown: {connector} asks for {names}") for name in given if name not in known]


def _wrong(setting: SettingIn, value: Any) -> str | None:
    if setting.type == "integer":
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return None if is_whole and abs(value) <= INT4_MAX else "expected a whole number"
    if setting.type == "boolean":
        return None if isinstance(value, bool) else "expected true or false"
    if setting.type == "document":
        return None if isinstance(value, dict) else "expected an object"
    if setting.type == "map":
        return None if _is_map(value) else f"expected an object of texts, at most {_PAIRS_MAX:,} of them"
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
        return f"expected a text of 1 to {TEXT_MAX:,} characters"
    if setting.type == "choice":
        return None if value in setting.choices else f"expected one of {', '.join(setting.choices)}"
    return _wrong_url(value) if setting.type == "url" else None


def _is_map(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _PAIRS_MAX  # pyright: ignore[reportUnknownArgumentType]
        and all(isinstance(text, str) for pair in value.items() for text in pair)  # pyright: ignore
    )


def _wrong_url(value: str) -> str | None:
    try:
        WebAddress.parse(value)
    except ValueError as error:
        return str(error)
    return None if not value.endswith("/") else "expected no / at the end"
