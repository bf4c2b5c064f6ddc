"""Docstrings, help texts, messages and pages are in plain English, read once."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "nbmake_dag/*.py", "cache/*.py", "reporting/*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "pipeline.toml.example",
    *ROOT.glob("*/README.md"),
    *ROOT.glob("*/*/README.md"),
    *ROOT.glob("nbmake_dag/docs/*.md"),
    *ROOT.glob("reporting/site/src/*.ts*"),
]
ODDITIES = re.compile(
    r"\b(?:is|are|was) said\b|\bsay so\b|\bsays so of\b|\bsought\b|\brests? on\b|\bwaited out\b|\btells? of\b"
    r"|\btold of\b|\bmade anew\b|\bnobody can be asked\b|\bcannot be had\b|\bmay be had\b|\bwhom\b|\blast words?\b"
    r"|\b(?:wakes|helps|mentions|tells|asks) nobody\b|\bwhatever (?:comes|came|becomes) of\b"
    r"|\bcomes? to nothing\b"
    r"|\bcan(?:not)? be told\b|\bonly (?:running|starting) \w+(?: \w+)? (?:would|could) tell\b|^Say |[.;] Say "
    r"|\bgit cannot say\b|(?<!there )\bis no (?:file|key|class|text|blob|link|table|number)\b"
    r"|\btakes? the place of\b"
    r"|\bbehind the back\b|\bwhat became of\b|\bthere is nobody\b|\bfor want of\b|\bis to go\b",
    re.IGNORECASE,
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each text of the code: docstrings, notes below attributes, messages."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Constant(value=str(text)):
                yield node.lineno, " ".join(text.split())


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_text_of_the_code_has_an_odd_idiom(path: Path) -> None:
    """A message or a docstring is understood at the first reading."""
    found = [f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in texts(path) if ODDITIES.search(text)]

    assert found == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_documents_have_no_odd_idiom(path: Path) -> None:
    """Nor has what a user reads first."""
    lines = path.read_text().splitlines()

    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if ODDITIES.search(line)] == []
