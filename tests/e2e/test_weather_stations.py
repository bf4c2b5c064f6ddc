"""The example whose instances only a run can know."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "weather-stations"
STATIONS = ("bergen", "dakar", "lhasa", "oslo", "quito")
FAMILIES = ("clean", "normals", "chart")


def instances(*stations: str) -> list[str]:
    return [f"{task}[station={station}]" for station in stations for task in FAMILIES]


@pytest.mark.slow
def test_stations_join_and_leave_and_nothing_else_is_computed(project: Project) -> None:
    """As its README says, with a profile and back, and a check that fails alone."""
    shutil.copytree(
        EXAMPLE, project.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "data", "results")
    )
    project.build("--profile", "small").ran("collect", "believable", "report", *instances(*STATIONS))
    assert project.read("results/stations.csv").count("\n") == 1 + len(STATIONS)
    project.build("--profile", "small").ran().restored()

    project.edit(
        "stations.py", '    "oslo"', '    "perth": {"mean": 18.5, "swing": 6.0, "trend": 0.03},\n    "oslo"'
    )
    project.build("--profile", "small").ran("collect", "believable", "report", *instances("perth"))
    project.edit("stations.py", '    "dakar": {"mean": 24.5, "swing": 3.5, "trend": 0.03},\n', "")
    project.build("--profile", "small").ran("collect", "believable", "report").said(
        "moved away: data/clean/dakar.csv"
    )
    assert "dakar" not in project.read("results/stations.csv")
    assert not (project / "results/charts/dakar.svg").exists()

    project.edit("stations.py", "BROKEN = 99.9", "BROKEN = -99.9")
    failed = project.build("--profile", "small")
    assert (failed.code, failed.having("failed"), failed.having("skipped")) == (1, ["believable"], [])
    assert project.read("results/stations.csv").count("\n") == 1 + len(STATIONS)
