"""What is logged from a process of the user's arrives in the record, and nothing else does."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbmake_dag
from nbmake_dag.inside.artifacts import check_artifact_name
from nbmake_dag_cache.record import Logged


def _series(project):
    return json.loads(project.blobs.read(project.folded().logged.series, 1 << 30))


def test_everything_that_has_a_name_in_mlflow_lands_in_the_record(project):
    """Metrics, parameters and tags keep their values; the last one counts."""
    project.python("""
        import nbmake_dag as nbdag
        nbdag.log_metric("auc", 0.5)
        nbdag.log_metric("auc", 0.75)
        nbdag.log_metrics({"loss": 1, "acc": True}, 3)
        nbdag.log_param("lr", 0.1)
        nbdag.log_params({"layers": [1, 2], "name": "x", "none": None})
        nbdag.set_tag("model", "svm")
        nbdag.set_tags({"size": 3})
    """)
    logged = project.folded().logged
    assert logged == Logged(
        params={"lr": 0.1, "layers": "[1, 2]", "name": "x", "none": None},
        metrics={"auc": 0.75, "loss": 1.0, "acc": 1.0},
        tags={"model": "svm", "size": "3"},
        series=logged.series,
    )
    points = {key: [point[:2] for point in points] for key, points in _series(project).items()}
    assert points == {"auc": [[None, 0.5], [None, 0.75]], "loss": [[3, 1.0]], "acc": [[3, 1.0]]}


def test_a_value_logged_once_without_a_step_needs_no_series(project):
    """The last value says it all."""
    project.python("import nbmake_dag; nbmake_dag.log_metric('auc', 1)")
    assert project.folded().logged == Logged(metrics={"auc": 1.0})


def test_numbers_that_json_cannot_hold_are_kept_by_name(project):
    """NaN and infinities are logged under the names that protobuf's JSON gives them."""
    project.python("""
        import nbmake_dag as nbdag
        for value in (1, float("nan"), float("inf"), float("-inf")):
            nbdag.log_metric("loss", value)
    """)
    assert project.folded().logged.metrics == {"loss": "-Infinity"}
    assert [point[1] for point in _series(project)["loss"]] == [1.0, "NaN", "Infinity", "-Infinity"]


def test_values_survive_the_death_of_the_process(project):
    """A logged value has left the process when the call returns."""
    project.python(
        """
        import os, signal, nbmake_dag as nbdag
        for step in range(1000):
            nbdag.log_metric("loss", step, step)
        nbdag.log_text("here", "note.txt")
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=False,
    )
    assert project.folded().logged.metrics == {"loss": 999.0}
    assert len(_series(project)["loss"]) == 1000
    assert project.artifact("note.txt") == b"here"


def test_processes_and_threads_may_log_at_once(project):
    """One write for each record: lines never mix."""
    project.python("""
        import os, threading, nbmake_dag as nbdag
        def log(name):
            for step in range(500):
                nbdag.log_metric(name, step, step)
        children = []
        for number in range(3):
            if (child := os.fork()) == 0:
                log(f"child {number}")
                os._exit(0)
            children.append(child)
        threads = [threading.Thread(target=log, args=(f"thread {number}",)) for number in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        for child in children: os.waitpid(child, 0)
    """)
    assert project.folded().failure is None
    assert {len(points) for points in _series(project).values()} == {500}
    assert len(project.folded().logged.metrics) == 6


def test_a_torn_last_line_is_left_out(project):
    """What a killed process wrote before is kept."""
    (project.scratch / "log.jsonl").write_bytes(b'{"kind":"tag","key":"a","value":"b"}\n{"kind":"tag","ke')
    assert (project.folded().logged.tags, project.folded().failure) == ({"a": "b"}, None)


def test_nonsense_makes_one_clear_failure(project):
    """A command that writes something else is told where and what; good lines are kept."""
    lines = [
        b"hello",
        b'{"kind":"tag","key":"a","value":"b"}',
        b'{"kind":"metric","key":"x","value":"1"}',
        b'{"kind":"artifact","name":"x","path":"../../secret"}',
        b"\xff\xfe",
    ]
    (project.scratch / "log.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    folded = project.folded()
    assert folded.logged.tags == {"a": "b"}
    assert folded.failure.type == "BadLog"
    assert folded.failure.message == (
        "line 1 of $NBDAG_LOG: JSON is malformed: invalid character (byte 0): hello\n(and 3 more)"
    )


def test_an_artifact_may_not_lead_out_of_its_folder(project):
    """Neither by dots nor by a symlink can a log make us read other files."""
    secret = project.write("secret", "s")
    (project.scratch / "artifacts").mkdir()
    (project.scratch / "artifacts" / "link").symlink_to(secret)
    for path in (str(secret), "../../project/secret", "link", "."):
        record = {"kind": "artifact", "name": "x", "path": path}
        (project.scratch / "log.jsonl").write_text(json.dumps(record) + "\n")
        assert project.folded().logged == Logged()
        assert "is not a file below $NBDAG_ARTIFACTS" in project.folded().failure.message


def test_a_log_that_is_not_there_is_empty(project):
    """Most work logs nothing."""
    assert project.folded().logged == Logged()


def test_outside_a_run_nothing_is_written_or_printed(project):
    """The same notebook works by hand."""
    project.extra = dict.fromkeys(
        ("NBDAG_LOG", "NBDAG_ARTIFACTS", "NBDAG_ACCESS", "NBDAG_UPSTREAM", "NBDAG_ROOT", "NBDAG_REPOSITORY"), ""
    )
    project.write("file", "x")
    done = project.python("""
        import nbmake_dag as nbdag
        nbdag.log_metric("a", 1, 2)
        nbdag.log_metrics({"a": 1})
        nbdag.log_params({"a": 1})
        nbdag.set_tags({"a": 1})
        nbdag.log_text("t", "a/b.txt")
        nbdag.log_dict({}, "a.json")
        nbdag.log_table([{"a": 1}], "t.json")
        nbdag.log_artifact("file", "folder")
        nbdag.log_artifact(b"x", "x.bin")
        print(dict(nbdag.upstream()))
    """)
    assert (done.stdout, done.stderr) == ("{}\n", "")
    assert [path.name for path in project.root.iterdir()] == ["file"]


NBDAG: Any = nbmake_dag
"""The calls, as whoever has no type checker may misuse them."""


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: NBDAG.log_metric(1, 1), TypeError),
        (lambda: NBDAG.log_metric("a", "1"), TypeError),
        (lambda: NBDAG.log_metric("a", None), TypeError),
        (lambda: NBDAG.log_metric("a", 1, 1.5), TypeError),
        (lambda: NBDAG.log_metric("a", 1, 1 << 63), ValueError),
        (lambda: NBDAG.log_metric("\ud800", 1), ValueError),
        (lambda: NBDAG.log_metrics({"a": "x"}), TypeError),
        (lambda: NBDAG.log_param(1, 1), TypeError),
        (lambda: NBDAG.set_tag(b"a", 1), TypeError),
        (lambda: NBDAG.log_text(b"a", "a.txt"), TypeError),
        (lambda: NBDAG.log_text("a", "/etc/passwd"), ValueError),
        (lambda: NBDAG.log_text("a", "a/../../b"), ValueError),
        (lambda: NBDAG.log_text("a", "a" * 256), ValueError),
        (lambda: NBDAG.log_table([1], "a.json"), TypeError),
        (lambda: NBDAG.log_table({"a": [1], "b": []}, "a.json"), ValueError),
        (lambda: NBDAG.log_table([], "a.csv"), ValueError),
        (lambda: NBDAG.log_figure(object(), "a.png"), TypeError),
        (lambda: NBDAG.log_artifact(b"a"), TypeError),
        (lambda: NBDAG.log_artifact("/not/there"), FileNotFoundError),
    ],
)
def test_mistakes_are_told_by_hand_as_in_a_run(call, error):
    """What would fail in a build fails while the notebook is being written."""
    assert "NBDAG_LOG" not in os.environ
    with pytest.raises(error):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NBDAG.log_metric("loss", 10**400), "metric 'loss' is too large for a float"),
        (lambda: NBDAG.log_metrics({"a": 1, "loss": 10**400}), "metric 'loss' is too large for a float"),
        (lambda: NBDAG.log_metric("x\ud800", 1), r"a metric's key has a lone surrogate, .*: 'x\\ud800'"),
        (lambda: NBDAG.log_param("x\ud800", 1), r"a parameter's key has a lone surrogate, .*: 'x\\ud800'"),
        (lambda: NBDAG.log_param("file", "\udc80"), r"parameter 'file' has a lone surrogate, .*: '\\udc80'"),
        (lambda: NBDAG.log_param("size", 10**5000), "parameter 'size' cannot be written as text: Exceeds"),
        (lambda: NBDAG.set_tag("file", "\udc80"), r"tag 'file' has a lone surrogate, .*: '\\udc80'"),
        (lambda: NBDAG.log_text("\ud800", "a.txt"), "artifact 'a.txt' has a lone surrogate"),
        (lambda: NBDAG.log_dict({"\ud800": 1}, "a.json"), "artifact 'a.json' has a lone surrogate"),
        (lambda: NBDAG.log_table({"a": ["\ud800"]}, "a.json"), "artifact 'a.json' has a lone surrogate"),
        (lambda: NBDAG.log_text("a", "\ud800.txt"), "an artifact's name has a lone surrogate"),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_name(call, message):
    """Not as an error of some encoder, which does not say what it is about."""
    with pytest.raises(ValueError, match=message):
        call()


@given(st.text(), st.floats() | st.integers(-(2**53), 2**53), st.none() | st.integers(-(2**63), 2**63 - 1))
def test_any_key_value_and_step_comes_back(tmp_path_factory, key, value, step):
    """Names are data: no text of Unicode is special."""
    project = tmp_path_factory.mktemp("p")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBDAG_LOG", str(project / "log.jsonl"))
        nbmake_dag.log_metric(key, value, step)
    line = msgspec.json.decode((project / "log.jsonl").read_bytes())
    expected = (
        value if math.isfinite(value) else {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
    )
    assert (line["key"], line["value"], line["step"]) == (key, expected, step)


@given(st.text(max_size=300))
def test_a_name_that_is_accepted_stays_below_its_folder(name):
    """Whoever writes artifacts into a folder by their names writes nothing outside it."""
    try:
        accepted = check_artifact_name(name)
    except ValueError:
        return
    assert os.path.normpath(f"/folder/{accepted}") == f"/folder/{name}"


def test_importing_it_imports_nothing_else(project):
    """Kernels and scripts pay only for what they use."""
    done = project.python("""
        import sys
        before = set(sys.modules)
        import nbmake_dag
        print(sorted(set(sys.modules) - before))
    """)
    assert done.stdout == "['nbmake_dag']\n"


def test_what_runs_inside_needs_the_standard_library_only(project):
    """A kernel of another environment has nothing else."""
    done = project.python("""
        import sys
        import nbmake_dag as nbdag, nbmake_dag.inside.start, nbmake_dag.inside.call
        for name, home in nbdag._HOMES.items():
            if home.startswith("nbmake_dag.inside."):
                getattr(nbdag, name)
        names = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
        print(sorted(name for name in names if not name.startswith(("_", "sitecustomize"))))
    """)
    assert done.stdout == "['nbmake_dag']\n"


def test_every_public_name_is_found_and_no_other(project):
    """Names are resolved on first use."""
    assert {name: getattr(nbmake_dag, name) is not None for name in nbmake_dag.__all__} == dict.fromkeys(
        nbmake_dag.__all__, True
    )
    assert set(nbmake_dag.__all__) <= set(dir(nbmake_dag))
    with pytest.raises(AttributeError, match="no attribute 'log_metrix'"):
        _ = nbmake_dag.log_metrix
