"""A snapshot that is not made: its client may never ask, and the notebook goes on."""

from __future__ import annotations

import socket
from pathlib import Path

from nbmake_dag.inside import snapshot


def test_a_client_that_never_asks_does_not_end_the_notebook(tmp_path: Path, monkeypatch) -> None:
    """It is waited for, and then left."""
    monkeypatch.setattr(snapshot, "_ASK_WITHIN", 0.01)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        snapshot._refuse(listener, "a thread")
