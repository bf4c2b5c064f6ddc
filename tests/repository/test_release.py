"""A tag is released only where the versions, the changelog and the repository's address agree with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.project import Project
from tests.support.workflow import Runner

ROOT = Path(__file__).parents[2]
PROJECT = '[project]\nversion = "1.2.0"\n[project.urls]\nRepository = "https://github.com/ada/nbdag"\n'
CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.2.0\n\n- New: `x`.\n\n## 1.1.0\n\n- Old.\n"
VERSION = '__version__ = "1.2.0"\n'


def notes(root: Path, tag: str = "v1.2.0", **changed: str) -> subprocess.CompletedProcess[str]:
    """Print the notes of a tag in a repository that has these files."""
    files = {"project": PROJECT, "changelog": CHANGELOG, "version": VERSION} | changed
    for path, name in (
        ("pyproject.toml", "project"),
        (".github/CHANGELOG.md", "changelog"),
        ("nbmake_dag/__init__.py", "version"),
    ):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(files[name])
    (root / ".ci").mkdir(exist_ok=True)
    script = root / ".ci/release_notes.py"
    script.write_text((ROOT / ".ci/release_notes.py").read_text())
    return subprocess.run([sys.executable, str(script), tag], capture_output=True, text=True, check=False)


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path):
    """Neither older ones nor the heading."""
    done = notes(tmp_path)
    assert (done.returncode, done.stdout) == (0, "- New: `x`.\n")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"tag": "v1.2.1"}, "the version in pyproject.toml is 1.2.0, and the tag is v1.2.1"),
        ({"tag": "1.2.0"}, "the version in pyproject.toml is 1.2.0, and the tag is 1.2.0"),
        ({"version": '__version__ = "1.1.0"\n'}, "nbmake_dag/__init__.py has another __version__ than 1.2.0"),
        (
            {"project": PROJECT.replace("ada", "OWNER")},
            "pyproject.toml has OWNER in place of the repository's owner",
        ),
        ({"changelog": "## 1.1.0\n\n- Old.\n"}, "the changelog has no section 1.2.0, or nothing in it"),
        (
            {"changelog": "## 1.2.0\n\n## 1.1.0\n\n- Old.\n"},
            "the changelog has no section 1.2.0, or nothing in it",
        ),
        (
            {"changelog": CHANGELOG.replace("Unreleased\n", "Unreleased\n\n- More.\n")},
            "the changelog has unreleased lines above 1.2.0",
        ),
    ],
)
def test_what_does_not_agree_is_not_released(tmp_path, changed, complaint):
    """One sentence, and nothing that could be taken for notes."""
    done = notes(tmp_path, **changed)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{complaint}\n")


def test_a_tag_hands_the_same_files_to_all(tmp_path):
    """Played from the tag on: what was built is tested, attested, published, and released with its changelog."""
    here = Project(tmp_path / "here")
    notes(here.root)
    here.write(".ci/wheel", '#!/bin/sh\n[ -f "$1/x-1.2.0.whl" ] && [ ! -e "$1/notes.md" ]\n')
    (here / ".ci/wheel").chmod(0o755)
    here.commit()
    origin = Project(tmp_path / "origin.git")
    origin.git("init", "-q", "--bare")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    here.git("push", "-q", str(origin.root), "HEAD:refs/heads/main", "HEAD:refs/tags/v1.2.0")
    given = {"event_name": "push", "sha": here.git("rev-parse", "HEAD").strip()}
    runner = Runner(tmp_path / "runner", origin.root)
    jobs = runner.play(ROOT / ".github/workflows/release.yml", ref="refs/tags/v1.2.0", **given)
    files = "dist/x-1.2.0.tar.gz\ndist/x-1.2.0.whl\n"
    assert {name: (job.code, job.log) for name, job in jobs.items()} == {
        "everything": (0, ""),
        "build": (0, ""),
        "attest": (0, files),
        "publish": (0, files),
        "release": (0, ""),
    }
    words = ["--verify-tag", "--title", "v1.2.0", "--notes-file", "notes/notes.md"]
    assert runner.repository["releases"] == [["v1.2.0", *words, *files.split()]]
    wrong = Runner(tmp_path / "other", origin.root)
    jobs = wrong.play(ROOT / ".github/workflows/release.yml", ref="refs/tags/v1.3.0", **given)
    assert {name: job.failed for name, job in jobs.items()} == {
        "everything": [],
        "build": ["Check the version, and take its changelog"],
    }
    assert "the version in pyproject.toml is 1.2.0, and the tag is v1.3.0" in jobs["build"].log


def test_nothing_is_published_that_was_not_tested_as_it_is():
    """Everything that CI does, then the built wheel, its attestation; only then an index gets these files."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert [(name, job.get("needs")) for name, job in jobs.items()] == [
        ("everything", None),
        ("build", "everything"),
        ("attest", "build"),
        ("publish", "attest"),
        ("release", "publish"),
    ]
    builds = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert ["python .ci/release_notes.py" in builds[0], "-m build" in builds[1], ".ci/wheel" in builds[2]] == [
        True
    ] * 3
    stored = [name for name, job in jobs.items() if "secrets." in str(job) or "password" in str(job)]
    assert stored == []
