"""A run as a tree of files."""

import json
from html import escape
from pathlib import Path

import pytest
from msgspec.structs import replace

from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from nbmake_dag_reporting.tree import write_tree
from tests.reporting.runs import recorded

NOTEBOOK = {
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title"}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_everything_stands_under_its_name(tmp_path: Path) -> None:
    """Tasks have folders, artefacts their names, the last attempt's notebook is the task's."""
    out = tmp_path / "out"
    gone = write_tree(
        str(out),
        recorded(tmp_path / "r1"),
        lambda task: {1: NOTEBOOK, 2: NOTEBOOK} if task.status == "failed" else {},
        escape,
        Secrets({}),
    )
    assert gone == ()
    assert files(out) == [
        "dag.mmd",
        "gantt.mmd",
        "run.json",
        "tasks/hit/task.json",
        "tasks/ran[x=a%2Fb]/artifacts/roc.txt",
        "tasks/ran[x=a%2Fb]/attempt-1.log",
        "tasks/ran[x=a%2Fb]/task.json",
        "tasks/say %22no%22/attempt-1.html",
        "tasks/say %22no%22/attempt-1.ipynb",
        "tasks/say %22no%22/attempt-1.log",
        "tasks/say %22no%22/notebook.html",
        "tasks/say %22no%22/notebook.ipynb",
        "tasks/say %22no%22/task.json",
        "trace.otlp.jsonl",
    ]
    assert (out / "tasks/ran[x=a%2Fb]/artifacts/roc.txt").read_bytes() == b"roc"
    assert [task["name"] for task in json.loads((out / "run.json").read_text())["tasks"]] == [
        "ran[x=a/b]",
        'say "no"',
        "hit",
    ]
    assert json.loads((out / "tasks/hit/task.json").read_text())["metrics"] == {"auc": 0.5}


def test_hostile_artefacts_stay_inside(tmp_path: Path) -> None:
    """No name of an artefact leads out of the folder of its task."""
    names = {"../../../up.txt": "secret", "/tmp/abs.txt": "secret", "..": "secret", "task.json": "secret"}
    out = tmp_path / "deep" / "out"
    write_tree(str(out), recorded(tmp_path / "r1", names), lambda _: {}, escape, Secrets({}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "r1"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    inside = [path for path in files(out) if "artifacts" in path]
    assert len(inside) == 4
    assert all(path.startswith("tasks/ran[x=a%2Fb]/artifacts/") for path in inside)


def test_an_artefact_that_is_gone_is_named(tmp_path: Path) -> None:
    """The tree is written without it."""
    original = recorded(tmp_path / "r1", {"a.txt": "roc"})
    without = type(original)(run=original.run, blob=lambda _: None, record=original.record)
    gone = write_tree(str(tmp_path / "out"), without, lambda _: {}, escape, Secrets({}))
    assert sorted(gone) == [
        "tasks/ran[x=a%2Fb]/artifacts/a.txt",
        "tasks/ran[x=a%2Fb]/attempt-1.log",
        "tasks/say %22no%22/attempt-1.log",
    ]


@pytest.mark.parametrize("before", ["tree", "tree/out"])
def test_a_tree_that_would_hold_a_secret_is_not_written(tmp_path: Path, before: str) -> None:
    """Not in part either; what holds it is named."""
    out = tmp_path / "tree" / "out"
    (tmp_path / before).mkdir(parents=True)
    original = replace(recorded(tmp_path / "r1"), blob=lambda _: b"open sesame")
    with pytest.raises(SecretFoundError) as caught:
        write_tree(str(out), original, lambda _: {}, escape, Secrets({"WORD": "open sesame"}))
    assert (caught.value.name, caught.value.place) == ("WORD", "tasks/ran[x=a%2Fb]/artifacts/roc.txt")
    assert list((tmp_path / "tree").rglob("*")) == ([out] if before == "tree/out" else [])
