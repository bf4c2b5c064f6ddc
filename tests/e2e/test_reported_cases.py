"""Small notebooks that once failed, each as it was reported: the name of a test is the name of the report."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

INLINE = "--executor=inline"


def _notebook(*sources: str, minor: int = 4, cell: dict[str, object] | None = None, **metadata: object) -> str:
    """Return an ``.ipynb`` of code cells; ``cell`` has further fields of each."""
    code: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**code, **(cell or {}), "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor})


def _task(name: str, *outputs: str, notebook: str = "") -> str:
    return f'[tasks.{name}]\nnotebook = "{notebook or name + ".ipynb"}"\noutputs = {json.dumps(outputs)}\n'


def test_lone_surrogate(project: Project) -> None:
    """In markdown and metadata it is only text; in code, which no kernel takes, it is said with file and cell."""
    half = "half an emoji \ud83d"
    content = json.loads(_notebook("open('a.txt', 'w').write('x')", title=half))
    content["cells"].insert(0, {"cell_type": "markdown", "metadata": {"note": half}, "source": half})
    project.write("a.ipynb", json.dumps(content)).write("b.ipynb", _notebook("s = '\ud83d'"))
    project.pipeline(_task("a", "a.txt")).build(INLINE).ran("a")
    project.pipeline(_task("a", "a.txt") + _task("b"))
    expected = "error: pipeline.toml:5: b.ipynb cannot be read as a notebook: the code of cell 1 holds the lone"
    for command in ("build", "status", "graph"):
        refused = project.nbdag(command)
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[0] == f"{expected} surrogate U+D83D"


def test_schema_invalid_notebook_lost(project: Project) -> None:
    """What nbformat's schema refuses and papermill runs, runs, and once."""
    code = "open('ran.txt', 'a').write('x')"
    project.write("a.ipynb", _notebook(code, minor=5, cell={"id": "my cell"}))
    project.write("b.ipynb", _notebook(code, kernelspec={})).write("c.ipynb", _notebook(code, cell={"id": None}))
    project.pipeline("".join(_task(name) for name in "abc")).build(INLINE, "-j1").ran("a", "b", "c")
    assert project.read("ran.txt") == "xxx"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_warm_kernel_exit_loses_data(project: Project, start: str) -> None:
    """What a library keeps (a connection, a stream of C) is complete in the file, as with a kernel of its own."""
    database = """
        import logging, sqlite3
        connection = sqlite3.connect("rows.db")
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table t(a)")
        connection.executemany("insert into t values(?)", [(i,) for i in range(1000)])
        connection.commit()
        logging.kept = connection
        del connection
    """
    stream = """
        import ctypes
        c = ctypes.CDLL(None)
        c.fopen.restype = ctypes.c_void_p
        c.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        c.fputs(b"hello" * 10, c.fopen(b"stream.txt", b"w"))
    """
    project.notebook("database.py", database).notebook("stream.py", stream)
    tasks = _task("database", "rows.db", notebook="database.py") + _task(
        "stream", "stream.txt", notebook="stream.py"
    )
    project.pipeline(f'{tasks}[kernel]\nstart = "{start}"\n').build(INLINE).ran("database", "stream")
    project.remove("rows.db", "stream.txt").build(INLINE).restored("database", "stream")
    assert project.read("stream.txt") == "hello" * 10
    assert sqlite3.connect(project / "rows.db").execute("select count(*) from t").fetchone() == (1000,)


def test_kernelspec_argv_not_python(project: Project) -> None:
    """Kernels that begin with another program run, and the task beside them is built."""
    wrappers = {
        "env": ["/usr/bin/env", "python3"],
        "nice": ["nice", "python3"],
        "sh": ["sh", "-c", 'exec python3 "$@"', "sh"],
    }
    tasks = '[tasks.other]\ncommand = "date > other.txt"\noutputs = ["other.txt"]\n'
    for name, argv in wrappers.items():
        named = {"name": name, "display_name": name, "language": "python"}
        spec = {**named, "argv": [*argv, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
        project.write(f"jupyter/kernels/{name}/kernel.json", json.dumps(spec))
        project.write(f"{name}.ipynb", _notebook(f"open('{name}.txt', 'w').write('x')", kernelspec=named))
        tasks += _task(name, f"{name}.txt")
    # `python3` is the one that runs these tests, as in an activated environment
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"JUPYTER_PATH": str(project / "jupyter"), "PATH": path}
    project.pipeline(tasks).build("-k", INLINE, env=env).ran("other", *wrappers)


def test_invalid_display_is_infrastructure(project: Project) -> None:
    """A display that nbformat refuses is kept as text; the notebook runs once."""
    displays = ["{'text/plain': 5}", "{'text/html': None}", "{'text/plain': {'a': 1}}"]
    shown = "\n".join(f"display({data}, raw=True)" for data in displays)
    project.notebook("a.py", "open('ran.txt', 'a').write('x')", f"from IPython.display import display\n{shown}")
    project.pipeline(_task("a", notebook="a.py")).build(INLINE).ran("a")
    assert project.read("ran.txt") == "x"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_relative_pythonpath(project: Project, start: str) -> None:
    """`PYTHONPATH=src` leads to the modules of the project, from the shell and from the pipeline."""
    project.write("src/mylib/__init__.py", "VALUE = 1\n")
    project.notebook("nb/a.py", "import mylib\nopen('o.txt', 'w').write(str(mylib.VALUE))")
    kernel = f'[kernel]\nstart = "{start}"\n'
    task = _task("a", "o.txt", notebook="nb/a.py")
    project.pipeline(task + kernel).build(INLINE, env={"PYTHONPATH": "src"}).ran("a")
    project.pipeline(task + 'env = { PYTHONPATH = "src" }\n' + kernel).build(INLINE, "-B", "a").ran("a")


def test_junk_in_folder_inputs(project: Project) -> None:
    """What Python, macOS, Jupyter and editors drop into a folder is no input of it."""
    project.write("src/__init__.py", "").write("src/m.py", "V = 1\n")
    project.notebook("nb/a.py", "from src import m\nopen('o.txt', 'w').write(str(m.V))")
    project.pipeline(_task("a", "o.txt", notebook="nb/a.py") + 'inputs = ["src/"]\n').build(INLINE).ran("a")
    for junk in ("__pycache__/m.pyc", ".DS_Store", ".ipynb_checkpoints/x-checkpoint.csv", ".m.py.swp", "m.py~"):
        project.write(f"src/{junk}", "junk")
    project.build(INLINE).ran()
    project.write("src/data.csv", "1").build(INLINE).ran("a")


def test_scripts_run_by_notebooks(project: Project) -> None:
    """A script counts that a notebook runs by `!`, `%%bash`, a process or `os.system`."""
    runs = {
        "bang": "!python s_bang.py > bang.txt",
        "bash": "%%bash\npython s_bash.py > bash.txt",
        "process": "import subprocess, sys\nopen('process.txt', 'wb').write("
        "subprocess.check_output([sys.executable, 's_process.py']))",
        "system": "import os\nos.system('python s_system.py > system.txt')",
    }
    for name, code in runs.items():
        project.write(f"{name}.ipynb", _notebook(code)).write(f"s_{name}.py", "print(1)\n")
    project.pipeline("".join(_task(name, f"{name}.txt") for name in runs)).build(INLINE).ran(*runs)
    for name in runs:
        project.edit(f"s_{name}.py", "1", "2")
    project.build(INLINE).ran(*runs)
    assert {project.read(f"{name}.txt") for name in runs} == {"2\n"}


@pytest.mark.parametrize("outputs", [["o.txt", "gen.py"], ["o.txt"]], ids=["declared", "undeclared"])
def test_writefile_then_import(project: Project, outputs: list[str]) -> None:
    """A module that the notebook writes is no ingredient: the first build of a fresh checkout is recorded."""
    project.write(
        "a.ipynb", _notebook("%%writefile gen.py\nX = 1", "import gen\nopen('o.txt', 'w').write(str(gen.X))")
    )
    project.pipeline(_task("a", *outputs)).build(INLINE).ran("a")
    project.remove("gen.py", "o.txt").build(INLINE).restored("a")


def test_exit_is_success(project: Project) -> None:
    """A notebook ends where it says so: with a code it fails, without one it is a success; no later cell runs."""
    ends = {"one": "exit(1)", "sys_one": "import sys\nsys.exit(1)"}
    ends |= {"plain": "exit()", "zero": "exit(0)", "sys_zero": "import sys\nsys.exit(0)", "bare": "quit"}
    for name, end in ends.items():
        write = f"open('{name}.txt', 'w').write"
        project.notebook(f"{name}.py", f"{write}('before')", end, f"{write}('after')")
    project.pipeline("".join(_task(name, f"{name}.txt", notebook=f"{name}.py") for name in ends))
    built = project.build("-k", INLINE)
    built.ended(1, failed=["one", "sys_one"], ran=["bare", "plain", "sys_zero", "zero"]).said("SystemExit: 1")
    assert {project.read(f"{name}.txt") for name in built.having("ran")} == {"before"}
