"""MLflow's tracking store and artifact repository for the address ``nbdag:``.

A notebook's calls of MLflow land in the record of its task; nothing listens and no file of MLflow's is written.
Runs and experiments live as long as the process: what several runs of one task log comes together in its record.
"""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownParameterType=false
# pyright: reportMissingParameterType=false
# MLflow is installed only where it is used

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from mlflow.entities import (  # type: ignore[import-not-found]
    Experiment,
    FileInfo,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]
from mlflow.store.artifact.artifact_repo import ArtifactRepository  # type: ignore[import-not-found]
from mlflow.store.entities.paged_list import PagedList  # type: ignore[import-not-found]
from mlflow.store.tracking.abstract_store import AbstractStore  # type: ignore[import-not-found]

from nbmake_dag.inside.artifacts import log_artifact, log_directory
from nbmake_dag.inside.values import log_param, log_point, set_tag

_ARTIFACTS = "nbdag:/artifacts"
_REDIRECTED = "recorded by nbdag, not sent to a server"
"""The tag `mlflow` of a task: whoever looks for its runs on a server sees where they are."""
_OF_MLFLOW = "mlflow."
"""Starts the tags that MLflow sets by itself: user, host and source, which a record does not publish."""


class _Run:
    """A run of MLflow's, as this process knows it."""

    def __init__(self, experiment: str, user: str, started: int, name: str) -> None:
        self.id = secrets.token_hex(16)
        self.experiment = experiment
        self.user = user
        self.started = started
        self.ended: int | None = None
        self.name = name
        self.status = RunStatus.RUNNING
        self.stage = LifecycleStage.ACTIVE
        self.history: dict[str, list[Metric]] = {}
        self.params: dict[str, Param] = {}
        self.tags: dict[str, RunTag] = {}

    def info(self) -> RunInfo:
        return RunInfo(
            run_id=self.id,
            experiment_id=self.experiment,
            user_id=self.user,
            status=RunStatus.to_string(self.status),
            start_time=self.started,
            end_time=self.ended,
            lifecycle_stage=self.stage,
            artifact_uri=_ARTIFACTS,
            run_name=self.name,
        )

    def value(self) -> Run:
        last = [points[-1] for points in self.history.values()]
        return Run(self.info(), RunData(last, [*self.params.values()], [*self.tags.values()]))


class TrackingStore(AbstractStore):  # type: ignore[misc]
    """Answers MLflow from memory, and logs into the task's record."""

    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:
        del store_uri, artifact_uri
        super().__init__()
        self._runs: dict[str, _Run] = {}
        self._experiments: dict[str, Experiment] = {}
        self.create_experiment("Default", None, ())

    def create_experiment(self, name: str, artifact_location: str | None, tags: Sequence[Any]) -> str:
        del artifact_location
        number, now = str(len(self._experiments)), _milliseconds()
        self._experiments[number] = Experiment(
            number, name, _ARTIFACTS, LifecycleStage.ACTIVE, list(tags or ()), now, now
        )
        return number

    def get_experiment(self, experiment_id: str) -> Experiment:
        return _get(self._experiments, "experiment", experiment_id)

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        return next((known for known in self._experiments.values() if known.name == experiment_name), None)

    def search_experiments(self, *_: Any, **__: Any) -> PagedList:
        return PagedList([*self._experiments.values()], None)

    def create_run(
        self, experiment_id: str, user_id: str, start_time: int, tags: Sequence[RunTag], run_name: str
    ) -> Run:
        run = _Run(experiment_id, user_id, start_time, run_name)
        self._runs[run.id] = run
        set_tag("mlflow", _REDIRECTED)
        self.log_batch(run.id, (), (), tags)
        return run.value()

    def get_run(self, run_id: str) -> Run:
        return self._run(run_id).value()

    def update_run_info(
        self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> RunInfo:
        run = self._run(run_id)
        run.status = run.status if run_status is None else run_status
        run.ended = end_time or run.ended
        run.name = run_name or run.name
        return run.info()

    def delete_run(self, run_id: str) -> None:
        self._run(run_id).stage = LifecycleStage.DELETED

    def restore_run(self, run_id: str) -> None:
        self._run(run_id).stage = LifecycleStage.ACTIVE

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList:
        del max_results, page_token
        return PagedList(self._run(run_id).history.get(metric_key, []), None)

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        run = self._run(run_id)
        for metric in metrics:
            log_point(metric.key, metric.value, metric.step, metric.timestamp * 1_000_000)
            run.history.setdefault(metric.key, []).append(metric)
        for param in params:
            log_param(param.key, param.value)
            run.params[param.key] = param
        for tag in tags:
            if not tag.key.startswith(_OF_MLFLOW):
                set_tag(tag.key, tag.value)
            run.tags[tag.key] = tag

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        self.log_batch(run_id, (), (), [tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Forget a tag; the record keeps it."""
        self._run(run_id).tags.pop(key, None)

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        """Accept datasets, which autologging sends along: a task's inputs are declared."""

    def _search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], None]:
        del filter_string, run_view_type, max_results, order_by, page_token
        return [run.value() for run in self._runs.values() if run.experiment in experiment_ids], None

    def _run(self, run_id: str) -> _Run:
        run: _Run = _get(self._runs, "run", run_id)
        return run


class ArtifactStore(ArtifactRepository):  # type: ignore[misc]
    """Logs files as artifacts of the task; they cannot be fetched again through MLflow."""

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        log_directory(local_dir, f"{artifact_path}/" if artifact_path else "")

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        del path
        return []

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        del local_path
        raise MlflowException(f"{remote_file_path!r} is in the record of the task, where MLflow cannot read it")


def _get(known: dict[str, Any], what: str, key: str) -> Any:
    if key not in known:
        raise MlflowException(f"{what} {key!r} does not belong to this process")
    return known[key]


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
