"""Kinds of task, of inputs and of outputs, each built for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ipykernel
import jupytext
import pytest

from tests.support.project import Project


def test_tasks_of_all_kinds_make_a_pipeline(project, monkeypatch):
    """Commands as lists and lines, functions, notebooks in bash and Python; folders and globs between them."""
    project.pipeline(
        """
        [parameters]
        greeting = "hello"

        [tasks.listed]
        command = ["python3", "tools/split.py", "{greeting} wor{ld}", "parts/"]
        inputs = ["tools/alphabet.txt"]
        outputs = ["parts/"]

        [tasks.line]
        command = "cat extra/*.txt > line.txt; echo {greeting} >> line.txt"
        inputs = ["extra/*.txt"]
        outputs = ["line.txt"]

        [tasks.function]
        function = "tools.joining:join"
        parameters = { times = 2 }
        inputs = { parts = "parts/*.txt", line = "line.txt" }
        outputs = { joined = "joined.txt" }

        [tasks.shell]
        notebook = "shell.ipynb"
        inputs = { joined = "joined.txt" }
        outputs = { counted = "counted.txt" }

        [tasks.saved]
        notebook = "saved.ipynb"
        inputs = { counted = "counted.txt", part = "parts/b.txt" }
        outputs = { final = "final.txt" }
        notebook_output = "executed.ipynb"
        """
    )
    project.write("tools/alphabet.txt", "ab")
    project.write(
        "tools/split.py",
        """
        import pathlib
        import sys

        from helper import name

        text, folder = sys.argv[1:]
        for letter in pathlib.Path("tools/alphabet.txt").read_text():
            pathlib.Path(folder).mkdir(exist_ok=True)
            pathlib.Path(folder, name(letter)).write_text(f"{letter}: {text}\\n")
        """,
    )
    project.write("tools/helper.py", "def name(letter):\n    return f'{letter}.txt'\n")
    project.write(
        "tools/joining.py",
        """
        from pathlib import Path


        def join(*, greeting, times, inputs, outputs):
            text = "".join(Path(path).read_text() for path in [*inputs["parts"], inputs["line"]])
            Path(outputs["joined"]).write_text(text * times + greeting)
        """,
    )
    project.write("extra/1.txt", "one\n")
    project.notebook("shell.py", "wc -l < joined.txt | tr -d ' ' > counted.txt", "echo done")
    project.notebook(
        "saved.py",
        """
        # parameters
        inputs = {}
        outputs = {}
        greeting = ""
        """,
        "text = greeting + ' ' + open(inputs['counted']).read() + open(inputs['part']).read()",
        "open(outputs['final'], 'w').write(text)",
    )
    for name, kernel in (("shell", "bash"), ("saved", "python3")):
        metadata = ["--update-metadata", f'{{"kernelspec": {{"name": "{kernel}", "display_name": "{kernel}"}}}}']
        convert = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb", *metadata, f"{name}.py"]
        subprocess.run(convert, cwd=project.root, check=True)
    prefix = project.root.parent / "bash"
    subprocess.run([sys.executable, "-m", "bash_kernel.install", "--prefix", str(prefix)], check=True)
    monkeypatch.setenv("JUPYTER_PATH", str(prefix / "share" / "jupyter"))
    everything = ["function", "line", "listed", "saved", "shell"]
    project.build().ran(*everything)
    assert project.read("parts/a.txt") == "a: hello wor{ld}\n"
    assert project.read("joined.txt") == "a: hello wor{ld}\nb: hello wor{ld}\none\nhello\n" * 2 + "hello"
    assert project.read("final.txt") == "hello 8\nb: hello wor{ld}\n"
    assert "hello 8" not in project.read("saved.ipynb")
    assert json.loads(project.read("executed.ipynb"))["cells"][-1]["outputs"][0]["data"] == {"text/plain": ["25"]}
    project.build().ran().restored()

    project.edit("tools/helper.py", "return f", "# a name\n    return f").build().ran()
    project.write("extra/2.txt", "two\n").build().ran("line", "function", "shell", "saved")
    assert project.read("final.txt") == "hello 10\nb: hello wor{ld}\n"
    project.write("parts/c.txt", "by hand\n").remove("final.txt")
    project.build().ran().restored("listed", "saved").said("parts/c.txt was not made by nbdag")
    assert not (project / "parts/c.txt").exists()

    project.build("-p", "greeting=moin").ran(*everything)
    assert project.read("final.txt").startswith("moin 10\n")
    project.build().ran()
    assert project.read("final.txt").startswith("hello 10\n")


@pytest.mark.parametrize(
    "last",
    [
        pytest.param("# markdown\nThe end.", id="text"),
        pytest.param("# a comment", id="comment", marks=pytest.mark.slow),
        pytest.param("", id="nothing", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ["note.py", "note.ipynb"])
def test_a_notebook_may_end_in_a_cell_that_does_not_count(project: Project, name: str, last: str):
    """Nothing runs after it; what it shows is kept, and found again."""
    project.notebook("note.py", "print('hello')", last).pipeline(f'[tasks.a]\nnotebook = "{name}"\n')
    if name == "note.ipynb":
        jupytext.write(jupytext.read(project / "note.py"), project / name)
    project.build().ran("a")
    project.build().ran()
    assert project.nbdag("show", "latest", "a", "--notebook=shown.ipynb").returncode == 0
    shown = json.loads(project.read("shown.ipynb"))
    assert shown["cells"][0]["outputs"][0]["text"] == ["hello\n"]


def test_work_is_done_in_the_folder_and_environment_that_it_asks_for(project: Project):
    """`workdir` for notebooks written for their own folder, `env`, and the modules beside a notebook."""
    project.pipeline(
        """
        [tasks.own-folder]
        notebook = "notebooks/own.py"
        workdir = "notebooks"
        outputs = ["notebooks/out/own.txt"]
        env = { COLOUR = "green" }
        """
    )
    project.write("notebooks/beside.py", "import os\n\n\ndef colour():\n    return os.environ['COLOUR']\n")
    project.notebook("notebooks/own.py", "import beside", "open('out/own.txt', 'w').write(beside.colour())")
    project.build().ran("own-folder")
    assert project.read("notebooks/out/own.txt") == "green"
    project.edit("notebooks/beside.py", "'COLOUR']", "'COLOUR'].upper()").build().ran("own-folder")
    assert project.read("notebooks/out/own.txt") == "GREEN"


def test_a_kernel_of_an_environment_without_nbdag_logs_and_is_watched(project: Project, monkeypatch):
    """It has ipykernel and nothing of ours: values are logged, local modules seen, files that it opens too."""
    other = project.root.parent / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    [packages] = other.glob("lib/python*/site-packages")
    (packages / "ipykernel.pth").write_text(str(Path(ipykernel.__file__).parents[1]))
    argv = [str(other / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Other", "language": "python"}
    project.write("../jupyter/kernels/other/kernel.json", json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(project.root.parent / "jupyter"))
    project.pipeline('[tasks.elsewhere]\nnotebook = "elsewhere.py"\nkernel = "other"\noutputs = ["prefix.txt"]\n')
    project.write("local.py", "VALUE = 1\n").write("undeclared.txt", "read")
    project.notebook(
        "elsewhere.py",
        "import importlib, sys\nimport nbmake_dag as nbdag",
        "nbdag.log_metric('value', importlib.import_module(chr(108) + 'ocal').VALUE)",
        "open('undeclared.txt').read()",
        "open('prefix.txt', 'w').write(sys.prefix)",
    )
    project.build().ran("elsewhere").said('"undeclared.txt" to its `inputs`')
    assert project.read("prefix.txt") == str(other)
    shown = json.loads(project.nbdag("show", "latest", "elsewhere", "--json").stdout)
    assert shown["metrics"] == {"value": 1.0}
    project.edit("local.py", "VALUE = 1", "VALUE = 2").build().ran("elsewhere")
