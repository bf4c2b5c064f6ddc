"""Inputs that are tables: the outputs of all instances of a task, and files that may be absent."""

import pytest

from nbmake_dag.core.model import Input, ProjectPath, TaskName
from nbmake_dag.errors import ConfigError
from tests.config.expanding import pipeline, pipeline_beside

GATHER = (
    '[tasks.s]\ncommand = "s"\ninputs = { first = "x.txt", models = { task = "t" } }\n'
    '[tasks.t]\ncommand = "t"\nmatrix = { a = [2, 1] }\noutputs = ["o/{a}"]\n'
)


def test_the_outputs_of_all_instances_are_gathered():
    """In the order of the pipeline, with the values of each; wherever the task stands in the file."""
    task = next(iter(pipeline(GATHER).tasks.values()))
    assert [(item.name, item.path) for item in task.inputs] == [
        ("first", "x.txt"),
        ("models", "o/2"),
        ("models", "o/1"),
    ]
    assert [(file.path, file.params) for file in task.gathers["models"]] == [("o/2", {"a": 2}), ("o/1", {"a": 1})]


def test_one_output_of_several_is_chosen_by_its_name():
    """A single instance can be gathered too, and a task without instances gives an empty list."""
    text = GATHER.replace('["o/{a}"]', '{ m = "o/{a}", n = "p/{a}" }').replace(
        '"t" } }', '"t[a=1]", output = "n" } }'
    )
    task = next(iter(pipeline(text).tasks.values()))
    assert [file.path for file in task.gathers["models"]] == ["p/1"]
    empty = GATHER.replace("matrix = { a = [2, 1] }", 'instances = { files = "{a}.csv" }')
    assert dict(next(iter(pipeline_beside({}, empty).tasks.values())).gathers) == {"models": ()}


NOT_GATHERED = {
    "no task": ("{ output = 'x' }", 'gathers the outputs of no task\n  hint: name it: `{ task = "train" }`'),
    "optional": (
        "{ task = 't', optional = true }",
        "gathers outputs, which are never absent\n  hint: leave `optional` out",
    ),
    "unknown task": (
        "{ task = 'tt' }",
        "gathers the outputs of `tt`, which is not a task\n  hint: did you mean `t`?",
    ),
    "unknown key": (
        "{ taks = 't' }",
        "unknown key `taks` in `tasks.s.inputs.models`\n  hint: did you mean `task`?",
    ),
    "wrong type": ("{ task = 1 }", "`task` must be the name of a task, not `1`"),
    "itself": ("{ task = 's' }", "task `s` gathers its own outputs"),
    "no outputs": (
        "{ task = 'u' }",
        "gathers the outputs of `u`, which has none\n  hint: use `after` instead",
    ),
    "several": (
        "{ task = 'v' }",
        'gathers the outputs of `v`, which has 2\n  hint: choose one with `output = "..."`: `m`, `n`',
    ),
    "several without names": (
        "{ task = 'w' }",
        "gathers the outputs of `w`, which has 2\n  hint: give its outputs names, and choose one by `output`",
    ),
    "unknown output": (
        "{ task = 'v', output = 'k' }",
        "gathers `k` of `v`, which is not an output of it\n  hint: its outputs are `m`, `n`",
    ),
}
OTHERS = (
    '[tasks.u]\ncommand = "u"\n[tasks.v]\ncommand = "v"\noutputs = { m = "m", n = "n" }\n'
    '[tasks.w]\ncommand = "w"\noutputs = ["y", "z"]\n'
)


@pytest.mark.parametrize("name", NOT_GATHERED)
def test_what_cannot_be_gathered_is_reported_at_its_line(name: str):
    """What, where and what to do."""
    table, expected = NOT_GATHERED[name]
    with pytest.raises(ConfigError) as caught:
        pipeline(GATHER.replace('{ task = "t" }', table) + OTHERS)
    expected = expected if expected.startswith(("unknown", "`task`", "task")) else f"input `models` {expected}"
    assert str(caught.value) == f"pipeline.toml:3: {expected}"


def test_a_path_in_a_table_is_as_one_that_stands_alone():
    """`{a}` is replaced, and counts as used; only what says so may be absent."""
    text = """
        [tasks.t]
        command = "t"
        matrix = { a = [1, 2] }
        inputs = { x = { path = "x/{a}.csv", optional = true }, y = { path = "y/*" }, z = "z" }
    """
    expected = [
        Input(path=ProjectPath("x/2.csv"), name="x", optional=True),
        Input(path=ProjectPath("y/*"), name="y", is_glob=True),
        Input(path=ProjectPath("z"), name="z"),
    ]
    assert list(pipeline(text).tasks[TaskName("t[a=2]")].inputs) == expected
