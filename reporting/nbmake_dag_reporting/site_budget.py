"""Keep a site under a size: the details of its oldest runs go first, and content that none has any more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from nbmake_dag_reporting.site_chunks import DamagedChunkError, SiteFiles, chunk_path


class _Run(msgspec.Struct):
    """Of the chunk of a run: where its content is."""

    refs: list[str]


def shrink(files: SiteFiles, newest_first: Sequence[str], budget: int) -> tuple[list[str], int]:
    """Drop details until the site fits; return the runs that lost theirs, and the bytes that are left.

    This looks at every file of the site. Details that cannot be read back are dropped, too.
    """
    sizes = dict(sizes_in(files.root))
    total = sum(sizes.values())
    if total <= budget:
        return [], total
    details = {path for path in sizes if path.startswith(("data/run/", "data/content/", "blobs/"))}
    used = total - sum(sizes[path] for path in details)
    kept: set[str] = set()
    dropped: list[str] = []
    damaged: list[str] = []
    for run_id in newest_first:
        try:
            chunk = files.read_chunk(f"run/{run_id}", _Run)
        except DamagedChunkError:
            damaged.append(run_id)
            continue
        if chunk is None:
            continue
        wanted = {chunk_path(f"run/{run_id}"), *chunk.refs} - kept
        size = sum(sizes.get(path, 0) for path in wanted)
        if dropped or used + size > budget:
            dropped.append(run_id)
        else:
            kept |= wanted
            used += size
    for path in sorted(details - kept):
        files.remove(path)
    return [*dropped, *damaged], used


def sizes_in(root: str) -> Iterator[tuple[str, int]]:
    """Yield the files of a site, each with its size."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), os.lstat(path).st_size
