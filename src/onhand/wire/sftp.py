"""Folders of SFTP servers, by asyncssh (the extra `onhand[sftp]`).

The server must show the key that the operator wrote down: nobody is trusted the first time. Nothing of the user's own
SSH configuration, agent or keys is used.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_REGULAR

from onhand.base.addresses import WebAddress
from onhand.wire.caller import Cause, Guard, NotReachable
from onhand.wire.folder import CHUNK_BYTES, Entry, FileThere, NoSuchFile, beside_name, parts

T = TypeVar("T")
_PORT = 22
# OpenSSH answers at most 256 KiB to one request, and asyncssh asks for several at once.
_WRITE_BYTES = 2**20


@asynccontextmanager
async def connected(
    url: SplitResult, *, host_key: str, credentials: Mapping[str, str], guard: Guard, timeout_s: float
) -> "AsyncGenerator[SftpFolder]":
    """The folder at `url`, which `folder.split_url` has checked. Raises NotReachable; ValueError.

    host_key     as in known_hosts: "ssh-ed25519 AAAA..."
    credentials  password, or private_key (OpenSSH or PEM) and, if it has one, passphrase
    timeout_s    of connecting, and of each request
    """
    if not host_key.strip():
        raise ValueError("expected host_key: a line of ssh-keyscan, checked with whoever runs the server")
    assert url.hostname is not None, "checked by split_url"
    addresses = await guard.resolve(WebAddress("sftp", url.hostname, url.port or _PORT, "/"))
    try:
        async with asyncio.timeout(timeout_s):
            connection = await asyncssh.connect(
                str(addresses[0]),
                url.port or _PORT,
                username=unquote(url.username or ""),
                known_hosts=_trusted(host_key),
                config=None,
                agent_path=None,
                x509_trusted_certs=None,
                **_signing_in(credentials),
            )
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise NotReachable(_reason(error), cause=_cause(error)) from None
    async with connection:
        try:
            async with asyncio.timeout(timeout_s):
                client = await connection.start_sftp_client()
        except (OSError, TimeoutError, asyncssh.Error) as error:
            raise NotReachable(_reason(error), cause=_cause(error)) from None
        yield SftpFolder(client, _base(unquote(url.path)), timeout_s)


def _trusted(host_key: str) -> Any:
    fields = host_key.split()
    # A line of ssh-keyscan has the host in front; it is reached by its address here.
    line = " ".join(fields[1:3] if len(fields) > 2 and not fields[0].startswith(("ssh-", "ecdsa-")) else fields[:2])
    try:
        return asyncssh.import_known_hosts(f"* {line}\n")
    except (ValueError, asyncssh.Error):
        raise ValueError("expected host_key as ssh-keyscan prints it: ssh-ed25519 AAAA...") from None


def _signing_in(credentials: Mapping[str, str]) -> dict[str, Any]:
    if key := credentials.get("private_key"):
        try:
            loaded = asyncssh.import_private_key(key, credentials.get("passphrase") or None)
        except (ValueError, asyncssh.Error):  # whose text may hold some of the key
            raise ValueError("private_key cannot be read: expected OpenSSH or PEM, and its passphrase") from None
        return {"client_keys": [loaded], "password": None}
    if password := credentials.get("password"):
        return {"client_keys": None, "password": password}
    raise ValueError("expected a credential: password or private_key")


def _base(path: str) -> str:
    """`/~/x` is x in the user's home, `/x` is /x."""
    return "/".join(["", *parts(path)]) if not path.startswith("/~") else "/".join(parts(path)[1:]) or "."


class SftpFolder:
    """See `folder.Folder`."""

    def __init__(self, client: Any, base: str, timeout_s: float) -> None:
        self._client, self._base, self._timeout_s = client, base, timeout_s

    def _at(self, names: list[str]) -> str:
        return "/".join([self._base.rstrip("/"), *names]) or "/"

    async def _do(self, work: Awaitable[T], *, was_sent: bool = False) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except asyncssh.SFTPNoSuchFile:
            raise NoSuchFile("there is no such file") from None
        except (OSError, TimeoutError, asyncssh.Error) as error:
            raise NotReachable(_reason(error), was_sent=was_sent, cause=_cause(error)) from None

    async def entries(self, path: str) -> list[Entry]:
        """Files by name."""
        at = self._at(parts(path))
        try:
            found = await self._do(self._client.readdir(at))
        except NoSuchFile:
            return []
        made = [
            Entry(name=str(f.filename), size=int(f.attrs.size or 0), modified_at=int(f.attrs.mtime or 0))
            for f in found
            if f.attrs.type == FILEXFER_TYPE_REGULAR and _is_plain(str(f.filename))
        ]
        return sorted(made, key=lambda entry: entry.name)

    async def read(self, path: str, *, offset: int = 0, size: int = CHUNK_BYTES) -> bytes:
        """Some of a file."""

        async def work() -> bytes:
            async with self._client.open(self._at(parts(path)), "rb") as file:
                return await file.read(size, offset)

        return await self._do(work())

    async def write(self, path: str, body: bytes) -> None:
        """Put a file there, whole."""
        *folders, name = parts(path)
        beside, target = self._at([*folders, beside_name(name)]), self._at([*folders, name])

        async def send() -> None:
            async with self._client.open(beside, "wb") as file:
                for offset in range(0, len(body), _WRITE_BYTES):
                    await file.write(body[offset : offset + _WRITE_BYTES], offset)

        try:
            await self._do(send())
        except NoSuchFile:
            await self._made(folders)
            await self._do(send())
        # Until here nobody has seen it.
        await self._do(self._replace(beside, target), was_sent=True)

    async def _replace(self, beside: str, target: str) -> None:
        try:
            await self._client.posix_rename(beside, target)
        except asyncssh.SFTPOpUnsupported:
            # Servers that are not OpenSSH's kin: the old one goes first, and there is a moment without any.
            with suppress(asyncssh.SFTPNoSuchFile):
                await self._client.remove(target)
            await self._client.rename(beside, target)

    async def move(self, path: str, to: str) -> None:
        """Rename."""
        *folders, name = parts(to)
        source, target = self._at(parts(path)), self._at([*folders, name])
        if not await self._do(self._client.isfile(source)):
            raise NoSuchFile("there is no such file")
        await self._made(folders)
        # The rename of version 3 of the protocol replaces nothing; but not all servers keep to that.
        if await self._do(self._client.exists(target)):
            raise FileThere(to)
        await self._do(self._client.rename(source, target), was_sent=True)

    async def _made(self, folders: list[str]) -> None:
        await self._do(self._client.makedirs(self._at(folders), exist_ok=True))


def _is_plain(name: str) -> bool:
    try:
        return parts(name) == [name]
    except ValueError:
        return False


def _cause(error: Exception) -> Cause:
    if isinstance(error, asyncssh.PermissionDenied):
        return "key"
    return "time" if isinstance(error, TimeoutError) else "connection"


def _reason(error: Exception) -> str:
    """What went wrong, in few words of ours where the other side could have chosen them."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "the server does not show the key that is written down for it"
    if isinstance(error, asyncssh.PermissionDenied):
        return "the server does not let us in: check the user and the credential"
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return "the server does not allow it"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection: {error.strerror[:200]}"
    return f"the connection failed ({type(error).__name__})"
