"""Secrets that have to be known again are kept sealed: Fernet (AES-128 and HMAC-SHA256), by keys of the operator."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Unsealable(Exception):
    """What was sealed by a key that is not among those that are known."""


class Seal:
    """Seals by the first key, opens by any: to exchange one, put the new one first and seal again.

    keys  texts of any form, at least 16 characters each
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key) < 16 for key in keys):
            raise ValueError("expected keys of at least 16 characters")
        digests = (hashlib.sha256(b"onhand seal\0" + key.encode()).digest() for key in keys)
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])

    def close(self, text: str) -> str:
        """`text` sealed."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises Unsealable."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Unsealable("it was sealed by another key: set ONHAND_SECRET_KEY to the one that it was") from None
