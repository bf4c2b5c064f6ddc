"""Note what decides which modules Python imports: folders that were listed, and places that were looked in vain.

Names that code computes are known only here. Another run imports the same modules if what it would have found
earlier is still absent, and if the folders whose modules it listed still have the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from nbmake_dag.inside.modules import local_modules
from nbmake_dag.inside.repository import Repository

_IMPORTLIB = os.path.join(os.path.dirname(os.__file__), "importlib", "")
_ALWAYS = ""
"""Stands for no module: what is noted with it counts whatever was imported."""


class Imports:
    """The folders that were listed so far, and the modules that the user's code did not find."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._listed: set[str] = set()
        self._listed_for_modules: set[str] = set()
        self._missed: set[str] = set()

    def note_listing(self, path: Any) -> None:
        """Note a folder that the caller's caller lists; importlib's own look into folders says nothing."""
        caller = sys._getframe(2).f_code.co_filename  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if caller.startswith("<frozen importlib") or isinstance(path, int):
            return
        folder = os.path.abspath(os.fsdecode(path) if path else ".")
        listed = self._listed_for_modules if os.path.basename(caller) == "pkgutil.py" else self._listed
        listed.add(folder)

    def watch(self) -> None:
        """Be the finder that is asked last, for what no other finds."""
        sys.meta_path.append(self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002
        """Note a module that the user's own code asks for in vain."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        while frame is not None and _is_importlib(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None and self._is_users(frame.f_code.co_filename):
            self._missed.add(name)

    def _is_users(self, path: str) -> bool:
        """Return whether code is in the repository, or in a cell, which has no file; not in installed software."""
        return self._repository.locate(path) is not None or not os.path.exists(path)

    def decisive(self, root: str) -> dict[str, list[str]]:
        """Return the places, relative to ``root``, whose change could let each local module be another one.

        A place with a slash at its end is a folder whose modules count.
        """
        loaded = list(local_modules(self._repository))
        listed = {place: f"{place}/" for folder in self._listed if (place := self._folder(folder))}
        found: dict[str, set[str]] = {}
        for name, _, path in loaded:
            places = found.setdefault(path, set())
            places.update(self._before(name, path))
            above = os.path.dirname(path)
            places.update(listed[folder] for folder in (above, os.path.dirname(above)) if folder in listed)
        always = {f"{place}/" for folder in self._listed_for_modules if (place := self._folder(folder))}
        for name in self._missed.difference(sys.modules):
            always.update(self._spots(name))
        if always:
            found[_ALWAYS] = always
        return {
            os.path.relpath(path, root) if path else path: sorted(_relative(place, root) for place in places)
            for path, places in found.items()
            if places
        }

    def _folder(self, path: str) -> str | None:
        """Return a folder of the repository as nbdag calls it."""
        inside = self._repository.locate(os.path.join(path, "_"))
        return os.path.dirname(inside) if inside else None

    def _before(self, name: str, path: str) -> list[str]:
        """Return the files that would have been imported by a name instead of ``path``."""
        spots: list[str] = []
        for spot in self._spots(name):
            if spot == path:
                parent = name.rpartition(".")[0]
                return [*spots, *(self._spots(parent) if parent and _is_namespace(parent) else ())]
            spots.append(spot)
        # it was not found by its name
        return []

    def _spots(self, name: str) -> Iterator[str]:
        """Yield the local files that a name can mean, in the order in which Python looks for them."""
        parent, _, last = name.rpartition(".")
        folders: Sequence[Any] = sys.path
        if parent:
            folders = list(getattr(sys.modules.get(parent), "__path__", ()))
        for folder in folders:
            if isinstance(folder, str):
                for spot in (os.path.join(folder, last, "__init__.py"), os.path.join(folder, f"{last}.py")):
                    path = self._repository.locate(spot)
                    if path:
                        yield path


def _is_importlib(path: str) -> bool:
    return path.startswith(("<frozen importlib", _IMPORTLIB))


def _is_namespace(name: str) -> bool:
    return getattr(sys.modules.get(name), "__file__", None) is None


def _relative(place: str, root: str) -> str:
    return os.path.relpath(place, root) + ("/" if place.endswith("/") else "")
