"""Damage to files below `.nbdag`, and mutated pipelines, notebooks, records, runs and bundles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

from nbmake_dag.config.pipeline_file import Signature, expand, parse
from nbmake_dag.errors import ConfigError
from nbmake_dag.observe.project import find_project
from nbmake_dag.runs.find import recorded_in
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_cache.record import DamagedRecordError, decode_record
from nbmake_dag_reporting.bundle import BundleError, decode_bundle, encode_bundle
from nbmake_dag_reporting.runs import decode_run, find_run, read_content, read_trace
from nbmake_dag_reporting.secrets_scan import Secrets
from tests.faults.campaign import Row, Trials
from tests.support.damage import CHANGES, DAMAGES, damage
from tests.support.every_kind import OUTPUTS, files_of, make_every_kind, other_of
from tests.support.project import Project
from tests.support.state_table import STATE_KINDS

_PIECES = (
    b'"',
    b"'",
    b"[",
    b"]",
    b"{",
    b"}",
    b"=",
    b"\n",
    b"\\",
    b"\0",
    b"\xff",
    b"\xc3",
    b"null",
    b"-1",
    b"1e999",
    b"[" * 100_000,
)
_READ = 20_000
_AT_ONCE = 100
_BUILT = 500


def of_the_table(folder: Path) -> Trials:
    """Damage one file of a kind, and build by the command line: 40 times for each kind."""
    victim = Project(folder / "victim")
    make_every_kind(victim)

    def run(number: int, chance: Random, place: Path) -> None:
        project = Project.copied(victim.root, place / "project")
        path = chance.choice(files_of(project, STATE_KINDS[number % len(STATE_KINDS)]))
        how = chance.choice(DAMAGES)
        damage(project / ".nbdag" / path, how, chance, other_of(victim, path))
        project.write("in.txt", "2")
        for attempt in range(2):
            build = project.build()
            about = f"{path}: {how}, build {attempt + 1}\n{build.err}"
            assert build.code == 0, about
            assert "defect" not in build.err, about
            assert project.contents(OUTPUTS) == {"a.txt": b"2", "b.txt": b"22", "c.txt": b"22"}, about
            assert attempt == 0 or build.having("ran") == [], about
        report = project.nbdag("report")
        assert report.returncode == 0, f"{path}: {how}, report\n{report.stderr}"

    return Trials(count=40 * len(STATE_KINDS), run=run)


def mutated(content: bytes, chance: Random) -> bytes:
    """Change a file in one to four places: bits, pieces of syntax, or as a whole."""
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(content) + 1)
        match chance.randrange(5):
            case 0:
                content = CHANGES[chance.choice(("cut", "flip", "flip high"))](content, chance)
            case 1:
                content = content[:at] + chance.choice(_PIECES) + content[at:]
            case 2:
                content = content[:at] + content[at + chance.randrange(1, 40) :]
            case 3:
                content = content[:at] + content[at : at + chance.randrange(1, 200)] + content[at:]
            case _:
                content = content[:at] + chance.choice(_PIECES) + content[at + 1 :]
    return content


def of_what_is_read(kind: str, folder: Path) -> Trials:
    """Give a mutated file to its reader, in this process: a value or the reader's own complaint."""
    sound, read, complaints = _readers(folder)[kind]

    def run(number: int, chance: Random, place: Path) -> None:
        del number, place
        for _ in range(_AT_ONCE):
            content = mutated(sound, chance)
            said: Exception | None = None
            try:
                read(content)
            except complaints as error:
                said = error
            except Exception as error:
                raise AssertionError(f"{error!r} for {content!r}") from error
            assert said is None or str(said), content

    return Trials(count=_READ // _AT_ONCE, run=run, each=_AT_ONCE)


def _read_toml(content: bytes) -> None:
    file = parse(content)
    expand(file, {source: Signature(names=frozenset({"depth"})) for source in file.sources()}, {})


_Reader = tuple[bytes, Callable[[bytes], object], tuple[type[Exception], ...]]


def _readers(folder: Path) -> Mapping[str, _Reader]:
    victim = Project(folder / "victim")
    _make_for_readers(victim)
    run = find_run(str(victim / ".nbdag/runs"), "latest")
    record = next((victim / ".nbdag/cache/records").rglob("*.json")).read_bytes()
    bundle, _ = encode_bundle(recorded_in(find_project(str(victim.root)), "latest"), Secrets({}))
    trace, events = read_trace(run), read_content(run, "events.jsonl")
    notebook = (victim / "note.ipynb").read_bytes()
    return {
        "toml": ((victim / "pipeline.toml").read_bytes(), _read_toml, (ConfigError,)),
        "notebook": (notebook, lambda data: identify(read_notebook(data, "n.ipynb")), (UnreadableNotebookError,)),
        "record": (record, decode_record, (DamagedRecordError,)),
        "trace": (trace, lambda data: decode_run(run, data, events), (LookupError,)),
        "events": (events, lambda data: decode_run(run, trace, data), (LookupError,)),
        "bundle": (bundle, lambda data: decode_bundle(data, "b"), (BundleError,)),
    }


def by_the_command_line(kind: str, folder: Path) -> Trials:
    """Build, or list runs, where a file is mutated: no traceback, and nothing but a usage error or a success."""
    victim = Project(folder / "victim")
    _make_for_readers(victim)

    def run(number: int, chance: Random, place: Path) -> None:
        del number
        project = Project.copied(victim.root, place / "project")
        command: tuple[str, ...] = ("build",)
        match kind:
            case "toml":
                path = project / "pipeline.toml"
            case "notebook":
                path = project / "note.ipynb"
            case "record":
                path, command = (
                    chance.choice(sorted((project / ".nbdag/cache/records").rglob("*.json"))),
                    ("status",),
                )
            case _:
                runs = sorted((project / ".nbdag/runs").glob("*/*.jsonl"))
                path, command = chance.choice(runs), ("show", "latest")
        content = mutated(path.read_bytes(), chance)
        path.chmod(0o644)
        path.write_bytes(content)
        done = project.nbdag(*command)
        about = f"{path.name}: {content!r}\n{done.stderr}"
        assert done.returncode in {0, 1, 2, 5}, about
        assert "defect" not in done.stderr, about
        assert kind == "notebook" or "Traceback" not in done.stderr, about

    return Trials(count=_BUILT, run=run)


def _make_for_readers(project: Project) -> None:
    project.pipeline("""
        [tasks.note]
        notebook = "note.ipynb"
        outputs = ["note.txt"]
        tags = ["x"]

        [tasks.last]
        command = "cat note.txt > last.txt"
        inputs = ["note.txt"]
        outputs = ["last.txt"]
        retries = 1
    """)
    cells = [_cell("import os"), _cell("open('note.txt', 'w').write('x')\nprint('é')")]
    project.write("note.ipynb", json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    build = project.build()
    assert build.code == 0, build.err
    # it is written only when all folders have been at rest for a while
    shutil.rmtree(project / ".nbdag/state/unchanged", ignore_errors=True)


def _cell(source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "id": source[:4].strip(),
        "metadata": {},
        "outputs": [],
        "execution_count": 1,
        "source": source,
    }


ROWS = (
    Row(name="damage", what="damage to a file below `.nbdag`, by the table, and a build", prepare=of_the_table),
    *(
        Row(name=f"mutated-{kind}", what=f"a mutated {kind} at its reader", prepare=partial(of_what_is_read, kind))
        for kind in ("toml", "notebook", "record", "trace", "events", "bundle")
    ),
    *(
        Row(
            name=f"cli-{kind}",
            what=f"a mutated {kind} by the command line",
            prepare=partial(by_the_command_line, kind),
        )
        for kind in ("toml", "notebook", "record", "run")
    ),
)
