"""Notebooks and commands in other languages: R as users have it, and logging from R, Julia and shell."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import nbmake_dag
from tests.support.project import Project, await_true

PAGE = Path(nbmake_dag.__file__).parent / "docs/languages.md"
HELPERS = dict(re.findall(r"^```\w+ (nbdag\.\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))
SPECIAL = "é 日 \U0001f600 \"'\\ $x {y} %s\n\ttab"


def logged(project: Project) -> dict[str, Any]:
    """Return what task `a` logged."""
    shown = json.loads(project.nbdag("show", "latest", "a", "--json").stdout)
    return {
        **{kind: shown[kind] for kind in ("metrics", "params", "tags")},
        "artifacts": sorted(shown["artifacts"]),
    }


@pytest.mark.r
def test_an_r_notebook_gets_and_leaves_what_a_python_one_does(project: Project) -> None:
    """Parameters with their values, inputs, outputs, logged values; a second build has nothing to do."""
    project.write("data.csv", "v\n1\n2\n").write("nbdag.R", HELPERS["nbdag.R"])
    project.write(
        "a.R",
        """
        # ---
        # jupyter:
        #   kernelspec:
        #     name: ir
        # ---

        # %% tags=["parameters"]
        text <- ""
        n <- 1
        flag <- FALSE
        values <- list()
        inputs <- list()
        outputs <- list()

        # %%
        stopifnot(n == 3, flag, values[[2]] == "b", values[[3]]$k == 1.5)
        total <- sum(read.csv(inputs$data)$v) * n
        writeLines(enc2utf8(text), outputs$text, useBytes = TRUE)

        # %%
        source("nbdag.R")
        for (i in 1:2) nbdag_metric("total", total + i / 3, step = i)
        nbdag_param("method", "sum")
        nbdag_tag("model", "none \\"at\\" all")
        nbdag_artifact(outputs$text, "texts/text.txt")
        """,
    )
    project.pipeline(f"""
        [tasks.a]
        notebook = "a.R"
        inputs = {{ data = "data.csv", helper = "nbdag.R" }}
        outputs = {{ text = "out.txt" }}

        [tasks.a.parameters]
        text = {_toml(SPECIAL)}
        n = 3
        flag = true
        values = [1, "b", {{ k = 1.5 }}]
    """)
    project.build().ran("a")
    assert project.read("out.txt") == f"{SPECIAL}\n"
    found = logged(project)
    assert found["metrics"] == {"total": pytest.approx(9 + 2 / 3)}
    assert (found["params"]["method"], found["params"]["text"]) == ("sum", SPECIAL)
    assert (found["tags"], found["artifacts"]) == ({"model": 'none "at" all'}, ["texts/text.txt"])
    project.build().ran()


@pytest.mark.r
def test_a_failure_in_r_names_its_cell(project: Project) -> None:
    """With R's message; a notebook that takes too long is stopped, and the cell that ran is named."""
    project.write("f.R", "# %%\nx <- 1\n\n# %%\nf <- function() stop('no such thing')\nf()\n")
    project.write("s.R", "# %%\nx <- 1\n\n# %%\nSys.sleep(300)\n")
    project.pipeline("""
        [defaults]
        kernel = "ir"

        [tasks.f]
        notebook = "f.R"

        [tasks.s]
        notebook = "s.R"
        timeout = "2s"
    """)
    built = project.build("-k").ended(1, failed=["f", "s"])
    built.said("f.R, cell 2").said("no such thing").said("s.R, cell 2").said("took longer than 2 s")


@pytest.mark.r
def test_an_r_notebook_is_cancelled(project: Project) -> None:
    """Ctrl-C ends it, and nothing of it is left."""
    project.write("s.R", "# %%\nfile.create('begun')\nSys.sleep(300)\n")
    project.pipeline('[tasks.s]\nnotebook = "s.R"\nkernel = "ir"\noutputs = ["begun"]\n')
    build = project.start("build")
    await_true((project / "begun").exists, 120, "the notebook did not begin")
    build.send_signal(signal.SIGINT)
    assert build.wait(60) == 130
    project.leaves_nobody()


def test_a_notebook_of_another_language_is_not_run_by_python(project: Project) -> None:
    """Its file names a kernel, or the pipeline does; Jupyter would ask for one."""
    project.write("a.R", "# %%\nx <- 1\n").write("b.Rmd", "```{r}\nx <- 1\n```\n").write("c.py", "# %%\n1\n")
    tasks = [f'[tasks.{path[0]}]\nnotebook = "{path}"\n' for path in ("a.R", "b.Rmd", "c.py")]
    build = project.pipeline("".join(tasks)).build().ended(2)
    build.said("pipeline.toml:2: a.R is written in r, and names no kernel")
    build.said("pipeline.toml:4: b.Rmd is written in r, and names no kernel")
    project.build("c").ran("c")


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_logs_with_the_documented_helper(project: Project, shell: str) -> None:
    """Numbers, texts with quotes, files."""
    project.write("nbdag.sh", HELPERS["nbdag.sh"]).write(
        "a.sh",
        """
        . ./nbdag.sh
        nbdag_metric count 2.5
        nbdag_param 'the "name"' 'back\\slash'
        nbdag_tag tag 'a "word"'
        echo text > log.txt
        nbdag_artifact log.txt
        """,
    )
    project.pipeline(f'[tasks.a]\ncommand = ["{shell}", "a.sh"]\noutputs = ["log.txt"]\n').build().ran("a")
    assert logged(project) == {
        "metrics": {"count": 2.5},
        "params": {'the "name"': "back\\slash"},
        "tags": {"tag": 'a "word"'},
        "artifacts": ["log.txt"],
    }


@pytest.mark.julia
def test_julia_logs_with_the_documented_helper(project: Project) -> None:
    """Numbers, texts with quotes, files."""
    project.write("nbdag.jl", HELPERS["nbdag.jl"]).write(
        "a.jl",
        """
        include("nbdag.jl")
        nbdag_metric("count", 5 // 2)
        nbdag_metric("none", NaN)
        nbdag_param("n", 3)
        nbdag_tag("tag", "a \\"word\\"")
        write("log.txt", "text\\n")
        nbdag_artifact("log.txt")
        """,
    )
    project.pipeline('[tasks.a]\ncommand = ["julia", "a.jl"]\noutputs = ["log.txt"]\n').build().ran("a")
    found = logged(project)
    assert (found["metrics"]["count"], found["params"], found["artifacts"]) == (2.5, {"n": 3}, ["log.txt"])
    assert found["tags"] == {"tag": 'a "word"'}


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
