"""Refuses to publish what holds the value of a secret, as it is or as it is usually encoded."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

_SHORTEST = 8
_SUSPICIOUS = re.compile(r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)


class SecretFoundError(Exception):
    """Something that was about to be published holds a secret; ``name`` says which, ``place`` where."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(name, place)
        self.name = name
        self.place = place

    def __str__(self) -> str:
        return f"{self.place} holds the value of {self.name}"


class Secrets:
    """The values that must not be published, by name. Values under 8 characters are too common to look for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names = {
            form: name for name, value in values.items() if len(value) >= _SHORTEST for form in _forms(value)
        }
        longest_first = sorted(self._names, key=lambda form: (-len(form), form))
        self.longest = len(longest_first[0]) if longest_first else 0
        """Bytes of the longest form that is looked for: what is searched in pieces must overlap by so much."""
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None

    def refuse(self, data: bytes, place: str) -> None:
        """Raise `SecretFoundError` where the data hold a secret."""
        found = self._pattern.search(data) if self._pattern else None
        if found:
            raise SecretFoundError(self._names[found[0]], place)


def suspects(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the environment variables whose names say that they are secrets."""
    return {name: value for name, value in environ.items() if _SUSPICIOUS.search(name)}


def _forms(value: str) -> Iterator[bytes]:
    data = value.encode(errors="surrogateescape")
    yield data
    yield json.dumps(value)[1:-1].encode()
    yield json.dumps(value, ensure_ascii=False)[1:-1].encode(errors="surrogateescape")
    yield quote(data, safe="").encode()
    yield quote_plus(data).encode()
    yield from _base64(data)


def _base64(data: bytes) -> Iterator[bytes]:
    """Encode at each of the three places that a value can have in a longer text, without what its ends share."""
    for before in range(3):
        after = -(before + len(data)) % 3
        encoded = base64.b64encode(bytes(before) + data + bytes(after))
        inner = encoded[(before * 8 + 5) // 6 : len(encoded) - ((after * 8 + 5) // 6)]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")
