"""What was recorded, read back by `runs`, `show`, `graph` and `export`: from a checkout, and from a bundle."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from nbmake_dag.commands.cli import run
from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "story"

    [tasks.make]
    notebook = "make.py"
    parameters = { n = 2 }
    inputs = { rows = "rows/*.txt" }
    outputs = { made = "made.txt" }
    notebook_output = "executed/make.ipynb"

    [tasks.fail]
    notebook = "fail.py"
    inputs = ["made.txt"]
    outputs = ["failed.txt"]

    [tasks.after]
    command = "cp failed.txt after.txt"
    inputs = ["failed.txt"]
    outputs = ["after.txt"]
"""
MAKE = (
    "# markdown\nFirst text",
    "# parameters\nn = 0\ninputs = {}\noutputs = {}",
    "import nbmake_dag as nbdag",
    "print('n is', n)\nnbdag.log_metric('double', 2 * n)\nnbdag.log_text('made', 'notes/note.txt')",
    "open(outputs['made'], 'w').write(str(n))",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Run a failing pipeline, edit text, and run it again: two runs, the second with a hit."""
    project = Project(tmp_path_factory.mktemp("story") / "project").pipeline(PIPELINE)
    project.write("rows/b.txt", "b").write("rows/a.txt", "a").write(".gitignore", ".nbdag\n")
    project.notebook("make.py", *MAKE).notebook("fail.py", "x = 1", "print('so far')\n1 / 0").commit()
    project.build("-k", "--executor=inline").ended(1, ran=["make"], failed=["fail"], skipped=["after"])
    shutil.copy(project / "executed/make.ipynb", project / "first.ipynb")
    project.edit("make.py", "First text", "Second text").edit(
        "make.py", "print('n is', n)", "print('n is', n)  # new"
    )
    project.build("-k", "--executor=inline").ended(1, up_to_date=["make"], failed=["fail"], skipped=["after"])
    return project


@pytest.fixture
def nbdag(built: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in this process, and give what it says, without times and identifiers."""

    def said(*arguments: str, code: int = 0) -> str:
        assert run(["-C", str(built.root), *arguments]) == code
        captured = capsys.readouterr()
        text = re.sub(r"\d{8}-\d{6}-\d{3}-[0-9a-f]+", "RUN", captured.out + captured.err)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", text)
        text = re.sub(r"[\d.]+ (s|min)\b( \d+ s)?", "TIME", text)
        return re.sub(r"\b[0-9a-f]{32,40}\b", "DIGEST", text)

    return said


def test_the_latest_run_is_compared_with_another(nbdag: Callable[..., str]) -> None:
    """One named run is compared with the latest; that itself is refused."""
    assert nbdag("diff", "latest~1").startswith("RUN → RUN\n")
    refused = nbdag("diff", "latest", code=2)
    assert refused.endswith("hint: name another: nbdag diff latest~1 latest\n")


def test_a_run_that_is_not_there_has_an_exit_code_of_its_own(nbdag: Callable[..., str], built: Project) -> None:
    """A script tells it from a wrong call; a branch is meant although a file that is not a bundle has its name."""
    assert nbdag("diff", "no-such-branch", "latest", code=5).startswith("error: no run is named no-such-branch\n")
    assert nbdag("diff", "2", "latest", code=2).startswith(
        "error: 2 runs have names that start with 2: RUN, RUN\n"
    )
    branch = built.git("branch", "--show-current").strip()
    built.write(branch, "hello").write("nothing", "hello").write("broken.json", "hello")
    try:
        assert nbdag("show", branch) == nbdag("show", "latest")
        assert "is not a bundle" in nbdag("diff", "nothing", "latest", code=5)
        assert "is not a bundle" in nbdag("diff", "broken.json", "latest", code=2)
    finally:
        for name in (branch, "nothing", "broken.json"):
            (built / name).unlink()


def test_a_comparison_counts_all_cells(tmp_path: Path) -> None:
    """An ingredient that is a cell is numbered like the cell in the reason."""
    project = Project(tmp_path / "project").pipeline('[tasks.a]\nnotebook = "a.py"')
    project.notebook("a.py", "# markdown\nText", "# nothing", "x = 1")
    project.build("--executor=inline").ran("a")
    assert project.edit("a.py", "x = 1", "x = 2").build().ran("a").reasons("a") == ["code: a.py, cell 3"]
    compared = project.nbdag("diff", "latest~1", "latest").stdout
    assert "\n  a  code: a.py, cell 3\n" in compared
    assert "\n  a  cell 3  " in compared


def test_an_instance_is_shown_and_a_family_is_told_apart(tmp_path: Path) -> None:
    """Its parameters may stand in any order; a family is several tasks."""
    project = Project(tmp_path / "project").pipeline(
        '[tasks.grid]\nmatrix = { n = [1, 2], shop = ["a"] }\ncommand = "echo {n} {shop}"\n'
    )
    project.build().ran("grid[n=1,shop=a]", "grid[n=2,shop=a]")
    assert json.loads(project.nbdag("show", "latest", "grid[shop=a,n=2]", "--json").stdout)["params"]["n"] == 2
    several = (
        "error: `grid` stands for 2 tasks\n\nhint: name one of them: 'grid[n=1,shop=a]', 'grid[n=2,shop=a]'\n"
    )
    assert project.nbdag("show", "latest", "grid").stderr == several
    assert project.nbdag("explain", "grid").stderr == several


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_runs_are_listed_newest_first(nbdag, built):
    """One line each: when, how it ended, what its tasks did, how long it took, of which commit."""
    commit = built.git("rev-parse", "HEAD").strip()[:9]
    counts = ("1 up to date, 1 failed, 1 skipped", "1 ran, 1 failed, 1 skipped")
    lines = squeezed(nbdag("runs"))
    assert lines[0].split() == ["run", "started", "result", "duration", "saved", "commit", "branch", "tasks"]
    assert [line.replace("TIME TIME", "TIME") for line in lines[1:]] == [
        f"RUN WHEN failure TIME {commit} main {count}" for count in counts
    ]
    assert len(squeezed(nbdag("runs", "-n1"))) == 2
    listed = json.loads(nbdag("runs", "--json"))["runs"]
    assert [head["counts"]["failed"] for head in listed] == [1, 1]
    assert "directory" not in listed[0]


def test_a_run_says_what_its_tasks_did_and_why(nbdag):
    """A hit, a failure with its cause, and what was skipped."""
    lines = squeezed(nbdag("show", "latest"))
    assert lines[0] == "run RUN story failure"
    assert lines[2] == "commit DIGEST (main), with changes"
    assert lines[-3:] == [
        "= up to date make",
        "✗ failed fail TIME ZeroDivisionError in cell 2: division by zero",
        "↷ skipped after",
    ]


def test_a_run_is_found_by_every_name(nbdag, built):
    """By latest, an offset, a unique prefix, a branch, and a commit."""
    newest = json.loads(nbdag("runs", "--json", "-n1"))["runs"]
    for ref in ("latest", "main", "HEAD", built.git("rev-parse", "--short", "HEAD").strip()):
        assert json.loads(nbdag("show", ref, "--json"))["started"] == newest[0]["started"]
    assert json.loads(nbdag("show", "latest~1", "--json"))["started"] != newest[0]["started"]
    assert nbdag("show", "latest~2", code=5).startswith("error: there is no run latest~2: 2 are recorded\n")
    assert nbdag("show", "nope", code=5).startswith("error: no run is named nope\n")
    assert nbdag("show", "make", code=5).endswith("\nhint: it is a task: `nbdag show latest make` shows it\n")
    built.git("branch", "-f", "other")
    built.git("checkout", "-q", "other")
    built.git("commit", "-q", "--allow-empty", "-m", "later")
    assert nbdag("show", "other", code=5).startswith("error: no run has seen commit DIGEST\n")
    built.git("checkout", "-q", "main")


def test_a_task_that_is_a_hit_has_all_values_of_the_execution(nbdag):
    """Parameters, metrics, artefacts, outputs, and the text of its cells, as the source is now."""
    text = nbdag("show", "latest", "make")
    lines = squeezed(text)
    assert lines[:2] == ["= make up to date in run RUN", "from run RUN, saved TIME"]
    for line in ("n 2", "double 4", "n is 2"):
        assert line in lines
    assert any(line.startswith("notes/note.txt 4 B, text/plain, sha256 ") for line in lines)
    assert "Traceback" not in text


def test_a_failed_task_shows_where(nbdag):
    """The failing cell with its line marked, the traceback without colours, and what was printed before."""
    text = nbdag("show", "latest", "fail")
    assert "attempt 1: ZeroDivisionError in cell 2: division by zero" in text
    assert "  >   2 | 1 / 0" in text.splitlines()
    assert text.endswith("cell 2\n  so far\n")
    assert "\x1b" not in text


def test_the_executed_notebook_is_current(nbdag, built, tmp_path):
    """A hit's notebook has the new text and comments, the old outputs, and the parameters as injected."""
    nbdag("show", "latest", "make", "--notebook", str(tmp_path / "now.ipynb"))
    nbdag("show", "latest~1", "make", "--notebook", str(tmp_path / "then.ipynb"))
    now, then = (nbformat.read(tmp_path / name, 4) for name in ("now.ipynb", "then.ipynb"))
    nbformat.validate(now)
    sources = [cell.source for cell in now.cells]
    assert (sources[0], then.cells[0].source) == ("Second text", "First text")
    assert "# new" in sources[4]
    assert sources[2] == then.cells[2].source
    assert [cell.get("outputs") for cell in now.cells] == [cell.get("outputs") for cell in then.cells]
    assert 'inputs = {"rows": ["rows/a.txt", "rows/b.txt"]}' in sources[2]


def test_notebook_output_follows_the_text(built):
    """The declared copy was written when the task ran, and again when only its text had changed."""
    then, now = nbformat.read(built / "first.ipynb", 4), nbformat.read(built / "executed/make.ipynb", 4)
    assert (then.cells[0].source, now.cells[0].source) == ("First text", "Second text")
    assert (
        then.cells[4].outputs
        == now.cells[4].outputs
        == [{"output_type": "stream", "name": "stdout", "text": "n is 2\n"}]
    )


def test_a_copy_that_a_person_changed_becomes_a_blob(built, tmp_path):
    """Before it is replaced, with the way to get it back; one that is current is not touched, nor said."""
    shutil.copytree(built.root, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    project.edit("executed/make.ipynb", "Second text", "my notes").edit("make.py", "Second text", "Third text")
    said = project.build("make").ran().err
    blob = re.search(r"executed/make.ipynb was not made by nbdag; to get it back: cp (\S+)", said)
    assert blob
    assert "my notes" in project.read(blob[1])
    assert "Third text" in project.read("executed/make.ipynb")
    assert "was not made" not in project.edit("make.py", "Third text", "Fourth text").build("make").ran().err
    assert "Fourth text" in project.read("executed/make.ipynb")


def test_graphs_of_the_pipeline_and_of_a_run(nbdag):
    """The same graph, with and without what happened."""
    edges = ["    t0 --> t1", "    t1 --> t2"]
    nodes = ['    t0["make"]', '    t1["fail"]', '    t2[["after"]]']
    assert nbdag("graph").splitlines() == ["flowchart LR", *nodes, *edges]
    assert nbdag("graph", "--run=latest").splitlines()[1:4] == [
        '    t0["make<br>= up to date"]',
        '    t1["fail<br>✗ failed"]',
        '    t2[["after<br>↷ skipped"]]',
    ]
    assert nbdag("graph", "--format=svg").startswith("<svg ")
    assert nbdag("graph", "--format=dot").startswith('digraph "story" {')
    assert [node["name"] for node in json.loads(nbdag("graph", "--format=json"))["nodes"]] == [
        "make",
        "fail",
        "after",
    ]


def test_a_bundle_is_shown_without_its_checkout(nbdag, tmp_path, capsys, monkeypatch):
    """All that `show` says of a run, of its hits and failures, and the merged notebook, come from the one file."""
    bundle = str(tmp_path / "run.json")
    nbdag("export", "latest", "--bundle", bundle)
    expected = [nbdag("show", "latest", *task) for task in ((), ("make",), ("fail",))]
    monkeypatch.chdir(tmp_path)
    assert [nbdag("show", bundle, *task) for task in ((), ("make",), ("fail",))] == expected
    assert run(["show", "run.json", "make", "--notebook", "n.ipynb"]) == 0
    assert nbformat.read(tmp_path / "n.ipynb", 4).cells[0].source == "Second text"
    (tmp_path / "other.json").write_text("{}")
    assert "is not a bundle" in nbdag("show", str(tmp_path / "other.json"), code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "-o", "kept"),
        ("export", "-o", "kept"),
        ("export", "--bundle", "kept/file"),
        ("show", "latest", "make", "--notebook", "kept/file"),
        ("build", "--summarize=kept/file"),
    ],
)
def test_a_persons_files_are_not_replaced(built: Project, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Whatever command writes where it is told refuses what it has not written, with a hint."""
    kept = tmp_path / "kept"
    for name in ("file", "index.html", "site.json", "data/mine.csv"):
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_text('{"format": 1}')
    command, *others = (argument.replace("kept", str(kept)) for argument in arguments)
    before = sorted((path, path.is_file() and path.read_text()) for path in kept.rglob("*"))
    done = built.nbdag(command, *others)
    assert (done.returncode, "hint: name a" in done.stderr) == (2, True)
    assert sorted((path, path.is_file() and path.read_text()) for path in kept.rglob("*")) == before


def test_what_a_command_wrote_it_replaces(tmp_path: Path) -> None:
    """A site, a bundle and a summary are written again to where they are; what is empty is as good as none."""
    built = Project(tmp_path / "project").pipeline('[tasks.make]\ncommand = "true"')
    (tmp_path / "site").mkdir()
    (tmp_path / "run.json").touch()
    for _ in range(2):
        assert built.nbdag("build", "--force", f"--summarize={tmp_path / 'summary.json'}").returncode == 0
        assert built.nbdag("report", "-o", str(tmp_path / "site")).returncode == 0
        assert built.nbdag("export", "--bundle", str(tmp_path / "run.json")).returncode == 0
    (tmp_path / "site/app.js").unlink()
    (tmp_path / "site/site.json").write_text('{"format":0,"publish_host":false,"runs":{},"size":0}')
    assert built.nbdag("report", "-o", str(tmp_path / "site")).returncode == 0
    assert (tmp_path / "site/app.js").exists()


def test_a_tree_is_written_once(nbdag, tmp_path):
    """Notebooks as ipynb and html, artefacts under their names; a folder with content is refused."""
    out = tmp_path / "out"
    nbdag("export", "latest", "-o", str(out))
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == [
        "dag.mmd",
        "gantt.mmd",
        "run.json",
        "tasks/after/task.json",
        "tasks/fail/notebook.html",
        "tasks/fail/notebook.ipynb",
        "tasks/fail/task.json",
        "tasks/make/artifacts/notes/note.txt",
        "tasks/make/notebook.html",
        "tasks/make/notebook.ipynb",
        "tasks/make/task.json",
        "trace.otlp.jsonl",
    ]
    assert "Second text" in (out / "tasks/make/notebook.html").read_text()
    assert "is not an empty folder" in nbdag("export", "latest", "-o", str(out), code=2)
    assert "nothing to write" in nbdag("export", code=2)


def test_a_run_that_was_cut_off_is_readable(built, nbdag, tmp_path):
    """Without the end of its record a run is interrupted; what had ended is as it was."""
    copy = tmp_path / "copy"
    shutil.copytree(built.root, copy, symlinks=True)
    newest: Path = max((copy / ".nbdag/runs").glob("2*"))
    lines = (newest / "trace.otlp.jsonl").read_bytes().splitlines(keepends=True)
    (newest / "trace.otlp.jsonl").write_bytes(b"".join(lines[:-2]))
    events = (newest / "events.jsonl").read_bytes().splitlines(keepends=True)
    (newest / "events.jsonl").write_bytes(b"".join(events[:-2]))
    assert "interrupted" in nbdag("-C", str(copy), "runs").splitlines()[1]
    text = squeezed(nbdag("-C", str(copy), "show"))
    assert text[0] == "run RUN story interrupted"
    assert any(line.startswith("✗ failed fail") for line in text)
    assert "- cancelled after" in text


def test_what_a_task_printed_can_be_shown_alone(nbdag, built):
    """Of a hit too, from the notebook that is kept; silence is mentioned."""
    assert nbdag("show", "latest", "fail", "--log") == "so far\n"
    assert nbdag("show", "latest", "make", "--log") == "n is 2\n"
    assert nbdag("show", "--log", "make") == nbdag("show", "--log", "make.py") == "n is 2\n"
    assert "has no task `mak`\n\nhint: did you mean `make`?" in nbdag("show", "--log", "mak", code=2)
    done = built.nbdag("show", "latest", "after", "--log")
    assert (done.stdout, "after printed nothing in run" in done.stderr) == ("", True)
    assert "needs a TASK" in nbdag("show", "latest", "--log", code=2)


def test_the_executed_notebook_can_be_printed(nbdag):
    """With a dash for a file, as everywhere; no file of that name appears."""
    assert json.loads(nbdag("show", "latest", "fail", "--notebook", "-"))["nbformat"] == 4
