"""Seals secrets with AES-256-GCM under master keys that are kept outside the database.

A seal is bound to the secret's name (table, row, what it is), so that one that is moved to another
row does not open. A key's id is derived from the key: nobody can give two keys one id, or a key
the id of another.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.secrets import Sealed, SecretName

KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_CHARACTERS = 8


class SealError(Exception):
    """A secret cannot be opened. The message names it and what to do, and no secret."""


class BadMasterKeys(ValueError):
    """What was given as master keys is none. The message quotes nothing of it."""


def new_key() -> str:
    """A fresh master key as it is written into settings: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def id_of(key: bytes) -> str:
    """What a key is known by beside what it protects; it tells nothing of the key."""
    return hmac.digest(key, b"smm-gateway key id", "sha256").hex()[:_ID_CHARACTERS]


class MasterKeys:
    """The keys that seals are opened with; the first one is current and makes new seals."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        listed = list(keys)
        self._ciphers = {id_of(key): AESGCM(key) for key in listed}
        self.ids = tuple(self._ciphers)

    @classmethod
    def read(cls, text: str) -> Self:
        """Keys in base64, the current one first, with spaces or line breaks between them.

        Raises:
            BadMasterKeys: when there is none, or one is not 32 bytes in base64.
        """
        keys = [_decoded(number, word) for number, word in enumerate(text.split(), start=1)]
        if not keys:
            raise BadMasterKeys("there is none")
        return cls(keys)

    @property
    def current(self) -> str:
        """The id of the key that makes new seals."""
        return self.ids[0]

    def seal(self, name: SecretName, text: str) -> Sealed:
        """Seal the secret of that name under the current key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, text.encode(), _bound(name))
        return Sealed(self.current, nonce + sealed)

    def open(self, name: SecretName, sealed: Sealed) -> str:
        """The secret of that name.

        Raises:
            SealError: when its key is not among ours, or the seal was made for another name,
                changed, or never made.
        """
        if sealed.key_id is None:
            raise SealError(f"the secret {name} is not sealed yet: run `smm-gateway migrate`")
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SealError(
                f"the secret {name} is sealed under master key {sealed.key_id}, which is not among "
                "security.master_keys: add that key after the current one"
            )
        try:
            nonce, rest = sealed.sealed[:_NONCE_BYTES], sealed.sealed[_NONCE_BYTES:]
            return cipher.decrypt(nonce, rest, _bound(name)).decode()
        except (InvalidTag, ValueError):
            raise SealError(
                f"the secret {name} does not open: it was changed or moved in the database; set "
                "it anew"
            ) from None

    def renew(self, name: SecretName, sealed: Sealed) -> Sealed:
        """The same secret under the current key; plain text of an older version is sealed.

        Raises:
            SealError: as ``open``.
        """
        plain = sealed.sealed.decode() if sealed.key_id is None else self.open(name, sealed)
        return self.seal(name, plain)


def _decoded(number: int, word: str) -> bytes:
    try:
        key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadMasterKeys(f"number {number} is not {KEY_BYTES} bytes in base64")
    return key


def _bound(name: SecretName) -> bytes:
    return str(name).encode()
