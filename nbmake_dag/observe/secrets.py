"""The values that must not leave this machine: one definition for the shared cache and for all reports."""

from __future__ import annotations

from collections.abc import Mapping

from nbmake_dag.core.model import Settings
from nbmake_dag.core.urls import secrets_in


def secrets_in_urls(settings: Settings) -> dict[str, str]:
    """Return what may be secrets in the URLs of remote inputs."""
    return {name: value for url in settings.urls for name, value in secrets_in(url).items()}


def declared_secrets(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the secrets that are declared, by variable; one that is empty counts as not set."""
    return {name: variables[name] for name in settings.secrets if variables.get(name)}
