"""Declared secrets: values that cannot be redacted, and values that the file or -p would have recorded."""

from __future__ import annotations

from textwrap import dedent

import pytest

from nbmake_dag.config.pipeline_file import parse
from nbmake_dag.config.secrets import check_instances, check_secrets
from nbmake_dag.core.model import Value
from nbmake_dag.errors import ConfigError
from tests.config.expanding import pipeline_beside

FILE = """
[software]
variables = ["OMP_NUM_THREADS"]

[tasks.a]
command = "true"
secrets = ["API_PW", "PIN"]
env = { MODE = "fast" }
"""


def _complaints(text: str, variables: dict[str, str], overrides: dict[str, Value] | None = None) -> list[str]:
    file = parse(dedent(text).encode())
    try:
        check_secrets(file, {"pipeline.toml": text}, variables, overrides or {})
    except ConfigError as error:
        return [f"{complaint.place}: {complaint.what}" for complaint in error.complaints]
    return []


@pytest.mark.parametrize("value", ["", "9137", "abcdefgh12"])
def test_a_value_of_four_characters_or_none_at_all_is_accepted(value: str) -> None:
    """CI gives a secret that it does not have as an empty variable."""
    assert _complaints(FILE, {"PIN": value}) == []


@pytest.mark.parametrize("value", ["1", "é1", "abc"])
def test_a_value_under_four_characters_is_an_error_at_its_line(value: str) -> None:
    """It could not be told from other text."""
    what = f"the secret `PIN` has {len(value)} characters, too few to find it in what tasks print"
    assert _complaints(FILE, {"PIN": value}) == [f"pipeline.toml:7: {what}"]
    moved = FILE.replace('secrets = ["API_PW", "PIN"]\n', "") + '[defaults]\nsecrets = ["PIN"]\n'
    assert _complaints(moved, {"PIN": value}) == [f"pipeline.toml:9: {what}"]


def test_a_secret_is_neither_set_by_the_file_nor_part_of_keys() -> None:
    """Both would record it."""
    text = FILE.replace("OMP_NUM_THREADS", "API_PW").replace('MODE = "fast"', 'PIN = "1"')
    assert _complaints(text, {}) == [
        "pipeline.toml:3: `API_PW` is a secret, and its value would be part of every key",
        "pipeline.toml:8: `PIN` is a secret, and what `env` sets is recorded",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"true"', '"curl -u me:hunter2+pass x"'),
        ('MODE = "fast"', 'MODE = "hunter2+pass"'),
        ("[tasks.a]", "[tasks.a]\nparameters = { pw = 'hunter2+pass' }"),
        ("[tasks.a]", "[tasks.a]\n# hunter2+pass"),
    ],
)
def test_a_file_that_holds_the_value_of_a_secret_is_refused(old: str, new: str) -> None:
    """Commands, parameters and variables are recorded."""
    found = _complaints(FILE.replace(old, new), {"API_PW": "hunter2+pass"})
    assert len(found) == 1
    assert found[0].endswith("the file holds the value of the secret `API_PW`, and what it says is recorded")


def test_a_parameter_of_the_command_line_is_no_secret() -> None:
    """It is recorded too."""
    what = ": parameter `pw` of -p holds the value of the secret `API_PW`, and it is recorded"
    assert _complaints(FILE, {"API_PW": "hunter2+pass"}, {"pw": "x hunter2+pass"}) == [what]
    assert _complaints(FILE, {"PIN": "9137"}, {"pw": 9137}) == [what.replace("API_PW", "PIN")]
    assert _complaints(FILE, {"PIN": "9137"}, {"pw": "x 9137"}) == []


def test_a_plain_word_may_stand_in_the_file() -> None:
    """It says nothing there."""
    assert _complaints(FILE.replace('"true"', '"psql postgres"'), {"API_PW": "postgres"}) == []


@pytest.mark.parametrize(
    ("source", "path", "data"),
    [
        ('rows = "r.csv"', "r.csv", b"a\nx\nhunter2+pass\n"),
        ('files = "in/{a}.txt"', "in/x-hunter2+pass.txt", b""),
        ('rows = "r.json"', "r.json", b'[{"a": ["hunter2+pass"]}]'),
        ('rows = "r.csv"', "r.csv", b"a\n9137\n"),
    ],
)
def test_an_instance_has_no_value_of_a_secret(source: str, path: str, data: bytes) -> None:
    """Its name would show it, in the record and on the terminal; the error does not."""
    text = f'[tasks.t]\ncommand = "x {{a}}"\ninstances = {{ {source} }}\nsecrets = ["API_PW", "PIN"]\n'
    tasks = pipeline_beside({path: data}, text).tasks.values()
    secrets = {"API_PW": "hunter2+pass", "PIN": "9137"}
    with pytest.raises(ConfigError) as caught:
        check_instances(tasks, secrets)
    (complaint,) = caught.value.complaints
    name = "PIN" if b"9137" in data else "API_PW"
    what = f"an instance of `t` has the value of the secret `{name}`, and its name is recorded"
    assert (complaint.place, complaint.what) == ("pipeline.toml:3", what)
    assert not any(value in str(caught.value) for value in secrets.values())
    check_instances(tasks, {"API_PW": "hunter3"})
