"""Which files of the repository some code imports, directly or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

import msgspec

from nbmake_dag.observe.project import Project
from nbmake_dag_cache.digest import Digest, digest_bytes
from nbmake_dag_cache.identity import identity_schema
from nbmake_dag_cache.imports import Imports, PathAddition, imports_of
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp
from nbmake_dag_cache.syntax import python_identity


class ModuleIdentity(msgspec.Struct, frozen=True, array_like=True):
    """What a module's text comes to: its identity, and what it imports."""

    digest: Digest
    imports: Imports


_decode = msgspec.json.Decoder(ModuleIdentity).decode


class Modules:
    """Finds local modules by reading code, never by running it.

    It lives for one run, in which files are taken as at rest.
    """

    def __init__(
        self, project: Project, files: StatMemo, identities: IdentityMemo, installed: Iterable[str]
    ) -> None:
        self._project = project
        self._files = files
        self._identities = identities
        self._schema = f"module {identity_schema()}"
        self._installed = tuple(path for path in installed if self.is_local(path))
        self._kinds: dict[str, str] = {}
        self._read: dict[str, ModuleIdentity | None] = {}
        self.folders: dict[str, Stamp | None] = {}
        """Folders as they were before they were searched: a module that joins one may be meant by an import."""

    def fresh(self) -> Modules:
        """Return one that has read nothing yet."""
        return Modules(self._project, self._files, self._identities, self._installed)

    def closure(
        self, imports: Imports, folder: str, editable: dict[str, str] | None = None, search: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """Return the absolute paths of all local modules that imports reach, sorted.

        ``folder`` is that of the importing code; ``search`` comes first on its import path.
        """
        found: set[str] = set()
        base = (self._project.root, *search, *self._installed)
        waiting: list[tuple[Imports, str, str | None, tuple[str, ...]]] = [(imports, folder, None, base)]
        while waiting:
            some, where, package, path = waiting.pop()
            path = (*path, *(place for place in self._additions(some.folders, where)))
            for module in self._mentioned(some, package, path, editable or {}):
                if module in found:
                    continue
                found.add(module)
                identity = self.identity(module)
                if identity is not None:
                    waiting.append((identity.imports, os.path.dirname(module), os.path.dirname(module), path))
        return tuple(sorted(found))

    def identity(self, path: str) -> ModuleIdentity | None:
        """Return a module's identity, ``None`` if it cannot be read."""
        if path not in self._read:
            self._read[path] = self._identify(path)
        return self._read[path]

    def digest(self, path: str) -> Digest | None:
        identity = self.identity(path)
        return identity.digest if identity else None

    def _identify(self, path: str) -> ModuleIdentity | None:
        try:
            known = self._identities.get(self._files.digest(path), self._schema)
            if known is not None:
                return _decode(known)
            with open(path, "rb") as file:
                source = file.read()
        except OSError:
            return None
        identity = ModuleIdentity(python_identity(source), imports_of(source))
        # it may have been saved meanwhile
        self._identities.put(digest_bytes(source), self._schema, msgspec.json.encode(identity).decode())
        return identity

    def _additions(self, additions: Iterable[PathAddition], folder: str) -> Iterator[str]:
        for addition in additions:
            base = folder if addition.base == "file" else self._project.root
            place = os.path.normpath(os.path.join(base, addition.path))
            if self.is_local(place):
                yield place

    def _mentioned(
        self, imports: Imports, package: str | None, path: tuple[str, ...], editable: dict[str, str]
    ) -> Iterator[str]:
        for item in imports.modules:
            if item.level:
                if package is None:
                    continue
                start = package
                for _ in range(item.level - 1):
                    start = os.path.dirname(start)
                search: tuple[str, ...] = (start,)
                if self.is_local(start) and self._kind(init := os.path.join(start, "__init__.py")) == "file":
                    yield init
            else:
                search = path
            parts = tuple(part for part in item.module.split(".") if part)
            folders, files = self._walk(parts, search, editable)
            yield from files
            for name in item.names:
                if name != "*" and folders:
                    yield from self._walk((name,), folders, {})[1]

    def _walk(
        self, parts: tuple[str, ...], search: tuple[str, ...], editable: dict[str, str]
    ) -> tuple[tuple[str, ...], list[str]]:
        """Follow a dotted name; return the folders of the package that it is, and the files passed on the way."""
        folders = search
        files: list[str] = []
        for position, part in enumerate(parts):
            mapped = editable.get(part) if position == 0 else None
            spots = (
                (mapped, *(os.path.join(folder, part) for folder in folders))
                if mapped
                else tuple(os.path.join(folder, part) for folder in folders)
            )
            namespace: list[str] = []
            for spot in spots:
                if not self.is_local(spot):
                    continue
                self._search(os.path.dirname(spot))
                if self._kind(init := os.path.join(spot, "__init__.py")) == "file":
                    files.append(init)
                    folders = (spot,)
                    break
                if self._kind(module := spot if spot.endswith(".py") else f"{spot}.py") == "file":
                    files.append(module)
                    return (), files
                if self._kind(spot) == "folder":
                    namespace.append(spot)
            else:
                if not namespace:
                    return (), files
                folders = tuple(namespace)
        return folders, files

    def _search(self, folder: str) -> None:
        if folder not in self.folders:
            self.folders[folder] = folder_stamp(folder)

    def _kind(self, path: str) -> str:
        """Say whether a path is a ``file``, a ``folder`` or nothing."""
        if path not in self._kinds:
            kind = "file" if os.path.isfile(path) else "folder" if os.path.isdir(path) else ""
            self._kinds[path] = kind
        return self._kinds[path]

    def is_local(self, path: str) -> bool:
        """Whether a path is in the repository, and not in an environment that lies inside it."""
        return _within(path, self._project.repository) and not (
            _within(sys.prefix, self._project.repository) and _within(path, sys.prefix)
        )


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
