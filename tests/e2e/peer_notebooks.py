"""Notebooks of our own with the features of those that papermill, nbclient and nbmake test themselves with."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any


@dataclass(frozen=True)
class Case:
    """A notebook; a cell is its code, or code and what else its metadata has. ``kernel`` is empty for none."""

    cells: tuple[str | tuple[str, dict[str, Any]], ...]
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    kernel: str = "python3"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    minor: int = 4

    def document(self) -> dict[str, Any]:
        """Return the content of an ``.ipynb`` file."""
        spec = {"name": self.kernel, "display_name": self.kernel, "language": "python"}
        cells: list[dict[str, Any]] = []
        for number, cell in enumerate(self.cells):
            source, metadata = (cell, {}) if isinstance(cell, str) else cell
            source = dedent(source).strip("\n") if "\n  " in source else source
            ids = {"id": f"cell-{number}"} if self.minor >= 5 else {}
            code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": []}
            cells.append({**code, **ids, "metadata": metadata, "source": source})
        return {
            "nbformat": 4,
            "nbformat_minor": self.minor,
            "metadata": {**({"kernelspec": spec} if self.kernel else {}), **self.metadata},
            "cells": cells,
        }


def tagged(source: str, *tags: str) -> tuple[str, dict[str, Any]]:
    return source, {"tags": list(tags)}


PAPERMILL = {
    "shell_cell": Case(("%%bash\nX=3\necho $((X * 14))",)),
    "blank_of_an_editor": Case(("",), kernel="", metadata={"orig_nbformat": 2}),
    "python_2": Case(("print('fine')", "print 'not any more'", "print('never')")),
    "assertion": Case(("print('fine')", "assert 1 > 2", "print('never')")),
    "many_outputs_then_an_error": Case(
        (
            "import sys",
            """
            from IPython.display import HTML, display
            print('out')
            print('err', file=sys.stderr)
            display(HTML('<b>bold</b>'))
            {'a': 1}
            """,
            "raise ValueError('last')",
        )
    ),
    "typed_parameters": Case(
        (
            tagged(
                """
                text = None
                rate: float = 2.5  # a rate
                words = [
                    'one',  # first
                    # none
                    'two'
                ]  # type: List[str] two of them

                extra: 'dict[str, int]' = {'a': 1}  # type: dict
                """,
                "parameters",
            ),
            "print(text, rate, words, extra)",
        ),
        {"text": 'it\'s "quoted"\n', "rate": 1e-3, "words": ["x", 2, True], "extra": {"k": [1.5]}},
    ),
    "no_parameters": Case(("text = 'own'", "print(text)", "")),
    "simple_parameter": Case(
        (tagged("text = None", "parameters"), "#papermill_description=SAY\nprint(text)"), {"text": "hi"}
    ),
    "interrupted_by_itself": Case(("raise KeyboardInterrupt", "print('never')")),
    "unknown_line_magic": Case(("%no-such-magic", "print('never')")),
    "ids_of_4_5": Case((tagged("n = 1", "parameters"), "print(n)"), {"n": 5}, minor=5),
    "kernel_that_is_not_there": Case((tagged("x = None", "parameters"),), kernel="no-such-kernel"),
    "reads_a_file_beside_it": Case(
        ("import os", "assert os.path.isfile('beside.txt')\nprint(open('beside.txt').read())")
    ),
    "report_without_code": Case(
        (tagged("a = 1\nb = 1", "parameters"), "def add(x, y):\n    return x + y", "print(add(a, b))")
    ),
    "executed_before": Case(
        (tagged("# Parameters\nfoo = 1", "injected-parameters"), "print('again')"),
        metadata={"papermill": {"parameters": {"foo": 1}, "version": "0.4"}, "celltoolbar": "Tags"},
    ),
    "exit": Case(("import sys", "print('before')", "sys.exit()", "print('never')")),
    "exit_0": Case(("import sys", "print('before')", "sys.exit(0)", "print('never')")),
    "exit_1": Case(("import sys", "print('before')", "sys.exit(1)", "print('never')")),
    "raises_system_exit": Case(("print('before')", "raise SystemExit", "print('never')")),
    "native_kernel": Case(("for i in range(3):\n    print(i)",), kernel="python"),
    "logging_and_warnings": Case(
        (
            "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('logged')",
            "import warnings\nwarnings.simplefilter('ignore')\nimport no_such_library",
        )
    ),
}

NBCLIENT = {
    "kills_itself": Case(
        ("print('before')", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nwhile True: pass")
    ),
    "history_in_memory": Case(("print(get_ipython().history_manager.hist_file)",), kernel=""),
    "clears_output": Case(
        (
            "from IPython.display import clear_output, display",
            "for i in range(5):\n    clear_output()\n    print(i)",
            "print('gone')\nclear_output()",
            "print('stays', end='')\nclear_output(wait=True)",
            "print('gone', end='')\nclear_output(wait=True)\nprint('new', end='')",
            "shown = display('first', display_id='one')",
            "clear_output(wait=True)\nshown.update('second')\nprint('end')",
        )
    ),
    "asks_for_input": Case(("name = input('name: ')",), kernel=""),
    "empty_cells": Case(("'one'", "", "   \n", "'two'")),
    "division_by_zero": Case(("0 / 0",)),
    "loops": Case(("i, j = 1, 1", "for m in range(10):\n    i, j = j, i + j\n    print(j)"), kernel=""),
    "picture_of_a_file": Case(("from IPython.display import Image", "Image('dot.png')"), kernel=""),
    "drawing": Case(
        ("from IPython.display import SVG", 'SVG(data=\'<svg height="9" width="9"></svg>\')'), kernel=""
    ),
    "widgets": Case(("import ipywidgets", "ipywidgets.Label('hello')")),
    "comm_without_a_handler": Case(
        (
            "from comm import create_comm",
            "comm = create_comm('nobody', data={'a': 1})",
            "comm.send(data={'a': 2})\n'sent'",
        )
    ),
    "may_raise": Case(
        (
            tagged(
                "import sys\nprint('hello')\nprint('wrong', file=sys.stderr)\nraise ValueError('ünï')",
                "raises-exception",
            ),
            "'ok'",
        )
    ),
    "skipped_cell": Case((tagged("print('never')", "skip-execution"), "print('ok')"), kernel=""),
    "snow": Case(("print('☃')\n'é ☃'",), kernel=""),
    "updated_displays": Case(
        (
            "from IPython.display import display",
            "display('above')\nhere = display(1, display_id='here')\ndisplay('below')",
            "display(2, display_id='here')\nthere = display(3, display_id='there')",
            "there.update(4)\nhere.update(5)",
        )
    ),
    "takes_time": Case(("import time\nstart = time.time()\ntime.sleep(0.2)\nprint(time.time() - start >= 0.2)",)),
}

NBMAKE = {
    "nothing": Case(("",), kernel=""),
    "skipped_failure": Case((tagged("1 / 0", "skip-execution"), "print(42)"), kernel=""),
    "fails_first": Case(("import itertools\n\n1/0", "import time\ntime.sleep(600)", "import no_such_thing")),
    "magic_of_a_library": Case(("%matplotlib inline", "%precision 3\n1 / 3")),
    "mocked": Case((("x = 5", {"nbmake": {"mock": {"x": 2}}}), "print(x)"), kernel=""),
    "code_in_metadata": Case((("x = 1", {"nbmake": {"post_cell_execute": ["x = 2"]}}), "print(x)")),
    "failing_code_in_metadata": Case((("'fine'", {"nbmake": {"post_cell_execute": ["1 / 0"]}}), "print('on')")),
    "allows_errors": Case(
        ("1 / 0", "print('on')"), metadata={"execution": {"allow_errors": True, "timeout": 600}}, kernel=""
    ),
    "expected_failure": Case((tagged("print('will fail')\n1 / 0", "raises-exception"), "print(42)"), kernel=""),
}

SUITES = {"papermill": PAPERMILL, "nbclient": NBCLIENT, "nbmake": NBMAKE}
