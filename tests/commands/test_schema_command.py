"""`nbdag schema`: a schema that accepts what the documentation shows, and refuses what a build refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import tomli

from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_the_schema_accepts_a_pipeline_and_refuses_a_misspelled_key(project: Project) -> None:
    """What editors are told is what a build accepts; the command needs no project."""
    done = project.nbdag("schema")
    schema = json.loads(done.stdout)
    example = Path(__file__).parents[2] / "pipeline.toml.example"
    jsonschema.validate(tomli.loads(example.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError, match="output"):
        jsonschema.validate({"tasks": {"a": {"command": "true", "output": ["x"]}}}, schema)
    assert (done.returncode, done.stderr) == (0, "")
