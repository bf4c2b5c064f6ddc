"""The JSON Schema of ``pipeline.toml``."""

import jsonschema
import pytest
import tomli

from nbmake_dag.config.pipeline_file import json_schema

SCHEMA = json_schema()


def faults(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return sorted(error.json_path for error in validator.iter_errors(tomli.loads(text)))


def test_the_schema_is_a_schema():
    """It is valid against the standard's own."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_key_is_described():
    """An editor has something to show for each key and each table."""
    for name, table in SCHEMA["$defs"].items():
        assert table["description"], name
        for key, schema in table["properties"].items():
            assert schema["description"], f"{name}.{key}"


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('outputs = "x"', ["$.tasks.a.outputs"]),
        ('ouputs = ["x"]', ["$.tasks.a"]),
        ('timeout = "5"', ["$.tasks.a.timeout"]),
        ("timeout = 0", ["$.tasks.a.timeout"]),
        ("retries = true", ["$.tasks.a.retries"]),
        ("resources = { cpus = -1 }", ["$.tasks.a.resources.cpus"]),
        ('resources = { memory = "4" }', ["$.tasks.a.resources.memory"]),
        ('timeout = "1h30m"\nresources = { memory = "4GB", custom = { tpu = 1 } }', []),
        ('outputs = { x = "x" }\nmatrix = { lr = [0.1, 1] }\nretry_delay = 1.5', []),
    ],
)
def test_an_editor_sees_what_nbdag_refuses(line: str, at: list[str]):
    """Types, units, ranges and unknown keys are in the schema."""
    assert faults(f"[tasks.a]\n{line}\n") == at
