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
_LONGEST_NAME = 100


def scrubbed(url: str) -> str:
    """Return a URL without user, password, fragment, and what may be a secret in its query."""
    parts = urlsplit(url)
    query = "&".join(map(_without_secret, parts.query.split("&"))) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _without_secret(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}=..." if equals and (_SECRET.search(name) or len(value) > _LONGEST_VALUE) else pair


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
