"""Keep a site under a size: the details of its oldest runs go first, and content that none has any more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from nbmake_dag_reporting.site_chunks import SiteFiles, chunk_path


def shrink(files: SiteFiles, newest_first: Sequence[str], budget: int) -> tuple[list[str], int]:
    """Drop details until the site fits; return the runs that lost theirs, and the bytes that are left.

    This looks at every file of the site.
    """
    sizes = dict(_sizes(files.root))
    total = sum(sizes.values())
    if total <= budget:
        return [], total
    details = {path for path in sizes if path.startswith(("data/run/", "data/content/", "blobs/"))}
    used = total - sum(sizes[path] for path in details)
    kept: set[str] = set()
    dropped: list[str] = []
    for run_id in newest_first:
        chunk = files.read_chunk(f"run/{run_id}", dict[str, object])
        if chunk is None:
            continue
        wanted = {chunk_path(f"run/{run_id}"), *chunk["refs"]} - kept
        size = sum(sizes.get(path, 0) for path in wanted)
        if dropped or used + size > budget:
            dropped.append(run_id)
        else:
            kept |= wanted
            used += size
    for path in sorted(details - kept):
        files.remove(path)
    return dropped, used


def _sizes(root: str) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), os.lstat(path).st_size
