"""`nbdag config`: what counts, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from nbmake_dag.commands.schema import document_schema
from nbmake_dag.config.pipeline_file import expand, parse
from tests.support.project import Project

PIPELINE = """\
[pipeline]
name = "p"

[parameters]
rows = 1000
dates = { first = "2020", last = ["2021"] }

[defaults]
timeout = "1h"
env = { TZ = "UTC" }
parameters.seed = 1

[tasks.train]
command = '''
train {rows} {dates} \\
  {seed}'''
env = { LANG = "C" }
inputs."weird name" = "x/{rows}.csv"

[sets.s]
rows = [{ a = 1 }]

[report.metrics.loss]
direction = "lower"

[profiles.ci]
parameters.rows = 10
defaults.timeout = "5m"
tasks.train.env.CI = "yes"
tasks.train.retries = 2
"""
PRINTED = """\
[pipeline]
name = "p"                                        # pipeline.toml:2

[parameters]
rows = 10                                         # pipeline.toml:27, profile ci
dates = { first = "2020", last = ["2021"] }       # pipeline.toml:6

[defaults]
timeout = "5m"                                    # pipeline.toml:28, profile ci

[defaults.env]
TZ = "UTC"                                        # pipeline.toml:10

[defaults.parameters]
seed = 1                                          # pipeline.toml:11

[tasks.train]
timeout = "5m"                                    # pipeline.toml:28, profile ci, [defaults]
command = "train {rows} {dates} \\\\\\n  {seed}"     # pipeline.toml:14
inputs = { "weird name" = "x/{rows}.csv" }        # pipeline.toml:18
retries = 2                                       # pipeline.toml:30, profile ci

[tasks.train.env]
TZ = "UTC"                                        # pipeline.toml:10, [defaults]
LANG = "C"                                        # pipeline.toml:17
CI = "yes"                                        # pipeline.toml:29, profile ci

[sets.s]
rows = [{ a = 1 }]                                # pipeline.toml:21

[report.metrics.loss]
direction = "lower"                               # pipeline.toml:24
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    (project / "pipeline.toml").write_text(PIPELINE)
    return project


def test_each_value_has_its_line(project: Project) -> None:
    """Defaults stand in the tasks that they reach, and profiles lie over all of it."""
    done = project.nbdag("config", "--profile", "ci")
    assert (done.stdout, done.stderr, done.returncode) == (PRINTED, "", 0)
    assert project.nbdag("config", env={"NBDAG_PROFILE": "ci"}).stdout == PRINTED


def test_what_is_printed_is_a_pipeline_that_means_the_same() -> None:
    """It can be read again."""
    as_file = expand(parse(PIPELINE.encode(), profiles=("ci",)), {}, {})
    printed = expand(parse(PRINTED.encode()), {}, {})
    lines = {name: task.line for name, task in as_file.tasks.items()}
    tasks = {name: replace(task, line=lines[name]) for name, task in printed.tasks.items()}
    assert replace(printed, tasks=tasks) == as_file


def test_a_program_gets_each_value_with_its_origin(project: Project) -> None:
    """The shape is that of the schema."""
    found = json.loads(project.nbdag("config", "--profile", "ci", "--json").stdout)
    jsonschema.validate(found, document_schema("config"))
    assert (found["format"], found["file"], found["profiles"]) == (1, "pipeline.toml", ["ci"])
    origins = {(*each["table"], each["key"]): each for each in found["values"]}
    timeout = origins["tasks", "train", "timeout"]
    assert (timeout["value"], timeout["line"], timeout["profile"], timeout["default"]) == ("5m", 28, "ci", True)


def test_a_file_that_is_wrong_is_complained_about(project: Project) -> None:
    """As by every other command."""
    project.edit("pipeline.toml", "retries = 2", "retry = 2")
    done = project.nbdag("config")
    assert (done.stdout, done.returncode) == ("", 2)
    assert "pipeline.toml:30: unknown key `retry` in `profiles.ci.tasks.train`" in done.stderr


def test_what_may_be_a_secret_in_a_url_is_not_printed(project: Project) -> None:
    """Neither as TOML nor as JSON: logs of CI can be read by many. All else of the address is."""
    (project / "pipeline.toml").write_text("""
[cache]
remote = "https://host.example/cache?token=sekrit-0123456789&region=eu"

[tasks.fetch]
command = ["curl", "https://me:sekrit-0123456789@host.example/a#b"]
env = { INDEX = "see 'https://sekrit-0123456789@host.example/simple', or https://other.example/?a=1#c" }
outputs = ["a"]
""")
    printed = project.nbdag("config").stdout
    assert "sekrit" not in printed + project.nbdag("config", "--json").stdout
    for shown in (
        '"https://host.example/cache?token=...&region=eu"',
        '"https://...@host.example/a#b"',
        "'https://...@host.example/simple', or https://other.example/?a=1#c",
    ):
        assert shown in printed
