"""The environment variables of a trial: those that say where programs are, and those that its caller names.

A result that depends on any other variable depends on something that its pipeline does not declare.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from nbmake_dag.core.model import Pipeline
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.secrets import declared_secrets

S = TypeVar("S", bound=msgspec.Struct)

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
_BEGINNINGS = (
    "LC_",
    "XDG_",
    "PYTHON",
    "JUPYTER_",
    "IPYTHON",
    "CONDA_",
    "R_",
    "JULIA_",
    "CUDA_",
    "NVIDIA_",
)
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})


def passed_to(pipeline: Pipeline, *, secrets: bool) -> frozenset[str]:
    """Return the names of the variables that trials see besides: those of the software, and if wanted secrets."""
    declared = frozenset(pipeline.software.variables)
    return declared.union(pipeline.secrets) if secrets else declared


def redactor_of(pipeline: Pipeline, environ: Mapping[str, str]) -> Redactor:
    """Return what takes the secrets of all tasks out of what is written down."""
    return Redactor(declared_secrets(pipeline, environ))


def redacted(document: S, redactor: Redactor) -> S:
    """Return a document without secrets: it shows what differs in files and cells, and how tasks fail."""
    return msgspec.convert(_redacted(msgspec.to_builtins(document), redactor), type(document))


def _redacted(value: Any, redactor: Redactor) -> Any:
    match value:
        case str():
            return redactor.text(value)
        case list() | tuple():
            return [_redacted(item, redactor) for item in value]
        case dict():
            return {name: _redacted(item, redactor) for name, item in value.items()}
        case _:
            return value


def clean(environ: Mapping[str, str], passed: Collection[str]) -> dict[str, str]:
    """Return the variables that a trial sees of an environment; ``passed`` are names of others that it may see."""
    return {name: value for name, value in environ.items() if name in passed or _is_of_machine(name)}


def _is_of_machine(name: str) -> bool:
    return name in _NAMES or name.startswith(_BEGINNINGS) or name.lower() in _PROXIES
