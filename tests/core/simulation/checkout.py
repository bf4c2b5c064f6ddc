"""A project on disk in which the model builds, and what is known of its cache."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.records import RecordStore
from tests.core.simulation.world import (
    MODULES,
    Files,
    Specs,
    owned,
)


@dataclass(frozen=True, kw_only=True)
class Memos:
    """Indexes that many examples share, since opening them takes longer than an example."""

    files: StatMemo
    identities: IdentityMemo


class Checkout:
    """A project on disk; ``cached`` has the file of the record for each footprint that was published."""

    def __init__(self, root: str, memos: Memos) -> None:
        self.project = Project(config=f"{root}/pipeline.toml", root=root, repository=root)
        self.layout = CacheLayout(self.project.cache)
        self.memos = memos
        self.records = RecordStore(self.project.cache)
        self.blobs = BlobStore(self.project.cache)
        self.cached: dict[tuple[Any, ...], str] = {}
        self.made: dict[tuple[str, str], set[str]] = {}
        """The files of the records that have a path with a content whose bytes were stored."""
        os.makedirs(self.project.state)

    def write(self, path: str, text: str) -> None:
        place = self.project.absolute(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)

    def user_files(self, specs: Specs, files: Files) -> Files:
        """Return those files that no task owns, and that are not moved away before anything runs."""
        return {
            path: text
            for path, text in files.items()
            if not owned(specs, path) and not self._is_leftover(specs, path, text)
        }

    def _is_leftover(self, specs: Specs, path: str, text: str) -> bool:
        recorded = any(os.path.exists(place) for place in self.made.get((path, text), ()))
        return recorded and self.is_stored(text) and all(path not in spec.inputs for spec in specs.values())

    def modules(self) -> Files:
        """Return the value that each module assigns."""
        return {path: _value(self.project.absolute(path)) for path in MODULES}

    def is_stored(self, text: str) -> bool:
        """Say whether the blob of a content is there and sound."""
        name = hashlib.sha256(text.encode()).hexdigest()
        try:
            return self.blobs.is_sound(name)
        except BlobError:
            return False

    def has_record(self, footprint: tuple[Any, ...]) -> bool:
        return footprint in self.cached and os.path.exists(self.cached[footprint])


def _value(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().removeprefix("VALUE = ").strip()
