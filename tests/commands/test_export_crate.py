"""`nbdag export --ro-crate`: what is beside a run goes with it, and what is missing is said."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.test_crate_validator import issues
from tests.support.project import Project

WITHOUT = "import sys; sys.modules['rocrate'] = None; from nbmake_dag.__main__ import main; main()"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build two tasks of a repository that has a licence, one after the other, and once more."""
    project = Project(tmp_path_factory.mktemp("archived") / "project").pipeline(
        """
        [pipeline]
        name = "letters"

        [tasks.count]
        command = "mkdir -p made; wc -c < 'in put.txt' > made/count.txt; echo {size} >> made/count.txt"
        inputs = ["in put.txt"]
        outputs = ["made/"]
        parameters = { size = 3 }

        [tasks.copy]
        command = "cp made/count.txt copy.txt"
        inputs = ["made/"]
        outputs = ["copy.txt"]
        """
    )
    project.write("in put.txt", "abc").write("LICENSE", "Do what you want.\n").write(".gitignore", "/.nbdag/\n")
    project.commit().build().ran("copy", "count")
    project.build().ran()
    done = project.nbdag("export", "--ro-crate", "crate")
    assert (done.returncode, done.stdout) == (0, "crate\n"), done.stderr
    return project


def entities(crate: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((crate / "ro-crate-metadata.json").read_bytes())
    return {entity["@id"]: entity for entity in found["@graph"]}


def test_a_crate_has_what_a_run_used_and_made(built: Project) -> None:
    """Also where all was up to date: then the run that executed it is named."""
    crate, commit = built / "crate", built.git("rev-parse", "HEAD").strip()
    found = entities(crate)
    assert (crate / "pipeline.toml").read_text() == built.read("pipeline.toml")
    assert found["pipeline.toml"]["description"] == f"The pipeline file, as in commit {commit}."
    assert found["./"]["license"] == {"@id": "LICENSE"}
    data = (crate / "files/in put.txt").read_bytes()
    assert (data, found["files/in%20put.txt"]["sha256"]) == (b"abc", hashlib.sha256(b"abc").hexdigest())
    assert (crate / "files/made/count.txt").read_text().split() == ["3", "3"]
    actions = {each["name"]: each for each in found.values() if each["@type"] == "CreateAction"}
    assert actions["count"]["object"] == [{"@id": "#parameter/count/size"}, {"@id": "files/in%20put.txt"}]
    assert found["#parameter/count/size"]["value"] == 3
    assert actions["copy"]["object"] == actions["count"]["result"] == {"@id": "files/made/count.txt"}
    first = built.nbdag("runs", "--json").stdout
    executed = json.loads(first)["runs"][-1]["id"]
    assert f"Executed in run {executed};" in actions["copy"]["description"]
    assert actions["copy"]["startTime"] < actions["copy"]["endTime"]


UNKNOWN = (
    "README.md",
    "author",
    "publisher",
    "agent",
    "absolute URI",
    "Bioschemas",
    "SHOULD have a url",
)
"""What is recommended, and nbdag does not know, or has no address for."""


@pytest.mark.slow
@pytest.mark.roc_validator
def test_the_crate_is_valid(built: Project) -> None:
    """By all that the profiles require, and nearly all that they recommend."""
    found = issues(built / "crate", "RECOMMENDED")
    assert found != []
    assert [issue for issue in found if not any(known in issue for known in UNKNOWN)] == []


def test_what_cannot_be_written_is_said(built: Project) -> None:
    """A folder that has something in it, the missing library, a run that did nothing."""
    again = built.nbdag("export", "--ro-crate", "crate")
    assert (again.returncode, "crate is not an empty folder" in again.stderr) == (2, True)
    command = [sys.executable, "-c", WITHOUT, "export", "--ro-crate", "other"]
    done = subprocess.run(command, cwd=built.root, capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'nbmake-dag[ro-crate]'" in done.stderr) == (2, True), done.stderr
    assert not (built / "other").exists()


def test_an_uncommitted_run_has_the_files_that_are_here(built: Project, tmp_path: Path) -> None:
    """An input that was changed since is described by the digest that it had."""
    project = Project.copied(built.root, tmp_path / "other").remove("crate").write("in put.txt", "abcd")
    project.edit("pipeline.toml", "size = 3", "size = 4").build().ran("copy", "count")
    project.write("in put.txt", "changed").remove("LICENSE")
    done = project.nbdag("export", "--ro-crate", "crate")
    assert "1 files are not in it" in done.stderr
    found = entities(project / "crate")
    assert found["pipeline.toml"]["description"].endswith("as it was when this crate was written.")
    assert found["./"]["license"] == "not stated"
    (file,) = [each for each in found.values() if each.get("name") == "in put.txt"]
    assert (file["@id"].startswith("#file/"), file["identifier"].startswith("xxh3-128:")) == (True, True)
