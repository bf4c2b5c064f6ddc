"""The pages of the repository lead to each other, and speak of the version that is there."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page):
    """To a file or a folder, from the page that has it."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text())
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_the_changelog_tells_of_the_version_that_is_there():
    """Under a heading of its own, or as not yet released."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version}\n" in (ROOT / ".github/CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", [".github/CONTRIBUTING.md", ".github/SECURITY.md"])
def test_every_file_that_a_page_names_exists(page):
    """From the top of the repository, or below one of the libraries."""
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+|\.ci/\w+)`", (ROOT / page).read_text())
    assert named
    folders = (ROOT, ROOT / "nbmake_dag", ROOT / "cache", ROOT / "reporting")
    assert [path for path in named if not any((folder / path).exists() for folder in folders)] == []
