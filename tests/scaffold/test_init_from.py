"""`nbdag init --from`: the pipeline of another tool, as far as a pipeline.toml can say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli

from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a project of notebooks whose parameters tell which files they use, and a trap that must not run."""
    project = Project(tmp_path / "project")
    project.notebook("nb/clean.py", "# parameters\nsample = 'x'", "open(f'data/{sample}.csv', 'w').write(sample)")
    project.notebook(
        "nb/train.py",
        "# parameters\nlr = 0.5\nsample = 'a'",
        "text = open(f'data/{sample}.csv').read()\nopen(f'data/model_{lr}.txt', 'w').write(text)",
    )
    project.notebook("nb/report.py", "print(open('data/model_0.2.txt').read())")
    return project.write("raw/a.csv", "1\n").write("raw/b.csv", "2\n")


def _imported(project: Project, path: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the tasks that are written, which can be planned, and what was printed."""
    done = project.nbdag("init", "--from", path)
    assert done.returncode == 0, done.stderr
    planned = project.nbdag("build", "-n")
    assert planned.returncode == 0, planned.stderr
    return tomli.loads(project.read("pipeline.toml"))["tasks"], done.stdout


SHELL = """
    #!/usr/bin/env bash
    set -euo pipefail
    touch executed
    OUT=out
    for sample in a b; do
        papermill nb/clean.py "$OUT/clean_$sample.ipynb" -p sample $sample   # each
    done
    papermill nb/train.py $OUT/train.ipynb -p lr 0.2 -k python3 -p depth 3 > log.txt 2>&1
    if [ -n "$CI" ]; then
        python -m papermill nb/report.py ${OUT}/report.html
    fi
    for file in $(ls); do papermill $file x.ipynb; done
"""


def test_papermill_calls_of_a_shell_script(project: Project) -> None:
    """In their order, with loops over words; files that the notebooks name are declared for their parameters."""
    tasks, said = _imported(project.write("run.sh", SHELL), "run.sh")
    assert tasks == {
        "clean_a": {
            "notebook": "nb/clean.py",
            "parameters": {"sample": "a"},
            "outputs": ["data/a.csv"],
            "notebook_output": "out/clean_a.ipynb",
        },
        "clean_b": {
            "notebook": "nb/clean.py",
            "parameters": {"sample": "b"},
            "after": ["clean_a"],
            "notebook_output": "out/clean_b.ipynb",
        },
        "train": {
            "notebook": "nb/train.py",
            "kernel": "python3",
            "parameters": {"lr": 0.2},
            "inputs": ["data/a.csv"],
            "outputs": ["data/model_0.2.txt"],
            "after": ["clean_b"],
            "notebook_output": "out/train.ipynb",
        },
        "report": {
            "notebook": "nb/report.py",
            "inputs": ["data/model_0.2.txt"],
            "after": ["train"],
            "notebook_output": "out/report.html",
        },
    }
    for what in (
        "- train: its parameter `depth`, which the cell tagged `parameters` does not assign (3)",
        "- report: that it runs only if something holds (run.sh:10)",
        "a value that only running tells: `papermill $file x.ipynb` (run.sh:12)",
    ):
        assert what in said
        assert " ".join(what.split()[-3:]) in project.read("pipeline.toml")
    assert not (project / "executed").exists()
    project.build("--executor=inline").ran("clean_a", "clean_b", "train", "report")


PYTHON = """
    from pathlib import Path
    import papermill as pm

    Path("executed").touch()
    OUT = Path("out")

    def train(lr, sample="a"):
        pm.execute_notebook("nb/train.py", str(OUT / f"train_{lr}.ipynb"), parameters=dict(lr=lr, sample=sample))

    for sample in ["a", "b"]:
        pm.execute_notebook("nb/clean.py", OUT / f"clean_{sample}.ipynb", {"sample": sample})
    for lr in (0.1, 0.2):
        train(lr)
    pm.execute_notebook("nb/report.py", None, parameters={"when": now()})
    pm.execute_notebook(choose(), "out/x.ipynb")
"""


def test_papermill_calls_of_a_python_script(project: Project) -> None:
    """Loops and functions are followed; a value that only running tells is said."""
    tasks, said = _imported(project.write("run.py", PYTHON), "run.py")
    assert list(tasks) == ["clean_a", "clean_b", "train_0.1", "train_0.2", "report"]
    assert tasks["train_0.2"]["parameters"] == {"lr": 0.2, "sample": "a"}
    assert [task.get("inputs") for task in tasks.values()] == [
        *(None, None),
        *(["data/a.csv"], ["data/a.csv"]),
        ["data/model_0.2.txt"],
    ]
    assert "- report: its parameter `when`, which only running tells: `now()`" in said
    assert "a notebook whose name only running tells (run.py:15)" in said
    assert not (project / "executed").exists()


MAKEFILE = """
    OUT := out
    SAMPLES = a b
    STAMP := $(shell touch executed)
    CLEAN = $(SAMPLES:%=data/%.csv)
    .PHONY: all clean
    all: $(OUT)/report.ipynb
    data/%.csv: nb/clean.py raw/%.csv
    \t@mkdir -p $(OUT)
    \tpapermill $< $(OUT)/clean_$*.ipynb -p sample $*
    data/model_0.2.txt: nb/train.py $(CLEAN) | data
    \tpapermill nb/train.py $(OUT)/train.ipynb \\
    \t  -p lr 0.2
    $(OUT)/report.ipynb: nb/report.py data/model_0.2.txt
    \tpapermill $< $@
    $(OUT)/page.txt: $(OUT)/report.ipynb
    \tdate > $@
    clean:
    \trm -rf $(OUT)
    include more.mk
"""


def test_papermill_calls_of_a_makefile(project: Project) -> None:
    """Rules give inputs and outputs, patterns are filled; who needs an executed copy comes after its task."""
    tasks, said = _imported(project.write("Makefile", MAKEFILE), "Makefile")
    clean = {"notebook": "nb/clean.py", "parameters": {"sample": "a"}, "inputs": ["raw/a.csv"]}
    assert tasks["a"] == {**clean, "outputs": ["data/a.csv"], "notebook_output": "out/clean_a.ipynb"}
    assert tasks["model_0.2"] == {
        "notebook": "nb/train.py",
        "parameters": {"lr": 0.2},
        "inputs": ["data/a.csv", "data/b.csv"],
        "outputs": ["data/model_0.2.txt"],
        "notebook_output": "out/train.ipynb",
    }
    assert tasks["report"]["inputs"] == ["data/model_0.2.txt"]
    assert tasks["page"] == {"command": "date > out/page.txt", "outputs": ["out/page.txt"], "after": ["report"]}
    assert set(tasks) == {"a", "b", "model_0.2", "report", "page"}
    assert "the rules `clean`" in said
    assert "the rules of `more.mk` (Makefile:19)" in said
    assert not (project / "executed").exists()
    project.build("--executor=inline").ran(*tasks)


DVC = """
    vars: [{out: out}, {lrs: [0.1, 0.2]}]
    stages:
      prepare:
        cmd: [touch executed, cat raw/a.csv raw/b.csv > all.csv]
        deps: [raw]
        outs: [all.csv]
      clean:
        foreach: [a, b]
        do:
          cmd: papermill nb/clean.py ${out}/clean_${item}.ipynb -p sample ${item}
          deps: [nb/clean.py, "raw/${item}.csv"]
          outs: ["data/${item}.csv"]
      train:
        matrix: {lr: "${lrs}"}
        cmd: papermill nb/train.py ${out}/train_${item.lr}.ipynb -p lr ${item.lr}
        deps: [data/a.csv, all.csv]
        params: [rate]
        outs:
        - data/model_${item.lr}.txt: {persist: true}
      unknown:
        cmd: echo ${nothing}
        outs: [x.txt]
        frozen: true
"""


def test_stages_of_dvc(project: Project) -> None:
    """Placeholders, loops and matrices are written out; a command that executes a notebook is one."""
    project.write("dvc.yaml", DVC).write("params.yaml", "rate: 1\n")
    tasks, said = _imported(project, "dvc.yaml")
    assert tasks["prepare"]["inputs"] == ["raw/"]
    assert tasks["prepare"]["command"] == "touch executed\ncat raw/a.csv raw/b.csv > all.csv\n"
    assert tasks["clean-b"] == {
        "notebook": "nb/clean.py",
        "parameters": {"sample": "b"},
        "inputs": ["raw/b.csv"],
        "outputs": ["data/b.csv"],
        "notebook_output": "out/clean_b.ipynb",
    }
    assert tasks["train-0.2"] == {
        "notebook": "nb/train.py",
        "parameters": {"lr": 0.2},
        "inputs": ["data/a.csv", "all.csv", "params.yaml"],
        "outputs": ["data/model_0.2.txt"],
        "notebook_output": "out/train_0.2.ipynb",
    }
    assert "unknown" not in tasks
    assert "# [tasks.unknown]" in project.read("pipeline.toml")
    assert "- train-0.1: `persist` of `data/model_0.1.txt`" in said
    assert "- unknown: the placeholder `${nothing}`, which has no value in params.yaml or `vars`" in said
    assert not (project / "executed").exists()


SNAKEFILE = """
    configfile: "config.yaml"
    open("executed", "w")
    SAMPLES = config["samples"]
    RAW, = glob_wildcards("raw/{name}.csv")

    rule all:
        input:
            expand("data/model_{sample}_{lr}.txt", sample=SAMPLES, lr=config["lrs"]),
            "out/report.html",

    rule clean:
        input: "raw/{sample}.csv"
        output: "data/{sample}.csv"
        threads: 2
        shell:
            '''
            awk '{{print $1}}' {input} > {output}
            '''

    rule train:
        # a comment
        input:
            data="data/{sample}.csv",
        output:
            model="data/model_{sample}_{lr}.txt"
        log: notebook="out/train_{sample}_{lr}.ipynb"
        notebook: "nb/train.py"

    rule report:
        input:
            models=expand(rules.train.output.model, sample="a", lr=config["lrs"]),
            raw=expand("raw/{name}.csv", name=RAW),
        output: "out/report.html"
        conda: "env.yaml"
        shell: "cat {input.models} {input.raw} > {output}"

    rule inline:
        input: "out/report.html"
        output: "out/x.txt"
        run:
            with open(output[0], "w") as f:
                f.write("x")
"""


def test_rules_of_snakemake(project: Project) -> None:
    """Wildcards are a matrix of the values that the targets need."""
    project.write("Snakefile", SNAKEFILE).write("config.yaml", "samples: [a, b]\nlrs: [0.1, 0.2]\n")
    tasks, said = _imported(project, "Snakefile")
    assert tasks == {
        "clean": {
            "command": "awk '{print $1}' raw/{sample}.csv > data/{sample}.csv",
            "matrix": {"sample": ["a", "b"]},
            "inputs": ["raw/{sample}.csv"],
            "outputs": ["data/{sample}.csv"],
        },
        "train": {
            "notebook": "nb/train.py",
            "matrix": {"sample": ["a", "b"], "lr": [0.1, 0.2]},
            "inputs": {"data": "data/{sample}.csv"},
            "outputs": {"model": "data/model_{sample}_{lr}.txt"},
            "notebook_output": "out/train_{sample}_{lr}.ipynb",
        },
        "report": {
            "command": "cat data/model_a_0.1.txt data/model_a_0.2.txt raw/a.csv raw/b.csv > out/report.html",
            "inputs": ["data/model_a_0.1.txt", "data/model_a_0.2.txt", "raw/a.csv", "raw/b.csv"],
            "outputs": ["out/report.html"],
        },
    }
    assert "- report: `conda`" in said
    assert "- inline: its `run`" in said
    assert "that `raw/{name}.csv` finds files when it is read" in said
    assert not (project / "executed").exists()


PLOOMBER = """
    meta: {extract_product: False}
    tasks:
      - source: steps.get
        product: "{{root}}/get.csv"
        params: {sample: "{{sample}}"}
      - source: nb/fit.py
        name: fit-
        product: {nb: "{{root}}/fit.html", model: "{{root}}/model.txt"}
        grid: {depth: [1, 2]}
        on_finish: hooks.store
      - source: copy.sh
        product: "{{root}}/copy.csv"
      - source: query.sql
        product: [table, view]
"""


def test_tasks_of_ploomber(project: Project) -> None:
    """What a task needs stands in its code; `upstream` and `product` are parameters, as there."""
    project.write("pipeline.yaml", PLOOMBER).write("env.yaml", "root: out\nsample: 3\n")
    project.write(
        "steps.py", "import nowhere\n\n\ndef get(product, sample):\n    open(product, 'w').write(str(sample))\n"
    )
    project.notebook("nb/fit.py", "# parameters\nupstream = ['get']\nproduct = None\ndepth = 0", "print(upstream)")
    project.write("copy.sh", "cp {{upstream['get']}} {{ product }}\n").write("query.sql", "select 1")
    tasks, said = _imported(project, "pipeline.yaml")
    assert tasks["get"] == {
        "function": "steps:get",
        "parameters": {"sample": 3, "product": "out/get.csv"},
        "outputs": {"product": "out/get.csv"},
    }
    assert tasks["fit--1"] == {
        "notebook": "nb/fit.py",
        "parameters": {
            "depth": 2,
            "upstream": {"get": "out/get.csv"},
            "product": {"nb": "out/fit-1.html", "model": "out/model-1.txt"},
        },
        "inputs": ["out/get.csv"],
        "outputs": {"model": "out/model-1.txt"},
        "notebook_output": "out/fit-1.html",
    }
    assert tasks["copy"]["command"] == "cp out/get.csv out/copy.csv\n"
    assert set(tasks) == {"get", "fit--0", "fit--1", "copy"}
    assert "- fit--0, fit--1: `on_finish`" in said
    assert "- query: its product ['table', 'view'], which is not a file" in said


DRIVER = """
    import ray
    from pynb_dag_runner.tasks.tasks import make_jupytext_task_ot
    from pynb_dag_runner.core.dag_runner import run_in_sequence, fan_in
    from pynb_dag_runner.notebooks_helpers import JupytextNotebook

    ray.init()
    GLOBAL = {"pipeline.run_environment": args().run_environment}

    def make(nb_name: str, timeout_s=None, max_nr_retries: int = 1, task_parameters={}):
        nb_path: Path = (Path(__file__).parent) / "nb"
        return make_jupytext_task_ot(
            notebook=JupytextNotebook(nb_path / nb_name),
            tmp_dir=nb_path,
            timeout_s=timeout_s,
            max_nr_retries=max_nr_retries,
            parameters={**GLOBAL, **task_parameters},
        )

    task_clean = make("clean.py", timeout_s=10, max_nr_retries=15)
    sizes = {"ci": [600, 800], "dev": [400]}[args().run_environment]
    trainers = [make(nb_name="train.py", task_parameters={"task.size": k}) for k in sizes]
    benchmarks = [make(nb_name="bench.py", task_parameters={"task.size": k}) for k in sizes]
    for train, bench in zip(trainers, benchmarks):
        run_in_sequence(task_clean, train, bench)
    task_report = make(nb_name="report.py")
    fan_in(benchmarks, task_report)
    start_and_await_tasks([task_clean], [task_report], arg={})
"""


def test_tasks_of_the_predecessor(project: Project) -> None:
    """A driver of pynb_dag_runner: retries, timeouts, order, and the dictionary `P` where a cell assigns it."""
    project.write("driver.py", DRIVER)
    project.notebook("nb/bench.py", "# parameters\nP = {'task.size': 100}", "print(P)")
    tasks, said = _imported(project, "driver.py")
    assert tasks == {
        "clean": {"notebook": "nb/clean.py", "timeout": "10s", "retries": 14},
        "train-600": {"notebook": "nb/train.py", "after": ["clean"]},
        "train-800": {"notebook": "nb/train.py", "after": ["clean"]},
        "bench-600": {"notebook": "nb/bench.py", "parameters": {"P": {"task.size": 600}}, "after": ["train-600"]},
        "bench-800": {"notebook": "nb/bench.py", "parameters": {"P": {"task.size": 800}}, "after": ["train-800"]},
        "report": {"notebook": "nb/report.py", "after": ["bench-600", "bench-800"]},
    }
    assert "- the choice by `args().run_environment` (driver.py:20): the values for 'ci' are written" in said
    assert "which the cell tagged `parameters` does not assign ({'task.size': 600})" in said
