"""Many short commands: some wait in the worker behind the one that runs, and that changes nothing but the time."""

from __future__ import annotations

from tests.support.project import Project

COUNT = 40


def short_commands(project: Project, bad: str) -> Project:
    """Make commands that each note that they ran; in the middle is another one."""
    for number in range(COUNT):
        project.write(f"in/{number:02}", "x")
    tasks = [
        f"""
        [tasks.t{number:02}]
        command = "{bad if number == COUNT // 2 else "true"}; echo {number} >> ran.log; touch out{number:02}"
        inputs = ["in/{number:02}"]
        outputs = ["out{number:02}"]
        """
        for number in range(COUNT)
    ]
    return project.pipeline("\n".join(tasks))


def ran(project: Project) -> list[int]:
    return [int(line) for line in project.read("ran.log").split()]


def test_nothing_begins_after_a_failure(project: Project) -> None:
    """What was in the worker already is cancelled like all others; with -k it runs."""
    short_commands(project, "echo failed >> ran.log; test -e mended")
    build = project.build("--executor", "inline")
    before = [f"t{number:02}" for number in range(COUNT // 2)]
    after = [f"t{number:02}" for number in range(COUNT // 2 + 1, COUNT)]
    build.ended(1, ran=before, failed=[f"t{COUNT // 2}"], cancelled=after)
    assert project.read("ran.log").splitlines()[-1] == "failed"
    project.build("-k", "--executor", "inline").ended(1, ran=after, failed=[f"t{COUNT // 2}"], up_to_date=before)
    (project / "mended").touch()
    project.build("--executor", "inline").ended(0, ran=[f"t{COUNT // 2}"], up_to_date=[*before, *after])


def test_a_command_that_kills_the_worker_costs_the_others_nothing(project: Project) -> None:
    """What waited behind it runs once, in the next worker, and is not counted as lost."""
    short_commands(project, "kill -9 $PPID; sleep 100")
    build = project.build("-k", "--executor", "inline")
    others = [number for number in range(COUNT) if number != COUNT // 2]
    build.ended(3, failed=[f"t{COUNT // 2}"], ran=[f"t{number:02}" for number in others])
    assert sorted(ran(project)) == others
