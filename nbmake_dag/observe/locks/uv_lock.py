"""`uv.lock`: walk from the project to all that it needs, as uv does, without resolving anything anew.

The project itself and others of its workspace are never among what is found: they are code of the repository. What
they need is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from nbmake_dag.observe.locks.selection import (
    Locked,
    LockError,
    Target,
    hash_of,
    name_of,
    shortened,
    sorted_by_name,
    unpinned,
    url_of,
    version_of,
)

COMMAND = "uv lock"
_FORMAT = 1
_LOCAL = ("virtual", "editable", "directory")
"""The sources of projects of the repository."""
_CONFLICT = re.compile(r"""extra\s*(==|!=)\s*(['"])((?:extra|group|project)-[^'"]*)\2""")
"""How uv writes which extras and groups that contradict each other are chosen."""


class _File(msgspec.Struct, frozen=True):
    url: str = ""
    hash: str = ""
    filename: str = ""
    path: str = ""


class _Dependency(msgspec.Struct, frozen=True):
    name: str
    version: str = ""
    source: dict[str, Any] = {}
    marker: str = ""
    extra: tuple[str, ...] = ()


class _Package(msgspec.Struct, frozen=True):
    name: str
    source: dict[str, Any]
    version: str = ""
    dependencies: tuple[_Dependency, ...] = ()
    optional: dict[str, tuple[_Dependency, ...]] = msgspec.field(name="optional-dependencies", default={})
    groups: dict[str, tuple[_Dependency, ...]] = msgspec.field(name="dev-dependencies", default={})
    sdist: _File | None = None
    wheels: tuple[_File, ...] = ()

    @property
    def is_local(self) -> bool:
        return any(kind in self.source for kind in _LOCAL)


class _Manifest(msgspec.Struct, frozen=True):
    members: tuple[str, ...] = ()


class _Lock(msgspec.Struct, frozen=True):
    version: int
    requires: str = msgspec.field(name="requires-python", default="")
    package: tuple[_Package, ...] = ()
    manifest: _Manifest = _Manifest()


def read_uv_lock(content: Mapping[str, Any], target: Target) -> tuple[Locked, ...]:
    """Return what a project needs, with the groups and extras that are wanted."""
    try:
        lock = msgspec.convert(content, _Lock)
    except msgspec.ValidationError as error:
        raise LockError(f"is no lock file of uv: {error}", f"write it anew: `{COMMAND}`") from error
    if lock.version != _FORMAT:
        raise LockError(f"has the format {lock.version}, and this version of nbdag reads {_FORMAT}")
    target.must_be_in(lock.requires)
    return sorted_by_name(_locked(package, target) for package in _Walk(lock, target).packages())


class _Walk:
    """All that is reached from the projects of a lock file."""

    def __init__(self, lock: _Lock, target: Target) -> None:
        self._target = target
        self._by_name: dict[str, list[_Package]] = {}
        for package in lock.package:
            self._by_name.setdefault(name_of(package.name), []).append(package)
        self._roots = _roots(lock)
        self._chosen = {
            text
            for root in self._roots
            for text in (
                f"project-{len(root.name)}-{root.name}",
                *(f"extra-{len(root.name)}-{root.name}-{extra}" for extra in target.wanted.extras),
                *(f"group-{len(root.name)}-{root.name}-{group}" for group in target.wanted.groups),
            )
        }
        self._open: list[tuple[_Package, str]] = []
        self._seen: set[tuple[int, str]] = set()

    def packages(self) -> Iterator[_Package]:
        """Yield each package that is to be installed, once."""
        for root in self._roots:
            self._reach(root)
        self._reach_chosen()
        found: dict[int, _Package] = {}
        while self._open:
            package, extra = self._open.pop()
            if not package.is_local:
                found[id(package)] = package
            for dependency in package.optional.get(extra, ()) if extra else package.dependencies:
                self._follow(dependency)
        yield from found.values()

    def _reach(self, package: _Package, extra: str = "") -> None:
        if (id(package), extra) not in self._seen:
            self._seen.add((id(package), extra))
            self._open.append((package, extra))

    def _reach_chosen(self) -> None:
        wanted = self._target.wanted
        for extra in wanted.extras:
            having = [root for root in self._roots if extra in root.optional]
            for root in having:
                self._reach(root, extra)
            self._must_know(extra, "extra", having, (name for root in self._roots for name in root.optional))
        for group in wanted.groups:
            having = [root for root in self._roots if group in root.groups]
            for root in having:
                for dependency in root.groups[group]:
                    self._follow(dependency)
            self._must_know(group, "group", having, (name for root in self._roots for name in root.groups))

    @staticmethod
    def _must_know(name: str, kind: str, having: list[_Package], known: Iterator[str]) -> None:
        if not having:
            there = ", ".join(f"`{each}`" for each in sorted({*known})) or "none"
            raise LockError(f"has no {kind} `{shortened(name)}`", f"there are: {there}")

    def _follow(self, dependency: _Dependency) -> None:
        if not self._target.meets(_CONFLICT.sub(self._decided, dependency.marker)):
            return
        package = self._named(dependency)
        self._reach(package)
        for extra in dependency.extra:
            self._reach(package, extra)

    def _decided(self, found: re.Match[str]) -> str:
        """Return a marker that holds, or does not, in the place of one about what is chosen."""
        holds = (found[3] in self._chosen) == (found[1] == "==")
        return f"python_version {'>' if holds else '<'} '0'"

    def _named(self, dependency: _Dependency) -> _Package:
        found = [
            package
            for package in self._by_name.get(name_of(dependency.name), ())
            if dependency.version in {"", package.version} and dependency.source in ({}, package.source)
        ]
        if len(found) != 1:
            raise LockError(
                f"needs `{shortened(dependency.name)}`, which it has {len(found)} times",
                f"write it anew: `{COMMAND}`",
            )
        return found[0]


def _roots(lock: _Lock) -> list[_Package]:
    """Return the project beside the lock file, else all members of its workspace."""
    own = [package for package in lock.package if "." in (package.source.get(kind) for kind in _LOCAL)]
    members = [package for package in lock.package if package.is_local and package.name in lock.manifest.members]
    if not (own or members):
        raise LockError("names no project", f"write it beside a `pyproject.toml`: `{COMMAND}`")
    return own or members


def _locked(package: _Package, target: Target) -> Locked:
    name, version = name_of(package.name), version_of(package.version, package.name)
    position = target.best_wheel(name, version, map(_file_name, package.wheels))
    if position is not None:
        file: _File | None = package.wheels[position]
    elif package.sdist is not None and target.wanted.build:
        file = package.sdist
    elif package.wheels or package.sdist is not None:
        raise target.without_wheel(name, version)
    else:
        file = None
    pinned = hash_of(file.hash) if file else None
    if file is None or pinned is None:
        raise unpinned(name, COMMAND)
    return Locked(name=name, version=version, hashes=(pinned,), url=url_of(file.url or file.path, name))


def _file_name(file: _File) -> str:
    return file.filename or unquote(urlsplit(file.url).path).rpartition("/")[2] or file.path.rpartition("/")[2]
