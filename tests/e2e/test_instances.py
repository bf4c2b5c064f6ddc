"""Instances from rows and files of data: what joins or leaves is one instance, and nothing else runs."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.project import Project, await_true
from tests.support.watching import Watching

ROWS = """
    [tasks.fit]
    command = "echo {name} {size} > fits/{name}.txt"
    instances = { rows = "data/samples.csv", types = { size = "int" } }
    outputs = ["fits/{name}.txt"]

    [tasks.clean]
    command = "cp raw/{city}-{year}.csv clean/{city}-{year}.csv"
    instances = { files = "raw/{city}-{year}.csv" }
    inputs = ["raw/{city}-{year}.csv"]
    outputs = ["clean/{city}-{year}.csv"]

    [tasks.all]
    command = "cat clean/* fits/* > all.txt || true"
    inputs = ["clean/*.csv", "fits/*.txt"]
    outputs = ["all.txt"]
"""
SAMPLES = "name,size\nb,2\na,1\n"


@pytest.fixture
def project(project: Project) -> Project:
    project.write("data/samples.csv", SAMPLES).write("raw/oslo-2024.csv", "o\n").write("raw/new york-7.csv", "n\n")
    return project.pipeline(ROWS)


FITS = ["fit[name=a,size=1]", "fit[name=b,size=2]"]
CLEANS = ['clean[city="new york",year=7]', "clean[city=oslo,year=2024]"]


def test_one_that_joins_or_leaves_runs_or_goes_alone(project: Project) -> None:
    """Rows and files grow, shrink and change their order; going back runs nothing."""
    project.build().ran(*FITS, *CLEANS, "all")
    assert project.read("all.txt") == "n\no\na 1\nb 2\n"
    project.build().ran()
    project.write("data/samples.csv", "size,name\n1,a\n2,b\n3,c\n").build().ran("fit[name=c,size=3]", "all")
    project.write("raw/bergen-1.csv", "b\n").build().ran("clean[city=bergen,year=1]", "all")
    project.write("data/samples.csv", "name,size\nc,3\na,1\n").remove("raw/oslo-2024.csv").build().ran("all")
    assert project.read("all.txt") == "b\nn\na 1\nc 3\n"
    project.write("data/samples.csv", SAMPLES).write("raw/oslo-2024.csv", "o\n").remove("raw/bergen-1.csv")
    project.build().ran().restored(FITS[1], CLEANS[1], "all")
    assert project.read("all.txt") == "n\no\na 1\nb 2\n"
    project.nbdag("clean", "--state")
    project.build().ran()


def test_the_list_can_move_into_a_file_and_nothing_runs(project: Project) -> None:
    """A key knows values, not where they were written."""
    project.build("fit").ran(*FITS)
    rows = 'rows = [{ name = "a", size = 1 }, { name = "b", size = 2 }] }'
    text = project.read("pipeline.toml").replace('rows = "data/samples.csv", types = { size = "int" } }', rows)
    project.remove("data/samples.csv").write("pipeline.toml", text).build("fit").ran()


def test_a_file_that_is_wrong_costs_nothing(project: Project) -> None:
    """One error at the line that names the file, exit code 2, and all is as it was."""
    project.build()
    project.write("data/samples.csv", "name,size\na,1\nb,two\n")
    found = project.build().ended(2)
    found.said("pipeline.toml:3: `data/samples.csv` has `two` for `size` in line 3, which is not a whole number")
    project.write("data/samples.csv", SAMPLES).build().ran()


def test_a_task_may_have_no_instances(project: Project) -> None:
    """It is said; as a target it is an error, and what it left is moved away."""
    project.build()
    project.remove("raw").write("data/samples.csv", "name,size\n")
    project.build().ran("all").said("task `clean` has no instances: no file matches `raw/{city}-{year}.csv`")
    assert project.read("all.txt") == ""
    project.build("fit").ended(2).said("task `fit` has no instances")


def test_affected_are_those_whose_row_or_file_joined(project: Project) -> None:
    """Rows and files are compared with those of the branch that was left."""
    project.write(".gitignore", "/.nbdag/\n/clean/\n/fits/\n/all.txt\n").commit()
    project.git("switch", "-q", "-c", "work")
    project.write("data/samples.csv", f"{SAMPLES}c,3\n").write("raw/rome-1.csv", "r\n").commit()
    listed = project.nbdag("build", "-n", "--affected=main").stderr
    assert "3 of 7 tasks are affected since main" in listed
    project.build("--affected=main").said("3 of 7 tasks are affected")


def test_instances_are_completed(project: Project) -> None:
    """As the data has them, also while it is empty or wrong."""
    words = ("completions", "--answer", "--", "build", "fit")
    assert project.nbdag(*words).stdout.splitlines() == ["fit", *reversed(FITS)]
    assert project.write("data/samples.csv", "?").nbdag(*words).stdout.splitlines() == ["fit"]
    project.remove("data/samples.csv")
    os.mkfifo(project / "data/samples.csv")
    assert project.nbdag(*words).stdout.splitlines() == ["fit"]
    said = "pipeline.toml:3: `data/samples.csv`, whose rows are instances, cannot be read: not a file"
    project.build().ended(2).said(said)


GATHER = """
    [tasks.fit]
    command = "echo {a} > fits/{a}.txt"
    instances = { rows = "rows.csv" }
    outputs = ["fits/{a}.txt"]

    [tasks.function]
    function = "work:summary"
    inputs = { fits = { task = "fit" } }
    outputs = ["function.txt"]

    [tasks.notebook]
    notebook = "notebooks/summary.py"
    workdir = "notebooks"
    inputs = { fits = { task = "fit" } }
    outputs = ["notebook.txt"]

    [tasks.command]
    command = "cat $NBDAG_INPUTS > command.json"
    inputs = { fits = { task = "fit" } }
    outputs = ["command.json"]
"""
SUMMARY = """
    def summary(inputs):
        open("function.txt", "w").write(" ".join(f"{fit['path']}={fit['params']['a']}" for fit in inputs["fits"]))
"""


def test_what_is_gathered_reaches_every_kind_of_work(project: Project) -> None:
    """In the order of the rows; a row that joins, leaves or moves is a reason, one that stays is none."""
    project.pipeline(GATHER).write("work.py", SUMMARY).write("rows.csv", "a\nb\na\n")
    project.notebook(
        "notebooks/summary.py", "# parameters\ninputs = {}", "open('../notebook.txt', 'w').write(str(inputs))"
    )
    summaries = ["command", "function", "notebook"]
    project.build().ran("fit[a=a]", "fit[a=b]", *summaries)
    assert project.read("function.txt") == "fits/b.txt=b fits/a.txt=a"
    assert json.loads(project.read("command.json")) == {
        "fits": [{"path": f"fits/{name}.txt", "params": {"a": name}} for name in "ba"]
    }
    assert project.read("notebook.txt") == str(
        {"fits": [{"path": f"../fits/{name}.txt", "params": {"a": name}} for name in "ba"]}
    )
    project.build().ran()
    moved = project.write("rows.csv", "a\na\nb\n").build().ran(*summaries)
    assert moved.reasons("function") == ["gathered: fits changed"]
    project.write("rows.csv", "a\na\nb\nc\n").build().ran("fit[a=c]", *summaries)
    project.write("rows.csv", "a\nb\na\n").build().ran().restored(*summaries)


SPLIT = """
    [tasks.split]
    command = "mkdir -p raw && for c in $(cat cities.txt); do echo $c > raw/$c.txt; done"
    inputs = ["cities.txt"]
    outputs = ["raw/"]

    [tasks.clean]
    command = "cp raw/{city}.txt clean/{city}.txt"
    instances = { files = "raw/{city}.txt" }
    inputs = ["raw/{city}.txt"]
    outputs = ["clean/{city}.txt"]

    [tasks.list]
    command = "(echo n; cat clean/*.txt) > list.csv"
    inputs = ["clean/*.txt"]
    outputs = ["list.csv"]

    [tasks.letter]
    command = "echo dear {n} > letters/{n}.txt"
    instances = { rows = "list.csv" }
    outputs = ["letters/{n}.txt"]

    [tasks.post]
    command = "cat letters/*.txt > post.txt || true"
    inputs = { letters = { task = "letter" } }
    outputs = ["post.txt"]
"""
STALE = """\
will run  split        input: cities.txt changed
may run   clean[...]   known when split has run
may run   list         depends on clean[...]
may run   letter[...]  known when list has run
may run   post         depends on letter[...]
5 tasks: 1 will run, 4 may run, 0 to restore, 0 up to date
"""


def test_what_a_task_makes_gives_instances_in_the_same_build(project: Project) -> None:
    """They grow, shrink, stay the same and come back, with what they made; one family comes from the other."""
    project.pipeline(SPLIT).write("cities.txt", "oslo\nbergen\n")
    first = [
        "split",
        "clean[city=bergen]",
        "clean[city=oslo]",
        "list",
        "letter[n=bergen]",
        "letter[n=oslo]",
        "post",
    ]
    project.build().ran(*first)
    assert project.read("post.txt") == "dear bergen\ndear oslo\n"
    project.build().ran()
    project.write("cities.txt", "oslo\nbergen\nmoss\n")
    assert project.nbdag("status").stdout == STALE
    said = "may run   clean[...]  known when split has run\n"
    assert project.nbdag("explain", "clean").stdout.startswith(said)
    project.build().ran("split", "clean[city=moss]", "list", "letter[n=moss]", "post")
    project.write("cities.txt", "moss\noslo\nbergen\n").build().ran("split")
    project.write("cities.txt", "oslo\n").build().ran("split", "list", "post").said("moved away: clean/bergen.txt")
    assert project.read("post.txt") == "dear oslo\n"
    assert sorted(os.listdir(project / "letters")) == ["oslo.txt"]
    project.write("cities.txt", "oslo\nbergen\n").remove("raw", "list.csv")
    project.build().ran().restored("split", "clean[city=bergen]", "list", "letter[n=bergen]", "post")
    assert project.read("post.txt") == "dear bergen\ndear oslo\n"
    project.build().ran()


@pytest.mark.slow
def test_an_instance_may_be_asked_for_before_it_is_known(project: Project) -> None:
    """What makes it known runs; one that then does not exist is an error of use, and so is every other fault."""
    project.pipeline(SPLIT).write("cities.txt", "oslo\nbergen\n")
    project.build("clean[city=oslo]").ran("split", "clean[city=oslo]")
    project.write("cities.txt", "oslo\n")
    project.build("clean[city=rome]").ended(2, ran=["split"], failed=["clean[...]"])
    assert "clean[city=oslo]" in project.nbdag("completions", "--answer", "--", "build", "clean").stdout
    project.write("cities.txt", "oslo\nmoss\n")
    said = "may run   clean[city=oslo]  depends on split\n"
    assert project.nbdag("explain", "clean[city=oslo]").stdout.startswith(said)
    project.edit("pipeline.toml", "echo n;", "echo n; echo oslo;").build()
    failed = project.build("-k").said("`list.csv` has the same values in line 2 and in line 4")
    assert (failed.code, failed.having("failed"), failed.having("skipped")) == (1, ["letter[...]"], ["post"])
    found = project.nbdag("build", "--accept", "list", "letter", "post")
    assert (found.returncode, "nobody knows the instances of `letter` yet" in found.stderr) == (2, True)


def test_a_graph_says_what_instances_wait_for(project: Project) -> None:
    """Until they are known; then each has a box of its own."""
    project.pipeline(SPLIT).write("cities.txt", "oslo\n")
    drawn = project.nbdag("graph").stdout
    assert '[["clean[...]<br>known when split has run"]]' in drawn
    assert '[["letter[...]<br>known when list has run"]]' in drawn
    project.build()
    drawn = project.nbdag("graph").stdout
    assert "known when" not in drawn
    assert "clean[city=oslo]" in drawn


@pytest.mark.slow
def test_instances_join_and_leave_while_one_watches(project: Project) -> None:
    """A save of what the list comes from is followed by what that changes."""
    project.pipeline(SPLIT).write("cities.txt", "oslo\n")
    with Watching(project) as watching:
        watching.awaits("post.txt", "dear oslo\n")
        for cities in ("oslo\nmoss\n", "moss\n", "bergen\noslo\n"):
            project.save("cities.txt", cities)
            watching.awaits("post.txt", "".join(f"dear {city}\n" for city in sorted(cities.split())))
            await_true(watching.rests, 60, "the last build goes on")
        assert sorted(os.listdir(project / "letters")) == ["bergen.txt", "oslo.txt"]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_build_killed_while_families_become_known_is_finished_by_the_next(project: Project) -> None:
    """At the moments at which something new is there, as after a list that grew and shrank."""
    project.pipeline(SPLIT).write("cities.txt", "oslo\nbergen\n").build()
    for number, there in enumerate(("raw/moss{}.txt", "clean/moss{}.txt", "letters/moss{}.txt", ".nbdag/runs")):
        project.write("cities.txt", f"bergen\nmoss{number}\n")
        build = project.start("build")
        place = project / there.format(number)
        await_true(lambda place=place: place.exists(), 60, f"{place} was not made")  # type: ignore[misc]
        build.kill()
        build.wait()
        project.leaves_nobody()
        assert project.build().code == 0
        assert project.read("post.txt") == f"dear bergen\ndear moss{number}\n"
        assert sorted(os.listdir(project / "clean")) == ["bergen.txt", f"moss{number}.txt"]
        project.build().ran().restored()
