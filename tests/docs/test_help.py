"""The documentation that is installed with nbdag is complete, shown by `nbdag help`, and true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbmake_dag import __version__
from nbmake_dag.commands.cli import cli
from nbmake_dag.commands.help import TOPICS
from nbmake_dag.errors import UsageError
from tests.docs import reference

DOCS = reference.DOCS


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield language, file name and text of each block of code."""
    yield from re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def test_every_page_is_a_topic():
    """A page that no topic leads to would be read by nobody."""
    assert sorted([*TOPICS, "index"]) == sorted(page.stem for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("topic", TOPICS)
def test_help_shows_the_page_of_a_topic(topic: str):
    """Not in a terminal it is the text as it is written."""
    assert CliRunner().invoke(cli, ["help", topic]).output == (DOCS / f"{topic}.md").read_text()


def test_help_lists_topics_and_knows_commands():
    """`nbdag help build` is what everybody tries."""
    listed = CliRunner().invoke(cli, ["help"]).output
    assert [topic for topic in TOPICS if f"  {topic} " not in listed] == []
    assert "Usage: nbdag build" in CliRunner().invoke(cli, ["help", "build"]).output


@pytest.mark.parametrize(("topic", "page"), [([], "everything"), (["watch"], "watch"), (["build"], "commands")])
def test_help_opens_pages_in_a_browser(
    topic: list[str], page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They are written where caches are; a command is described on the page of all commands."""
    opened: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", opened.append)
    shown = CliRunner().invoke(cli, ["help", *topic, "--open"]).output.strip()
    assert opened == [f"file://{shown}"]
    assert Path(shown) == tmp_path / "nbdag" / f"help-{__version__}" / f"{page}.html"
    assert "<h1" in Path(shown).read_text()


@pytest.mark.parametrize(("word", "hint"), [("notebook", "`nbdag help notebooks`"), ("xyzzy", "lists the topics")])
def test_an_unknown_topic_has_a_hint(word: str, hint: str):
    """The nearest one, or where all are listed."""
    error = CliRunner().invoke(cli, ["help", word]).exception
    assert isinstance(error, UsageError)
    assert hint in str(error.hint)


@pytest.mark.parametrize(("page", "write"), reference.PAGES.items())
def test_what_is_made_from_the_code_is_what_the_code_says(page: str, write):
    """`python -m tests.docs.reference` writes it again."""
    assert (DOCS / page).read_text() == write()


def test_every_variable_of_ours_is_documented():
    """The text of the sources names no other variable; what ends in ``_`` is the beginning of names."""
    found = {
        name
        for path in (DOCS.parent).rglob("*.py")
        for name in re.findall(r"[\"'](NBDAG_(?:[A-Z_]*[A-Z])?)[\"']", path.read_text())
    }
    documented = reference.VARIABLES | reference.OF_A_TASK | reference.BETWEEN_PROCESSES
    assert found - {"NBDAG_"} == {name for name in documented if name.startswith("NBDAG_")}


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_every_block_of_toml_can_be_read(page: Path):
    """A reader copies it."""
    for language, _, text in blocks(page):
        if language == "toml":
            tomllib.loads(text)


@pytest.mark.slow
def test_the_tutorial_can_be_played(tmp_path: Path):
    """Each file is written, each command succeeds and prints what its comment says."""
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    played = 0
    for language, name, text in blocks(DOCS / "tutorial.md"):
        if name:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif language == "sh":
            for line in text.splitlines():
                command, _, expected = line.partition("  # ")
                done = subprocess.run(
                    ["sh", "-c", command],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
                assert expected.strip() in done.stdout + done.stderr
                played += 1
    assert played > 10
