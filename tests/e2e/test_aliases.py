"""Paths that lead by links to what another path names: what could be a wrong result is refused."""

from __future__ import annotations

import pytest

from tests.support.project import Project

MAKES = '[tasks.makes]\ncommand = "cat in.txt > real/x.txt"\ninputs = ["in.txt"]\noutputs = ["real/x.txt"]\n'


def _pipeline(project: Project, path: str, link: str, target: str) -> Project:
    """Let a task read a path, before the one that makes it in the file."""
    reads = f'[tasks.reads]\ncommand = "cat real/x.txt > read.txt"\ninputs = ["{path}"]\noutputs = ["read.txt"]\n'
    project.pipeline(reads + MAKES).write("in.txt", "new\n").write("real/x.txt", "old\n")
    (project / link).parent.mkdir(parents=True, exist_ok=True)
    (project / link).symlink_to(target)
    return project


@pytest.mark.parametrize(
    ("path", "link", "target"),
    [
        ("link/x.txt", "link", "real"),
        ("link/*.txt", "link", "real"),
        ("deep/link/x.txt", "deep", "below"),
        ("x.txt", "x.txt", "real/x.txt"),
        ("link/", "link", "real"),
        ("link/real/x.txt", "link", "."),
        ("link/real/*.txt", "link", "."),
    ],
)
def test_an_input_that_is_an_output_by_another_name_is_refused(
    project: Project, path: str, link: str, target: str
) -> None:
    """The task that reads it would begin before the one that makes it; named as that does, it begins after it."""
    if target == "below":
        (project / "below").mkdir()
        (project / "below/link").symlink_to("../real")
    done = _pipeline(project, path, link, target).nbdag("build")
    what = f"input `{path}` of task `reads` leads by a link to what `makes` makes"
    said = f"error: pipeline.toml:3: {what}\n\nhint: name it as that does: `real/x.txt`\n"
    assert (done.returncode, done.stderr) == (2, said)
    project.edit("pipeline.toml", f'["{path}"]', '["real/x.txt"]').build().ran("makes", "reads")
    assert project.read("read.txt") == "new\n"


def test_outputs_at_the_same_place_are_refused(project: Project) -> None:
    """Each build would put back one of them, for ever."""
    again = MAKES.replace("tasks.makes", "tasks.again").replace("real/", "link/")
    (project / "real").mkdir()
    (project / "link").symlink_to("real")
    done = project.pipeline(MAKES + again).write("in.txt", "").nbdag("build")
    what = "output `link/x.txt` of task `again` is output `real/x.txt` of task `makes`: a link leads there"
    assert done.stderr == f"error: pipeline.toml:8: {what}\n\nhint: give each its own\n"


def test_links_that_lead_to_no_output_or_that_all_name_alike_are_none_of_that(project: Project) -> None:
    """A folder elsewhere that all reach by one link, a link to a file of the user, a link that a task makes."""
    elsewhere = project.root.parent / "elsewhere"
    elsewhere.mkdir()
    (project / "data").symlink_to(elsewhere)
    (project / "mine").symlink_to("in.txt")
    project.write("in.txt", "1\n").pipeline("""
        [tasks.all]
        command = "cat data/*.txt mine latest > all.txt"
        inputs = ["data/*.txt", "mine", "latest"]
        outputs = ["all.txt"]

        [tasks.one]
        command = "cat in.txt > data/one.txt"
        inputs = ["in.txt"]
        outputs = ["data/one.txt"]

        [tasks.latest]
        command = "ln -s in.txt latest"
        inputs = ["data/one.txt"]
        outputs = ["latest"]
    """)
    project.build().ran("one", "latest", "all")
    assert project.read("all.txt") == "1\n1\n1\n"
    project.build().ran()
    project.remove(".nbdag/state").build().ran()
