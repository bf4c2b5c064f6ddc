"""The file by which nodes of a cluster know the workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.execute.ray.roster import keep_nonce, write_nonce


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


@pytest.mark.parametrize("what", ["nothing", "file", "fifo", "folder"])
def test_it_is_written_again_when_another_build_wrote_its_own(tmp_path: Path, what: str) -> None:
    """As there may be between the builds of a watch; while it is there it is left alone."""
    path = tmp_path / "state/seen-by-nodes"
    path.parent.mkdir()
    match what:
        case "file":
            write_nonce(str(path), "of another")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    keep_nonce(str(path), "nonce")
    assert path.read_text() == "nonce"
    before = path.stat().st_ino
    keep_nonce(str(path), "nonce")
    assert path.stat().st_ino == before
