"""Writes the pages that are made from the code: ``python -m tests.docs.reference``."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
from msgspec.structs import asdict

import nbmake_dag
from nbmake_dag.commands.cli import COMMANDS, cli
from nbmake_dag.commands.help import GUIDE
from nbmake_dag.commands.helping import REST, Command
from nbmake_dag.commands.schema import DOCUMENTS, document_schema
from nbmake_dag.config.pipeline_file import json_schema
from nbmake_dag.config.settings import DEFAULT_NAME
from nbmake_dag.core import model
from nbmake_dag.core.decide import StaleCode
from nbmake_dag.inside.upstream import Artifact, Upstream
from nbmake_dag.notebook_api import Built, Loaded
from nbmake_dag_reporting import schema
from tests.support.state_table import STATE_KINDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "nbmake_dag" / "docs"

VARIABLES = {
    "NBDAG_CACHE_SIGNING_KEY": "the private key that signs records for the shared cache",
    "NBDAG_CACHE_ZONE": "the zone of the shared cache, in a CI system that is not known",
    "NBDAG_PROFILE": "the profiles of `pipeline.toml`, if `--profile` names none; with commas between several",
    "NBDAG_TRACEBACK": "set to anything: a defect shows its traceback",
    "OTEL_*": "the standard variables: spans also go to a collector",
    "RAY_ADDRESS": "the Ray cluster, if `--ray-address` and `[ray] address` name none",
}
OF_A_TASK = {
    "NBDAG_RUN_ID": "the identifier of the run",
    "NBDAG_TASK": "the name of the task, `train[depth=3]`",
    "NBDAG_ATTEMPT": "1 for the first",
    "NBDAG_ROOT": "the folder of `pipeline.toml`",
    "NBDAG_REPOSITORY": "the repository, or the same folder where there is none",
    "NBDAG_LOG": "a file to which any language may append values as lines of JSON",
    "NBDAG_ARTIFACTS": "the folder to which the paths of logged artifacts are relative",
    "NBDAG_INPUTS": "for a command whose inputs have names: a JSON file with them",
    "NBDAG_UPSTREAM": "a JSON file with the path of the `lines` of JSON that tasks left, the offsets of those"
    " right `above`, which name those above them, and the folder of the `blobs` of artifacts",
    "TRACEPARENT": "the span of the attempt, for other tools that trace",
}
BETWEEN_PROCESSES = {
    "NBDAG_VARY_MACHINE": "the name of the machine that a task sees, in a trial of `nbdag replay --vary`",
    "NBDAG_VARY_ORDER": "how it sees folders listed: `sorted` or `reversed`",
    "NBDAG_VARY_THREADS": "how many processors it sees",
    "NBDAG_VARY_TIME": "the time, in seconds, at which it sees the clock stand still",
    "NBDAG_ACCESS": "the file in which a kernel or function notes the files that it uses",
    "NBDAG_SLURM_DRIVER": "where the job of a build on SLURM reaches the build",
    "NBDAG_SLURM_TOKEN": "what that job shows it",
    "NBDAG_RUNTIME": "marks every process of a build, so that the next one ends what a killed build left",
    "NBDAG_SOURCE_DIR": "the folder of the notebook, where modules are looked up first",
    "NBDAG_WORKSPACE": "the repository that a sandbox, or a copy of `nbdag doctor`, was made of",
}
EXIT_CODES = {
    "0": "done",
    "1": "a task failed; with `status --exit-code`: something is stale",
    "2": "the command line or `pipeline.toml` is wrong",
    "3": "the machine, Ray or nbdag itself failed",
    "4": "another build is running here, and `--no-wait` was given",
    "5": "no such run is recorded",
    "130, 143": "ended by Ctrl-C, by SIGTERM",
}
REMOVABLE = {
    "yes": "yes",
    "idle": "while no build and no `watch` runs",
    "empty": "only if it is empty: else build once",
    "no": "no, unless that may be lost",
}
"""In words, whether a file of ``.nbdag`` may be removed."""
IN_0_1_0 = {
    "pipeline": "name ignore",
    "software": "lockfiles packages variables",
    "cache": "max_size max_age epoch remote remote_mode trusted_branches public_keys",
    "runs": "keep",
    "kernel": "start preload snapshots shutdown_timeout",
    "ray": "address runtime_env",
    "tasks.NAME": "notebook function command inputs outputs matrix parameters after kernel workdir env secrets"
    " timeout retries retry_delay resources tags description cache store max_age strict sandbox notebook_output",
    "tasks.NAME.resources": "cpus gpus memory custom node",
    "report": "publish_host max_size metrics",
    "report.metrics.NAME": "direction tolerance",
}
"""The keys that the release 0.1.0 knew; every other one is newer."""
DEFAULTS: dict[str, dict[str, object]] = {
    "pipeline": {"name": DEFAULT_NAME},
    "environments.NAME": {"python": "the version that nbdag runs in", "build": False},
    "cache": asdict(model.CacheSettings()),
    "runs": {"keep": model.Pipeline(name="", tasks={}).keep_runs},
    "kernel": asdict(model.KernelSettings()),
    "watch": asdict(model.WatchSettings()),
    "ray.slurm": {"nodes": model.SlurmSettings().nodes},
    "tasks.NAME": {
        **asdict(model.Policy()),
        "kernel": "the notebook's, else python3",
        "workdir": "the folder of pipeline.toml",
        "allow_errors": "as the notebook's metadata says, else false",
    },
    "tasks.NAME.resources": asdict(model.Resources()),
    "report": asdict(model.ReportSettings()),
    "report.metrics.NAME": asdict(model.MetricSettings()),
}
"""What a key means that is not set, by the table; none where there is nothing to tell."""


def index_page() -> str:
    """List every topic, for whoever reads the pages in a repository or on the site."""
    lines = [
        "# nbdag",
        "",
        "`make` for notebooks, with a record of every run. Begin with the [tutorial](tutorial.md). The",
        "[README](../../README.md) shows what it looks like, the [changelog](../../.github/CHANGELOG.md) what is",
        "new. In a terminal `nbdag help TOPIC` shows each of these pages.",
    ]
    for title, topics in GUIDE.items():
        lines += ["", f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| [{topic}]({topic}.md) | {text} |" for topic, text in topics.items()]
    return "\n".join(lines) + "\n"


def keys_page() -> str:
    """Describe every key of ``pipeline.toml``, from the types that read it."""
    described = json_schema()
    lines = [
        "# Keys of pipeline.toml",
        "",
        "Paths are relative to the file. Durations are written `10s`, `5m`, `1h30m`, `1d`, or as a number of",
        "seconds; sizes `500MB`, `10GB`, `1GiB`, or as a number of bytes. `nbdag schema` prints this for editors.",
        "A task needs one line: its `notebook`, `function` or `command`.",
    ]
    tables = described["$defs"]
    for name, entry in tables["Document"]["properties"].items():
        path = f"{name}.NAME" if name in {"environments", "tasks"} else name
        lines += ["", f"## `[{path}]`", "", entry["description"]]
        reference = entry.get("additionalProperties", entry).get("$ref")
        lines += (
            _keys_of(tables, reference, path) if reference and name not in {"defaults", "sets", "profiles"} else []
        )
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Describe every command and option, from click, and what else a shell needs to know."""
    context = click.Context(cli, info_name="nbdag")
    lines = ["# Commands", "", "`-C DIR` and `-f FILE` work before and after every command, as in make."]
    for name in COMMANDS:
        command = importlib.import_module(f"nbmake_dag.commands.{name}").command
        lines += ["", f"## `nbdag {name}`", *_described(command, f"nbdag {name}", context)]
    lines += ["", "`nbdag help variables` has the environment variables and the exit codes."]
    return "\n".join(lines) + "\n"


def variables_page() -> str:
    """Describe environment variables and exit codes."""
    lines = ["# Environment variables and exit codes"]
    for title, names in (
        ("Variables that nbdag reads", VARIABLES),
        ("Variables that a task has", OF_A_TASK),
        ("Variables between nbdag's own processes, which a task sees and nobody sets", BETWEEN_PROCESSES),
        ("Exit codes", EXIT_CODES),
    ):
        lines += ["", f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| `{key}` | {meaning} |" for key, meaning in names.items()]
    lines += [
        "",
        "The variables of the build reach its tasks, but for those that begin with `NBDAG_`; `env` of a task sets",
        "others. A value counts for staleness only if `[software] variables` names it, or `env` sets it.",
    ]
    return "\n".join(lines) + "\n"


def files_page() -> str:
    """Describe what nbdag keeps in a project."""
    lines = [
        "# The files of .nbdag/",
        "",
        "All that nbdag keeps is in `.nbdag/` beside `pipeline.toml`, and git ignores it. Any of these files may",
        "be lost or damaged: this says what that costs. `nbdag clean --cache` removes the cache and the state.",
        "",
        "| file | holds | if it is lost | may be removed |",
        "|---|---|---|---|",
        *(
            f"| `{kind.pattern}` | {kind.holds} | {kind.loss} | {REMOVABLE[kind.removable]} |"
            for kind in STATE_KINDS
        ),
        "",
        "Carry `cache/` and `runs/` to another machine or from one CI job to the next, and nothing else.",
        "`nbdag cache info` says how large they are; `[cache] max_size`, `max_age` and `[runs] keep` limit them.",
        "",
        "Besides, nbdag writes the declared outputs of tasks, the copies that `notebook_output` names, and below",
        "`~/.cache/nbdag` what `nbdag help --open` shows, and on nodes of a cluster the files of tasks.",
    ]
    return "\n".join(lines) + "\n"


def architecture_page() -> str:
    """Return the page of the architecture, with its table of the files of ``.nbdag`` made anew."""
    rows = [
        "| path | owner | format | what losing it costs | may be removed |",
        "|---|---|---|---|---|",
        *(
            f"| `{kind.pattern}` | {', '.join(f'`{owner}`' for owner in kind.owners)} | {kind.format}"
            f" | {kind.loss} | {REMOVABLE[kind.removable]} |"
            for kind in STATE_KINDS
        ),
    ]
    page = (DOCS / "../README.md").read_text()
    before, marker, rest = page.partition("<!-- written by tests.docs.reference -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    return "".join([before, marker, "\n", "\n".join(rows), "\n\n", end, after])


def spans_page() -> str:
    """Describe the attributes of spans, from the table that the writer of records uses."""
    return f"""# Spans of a run

Every run is a trace of OpenTelemetry spans: the run, its tasks, their attempts, and the cells of notebooks.
`.nbdag/runs/RUN/trace.otlp.jsonl` has one OTLP/JSON document per line, which any OpenTelemetry tool reads. The
spans of tasks that were up to date or restored are in tables below `.nbdag/runs/.hits`, which runs share:
`nbdag export RUN -o DIR` writes a `trace.otlp.jsonl` with all of them. With `OTEL_EXPORTER_OTLP_ENDPOINT` set, all
spans reach a collector while the build runs.
[The contract](../../reporting/README.md) says when each is written.

`private` values describe the machine or its user and are published only with `[report] publish_host = true`; in
`paths` absolute paths are replaced before anything is published.

{schema.markdown()}"""


def functions_page() -> str:
    """Describe what Python code can call, from its docstrings."""
    lines = [
        "# Functions",
        "",
        "`import nbmake_dag as nbdag` in a notebook, a function or a script; kernels need no installation of it.",
        "Names and the order of arguments are MLflow's. Outside a build the logging functions check their",
        "arguments and do nothing else, so that a notebook runs by hand as well.",
        "",
        "## Logging",
    ]
    logging = [name for name in nbmake_dag.__all__ if name.startswith(("log_", "set_"))]
    for name in logging:
        lines += _function(getattr(nbmake_dag, name), name)
    lines += ["", "## What other tasks logged", *_function(nbmake_dag.upstream, "upstream")]
    lines += _members(Upstream) + _members(Artifact, "path", "read_bytes", "read_text")
    lines += ["", "## Building from Python", *_function(nbmake_dag.load, "load")]
    lines += _function(Loaded.build, "Loaded.build") + _function(Loaded.status, "Loaded.status")
    lines += _members(Built, "ok", "tasks")
    lines += _function(nbmake_dag.load_ipython_extension, "load_ipython_extension")
    lines += [
        "",
        "`%load_ext nbmake_dag` calls it. A build that fails there fails its cell; a notebook that is a task",
        "cannot build its own pipeline.",
    ]
    return "\n".join(lines) + "\n"


def _function(function: Any, name: str) -> list[str]:
    """Return a heading, the signature and the docstring of a function."""
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    signature = str(inspect.Signature(parameters, return_annotation=inspect.signature(function).return_annotation))
    plain = signature.replace("'", "") if '"' not in signature else signature
    return ["", f"### `{name}`", "", f"    {name}{plain}", "", _text(function)]


def _members(owner: type, *names: str) -> list[str]:
    lines = ["", f"### `{owner.__name__}`", "", _text(owner), ""]
    return lines + [f"- `.{name}`: {_text(getattr(owner, name)).partition(chr(10))[0]}" for name in names]


def _text(described: Any) -> str:
    """Return a docstring as Markdown."""
    text = inspect.getdoc(described)
    assert text, f"{described} has no docstring"
    return text.replace("``", "`")


def _keys_of(tables: dict[str, Any], reference: str, path: str) -> Iterator[str]:
    for key, entry in tables[reference.rpartition("/")[2]]["properties"].items():
        inner = entry.get("additionalProperties", entry)
        if isinstance(inner, dict) and "$ref" in inner and "enum" not in tables[inner["$ref"].rpartition("/")[2]]:
            below = f"{path}.{key}" if inner is entry else f"{path}.{key}.NAME"
            yield from ("", f"## `[{below}]`", "", entry["description"])
            yield from _keys_of(tables, inner["$ref"], below)
        else:
            since = "0.1.0" if key in IN_0_1_0.get(path, "").split() else "the next release"
            default = _written(DEFAULTS.get(path, {}).get(key), entry.get("type"))
            yield from ("", f"### `{key}`" if path == "tasks.NAME" else f"### `{path}.{key}`", "")
            yield f"{_type(tables, entry)} · default: {default} · since {since}"
            yield from ("", entry["description"])
            yield from ("", "```toml", f"{key} = {examples()[path, key]}", "```")


@cache
def examples() -> dict[tuple[str, str], str]:
    """Return the value of each key in ``pipeline.toml.example``, as it is written there."""
    found: dict[tuple[str, str], str] = {}
    table = ""
    for line in (ROOT / "pipeline.toml.example").read_text().splitlines():
        if line.startswith("["):
            table = line.strip("[]").partition("]")[0]
            table = re.sub(r"^(environments|tasks|report\.metrics)\.\w+", r"\1.NAME", table)
        elif match := re.fullmatch(r"(\w+) = (.*?)(?:  +#.*)?", line):
            found.setdefault((table, match[1]), match[2])
    return found


def _written(value: object, kind: object) -> str:
    """Return a value as one writes it, with its unit."""
    match value:
        case None | () | {} | "":
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case int() if isinstance(kind, list) and value:
            unit = next((name, size) for name, size in (("GB", 10**9), ("MB", 10**6)) if value % size == 0)
            return f"`{value // unit[1]}{unit[0]}`"
        case float() if isinstance(kind, list):
            return f"`{value:g}s`" if value >= 1 or not value else f"`{value * 1000:g}ms`"
        case int() | float():
            return f"`{value:g}`"
        case tuple():
            return f"`{list(value)}`".replace("'", '"')
        case _:
            return f"{value}" if " " in str(value) else f"`{value}`"


def _type(tables: dict[str, Any], entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        return _type(tables, tables[entry["$ref"].rpartition("/")[2]])
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_type(tables, one) for one in entry["anyOf"])
    match entry.get("type"):
        case "array":
            return "list"
        case "object" | None:
            return "table" if entry.get("type") else "any"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case list():
            return "size" if "integer" in entry["type"] else "duration"
        case other:
            return str(other)


def _described(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield from ("", f"    {' '.join([name, *command.collect_usage_pieces(context)])}", "")
    yield inspect.cleandoc(command.help or "")
    sections = (
        command.options_by_section(context)
        if isinstance(command, Command)
        else {REST: [option for option in command.params if isinstance(option, click.Option)]}
    )
    for title, options in sections.items():
        records = [option.get_help_record(context) for option in options if "--help" not in option.opts]
        if rows := [[text.replace("|", "\\|") for text in record] for record in records if record]:
            yield from (
                "",
                f"| {title} | |",
                "|---|---|",
                *(f"| `{written}` | {meaning} |" for written, meaning in rows),
            )
    if isinstance(command, Command) and command.examples:
        yield from ("", "```sh", *(f"{line}  # {meaning}" for line, meaning in command.examples.items()), "```")
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from ("", f"### `{name} {below.name}`", *_described(below, f"{name} {below.name}", context))


def json_page() -> str:
    """Describe what commands write for programs, from the schemas."""
    codes = ", ".join(f"`{code}`" for code in (*get_args(StaleCode), *_OTHER_CODES))
    lines = [
        "# JSON for programs",
        "",
        "Every command that reads has `--json`. Each writes one document to standard output; what a person",
        "should read goes to standard error, and the exit code is as without it. `nbdag schema NAME` prints",
        "the JSON Schema of a document. Its `format` is raised when a member is removed or means something",
        "else; members may join.",
        "",
        "| schema | written by |",
        "|---|---|",
        *(f"| `{name}` | `{written_by}` |" for name, (_, written_by) in DOCUMENTS.items()),
        "",
        "In documents of runs times are nanoseconds since the epoch. A number that JSON cannot hold is `NaN`,",
        "`Infinity` or `-Infinity`, as a text. Exit code 2 is a mistake of the caller, 5 an unknown run",
        "(`nbdag help variables`); there is no document then. `run.json` and `task.json` of `nbdag export -o` are",
        "documents `run` and `task`. `nbdag build --junit FILE` writes JUnit XML (`nbdag help testing`).",
        "",
        "## Codes of reasons",
        "",
        f"A code of a reason is one of {codes}; or the kind of the ingredient that changed, such as",
        f"{', '.join(f'`{kind}`' for kind in _CHANGED)}.",
    ]
    shown: set[str] = set()
    for name, (_, written_by) in DOCUMENTS.items():
        described = document_schema(name)
        lines += ["", f"## `{written_by}`"]
        root = described.get("$ref", "").rpartition("/")[2]
        if not root:
            lines += _event_lines(described)
        for kind in sorted(described["$defs"], key=lambda kind: kind != root):
            shape = described["$defs"][kind]
            if kind not in shown and "properties" in shape and not _tag(shape):
                shown.add(kind)
                lines += _shape(kind, shape, alone=kind == root)
    lines += [
        "",
        "## The stream of `--serve`",
        "",
        "With `--serve`, of `build` and `watch`, the printed address has `live/events` below it: server-sent",
        "events for as long as nbdag serves. A message without a name holds lines of `events.jsonl` of the",
        "run ([the contract](../../reporting/README.md)), which are like those above; `task_planned` stands",
        "for `task_queued`, `task_finished` for `task_ended`, and says whether it is a draft. `run` names the",
        "run that the next lines are of, `report` a new version of the site, `complaint` the reason that",
        "nothing can be built. With the header `Last-Event-ID`, or the same as the query of the address, the",
        "stream goes on after that message, without loss or repetition: what is left of that run comes first.",
        "`gap` lists the runs whose lines are left out; it is empty where that is not known, as when the",
        "record of the run was removed.",
    ]
    return "\n".join(lines) + "\n"


def _event_lines(described: dict[str, Any]) -> Iterator[str]:
    """Describe a stream of events, in the order in which they happen."""
    yield from (
        "",
        "Each line is one event, written as it happens; `nbdag watch --json-lines` writes those of every",
        "build. Text for people is on standard error. Secrets are redacted as in the record, and of what an",
        "attempt prints at most 256 Ki characters are in it. Cells have the index in the notebook, from 0, and",
        "the `cell_id` of the executed notebook. A reader that goes away does not end the build. A build ends",
        "with `run_ended` or `refused`, with its exit code; without either it was killed. Readers ignore what",
        "they do not know.",
        "",
        "| event | | members |",
        "|---|---|---|",
    )
    for reference in described["anyOf"]:
        shape = described["$defs"][reference["$ref"].rpartition("/")[2]]
        members = ", ".join(f"`{name}`" for name in shape["properties"] if name != "event")
        yield f"| `{_tag(shape)}` | {_summary(shape)} | {members} |"


def _tag(shape: dict[str, Any]) -> str:
    """Return the event that a type describes, if it does."""
    tags: list[str] = shape.get("properties", {}).get("event", {}).get("enum", [])
    return "".join(tags)


def _summary(shape: dict[str, Any]) -> str:
    return " ".join(shape.get("description", "").replace("``", "`").split())


def _shape(kind: str, described: dict[str, Any], *, alone: bool) -> Iterator[str]:
    """Describe the members of one type; ``alone`` it stands below the heading of its document."""
    yield from () if alone else ("", f"### {kind.removesuffix('Document')}")
    members = described["properties"]
    yield from ("", _summary(described), "")
    if any("description" in entry for entry in members.values()):
        yield from ("| member | |", "|---|---|")
        yield from (f"| `{key}` | {_member(entry)} |" for key, entry in members.items())
    else:
        yield f"Members: {', '.join(f'`{key}`' for key in members)}."


def _member(entry: dict[str, Any]) -> str:
    """Return what a member means, and the words that it can be where they are few."""
    words = ", ".join(f"`{word}`" for word in entry.get("enum", ()))
    return f"{entry.get('description', '')}{': ' if words and 'description' in entry else ''}{words}"


_OTHER_CODES = ("output_changed", "output_missing", "upstream", "instances", "accepted")
_CHANGED = ("cell", "function", "command", "module", "parameter", "input", "read", "package", "kernel", "env")

PAGES = {
    "index.md": index_page,
    "keys.md": keys_page,
    "commands.md": commands_page,
    "functions.md": functions_page,
    "variables.md": variables_page,
    "files.md": files_page,
    "spans.md": spans_page,
    "json.md": json_page,
    "../README.md": architecture_page,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / page).write_text(write())
