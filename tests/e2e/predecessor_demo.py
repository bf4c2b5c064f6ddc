"""A demo as those of pynb_dag_runner were: a driver, notebooks about written digits, and what a port changes."""

from __future__ import annotations

DRIVER = """
import ray
from pathlib import Path
from pynb_dag_runner.tasks.tasks import make_jupytext_task_ot
from pynb_dag_runner.core.dag_runner import run_in_sequence, fan_in, start_and_await_tasks
from pynb_dag_runner.notebooks_helpers import JupytextNotebook

ray.init()
SHARED = {"pipeline.data_lake_root": args().data_lake_root, "pipeline.run_environment": args().run_environment}


def notebook_task(nb_name: str, timeout_s=None, max_nr_retries: int = 1, task_parameters={}):
    folder: Path = (Path(__file__).parent) / "notebooks"
    return make_jupytext_task_ot(
        notebook=JupytextNotebook(folder / nb_name),
        tmp_dir=folder,
        timeout_s=timeout_s,
        max_nr_retries=max_nr_retries,
        parameters={**SHARED, **task_parameters},
    )


ingest = notebook_task("ingest.py", timeout_s=60, max_nr_retries=15)
explore = notebook_task("eda.py")
run_in_sequence(ingest, explore)
split = notebook_task("split-train-test.py", task_parameters={"task.train_test_ratio": 0.7})
run_in_sequence(ingest, split)
sizes = {"dev": [60, 120, 600], "ci": [600, 1200]}[args().run_environment]
trainers = [notebook_task("train-model.py", task_parameters={"task.nr_train_images": k}) for k in sizes]
benchmarks = [notebook_task("benchmark-model.py", task_parameters={"task.nr_train_images": k}) for k in sizes]
for train, benchmark in zip(trainers, benchmarks):
    run_in_sequence(split, train, benchmark)
summary = notebook_task("summary.py")
fan_in(benchmarks, summary)
start_and_await_tasks([ingest], [explore, summary], arg={})
"""

_HEAD = """# %%
# for interactive development
P = {parameters}
# %% tags=["parameters"]
# parameters are injected here
# %%
from pynb_dag_runner.tasks.task_opentelemetry_logging import PydarLogger

logger = PydarLogger(P)
root = P["pipeline.data_lake_root"]
# %%
import os

import numpy as np
"""

_BODIES = {
    "ingest.py": """
if int(P["run.retry_nr"]) < 3:
    raise Exception("Simulated failure")
# %%
from sklearn import datasets

digits = datasets.load_digits()
os.makedirs(f"{root}/raw", exist_ok=True)
np.save(f"{root}/raw/digits.npy", digits["data"])
np.save(f"{root}/raw/labels.npy", digits["target"])
logger.log_value("data_shape", list(digits["data"].shape))
""",
    "eda.py": """
from matplotlib.figure import Figure

labels = np.load(f"{root}/raw/labels.npy")
fig = Figure()
fig.add_subplot().hist(labels)
logger.log_figure("labels.png", fig)
""",
    "split-train-test.py": """
from sklearn.model_selection import train_test_split

X, y = np.load(f"{root}/raw/digits.npy"), np.load(f"{root}/raw/labels.npy")
parts = train_test_split(X, y, train_size=P["task.train_test_ratio"], stratify=y, random_state=1)
# %%
os.makedirs(f"{root}/parts", exist_ok=True)
for name, part in zip(["X_train", "X_test", "y_train", "y_test"], parts):
    np.save(f"{root}/parts/{name}.npy", part)
""",
    "train-model.py": """
import pickle

from sklearn.linear_model import LogisticRegression

n = P["task.nr_train_images"]
X, y = np.load(f"{root}/parts/X_train.npy"), np.load(f"{root}/parts/y_train.npy")
model = LogisticRegression(max_iter=500).fit(X[:n] / 16, y[:n])
os.makedirs(f"{root}/models", exist_ok=True)
with open(f"{root}/models/{n}.pkl", "wb") as file:
    pickle.dump(model, file)
logger.log_int("nr_iterations", int(model.n_iter_[0]))
""",
    "benchmark-model.py": """
import pickle

from sklearn import metrics

n = P["task.nr_train_images"]
with open(f"{root}/models/{n}.pkl", "rb") as file:
    model = pickle.load(file)
X, y = np.load(f"{root}/parts/X_test.npy"), np.load(f"{root}/parts/y_test.npy")
probabilities = model.predict_proba(X / 16)
per_digit = {str(d): float(metrics.roc_auc_score(y == d, probabilities[:, d])) for d in range(10)}
logger.log_value("roc_auc_per_digit", per_digit)
logger.log_float("roc_auc_class_mean", float(np.mean(list(per_digit.values()))))
logger.log_artefact("shape.txt", str(X.shape))
""",
    "summary.py": """
from pynb_dag_runner.opentelemetry_helpers import Spans, _get_all_spans
from pynb_dag_runner.tasks.task_opentelemetry_logging import get_logged_values

spans = Spans(_get_all_spans())
rows = [
    (s["attributes"]["task.nr_train_images"], get_logged_values(spans.bound_under(s))["roc_auc_class_mean"])
    for s in spans.filter(["attributes", "task.notebook"], "notebooks/benchmark-model.py")
]
# %%
os.makedirs(f"{root}/results", exist_ok=True)
with open(f"{root}/results/summary.csv", "w") as file:
    file.writelines(f"{n},{auc}\\n" for n, auc in sorted(rows))
""",
}
_ROOT = '"pipeline.data_lake_root": "/pipeline-outputs/data-lake"'
_PARAMETERS = {
    "ingest.py": f'{{{_ROOT}, "run.retry_nr": "1"}}',
    "split-train-test.py": f'{{{_ROOT}, "task.train_test_ratio": 0.5}}',
    "train-model.py": f'{{{_ROOT}, "task.nr_train_images": 600}}',
    "benchmark-model.py": f'{{{_ROOT}, "task.nr_train_images": 600}}',
}
_OTHERS = f"{{{_ROOT}}}"

NOTEBOOKS = {
    name: _HEAD.replace("{parameters}", _PARAMETERS.get(name, _OTHERS)) + body for name, body in _BODIES.items()
}

_ROWS = """rows = [
    (task.params["P"]["task.nr_train_images"], task.metrics["roc_auc_class_mean"])
    for name, task in nbdag.upstream().items()
    if name.startswith("benchmark-model")
]
"""
CHANGES = (
    # the tag moves to the cell that assigns P
    ("# %%\n# for interactive development\nP = ", '# %% tags=["parameters"]\nP = '),
    ('# %% tags=["parameters"]\n# parameters are injected here\n', ""),
    # the data lie beside pipeline.toml
    ('root = P["pipeline.data_lake_root"]', 'root = "data-lake"'),
    ('"pipeline.data_lake_root": "/pipeline-outputs/data-lake", ', ""),
    # logging
    ("from pynb_dag_runner.tasks.task_opentelemetry_logging import PydarLogger\n", "import nbmake_dag as nbdag\n"),
    ("logger = PydarLogger(P)\n", ""),
    ('logger.log_value("data_shape", ', 'nbdag.log_param("data_shape", '),
    ('logger.log_figure("labels.png", fig)', 'nbdag.log_figure(fig, "labels.png")'),
    ('logger.log_value("roc_auc_per_digit", per_digit)', "nbdag.log_metrics(per_digit)"),
    ("logger.log_int(", "nbdag.log_metric("),
    ("logger.log_float(", "nbdag.log_metric("),
    ('logger.log_artefact("shape.txt", str(X.shape))', 'nbdag.log_text(str(X.shape), "shape.txt")'),
    ('int(P["run.retry_nr"])', 'int(os.environ["NBDAG_ATTEMPT"])'),
    # what other tasks logged
    (NOTEBOOKS["summary.py"].partition("from pynb_dag_runner.opentelemetry_helpers")[2].partition("# %%")[0], ""),
    ("from pynb_dag_runner.opentelemetry_helpers", _ROWS),
)
"""Text in the notebooks, and what stands there in the port: what the page about moving says."""


def ported(text: str) -> str:
    """Change a notebook as the page about moving says."""
    for old, new in CHANGES:
        text = text.replace(old, new)
    return text
