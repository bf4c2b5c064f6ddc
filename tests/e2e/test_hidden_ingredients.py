"""What other tools miss: undeclared files, inputs edited meanwhile, outputs edited by hand."""

from __future__ import annotations

import subprocess

from tests.project import NBDAG, await_true


def test_files_used_but_not_declared_are_said_as_lines_to_add(project):
    """Once per task, as a warning; with `strict` as a failure; with those lines all is well."""
    project.pipeline(
        """
        [tasks.sly]
        notebook = "sly.py"
        outputs = ["out.txt"]

        [tasks.slow]
        function = "work:sly"
        """
    )
    project.write("work.py", "def sly():\n    open('hidden/b.txt').close()\n")
    project.write("hidden/a.txt", "a").write("hidden/b.txt", "b")
    project.notebook(
        "sly.py",
        "text = open('hidden/a.txt').read()",
        "open('extra.txt', 'w').write(text)",
        "open('out.txt', 'w').write(text)",
    )
    build = project.build("--output=auto").ran("sly", "slow")
    build.said(
        'sly: it used files that it does not declare; add inputs += ["hidden/a.txt"], outputs += ["extra.txt"]'
    )
    build.said('slow: it used files that it does not declare; add inputs += ["hidden/b.txt"]')
    project.build().ran()

    project.edit("pipeline.toml", 'outputs = ["out.txt"]', 'outputs = ["out.txt"]\nstrict = true')
    project.build("sly").ended(1, failed=["sly"]).said("hidden/a.txt").said("extra.txt")
    project.edit("pipeline.toml", '["out.txt"]', '["out.txt", "extra.txt"]\ninputs = ["hidden/a.txt"]')
    project.build("sly").ran("sly")
    assert "declare" not in project.build("sly").ran().err


def test_an_input_edited_while_its_task_runs_is_not_recorded(project):
    """The outputs stay, the user is warned, and the next build runs the task again."""
    begun, go = project.root.parent / "begun", project.root.parent / "go"
    project.write("in.txt", "old").pipeline(
        f"""
        [tasks.slow]
        command = "cat in.txt > out.txt; touch {begun}; while ! test -e {go}; do sleep 0.05; done"
        inputs = ["in.txt"]
        outputs = ["out.txt"]
        """
    )
    build = project.start("build")
    await_true(begun.exists, 60, "the task did not begin")
    project.write("in.txt", "new")
    go.touch()
    assert build.wait(60) == 0
    assert project.read("out.txt") == "old"
    project.build().ran("slow")
    assert project.read("out.txt") == "new"
    project.build().ran().restored()
    project.write("in.txt", "old").build().ran("slow")


def test_a_task_that_edits_its_own_input_is_warned_about(project):
    """It would run for ever; it says so each time, and records nothing."""
    project.write("in.txt", "x").pipeline('[tasks.own]\ncommand = "echo y >> in.txt"\ninputs = ["in.txt"]\n')
    project.build().ran("own").said("own: not recorded: input: in.txt changed while it ran")
    project.build().ran("own")


def test_what_the_user_wrote_over_an_output_can_be_had_back(project):
    """Also what stood there before the first build."""
    project.pipeline('[tasks.make]\ncommand = "echo made > out.txt"\noutputs = ["out.txt"]\n')
    for build in (project.write("out.txt", "before").build().ran("make"), None):
        said = build or project.write("out.txt", "edited").build().ran().restored("make")
        line = next(line for line in said.err.splitlines() if "to get it back: " in line)
        assert project.read("out.txt") == "made\n"
        blob = line.partition("to get it back: cp ")[2].split()[0]
        assert project.read(blob) == ("before" if build else "edited")
    project.write("out.txt", "edited again").write("sub/x", "")
    said = subprocess.run(
        [*NBDAG, "build", "../out.txt"], cwd=project / "sub", capture_output=True, text=True, check=True
    ).stderr
    _, _, command = said.splitlines()[0].partition("to get it back: ")
    subprocess.run(["sh", "-c", command], cwd=project / "sub", check=True)
    assert project.read("out.txt") == "edited again"


def test_a_linked_input_counts_by_its_target(project):
    """Its content, wherever it lies."""
    target = project.root.parent / "target.txt"
    target.write_text("1")
    (project / "in.txt").symlink_to(target)
    project.pipeline('[tasks.copy]\ncommand = "cp in.txt out.txt"\ninputs = ["in.txt"]\noutputs = ["out.txt"]\n')
    project.build().ran("copy")
    target.write_text("2")
    project.build().ran("copy")
    assert project.read("out.txt") == "2"


def test_outputs_of_a_task_that_is_gone_match_no_glob(project):
    """They are warned about, and count again once the user has edited them."""
    project.pipeline(
        """
        [tasks.join]
        function = "work:join"
        inputs = ["parts/*.txt"]
        outputs = ["all.txt"]

        [tasks.old]
        command = "echo old > parts/old.txt"
        outputs = ["parts/old.txt"]
        """
    )
    project.write(
        "work.py",
        """
        def join(inputs, outputs):
            with open(outputs[0], "w") as file:
                file.writelines(open(path).read() for path in inputs[0])
        """,
    )
    project.write("parts/mine.txt", "mine\n").build().ran("old", "join")
    text = project.read("pipeline.toml")
    project.write("pipeline.toml", text[: text.index("[tasks.old]")])
    project.build().ran("join").said("parts/old.txt was left by a task that no longer exists; no glob matches it")
    assert project.read("all.txt") == "mine\n"
    project.write("parts/old.txt", "adopted\n").build().ran("join")
    assert project.read("all.txt") == "mine\nadopted\n"
