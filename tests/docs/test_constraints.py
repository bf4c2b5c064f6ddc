"""What CI installs is pinned, and the pins fit what the distribution asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINS = (ROOT / ".ci/constraints.txt").read_text().splitlines()
PINNED = dict(line.split("==") for line in PINS)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED_BY_SCRIPTS = {"build", "doit", "mlflow", "ninja", "opentelemetry-proto-json", "rotel"}


def requirements() -> list[Requirement]:
    """Return all that a developer or CI installs by name."""
    project = PROJECT["project"]
    texts = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    texts += [each for extra in project["optional-dependencies"].values() for each in extra]
    return [each for each in map(Requirement, texts) if canonicalize_name(each.name) != project["name"]]


def test_the_file_holds_pins_and_nothing_else():
    """One name and version to a line, in order: no index, no host, no option."""
    assert [line for line in PINS if not re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!]+", line)] == []
    assert list(PINNED) == sorted(set(PINNED))


def test_everything_that_ci_installs_by_name_is_pinned_within_its_bounds():
    """A bound that is raised in `pyproject.toml` raises its pin too, else nothing could be installed."""
    assert {canonicalize_name(each.name) for each in requirements()} - PINNED.keys() == set()
    assert INSTALLED_BY_SCRIPTS - PINNED.keys() == set()
    wrong = [
        str(each) for each in requirements() if not each.specifier.contains(PINNED[canonicalize_name(each.name)])
    ]
    assert wrong == []
