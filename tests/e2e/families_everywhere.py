"""A pipeline with families that tasks make, in every form: the same on one machine, on Ray and on a cluster."""

from __future__ import annotations

from typing import TypeVar

from tests.support.project import Project

Made = TypeVar("Made", bound=Project)

PIPELINE = """
    [pipeline]
    parts = ["etl/pipeline.toml"]

    [parameters]
    word = "full"

    [pools]
    scale = 1

    [tasks.list]
    command = "(echo n; cat names.txt) > list.csv"
    inputs = ["names.txt"]
    outputs = ["list.csv"]

    [tasks.fit]
    function = "work:fit"
    instances = { rows = "list.csv" }
    inputs = { factor = { path = "factor.txt", optional = true } }
    outputs = { fit = "fits/{n}.txt" }
    priority = 5

    [tasks.clean]
    notebook = "clean.py"
    instances = { files = "etl/raw/{city}.txt" }
    inputs = { raw = "etl/raw/{city}.txt" }
    outputs = { clean = "clean/{city}.txt" }
    pools = ["scale"]

    [tasks.letter]
    command = "cat clean/{city}.txt > letters/{city}.txt; echo {word} >> letters/{city}.txt"
    instances = { files = "clean/{city}.txt" }
    inputs = ["clean/{city}.txt"]
    outputs = ["letters/{city}.txt"]

    [tasks.command]
    command = "cat $NBDAG_INPUTS fits/* letters/* > command.txt"
    inputs = { fits = { task = "fit", output = "fit" }, letters = { task = "letter" } }
    outputs = ["command.txt"]

    [tasks.book]
    notebook = "book.py"
    inputs = { fits = { task = "fit" } }
    outputs = ["book.txt"]

    [tasks.function]
    function = "work:summary"
    inputs = { letters = { task = "letter" }, known = "etl/raw/*.txt" }
    outputs = ["function.txt"]

    [tasks.proof]
    command = "! grep -q wrong fits/*.txt"
    inputs = ["fits/*.txt"]
    check = true

    [profiles.ci]
    parameters = { word = "short" }
"""
ETL = """
    [tasks.split]
    command = "mkdir -p raw && for c in $(cat ../names.txt); do echo $c > raw/$c.txt; done"
    inputs = ["../names.txt"]
    outputs = ["raw/"]
"""
WORK = """
    from pathlib import Path


    def fit(n, inputs, outputs):
        Path(outputs["fit"]).write_text(f"{n} {inputs['factor']}\\n")


    def summary(inputs):
        letters = [(each["params"]["city"], Path(each["path"]).read_text()) for each in inputs["letters"]]
        Path("function.txt").write_text(f"{letters} {inputs['known']}\\n")
"""
NAMES = "oslo\nrome\nbonn\n"
MADE = ["list.csv", "fits", "etl/raw", "clean", "letters", "command.txt", "book.txt", "function.txt"]
"""All that a build leaves."""


def make_families(project: Made) -> Made:
    """Write the pipeline, of which nothing is built."""
    project.pipeline(PIPELINE).write("etl/pipeline.toml", ETL).write("work.py", WORK).write("names.txt", NAMES)
    project.notebook(
        "clean.py",
        "# parameters\ninputs, outputs = {}, {}",
        "open(outputs['clean'], 'w').write(open(inputs['raw']).read().upper())",
    )
    project.notebook(
        "book.py",
        "# parameters\ninputs = {}",
        "text = ''.join(open(each['path']).read() + repr(each) for each in inputs['fits'])",
        "open('book.txt', 'w').write(text)",
    )
    return project


def of_each(*names: str) -> list[str]:
    """Return the instances that the names of cities make."""
    return [f"{family}{name}]" for name in names for family in ("fit[n=", "clean[city=", "letter[city=")]


GATHERERS = ["book", "command", "function", "proof"]
