"""Which kernels `init` and `add` may name: those that start."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag.scaffold.discovery import installed_kernels

_STARTS: dict[str, dict[str, Any]] = {
    "absolute": {"argv": [sys.executable, "-m", "x"]},
    "native": {"argv": ["python3"]},
    "searched": {"argv": ["sh", "-c", "x"]},
    "beside": {"argv": ["{resource_dir}/start"]},
    "prefixed": {"argv": ["{prefix}/bin/" + Path(sys.executable).name]},
    "own-path": {"argv": ["not-there-at-all"], "env": {"PATH": "/opt/bin"}},
}
_DOES_NOT: dict[str, Any] = {
    "gone": {"argv": ["/gone/bin/python", "-m", "x"]},
    "not-found": {"argv": ["not-there-at-all"]},
    "not-beside": {"argv": ["{resource_dir}/gone"]},
    "not-prefixed": {"argv": ["{prefix}/gone"]},
    "empty": {"argv": []},
    "numbers": {"argv": [1]},
    "nothing": {"argv": None},
    "odd-variables": {"argv": ["sh"], "env": 3},
    "list": [],
}


def test_a_kernel_whose_program_is_gone_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one whose file is damaged; whatever the words of a command stand for."""
    for name, spec in {**_STARTS, **_DOES_NOT}.items():
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        text = spec if isinstance(spec, list) else {"display_name": name, "language": "Odd", **spec}
        (folder / "kernel.json").write_text(json.dumps(text))
        (folder / "start").touch(mode=0o755)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = {name for name, language in installed_kernels().items() if language == "odd"}
    assert found == set(_STARTS)
