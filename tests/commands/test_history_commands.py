"""Records of runs of other machines: pushed, pulled, fetched from GitHub, and shown on the site."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.buckets import bucket_called
from tests.support.github import FakeGitHub, serving, zipped
from tests.support.project import Project

PIPELINE = """
    [tasks.say]
    command = ["sh", "-c", "echo $WORD; cp in.txt out.txt"]
    inputs = ["in.txt"]
    outputs = ["out.txt"]
    secrets = ["WORD"]
"""
SUSPECT = {"WORD": "correct horse battery"}
"""A value that no task declares as its secret: only the name of a variable makes it one."""


def machine(root: Path) -> Project:
    return Project(root).pipeline(PIPELINE).write("in.txt", "x")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build twice: two runs, the second of hits."""
    project = machine(tmp_path_factory.mktemp("history") / "built")
    project.build(env={"WORD": "harmless"}).ran("say")
    project.build(env={"WORD": "harmless"}).ran()
    return project


def ids(project: Project) -> list[str]:
    return [run["id"] for run in json.loads(project.nbdag("runs", "--json").stdout)["runs"]]


def rows(project: Project) -> list[str]:
    """Give the runs that the site of a project shows."""
    script = project.read(".nbdag/site/data/index.js")
    content = script.removeprefix("nbdag.load('index','").rstrip().removesuffix("')").replace("\\\\", "\\")
    return sorted(json.loads(content)["rows"]["id"])


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the URL of an empty place that two machines reach."""
    if request.param == "folder":
        yield (tmp_path / "shared").as_uri()
        return
    with bucket_called("history") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield "s3://history/digits"


def test_runs_reach_another_machine(built: Project, tmp_path: Path, place: str) -> None:
    """What was pushed once is not pushed again; what was pulled is on the site, and can be named."""
    url, other = place, machine(tmp_path / "other")
    both = ids(built)
    assert built.nbdag("runs", "push", *both, "--to", url).stdout.split() == both
    assert built.nbdag("runs", "push", "--to", url).stderr == "pushed 0, 1 were there\n"
    assert other.nbdag("runs", "pull", "--from", url).stdout.split() == sorted(both)
    assert other.nbdag("runs", "pull", "--from", url).stderr == "pulled 0 runs; 2 were already here\n"
    assert (other.nbdag("report").returncode, rows(other)) == (0, sorted(both))
    assert other.nbdag("show", both[1], "say").stdout == built.nbdag("show", both[1], "say").stdout


def test_a_pulled_run_is_found_like_an_own_one(tmp_path: Path) -> None:
    """It is listed and goes by a prefix, `latest` or a branch; of own and pulled ones, the own ones come first."""
    url, built = str(tmp_path / "shared"), machine(tmp_path / "built").commit()
    built.build(env={"WORD": "harmless"}).ran("say")
    assert built.nbdag("runs", "push", "--to", url).returncode == 0
    other = machine(tmp_path / "other")
    other.nbdag("runs", "pull", "--from", url)
    (pulled,) = ids(other)
    assert [pulled] == ids(built)
    for ref in (pulled[:-2], "latest", "main"):
        assert other.nbdag("show", ref).stdout.startswith(f"run {pulled} ")
    assert "ingredients of its result" in other.nbdag("explain", "say", "--against", "main").stdout
    other.build(env={"WORD": "harmless"}).ran("say")
    own, _ = ids(other)
    assert other.nbdag("diff", "main", "latest").stdout.startswith(f"{pulled} → {own}\n")
    assert other.nbdag("show", "latest").stdout.startswith(f"run {own} ")
    (other / f".nbdag/history/pulled/{pulled}.json.gz").write_bytes(b"damaged")
    assert ids(other) == [own]
    assert other.nbdag("runs", "pull", "--from", url).stdout.split() == [pulled]
    assert sorted(ids(other)) == sorted([own, pulled])


def test_the_place_is_that_of_the_shared_cache(built: Project, tmp_path: Path) -> None:
    """`[cache] remote` says where, and without it an option must."""
    nowhere = machine(tmp_path / "nowhere").nbdag("runs", "pull")
    assert (nowhere.returncode, nowhere.stderr) == (
        2,
        "error: no shared place is configured\n\nhint: name one with --from, or with [cache] remote\n",
    )
    shutil.copytree(built / ".nbdag", tmp_path / "configured/.nbdag")
    configured = machine(tmp_path / "configured").write(
        "pipeline.toml", f'[cache]\nremote = "../shared"\n{(built / "pipeline.toml").read_text()}'
    )
    assert built.nbdag("runs", "push", "-C", str(configured.root)).stderr.endswith("pushed 1, 0 were there\n")
    assert [path.name for path in (tmp_path / "shared/runs").iterdir()] == [f"{ids(built)[0]}.json.gz"]


def test_runs_of_any_folder_are_shown(built: Project, tmp_path: Path) -> None:
    """Run folders, bundles, and URLs of either; what is here already is not taken from there."""
    project = machine(tmp_path / "project")
    first, second = ids(built)
    bundle = str(tmp_path / "bundles" / f"{second}.json")
    (tmp_path / "bundles").mkdir()
    built.nbdag("export", second, "--bundle", bundle)
    shutil.copytree(built / ".nbdag/runs" / first, tmp_path / "folders" / first)
    places = [str(tmp_path / "bundles"), (tmp_path / "folders").as_uri(), bundle]
    assert project.nbdag("report", *(f"--runs={place}" for place in places)).returncode == 0
    assert rows(project) == sorted([first, second])


def test_an_unknown_kind_of_place_is_one_error(built: Project) -> None:
    """It says what is missing."""
    for url in ("nosuch://bucket/x", "file:///dev/null/x"):
        done = built.nbdag("runs", "push", "--to", url)
        assert (done.returncode in (2, 3), done.stderr.startswith(f"error: {url} ")) == (True, True), done.stderr


@pytest.mark.parametrize(
    "command", [("export", "--bundle=../out.json"), ("export", "-o../out"), ("runs", "push", "--to=../out")]
)
def test_a_run_that_holds_a_secret_stays_here(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The name of the secret, which was declared too late, is said, and nothing is written."""
    project = machine(tmp_path / "project").edit("pipeline.toml", 'secrets = ["WORD"]', "")
    project.build(env=SUSPECT).ran("say")
    declared = project.edit("pipeline.toml", "command =", 'secrets = ["WORD"]\ncommand =')
    done = declared.nbdag(*command, env=SUSPECT)
    assert done.returncode == 3
    assert "holds the value of WORD\n" in done.stderr
    assert not [
        path
        for path in tmp_path.glob("out*")
        if path.is_file() or any(below.is_file() for below in path.rglob("*"))
    ]


def test_records_come_from_build_artefacts(built: Project, tmp_path: Path) -> None:
    """The environment says where the API is and who asks; the runs are shown with those of this checkout."""
    project = machine(tmp_path / "project")
    project.build(env={"WORD": "harmless"}).ran("say")
    both = ids(built)
    with serving(FakeGitHub()) as github:
        for number, run_id in enumerate(both):
            built.nbdag("export", run_id, "--bundle", str(tmp_path / "b.json"))
            github.add(number, zipped(run__json=(tmp_path / "b.json").read_bytes()), of_fork=number == 1)
        env = {"GITHUB_API_URL": github.base, "GITHUB_TOKEN": "", "GH_TOKEN": "a token"}
        done = project.nbdag("report", "--from-github=ada/digits", env=env)
        assert (done.returncode, rows(project)) == (0, sorted([*ids(project), both[0]])), done.stderr
        assert done.stderr.startswith("ada/digits: 1 new, 0 expired, 1 of forks\n2 runs, 2 new, ")
        assert {token for where, _, token in github.seen if where == "api"} == {"Bearer a token"}
        assert project.nbdag("report", "--from-github=ada/digits", "--forks", env=env).returncode == 0
    assert rows(project) == sorted([*ids(project), *both])


@pytest.mark.parametrize("name", ["ada", "../..", "ada/..", "ada/digits/x", "https://github.com/ada/digits"])
def test_a_repository_has_an_owner_and_a_name(built: Project, name: str) -> None:
    """Anything else is refused before it is part of a path or an address."""
    done = built.nbdag("report", f"--from-github={name}")
    assert (done.returncode, done.stderr) == (2, f"error: {name} is not a repository\n\nhint: write OWNER/NAME\n")


def test_a_pulled_run_is_what_its_name_says(built: Project, tmp_path: Path) -> None:
    """A bundle under another run's name, or that is damaged, is refused; the others are pulled."""
    url = str(tmp_path / "shared")
    both = ids(built)
    built.nbdag("runs", "push", *both, "--to", url)
    shared = tmp_path / "shared/runs"
    shutil.copy(shared / f"{both[0]}.json.gz", shared / "another.json.gz")
    (shared / f"{both[1]}.json.gz").write_bytes(gzip.compress(b"{}"))
    project = machine(tmp_path / "project")
    done = project.nbdag("runs", "pull", "--from", url)
    assert (done.returncode, done.stdout.split()) == (0, [both[0]])
    assert f"warning: refused another holds run {both[0]}" in done.stderr
    assert f"warning: refused {both[1]} is not a bundle" in done.stderr


def test_content_that_is_not_what_it_should_be_costs_its_run_alone(built: Project, tmp_path: Path) -> None:
    """A notebook or a log of another shape is said, and the site is written without that run."""
    first, second = ids(built)
    path = tmp_path / "evil.json"
    built.nbdag("export", second, "--bundle", str(path))
    evil = path.read_text().replace(second, "evil").replace('\\"say\\"', '\\"a\\"')
    document = json.loads(evil)
    for record in document["records"].values():
        record["ingredients"] = [["one"]]
    path.write_text(json.dumps(document))
    project = machine(tmp_path / "project")
    done = project.nbdag("report", f"--runs={path}", f"--runs={built.root}")
    assert (done.returncode, rows(project)) == (0, sorted([first, second])), done.stderr
    assert "warning: the site is without evil: ValueError: " in done.stderr


def test_a_run_that_cannot_be_read_is_one_error(built: Project, tmp_path: Path) -> None:
    """Where a damaged file lost what it is about; the list goes on with what its last line has."""
    project = Project.copied(built.root, tmp_path / "copy")
    newest = ids(project)[0]
    trace = project / f".nbdag/runs/{newest}/trace.otlp.jsonl"
    trace.write_bytes(trace.read_bytes().replace(b'"attributes"', b'"att\xf2ibutes"'))
    (trace.parent / "events.jsonl").unlink()
    shown = project.nbdag("show", newest)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"nothing of run {newest} can be read: its files are damaged" in shown.stderr
    assert project.nbdag("runs").returncode == 0
    assert project.nbdag("build").returncode == 0
