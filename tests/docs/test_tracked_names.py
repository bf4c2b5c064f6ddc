"""No file of the repository lies where a tool would take it for an artefact."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

FOLDERS = """
.cache .eggs .env .hypothesis .idea .ipynb_checkpoints .mypy_cache .nox .pytest_cache .ruff_cache .tox .venv ENV
__pycache__ __pypackages__ build cache cover cython_debug develop-eggs dist downloads eggs env htmlcov instance
lib lib64 node_modules out parts profile_default sdist target temp tmp var venv wheels
"""
"""Names in GitHub's ignore file for Python, and in ignore files that contributors have for all their work."""
FILES = "*.egg *.egg-info *.log *.manifest *.mo *.pot *.py[cod] *.so *.spec *.swp *~ MANIFEST coverage.xml"


def ignored(excludes: Path, paths: str) -> list[str]:
    """Return those of the paths, one to a line, that git would not offer to add."""
    command = ["git", "-c", f"core.excludesFile={excludes}", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(command, cwd=ROOT, input=paths, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.splitlines()


def test_no_tracked_file_is_ignored_by_a_contributor_s_own_ignore_file(tmp_path):
    """A new file beside one that is ignored would silently not be committed."""
    excludes = tmp_path / "ignore"
    excludes.write_text("\n".join([*(f"{name}/" for name in FOLDERS.split()), *FILES.split()]))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "cache/README.md" in tracked
    assert ignored(excludes, tracked) == []
    beside = "nbmake_dag/build/loop.py\ncache/nbmake_dag_cache/new.py\nnbmake_dag/engine/new.py\n"
    assert ignored(excludes, beside) == ["nbmake_dag/build/loop.py"]
