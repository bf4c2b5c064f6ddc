"""A secret goes through every channel of a build, and no byte of it is left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.project import Project

SECRET = "canary-7c1f'9d\"e+0b/3a"
ENV = {"API_PW": SECRET, "GITLAB_CI": "true"}
LEAKS = """
import os
import sys
import nbmake_dag as nbdag
pw = os.environ["API_PW"]
print("with", pw)
sys.stdout.write(pw[:9]); sys.stdout.flush(); sys.stdout.write(pw[9:] + "\\n")
print(repr(pw), file=sys.stderr)
nbdag.log_param("pw", pw)
nbdag.set_tag("url", f"https://user:{pw}@example.org")
"""


def _leaking(project: Project, end: str) -> Project:
    """Make a task of each kind that tells its secret in every way, and ends as the last cell says."""
    project.pipeline(
        f"""
        [defaults]
        secrets = ["API_PW"]

        [tasks.notebook]
        notebook = "leak.py"

        [tasks.function]
        function = "steps:leak"

        [tasks.command]
        command = {json.dumps([sys.executable, "leaking.py"])}
        """
    )
    project.notebook("leak.py", LEAKS, "pw", end)
    body = "".join(f"    {line}\n" for line in f"{LEAKS}\n{end}".strip().splitlines())
    project.write("steps.py", f"def leak():\n{body}")
    return project.write("leaking.py", f"{LEAKS}\n{end}\n")


def _holding(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def _spills(project: Project, shown: str) -> list[str]:
    """Return where the secret is found: files below .nbdag, and what the terminal showed."""
    return [*map(str, _holding(project / ".nbdag")), *(["terminal"] if SECRET in shown else [])]


@pytest.mark.parametrize("end", ["1", "raise RuntimeError(f'cannot log in with {pw}')"])
def test_no_byte_of_a_secret_is_recorded_or_shown(project: Project, end: str) -> None:
    """Prints, a print in two writes, logged values, results of cells, exceptions; of all kinds of tasks."""
    build = _leaking(project, end).nbdag("build", "-k", "--output=stream", env=ENV)
    assert build.returncode == (0 if end == "1" else 1)
    assert "[secret API_PW]" in build.stderr
    assert _spills(project, build.stderr) == []
    assert project.nbdag("report", "-o", "site").returncode == 0
    assert _holding(project / "site") == []


def test_what_upstream_reads_is_redacted_on_a_hit_as_on_a_miss(project: Project) -> None:
    """The task below sees what was recorded."""
    project.pipeline(
        """
        [tasks.a]
        function = "steps:a"
        secrets = ["API_PW"]

        [tasks.b]
        function = "steps:b"
        after = ["a"]
        outputs = ["b.txt"]
        """
    )
    project.write(
        "steps.py",
        """
        import os
        import nbmake_dag as nbdag

        def a():
            nbdag.log_param("pw", os.environ["API_PW"])

        def b():
            open("b.txt", "w").write(nbdag.upstream()["a"].params["pw"])
        """,
    )
    project.build(env=ENV).ran("a", "b")
    assert project.read("b.txt") == "[secret API_PW]"
    project.build("-B", "b", env=ENV).ran("b")
    assert project.read("b.txt") == "[secret API_PW]"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("open('out.txt', 'w').write('x' + os.environ['API_PW'])", "out.txt holds the value of API_PW"),
        ("nbdag.log_text(os.environ['API_PW'], 'note.txt')", "artifact note.txt holds the value of API_PW"),
    ],
)
def test_a_file_that_holds_a_secret_is_stored_nowhere(project: Project, code: str, said: str) -> None:
    """It is not rewritten; there is no blob and no record, and it is reported each time."""
    project.pipeline('[tasks.a]\nfunction = "steps:a"\nsecrets = ["API_PW"]\noutputs = ["out.txt"]\n')
    body = f"import os\nimport nbmake_dag as nbdag\n\ndef a():\n    open('out.txt', 'w').close()\n    {code}\n"
    project.write("steps.py", body)
    for _ in range(2):
        build = project.build(env=ENV).ran("a")
        assert f"not recorded: {said}" in build.err
        assert _spills(project, build.err) == []


@pytest.mark.parametrize("env", [{}, {"API_PW": ""}])
def test_what_ran_without_its_secret_is_not_recorded(project: Project, env: dict[str, str]) -> None:
    """Empty, as GitHub has a secret that is not there, counts as not set; what was made with it is restored."""
    project.pipeline(
        '[tasks.a]\ncommand = "echo ${API_PW:+with} > a.txt"\noutputs = ["a.txt"]\nsecrets = ["API_PW"]\n'
    )
    project.build(env=env).ran("a").said("warning: a: not recorded: `API_PW`, a declared secret, is not set")
    project.build(env=ENV).ran("a")
    assert project.read("a.txt") == "with\n"
    project.remove("a.txt").build(env=env).restored("a")
    failed = project.write("pipeline.toml", '[tasks.a]\ncommand = "false"\nsecrets = ["API_PW"]\n').build(env=env)
    assert "warning: a: `API_PW`, a declared secret, is not set" in failed.err


def test_a_file_in_the_way_that_holds_a_secret_is_neither_overwritten_nor_stored(project: Project) -> None:
    """It may be the user's, and no blob may hold it: the task fails, and says what to do."""
    project.pipeline('[tasks.a]\ncommand = "echo x > out.txt"\noutputs = ["out.txt"]\nsecrets = ["API_PW"]\n')
    project.write("out.txt", f"mine {SECRET}")
    build = project.build(env=ENV)
    assert "out.txt holds the value of API_PW, and is not as nbdag left it; move it away" in build.err
    assert build.code == 1
    assert project.read("out.txt") == f"mine {SECRET}"
    for arguments in (["clean"], ["build", "--accept"]):
        done = project.nbdag(*arguments, env=ENV)
        assert done.returncode == 2
        assert "out.txt holds the value of API_PW" in done.stderr
    assert project.read("out.txt") == f"mine {SECRET}"
    assert _spills(project, build.err) == []
    project.remove("out.txt").build(env=ENV).ran("a")


def test_partial_outputs_that_hold_a_secret_are_not_kept(project: Project) -> None:
    """Those that hold none are."""
    project.pipeline(
        """
        [tasks.a]
        command = 'mkdir out; echo "$API_PW" > out/x.txt; echo y > out/y.txt; echo "$API_PW" > z.txt; false'
        outputs = ["out/", "z.txt"]
        secrets = ["API_PW"]
        """
    )
    build = project.build(env=ENV)
    assert build.code == 1
    assert "what it left is not kept: a part of out holds the value of API_PW" in build.err
    assert "what it left is not kept: z.txt holds the value of API_PW" in build.err
    assert [path.name for path in (project / ".nbdag/failed").rglob("*.txt")] == ["y.txt"]
    assert _spills(project, build.err) == []


def test_a_task_that_declares_no_secret_shows_none(project: Project) -> None:
    """Variables reach all tasks, and files that one task wrote are read by others."""
    project.pipeline(
        """
        [tasks.a]
        command = "true"
        secrets = ["API_PW"]

        [tasks.b]
        command = 'echo "$API_PW" | tee b.txt'
        outputs = ["b.txt"]
        """
    )
    build = project.build("--output=stream", env=ENV).ran("a", "b")
    assert "not recorded: b.txt holds the value of API_PW" in build.err
    assert _spills(project, build.err) == []


def test_no_copy_is_made_of_a_notebook_that_holds_a_secret(project: Project) -> None:
    """Neither by a build nor to be opened."""
    project.pipeline('[tasks.a]\nnotebook = "a.py"\nsecrets = ["API_PW"]\n')
    project.notebook("a.py", f"x = {SECRET!r}")
    build = project.build(env=ENV).ran("a")
    assert "a.py holds the value of API_PW, and is not kept" in build.err
    opened = project.nbdag("open", "a", "--print-path", env=ENV)
    assert (opened.returncode, "a.py holds the value of the secret `API_PW`" in opened.stderr) == (2, True)
    assert _spills(project, build.err) == []


def test_what_an_editor_shows_is_redacted_when_it_ends(project: Project) -> None:
    """The copy stays in .nbdag."""
    project.pipeline('[tasks.a]\nnotebook = "a.py"\nsecrets = ["API_PW"]\n').notebook("a.py", "x = 1")
    opened = Path(project.nbdag("open", "a", "--print-path", env=ENV).stdout.strip())
    shown = json.loads(opened.read_text())
    shown["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": f"is {SECRET}"}]
    opened.write_text(json.dumps(shown))
    assert project.nbdag("open", "a", "--save-back", env=ENV).returncode == 0
    assert "is [secret API_PW]" in opened.read_text()
    assert _spills(project, "") == []
    assert "secret" not in project.read("a.py")


def test_instances_with_a_secret_are_refused_before_they_have_names(project: Project) -> None:
    """When the pipeline is read, and when a task has made what they come from."""
    project.pipeline(
        """
        [tasks.list]
        command = "(echo n; cat names.txt) > list.csv"
        inputs = ["names.txt"]
        outputs = ["list.csv"]

        [tasks.each]
        command = "echo {n}"
        instances = { rows = "list.csv", types = { n = "int" } }
        secrets = ["API_PW"]
        """
    )
    secret = "canary-7c1f-d9e0b3a1"
    project.write("names.txt", f"{secret}\n")
    found = project.build(env={"API_PW": secret})
    found.ended(1, ran=["list"], failed=["each[...]"]).said("which is not a whole number")
    found = project.edit("pipeline.toml", ', types = { n = "int" }', "").build(env={"API_PW": secret})
    said = "an instance of `each` has the value of the secret `API_PW`, and its name is recorded"
    found.ended(1, ran=["list"], failed=["each[...]"]).said(said)
    left = [
        path for path in (project / ".nbdag").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert left == []
    assert secret not in found.err
