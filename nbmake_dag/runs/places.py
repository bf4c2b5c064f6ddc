"""Runs in a folder of any fsspec file system: bundles, and folders as a build writes them."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nbmake_dag.errors import InfrastructureError, NbdagError, UsageError
from nbmake_dag_reporting.bundle import LARGEST, BundleError, Recorded, decode_bundle, read_bundle
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.gzipped import gunzip
from nbmake_dag_reporting.hit_tables import decode_table, expand, table_path
from nbmake_dag_reporting.otlp import TRACE
from nbmake_dag_reporting.runs import decode_run
from nbmake_dag_reporting.site import Found

RUNS = "runs"
"""The folder next to a shared cache's records and blobs."""
SUFFIX = ".json.gz"
_BUNDLES = (".json", SUFFIX)
_OF_A_RUN = (TRACE, f"{TRACE}.gz", EVENTS)


class RunsFolder:
    """A folder with runs, by its path or URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._tables: dict[str, bytes] = {}
        """The content of tables of hits that were read, by their names."""
        with self._reaching():
            from fsspec.core import url_to_fs  # noqa: PLC0415 - slow, and only where it is asked for

            self._files, self._root = url_to_fs(url)

    def pushed(self) -> set[str]:
        """Return the runs that were pushed here."""
        with self._reaching():
            listed = self._listed(posixpath.join(self._root, RUNS))
        return {posixpath.basename(path).removesuffix(SUFFIX) for path in listed if path.endswith(SUFFIX)}

    def push(self, run_id: str, bundle: bytes) -> None:
        """Put a bundle here, under its name only when it is whole."""
        path = self._path(run_id)
        with self._reaching():
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)
            self._files.pipe_file(f"{path}.part", bundle)
            self._files.mv(f"{path}.part", path)

    def pull(self, run_id: str) -> bytes:
        """Return the content of a bundle, which is not checked; raises `BundleError` for one that is too large."""
        return self._read(self._path(run_id))

    def found(self) -> list[Found]:
        """List what the folder has, or what its ``runs`` has, by name; nothing of it is read yet."""
        with self._reaching():
            runs = posixpath.join(self._root, RUNS)
            listed = self._listed(runs) or self._listed(self._root)
        found: dict[str, Found] = {}
        folders: dict[str, dict[str, int]] = {}
        for path, info in listed.items():
            folder, name = posixpath.split(path)
            if name.endswith(_BUNDLES):
                run_id = name.removesuffix(".gz").removesuffix(".json")
                found[run_id] = Found(name=run_id, stamp=str(info["size"]), read=partial(self._bundle, path))
            elif name in _OF_A_RUN:
                folders.setdefault(folder, {})[name] = info["size"]
        for folder, sizes in folders.items():
            name = posixpath.basename(folder)
            stamp = ",".join(str(sizes.get(file, "")) for file in _OF_A_RUN)
            found.setdefault(name, Found(name=name, stamp=stamp, read=partial(self._folder, folder, sizes)))
        return [found[name] for name in sorted(found)]

    def _bundle(self, path: str) -> Recorded:
        return decode_bundle(self._read(path), posixpath.join(self.url, posixpath.basename(path)))

    def _folder(self, folder: str, sizes: dict[str, int]) -> Recorded:
        trace, packed, events = (
            self._read(posixpath.join(folder, name)) if name in sizes else b"" for name in _OF_A_RUN
        )
        lines = gunzip(packed, LARGEST) if packed else trace
        run = decode_run(folder, expand(lines, partial(self._table, posixpath.dirname(folder))), events)
        return Recorded(run=run, blob=lambda _sha256: None, record=lambda _own_key, _key: None)

    def _table(self, runs: str, name: str) -> bytes | None:
        """Return the rows of a table, ``None`` where it is gone or damaged; many runs have the same."""
        if name not in self._tables:
            try:
                self._tables[name] = self._read(table_path(runs, name))
            except BundleError:
                return None
            except InfrastructureError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    return None
                raise
        return decode_table(self._tables[name], name)

    def _path(self, run_id: str) -> str:
        return posixpath.join(self._root, RUNS, run_id + SUFFIX)

    def _read(self, path: str) -> bytes:
        with self._reaching(), self._files.open(path, "rb") as file:
            data: bytes = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise BundleError(f"{path} is larger than {LARGEST >> 20} MB")
        return data

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        try:
            listed: dict[str, dict[str, Any]] = self._files.find(folder, maxdepth=2, detail=True)
        except FileNotFoundError:
            return {}
        return listed

    @contextmanager
    def _reaching(self) -> Generator[None]:
        try:
            yield
        except NbdagError:
            raise
        except ImportError as error:
            raise UsageError(
                f"{self.url} needs a package: {error}",
                (),
                "s3:// needs the extra `s3` of nbdag, or the package s3fs",
            ) from error
        except Exception as error:  # file systems raise what they like
            what = str(error) or type(error).__name__
            raise InfrastructureError(f"{self.url} cannot be used: {what}") from error


def found_below(*folders: str) -> list[Found]:
    """List the bundles below folders of this machine; the first of a name counts."""
    found: dict[str, Found] = {}
    for folder in folders:
        # names that begin with a dot, as those of folders not yet complete, are not found
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", f"*{SUFFIX}"), recursive=True)):
            if not os.path.isfile(path):
                continue
            run_id = os.path.basename(path).removesuffix(SUFFIX)
            stamp = str(os.path.getsize(path))
            found.setdefault(run_id, Found(name=run_id, stamp=stamp, read=partial(read_bundle, path)))
    return list(found.values())
