"""The attributes that all spans of a run share: the program, the pipeline, the machine, the commit, the CI job."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbmake_dag.observe.ci import ci_attributes
from nbmake_dag.observe.vcs import git_attributes
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.spans import AttributeValue, Resource, attribute_text

if TYPE_CHECKING:
    from nbmake_dag.core.trial import Trial

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SCHEMA = 1


def run_resource(
    *,
    pipeline: str,
    run_id: str,
    version: str,
    root: str,
    repository: str,
    environ: Mapping[str, str],
    dirty: bool | None = None,
    trial: Trial | None = None,
) -> Resource:
    """Describe a run of a pipeline. Facts about the commit from CI take precedence over those from git's files.

    ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` are honoured as an SDK does.
    """
    attributes: dict[str, AttributeValue] = {
        schema.SERVICE_NAME: "nbdag",
        **_otel_attributes(environ),
        schema.SERVICE_VERSION: version,
        schema.SCHEMA_VERSION: _SCHEMA,
        schema.PIPELINE_NAME: pipeline,
        schema.RUN_ID: run_id,
        **git_attributes(repository),
        **ci_attributes(environ),
        **_process(root, environ),
        **_machine(),
    }
    if trial is not None:
        attributes[schema.RUN_KIND] = trial.kind
        if trial.commit:
            attributes[schema.VCS_HEAD_REVISION] = trial.commit
    elif dirty is not None:
        attributes[schema.VCS_DIRTY] = dirty
    return Resource(
        attributes={
            attribute_text(name): attribute_text(value) if isinstance(value, str) else value
            for name, value in attributes.items()
        },
        version=version,
    )


def _otel_attributes(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    pairs = (pair.partition("=") for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    found: dict[str, AttributeValue] = {
        name.strip(): _unquote(value.strip()) for name, _, value in pairs if name.strip()
    }
    if name := environ.get("OTEL_SERVICE_NAME"):
        found[schema.SERVICE_NAME] = name
    return found


def _unquote(value: str) -> str:
    if "%" not in value:
        return value
    from urllib.parse import unquote  # noqa: PLC0415  # costs milliseconds, for the few who need it

    return unquote(value)


def _process(root: str, environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    version = sys.version_info
    found: dict[str, AttributeValue] = {
        schema.PROCESS_PID: os.getpid(),
        schema.PROCESS_ARGUMENTS: [attribute_text(argument) for argument in sys.orig_argv],
        schema.PROCESS_DIRECTORY: root,
        schema.RUNTIME_NAME: sys.implementation.name,
        schema.RUNTIME_VERSION: f"{version.major}.{version.minor}.{version.micro}",
    }
    owner = environ.get("LOGNAME") or environ.get("USER")
    return {**found, schema.PROCESS_OWNER: owner} if owner else found


def _machine() -> dict[str, AttributeValue]:
    name = os.uname()
    found: dict[str, AttributeValue] = {
        schema.HOST_NAME: name.nodename,
        schema.HOST_ARCH: _ARCHITECTURES.get(name.machine, name.machine),
        schema.OS_TYPE: name.sysname.lower(),
        schema.OS_VERSION: name.release,
    }
    cpu = _cpu_model()
    return {**found, schema.HOST_CPU: cpu} if cpu else found


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", "rb") as file:
            head = file.read(1024).decode("utf-8", "replace")
    except OSError:
        return ""
    return next(
        (line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("model name")), ""
    )
