"""Places at which a look searched for something: folders, and files that may be absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, TypeAlias

from nbmake_dag_cache.stamps import Stamp, folder_stamp, hollow_links, what_is_at

PathKind: TypeAlias = Literal["file", "folder", ""]
"""What is at a path; nothing, or what is neither, is ``""``."""

_MOST_LINKS = 40


def kind_of(path: str) -> PathKind:
    """Return what is at a path, after links."""
    return "file" if os.path.isfile(path) else "folder" if os.path.isdir(path) else ""


def is_program(path: str) -> bool:
    """Whether there is a file that can be executed."""
    return os.access(path, os.X_OK) and os.path.isfile(path)


def trail(path: str) -> Iterator[str]:
    """Yield the links that an absolute path leads through, by their real folders, and the real path at its end."""
    for _ in range(_MOST_LINKS):
        link = _first_link(path)
        if link is None:
            break
        yield link
        rest = os.path.relpath(path, link)
        target = os.path.join(os.path.dirname(link), os.readlink(link))
        path = os.path.normpath(target if rest == "." else os.path.join(target, rest))
    yield os.path.realpath(path)


def _first_link(path: str) -> str | None:
    """Return the outermost link on a path."""
    parts = path.split("/")
    for end in range(2, len(parts) + 1):
        if os.path.islink(place := "/".join(parts[:end])):
            return place
    return None


class Places(dict[str, Stamp | None]):
    """The stamp of each place, by absolute path, as it was just before it was first searched.

    ``contents`` has beside it what was there, so that a place whose times say nothing can be compared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[str, str] = {}
        self.kinds: dict[str, PathKind] = {}
        """What was at the paths of which that alone decided something."""
        self.programs: dict[str, bool] = {}
        """Whether there was a program at the paths of which that alone decided something."""

    def note(self, path: str) -> None:
        """Note that a place is going to be searched, unless it was before."""
        if path in self:
            return
        self[path] = folder_stamp(path)
        content = what_is_at(path)
        if content is not None:
            self.contents[path] = content
        for link in hollow_links(path):
            self.setdefault(link, folder_stamp(link))
