"""`nbdag cache`: what it holds, whether it is sound, and what is removed from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from nbmake_dag.core.model import CacheSettings, Pipeline
from nbmake_dag.engine.state.gc_roots import shown_by
from nbmake_dag.engine.state.rescued_files import note_rescued, put_damage_aside, read_rescued
from nbmake_dag.engine.state.retention import after_build
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.records import RecordStore
from tests.support.project import Project

LONG_AGO = time.time() - 7 * 86_400


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two commands in a row; ``text.txt`` decides what they make."""
    return (
        Project(tmp_path / "project")
        .write("text.txt", "one")
        .pipeline(
            """
            [runs]
            keep = 2

            [tasks.copy]
            command = "cat text.txt > copy.txt"
            inputs = ["text.txt"]
            outputs = ["copy.txt"]

            [tasks.count]
            command = "wc -c < copy.txt > count.txt"
            inputs = ["copy.txt"]
            outputs = ["count.txt"]
            """
        )
    )


def _records(project: Project) -> list[str]:
    return sorted(record.task for record in RecordStore(str(project / ".nbdag/cache")))


def _blobs(project: Project) -> set[str]:
    return {path.name for path in (project / ".nbdag/cache/blobs").rglob("*") if path.is_file()}


def _runs(project: Project) -> list[Path]:
    return sorted(path for path in (project / ".nbdag/runs").glob("2*") if path.is_dir())


def _age(project: Project) -> None:
    """Make every blob old enough to be collected: those of the last hour are spared."""
    for path in (project / ".nbdag/cache/blobs").rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def _build(project: Project, text: str) -> None:
    project.write("text.txt", text).build().ran("copy", "count")


def test_info_counts_what_is_there_and_says_the_limits(project: Project) -> None:
    """Sizes and counts are those of the files."""
    project.build().ran("copy", "count")
    out = project.nbdag("cache", "info").stdout
    files = [path.stat().st_size for path in (project / ".nbdag/cache/blobs").rglob("*") if path.is_file()]
    assert re.search(rf"^blobs +{len(files)}, {sum(files)} B$", out, re.MULTILINE), out
    assert re.search(r"^records +2, [\d.]+ kB$", out, re.MULTILINE), out
    assert re.search(r"^size .* of 10 GB$", out, re.MULTILINE), out
    document = json.loads(project.nbdag("cache", "info", "--json").stdout)
    assert {each["task"]: each["records"] for each in document["by_task"]} == {"copy": 1, "count": 1}
    assert [each["records"] for each in document["by_run"]] == [2]
    held = document["records_size"] + document["blobs_size"]
    assert sum(each["size"] for each in document["by_run"]) + document["shown_by_no_run"] == held
    assert re.search(r"^by task +co(py|unt), [\d.]+ k?B$", out, re.MULTILINE), out
    assert re.search(rf"^by run +{document['by_run'][0]['run']}, ", out, re.MULTILINE), out
    assert re.search(r"^runs +1 of 2$", out, re.MULTILINE), out


def test_info_of_a_cache_that_is_not_there_is_empty(project: Project) -> None:
    """A fresh clone has none, which is no error."""
    done = project.nbdag("cache", "info")
    assert done.returncode == 0
    assert re.search(r"^oldest use  none$", done.stdout, re.MULTILINE)


def test_verify_ends_with_0_if_sound_and_with_1_naming_what_is_not(project: Project) -> None:
    """A flipped byte is found and left as it is."""
    project.build().ran("copy", "count")
    assert (project.nbdag("cache", "verify").returncode, project.nbdag("cache", "verify").stdout) == (0, "")
    victim = next(path for path in (project / ".nbdag/cache/blobs").rglob("*") if path.is_file())
    victim.chmod(0o644)
    victim.write_bytes(b"damaged")
    done = project.nbdag("cache", "verify")
    path = victim.relative_to(project / ".nbdag/cache")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{path}: damaged blob\n", "1 fault\n")


def test_gc_keeps_what_the_last_runs_show_and_removes_older_runs(project: Project) -> None:
    """`[runs] keep` protects records whatever their size; what only older runs showed goes when too large."""
    for text in ("one", "three", "seventeen"):
        _build(project, text)
    project.edit("pipeline.toml", "[runs]", '[cache]\nmax_size = "1B"\n\n[runs]')
    done = project.nbdag("cache", "gc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("removed 2 records, "), done.stdout
    assert "and 1 runs" in done.stdout
    assert (_records(project), len(_runs(project))) == (["copy", "copy", "count", "count"], 2)
    assert project.write("text.txt", "three").build().having("restored") == ["copy", "count"]
    _build(project, "one")


def test_gc_without_a_limit_that_is_reached_keeps_every_record(project: Project) -> None:
    """A run that is forgotten takes no record with it."""
    for text in ("one", "three", "seventeen"):
        _build(project, text)
    project.nbdag("cache", "gc")
    assert (len(_records(project)), len(_runs(project))) == (6, 2)
    project.write("text.txt", "one").build().ran().restored("copy", "count")


def test_gc_keeps_the_records_of_hits(project: Project) -> None:
    """A run in which nothing ran needs its records as much as one that made them."""
    project.edit("pipeline.toml", "[runs]", '[cache]\nmax_size = "1B"\n\n[runs]')
    project.build().ran("copy", "count")
    project.build().ran()
    project.build().ran()
    project.nbdag("cache", "gc")
    assert (_records(project), len(_runs(project))) == (["copy", "count"], 2)


def test_keep_used_leaves_what_the_last_run_needed(project: Project) -> None:
    """What CI carries stays as small as one run."""
    for text in ("one", "three"):
        _build(project, text)
    assert project.nbdag("cache", "gc", "--keep-used").returncode == 0
    assert _records(project) == ["copy", "count"]
    for output in ("copy.txt", "count.txt"):
        (project / output).unlink()
    project.build().ran().restored("copy", "count")
    assert project.nbdag("cache", "verify").returncode == 0


def test_keep_used_after_a_run_that_failed_leaves_what_the_runs_before_it_needed(project: Project) -> None:
    """A failure costs the next run no result of the tasks below it; older results go all the same."""
    for text in ("one", "three"):
        _build(project, text)
    config = project.read("pipeline.toml")
    project.edit("pipeline.toml", "cat text.txt", "false && cat text.txt")
    project.build().ended(1, failed=["copy"], skipped=["count"])
    assert project.nbdag("cache", "gc", "--keep-used").returncode == 0
    assert _records(project) == ["copy", "count"]
    project.write("pipeline.toml", config).remove("count.txt").build().ran().restored("count")


def test_keep_used_leaves_results_of_instances_that_come_from_data(project: Project) -> None:
    """Of those that rows on disk name, and of all where the rows are yet to be made."""
    project.write("rows.csv", "a\nx\ny\n").pipeline(
        """
        [tasks.make]
        command = "cp rows.csv made.csv"
        inputs = ["rows.csv"]
        outputs = ["made.csv"]

        [tasks.early]
        command = "echo {a} > early-{a}.txt"
        instances = { rows = "rows.csv" }
        outputs = ["early-{a}.txt"]

        [tasks.late]
        command = "echo {a} > late-{a}.txt"
        instances = { rows = "made.csv" }
        outputs = ["late-{a}.txt"]
        """
    )
    everything = ["early[a=x]", "early[a=y]", "late[a=x]", "late[a=y]", "make"]
    project.build().ran(*everything)
    project.build("make").ran()
    for there in (True, False):
        if not there:
            project.remove("made.csv")
        assert project.nbdag("cache", "gc", "--keep-used").returncode == 0
        assert _records(project) == everything
    project.write("rows.csv", "a\nx\n").write("made.csv", "a\nx\n")
    assert project.nbdag("cache", "gc", "--keep-used").returncode == 0
    assert _records(project) == ["early[a=x]", "late[a=x]", "make"]


def test_keep_used_leaves_results_of_tasks_of_other_pipeline_files_and_of_what_cannot_be_read(
    project: Project,
) -> None:
    """The files of a folder share a cache; one that cannot be read may name any task."""
    other = '[tasks.other]\ncommand = "echo > other.txt"\noutputs = ["other.txt"]\n'
    project.write("other.toml", other).build("-f", "other.toml").ran("other")
    project.build().ran("copy", "count")
    for text, said in ((other, ""), (f"{other}broken", "warning: other.toml cannot be read")):
        project.write("other.toml", text)
        done = project.nbdag("cache", "gc", "--keep-used")
        assert (done.returncode, said in done.stderr, _records(project)) == (0, True, ["copy", "count", "other"])
    (project / "other.toml").unlink()
    assert project.nbdag("cache", "gc", "--keep-used").stderr == ""
    assert _records(project) == ["copy", "count"]


def test_keep_used_is_refused_where_no_run_is_known(project: Project) -> None:
    """Nothing is removed on a guess."""
    done = project.nbdag("cache", "gc", "--keep-used")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: no run is recorded here, so it is not known which results are in use",
    )


def test_bytes_that_were_the_users_outlive_every_collection(project: Project) -> None:
    """`clean` keeps an output edited by hand; neither size, age nor --keep-used removes it."""
    project.build().ran("copy", "count")
    project.write("count.txt", "mine")
    project.nbdag("clean")
    project.edit("pipeline.toml", "[runs]", '[cache]\nmax_size = "1B"\nmax_age = "1s"\n\n[runs]')
    project.build()
    _age(project)
    project.nbdag("cache", "gc")
    project.nbdag("cache", "gc", "--keep-used")
    (rescued,) = read_rescued(find_project(str(project.root)))
    assert rescued.path == "count.txt"
    assert BlobStore(str(project / ".nbdag/cache")).read(rescued.sha256, 100) == b"mine"


def test_files_that_a_forgotten_run_rescued_stay(project: Project) -> None:
    """An output edited by hand, which a build replaced, outlives the record of that build."""
    project.build().ran("copy", "count")
    project.write("count.txt", "mine")
    project.build().restored("count")
    (rescued,) = read_rescued(find_project(str(project.root)))
    for run in _runs(project):
        shutil.rmtree(run)
    project.build()
    _age(project)
    project.nbdag("cache", "gc")

    assert BlobStore(str(project / ".nbdag/cache")).read(rescued.sha256, 100) == b"mine"


def test_the_list_of_rescued_files_survives_a_torn_line_and_says_nothing_twice(project: Project) -> None:
    """What was noted twice, the next build leaves out."""
    project.build()
    found = find_project(str(project.root))
    rescued = RescuedFile(path="a", sha256="0" * 64)
    note_rescued(found, (rescued, rescued))
    with (project / ".nbdag/runs/rescued.jsonl").open("a") as file:
        file.write('{"path":"b","sha\n')
    for _ in range(2):
        note_rescued(found, (rescued,))
        assert read_rescued(found) == (rescued,)
        put_damage_aside(found, lambda _: None)
        assert (project / ".nbdag/runs/rescued.jsonl").read_text().count("\n") == 1


def test_a_run_that_was_cut_off_shows_what_its_whole_part_names(tmp_path: Path) -> None:
    """Names are found in damaged lines and in events."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "trace.otlp.jsonl").write_text(f'{{"nbdag.cache.key":"{"a" * 32}","broken')
    (folder / "events.jsonl").write_text(f'{{"notebook":"{"b" * 64}"')
    shown = shown_by((str(folder),))
    assert (set(shown.keys), set(shown.blobs)) == ({"a" * 32}, {"b" * 64})


def test_after_a_build_nothing_is_swept_twice_a_day_or_without_need(project: Project) -> None:
    """A limit that is exceeded is enforced at the first build of a day."""
    for text in ("one", "three", "seventeen"):
        _build(project, text)
    found = find_project(str(project.root))
    tight = Pipeline(name="p", tasks={}, cache=CacheSettings(max_size=1), keep_runs=1)
    stamp = project / ".nbdag/state/swept"
    stamp.unlink(missing_ok=True)
    assert after_build(found, Pipeline(name="p", tasks={}), ()) is None
    assert after_build(found, tight, ()) is None
    os.utime(stamp, (LONG_AGO, LONG_AGO))
    swept = after_build(found, tight, ())
    assert swept is not None
    assert (swept.removed_runs, _records(project), len(_runs(project))) == (2, ["copy", "count"], 1)
    assert after_build(found, tight, ()) is None
