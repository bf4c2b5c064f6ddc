"""`nbdag restore`: outputs as a run left them, where nothing here could make them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag.engine.restoring import Supply, left_by, restore_into
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_reporting.bundle import decode_bundle
from tests.support.project import Project

PIPELINE = """
    [tasks.words]
    command = "tr a-z A-Z < in.txt > words.txt"
    inputs = ["in.txt"]
    outputs = ["words.txt"]

    [tasks.pages]
    command = "mkdir -p pages/empty; cp words.txt pages/1.txt"
    inputs = ["words.txt"]
    outputs = ["pages/"]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build twice, with another input and at another commit, whose newest run failed."""
    project = Project(tmp_path_factory.mktemp("restore") / "built").pipeline(PIPELINE)
    project.write("in.txt", "one").write(".gitignore", "words.txt\npages/\n").commit().git("tag", "first")
    project.build().ran("words", "pages")
    project.edit("pipeline.toml", "tr a-z", "false; tr a-z").build("-B")
    project.edit("pipeline.toml", "false; tr a-z", "tr a-z").edit("in.txt", "one", "two").commit()
    project.build().ran("words", "pages")
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Give a copy whose tasks are all stale, as with another Python."""
    return Project.copied(built.root, tmp_path / "project").edit("pipeline.toml", "cp words", "false; cp words")


def runs(project: Project) -> list[str]:
    return [run["id"] for run in json.loads(project.nbdag("runs", "--json").stdout)["runs"]]


def test_outputs_are_as_a_run_left_them_until_they_are_built(project: Project) -> None:
    """What the user wrote is kept first; what was restored is nbdag's, and no result."""
    newest, _, first = runs(project)
    project.write("words.txt", "mine")
    done = project.nbdag("restore", "--run", "first")
    assert (done.returncode, done.stdout) == (0, "words.txt\npages/\n")
    assert "words.txt was not made by nbdag; to get it back: cp .nbdag/" in done.stderr
    assert (project.read("words.txt"), project.read("pages/1.txt")) == ("ONE", "ONE")
    assert (project / "pages/empty").is_dir()
    status = project.nbdag("status")
    assert f"the outputs of 2 tasks are as of run {first}, until they are built" in status.stderr
    documented = json.loads(project.nbdag("status", "--json").stdout)["tasks"]
    assert {task["status"] for task in documented} == {"restored", "stale"}
    assert {task["restored_from"] for task in documented} == {first}
    assert project.nbdag("restore", "words").stderr == f"restored 1 output of run {newest}\n"
    project.edit("pipeline.toml", "false; cp words", "cp  words")
    assert "was not made by nbdag" not in project.build().ran("pages").err
    assert "as of run" not in project.nbdag("status").stderr


@pytest.mark.slow
def test_nothing_is_done_twice_and_links_are_not_made(project: Project, tmp_path: Path) -> None:
    """What is in place stays; another folder gets files of its own, which may be changed."""
    assert project.nbdag("restore").stderr.endswith(
        f"restored 0 outputs of run {runs(project)[0]}; 2 were in place\n"
    )
    other = tmp_path / "other"
    assert project.nbdag("restore", "pages/1.txt", "--run", "first", "--to", str(other)).stdout == "pages/\n"
    assert (other / "pages/1.txt").read_text() == "ONE"
    assert (other / "pages/1.txt").stat().st_nlink == 1
    (other / "pages/1.txt").write_text("changed")
    assert project.nbdag("cache", "verify").returncode == 0
    refused = project.nbdag("restore", "--to", str(other))
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, f"error: {other} is not an empty folder")


@pytest.mark.slow
def test_a_file_of_the_user_where_a_folder_belongs_is_kept(project: Project) -> None:
    """By `restore` and by `build`; one in whose place no folder may be made stays, and the rest is restored."""
    project.remove("pages").write("pages", "mine")
    done = project.nbdag("restore", "pages")
    assert (done.returncode, "pages was not made by nbdag; to get it back: cp" in done.stderr) == (0, True)
    copy = done.stderr.partition("get it back: cp ")[2].split()[0]
    assert (project.read(copy), project.read("pages/1.txt")) == ("mine", "TWO")
    project.remove("pages").write("pages", "other")
    project.edit("pipeline.toml", "false; cp words", "cp words").build().said("pages was not made by nbdag")

    project.edit("pipeline.toml", "mkdir -p pages/empty; cp words.txt pages/1.txt", "cp words.txt new/1.txt")
    project.edit("pipeline.toml", '["pages/"]', '["new/1.txt"]').build().ran("pages")
    project.remove("new", "words.txt").write("new", "mine")
    done = project.nbdag("restore")
    assert (done.returncode, done.stdout, project.read("new")) == (1, "words.txt\n", "mine")
    assert "warning: pages: its outputs cannot be put in their places: File exists" in done.stderr


def test_only_declared_outputs_reach_the_project(project: Project) -> None:
    """Of all outputs the others are named; one that was asked for is an error, and nothing is done."""
    project.edit("pipeline.toml", '"words.txt"]\n\n', '"letters.txt"]\n\n').remove("words.txt", "pages")
    project.edit("pipeline.toml", 'inputs = ["words.txt"]', 'inputs = ["in.txt"]')
    refused = project.nbdag("restore", "words")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no task of the pipeline declares words.txt as its output" in refused.stderr
    done = project.nbdag("restore")
    assert (done.returncode, done.stdout) == (0, "pages/\n")
    assert "words.txt is not restored: no task declares it now" in done.stderr
    assert not (project / "words.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["wrods"], 2, "did you mean `words`?"),
        (["--run", "nothing"], 5, "no run is named nothing"),
        (["--run", "latest~9"], 5, "3 are recorded"),
        (["--to", "pipeline.toml"], 2, "is not an empty folder"),
        (["--from", "strange://x"], 2, "no file system is known for strange://"),
        (["--from", "strange://me:word@h/x"], 2, "strange://...@h/x"),
        (["--to", "pipeline.toml/x"], 2, "pipeline.toml is not a folder"),
        (["--to", ""], 2, "the name of a folder is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(built: Project, arguments: list[str], code: int, said: str) -> None:
    done = built.nbdag("restore", *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


@pytest.mark.slow
def test_outputs_reach_a_machine_that_has_no_cache(built: Project, tmp_path: Path) -> None:
    """They were pushed beside the run; damaged ones are refused, and what stood there stays."""
    place, other = tmp_path / "place", Project(tmp_path / "other").pipeline(PIPELINE).write("in.txt", "two")
    run = runs(built)[0]
    assert built.nbdag("runs", "push", "--outputs", "--to", str(place)).stdout == f"{run}\n"
    assert other.nbdag("runs", "pull", "--from", str(place)).returncode == 0
    nowhere = other.nbdag("restore")
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert "words: the bytes of words.txt are in no cache that can be reached" in nowhere.stderr
    other.write("pipeline.toml", f'[cache]\nremote = "../place"\n{other.read("pipeline.toml")}')
    assert other.nbdag("restore").stdout == "words.txt\npages/\n"
    assert other.read("pages/1.txt") == "TWO"
    shutil.rmtree(other / ".nbdag/cache")
    for blob in (place / "outputs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o600)
            blob.write_bytes(b"XXX")
    other.write("words.txt", "mine")
    assert other.nbdag("restore").returncode == 1
    assert other.read("words.txt") == "mine"


@pytest.mark.slow
def test_a_secret_is_not_pushed_with_the_outputs(built: Project, tmp_path: Path) -> None:
    """An output that holds one is refused before it is sent."""
    done = built.nbdag("runs", "push", "--outputs", "--to", str(tmp_path / "p"), env={"API_TOKEN": "TWO"})
    assert done.returncode == 0, "too short to be searched"
    project = Project.copied(built.root, tmp_path / "project").edit("in.txt", "two", "correct horse battery")
    project.build().ran("words", "pages")
    secret = {"API_TOKEN": "CORRECT HORSE BATTERY"}
    done = project.nbdag("runs", "push", "--outputs", "--to", str(tmp_path / "q"), env=secret)
    assert (done.returncode, "words.txt holds the value of API_TOKEN" in done.stderr) == (3, True), done.stderr
    assert not [path for path in (tmp_path / "q").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_bundle_is_restored_without_a_project(built: Project, tmp_path: Path) -> None:
    """It holds the outputs if it is asked to."""
    bundle = str(tmp_path / "run.json")
    assert built.nbdag("export", "--bundle", bundle, "--outputs").returncode == 0
    (tmp_path / "empty").mkdir()
    done = Project(tmp_path / "empty").nbdag("restore", "words", "--run", bundle, "--to", "here")
    assert (done.returncode, done.stdout) == (0, "words.txt\n"), done.stderr
    assert (tmp_path / "empty/here/words.txt").read_text() == "TWO"
    assert [path.name for path in (tmp_path / "empty/here").iterdir()] == ["words.txt"]


@pytest.fixture(scope="module")
def bundle(built: Project) -> bytes:
    """Give a run with its outputs as one file."""
    assert built.nbdag("export", "--bundle", "run.json", "--outputs").returncode == 0
    return (built / "run.json").read_bytes()


def _path(path: str) -> Callable[[dict[str, Any]], None]:
    def change(output: dict[str, Any]) -> None:
        output["path"] = output["files"][0]["path"] = path

    return change


def _other(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(output: dict[str, Any]) -> None:
        output["files"][0][name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_path("../out.txt"), id="above"),
        pytest.param(_path("/tmp/out.txt"), id="absolute"),
        pytest.param(_path(".git/hooks/post-checkout"), id="git"),
        pytest.param(_path(".nbdag/cache/x"), id="nbdag"),
        pytest.param(_path("a/../../out.txt"), id="through"),
        pytest.param(_other("sha256", "../../../etc/passwd"), id="no digest"),
        pytest.param(_other("sha256", "0" * 64), id="other digest"),
        pytest.param(_other("xxh3", "0" * 32), id="other key digest"),
        pytest.param(_other("size", 1), id="other size"),
        pytest.param(_other("size", "many"), id="no size"),
        pytest.param(lambda output: output.update(files=[]), id="no file"),
        pytest.param(lambda output: output.update(digest="0" * 32), id="other listing"),
    ],
)
def test_a_hostile_bundle_writes_nothing(
    bundle: bytes, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """Whatever its record says, no file appears, neither in the folder nor beside it."""
    document = json.loads(bundle)
    for record in document["records"].values():
        if record["task"] == "words":
            change(record["outputs"][0])
    recorded = decode_bundle(json.dumps(document).encode(), "run.json")
    left = left_by(recorded, ["words"])
    supply = Supply(blobs=BlobStore(str(tmp_path / "cache")), recorded=recorded, max_size=1 << 20)
    done = restore_into(str(tmp_path / "to"), left, supply)
    assert (done.restored, list(done.lost)) == ([], ["words"])
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "cache" not in path.parts] == []


def test_what_cannot_be_restored_to_its_end_leaves_nothing(bundle: bytes, tmp_path: Path) -> None:
    """As with a full disk, or two tasks whose outputs cannot stand beside each other."""
    document = json.loads(bundle)
    for record in document["records"].values():
        if record["task"] == "pages":
            record["outputs"] = json.loads(json.dumps(record["outputs"]).replace("pages/", "words.txt/below/"))
    recorded = decode_bundle(json.dumps(document).encode(), "run.json")
    supply = Supply(blobs=BlobStore(str(tmp_path / "cache")), recorded=recorded, max_size=1 << 20)
    with pytest.raises((FileExistsError, NotADirectoryError)):
        restore_into(str(tmp_path / "to"), left_by(recorded, []), supply)
    assert list((tmp_path / "to").iterdir()) == []
