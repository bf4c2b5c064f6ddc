"""MLflow's own calls land in the task's record.

Needs the real MLflow, and nbdag installed in the same environment: in one that has both,
``python -m pytest -m mlflow tests/inside/test_mlflow.py``.
"""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.mlflow

_OFF = {"MLFLOW_TRACKING_URI": "nbdag:", "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture
def mlflow_project(project):
    project.extra = {**project.extra, **_OFF}
    return project


def test_the_calls_of_a_notebook_land_in_the_record(mlflow_project):
    """Each value once, without MLflow's own tags, and without a file of MLflow's in the project."""
    mlflow_project.write("model.bin", "m")
    mlflow_project.write("folder/deep/a.txt", "a")
    done = mlflow_project.python("""
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        import mlflow
        with mlflow.start_run(run_name="mine", tags={"stage": "dev"}) as run:
            mlflow.log_metric("auc", 0.5)
            mlflow.log_metric("auc", 0.75, step=1)
            mlflow.log_metrics({"loss": 1, "acc": 0.25}, step=2)
            mlflow.log_param("lr", 0.1)
            mlflow.log_params({"layers": [1, 2]})
            mlflow.set_tag("model", "svm")
            mlflow.set_tags({"a": 1})
            mlflow.log_artifact("model.bin", "models")
            mlflow.log_artifacts("folder", "all")
            mlflow.log_text("hello", "notes/hello.txt")
            mlflow.log_dict({"a": 1}, "a.json")
            figure, axes = plt.subplots()
            mlflow.log_figure(figure, "figure.png")
            mlflow.log_table({"x": [1]}, "table.json")
            with mlflow.start_run(nested=True):
                mlflow.log_metric("inner", 3)
        print(mlflow.get_run(run.info.run_id).data.metrics["auc"], mlflow.last_active_run().info.status)
    """)
    folded = mlflow_project.folded()
    logged = folded.logged
    assert folded.failure is None
    assert done.stdout == "0.75 FINISHED\n"
    assert logged.metrics == {"auc": 0.75, "loss": 1.0, "acc": 0.25, "inner": 3.0}
    assert logged.params == {"lr": "0.1", "layers": "[1, 2]"}
    redirected = {"mlflow": "recorded by nbdag, not sent to a server"}
    assert logged.tags == redirected | {"stage": "dev", "model": "svm", "a": "1"}
    assert {name: artifact.media_type for name, artifact in logged.artifacts.items()} == {
        "models/model.bin": "application/octet-stream",
        "all/deep/a.txt": "text/plain",
        "notes/hello.txt": "text/plain",
        "a.json": "application/json",
        "figure.png": "image/png",
        "table.json": "application/json",
    }
    assert json.loads(mlflow_project.artifact("a.json")) == {"a": 1}
    series = json.loads(mlflow_project.blobs.read(logged.series, 1 << 20))
    assert [point[:2] for point in series["auc"]] == [[0, 0.5], [1, 0.75]]
    assert sorted(path.name for path in mlflow_project.root.iterdir()) == [".nbdag", "folder", "model.bin"]


def test_experiments_and_runs_without_a_with_statement_work(mlflow_project):
    """``set_experiment``, a run started by the first call, and the client."""
    done = mlflow_project.python("""
        import mlflow
        mlflow.set_experiment("mine")
        mlflow.log_metric("auc", float("nan"))
        client = mlflow.MlflowClient()
        run = mlflow.active_run()
        client.log_metric(run.info.run_id, "loss", 2.0, timestamp=1_700_000_000_000, step=5)
        print(client.get_experiment_by_name("mine").experiment_id, run.info.experiment_id)
        print([point.value for point in client.get_metric_history(run.info.run_id, "loss")])
        print(len(mlflow.search_runs(output_format="list")))
    """)
    assert done.stdout == "1 1\n[2.0]\n1\n"
    logged = mlflow_project.folded().logged
    assert logged.metrics == {"auc": "NaN", "loss": 2.0}
    series = json.loads(mlflow_project.blobs.read(logged.series, 1 << 20))
    assert series["loss"] == [[5, 2.0, 1_700_000_000_000_000_000]]
    assert series["auc"][0][1] == "NaN"


def test_outside_a_run_the_calls_are_harmless(mlflow_project):
    """With the address still set, nothing is kept and nothing fails."""
    mlflow_project.extra |= {"NBDAG_LOG": "", "NBDAG_ARTIFACTS": ""}
    mlflow_project.python("""
        import mlflow
        mlflow.log_metric("auc", 1)
        mlflow.log_text("a", "a.txt")
    """)
    assert list(mlflow_project.root.iterdir()) == []
    assert list(mlflow_project.scratch.iterdir()) == []
