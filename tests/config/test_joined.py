"""A pipeline of several files as one: the same tasks, each value with its place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import tomlkit
from msgspec.structs import replace

from nbmake_dag.config.joined import in_one_file, reaching
from nbmake_dag.config.pipeline_file import Found, Signature, effective, expand, parse
from nbmake_dag.core.model import ProjectPath, Task
from tests.config.test_parts import PARTS, WHOLE

FUNCTIONS = """\
[parameters]
base = "out"
seed = 1
size = 9

[defaults.parameters]
rate = 0.5

[tasks.any]
function = "steps:any"
inputs = ["{base}/{missing}.txt", "."]
outputs = { x = "{base}/x.txt" }
parameters = { missing = "m" }

[tasks.some]
function = "steps:some"
instances = { rows = "rows.csv" }
outputs = ["{base}/{size}.txt"]
workdir = "{base}"

[tasks.other]
notebook = "other.R"
inputs = { url = { url = "https://example.org/x.csv" } }
notebook_output = "{base}/other.html"
"""
SIGNATURES = {
    "steps:any": Signature(names=frozenset({"seed"}), takes_any=True),
    "steps:some": Signature(names=frozenset({"size", "rate"})),
    "etl/split.py": Signature(names=frozenset({"size", "city"}), assigns_inputs=True),
    "more/other.R": Signature(),
}
FOUND = Found(rows={"more/rows.csv": b"size\n1\n2\n"}, files={"etl/raw/*.csv": (ProjectPath("etl/raw/rome.csv"),)})
ALL = {**PARTS, "more/pipeline.toml": FUNCTIONS.encode()}
TEXT = WHOLE.replace("parts = [", 'parts = ["more/pipeline.toml", ').encode()


def tasks_of(text: bytes, parts: dict[str, bytes], *profiles: str) -> list[Task]:
    pipeline = expand(parse(text, profiles=profiles, parts=parts), SIGNATURES, {}, FOUND)
    return [replace(task, file="", line=0, lines={}) for task in pipeline.tasks.values()]


def joined(profiles: Sequence[str] = ()) -> bytes:
    contents, _ = effective(TEXT, file="pipeline.toml", profiles=profiles, parts=ALL)
    parsed = parse(TEXT, profiles=profiles, parts=ALL)
    parameters = reaching(parsed, SIGNATURES, expand(parsed, SIGNATURES, {}, FOUND))
    return tomlkit.dumps(in_one_file(contents, parameters)).encode()


@pytest.mark.parametrize("profiles", [(), ("ci",)])
def test_one_file_has_the_tasks_of_all(profiles: tuple[str, ...]) -> None:
    """With their names, paths, parameters and policies, also where a function takes any parameter."""
    assert tasks_of(joined(profiles), {}) == tasks_of(TEXT, ALL, *profiles)


def test_a_parameter_that_only_paths_name_is_filled_in_where_a_function_takes_any() -> None:
    """As a parameter of the task it would be given to the function."""
    table = tomlkit.parse(joined())["tasks"]["more/any"].unwrap()
    assert table["outputs"] == {"x": "more/out/x.txt"}
    assert table["inputs"] == ["more/out/{missing}.txt", "more/"]
    assert table["parameters"] == {"seed": 1, "missing": "m"}
