"""Builds with remote inputs: what runs, what is said, and when no server is asked."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.remote_inputs.servers import Server
from tests.support.project import Project

COPY = "import json, os; i = json.load(open(os.environ['NBDAG_INPUTS'])); open('out.txt', 'w').write({what})"


def pipeline(project: Project, declared: str, what: str = "open(i['sales']).read()") -> Project:
    command = json.dumps(["python", "-c", COPY.replace("{what}", what)])
    return project.pipeline(
        f"""
        [tasks.use]
        command = {command}
        inputs = {{ sales = {declared} }}
        outputs = ["out.txt"]

        [tasks.other]
        command = "echo > other.txt"
        outputs = ["other.txt"]
        """
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_a_remote_input_is_fetched_asked_again_and_kept(project: Project, server: Server) -> None:
    """A story: `status` asks nobody, the first build does, a build with nothing to do does not."""
    pipeline(project, json.dumps(server.url()))
    status = project.nbdag("status")
    assert (status.returncode, "will run  use" in status.stdout, server.asked()) == (0, True, [])
    project.build().ran("use", "other").said("downloaded 1 remote input, 7 bytes")
    assert project.read("out.txt") == "content"
    project.build().ran()
    project.build().ran()
    assert server.asked() == ["/sales.csv"]
    server.answer = lambda request: request.says(200, b"another")
    project.build().ran()
    done = project.build("--recheck").ran("use")
    assert done.reasons("use") == [f"input: {server.url()} changed"]
    assert len(server.asked()) == 1
    server.answer = lambda request: request.says(500)
    project.build("--recheck").ran().said("warning: the last copy is used")
    strict = project.build("--recheck", "--strict-remote")
    assert (
        strict.code,
        f"`{server.url()}` of task `use` cannot be fetched: 127.0.0.1 answers 500" in strict.err,
    ) == (
        2,
        True,
    ), strict.err


@pytest.mark.slow
def test_with_and_without_state_decide_the_same(project: Project, server: Server) -> None:
    """What was learned goes with the cache: a fresh checkout asks nobody, and runs nothing."""
    pipeline(project, json.dumps(server.url())).build().ran("use", "other")
    server.asked()
    shutil.rmtree(project / ".nbdag/state")
    project.build("--offline").ran()
    project.build().ran()
    assert server.asked() == []
    project.remove("out.txt").build().restored("use")


@pytest.mark.slow
def test_all_can_be_fetched_ahead(project: Project, server: Server) -> None:
    """And then a build needs no network; without it, only what needs it cannot be built."""
    pipeline(project, json.dumps(server.url()))
    offline = project.build("--offline")
    assert (offline.code, "--offline connects to no server" in offline.err) == (2, True)
    project.build("--offline", "-k").ended(1, ran=["other"], failed=["use"])
    fetched = project.nbdag("build", "--fetch-only")
    assert (fetched.returncode, fetched.stderr) == (0, "downloaded 1 remote input, 7 bytes\n")
    project.build("--offline").ran("use")
    assert server.asked() == ["/sales.csv"]


@pytest.mark.slow
def test_a_url_can_be_handed_through(project: Project, server: Server) -> None:
    """Nothing is fetched; its hash is its identity."""
    fixed = f"{server.url()}#sha256={hashlib.sha256(b'content').hexdigest()}"
    pipeline(project, f'{{ url = "{fixed}", fetch = false }}', "i['sales']").build().ran("use", "other")
    assert (project.read("out.txt"), server.asked()) == (server.url(), [])
    project.edit("pipeline.toml", fixed, f"{server.url()}#sha256={'0' * 64}").build().ran("use")


@pytest.mark.slow
def test_a_copy_that_a_task_writes_into_makes_no_result(project: Project, server: Server) -> None:
    """Neither of that task nor of the next one that reads it; the copy is put back before the next build's."""
    append = "import os, sys; os.chmod(sys.argv[1], 0o644); open(sys.argv[1], 'a').write('!'); open('a', 'w')"
    read = "import sys; open('b', 'w').write(open(sys.argv[1]).read())"
    place = ".nbdag/state/remote/$(ls .nbdag/state/remote)/sales.csv"
    project.write("append.py", append).write("read.py", read).pipeline(
        f"""
        [tasks.append]
        command = "python append.py {place}"
        inputs = ["{server.url()}"]
        outputs = ["a"]
        [tasks.read]
        command = "python read.py {place}"
        inputs = ["{server.url()}", "a"]
        outputs = ["b"]
        """
    )
    build = project.build().ran("append", "read")
    build.said(f"append: not recorded: input: {server.url()} changed while it ran")
    assert project.read("b") == "content!"
    project.edit("append.py", "write('!')", "write('')").build().ran("append", "read")
    assert project.read("b") == "content"


@pytest.mark.slow
def test_what_may_be_a_secret_in_a_url_is_recorded_and_published_nowhere(project: Project, server: Server) -> None:
    """Neither where the task gets the URL itself and prints it, nor in the words of who refuses it."""
    secret, sha256 = "hunter22hunter22", hashlib.sha256(b"content").hexdigest()
    fetched, given = (server.url(f"/{name}?sig={secret}") for name in ("fetched", "given"))
    project.pipeline(
        f"""
        [tasks.read]
        notebook = "read.py"
        inputs = {{ a = "{fetched}", b = {{ url = "{given}#sha256={sha256}", fetch = false }} }}
        """
    )
    project.notebook("read.py", "# parameters\ninputs = {}", "print(inputs['b'])\nassert 'hunter' in inputs['b']")
    project.build().ran("read")
    wrote = [project.nbdag(*words) for words in (("export", "--bundle", "b.json"), ("report", "-o", "site"))]
    assert [done.returncode for done in wrote] == [0, 0], wrote
    crate = project.nbdag("export", "--ro-crate", "crate")
    assert (crate.returncode, "pipeline.toml holds the value of ?sig" in crate.stderr) == (3, True)
    server.answer = lambda request: request.says(302, headers={"Location": f"ftp://h/{secret}"})
    refused = project.nbdag("build", "--recheck", "--strict-remote")
    assert secret not in refused.stderr
    holding = [path for path in project.root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert [path.name for path in holding] == ["pipeline.toml"]


@pytest.mark.slow
def test_a_sandbox_has_the_copy(project: Project, server: Server) -> None:
    """And no result depends on where it is: another checkout shares it."""
    pipeline(project, json.dumps(server.url()))
    project.edit("pipeline.toml", 'outputs = ["out.txt"]', 'outputs = ["out.txt"]\nsandbox = true')
    project.build().ran("use", "other")
    shutil.copytree(project / ".nbdag/cache", project.root.parent / "other/.nbdag/cache")
    other = Project(project.root.parent / "other").pipeline(project.read("pipeline.toml"))
    other.build().restored("use", "other")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('"https://u:p@h/x"', "input `https://h/x` holds a user name or a password"),
        ('"https://u:p@[::1/x"', "input `https://...` is not a URL"),
        ('{ url = "https://h/" }', "input `https://h/` does not name one file"),
        ('{ url = "data/x.csv" }', "input `data/x.csv` is not one URL"),
        ('{ path = "https://h/x" }', "input `https://h/x` is a URL"),
        ('{ url = "https://h/x", optional = true }', "input `sales` has both `url` and `optional`"),
        ('{ url = "https://h/x", fetch = false }', "has no hash or version"),
        ('{ path = "x", recheck = "1d" }', "input `sales` has `recheck`, and no `url`"),
        ('{ url = "https://h/x", recheck = "often" }', "must be a duration"),
        ('{ url = "https://h/x", max_size = "big" }', "must be a size"),
    ],
)
def test_a_complaint_names_the_line(project: Project, declared: str, said: str) -> None:
    """Each with what to do instead, and without the password."""
    done = pipeline(project, declared).nbdag("status")
    assert done.returncode == 2
    assert said in done.stderr, done.stderr
    assert "pipeline.toml:3" in done.stderr
    assert "u:p" not in done.stderr


@pytest.mark.parametrize("where", ["rows", "profile", "other pipeline file"])
def test_the_copy_of_a_remote_input_stays_as_long_as_anything_names_it(
    project: Project, server: Server, where: str
) -> None:
    """Also a task with instances from data, a profile, or another pipeline file of the folder."""
    url = json.dumps(server.url())
    task = f'[tasks.use]\ncommand = "true"\ninputs = [{url}]\n'
    plain = '[tasks.use]\ncommand = "true"\n'
    arguments: tuple[str, ...] = ()
    match where:
        case "rows":
            project.write("rows.csv", "a\n1\n")
            project.pipeline(task.replace('"true"', '"true {a}"') + 'instances = { rows = "rows.csv" }\n')
        case "profile":
            project.pipeline(f"{plain}[profiles.far.tasks.use]\ninputs = [{url}]\n")
            arguments = ("--profile", "far")
        case _:
            project.pipeline(plain).write("other.toml", task)
            arguments = ("-f", "other.toml")
    project.build(*arguments)
    copies = [*(project / ".nbdag/cache/remote").iterdir(), *(project / ".nbdag/state/remote").iterdir()]
    assert len(copies) == 2
    assert project.nbdag("cache", "gc").stderr == ""
    assert all(path.exists() for path in copies)
    project.pipeline(plain)
    (project / "other.toml").unlink(missing_ok=True)
    assert project.nbdag("cache", "gc").returncode == 0
    assert not any(path.exists() for path in copies)
