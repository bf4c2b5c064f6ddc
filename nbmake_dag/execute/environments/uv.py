"""uv, which makes environments: a Python of the wanted version, and packages exactly as they are locked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module

from nbmake_dag.execute.protocol import EnvironmentSpec

NAME = "uv"
_REQUIREMENTS = "nbdag-requirements.txt"
_PASSED_ON = (
    "UV_CACHE_DIR",
    "UV_CONCURRENT_",
    "UV_CONFIG_FILE",
    "UV_CREDENTIALS_DIR",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_",
    "UV_INDEX",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_OFFLINE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL_",
    "UV_PYTHON_PREFERENCE",
    "UV_SYSTEM_CERTS",
)
"""The variables of uv that say where things come from; others could change what is installed."""
_OF_OTHER_PYTHONS = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "NBDAG_")


class ToolMissingError(Exception):
    """There is no uv here."""


def make(spec: EnvironmentSpec, folder: str, run: Callable[[Sequence[str], dict[str, str], str], None]) -> None:
    """Make an environment at a path; ``run`` runs a program with its variables in a folder, or raises."""
    uv, beside = find(), os.path.dirname(folder)
    env = _variables()
    python = os.path.join(folder, "bin", "python")
    run(
        (uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", f"cpython@{spec.python}", folder),
        env,
        beside,
    )
    requirements = os.path.join(folder, _REQUIREMENTS)
    with open(requirements, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in spec.requirements)
    binary = () if spec.build else ("--only-binary", ":all:")
    # a file that was linked into uv's cache would change there, when it is edited here
    options = ("--no-deps", "--require-hashes", "--link-mode", "copy", *binary)
    run((uv, "pip", "install", "--quiet", "--python", python, *options, "-r", requirements), env, beside)


def find() -> str:
    """Return the path of uv, beside nbdag or else on the search path; or raise `ToolMissingError`."""
    try:
        return str(import_module("uv").find_uv_bin())
    except (ImportError, AttributeError, FileNotFoundError):
        pass
    if found := shutil.which(NAME):
        return found
    raise ToolMissingError


def _variables() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OF_OTHER_PYTHONS) and (not name.startswith("UV_") or name.startswith(_PASSED_ON))
    }
