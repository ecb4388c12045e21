"""Reading a request's body: bounded, and JSON that means one thing and that PostgreSQL can store.

The rules are the same on every route: JSON in UTF-8 without a byte-order mark, no NaN or Infinity,
no key twice, at most 64 levels deep, no integer beyond 64 bits, no NUL and no lone surrogate in a
string.
"""

import asyncio
import json
import math
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, cast

from starlette.types import Receive

from onhand.api.problems import MalformedJson, PayloadTooLarge, UnsupportedMediaType
from onhand.base.members import RepeatedKey, check_members, has_as_many_members, unique_members
from onhand.errors import InvalidInput

BODY_BYTES_MAX = 16 * 2**20
DEPTH_MAX = 64
# A client that pauses longer within a body has gone away, or holds the connection on purpose.
_CHUNK_TIMEOUT_S = 30.0

_INT64_MAX = 2**63 - 1
# Longer numbers than this may exceed 64 bits; a cheap test before the walk that finds where.
_LONG_NUMBER = re.compile(rb"\d{19}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_A_BRACKET = bytes(b for b in range(256) if b not in b"[]{}")


async def read_body(receive: Receive, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The whole body. Raises PayloadTooLarge as soon as more than `limit_bytes` have come, and
    ConnectionError when the client went away or stopped sending."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] != "http.request":
            raise ConnectionResetError("the client went away")
        if len(body) > limit_bytes:
            raise PayloadTooLarge(limit_bytes)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        if size > limit_bytes:
            raise PayloadTooLarge(limit_bytes)
        try:
            async with asyncio.timeout(_CHUNK_TIMEOUT_S):
                message = await receive()
        except TimeoutError:
            raise ConnectionResetError("the body stopped arriving") from None
        if message["type"] != "http.request":
            raise ConnectionResetError("the client went away")
        part = message.get("body", b"")
        size += len(part)
        parts.append(part)
    if size > limit_bytes:
        raise PayloadTooLarge(limit_bytes)
    return b"".join(parts)


def check_headers(headers: Iterable[tuple[bytes, bytes]], limit_bytes: int = BODY_BYTES_MAX) -> None:
    """Refuse by what the headers say, before anything is read. Raises PayloadTooLarge,
    UnsupportedMediaType.
    """
    content_type = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length" and (len(value) > 15 or int(value) > limit_bytes):
            raise PayloadTooLarge(limit_bytes)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedMediaType(f"Content-Encoding {value.decode('latin-1')}")
    if not is_json(content_type):
        raise UnsupportedMediaType(content_type.decode("latin-1"))


def is_json(content_type: bytes) -> bool:
    """Whether a Content-Type is JSON in UTF-8."""
    if content_type == b"application/json":
        return True
    media_type, _, parameters = content_type.lower().partition(b";")
    media_type = media_type.strip()
    if media_type != b"application/json" and not (
        media_type.startswith(b"application/") and media_type.endswith(b"+json")
    ):
        return False
    charset = re.search(rb"charset\s*=\s*\"?([^\s\";]+)", parameters)
    return charset is None or charset[1] in (b"utf-8", b"utf8", b"us-ascii")


def parse(body: bytes) -> Any:
    """The JSON value of `body`. Raises MalformedJson, or InvalidInput naming the field that cannot
    be stored.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(text, object_pairs_hook=unique_members, parse_constant=_constant, parse_float=_float)
    except RepeatedKey as error:
        raise MalformedJson(str(error), error.key) from None
    except json.JSONDecodeError as error:
        raise MalformedJson(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise MalformedJson(f"nested deeper than {DEPTH_MAX} levels") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise MalformedJson("a number has too many digits") from None
    if _depth(body) > DEPTH_MAX:
        raise MalformedJson(f"nested deeper than {DEPTH_MAX} levels")
    # One value in a thousand bodies needs the walk, which is slow.
    if b"\\u" in body or _LONG_NUMBER.search(body):
        _walk(value, "")
    return value


def check_text(body: bytes) -> None:
    """Refuse strings that a decoder lets through and the database cannot keep; for the hot routes,
    which decode by themselves. Costs one search of `body` unless it has escapes. Raises
    InvalidInput.
    """
    if b"\\u" not in body:
        return
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return  # not JSON: the decoder says so
    _walk(value, "")


def check_keys(body: bytes, read: bytes) -> None:
    """Refuse an object with a key twice, of which msgspec takes the last; for the hot routes.

    read  what was understood of `body`, as JSON again

    Raises MalformedJson.
    """
    if not has_as_many_members(body, read):
        try:
            check_members(body)
        except RepeatedKey as error:
            raise MalformedJson(str(error), error.key) from None


def _depth(body: bytes) -> int:
    """How deep `body` nests, an upper bound that is exact beyond DEPTH_MAX."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= DEPTH_MAX:
        return opened
    brackets = _STRING.sub(b"", body).translate(None, delete=_NOT_A_BRACKET)
    return max(accumulate(1 if b in b"[{" else -1 for b in brackets), default=0)


def _walk(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_string(value, path)
    elif isinstance(value, dict):
        for key, member in cast("dict[str, Any]", value).items():
            _check_string(key, path)
            _walk(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, member in enumerate(cast("list[Any]", value)):
            _walk(member, f"{path}[{index}]")
    elif isinstance(value, int) and not -_INT64_MAX - 1 <= value <= _INT64_MAX:
        raise InvalidInput.at(path, "expected an integer of at most 64 bits")


def _check_string(text: str, path: str) -> None:
    if "\0" in text:
        raise InvalidInput.at(path, "the character NUL is not allowed")
    if _SURROGATE.search(text):
        raise InvalidInput.at(path, "not Unicode text: a surrogate without its partner")


def _constant(name: str) -> float:
    raise MalformedJson(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedJson(f"the number {digits[:40]} is out of range")
    return number
