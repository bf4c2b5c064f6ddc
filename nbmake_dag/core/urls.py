"""URLs of remote inputs: what may be shown and recorded of them, and where their copies are."""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import unquote, urlsplit, urlunsplit

from nbmake_dag.core.model import ProjectPath, RemoteFile

COPIES = ".nbdag/state/remote"
"""The folder of the local copies, relative to the root."""
IDENTITY = 32
"""Characters of the name under which is kept what is known of a file."""
_SECRET = re.compile(r"token|secret|passw|pwd|sig|key|credential|auth|session|code", re.IGNORECASE)
_LONGEST_VALUE = 32
"""Characters of a value in a query; a longer one may be a secret whatever its name is."""
_SHORTEST_SECRET = 16
_SHORTEST_USER = 3
"""Characters of a user up to which it cannot be distinguished from other text."""
_LONGEST_NAME = 100
_PAIR = re.compile(r"[^&;/]+")
_URL = re.compile(r"""\b[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+""")
_USER = re.compile(r"(?<=://)[^/\s]+(?=@)")


def scrubbed(url: str) -> str:
    """Return a URL without user, password, fragment, and what may be a secret in its query, or beside its path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://..."
    path, semicolon, beside = parts.path.partition(";")
    path += semicolon + _PAIR.sub(_without_secret, beside)
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], path, _PAIR.sub(_without_secret, parts.query), "")
    )


def secrets_in(url: str) -> dict[str, str]:
    """Return what may be secrets in the query of a URL, by name; none so short that other text may have it."""
    try:
        pairs = (pair.partition("=") for pair in _PAIR.findall(urlsplit(url).query))
    except ValueError:
        return {}
    return {
        f"?{unquote(name)}": unquote(value)
        for name, _, value in pairs
        if len(value) > _LONGEST_VALUE or (len(value) >= _SHORTEST_SECRET and _SECRET.search(unquote(name)))
    }


def users_in(url: str) -> tuple[str, ...]:
    """Return user and password in a URL, where they are there."""
    parts = urlsplit(url)
    return tuple(unquote(each) for each in (parts.username, parts.password) if each and len(each) > _SHORTEST_USER)


def without_users(text: str) -> str:
    """Return a text with the user and the password of each URL in it taken out."""
    return _USER.sub("...", text)


def without_secrets(text: str) -> str:
    """Return a text with what may be a secret taken out of each URL in it."""
    return _URL.sub(_with_query, without_users(text))


def _with_query(url: re.Match[str]) -> str:
    address, number_sign, fragment = url[0].partition("#")
    path, mark, query = address.partition("?")
    path, semicolon, beside = path.partition(";")
    # a fragment holds hashes, which are as long as secrets
    return "".join(
        (
            f"{path}{semicolon}{_PAIR.sub(_without_secret, beside)}",
            f"{mark}{_PAIR.sub(_without_secret, query)}",
            f"{number_sign}{_PAIR.sub(_without_named, fragment)}",
        )
    )


def _without_secret(pair: re.Match[str]) -> str:
    name, equals, value = pair[0].partition("=")
    if len(value if equals else name) > _LONGEST_VALUE:
        return f"{name}=..." if equals else "..."
    return _without_named(pair)


def _without_named(pair: re.Match[str]) -> str:
    name, equals, _ = pair[0].partition("=")
    return f"{name}=..." if equals and _SECRET.search(unquote(name)) else pair[0]


def identity_of(remote: RemoteFile) -> str:
    """Return the name under which is kept what is known of a file."""
    return sha256(remote.key.encode()).hexdigest()[:IDENTITY]


def copy_of(remote: RemoteFile) -> ProjectPath:
    """Return where the local copy of a file is, relative to the root; it has the name that the URL ends with."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(urlsplit(remote.url).path.rpartition("/")[2])).lstrip(".")
    return ProjectPath(f"{COPIES}/{identity_of(remote)}/{name[-_LONGEST_NAME:] or 'data'}")


def fixed_identity(remote: RemoteFile) -> str:
    """Return what identifies the content of a pinned file: its hash, or the URL with the version."""
    return f"sha256:{remote.sha256}" if remote.sha256 else f"version:{remote.url}"
