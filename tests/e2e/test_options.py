"""What the command line chooses: targets, what is forced, and how the cache is used."""

from __future__ import annotations

import pytest

from tests.support.project import Project


@pytest.fixture
def fan(project: Project) -> Project:
    """Make a source, two instances of a task that read it, and one that reads those."""
    return project.write("seed.txt", "1\n").pipeline(
        """
        [tasks.source]
        command = "cp seed.txt source.txt; echo . >> ../log"
        inputs = ["seed.txt"]
        outputs = ["source.txt"]

        [tasks.part]
        command = "cat source.txt > {name}.part; echo {name} >> {name}.part"
        matrix = { name = ["x", "y"] }
        inputs = ["source.txt"]
        outputs = ["{name}.part"]
        tags = ["parts"]

        [tasks.whole]
        command = "cat *.part > whole.txt"
        inputs = ["*.part"]
        outputs = ["whole.txt"]
        """
    )


def names(build) -> list[str]:
    return sorted(task["name"] for task in build.summary["tasks"])


def test_targets_are_names_tags_globs_and_paths_with_what_they_need(fan):
    """And no more than that; with --downstream what needs them, with --only nothing but them."""
    fan.build("y.part").ran("source", "part[name=y]")
    assert names(fan.build("part[name=x]").ran("part[name=x]")) == ["part[name=x]", "source"]
    assert names(fan.build("--tag", "parts").ran()) == ["part[name=x]", "part[name=y]", "source"]
    assert names(fan.build("part", "--exclude", "*x]").ran()) == ["part[name=y]", "source"]
    fan.build("--exclude", "part[name=x]").said("`part[name=x]` is excluded, and `whole` needs it\n")
    fan.build("source", "--downstream", "--exclude", "whole").ran()
    fan.build("source", "--downstream").ran("whole")
    assert fan.read("whole.txt") == "1\nx\n1\ny\n"

    fan.write("x.part", "by hand\n").write("seed.txt", "2\n")
    only = fan.build("--only", "whole").ran("whole")
    assert names(only) == ["whole"]
    assert fan.read("whole.txt") == "by hand\n1\ny\n"
    fan.build().ran("source", "part[name=x]", "part[name=y]", "whole").said("x.part was not made by nbdag")

    unknown = fan.build("wole")
    assert unknown.code == 2
    unknown.said("no task, tag or output is called `wole`").said("did you mean `whole`?")


def test_only_reads_what_the_last_results_logged(project):
    """What is left out answers `upstream()` as before, however stale it is; without a result it is an error."""
    project.write("seed.txt", "1").pipeline(
        """
        [tasks.a]
        function = "work:a"
        inputs = ["seed.txt"]

        [tasks.b]
        function = "work:b"
        after = ["a"]

        [tasks.c]
        function = "work:c"
        outputs = ["c.txt"]
        after = ["b"]
        """
    )
    project.write(
        "work.py",
        """
        import nbmake_dag as nbdag

        def a():
            nbdag.log_metric("seed", int(open("seed.txt").read()))

        def b():
            pass

        def c(outputs):
            open(outputs[0], "w").write(str(nbdag.upstream()["a"].metrics["seed"]))
        """,
    )
    nothing = project.build("--only", "c")
    assert nothing.code == 2
    nothing.said("error: `a` is needed, and has no result yet\n\nhint: build it first")

    project.build().ran("a", "b", "c")
    project.write("seed.txt", "2").edit("work.py", "str(nbdag", "repr(nbdag")
    project.build("--only", "c").ran("c")
    assert project.read("c.txt") == "1.0"
    project.build("--only", "a", "c").ran("a", "c")
    assert project.read("c.txt") == "2.0"
    project.build("a").ran()
    project.build("--only", "c").ran()


def test_force_runs_what_is_named_and_the_cache_is_used_as_asked(fan):
    """Equal outputs cut off below; `off` and `write` use no hit, `off` and `read` store nothing."""
    everything = ["part[name=x]", "part[name=y]", "source", "whole"]
    fan.build("--cache=read").ran(*everything)
    fan.build("--cache=off").ran(*everything)
    fan.build("--cache=write").ran(*everything)
    fan.build("--cache=read").ran()
    fan.build("--force", "part").ran("part[name=x]", "part[name=y]")
    fan.build("--force-all", "part[name=x]").ran("source", "part[name=x]")
    fan.build("--force").ran(*everything)
    planned = fan.write("seed.txt", "2\n").nbdag("build", "--dry-run")
    assert "will run  source        input: seed.txt changed" in planned.stdout
    assert planned.stdout.endswith("4 tasks: 1 will run, 3 may run, 0 to restore, 0 up to date\n")


def test_tasks_say_how_they_are_cached(project):
    """`cache = false` always runs and still cuts off; `store = false` runs again for a lost output; `max_age`."""
    project.pipeline(
        """
        [tasks.always]
        command = "echo same > always.txt"
        outputs = ["always.txt"]
        cache = false

        [tasks.below]
        command = "cp always.txt below.txt"
        inputs = ["always.txt"]
        outputs = ["below.txt"]

        [tasks.huge]
        command = "echo huge > huge.txt"
        outputs = ["huge.txt"]
        store = false

        [tasks.aging]
        command = "echo aging > aging.txt"
        outputs = ["aging.txt"]
        max_age = "1h"
        """
    )
    project.build().ran("aging", "always", "below", "huge")
    project.build().ran("always")
    assert project.remove("huge.txt", "below.txt").build().ran("always", "huge").reasons("huge") == [
        "output: huge.txt is gone, and not stored"
    ]
    project.build("below").ran("always")
    build = project.edit("pipeline.toml", '"1h"', '"1ms"').build().ran("aging", "always")
    assert build.reasons("aging") == ["expired: older than max_age"]


@pytest.mark.parametrize("option", ["--pdb", "--serve", "--summarize"])
def test_what_is_about_a_run_does_not_go_with_a_dry_one(fan, option):
    """It is refused, not ignored."""
    done = fan.nbdag("build", "--dry-run", option)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: `{option}` cannot be combined with `--dry-run`\n")


@pytest.mark.parametrize("option", ["--dry-run", "--force", "--force-all", "--checks"])
def test_what_is_about_running_does_not_go_with_accepting(fan, option):
    """Nothing runs there; least of all is a true result replaced by what was accepted."""
    done = fan.nbdag("build", "--accept", option)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: `{option}` cannot be combined with `--accept`\n")
