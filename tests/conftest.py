"""What all tests share: a project on disk that is driven as its user would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty repository with real files, in which `nbdag` is run as a command."""
    return Project(tmp_path / "project")
