"""Changes of pipeline.toml: what is added is there, and every other character is what it was."""

from __future__ import annotations

import difflib

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.editing import UneditableError, named, with_inputs

TEXT = """\
# head
[tasks.list]    # a task
command = "x"   # what it does
inputs = ["a"]  # what it reads
# the end of it

# about the next
[tasks.bare]
command = "x"
# the end of it

# about its values
[tasks.bare.parameters]
n = 1

[tasks.long]
inputs = [
    "a",  # first
    "b",
]
command = "x"

[pipeline]
name = "x"

[tasks.named]
inputs = { a = "a" }
command = "x"

[tasks.dotted]
inputs.a = "a"
command = "x"

[tasks.table]
command = "x"
[tasks.table.inputs]
a = "a"  # the only one

[tasks]
inline = { command = "x" }"""


@pytest.mark.parametrize("task", ["list", "bare", "long", "named", "dotted", "table", "inline"])
def test_paths_are_added_and_nothing_else_changes(task: str) -> None:
    """Only lines that declare inputs differ, and the file means what it meant, and the paths."""
    after = with_inputs(TEXT, task, ["conf/c.yaml", 'say "d".txt'])
    was, now = tomli.loads(TEXT)["tasks"], tomli.loads(after)["tasks"]
    inputs = now[task].pop("inputs")
    old = was[task].pop("inputs", [])
    assert was == now
    assert list(inputs.values() if isinstance(inputs, dict) else inputs) == [
        *(old.values() if isinstance(old, dict) else old),
        "conf/c.yaml",
        'say "d".txt',
    ]
    gone = [line[2:] for line in difflib.ndiff(TEXT.splitlines(), after.splitlines()) if line.startswith("- ")]
    assert len(gone) <= 1
    assert all("inputs" in line or "inline" in line for line in gone)


def test_a_new_key_stands_with_those_of_its_task_and_not_below_the_comment_of_the_next() -> None:
    """A person who reads the file finds it where they would have written it."""
    after = with_inputs(TEXT, "bare", ["c"])
    assert 'command = "x"\ninputs = ["c"]\n# the end of it\n\n# about its values\n' in after


@pytest.mark.parametrize("text", ["[tasks]", "[tasks.a]", "tasks = 1", "[tasks.a]\ninputs = 1\n", "= 1"])
def test_what_is_written_otherwise_is_left_to_a_person(text: str) -> None:
    """There is one error, whatever the text is."""
    with pytest.raises(UneditableError):
        with_inputs(text, "a", ["b"])


@given(
    st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=5), st.sets(st.text(max_size=3), max_size=3)
)
def test_names_of_paths_are_new_and_can_be_written_in_python(paths: list[str], taken: set[str]) -> None:
    """Whatever the paths are, no two of them share a name, and none takes one that is there."""
    names = named(paths, dict.fromkeys(taken, ""))
    assert list(names.values()) == paths
    assert not taken.intersection(names)
    assert all(name.isidentifier() for name in names)
