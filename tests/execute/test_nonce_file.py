"""The file by which nodes of a cluster know the workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.execute.ray.cluster import write_nonce


@pytest.mark.parametrize("what", ["nothing", "file", "fifo", "link", "folder", "half"])
def test_it_is_written_whatever_is_there(tmp_path: Path, what: str) -> None:
    """A FIFO is not waited for, a link not followed."""
    path = tmp_path / "state/seen-by-nodes"
    path.parent.mkdir()
    (tmp_path / "victim").write_text("mine")
    match what:
        case "file":
            path.write_text("old")
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "victim")
        case "folder":
            (path / "x").mkdir(parents=True)
        case "half":
            os.mkfifo(f"{path}.new")
    write_nonce(str(path), "nonce")
    assert path.read_text() == "nonce"
    assert (tmp_path / "victim").read_text() == "mine"
