"""Signed statements in DSSE envelopes, one in each line of a file: what in-toto and its tools read.

Unlike signatures of records these follow a standard, whose encoding says what was signed. Needs ``cryptography``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Literal["application/vnd.in-toto+json"] = "application/vnd.in-toto+json"


class EnvelopeError(ValueError):
    """A line is not an envelope, or was changed; the message gives the reason."""


class _Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sig: str
    keyid: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = msgspec.field(name="payloadType")
    signatures: tuple[_Signature]


class Envelope:
    """One signed statement; its content is believed once `signer` names a key."""

    def __init__(self, payload: bytes, signature: bytes, keyid: str) -> None:
        self.payload = payload
        self._signature = signature
        self._keyid = keyid

    def signer(self, public_keys: Iterable[str]) -> str | None:
        """Return which of some public keys signed it; raises `ValueError` for a text that is not a key."""
        for text in public_keys:
            raw = b64decode(text, validate=True)
            key = Ed25519PublicKey.from_public_bytes(raw)
            if sha256(raw).hexdigest() == self._keyid and _is_signed(key, self._signature, self.payload):
                return text
        return None


def sign(statements: Iterable[bytes], private_key: str) -> bytes:
    """Write statements as lines; raises `ValueError` if the key is none."""
    key = Ed25519PrivateKey.from_private_bytes(b64decode(private_key, validate=True))
    keyid = sha256(key.public_key().public_bytes_raw()).hexdigest()
    return b"".join(_line(key, keyid, statement) for statement in statements)


def _line(key: Ed25519PrivateKey, keyid: str, statement: bytes) -> bytes:
    signature = b64encode(key.sign(_encoded(statement))).decode()
    envelope = _Envelope(
        payload=b64encode(statement).decode(),
        payload_type=PAYLOAD_TYPE,
        signatures=(_Signature(sig=signature, keyid=keyid),),
    )
    return msgspec.json.encode(envelope) + b"\n"


def read_envelopes(data: bytes) -> Iterator[Envelope]:
    """Read the lines of a file; raises `EnvelopeError` at the first that is none."""
    for number, line in enumerate(data.split(b"\n")[:-1] if data.endswith(b"\n") else [b""], 1):
        try:
            # of two members of one name, readers take either
            envelope = msgspec.convert(json.loads(line, object_pairs_hook=_once), _Envelope)
            signature = envelope.signatures[0]
            yield Envelope(_bytes_of(envelope.payload), _bytes_of(signature.sig), signature.keyid)
        except (RecursionError, ValueError) as error:
            raise EnvelopeError(f"line {number} is no envelope: {error}") from error


def _once(members: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(members)) != len(members):
        raise ValueError("it has two members of one name")
    return dict(members)


def _bytes_of(text: str) -> bytes:
    """Read base64; of two texts for the same bytes, one was changed."""
    data = b64decode(text, validate=True)
    if b64encode(data).decode() != text:
        raise ValueError("its base64 was changed")
    return data


def _is_signed(key: Ed25519PublicKey, signature: bytes, statement: bytes) -> bool:
    try:
        key.verify(signature, _encoded(statement))
    except InvalidSignature:
        return False
    return True


def _encoded(statement: bytes) -> bytes:
    """Encode a statement with its type and both lengths, so that it can be read in one way only."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(statement), statement)
