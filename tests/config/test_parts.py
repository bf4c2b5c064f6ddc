"""Parts: pipeline files of folders below, whose tasks belong to one pipeline."""

import pytest

from nbmake_dag.config.parts import OF_EACH_FILE, OF_THE_WHOLE
from nbmake_dag.config.pipeline_file import Found, Unreadable, expand, parse
from nbmake_dag.config.tables import Document
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import Pipeline, Task, TaskName, Value
from nbmake_dag.errors import ConfigError

WHOLE = """\
[pipeline]
parts = ["etl/pipeline.toml", "models/*/pipeline.toml"]

[parameters]
who = "whole"

[pools]
database = 1

[tasks.report]
command = "report {who}"
inputs = ["models/*/model.bin"]
outputs = ["report.txt"]
after = ["etl/load"]
"""
ETL = """\
[parameters]
who = "etl"

[defaults]
timeout = 60
parameters = { city = "oslo" }

[sets]
sizes = { product = { size = [1, 2] } }

[tasks.load]
command = "load {who} {city}"
inputs = ["raw/*.csv", "../shared.csv"]
outputs = { table = "{city}.csv" }
pools = ["database"]

[tasks.split]
notebook = "split.py"
instances = { set = "sizes" }
workdir = "notebooks"
notebook_output = "copies/{size}.html"
inputs = { table = { task = "load" }, notes = { path = "notes.txt", optional = true } }
outputs = ["parts/{size}.csv"]
after = ["load"]

[tasks.each]
command = "each {city}"
instances = { files = "raw/{city}.csv" }

[profiles.ci]
parameters = { who = "ci" }
"""
MODEL = """\
[tasks.fit]
command = "fit"
inputs = ["../../etl/parts/1.csv"]
outputs = ["model.bin"]
"""
PARTS = {"etl/pipeline.toml": ETL.encode(), "models/a/pipeline.toml": MODEL.encode()}


def read(
    parts: dict[str, bytes | Unreadable] | None = None,
    *profiles: str,
    text: str = WHOLE,
    overrides: dict[str, Value] | None = None,
) -> Pipeline:
    file = parse(text.encode(), profiles=profiles, parts={**PARTS, **(parts or {})})
    return expand(file, {}, overrides or {}, Found(files={"etl/raw/*.csv": ("etl/raw/rome.csv",)}))  # type: ignore[dict-item]


def task(name: str, *profiles: str) -> Task:
    return read(None, *profiles).tasks[TaskName(name)]


def complaints(
    parts: dict[str, bytes | Unreadable] | None = None, *profiles: str, text: str = WHOLE
) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        read(parts, *profiles, text=text)
    assert caught.value.exit_code == 2
    return [(complaint.place, complaint.what) for complaint in caught.value.complaints]


def test_tasks_of_parts_are_named_by_their_folders_and_come_after_those_of_the_file():
    """The order is that of the files, and in each that of its tasks."""
    assert list(read().tasks) == [
        "report",
        "etl/load",
        "etl/split[size=1]",
        "etl/split[size=2]",
        "etl/each[city=rome]",
        "models/a/fit",
    ]


def test_paths_of_a_part_are_relative_to_its_folder():
    """Inputs, outputs, globs, notebooks, copies of these, working directories, files of instances."""
    load, split = task("etl/load"), task("etl/split[size=2]")
    assert [item.path for item in load.inputs] == ["etl/raw/*.csv", "shared.csv"]
    assert [item.path for item in load.outputs] == ["etl/oslo.csv"]
    assert load.workdir == "etl/"
    assert split.workdir == "etl/notebooks/"
    assert split.policy.notebook_output == "etl/copies/2.html"
    assert [item.path for item in split.inputs] == ["etl/notes.txt", "etl/oslo.csv"]
    assert [item.path for item in split.outputs] == ["etl/parts/2.csv"]
    assert getattr(split.work, "path", None) == "etl/split.py"
    assert read().data == ("etl/raw/rome.csv",)


def test_parameters_and_defaults_are_each_files_own():
    """Neither those of the whole reach a part, nor those of a part the whole."""
    assert getattr(task("report").work, "arguments", None) == "report whole"
    assert getattr(task("etl/load").work, "arguments", None) == "load etl oslo"
    assert task("etl/load").policy.timeout == 60
    assert task("report").policy.timeout is None
    assert task("models/a/fit").policy.timeout is None


def test_a_parameter_of_the_command_line_reaches_every_file():
    """`-p` reaches the tasks that know the name, in whichever file."""
    tasks = read(overrides={"who": "me"}).tasks.values()
    commands = [getattr(each.work, "arguments", None) for each in tasks if each.family in {"report", "etl/load"}]
    assert commands == ["report me", "load me oslo"]


def test_edges_go_across_files_by_paths():
    """An output of one file is an input of another; names of a part are those of the part."""
    graph = build_graph(read())
    assert graph.upstream[TaskName("models/a/fit")] == ("etl/split[size=1]",)
    assert graph.upstream[TaskName("report")] == ("models/a/fit", "etl/load")
    assert graph.upstream[TaskName("etl/split[size=1]")] == ("etl/load",)


def test_a_profile_lies_over_the_files_that_have_it():
    """It need not be in all of them, and must be in one."""
    assert getattr(task("etl/load", "ci").work, "arguments", None) == "load ci oslo"
    assert getattr(task("report", "ci").work, "arguments", None) == "report whole"
    assert complaints(None, "cj") == [("", "there is no profile `cj`")]


def test_a_task_knows_its_file_and_lines():
    """Complaints about tasks of a part name the file of the part, also for keys of its defaults."""
    load = task("etl/load")
    assert load.place_of() == "etl/pipeline.toml:11"
    assert load.place_of("inputs") == "etl/pipeline.toml:13"
    assert load.place_of("timeout") == "etl/pipeline.toml:5"
    assert task("report").place_of() == "pipeline.toml:10"


@pytest.mark.parametrize("table", sorted(OF_THE_WHOLE))
def test_a_part_cannot_set_what_holds_for_the_whole_pipeline(table: str):
    """Where results are kept, shared and published is said in one file, and parts have no parts."""
    found = complaints({"etl/pipeline.toml": f"[tasks.a]\ncommand = 'a'\n[{table}]\n".encode()})
    what = f"a part of a pipeline cannot set `{table}`, which holds for the whole pipeline"
    assert ("etl/pipeline.toml:3", what) in found


def test_a_table_holds_for_the_whole_unless_it_is_named_as_one_of_each_file():
    """So a new table of the pipeline file is refused in a part."""
    assert set(Document.__struct_fields__) == OF_THE_WHOLE | OF_EACH_FILE
    assert not OF_THE_WHOLE & OF_EACH_FILE


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("other.toml", "is beside this file"),
        ("../other/pipeline.toml", "is not inside the project"),
        ("/etl/pipeline.toml", "is absolute"),
        ("etl/", "is a folder"),
        ("", "is empty"),
    ],
)
def test_a_part_is_a_file_in_a_folder_below(pattern: str, fault: str):
    """Anything else is refused at its line."""
    found = complaints(text=WHOLE.replace("etl/pipeline.toml", pattern))
    assert ("pipeline.toml:2", f"part `{pattern}` {fault}") in found


def test_a_part_that_cannot_be_read_is_an_error_of_the_line_that_names_it():
    """So is one whose folder has a character with a meaning, and a second one in the same folder."""
    parts: dict[str, bytes | Unreadable] = {
        "x/pipeline.toml": Unreadable("does not exist"),
        "a[b]/pipeline.toml": MODEL.encode(),
        "etl/more.toml": MODEL.encode(),
    }
    meaning = "which has a meaning in the names of tasks and paths"
    assert complaints(parts) == [
        ("pipeline.toml:2", "part `x/pipeline.toml` does not exist"),
        ("pipeline.toml:2", f"part `a[b]/pipeline.toml` is in a folder with `[`, {meaning}"),
        ("pipeline.toml:2", "parts `etl/pipeline.toml` and `etl/more.toml` are in the same folder"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "line", "what"),
    [
        ("timeout = 60", "timeot = 60", 5, "unknown key `timeot` in `defaults`"),
        ('after = ["load"]', 'after = ["lod"]', 24, "`etl/split` waits for `etl/lod`, which is not a task"),
        ('"raw/*.csv", "../s', '"/raw/*.csv", "../s', 13, "input `/raw/*.csv` is absolute"),
        ("[tasks.load]", '[tasks."a/b"]', 11, "`etl/a/b` cannot be the name of a task"),
        ('set = "sizes"', 'set = "size"', 19, "there is no set `etl/size`"),
        ("[profiles.ci]", "[profiles.ci]\ncache.epoch = '1'", 31, "profile `ci` sets `cache`"),
    ],
)
def test_a_fault_of_a_part_has_its_file_and_line(before: str, after: str, line: int, what: str):
    """Whatever is wrong in a part is complained about where it stands."""
    assert before in ETL
    found = complaints({"etl/pipeline.toml": ETL.replace(before, after).encode()})
    assert [place for place, said in found if said.startswith(what)] == [f"etl/pipeline.toml:{line}"], found


def test_a_parameter_of_a_part_must_reach_a_task_of_it():
    """One of the whole by the same name is another."""
    model = f"{MODEL}[parameters]\nwho = 'me'\n".encode()
    found = complaints({"models/a/pipeline.toml": model})
    assert found == [("models/a/pipeline.toml:6", "no task has a parameter `who`")]


def test_a_part_that_is_no_toml_is_an_error_with_its_line():
    """The place is in the part."""
    ((place, _),) = complaints({"etl/pipeline.toml": b"[tasks.a]\ncommand ="})
    assert place == "etl/pipeline.toml:2"


def test_two_files_cannot_write_the_same_path_nor_a_pipeline_file():
    """Ownership is that of the whole pipeline."""
    same = MODEL.replace('"model.bin"', '"../../report.txt"').encode()
    what = "`models/a/fit` writes `report.txt`, which is also written by `report` (pipeline.toml:13)"
    assert ("models/a/pipeline.toml:4", what) in complaints({"models/a/pipeline.toml": same})
    own = MODEL.replace('"model.bin"', '"pipeline.toml"').encode()
    what = "`models/a/fit` writes `models/a/pipeline.toml`, which declares the pipeline"
    assert ("models/a/pipeline.toml:4", what) in complaints({"models/a/pipeline.toml": own})
    over = WHOLE.replace('"report.txt"', '"etl/"')
    what = "`report` writes `etl/`, where a part of the pipeline is"
    assert ("pipeline.toml:13", what) in complaints(text=over)
