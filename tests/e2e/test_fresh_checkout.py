"""A fresh checkout with the cache of another one runs nothing, whatever kind its tasks are."""

from __future__ import annotations

import pytest

from tests.support.project import Project

MAKES_A_MODULE = "open('gen_{0}.py', 'w').write('X = 1')"
MAKES_A_SCRIPT = "subprocess.run(['sh', '-c', 'echo echo hi > gen_{0}.sh'], check=True)"
STARTS_COMPUTED = (
    "name = chr(103) + 'en_{0}c.py'\n"
    "subprocess.run(['sh', '-c', 'echo \\'print(1)\\' > ' + name], check=True)\n"
    "subprocess.run([sys.executable, name], check=True)"
)
CODE = {
    "plain": "",
    "module": f"{MAKES_A_MODULE}\nimport gen_{{0}}",
    "script": f"{MAKES_A_SCRIPT}\nsubprocess.run(['sh', 'gen_{{0}}.sh'], check=True)",
    "computed": STARTS_COMPUTED,
    "artifact": "nbmake_dag.log_text('note', 'note.txt')\nnbmake_dag.log_metric('m', 1)",
}
COMMANDS = {
    "plain": "echo x > {out}",
    "script": "echo 'echo x' > made.sh; sh made.sh > {out}",
    "heredoc": "cat > made_py.py <<'E'\nprint(1)\nE\npython made_py.py > {out}",
    "module": "mkdir -p mpk; echo 'print(1)' > mpk/__main__.py; python -m mpk > {out}",
    "tee": "echo 'echo x' | tee made_t.sh; bash made_t.sh > {out}",
    "folder": "mkdir -p {out}/a/empty; echo x > {out}/f; chmod +x {out}/f",
}


def _tables(project: Project) -> list[str]:
    tables: list[str] = []
    for name, code in CODE.items():
        head = "import nbmake_dag, subprocess, sys\n"
        project.notebook(f"n_{name}.py", head + code.format(f"n{name}"), f"open('n_{name}.txt', 'w').write('1')")
        body = f"{head}{code.format(f'f{name}')}\nopen(outputs[0], 'w').write('1')\n".replace("\n", "\n    ")
        project.write(f"f_{name}.py", f"def run(outputs):\n    {body}\n")
        tables.append(f'[tasks.n_{name}]\nnotebook = "n_{name}.py"\noutputs = ["n_{name}.txt"]\n')
        tables.append(f'[tasks.f_{name}]\nfunction = "f_{name}:run"\noutputs = ["f_{name}.txt"]\n')
    for name, command in COMMANDS.items():
        out, end = f"c_{name}", "/" if name == "folder" else ""
        text = command.format(out=out)
        tables.append(f"[tasks.c_{name}]\ncommand = '''{text}'''\noutputs = [\"{out}{end}\"]\n")
    return tables


@pytest.fixture
def every_kind(project: Project) -> Project:
    project.write(".gitignore", "/.nbdag/\n__pycache__/\n").write("in.txt", "x").write("lib.py", "V = 1\n")
    project.write("lib_user.py", "import lib\nprint(lib.V)\n")
    project.notebook("copied.py", "import nbmake_dag\nnbmake_dag.log_metric('a', 1)")
    project.notebook("reader.py", "import nbmake_dag\nprint(nbmake_dag.upstream()['copied'].metrics['a'])")
    tables = _tables(project)
    tables.append(
        """
        [tasks.python]
        command = ["python", "lib_user.py"]

        [tasks.module]
        command = ["python", "-m", "lib_user"]

        [tasks.copied]
        notebook = "copied.py"
        notebook_output = "copies/copied.ipynb"

        [tasks.reader]
        notebook = "reader.py"
        after = ["copied"]

        [tasks.many]
        command = "mkdir -p parts; cp in.txt parts/{n}.txt"
        matrix = { n = [1, 2] }
        inputs = ["in.txt"]
        outputs = ["parts/{n}.txt"]

        [tasks.sum]
        command = "cat parts/*.txt > sum.txt"
        inputs = ["parts/*.txt"]
        outputs = ["sum.txt"]

        [tasks.maker]
        command = "echo 'echo x' > tool.sh; chmod +x tool.sh"
        outputs = ["tool.sh"]

        [tasks.user]
        command = "./tool.sh > used.txt"
        inputs = ["tool.sh"]
        outputs = ["used.txt"]
        """
    )
    return project.pipeline("\n".join(tables)).commit()


@pytest.mark.slow
def test_a_fresh_checkout_with_the_cache_runs_nothing(every_kind: Project) -> None:
    """Nor does a second build, and every task is recorded in the first one."""
    first = every_kind.build()
    assert first.code == 0, first.err
    assert "not recorded" not in first.err
    every_kind.build().ran()
    every_kind.remove(".nbdag/state").build().ran()
    every_kind.git("clean", "-fdxq", "-e", ".nbdag/cache")
    fresh = every_kind.build().ran()
    assert fresh.code == 0
    every_kind.build().ran().restored()
