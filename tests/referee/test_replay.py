"""`nbdag replay`: results are made again with what their run had, and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from nbmake_dag.commands.schema import document_schema
from nbmake_dag.referee.environment import redacted, redactor_of
from tests.config.expanding import pipeline as expanded
from tests.referee.test_trial import state_of
from tests.reporting.judgements import VERDICT
from tests.support.project import Project
from tests.support.replayed import REASONS, make_clean, make_irreproducible

PIPELINE = """
    [tasks.double]
    command = "cat in.txt in.txt > doubled.txt"
    inputs = ["in.txt"]
    outputs = ["doubled.txt"]

    [tasks.count]
    function = "counting:count"
    inputs = ["doubled.txt"]
    outputs = ["count.txt"]
"""
COUNTING = """
    import nbmake_dag as nbdag

    def count():
        size = len(open("doubled.txt").read())
        nbdag.log_metric("size", size)
        open("count.txt", "w").write(str(size))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a project of two tasks that were built, and are under version control."""
    project = Project(tmp_path / "project").pipeline(PIPELINE).write("in.txt", "ab").write("counting.py", COUNTING)
    project.write(".gitignore", "/.nbdag/\n/doubled.txt\n/count.txt\n").commit()
    project.build().ran("double", "count")
    return project


def replayed(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Replay, and return what is written, which is as its schema says."""
    done = project.nbdag("replay", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(document, document_schema("verdict"))
    return document


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["verdict"] for task in document["tasks"]}


def whys(document: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["why"] for task in document["tasks"]}


def needs_trust(project: Project, path: str, old: str, new: str, *, detached: bool = False) -> None:
    """Claim that what was built with an edit, on a branch that was deleted then, is replayed with trust only.

    With ``detached`` its commit is checked out still, and the edit of another is in the workspace.
    """
    project.git("checkout", "-q", "-b", "other")
    project.edit(path, old, new).commit()
    project.build().ran("count")
    project.git("checkout", "-q", *(["--detach"] if detached else ["-"]))
    project.git("branch", "-q", "-D", "other")
    if detached:
        project.edit(path, new, f"{new} or None")
    document = replayed(project, "count", code=3)
    assert "which no local branch reaches (--trust)" in whys(document)["count"]
    assert verdicts(replayed(project, "count", "--trust")) == {"count": "identical"}


def test_a_replay_changes_nothing_but_its_own_files(project: Project) -> None:
    """Workspace, caches, runs and git stay; `latest` is still the build, and the replay is found by its id."""
    before = state_of(project)
    document = replayed(project, "--badge", "badge.svg", "--output", "verdict.json")
    assert verdicts(document) == {"double": "identical", "count": "identical"}
    assert "replay: identical" in project.read("badge.svg")
    assert json.loads(project.read("verdict.json")) == document
    project.remove("badge.svg", "verdict.json")
    assert state_of(project) == before
    (listed,) = json.loads(project.nbdag("runs", "--json").stdout)["runs"]
    assert listed["id"] == document["run"] != document["id"]
    shown = json.loads(project.nbdag("show", document["id"], "--json").stdout)
    assert [task["status"] for task in shown["tasks"]] == ["ran", "ran"]
    said = project.nbdag("explain", "count").stdout
    assert f"replay {document['id']} of run {document['run']}: identical" in said


@pytest.mark.slow
def test_a_run_is_replayed_with_what_it_had(project: Project) -> None:
    """Code, inputs and results come from git and the cache, whatever is in the workspace by now."""
    first = json.loads(project.nbdag("runs", "--json").stdout)["runs"][0]["id"]
    project.edit("counting.py", "str(size)", "str(-size)").write("in.txt", "abc").commit()
    project.build().ran("double", "count")
    assert verdicts(replayed(project, "--run", first)) == {"double": "identical", "count": "identical"}
    assert verdicts(replayed(project, "count")) == {"count": "identical"}


@pytest.mark.slow
def test_what_is_not_there_as_it_was_could_not_run(project: Project) -> None:
    """An input that git does not have is gone when it changes, unless inputs are kept; so is code."""
    project.write("in.txt", "not committed").build().ran("double", "count")
    project.write("in.txt", "changed again")
    document = replayed(project, code=3)
    assert whys(document) == {"double": "in.txt is not stored as it was", "count": ""}
    project.edit("counting.py", "str(size)", "str(size + 1)")
    project.pipeline("[runs]\nkeep_inputs = true\n" + PIPELINE.replace("    ", "")).build("--force-all").ran(
        "double", "count"
    )
    project.write("in.txt", "changed once more").edit("counting.py", "size + 1)", "size + 2)")
    document = replayed(project, code=3)
    assert verdicts(document) == {"double": "identical", "count": "could_not_run"}
    assert whys(document)["count"].startswith("it is not stored as it was: module: counting.py")


@pytest.mark.slow
@pytest.mark.parametrize("detached", [False, True])
def test_code_that_no_branch_reaches_needs_trust(project: Project, *, detached: bool) -> None:
    """It may be anybody's, also where it is checked out."""
    needs_trust(project, "counting.py", "str(size)", "str(-size)", detached=detached)


@pytest.mark.slow
def test_tasks_get_recorded_inputs_or_with_from_scratch_replayed_ones(project: Project) -> None:
    """What differs above is found there, and not once more in each task below."""
    project.edit("pipeline.toml", "cat in.txt in.txt > doubled.txt", "date +%N > doubled.txt")
    project.edit("counting.py", "str(size)", "open('doubled.txt').read()").build().ran("double", "count")
    assert verdicts(replayed(project, code=1)) == {"double": "differs", "count": "identical"}
    assert verdicts(replayed(project, "--from-scratch", code=1)) == {"double": "differs", "count": "differs"}


@pytest.mark.slow
def test_a_verdict_is_signed_where_there_is_a_key(project: Project) -> None:
    """Whoever has the public key sees whether somebody changed it; secrets and plans come from nobody else."""
    from nbmake_dag.engine.shared_cache.client import new_keys
    from nbmake_dag.referee.verdicts import signed_bytes
    from nbmake_dag_cache.signatures import Verifier
    from nbmake_dag_reporting.verdict import VerdictDocument

    public, private = new_keys()
    done = project.nbdag("replay", "double", "--json", env={"NBDAG_CACHE_SIGNING_KEY": private})
    verdict = msgspec.json.decode(done.stdout, type=VerdictDocument)
    assert verdict.signature is not None
    verifier = Verifier([public])
    assert verifier.accepts(signed_bytes(verdict), verdict.signature)
    changed = msgspec.structs.replace(verdict, verdict="differs")
    assert not verifier.accepts(signed_bytes(changed), verdict.signature)


@pytest.mark.slow
def test_secrets_are_passed_only_if_that_is_asked_for(project: Project) -> None:
    """A task that needs one could not run."""
    project.edit("pipeline.toml", 'command = "cat', 'secrets = ["TOKEN"]\ncommand = "test $TOKEN; cat')
    secret = {"TOKEN": "k8sT-0b7Qx93LmZ2vWpRr41"}
    project.build(env=secret).ran("double")
    done = project.nbdag("replay", "double", env=secret)
    assert (done.returncode, "secrets are passed only with --secrets" in done.stdout) == (3, True)
    assert project.nbdag("replay", "double", "--secrets", env=secret).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "hashsed"], "did you mean `hashseed`?"),
        (["cout"], "did you mean `count`?"),
        (["--run", "latest~7"], "there is no run latest~7"),
    ],
)
def test_mistakes_are_answered(project: Project, arguments: list[str], message: str) -> None:
    """Before anything is executed."""
    done = project.nbdag("replay", *arguments)
    assert (done.returncode in {2, 5}, message in done.stderr) == (True, True), done.stderr


@pytest.mark.slow
def test_results_that_cannot_be_made_again_are_found(tmp_path: Path) -> None:
    """For as many reasons as there are tasks; of those that are conditions, the one that matters is named.

    Five only show in another place, or at another time: a replay alone does not find them.
    """
    project = Project(tmp_path / "project")
    make_irreproducible(project)
    document = replayed(project, "--vary", "all", "--yes", code=1)
    matter = {
        task["name"]: [each["name"] for each in task["conditions"] if each["matters"]]
        for task in document["tasks"]
    }
    assert matter == {reason.name: [reason.condition] if reason.condition else [] for reason in REASONS}
    assert set(verdicts(document).values()) == {"differs", "could_not_run"}
    alone = {
        task["name"] for task in document["tasks"] if not task["differences"] and task["verdict"] == "differs"
    }
    assert alone == {"locale", "time_zone", "hostname", "listing", "reduction"}


@pytest.mark.slow
def test_results_that_can_be_made_again_raise_no_alarm(tmp_path: Path) -> None:
    """Tasks of every kind, in one pipeline."""
    project = Project(tmp_path / "project")
    make_clean(project)
    done = project.nbdag("replay", env={"DECLARED": "declared"})
    assert done.returncode == 0, done.stdout


def test_a_condition_that_matters_is_named(project: Project) -> None:
    """The one that was asked for; the others are not tried. It holds from when the interpreter starts."""
    project.edit("counting.py", "str(size)", "__import__('socket').gethostname()").build().ran("count")
    document = replayed(project, "count", "--vary", "machine", code=1)
    (count,) = document["tasks"]
    assert [(each["name"], each["matters"]) for each in count["conditions"]] == [("machine", True)]


@pytest.mark.slow
def test_a_notebook_that_no_branch_reaches_needs_trust(project: Project) -> None:
    """Although its text is stored, as that of each executed notebook is."""
    notebook = PIPELINE.replace('function = "counting:count"', 'notebook = "count.py"')
    project.pipeline(notebook.replace('outputs = ["count.txt"]', ""))
    project.notebook("count.py", "print(1)").commit()
    needs_trust(project, "count.py", "print(1)", "print(2)")


def test_no_secret_is_in_a_verdict() -> None:
    """Files and cells that differ may show one, and failures may; numbers stay what they are."""
    pipeline = expanded('[tasks.a]\ncommand = "x"\nsecrets = ["TOKEN", "NUMBER"]\n')
    (task, *others) = VERDICT.tasks
    shown = msgspec.structs.replace(task, why="line 1: k8sT-0b7Qx93LmZ2 → 1800000000", duration_s=12345.0)
    verdict = msgspec.structs.replace(VERDICT, tasks=(shown, *others))
    found = redacted(verdict, redactor_of(pipeline, {"TOKEN": "k8sT-0b7Qx93LmZ2", "NUMBER": "12345"}))
    hidden = msgspec.structs.replace(shown, why="line 1: [secret TOKEN] → 1800000000")
    assert found == msgspec.structs.replace(verdict, tasks=(hidden, *others))


def test_trials_are_listed_by_their_kind(project: Project) -> None:
    """And nowhere else, unless all are asked for."""
    (built,) = (run["id"] for run in json.loads(project.nbdag("runs", "--json").stdout)["runs"])
    tried = replayed(project)["id"]

    def listed(*arguments: str) -> list[tuple[str, str]]:
        runs = json.loads(project.nbdag("runs", "--json", *arguments).stdout)["runs"]
        return [(run["id"], run["kind"]) for run in runs]

    assert listed() == [(built, "")]
    assert listed("--kind", "replay") == [(tried, "replay")]
    assert listed("--kind", "blame") == []
    assert listed("--kind", "all") == [(tried, "replay"), (built, "")]
    assert "no bisect is recorded" in project.nbdag("runs", "--kind", "bisect").stderr
    assert "replay" in project.nbdag("runs", "--kind", "all").stdout
