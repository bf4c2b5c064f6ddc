"""make for notebooks, with a record of every run.

The functions for notebooks, functions and scripts: ``import nbmake_dag as nbdag``. Nothing is imported before
it is used, since this also runs in kernels and scripts that the tool did not start.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nbmake_dag.inside.artifacts import log_artifact, log_dict, log_figure, log_table, log_text
    from nbmake_dag.inside.upstream import upstream
    from nbmake_dag.inside.values import log_metric, log_metrics, log_param, log_params, set_tag, set_tags
    from nbmake_dag.notebook_api import load, load_ipython_extension

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "load",
    "load_ipython_extension",
    "log_artifact",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "set_tag",
    "set_tags",
    "upstream",
]

_HOMES = {
    "load": "nbmake_dag.notebook_api",
    "load_ipython_extension": "nbmake_dag.notebook_api",
    "log_artifact": "nbmake_dag.inside.artifacts",
    "log_dict": "nbmake_dag.inside.artifacts",
    "log_figure": "nbmake_dag.inside.artifacts",
    "log_metric": "nbmake_dag.inside.values",
    "log_metrics": "nbmake_dag.inside.values",
    "log_param": "nbmake_dag.inside.values",
    "log_params": "nbmake_dag.inside.values",
    "log_table": "nbmake_dag.inside.artifacts",
    "log_text": "nbmake_dag.inside.artifacts",
    "set_tag": "nbmake_dag.inside.values",
    "set_tags": "nbmake_dag.inside.values",
    "upstream": "nbmake_dag.inside.upstream",
}


_A_BUILD = "a build begins and ends runs by itself"
_INSTEAD = {
    "active_run": _A_BUILD,
    "autolog": "log values and files with log_metric, log_param and log_artifact",
    "end_run": _A_BUILD,
    "log_artifacts": "log_artifact takes a directory too",
    "log_image": "log_figure takes images of PIL too",
    "log_model": "declare the model as an output of the task, or log its file with log_artifact",
    "set_experiment": "the name of the pipeline stands in pipeline.toml",
    "set_tracking_uri": "runs are recorded in .nbdag/runs, and `nbdag report` shows them",
    "start_run": _A_BUILD,
}
"""Functions of MLflow that are missing here, and the alternatives."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        instead = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{instead}")
    from importlib import import_module  # noqa: PLC0415  # only whoever asks pays

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
