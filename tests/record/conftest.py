"""A folder of runs."""

from pathlib import Path

import pytest


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(tmp_path / "runs")
