"""Tests that need something which is not everywhere: left out where it is absent, and said so."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.hosts import can_make_hosts
from tests.support.slurm import can_run_slurm


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _has_python39() -> bool:
    """Tell whether `python3.9` starts; what a version manager puts on the path may not."""
    if shutil.which("python3.9") is None:
        return False
    return subprocess.run(["python3.9", "-c", ""], capture_output=True, check=False).returncode == 0


def _has_r_kernel() -> bool:
    """Tell whether there is R, and the kernelspec of its kernel."""
    from jupyter_client.kernelspec import KernelSpecManager

    return shutil.which("R") is not None and "ir" in KernelSpecManager().find_kernel_specs()


NEEDS: dict[str, Callable[[], bool]] = {
    "axe": (Path(__file__).parents[2] / "reporting/site/node_modules/axe-core").is_dir,
    "chromium": lambda: shutil.which("chromium") is not None and _is_installed("playwright"),
    "julia": lambda: shutil.which("julia") is not None,
    "mlflow": partial(_is_installed, "mlflow"),
    "netns": can_make_hosts,
    "python39": _has_python39,
    "r": _has_r_kernel,
    "roc_validator": lambda: "NBDAG_ROC_VALIDATOR" in os.environ,
    "root": lambda: os.geteuid() == 0 and shutil.which("setpriv") is not None,
    "slurm": can_run_slurm,
    "strace": lambda: shutil.which("strace") is not None,
    "uv": partial(_is_installed, "uv"),
    "otel_oracle": lambda: "NBDAG_OTEL_ORACLE" in os.environ,
}
"""Markers, each with whether what it stands for is here."""

_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where NBDAG_TESTS_NEED names a marker whose need is absent; what workers raise nobody sees."""
    demanded = [] if hasattr(config, "workerinput") else os.environ.get("NBDAG_TESTS_NEED", "").split(",")
    absent = [marker for marker in demanded if marker and not NEEDS[marker]()]
    if absent:
        raise pytest.UsageError(f"NBDAG_TESTS_NEED names what is not here: {', '.join(absent)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests whose needs are absent."""
    absent = {marker for marker, is_there in NEEDS.items() if not is_there()}
    left_out: list[pytest.Item] = []
    counts: dict[str, int] = {}
    for item in items:
        for marker in absent & {mark.name for mark in item.iter_markers()}:
            counts[marker] = counts.get(marker, 0) + 1
            left_out.append(item)
            break
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and for want of what."""
    for marker, count in sorted(config.stash.get(_LEFT_OUT, {}).items()):
        terminalreporter.write_line(f"{count} tests left out: {marker} is not here")
