"""One pipeline in several files, built from its root and from the folder of a part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project

WHOLE = """
    [pipeline]
    parts = ["etl/pipeline.toml", "models/*/pipeline.toml"]

    [tasks.report]
    command = "cat models/*/model.txt > report.txt"
    inputs = ["models/*/model.txt"]
    outputs = ["report.txt"]
"""
ETL = """
[parameters]
order = "-r"

[tasks.load]
command = "sort {order} raw.txt > clean.txt"
inputs = ["raw.txt"]
outputs = ["clean.txt"]

[tasks.show]
notebook = "show.py"
inputs = { clean = "clean.txt" }
outputs = { shown = "shown.txt" }
after = ["load"]

[profiles.up]
parameters = { order = "-n" }
"""
SHOW = """\
# %% tags=["parameters"]
inputs, outputs = {}, {}

# %%
from pathlib import Path

Path(outputs["shown"]).write_text(str((inputs, Path.cwd().name)) + Path(inputs["clean"]).read_text())
"""
MODEL = """
[tasks.fit]
command = "head -1 ../../etl/clean.txt > model.txt; echo {name} >> model.txt"
inputs = ["../../etl/clean.txt"]
outputs = ["model.txt"]
"""


@pytest.fixture
def parts(project: Project) -> Project:
    project.pipeline(WHOLE).write("etl/pipeline.toml", ETL).write("etl/raw.txt", "1\n2\n").write(
        "etl/show.py", SHOW
    )
    for name in "a", "b":
        project.write(f"models/{name}/pipeline.toml", MODEL.format(name=name))
    return project


def test_a_pipeline_of_several_files_is_built_from_its_root_and_from_the_folder_of_a_part(parts: Project) -> None:
    """There is one `.nbdag`; a part is built with what it needs; what is edited in a part runs, and no more."""
    parts.build("-C", "models/a").ran("etl/load", "models/a/fit")
    parts.build("-C", "etl").ran("etl/show")
    assert parts.read("etl/shown.txt") == "({'clean': 'clean.txt'}, 'etl')2\n1\n"
    parts.build().ran("models/b/fit", "report")
    assert parts.read("report.txt") == "2\na\n2\nb\n"
    assert [path.parent.name for path in parts.root.rglob(".nbdag")] == [parts.root.name]
    parts.build().ran().said("5 tasks: 0 ran, 0 restored, 5 up to date")
    parts.build("-C", "etl").ran().said("2 tasks: 0 ran, 0 restored, 2 up to date")
    parts.build("-C", "etl", "./load").ran().said("1 task: 0 ran")
    # a parameter of one file, then a profile of it
    parts.edit("etl/pipeline.toml", 'order = "-r"', 'order = "-f"')
    parts.build("etl/").ran("etl/load", "etl/show")
    parts.edit("etl/pipeline.toml", 'order = "-f"', 'order = "-r"')
    parts.build("etl/").ran().restored("etl/load", "etl/show")
    parts.build("--profile", "up", "etl/load").ran("etl/load")
    parts.build().ran().restored("etl/load")
    # a part that joins, and one that leaves
    parts.write("models/c/pipeline.toml", MODEL.format(name="c"))
    parts.build().ran("models/c/fit", "report")
    parts.remove("models/c/pipeline.toml")
    parts.build().ran().restored("report").said("moved away: models/c/model.txt")
    parts.build().ran().said("5 up to date")


def test_what_config_prints_is_one_file_with_the_same_results(parts: Project) -> None:
    """Built in the place of the parts, everything is up to date, and what is gone is restored."""
    parts.build("--profile", "up").ran("etl/load", "etl/show", "models/a/fit", "models/b/fit", "report")
    printed = parts.nbdag("config", "--profile", "up").stdout
    origins = {line.partition("#")[0].strip(): line.partition("# ")[2] for line in printed.splitlines()}
    assert origins['order = "-n"'] == "etl/pipeline.toml:16, profile up, [parameters]"
    assert origins['command = "cat models/*/model.txt > report.txt"'] == "pipeline.toml:5"
    assert origins['inputs = { clean = "etl/clean.txt" }'] == "etl/pipeline.toml:11"
    found = json.loads(parts.nbdag("config", "--json").stdout)["values"]
    (order,) = [each for each in found if each["key"] == "order"]
    assert (order["file"], order["line"], order["shared"]) == ("etl/pipeline.toml", 2, True)
    parts.write("pipeline.toml", printed).build().ran().said("5 tasks: 0 ran, 0 restored, 5 up to date")
    parts.remove("etl/clean.txt", "report.txt").build().ran().restored("etl/load", "report")
    parts.build("etl/").ran().said("2 tasks: 0 ran")
    assert parts.nbdag("config").stdout.count("\n") == printed.count("\n")


def test_commands_know_the_tasks_of_parts(parts: Project) -> None:
    """Status, graph, explain and completions name them, and say in which file they are."""
    parts.build()
    tasks = json.loads(parts.nbdag("status", "--json").stdout)["tasks"]
    assert {task["name"]: (task["file"], task["line"]) for task in tasks} == {
        "report": ("pipeline.toml", 4),
        "etl/load": ("etl/pipeline.toml", 4),
        "etl/show": ("etl/pipeline.toml", 9),
        "models/a/fit": ("models/a/pipeline.toml", 1),
        "models/b/fit": ("models/b/pipeline.toml", 1),
    }
    here = json.loads(parts.nbdag("-C", "etl", "status", "--json").stdout)["tasks"]
    assert [task["name"] for task in here] == ["etl/load", "etl/show"]
    parts.build("fit").ended(2).said("hint: did you mean `models/a/fit` or `models/b/fit`?")
    assert parts.nbdag("explain", "etl/load").stdout.startswith("up to date  etl/load")
    assert parts.nbdag("completions", "--answer", "--", "build", "etl/").stdout.split() == ["etl/load", "etl/show"]
    assert parts.nbdag("completions", "--answer", "--", "build", "--profile", "").stdout.split() == ["up"]
    assert 'order = "-r"' in parts.nbdag("-C", "etl", "config").stdout


def test_what_tasks_of_a_part_read_is_declared_in_its_file(parts: Project) -> None:
    """`declare` and `add` write the file of the part, with paths that are relative to it."""
    parts.write("etl/lib.txt", "x").edit("etl/show.py", "# %%\nfrom", "# %%\nopen('lib.txt').read()\nfrom")
    parts.build().said("etl/lib.txt")
    parts.nbdag("declare")
    assert 'lib = "lib.txt"' in parts.read("etl/pipeline.toml")
    parts.write("etl/more.py", "# %%\nprint(1)\n")
    parts.nbdag("-C", "etl", "add", "more.py")
    assert 'notebook = "more.py"' in parts.read("etl/pipeline.toml")
    parts.build().ran("etl/show", "etl/more")


def test_a_part_lies_in_the_repository_once_and_belongs_to_one_pipeline(parts: Project, tmp_path: Path) -> None:
    """Links out of it, two names of one file, other repositories and two owners are errors, with exit code 2."""
    parts.git("init", "-q")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "pipeline.toml").write_text(MODEL.format(name="o"))
    (parts / "models/out").symlink_to(outside)
    (parts / "models/same").symlink_to("a")
    (parts / "models/a/.git").mkdir()
    refused = parts.build()
    refused.said("pipeline.toml:2: part `models/a/pipeline.toml` is in another repository")
    refused.said("part `models/out/pipeline.toml` is not inside the repository")
    (parts / "models/a/.git").rmdir()
    parts.build().said("part `models/same/pipeline.toml` is the same file as `models/a/pipeline.toml`")
    (parts / "models/out").unlink()
    (parts / "models/same").unlink()
    parts.write("models/pipeline.toml", "[pipeline]\nparts = ['a/pipeline.toml']\n")
    parts.build("-C", "models/a").said("is a part of two pipelines")
    parts.edit("pipeline.toml", "models/*/pipeline.toml", "model/*/pipeline.toml")
    parts.build().said("pipeline.toml:2: part `model/*/pipeline.toml` matches no file")


def test_a_part_may_be_named_by_a_link_to_its_folder(parts: Project) -> None:
    """Its tasks have the name of the link, also in the folder itself."""
    (parts / "link").symlink_to("etl")
    parts.edit("pipeline.toml", "etl/pipeline.toml", "link/pipeline.toml")
    for name in "a", "b":
        parts.edit(f"models/{name}/pipeline.toml", "etl/clean.txt", "link/clean.txt")
    for folder in "etl", "link":
        tasks = json.loads(parts.nbdag("-C", folder, "status", "--json").stdout)["tasks"]
        assert [task["name"] for task in tasks] == ["link/load", "link/show"]
        (task,) = json.loads(parts.nbdag("-C", folder, "status", "./load", "--json").stdout)["tasks"]
        assert task["name"] == "link/load"
