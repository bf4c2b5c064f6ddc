"""What is no byte of a file and decides results all the same: empty folders, names, permissions."""

from __future__ import annotations

import pytest

from tests.support.project import Project


@pytest.mark.slow
def test_another_empty_folder_is_another_input(project: Project) -> None:
    """With and without a slash; also none at all, and a list where there were names."""
    (project / "e1").mkdir()
    (project / "e2").mkdir()
    project.write("a.txt", "a")
    project.write("work.py", "def run(inputs, outputs):\n    open(outputs[0], 'w').write(str(inputs))\n")
    table = '[tasks.t]\nfunction = "work:run"\noutputs = ["out.txt"]\ninputs = '
    for declared in (
        '{ d = "e1" }',
        '{ d = "e2" }',
        '{ d = "e2/" }',
        "{}",
        '["a.txt"]',
        '{ 0 = "a.txt" }',
        '["e1"]',
    ):
        project.pipeline(table + declared).build().ran("t")
        project.build().ran()
    assert project.read("out.txt") == "['e1']"


def test_who_may_execute_a_file_is_a_part_of_it(project: Project) -> None:
    """Of an input, and of an output, which is put back as it was; tasks below see the difference."""
    project.write("tool.sh", "#!/bin/sh\necho tool\n").write("mode", "755")
    (project / "tool.sh").chmod(0o755)
    project.pipeline(
        """
        [tasks.use]
        command = "test -x tool.sh && echo yes > use.txt || echo no > use.txt"
        inputs = ["tool.sh"]
        outputs = ["use.txt"]

        [tasks.make]
        command = "echo true > made.sh; chmod $(cat mode) made.sh; mkdir -p f; cp -p made.sh f"
        inputs = ["mode"]
        outputs = ["made.sh", "f/"]

        [tasks.below]
        command = "test -x made.sh && echo yes > below.txt || echo no > below.txt"
        inputs = ["made.sh"]
        outputs = ["below.txt"]

        [tasks.inside]
        command = "test -x f/made.sh && echo yes > inside.txt || echo no > inside.txt"
        inputs = ["f/made.sh"]
        outputs = ["inside.txt"]
        """
    )
    project.build().ran("use", "make", "below", "inside")
    project.build().ran()
    (project / "tool.sh").chmod(0o644)
    project.build().ran("use")
    assert project.read("use.txt") == "no\n"
    project.build().ran()

    (project / "made.sh").chmod(0o644)
    project.build().ran().restored("make")
    assert (project / "made.sh").stat().st_mode & 0o100
    project.remove("made.sh", "f").build().ran().restored("make")
    assert (project / "made.sh").stat().st_mode & 0o100
    assert (project / "f/made.sh").stat().st_mode & 0o100

    project.write("mode", "644").build().ran("make", "below", "inside")
    assert (project.read("below.txt"), project.read("inside.txt")) == ("no\n", "no\n")
    project.write("mode", "755").build().restored("make", "below", "inside")
    assert (project / "made.sh").stat().st_mode & 0o100


def test_empty_folders_of_an_output_are_put_back(project: Project) -> None:
    """Those that are gone, and no others; tasks below see them come and go."""
    project.write("n", "1").pipeline(
        """
        [tasks.make]
        command = "mkdir -p d/a/empty d/b; echo x > d/b/f; [ $(cat n) = 1 ] || mkdir d/more"
        inputs = ["n"]
        outputs = ["d/"]

        [tasks.list]
        command = "find d | sort > list.txt"
        inputs = ["d/"]
        outputs = ["list.txt"]
        """
    )
    project.build().ran("make", "list")
    project.build().ran()
    listed = project.read("list.txt")
    assert "d/a/empty" in listed
    project.remove("d/a/empty").build().ran().restored("make")
    assert (project / "d/a/empty").is_dir()
    (project / "d/a/stray").mkdir()
    project.build().ran().restored("make")
    assert not (project / "d/a/stray").exists()
    project.build().ran().restored()
    project.remove("d").build().ran().restored("make")
    assert (project / "d/a/empty").is_dir()
    project.write("n", "2").build().ran("make", "list")
    assert project.read("list.txt") == listed + "d/more\n"
    project.write("n", "1").build().restored("make", "list")
    assert not (project / "d/more").exists()
