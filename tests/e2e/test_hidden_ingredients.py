"""What other tools miss: undeclared files, inputs edited meanwhile, outputs edited by hand."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.project import NBDAG, Project, await_true


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
        "sly: it used files that it does not declare; "
        'add "hidden/a.txt" to its `inputs` and "extra.txt" to its `outputs`'
    )
    build.said('slow: it used files that it does not declare; add "hidden/b.txt" to its `inputs`')
    project.build().ran()

    project.edit("pipeline.toml", 'outputs = ["out.txt"]', 'outputs = ["out.txt"]\nstrict = true')
    project.build("sly").ended(1, failed=["sly"]).said("hidden/a.txt").said("extra.txt")
    project.edit("pipeline.toml", '["out.txt"]', '["out.txt", "extra.txt"]\ninputs = ["hidden/a.txt"]')
    project.build("sly").ran("sly")
    assert "declare" not in project.build("sly").ran().err


@pytest.mark.timing
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


def test_what_the_user_wrote_is_saved_once_for_a_task_that_is_put_off(project):
    """One that waits behind a task which takes longer than expected begins several times before it runs."""
    project.pipeline("""
        [tasks.slow]
        command = "sleep $(cat seconds.txt) && echo made > slow.txt"
        inputs = ["seconds.txt"]
        outputs = ["slow.txt"]

        [tasks.below]
        command = "cat slow.txt"
        inputs = ["slow.txt"]

        [tasks.beside]
        command = "cat in.txt > out.txt"
        inputs = ["in.txt"]
        outputs = ["out.txt"]
    """)
    project.write("seconds.txt", "0").write("in.txt", "1").build("--executor=inline", "-j1")
    project.write("seconds.txt", "4").write("in.txt", "2").write("out.txt", "edited")
    said = project.build("--executor=inline", "-j1").ran("slow", "beside").err
    assert said.count("to get it back") == 1


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


def test_outputs_of_a_task_that_is_gone_are_moved_away(project):
    """That is reported, and what the user writes there counts."""
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
    project.build().ran("join").said("moved away: parts/old.txt was left by a task")
    assert project.read("all.txt") == "mine\n"
    project.write("parts/old.txt", "adopted\n").build().ran("join")
    assert project.read("all.txt") == "mine\nadopted\n"


@pytest.mark.parametrize(
    ("write", "outputs"),
    [
        ("%%writefile gen.py\nX = 1", ["o.txt"]),
        ("open('gen.py', 'w').write('X = 1')", ["o.txt", "gen.py"]),
        pytest.param("%%writefile gen.py\nX = 1", ["o.txt", "gen.py"], marks=pytest.mark.slow),
        pytest.param("open('gen.py', 'w').write('X = 1')", ["o.txt"], marks=pytest.mark.slow),
    ],
)
def test_a_module_that_a_notebook_writes_itself_is_no_ingredient(
    project: Project, outputs: list[str], write: str
) -> None:
    """The first build of a fresh checkout is recorded, and the next checkout has its result."""
    project.notebook("a.py", write, "import gen\nopen('o.txt', 'w').write(str(gen.X))")
    project.pipeline(f'[tasks.a]\nnotebook = "a.py"\noutputs = {json.dumps(outputs)}\n')
    assert "not recorded" not in project.build().ran("a").err
    project.remove("gen.py", "o.txt").build().restored("a")
    assert project.read("o.txt") == "1"


def test_an_edited_script_that_a_notebook_starts_is_never_skipped(project: Project) -> None:
    """By `!`, `%%bash`, `subprocess` and `%run`; it is not asked for as an input either."""
    cells = {
        "bang": "!python s.py > bang.txt",
        "bash": "%%bash\npython s.py > bash.txt",
        "subp": "import subprocess, sys\n"
        "open('subp.txt', 'wb').write(subprocess.check_output([sys.executable, 's.py']))",
        "magic": "%run s.py\nopen('magic.txt', 'w').write(f'{n}\\n')",
    }
    for name, cell in cells.items():
        project.notebook(f"{name}.py", cell)
    project.pipeline(
        "".join(f'[tasks.{name}]\nnotebook = "{name}.py"\noutputs = ["{name}.txt"]\n' for name in cells)
    )
    project.write("s.py", "n = 1\nprint(n)\n")
    assert "declare" not in project.build().ran(*cells).err
    project.build().ran()
    project.write("s.py", "n = 2\nprint(n)\n").build().ran(*cells)
    assert [project.read(f"{name}.txt") for name in cells] == ["2\n"] * 4


def test_a_script_that_a_task_makes_is_no_ingredient(project: Project) -> None:
    """It is gone on the next machine; but one that git tracks is what somebody edited meanwhile."""
    project.pipeline('[tasks.f]\nfunction = "work:run"\n')
    project.write(
        "work.py",
        """
        import subprocess

        def run():
            script = chr(109) + ".sh"
            subprocess.run(["sh", "-c", f"echo true > {script}"], check=True)
            subprocess.run(["sh", script], check=True)
        """,
    )
    build = project.build().ran("f")
    assert "not recorded" not in build.err
    (project / "m.sh").unlink()
    project.build().ran()
    project.write("m.sh", "true\n")
    project.git("init", "-q")
    project.git("add", "m.sh")
    assert "not recorded: m.sh" in project.nbdag("build", "--force").stderr


def test_code_that_a_task_makes_anew_each_time_is_no_ingredient_where_git_ignores_it(project: Project) -> None:
    """Also if it was there before the first build; of other code nobody can tell who wrote it."""
    project.write(
        "make.py", "import subprocess\nsubprocess.run('echo V=1$(date +%N) > made.py', shell=True)\nimport made"
    )
    project.write("made.py", "V = 0").pipeline('[tasks.t]\ncommand = ["python", "make.py"]\n')
    project.git("init", "-q")
    project.build().ran("t").said("not recorded: module: made.py changed while it ran; code that it writes itself")
    project.write(".gitignore", "made.py\n")
    while project.build().having("ran"):
        assert len(project.nbdag("runs").stdout.splitlines()) < 6
    project.write("made.py", "V = 0").build().ran()


def test_an_edited_script_whose_name_is_computed_is_never_skipped(project: Project) -> None:
    """Only running the code shows it: by `subprocess`, `os.system`, `os.exec` in a child and `!`."""
    starts = (
        "subprocess.run(['sh', f'{name}.sh'])",
        "os.system('sh ' + name + '.sh >> out.txt')",
        "os.fork() or os.execvp('sh', ['sh', f'{name}3.sh'])",
    )
    scripts = ("a.sh", "b.sh", "c3.sh")
    lines = (
        f"    name = chr({ord(script[0])})\n    {start}\n" for script, start in zip(scripts, starts, strict=True)
    )
    project.write("work.py", f"import os, subprocess\ndef run():\n{''.join(lines)}    os.wait()\n")
    project.notebook("n.py", "name = chr(100)\n!sh {name}.sh")
    project.pipeline('[tasks.f]\nfunction = "work:run"\n[tasks.n]\nnotebook = "n.py"\n')
    for script in (*scripts, "d.sh"):
        project.write(script, "true\n")
    project.build().ran("f", "n")
    project.build().ran()
    for script in scripts:
        project.write(script, "true edited\n").build().ran("f")
    project.write("d.sh", "true edited\n").build().ran("n")


def test_code_that_a_task_writes_itself_is_known_from_its_records_alone(project: Project) -> None:
    """Without the state and the runs nothing runs again for it."""
    project.pipeline('[tasks.t]\ncommand = "echo echo 1 > made.sh; sh made.sh > t.txt"\noutputs = ["t.txt"]\n')
    project.build().ran("t")
    project.build().ran()
    project.remove(".nbdag/state", ".nbdag/runs").build().ran()
