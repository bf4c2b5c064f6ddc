"""The values that must not leave this machine: one definition for the shared cache and for all reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbmake_dag.core.model import Task
from nbmake_dag.core.urls import secrets_in


def secrets_in_urls(tasks: Iterable[Task]) -> dict[str, str]:
    """Return what may be secrets in the URLs of remote inputs."""
    urls = (item.remote.url for task in tasks for item in task.inputs if item.remote is not None)
    return {name: value for url in urls for name, value in secrets_in(url).items()}


def declared_secrets(tasks: Iterable[Task], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the secrets that tasks declare, by variable; one that is empty counts as not set."""
    declared = dict.fromkeys(name for task in tasks for name in task.secrets)
    return {name: variables[name] for name in declared if variables.get(name)}
