"""Refuse to publish content that has the value of a secret, plain or in a usual encoding."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

import msgspec

SHORTEST = 4
"""Characters of a declared secret below which it cannot be distinguished from other text."""
SHORTEST_SEARCHED = 8
"""Characters of a value from which on content that was not redacted is searched for it."""
_LONG_LINE = 16
"""Characters of a line of a longer value that are certainly of it alone."""
_NO_PLAIN = re.compile(r"[^\w@%+=:,./-]")
"""What shells put a backslash before."""
_NUMBER = re.compile(r"[0-9.+-]+")
_COMPRESSED = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_SUSPICIOUS = re.compile(
    r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASS|PASSPHRASE|CREDENTIALS)$", re.IGNORECASE
)


class SecretFoundError(Exception):
    """Content to be published has a secret in it; ``name`` is the secret's, ``place`` where it was found."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(name, place)
        self.name = name
        self.place = place

    def __str__(self) -> str:
        return f"{self.place} holds the value of {self.name}"


class RememberedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A spelling of a secret whose value is not known here: enough to find it, too little to tell it."""

    name: str
    salt: str
    """16 random bytes, in hexadecimal digits like the others."""
    head: str
    """The first two bytes, by which the places to look at are found."""
    size: int
    digest: str
    """Of the spelling with the salt."""


def remembered(name: str, value: str) -> Iterator[RememberedSecret]:
    """Yield all spellings of a secret; none of one that is so short that its digest could be guessed."""
    for form in dict.fromkeys(forms_of(value)) if len(value) >= _LONG_LINE else ():
        salt = secrets.token_bytes(16)
        yield RememberedSecret(
            name=name, salt=salt.hex(), head=form[:2].hex(), size=len(form), digest=_salted(form, salt)
        )


def _salted(form: bytes, salt: bytes) -> str:
    return hashlib.blake2b(form, key=salt, digest_size=16).hexdigest()


class Secrets:
    """The values that must not be published, by name: the second line behind the redaction of what is captured.

    What holds a declared secret is refused. A value of under 8 characters is too common to look for. A *suspicion*
    is a variable that is only named like a secret: what is published has ``[secret NAME]`` in its place, unless it
    is a plain word or number, which is only mentioned. ``notes`` says what was found and what was not searched;
    ``unsearched`` is what is known of that beforehand.
    """

    def __init__(
        self,
        declared: Mapping[str, str],
        *,
        suspected: Mapping[str, str] | None = None,
        remembered: Iterable[RememberedSecret] = (),
        unsearched: Iterable[str] = (),
    ) -> None:
        self._unsearched = tuple(unsearched)
        self._searched = False
        self._declared = _Forms(declared)
        suspected = suspected or {}
        self._suspected = _Forms({name: value for name, value in suspected.items() if not _is_plain(value)})
        self._plain = _Forms({name: value for name, value in suspected.items() if _is_plain(value)})
        self._remembered: dict[bytes, list[RememberedSecret]] = {}
        for item in remembered:
            self._remembered.setdefault(bytes.fromhex(item.head), []).append(item)
        self.longest = max(
            self._declared.longest,
            self._suspected.longest,
            *(item.size for items in self._remembered.values() for item in items),
            0,
        )
        """Bytes of the longest form that is looked for: what is searched in pieces must overlap by so much."""
        self._found: dict[str, str] = {}
        self._compressed: list[str] = []

    def name_of(self, data: bytes) -> str | None:
        """Return the name of a declared secret that data hold."""
        return self._declared.find(data) or self._recall(data)

    def refuse(self, data: bytes, place: str) -> None:
        """Raise `SecretFoundError` where the data hold a declared secret."""
        self._searched = True
        if name := self.name_of(data):
            raise SecretFoundError(name, place)
        if (self._declared or self._remembered) and data.startswith(_COMPRESSED):
            self._compressed.append(place)

    def refuse_suspicious(self, data: bytes, place: str) -> None:
        """Raise `SecretFoundError` where the data hold what may be a secret: nothing is lost if they stay here."""
        self.refuse(data, place)
        if name := self._suspected.find(data):
            raise SecretFoundError(name, place)

    def clean(self, data: bytes, place: str) -> bytes:
        """Return data as they may be published, without what may be a secret; raises `SecretFoundError`."""
        self.refuse(data, place)
        if name := self._plain.find(data):
            self._found.setdefault(name, f"{place} holds the value of {name}, which no task declares as a secret")
        if name := self._suspected.find(data):
            self._found.setdefault(name, f"the value of {name}, which no task declares, was taken out of {place}")
            return self._suspected.replaced(data)
        return data

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of what was searched so far."""
        first, *others = self._compressed or [""]
        more = f" and {len(others)} more" if others else ""
        unread = (f"{first}{more} cannot be searched for secrets: it is compressed",) if first else ()
        return (*self._found.values(), *unread, *(self._unsearched if self._searched else ()))

    @property
    def finds_suspicions(self) -> bool:
        return bool(self._found)

    def _recall(self, data: bytes) -> str | None:
        """Find a secret of which only digests are known."""
        for head, items in self._remembered.items():
            place = data.find(head)
            while place >= 0:
                for item in items:
                    form = data[place : place + item.size]
                    if len(form) == item.size and _salted(form, bytes.fromhex(item.salt)) == item.digest:
                        return item.name
                place = data.find(head, place + 1)
        return None


class _Forms:
    """The spellings of values, by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names = {
            form: name
            for name, value in values.items()
            if len(value) >= SHORTEST_SEARCHED
            for form in forms_of(value)
            if len(form) >= SHORTEST_SEARCHED
        }
        longest_first = sorted(self._names, key=lambda form: (-len(form), form))
        self.longest = len(longest_first[0]) if longest_first else 0
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first)))

    def __bool__(self) -> bool:
        return bool(self._names)

    def find(self, data: bytes) -> str | None:
        # one after the other is faster than all at once
        return next((name for form, name in self._names.items() if form in data), None)

    def replaced(self, data: bytes) -> bytes:
        return self._pattern.sub(lambda found: f"[secret {self._names[found[0]]}]".encode(), data)


def _is_plain(value: str) -> bool:
    """Whether a value is a word or a number, such as ``postgres``, which says little wherever it stands."""
    return len(value) < _LONG_LINE and (value.isalpha() or _NUMBER.fullmatch(value) is not None)


def suspects(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the environment variables whose names mark them as secrets."""
    return {name: value for name, value in environ.items() if _SUSPICIOUS.search(name)}


def forms_of(value: str) -> Iterator[bytes]:
    """Yield a value as programs spell it: as JSON, Python, shells, HTML, URLs and base64 have it.

    Also without the white space around it, and each long line of several, which tracebacks and logs indent.
    """
    if value.strip() != value:
        yield from forms_of(value.strip())
    data = value.encode(errors="surrogateescape")
    yield data
    for ascii_only in (True, False):
        in_json = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield in_json.encode(errors="surrogateescape")
        # JSON in a text of JSON, such as a log line that a record holds
        yield json.dumps(in_json)[1:-1].encode()
    for of_quotes in ((), ('"', "&quot;"), ('"', "&#34;")):
        for of_apostrophe in ("'", "&#x27;", "&#39;"):
            in_html = html.escape(value, quote=False).replace("'", of_apostrophe)
            yield (in_html.replace(*of_quotes) if of_quotes else in_html).encode(errors="surrogateescape")
    yield repr(value)[1:-1].encode(errors="surrogateescape")
    yield repr(data)[2:-1].encode()
    yield value.replace("'", "'\"'\"'").encode(errors="surrogateescape")
    yield value.replace("'", "'\\''").encode(errors="surrogateescape")
    yield _NO_PLAIN.sub(r"\\\g<0>", value).encode(errors="surrogateescape")
    for safe in ("", "/", "!~*'()"):
        for quoted in (quote(data, safe=safe), quote_plus(data, safe=safe)):
            yield quoted.encode()
            yield _PERCENT.sub(lambda found: found[0].lower(), quoted).encode()
    yield from _base64(data)
    lines = value.splitlines()
    for line in map(str.strip, lines if len(lines) > 1 else ()):
        if len(line) >= _LONG_LINE and not line.startswith("-----"):
            yield from forms_of(line)


def _base64(data: bytes) -> Iterator[bytes]:
    """Encode at each of the three places that a value can have in a longer text, without what its ends share."""
    for before in range(3):
        after = -(before + len(data)) % 3
        encoded = base64.b64encode(bytes(before) + data + bytes(after))
        inner = encoded[(before * 8 + 5) // 6 : len(encoded) - ((after * 8 + 5) // 6)]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")
