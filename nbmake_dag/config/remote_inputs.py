"""Inputs that lie elsewhere: a URL, and how its copy is kept up to date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nbmake_dag.config.paths import PathError
from nbmake_dag.core.model import RemoteFile

KEYS = ("recheck", "max_size", "fetch")
"""Those of an input that belong to its `url`."""
WEB = frozenset({"http", "https"})
_LONGEST = 2048
_HASH = re.compile(r"sha256=([0-9a-f]{64})")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*")
HERE = frozenset(
    {
        *(
            "file",
            "local",
            "asynclocal",
            "async_wrapper",
            "memory",
            "data",
            "dir",
            "reference",
            "generic",
            "jupyter",
        ),
        *("zip", "tar", "libarchive", "cached", "blockcache", "filecache", "simplecache"),
    }
)
"""Schemes of fsspec that lead to this machine, or into something else that a second URL names."""


def is_url(text: str) -> bool:
    return "://" in text


def read_url(text: str, options: Mapping[str, Any]) -> RemoteFile:
    """Read a URL with the keys that belong to it; raises `PathError`."""
    url, _, fragment = text.partition("#")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PathError(f"is not a URL: {error}") from error
    if len(text) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise PathError("has characters that no URL has, or too many", "write others as `%20`")
    if not _SCHEME.fullmatch(parts.scheme) or "::" in url:
        raise PathError("is not one URL", "write `https://...`, `s3://...`, or another that fsspec knows")
    if parts.scheme in HERE:
        raise PathError("is not a URL of another machine", "write a path, relative to pipeline.toml")
    if not host or port == 0:
        raise PathError("names no host")
    if parts.scheme in WEB and "@" in parts.netloc:
        raise PathError("holds a user name or a password", "write them into `~/.netrc`, with the host")
    if not parts.path.rpartition("/")[2] or "*" in parts.path:
        raise PathError("does not name one file", "name the file: `https://example.org/data/sales.csv`")
    found = _HASH.fullmatch(fragment)
    if fragment and found is None:
        raise PathError("has a fragment that is no hash", "write `#sha256=` and 64 digits from 0 to f, or nothing")
    remote = RemoteFile(
        url=url,
        sha256=found[1] if found else None,
        is_version=parts.scheme in {"s3", "s3a"} and bool(re.search(r"(?:^|&)versionId=[^&]", parts.query)),
        **{key: options[key] for key in KEYS if key in options},
    )
    if not remote.fetch and not remote.is_pinned:
        hint = "add `#sha256=...`, or `?versionId=...` of S3: else nobody knows when the content changes"
        raise PathError("is not fetched, and has no hash or version", hint)
    return remote
