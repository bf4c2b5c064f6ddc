"""Scripts that tasks start by names which no reader can tell: counted where a run notes them, else reported."""

from __future__ import annotations

import zipfile

import pytest

from tests.support.project import Project


@pytest.mark.slow
def test_a_script_that_a_command_starts_by_a_computed_name_is_reported_each_time(project: Project) -> None:
    """By a build that runs, by one with nothing to do, and by `status`; not once an input covers it."""
    project.write("sub/part.sh", "echo part\n").pipeline(
        """
        [tasks.t]
        command = 'sh "$(ls sub/part.*)" > out.txt'
        outputs = ["out.txt"]

        [tasks.known]
        command = 'cd "$PLACE"; for name in part.sh; do sh $name; done; git log --format="$x" || true'
        env = { PLACE = "sub" }
        """
    )
    warning = "pipeline.toml:2: task `t` starts a script by a computed name (`sh $(ls sub/part.*)`)"
    for _ in range(3):
        build = project.build()
        build.said(warning)
        assert "task `known`" not in build.err
    assert warning in project.nbdag("status").stderr
    project.write("sub/part.sh", "echo edited\n").build().ran("known")
    project.edit("pipeline.toml", "outputs =", 'inputs = ["sub/part.sh"]\noutputs =')
    assert "computed name" not in project.build().ran("t").err
    project.write("sub/part.sh", "echo again\n").build().ran("t", "known")


def test_a_script_of_an_instance_that_only_a_run_can_know_is_reported_by_that_run(project: Project) -> None:
    """As soon as the instance is known, and once."""
    project.pipeline(
        """
        [tasks.list]
        command = 'echo n > list.csv; echo 1 >> list.csv'
        outputs = ["list.csv"]

        [tasks.each]
        instances = { rows = "list.csv" }
        command = 'sh "$(ls part-{n}.*)"'
        """
    )
    build = project.write("part-1.sh", "echo part\n").build().ran("list", 'each[n="1"]')
    assert build.err.count('pipeline.toml:7: task `each[n="1"]` starts a script by a computed name') == 1


def test_what_a_script_uses_that_was_started_by_a_computed_name_counts(project: Project) -> None:
    """The modules that it imports and the scripts that it starts: its own process notes nothing."""
    project.write("s.py", "import helper\nprint(helper.V)\n").write("helper.py", "V = 1\n")
    project.write("sub/outer.sh", "cd sub && sh inner.sh\n").write("sub/inner.sh", "echo inner\n")
    project.write("read.py", "N = 1\n")
    project.write("deep/enter.sh", "sh below.sh\n").write("deep/below.sh", "echo below\n")
    with zipfile.ZipFile(project / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "V = 1\n")
    project.write(
        "work.py",
        """
        import subprocess, sys

        def run():
            subprocess.run([sys.executable, chr(115) + ".py"], check=True)
            subprocess.run(["sh", "sub/oute" + chr(114) + ".sh"], check=True)
            subprocess.run(f"cd {chr(100)}eep && sh enter.sh", shell=True, check=True)
            exec(open(chr(114) + "ead.py").read())
            sys.path.append("li" + chr(98) + ".zip")
            import zipped
        """,
    )
    project.pipeline('[tasks.f]\nfunction = "work:run"\n')
    project.build().ran("f")
    project.build().ran()
    for path, text in (
        ("s.py", "import helper\nprint(helper.V, 2)\n"),
        ("helper.py", "V = 2\n"),
        ("sub/outer.sh", "cd sub && sh inner.sh;\n"),
        ("sub/inner.sh", "echo edited\n"),
        ("deep/below.sh", "echo edited\n"),
        ("read.py", "N = 2\n"),
    ):
        project.write(path, text).build().ran("f")
        project.build().ran()
    with zipfile.ZipFile(project / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "V = 2\n")
    project.build().ran("f")
    project.build().ran()
