"""Tasks that cannot be reproduced, each for a reason of its own, and pipelines that can."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a result is another one each time or elsewhere."""

    name: str
    code: str
    """The body of a function that returns what is written."""
    condition: str = ""
    """The condition of `--vary` that matters."""
    inputs: str = ""


REASONS = (
    Reason(name="unseeded", code="import random; return random.random()"),
    Reason(
        name="seed_from_time",
        code="import random, time; random.seed(time.time()); return random.random()",
        condition="time",
    ),
    Reason(name="set_order", code="return list({f'word {n}' for n in range(20)})", condition="hashseed"),
    Reason(
        name="filled_by_threads",
        code="""
        import random, time
        from concurrent.futures import ThreadPoolExecutor
        found = {}
        def fill(n):
            time.sleep(random.random() / 50)
            found[n] = n
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fill, range(16)))
        return list(found)
        """,
        condition="threads",
    ),
    Reason(name="locale", code="import locale; return locale.setlocale(locale.LC_ALL, '')", condition="locale"),
    Reason(name="time_zone", code="import time; return time.localtime(0).tm_hour", condition="time"),
    Reason(
        name="current_time",
        code="from datetime import datetime; return datetime.now().isoformat()",
        condition="time",
    ),
    Reason(name="absolute_path", code="import os; return os.path.abspath('data.csv')"),
    Reason(name="hostname", code="import socket; return socket.gethostname()", condition="machine"),
    Reason(name="process_id", code="import os; return os.getpid()"),
    Reason(
        name="listing", code="import os; return os.listdir('parts')", condition="order", inputs='"parts/*.txt"'
    ),
    Reason(
        name="reduction",
        code="""
        import os
        numbers, count = [1 / n for n in range(1, 5000)], os.cpu_count()
        return sum(sum(numbers[at::count]) for at in range(count))
        """,
        condition="threads",
    ),
    Reason(name="undeclared_file", code="return open('notes.txt').read()"),
    Reason(name="undeclared_variable", code="import os; return os.environ.get('FACTOR', 'none')"),
    Reason(
        name="leftovers",
        code="""
        import os
        count = int(open('counter.tmp').read()) + 1 if os.path.exists('counter.tmp') else 1
        open('counter.tmp', 'w').write(str(count))
        return count
        """,
    ),
)
"""All but the hidden state of a draft, which has a test of its own."""


def make_irreproducible(project: Project) -> None:
    """Build all of it twice, so that leftovers are there."""
    tasks: list[str] = []
    for reason in REASONS:
        project.write(f"of_{reason.name}.py", _module(reason.code))
        tasks.append(
            f'[tasks.{reason.name}]\nfunction = "of_{reason.name}:run"\n'
            f'inputs = [{reason.inputs}]\noutputs = ["out/{reason.name}.txt"]\n'
        )
    project.pipeline("\n".join(tasks))
    for number in range(8):
        project.write(f"parts/{number}.txt", "")
    project.write("notes.txt", "notes").write(".gitignore", "/.nbdag/\n/out/\n*.tmp\n").commit()
    for _ in range(2):
        assert project.nbdag("build", "--force-all", env={"FACTOR": "2"}).returncode == 0


def _module(code: str) -> str:
    lines = [line.removeprefix("        ") for line in code.strip("\n").splitlines()]
    body = "\n".join(f"    {line}" for line in lines)
    return (
        f"def value():\n{body}\n\n\n"
        'def run(outputs):\n    with open(outputs[0], "w") as file:\n        print(value(), file=file)\n'
    )


CLEAN = """
    [pipeline]
    name = "clean"

    [software]
    variables = ["DECLARED"]

    [tasks.numbers]                                                     # 1: a command
    command = "seq 1 20 > data/numbers.txt"
    outputs = ["data/numbers.txt"]

    [tasks.notebook]  # 2: a notebook that shows times
    notebook = "notebook.py"
    inputs = ["data/numbers.txt"]
    outputs = ["out/notebook.txt"]

    [tasks.seeded]                                                      # 3, 4: instances, with a seed
    function = "clean:seeded"
    matrix = { seed = [1, 2] }
    outputs = ["out/seeded-{seed}.txt"]

    [tasks.upstream]                                                    # 5: reads what others logged
    function = "clean:upstream"
    after = ["seeded"]
    outputs = ["out/upstream.txt"]

    [tasks.sorted_set]                                                  # 6
    function = "clean:sorted_set"
    outputs = ["out/set.txt"]

    [tasks.sorted_listing]                                              # 7: a glob
    function = "clean:sorted_listing"
    inputs = ["parts/*.txt"]
    outputs = ["out/listing.txt"]

    [tasks.threads]                                                     # 8: threads whose results are put in order
    function = "clean:threads"
    outputs = ["out/threads.txt"]

    [tasks.declared]                                                    # 9: a declared variable
    function = "clean:declared"
    outputs = ["out/declared.txt"]

    [tasks.environment]                                                 # 10: `env`
    command = "echo $WORD > out/environment.txt"
    env = { WORD = "word" }
    outputs = ["out/environment.txt"]

    [tasks.temporary]                                                   # 11: temporary files
    function = "clean:temporary"
    outputs = ["out/temporary.txt"]

    [tasks.folder]                                                      # 12: a folder, with an empty one in it
    function = "clean:folder"
    outputs = ["out/folder/"]

    [tasks.from_folder]                                                 # 13
    function = "clean:from_folder"
    inputs = ["out/folder/"]
    outputs = ["out/from-folder.txt"]

    [tasks.script]                                                      # 14: an output that can be executed
    command = "printf '#!/bin/sh\\necho made\\n' > out/script.sh; chmod +x out/script.sh"
    outputs = ["out/script.sh"]

    [tasks.runs_script]                                                 # 15
    command = "out/script.sh > out/made.txt"
    inputs = ["out/script.sh"]
    outputs = ["out/made.txt"]

    [tasks.helper]                                                      # 16: modules of the repository
    function = "clean:helped"
    outputs = ["out/helped.txt"]

    [tasks.optional]                                                    # 17: an input that is not there
    function = "clean:optional"
    inputs = { notes = { path = "absent.md", optional = true } }
    outputs = { text = "out/optional.txt" }

    [tasks.tolerant]                                                    # 18: noise within a declared tolerance
    function = "clean:tolerant"
    outputs = { table = { path = "out/table.csv", compare = "numeric", rtol = 1e-3, ignore_columns = ["made"] } }

    [tasks.picture]                                                     # 19: a notebook with a picture, of arrays
    notebook = "picture.py"
    outputs = ["out/picture.png", "out/array.npy"]

    [tasks.gathered]                                                    # 20: the outputs of all instances
    function = "clean:gathered"
    inputs = { seeded = { task = "seeded" } }
    outputs = { text = "out/gathered.txt" }
"""
CLEAN_TASKS = 20

_CODE = """
    import json
    import os
    import random
    import tempfile
    import time
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    import nbmake_dag as nbdag


    def seeded(seed, outputs):
        random.seed(seed)
        value = random.random()
        nbdag.log_metric("value", value)
        nbdag.log_metric("size", 1)
        Path(outputs[0]).write_text(str(value))


    def upstream(outputs):
        values = {name: logged.metrics["value"] for name, logged in nbdag.upstream().items()}
        Path(outputs[0]).write_text(json.dumps(values, sort_keys=True))


    def sorted_set(outputs):
        Path(outputs[0]).write_text(" ".join(sorted({f"word {n}" for n in range(20)})))


    def sorted_listing(inputs, outputs):
        Path(outputs[0]).write_text(" ".join(sorted(os.listdir("parts"))) + " ".join(inputs[0]))


    def threads(outputs):
        with ThreadPoolExecutor(4) as pool:
            Path(outputs[0]).write_text(str(list(pool.map(str, range(100)))))


    def declared(outputs):
        Path(outputs[0]).write_text(os.environ["DECLARED"])


    def temporary(outputs):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x").write_text("temporary")
            Path(outputs[0]).write_text((Path(folder) / "x").read_text())


    def folder(outputs):
        place = Path(outputs[0])
        (place / "empty").mkdir(parents=True)
        for name in "ba":
            (place / f"{name}.txt").write_text(name)


    def from_folder(inputs, outputs):
        Path(outputs[0]).write_text(" ".join(path.name for path in sorted(Path(inputs[0]).iterdir())))


    def helped(outputs):
        import helper

        Path(outputs[0]).write_text(helper.text())


    def optional(inputs, outputs):
        Path(outputs["text"]).write_text(str(inputs["notes"]))


    def tolerant(outputs):
        noise = 1 + time.time() % 1 / 1e6
        Path(outputs["table"]).write_text(f"n,x,made\\n1,{0.5 * noise},{time.time()}\\n")


    def gathered(inputs, outputs):
        values = [(item["params"]["seed"], Path(item["path"]).read_text()) for item in inputs["seeded"]]
        Path(outputs["text"]).write_text(str(values))
"""


def make_clean(project: Project) -> None:
    project.pipeline(CLEAN).write("clean.py", _CODE).write("helper.py", "def text():\n    return 'helped'\n")
    project.notebook(
        "notebook.py",
        "# markdown\nText",
        "# parameters\ncount = 3",
        """
        import datetime, time
        print(f"made at {datetime.datetime.now():%Y-%m-%d %H:%M:%S}, took {time.time() % 1:.3f} s")
        print(object())
        numbers = [int(line) for line in open("data/numbers.txt")]
        open("out/notebook.txt", "w").write(str(numbers[:count]))
        """,
        "numbers[:count]",
    )
    project.notebook(
        "picture.py",
        """
        import numpy as np
        from PIL import Image
        pixels = np.random.default_rng(1).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        np.save("out/array.npy", pixels)
        picture = Image.fromarray(pixels)
        picture.save("out/picture.png")
        picture
        """,
    )
    for number in range(4):
        project.write(f"parts/{number}.txt", str(number))
    project.write(".gitignore", "/.nbdag/\n/out/\n/data/\n").commit()
    build = project.build("--force-all", env={"DECLARED": "declared"})
    assert (build.code, len(build.having("ran"))) == (0, CLEAN_TASKS), build.err
