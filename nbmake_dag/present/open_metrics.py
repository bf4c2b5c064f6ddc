"""The metrics of a run in the text format of OpenMetrics, which GitLab compares and Prometheus reads.

What a task or a metric is called may be anything, and a name there may not: both are labels of one metric.
"""

from __future__ import annotations

import math

from nbmake_dag_reporting.run import Run

BEGINNING = b"# TYPE nbdag_metric gauge\n"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\n", "\u2028": "\\n", "\u2029": "\\n"})


def open_metrics(run: Run) -> bytes:
    """Write a line for each metric of each task, in the order of the pipeline."""
    lines = [
        f'nbdag_metric{{task="{_label(task.name)}",name="{_label(name)}"}} {_number(value)}\n'
        for task in run.tasks.values()
        for name, value in task.metrics.items()
    ]
    return BEGINNING + "".join(lines).encode("utf-8", "replace") + b"# EOF\n"


def _label(text: str) -> str:
    return text.translate(_ESCAPES)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{'+' if value > 0 else '-'}Inf" if math.isinf(value) else repr(value)
