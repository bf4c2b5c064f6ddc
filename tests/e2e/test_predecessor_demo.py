"""A demo of pynb_dag_runner, ported as the page about moving says, builds."""

from __future__ import annotations

import json

import pytest
import tomli

from tests.e2e.predecessor_demo import DRIVER, NOTEBOOKS, ported
from tests.support.project import Project

SIZES = (60, 120, 600)


@pytest.mark.slow
def test_the_demo_of_the_predecessor_is_ported_and_builds(project: Project) -> None:
    """Ten tasks, with the retries and the order of the driver; every value arrives in the summary."""
    project.write("driver.py", DRIVER)
    for name, text in NOTEBOOKS.items():
        project.write(f"notebooks/{name}", text)
    said = project.nbdag("init", "--from", "driver.py").stdout
    assert "which the cell tagged `parameters` does not assign ({'task.nr_train_images': 60})" in said
    assert "10 tasks: 10 will run, 0 may run" in project.nbdag("build", "-n").stdout

    for name, text in NOTEBOOKS.items():
        assert "pynb_dag_runner" not in ported(text)
        project.write(f"notebooks/{name}", ported(text))
    assert project.remove("pipeline.toml").nbdag("init", "--from", "driver.py").returncode == 0
    tasks = tomli.loads(project.read("pipeline.toml"))["tasks"]
    assert tasks["ingest"]["retries"] == 14
    assert tasks["train-model-120"]["parameters"] == {"P": {"task.nr_train_images": 120}}
    assert tasks["benchmark-model-120"]["inputs"] == [
        "data-lake/models/120.pkl",
        "data-lake/parts/X_test.npy",
        "data-lake/parts/y_test.npy",
    ]
    assert tasks["summary"]["after"] == [f"benchmark-model-{size}" for size in SIZES]

    project.edit("pipeline.toml", "retries = 14\n", 'retries = 14\nretry_delay = "0s"\n')
    project.build("--executor=inline").ran(*tasks)
    tasks_of_the_run = json.loads(project.read(".nbdag/summary.json"))["tasks"]
    attempts = {task["name"]: task["attempts"] for task in tasks_of_the_run}
    assert attempts["ingest"] == 3
    rows = [line.split(",") for line in project.read("data-lake/results/summary.csv").splitlines()]
    assert [int(size) for size, _ in rows] == [*SIZES]
    assert all(float(auc) > 0.9 for _, auc in rows)
    project.build("--executor=inline").ran()
