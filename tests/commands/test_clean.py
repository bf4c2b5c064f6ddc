"""`nbdag clean`: outputs go, what is the user's does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a file and a folder."""
    return Project(tmp_path / "project").pipeline(
        """
        [tasks.words]
        command = "echo one > words.txt"
        outputs = ["words.txt"]

        [tasks.pages]
        command = "mkdir -p pages; cp words.txt pages/1.txt"
        inputs = ["words.txt"]
        outputs = ["pages/"]
        """
    )


def test_outputs_are_removed_and_the_cache_puts_them_back(project: Project) -> None:
    """A folder goes with all that is in it."""
    project.build().ran("words", "pages")
    done = project.nbdag("clean")
    assert (done.stdout, done.stderr) == ("pages/\nwords.txt\n", "removed 2 outputs\n")
    assert not (project / "words.txt").exists()
    assert not (project / "pages").exists()
    project.build().ran().restored("words", "pages")
    assert project.read("pages/1.txt") == "one\n"


def test_only_the_outputs_of_the_targets_go(project: Project) -> None:
    """A target is whatever `nbdag build` takes for one."""
    project.build().ran("words", "pages")
    assert project.nbdag("clean", "pages/1.txt").stdout == "pages/\n"
    assert project.read("words.txt") == "one\n"
    assert project.nbdag("clean", "nothing").returncode == 2


def test_instances_go_whose_maker_left_no_record(project: Project) -> None:
    """What they made is known from their own; a target may be one of them."""
    project.pipeline(
        """
        [tasks.list]
        command = "mkdir -p names; touch names/a names/b names/c"
        outputs = ["names/"]
        cache = false

        [tasks.each]
        instances = { files = "names/{name}" }
        command = "echo {name} > each-{name}.txt"
        outputs = ["each-{name}.txt"]
        """
    )
    project.build().ran("list", "each[name=a]", "each[name=b]", "each[name=c]")
    assert project.nbdag("clean", "each[name=b]").stdout == "each-b.txt\n"
    assert project.nbdag("clean").stdout == "each-a.txt\neach-c.txt\nnames/\n"


def test_what_the_user_put_there_can_be_had_back_by_the_command_that_is_shown(project: Project) -> None:
    """An edited output and a file added to a folder become blobs before they go."""
    project.build().ran("words", "pages")
    project.write("words.txt", "mine").write("pages/2.txt", "also mine")
    done = project.nbdag("clean")
    commands = re.findall(r"to get it back: (cp .*)", done.stderr)
    (project / "pages").mkdir()
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=project.root, check=True)
    assert (len(commands), project.read("words.txt"), project.read("pages/2.txt")) == (2, "mine", "also mine")


def test_what_a_record_holds_needs_no_keeping_even_where_the_state_is_lost(project: Project) -> None:
    """A carried cache knows what nbdag made, without the memory of this checkout."""
    project.build().ran("words", "pages")
    (project / ".nbdag/state/last.json").unlink()
    assert project.nbdag("clean").stderr == "removed 2 outputs\n"


def test_an_output_that_is_a_link_goes_and_what_it_leads_to_stays(project: Project) -> None:
    """Nothing outside the declared paths is removed."""
    project.write("elsewhere/x.txt", "far")
    (project / "pages").symlink_to("elsewhere", target_is_directory=True)
    assert project.nbdag("clean").returncode == 0
    assert not (project / "pages").is_symlink()
    assert project.read("elsewhere/x.txt") == "far"


def test_removing_the_cache_asks_first_and_is_refused_where_nobody_can_answer(project: Project) -> None:
    """Nothing at all is removed without an answer."""
    project.build().ran("words", "pages")
    done = project.nbdag("clean", "--cache")
    assert (done.returncode, "add --yes" in done.stderr) == (2, True)
    assert project.read("words.txt") == "one\n"
    assert project.nbdag("clean", "--cache", "words", "--yes").returncode == 2


def test_without_its_cache_everything_runs_again_and_the_users_bytes_are_still_there(project: Project) -> None:
    """The runs stay, and so does what only the user had."""
    project.build().ran("words", "pages")
    project.write("words.txt", "mine")
    done = project.nbdag("clean", "--cache", "--yes")
    (blob,) = re.findall(r"cp (\S+) words.txt", done.stderr)
    left = sorted(str(path.relative_to(project / ".nbdag")) for path in (project / ".nbdag/cache").rglob("*"))
    assert [path for path in left if (project / ".nbdag" / path).is_file()] == [blob.removeprefix(".nbdag/")]
    assert project.read(blob) == "mine"
    project.build().ran("words", "pages")
