"""`pylock.toml`, the lock file of the Python standard, as uv, pip and PDM write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)

from nbmake_dag.observe.locks.selection import (
    Locked,
    LockError,
    Target,
    name_of,
    shortened,
    sorted_by_name,
    strong_hashes,
    unpinned,
    url_of,
)

COMMAND = "uv export --format pylock.toml -o pylock.toml"


def read_pylock(content: Mapping[str, Any], target: Target) -> tuple[Locked, ...]:
    """Return what counts for a Python; projects of this machine are left out."""
    try:
        return sorted_by_name(_selected(Pylock.from_dict(content), target))
    except (PylockValidationError, PylockUnsupportedVersionError, PylockSelectError, RecursionError) as error:
        raise LockError(f"cannot be used: {shortened(str(error))}", f"write it anew: `{COMMAND}`") from error


def _selected(lock: Pylock, target: Target) -> Iterator[Locked]:
    groups = (*(lock.default_groups or ()), *target.wanted.groups) if target.wanted.groups else None
    found = lock.select(
        environment=target.markers, tags=target.tags, extras=target.wanted.extras, dependency_groups=groups
    )
    for package, file in found:
        match file:
            case PackageDirectory():
                continue
            case PackageVcs():
                raise unpinned(package.name, COMMAND)
            case PackageWheel():
                yield _locked(package, file.url, file.hashes)
            case PackageSdist() | PackageArchive():
                if not target.wanted.build:
                    raise target.without_wheel(package.name, str(package.version or ""))
                yield _locked(package, file.url, file.hashes)


def _locked(package: Package, url: str | None, hashes: Mapping[str, str]) -> Locked:
    name, strong = name_of(package.name), strong_hashes(hashes)
    if not strong:
        raise unpinned(name, COMMAND)
    return Locked(
        name=name,
        version=str(package.version or ""),
        hashes=strong,
        url=url_of(url or "a file of this machine", name),
    )
