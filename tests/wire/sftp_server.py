"""An SFTP server on loopback, in the event loop of the test."""

from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

asyncssh = pytest.importorskip("asyncssh", reason="NO SFTP TESTED: pip install 'onhand[sftp]'")


@dataclass
class Served:
    port: int
    host_key: str
    key: str  # that signs in, as OpenSSH writes it
    server_key: object

    def url(self, path=""):
        return f"sftp://ada@127.0.0.1:{self.port}/{path}"


@asynccontextmanager
async def sftp_server(root, *, password="s3cret", sftp=None):
    """A server whose "/" is `root`; ada signs in with the password, or with the key."""
    host, client = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username):
            return True

        def password_auth_supported(self):
            return True

        def validate_password(self, username, given):
            return username == "ada" and given == password

        def public_key_auth_supported(self):
            return True

        def validate_public_key(self, username, key):
            return username == "ada" and key == client.convert_to_public()

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[host],
        sftp_factory=lambda channel: (sftp or asyncssh.SFTPServer)(channel, chroot=str(root)),
    )
    async with server:
        yield Served(
            port=server.get_port(),
            host_key=host.export_public_key().decode().strip(),
            key=client.export_private_key("openssh").decode(),
            server_key=host,
        )
