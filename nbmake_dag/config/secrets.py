"""Checks of declared secrets: values that can be redacted, and that stand nowhere in what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.expansion import PipelineFile
from nbmake_dag.config.tables import given
from nbmake_dag.core.model import Task, Value
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag_reporting.secrets_scan import SHORTEST

_TELLING = 8
"""Characters of a value that is no plain word, from which on it is told from others within a longer text."""
_READ_IT = "have the task read it from its environment"
_LEAVE_IT_OUT = "leave it out of the rows or names of files that instances come from"


def check_secrets(
    file: PipelineFile, texts: Mapping[str, str], variables: Mapping[str, str], overrides: Mapping[str, Value]
) -> None:
    """Raise `ConfigError` for secrets that would be recorded whatever is redacted.

    ``variables`` is the environment, in which a secret may be absent; ``texts`` are those of the
    pipeline file and its parts.
    """
    complaints = Complaints(file.file, file.lines)
    counted = given(file.document.software).get("variables", ())
    values: dict[str, str] = {}
    for path, name in file.secrets():
        value = variables.get(name, "")
        values[name] = value
        if 0 < len(value) < SHORTEST:
            what = f"the secret `{name}` has {len(value)} characters, too few to find it in what tasks print"
            complaints.add(path, what, f"give it {SHORTEST} characters or more, or do not declare it")
        if name in counted:
            what = f"`{name}` is a secret, and its value would be part of every key"
            complaints.add(("software", "variables"), what, "leave it out here")
    for task, table in file.tables():
        for name in given(table).get("env", {}).keys() & values.keys():
            what = f"`{name}` is a secret, and what `env` sets is recorded"
            complaints.add(
                (*task, "env", name), what, "leave it out here: tasks get all variables of nbdag itself"
            )
    lines = ((at, line) for at, text in texts.items() for line in enumerate(text.split("\n"), 1))
    for at, (number, line) in lines:
        for name in _held(line, values):
            what = f"the file holds the value of the secret `{name}`, and what it says is recorded"
            complaints.add_at(number, what, _READ_IT, file=at)
    for parameter, given_value in overrides.items():
        for name in _held(str(given_value), values):
            what = f"parameter `{parameter}` of -p holds the value of the secret `{name}`, and it is recorded"
            complaints.add_unplaced(what, _READ_IT)
    complaints.raise_if_any()


def check_instances(tasks: Iterable[Task], values: Mapping[str, str]) -> None:
    """Raise `ConfigError` for instances with a value of a secret, which their names would show.

    ``values`` are those of the secrets that are set, by the names of their variables.
    """
    found: dict[tuple[str, str], Complaint] = {}
    for task in tasks:
        for name in (name for value in task.values.values() for name in _held(str(value), values)):
            what = f"an instance of `{task.family}` has the value of the secret `{name}`, and its name is recorded"
            complaint = Complaint(what=what, place=task.place_of("instances"), hint=_LEAVE_IT_OUT)
            found.setdefault((task.family, name), complaint)
    if found:
        raise ConfigError(tuple(found.values()))


def _held(text: str, values: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of secrets that a text certainly holds: no plain words, and nothing short."""
    for name, value in values.items():
        telling = len(value) >= _TELLING and not value.isalpha()
        if (telling and value in text) or (len(value) >= SHORTEST and text.strip() == value):
            yield name
