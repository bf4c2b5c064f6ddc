"""Alerts of metrics, as a user and a job of CI see them."""

from __future__ import annotations

import pytest

from tests.support.project import Project

PIPELINE = """\
[tasks.train]
function = "work:train"
parameters = {{ auc = {auc} }}
[report.metrics.auc]
direction = "higher"
alert = "{alert}"
"""
WORK = """\
import nbmake_dag as nbdag


def train(auc: float) -> None:
    nbdag.log_metric("auc", auc)
"""


@pytest.mark.slow
def test_a_report_with_check_fails_where_a_metric_raises_an_alert(project: Project) -> None:
    """The site is written all the same; the sentence is on the console, in the summary and in the comment."""
    project.write("work.py", WORK)
    summary = str(project.root / "summary.md")
    for auc in (0.9, 0.92, 0.5):
        project.pipeline(PIPELINE.format(auc=auc, alert="worse"))
        project.build(env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary}).ran("train")
    sentence = "alert: auc of train is 0.5: worse than 0.91, the median of the 2 runs before"
    failed = project.nbdag("report", "--check")
    assert (failed.returncode, sentence in failed.stderr) == (1, True)
    assert (project / ".nbdag/site/index.html").exists()
    assert project.nbdag("report").returncode == 0
    assert (
        "> - auc of train is 0.5: worse than 0.92 in run"
        in project.nbdag("diff", "latest~1", "--format=markdown").stdout
    )
    project.pipeline(PIPELINE.format(auc=0.5, alert="< 0.6"))
    limit = project.nbdag("report", "--check")
    assert (limit.returncode, "and `< 0.6` raises an alert" in limit.stderr) == (1, True)
    project.pipeline(PIPELINE.format(auc=0.5, alert="< 0.4"))
    assert project.nbdag("report", "--check").returncode == 0
    project.build("--force-all", env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary})
    project.pipeline(PIPELINE.format(auc=0.3, alert="< 0.4"))
    project.build(env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary}).ran("train")
    assert "auc of train is 0.3, and" in project.read("summary.md")
