"""A failed task is described by what its user can act on, and not by more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbmake_dag.core.model import Command, Function, Notebook, ProjectPath, Task, TaskName, Work
from nbmake_dag.execute.protocol import AttemptResult, Failure
from nbmake_dag.present.failure import failure_lines
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import plain
from nbmake_dag.present.traceback_text import MAX_WIDTH
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag_reporting.cell_ref import CellRef

NOTEBOOK = Notebook(path=ProjectPath("notebooks/a.py"))
FUNCTION = Function(module="work", qualname="main")


def _tinted(text: str) -> str:
    """Put IPython's colours in place of tags."""
    for tag, code in {"<r>": 31, "<g>": 32, "<b>": 34, "<c>": 36, "</>": 39}.items():
        text = text.replace(tag, f"\x1b[{code}m")
    return text


IN_IPYTHON = _tinted("""\
<r>---------------------------------------------------------------------------</>
<r>KeyError</>                                  Traceback (most recent call last)
<c>File </><g>/e/lib/python3.11/site-packages/pandas/base.py:3812</>, in <c>Index.get_loc</><b>(self, key)</>
<g>   3811</> try:
<g>-> </><g>3812</>     return self._engine.get_loc(casted_key)

<r>KeyError</>: 'digits'

The above exception was the direct cause of the following exception:

<r>KeyError</>                                  Traceback (most recent call last)
<c>Cell</><c> </><g>In[3]</><g>, line 2</>
<g>      1</> frame = load()
<g>----> </><g>2</> train(frame)

<c>Cell</><c> </><g>In[2]</><g>, line 5</>, in <c>train</><b>(frame)</>
<g>----> </><g>5</>     return helper.pick(frame)

<c>File </><g>/p/helper.py:7</>, in <c>pick</><b>(frame)</>
<g>----> </><g>7</>     return frame["digits"]

<c>File </><g>/e/lib/python3.11/site-packages/frame.py:4113</>, in <c>DataFrame.__getitem__</><b>(self, key)</>
<g>   4112</>     return self._getitem_multilevel(key)
<g>-> </><g>4113</> indexer = self.columns.get_loc(key)

<c>File </><g>/e/lib/python3.11/site-packages/pandas/base.py:3819</>, in <c>Index.get_loc</><b>(self, key)</>
<g>-> </><g>3819</>     raise KeyError(key) from err

<c>File </><g>/e/lib/python3.11/site-packages/pandas/_libs/index.pyx:180</>, in <c>get_loc</><b>()</>
<g>--> </><g>180</> 'Could not get source, probably due dynamically evaluated source code.'

<c>File </><g>/e/lib/python3.11/site-packages/IPython/magic.py:12</>, in <c>run</><b>()</>
<g>---> </><g>12</> hidden

<r>KeyError</>: 'digits'
looked for in the frame
""")


def described(failure: Failure | None, work: Work = NOTEBOOK, *, colour: bool = False, **fields) -> str:
    attempt = AttemptResult(
        outcome="failed", started=0, ended=1, failure=failure, notebook=fields.pop("notebook", None)
    )
    outcome = TaskOutcome(task=TaskName("t"), status="failed", attempts=(attempt,), **fields)
    task = Task(name=TaskName("t"), family="t", work=work)
    lines = failure_lines(outcome, task, "/p", Palette(colour))
    return "\n".join(map(str.rstrip, lines if colour else map(plain, lines)))


def test_a_failing_cell_is_shown_with_its_line_and_the_users_frames():
    """Its code, the exception with its notes, the user's frames with code, those of libraries as places alone."""
    failure = Failure(
        type="KeyError",
        message="'digits'",
        traceback=IN_IPYTHON,
        cell=CellRef(3),
        cell_source="frame = load()\ntrain(frame)\n",
        line=2,
    )
    assert (
        described(failure, notebook="blob", failed_folder=".nbdag/failed/r/t")
        == f"""\
  notebooks/a.py, cell 4, line 2

      1 | frame = load()
    > 2 | train(frame)

  KeyError: 'digits'
  looked for in the frame

    File /e/lib/python3.11/site-packages/pandas/base.py:3812, in Index.get_loc
    KeyError: 'digits'
    The above exception was the direct cause of the following exception:
    Cell In[2], line 5, in train(frame)
    ----> 5     return helper.pick(frame)
    File helper.py:7, in pick(frame)
    ----> 7     return frame["digits"]
    File /e/lib/python3.11/site-packages/frame.py:4113, in DataFrame.__getitem__
    File /e/lib/python3.11/site-packages/pandas/base.py:3819, in Index.get_loc
    File /e/lib/python3.11/site-packages/pandas/_libs/index.pyx:180, in get_loc

  the executed notebook and partial outputs: {os.path.relpath("/p/.nbdag/failed/r/t")}/
  `nbdag show latest t` shows more; `nbdag build --pdb t` stops at the exception
"""
    )


def test_an_exception_without_frames_is_shown_once():
    """As that of a call whose arguments do not fit: no line of the user's was reached."""
    said = "TypeError: main() missing 1 required positional argument: 'x'"
    failure = Failure(type="TypeError", message=said.partition(": ")[2], traceback=f"{said}\n")
    assert described(failure, FUNCTION) == f"  work:main\n\n  {said}\n"


@pytest.mark.parametrize("kind", ["exit", "timeout"])
def test_a_debugger_is_offered_where_there_is_an_exception(kind):
    """A kernel that died, and one that was stopped, raised none at which a debugger could stop."""
    failure = Failure(type=kind, message="why", cell=CellRef(0), cell_source="f()")
    remains = described(failure, notebook="blob", failed_folder=".nbdag/failed/r/t").rstrip().split("\n")
    assert remains[-1] == "  `nbdag show latest t` shows more"


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch):
    """IPython does so; the project's files are shown relative to it all the same."""
    monkeypatch.setenv("HOME", "/home/someone")
    text = "Cell In[1], line 1\n----> 1 f()\n\nFile ~/project/a.py:3, in f()\n----> 3 x\n\nNameError: x"
    task = Task(name=TaskName("t"), family="t", work=NOTEBOOK)
    failure = Failure(type="NameError", message="x", traceback=text, cell=CellRef(0), cell_source="f()", line=1)
    attempt = AttemptResult(outcome="failed", started=0, ended=1, failure=failure)
    outcome = TaskOutcome(task=TaskName("t"), status="failed", attempts=(attempt,))
    assert "    File a.py:3, in f()" in failure_lines(outcome, task, "/home/someone/project", Palette(False))


def test_a_syntax_error_keeps_its_caret():
    """IPython says such an error without the usual frame."""
    traceback = "  Cell In[1], line 2\n    for\n       ^\nSyntaxError: invalid syntax\n"
    failure = Failure(
        type="SyntaxError",
        message="invalid syntax (1.py, line 2)",
        traceback=traceback,
        cell=CellRef(0),
        cell_source="x = 1\nfor",
        line=2,
    )
    assert (
        described(failure)
        == """\
  notebooks/a.py, cell 1, line 2

      1 | x = 1
    > 2 | for

  SyntaxError: invalid syntax
"""
    )


def test_a_timeout_says_so_and_where_it_was():
    """The interrupt that ended it is not what went wrong."""
    failure = Failure(
        type="timeout",
        message="took longer than 10 s",
        traceback="Cell In[1], line 1\n----> 1 sleep(99)\n\nKeyboardInterrupt: ",
        cell=CellRef(0),
        cell_source="sleep(99)",
        line=1,
    )
    assert (
        described(failure)
        == """\
  notebooks/a.py, cell 1, line 1

    > 1 | sleep(99)

  took longer than 10 s
"""
    )


def test_a_long_cell_is_shown_around_its_failing_line():
    """What is left out is counted."""
    source = "\n".join(f"x{number}" for number in range(1, 41))
    shown = described(Failure(type="E", message="m", cell=CellRef(0), cell_source=source, line=20))
    assert shown.splitlines()[2:15] == [
        "      … 14 lines",
        *(f"      {number} | x{number}" for number in range(15, 20)),
        "    > 20 | x20",
        *(f"      {number} | x{number}" for number in range(21, 26)),
        "      … 15 lines",
    ]


def test_the_injected_parameters_are_no_cell_of_the_source():
    """They have no number."""
    failure = Failure(type="NameError", message="m", cell_source="x = y", line=1)
    assert described(failure).splitlines()[0] == "  notebooks/a.py, the injected parameters, line 1"


def test_a_failure_without_code_is_its_message():
    """What nbdag found itself reads as a sentence."""
    failure = Failure(type="MissingOutput", message="declared but not written: model.onnx")
    assert described(failure) == "  notebooks/a.py\n\n  declared but not written: model.onnx\n"
    assert described(None) == "  notebooks/a.py\n\n  for an unknown reason\n"


def test_a_failing_command_shows_the_end_of_its_output():
    """The last lines, and how it ended."""
    output = "".join(f"line {number}\n" for number in range(100))
    failure = Failure(type="exit", message="exit status 3", traceback=output)
    shown = described(failure, Command(arguments=("python", "my script.py"))).splitlines()
    assert shown[:5] == ["  $ python 'my script.py'", "", "  exit status 3", "", "    line 80"]
    assert shown[-1] == "    line 99"
    assert described(failure, Command(arguments="set -x\nfalse")).startswith("  $ set -x false\n")


def test_a_raising_function_is_shown_with_pythons_traceback(tmp_path: Path):
    """The frames of a real one, those of the standard library as places alone."""
    (tmp_path / "work.py").write_text("import json\n\ndef main():\n    return json.loads('{')\n")
    command = [sys.executable, "-c", "import work; work.main()"]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60).stderr
    text = text.replace('  File "<string>", line 1, in <module>\n', "")
    failure = Failure(type="JSONDecodeError", message="m", traceback=text.replace(str(tmp_path), "/p"), line=4)
    shown = described(failure, FUNCTION).splitlines()
    assert shown[0] == "  work:main, line 4"
    assert shown[2].startswith("  json.decoder.JSONDecodeError: Expecting property name")
    assert shown[4] == '      File "work.py", line 4, in main'
    assert shown[5] == "        return json.loads('{')"
    assert all("/json/" in line for line in shown[6:] if line.lstrip().startswith("File"))
    assert not any("raise JSONDecodeError" in line for line in shown)


@pytest.mark.parametrize(
    "traceback",
    [
        "x" * 10_000_000,
        "Traceback (most recent call last):\n" + '  File "/p/a.py", line 1, in f\n    f()\n' * 200_000 + "E: m",
        "\x1b[31m" * 100_000,
        "----\n" * 100_000,
        "\n" * 1_000_000,
    ],
)
def test_a_huge_traceback_is_bounded(traceback):
    """In lines and in columns, whatever it is made of."""
    shown = described(Failure(type="E", message="m\n" * 10_000, traceback=traceback), FUNCTION).splitlines()
    assert len(shown) < 100
    assert max(map(len, shown)) <= MAX_WIDTH + 4


def test_a_kernels_colours_stay_where_they_are_wanted():
    """Frames are shown as IPython coloured them."""
    failure = Failure(type="KeyError", message="m", traceback=IN_IPYTHON, cell=CellRef(0), cell_source="x", line=1)
    shown = described(failure, colour=True)
    assert "\x1b[36mFile \x1b[39m\x1b[32mhelper.py:7\x1b[39m" in shown


def test_an_end_that_is_told_in_lines_is_shown_in_lines():
    """Such as that of a kernel, with what it printed last."""
    failure = Failure(type="exit", message="the kernel died\nits last words")
    assert described(failure) == "  notebooks/a.py\n\n  the kernel died\n  its last words\n"
