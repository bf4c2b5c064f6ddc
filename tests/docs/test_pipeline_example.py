"""``pipeline.toml.example``: it works, and it shows every key."""

from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import tomli

from nbmake_dag.config.pipeline_file import Found, Signature, expand, json_schema, parse
from nbmake_dag.config.tables import Document
from nbmake_dag.core.model import ProjectPath, TaskName

TEXT = (Path(__file__).parents[2] / "pipeline.toml.example").read_bytes()
SIGNATURES = {
    "notebooks/train.py": Signature(names=frozenset({"depth", "inputs", "outputs"}), assigns_inputs=True),
    "notebooks/summary.ipynb": Signature(names=frozenset({"run_environment"})),
    "pipeline.cleaning:clean": Signature(names=frozenset({"inputs", "outputs"}), assigns_inputs=True),
}
FOUND = Found(
    rows={"data/streets.csv": b"street,rooms\nHigh,3\n"},
    files={"data/cities/*-*.csv": (ProjectPath("data/cities/oslo-2024.csv"),)},
)


def tables_in(annotation: Any) -> list[type[msgspec.Struct]]:
    """Return the types of tables that a key can hold, directly or by name."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [table for part in get_args(annotation) for table in tables_in(part)]


def unshown(table: type[msgspec.Struct], examples: list[dict[str, Any]], path: str = "") -> list[str]:
    """Return the keys of a type of table that none of its examples has."""
    missing = []
    for field in msgspec.structs.fields(table):
        values = [example[field.name] for example in examples if field.name in example]
        name = f"{path}{field.name}"
        if not values:
            missing.append(name)
        elif (inner := tables_in(field.type)) and name not in {
            "defaults",
            "sets",
            "profiles.defaults",
            "profiles.tasks",
        }:
            named = "dict[" in str(field.type)
            inside = [
                item
                for value in values
                for item in (value.values() if named and isinstance(value, dict) else [value])
            ]
            tables = [item for item in inside if isinstance(item, dict)]
            missing += unshown(inner[0], tables, f"{name}.")
    return missing


def test_the_example_shows_every_key():
    """A key that is added to the types is added to the example."""
    assert unshown(Document, [tomli.loads(TEXT.decode())]) == []


def test_the_example_is_a_pipeline():
    """It is read and expanded without a complaint."""
    file = parse(TEXT, file="pipeline.toml.example")
    assert set(file.sources()) == SIGNATURES.keys()
    assert "train[depth=6]" not in expand(parse(TEXT, profiles=("ci",)), SIGNATURES, {}, FOUND).tasks
    pipeline = expand(file, SIGNATURES, {}, FOUND)
    assert list(pipeline.tasks) == [
        "download",
        "clean",
        "train[depth=3]",
        "train[depth=6]",
        "export",
        "fit[model=ridge,region=north]",
        "fit[model=forest,region=north]",
        "fit[model=ridge,region=south]",
        "fit[model=forest,region=south]",
        "compare[model=ridge,region=north]",
        "compare[model=forest,region=north]",
        "compare[model=ridge,region=west]",
        "survey[rooms=3,street=High]",
        "plot[city=oslo,year=2024]",
        "plausible",
        "summary",
        "best",
        "rates",
    ]
    assert pipeline.tasks[TaskName("summary")].after == ("train[depth=3]", "train[depth=6]")


def test_the_example_follows_the_schema():
    """An editor with the schema marks nothing in it."""
    jsonschema.validate(tomli.loads(TEXT.decode()), json_schema())
