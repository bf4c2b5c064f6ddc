"""`upstream()` gives what the tasks above left, and notes exactly what was read of it."""

from __future__ import annotations

import hashlib
import json

import pytest

from nbmake_dag.execute.protocol import Read
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import Artifact, Logged, Origin, Record, encode_record
from tests.support.attempts import left, write_lines


@pytest.fixture
def above(project):
    """Give a project in which two tasks are above; the last of them names the line of the first."""
    sha256 = hashlib.sha256("hé".encode()).hexdigest()
    project.write(f"blobs/{sha256[:2]}/{sha256}", "hé")
    train = left(
        "train[size=400]",
        params={"size": 400, "list": [1]},
        metrics={"auc": 0.9, "loss": 1.0, "gap": "NaN"},
        tags={"model": "svm"},
        artifacts={"note.txt": (sha256, 3)},
    )
    beside = left("beside", 7)
    lines = project.scratch / "upstream.jsonl"
    first, _ = write_lines(lines, [train, beside]).above
    *_, last = write_lines(lines, [train, beside, left("train[size=500]", 1, (first,))]).above
    start = {"lines": str(lines), "above": [last], "blobs": str(project.root / "blobs")}
    (project.scratch / "upstream.json").write_text(json.dumps(start))
    return project


def _reads(project, code):
    done = project.python(f"import nbmake_dag as nbdag\nup = nbdag.upstream()\n{code}")
    return done.stdout, project.folded().reads


@pytest.mark.parametrize(
    ("code", "printed", "reads"),
    [
        ("", "", ()),
        ("up['train[size=400]']", "", ()),
        (
            "print(up['train[size=400]'].metrics['auc'])\nnbdag.upstream()['train[size=400]'].metrics['auc']",
            "0.9\n",
            (Read(task="train[size=400]", kind="metrics", name="auc"),),
        ),
        (
            "print(up['train[size=400]'].metrics['gap'] + 1)",
            "nan\n",
            (Read(task="train[size=400]", kind="metrics", name="gap"),),
        ),
        (
            "t = up['train[size=400]']\nprint(t.params['list'], t.tags['model'])",
            "[1] svm\n",
            (
                Read(task="train[size=400]", kind="params", name="list"),
                Read(task="train[size=400]", kind="tags", name="model"),
            ),
        ),
        (
            "print(len(up), list(up), 'x' in up)",
            "2 ['train[size=400]', 'train[size=500]'] False\n",
            (Read(task="", kind="tasks"),),
        ),
        ("print(up.get('x'))", "None\n", (Read(task="", kind="tasks"),)),
        (
            "print('auc' in up['train[size=400]'].metrics)",
            "True\n",
            (Read(task="train[size=400]", kind="metrics"),),
        ),
        (
            "print(up['train[size=500]'].metrics.get('auc', 0))",
            "0\n",
            (Read(task="train[size=500]", kind="metrics", name="auc"),),
        ),
        (
            "a = up['train[size=400]'].artifacts['note.txt']\nprint(a.read_text(), a.read_bytes())",
            "hé b'h\\xc3\\xa9'\n",
            (Read(task="train[size=400]", kind="artifacts", name="note.txt"),),
        ),
        (
            "print(up['train[size=400]'].tags)",
            "{'model': 'svm'}\n",
            (
                Read(task="train[size=400]", kind="tags"),
                Read(task="train[size=400]", kind="tags", name="model"),
            ),
        ),
    ],
)
def test_exactly_what_is_read_is_noted(above, code, printed, reads):
    """A value is noted by its name; iterating, ``len`` and ``in`` note the set of names; each once."""
    assert _reads(above, code) == (printed, reads)


def test_a_missing_task_is_a_key_error(above):
    """It is a mapping like any other."""
    done = above.python("import nbmake_dag; nbmake_dag.upstream()['x']", check=False)
    assert done.stderr.endswith("KeyError: 'x'\n")


def _record(project, task, number, started, logged):
    key = Key(f"{number:032x}")
    record = Record(
        key=key,
        static_key=key,
        own_key=key,
        task=task,
        ingredients=(Ingredient("parameter", "size", "400"), Ingredient("parameter", "name", '"x"')),
        outputs=(),
        logged=logged,
        origin=Origin(run_id="r", trace_id="t", span_id="s", started=started, duration_s=1.0),
    )
    file = project.root / ".nbdag" / "cache" / "records" / key[:2] / key / f"{key}.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(encode_record(record))
    return file


def test_by_hand_it_answers_from_the_latest_records(project):
    """Also from a folder below the project; a damaged record is passed over, and nothing is written."""
    stored = project.blobs.put_bytes(b"note")
    artifact = Artifact(sha256=stored.sha256, size=4, media_type="text/plain")
    _record(project, "train", 1, 10, Logged(metrics={"auc": 0.1}))
    _record(project, "train", 2, 30, Logged(metrics={"auc": 0.3}, params={"lr": 1}, artifacts={"n": artifact}))
    _record(project, "train", 3, 20, Logged(metrics={"auc": 0.2}))
    _record(project, "eda", 4, 40, Logged()).write_bytes(b'{"cut')
    project.write("notebooks/a.py", "")
    project.extra = {"NBDAG_UPSTREAM": "", "NBDAG_LOG": ""}
    done = project.python("""
        import os, nbmake_dag as nbdag
        os.chdir("notebooks")
        up = nbdag.upstream()
        print(list(up), up["train"].metrics, up["train"].params, up["train"].artifacts["n"].read_text())
    """)
    assert done.stdout == "['train'] {'auc': 0.3} {'size': 400, 'name': 'x', 'lr': 1} note\n"
    assert list(project.scratch.iterdir()) == []


def test_what_was_taken_before_a_snapshot_follows_the_attempt_that_goes_on_from_it(project):
    """Mappings, tasks and their values, however often a process is resumed; what was noted is noted once."""
    for number in (1, 2, 3):
        tasks = [left("a", metrics={"auc": number}), left(f"only{number}", 1, metrics={"auc": number})]
        told = write_lines(project.scratch / f"lines{number}", tasks)
        start = {"lines": told.file, "above": told.above, "blobs": ""}
        (project.scratch / f"{number}.json").write_text(json.dumps(start))
    project.extra = {"NBDAG_UPSTREAM": str(project.scratch / "1.json")}
    done = project.python(f"""
        import os
        import nbmake_dag
        from nbmake_dag.inside import start
        start.start()
        up = nbmake_dag.upstream()
        a, metrics = up["a"], up["a"].metrics
        print(a.metrics["auc"])
        for number in (2, 3):
            os.environ["NBDAG_UPSTREAM"] = {str(project.scratch)!r} + f"/{{number}}.json"
            start.resume()
            new = nbmake_dag.upstream()
            print(up["a"].metrics["auc"], a.metrics["auc"], metrics["auc"], new["a"].metrics["auc"], list(up))
            print(up[f"only{{number}}"].metrics["auc"])
    """)
    expected = ["1.0"]
    for number in (2, 3):
        expected += [" ".join([f"{number}.0"] * 4 + [f"['a', 'only{number}']"]), f"{number}.0"]
    assert done.stdout.splitlines() == expected
