"""Signatures of records that cross a trust boundary: Ed25519, so that who may verify cannot sign.

Keys and signatures are texts: standard base64 of their bytes. Needs the package ``cryptography``.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PURPOSE = b"nbdag record 1\0"
"""Comes before what is signed, so that a signature means nothing anywhere else."""


class Signer:
    """Signs with one private key; raises `ValueError` if it is not a key."""

    def __init__(self, private_key: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(b64decode(private_key, validate=True))

    @classmethod
    def new(cls) -> tuple[Signer, str]:
        """Make a signer, and its private key as text."""
        private_key = b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
        return cls(private_key), private_key

    @property
    def public_key(self) -> str:
        return b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, data: bytes) -> str:
        return b64encode(self._key.sign(_PURPOSE + data)).decode()


class Verifier:
    """Knows the public keys whose signatures count; raises `ValueError` for a text that is not a key."""

    def __init__(self, public_keys: Iterable[str]) -> None:
        self._keys = [Ed25519PublicKey.from_public_bytes(b64decode(key, validate=True)) for key in public_keys]

    def accepts(self, data: bytes, signature: str) -> bool:
        """Return whether one of the keys signed these bytes."""
        try:
            raw = b64decode(signature, validate=True)
        except ValueError:
            return False
        return any(_is_signed_by(key, raw, data) for key in self._keys)


def _is_signed_by(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        key.verify(signature, _PURPOSE + data)
    except InvalidSignature:
        return False
    return True
