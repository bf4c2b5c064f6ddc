"""What is observed of tasks before a run, and checked again after it: real files, no kernel."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from nbmake_dag.core.facts import result_of
from nbmake_dag.core.lookup import task_keys
from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.results.publish import record_of
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.record import Origin
from tests.observe.surveys import PIPELINE, own_key, prepared_in, record_now
from tests.support.project import Project


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data/own.csv", "3"),
        ("data/more.csv", ""),
        ("work.py", "import helper as h"),
        ("helper.py", "import second as s"),
        ("second.py", "VALUE = 2"),
    ],
)
def test_a_changed_file_changes_the_key(folder: Project, path: str, text: str) -> None:
    """Inputs, who belongs to a glob, and local modules at any distance."""
    before = own_key(folder, "merge")
    folder.write(path, text)
    assert own_key(folder, "merge") != before


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data/made.csv", "edited"),
        ("data/.hidden.csv", ""),
        ("data/notes.txt", ""),
        ("data/deep/more.csv", ""),
        ("unrelated.py", "VALUE = 2"),
        ("second.py", "VALUE = 1  # a comment"),
        ("source.txt", "3"),
    ],
)
def test_another_file_does_not_change_the_key(folder: Project, path: str, text: str) -> None:
    """What a task makes is not read from the workspace; what is no input, and comments, do not count."""
    before = own_key(folder, "merge")
    folder.write(path, text)
    assert own_key(folder, "merge") == before


class SavedOnceHashed(StatMemo):
    """Somebody saves each file between the moments when its bytes are hashed and when they are read."""

    def digest(self, path: str) -> Digest:
        digest = super().digest(path)
        Path(path).write_text("import helper\n")
        return digest


def test_what_a_file_was_when_it_was_hashed_is_not_said_of_what_it_is_when_read(folder: Project) -> None:
    """An empty module is not taken ever after for what was saved over one."""
    project = find_project(str(folder.root))
    empty = folder.write("empty.py", "") / "empty.py"
    identities = IdentityMemo(project.state)
    Modules(project, SavedOnceHashed(project.state), identities, ()).identity(str(empty))
    empty.write_text("")
    found = Modules(project, StatMemo(project.state), identities, ()).identity(str(empty))
    assert found is not None
    assert found.imports.modules == ()


def test_a_file_that_leaves_a_glob_changes_the_key(folder: Project) -> None:
    """So does renaming one."""
    before = own_key(folder, "merge")
    os.rename(folder / "data/own.csv", folder / "data/renamed.csv")
    renamed = own_key(folder, "merge")
    os.unlink(folder / "data/renamed.csv")
    assert len({before, renamed, own_key(folder, "merge")}) == 3


def test_files_that_come_and_go_while_they_are_looked_at_are_no_error(folder: Project) -> None:
    """As in a checkout: what went after it was listed is not there."""
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for number in range(50):
                folder.write(f"data/{number}.csv", f"{number}\n")
            for number in range(50):
                (folder / f"data/{number}.csv").unlink()

    writer = threading.Thread(target=come_and_go)
    writer.start()
    try:
        for _ in range(40):
            own_key(folder, "merge")
    finally:
        over.set()
        writer.join()


def test_new_times_of_files_do_not_change_the_key(folder: Project) -> None:
    """A fresh clone has other ones."""
    before = own_key(folder, "merge")
    for path in ("data/own.csv", "work.py", "helper.py", "second.py"):
        os.utime(folder / path, (1, 1))
    assert own_key(folder, "merge") == before


def test_an_edit_of_the_same_size_and_time_changes_the_key(folder: Project) -> None:
    """A file that was just written is hashed again, whatever its times say."""
    before = own_key(folder, "merge")
    times = os.stat(folder / "data/own.csv")
    folder.write("data/own.csv", "3")
    os.utime(folder / "data/own.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert own_key(folder, "merge") != before


def test_what_a_removed_task_left_matches_no_glob(folder: Project) -> None:
    """A look takes the file as gone, and leaves it to a build to move it away; once edited, it is the user's."""
    without = PIPELINE[: PIPELINE.index("[tasks.gone]")] + PIPELINE[PIPELINE.index("[tasks.merge]") :]
    folder.pipeline(without)
    clean = own_key(folder, "merge")
    folder.pipeline(PIPELINE).write("data/gone.csv", "left")
    with prepared_in(folder) as (prepared, stores):
        stores.blobs.put_file(str(folder / "data/gone.csv"))
        stores.records.publish(record_now(folder, prepared, "gone")[0])
    folder.pipeline(without)
    with prepared_in(folder) as (prepared, _):
        left = [leftover.path for leftover in prepared.leftovers]
        assert (prepared.facts[TaskName("merge")].own_key, left) == (clean, ["data/gone.csv"])
    folder.write("data/gone.csv", "edited")
    assert own_key(folder, "merge") != clean


def test_what_did_not_change_while_a_task_ran_is_published(folder: Project) -> None:
    """All that was used is found as it was."""
    folder.write("data/gone.csv", "").write("merged.txt", "")
    with prepared_in(folder) as (prepared, _):
        record, unstable = record_now(folder, prepared, "merge", "unrelated.py")
    assert unstable == ()
    assert [item.name for item in record.ingredients if item.stage == "trace"] == ["unrelated.py"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/own.csv", "input: data/own.csv changed"),
        ("data/joined.csv", "input: data/joined.csv added"),
        ("data/made.csv", "input: data/made.csv changed"),
        ("second.py", "module: second.py changed"),
    ],
)
def test_what_changed_while_a_task_ran_is_not_published(folder: Project, path: str, said: str) -> None:
    """An edit of an input, of what a task above made, or of a module would be cached under the wrong key."""
    folder.write("data/gone.csv", "").write("merged.txt", "")
    with prepared_in(folder) as (prepared, _):
        results = {name: record_now(folder, prepared, name)[0] for name in ("make", "gone")}
        folder.write(path, "VALUE = 3\n")
        of = prepared.graph.tasks[TaskName("merge")]
        above = {TaskName(name): result_of(record, {}) for name, record in results.items()}
        keys = task_keys(of.name, prepared.graph, prepared.facts[of.name], above)
        attempt = AttemptResult(outcome="succeeded", started=time.time_ns(), ended=0)
        origin = Origin(run_id="r", trace_id="0" * 32, span_id="0" * 16, started=1, duration_s=0.0)
        facts = prepared.facts[of.name]
        made = record_of(of, prepared.survey, facts, keys, attempt, above, origin, None)
        assert made.unstable == (said,)


def test_a_module_of_a_trace_that_was_written_while_a_task_ran_is_not_published(folder: Project) -> None:
    """Nobody knows which text of it was loaded."""
    folder.write("data/gone.csv", "").write("merged.txt", "")
    with prepared_in(folder) as (prepared, _):
        assert record_now(folder, prepared, "merge", "unrelated.py", started=1)[1] == ("unrelated.py",)


@pytest.mark.parametrize(
    ("language", "changed", "key_changes"),
    [("bash", "x = 1", True), ("bash", "x=1  ", False), ("python", "x = 1", False)],
)
def test_a_notebook_is_read_in_the_language_of_its_kernel(
    folder: Project, monkeypatch: pytest.MonkeyPatch, language: str, changed: str, *, key_changes: bool
) -> None:
    """With ``kernel`` a text is not compared as Python because it happens to parse as that."""
    spec = {"argv": [sys.executable], "display_name": "Other", "language": language}
    folder.write("jupyter/kernels/other/kernel.json", json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    folder.pipeline("""
        [tasks.other]
        notebook = "other.py"
        kernel = "other"
    """)
    folder.write("other.py", "# %%\nx=1\n")
    before = own_key(folder, "other")
    folder.write("other.py", f"# %%\n{changed}\n")
    assert (own_key(folder, "other") != before) == key_changes
