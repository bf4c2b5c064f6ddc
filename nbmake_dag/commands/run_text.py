"""Runs and tasks in words, from their records; nothing of others reaches the terminal but text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbmake_dag.commands.sizes import in_words
from nbmake_dag.core.lookup import literal
from nbmake_dag.progress.text import fit, pad, plain, width
from nbmake_dag.progress.time_spans import coarse, precise
from nbmake_dag_reporting.drawing import LOOKS
from nbmake_dag_reporting.notebook import is_injected, joined
from nbmake_dag_reporting.run import AttemptRun, Failure, Run, RunHead, TaskRun

_LONGEST = 100
_COUNTED = ("ran", "restored", "up_to_date", "failed", "skipped", "cancelled")
_RIGHT = frozenset({"duration", "saved"})


def run_table(heads: Sequence[RunHead]) -> Iterator[str]:
    """Yield a line for each run, below one with the names of the columns."""
    if not heads:
        return
    rows = [
        {
            "run": head.id,
            "started": moment(head.started),
            "result": head.result,
            "tasks": counted(head.counts),
            "duration": _duration(head.started, head.ended),
            "saved": coarse(head.saved_s) if head.saved_s >= 0.5 else "",
            "commit": (head.vcs.head_revision or "")[:9],
            "branch": head.vcs.head_name or "",
        }
        for head in heads
    ]
    yield from table([dict(zip(rows[0], rows[0], strict=True)), *rows])


def run_lines(run: Run) -> Iterator[str]:
    """Yield what a run was, then a line for each of its tasks."""
    yield f"run {run.id}  {plain(run.pipeline)}  {run.result}"
    facts = {
        "started": moment(run.started) + (f", took {precise(seconds)}" if (seconds := _seconds(run)) else ""),
        "commit": _commit(run),
        "CI": f"{run.ci.provider} {run.ci.url or ''}" if run.ci else "",
        "targets": ", ".join(map(plain, run.targets)),
        "parameters": ", ".join(f"{plain(name)} = {_value(value)}" for name, value in run.parameters.items()),
        "tasks": counted(run.counts) + (f", saved {coarse(run.saved_s)}" if run.saved_s >= 0.5 else ""),
    }
    yield from _facts(facts)
    if run.tasks:
        yield ""
    yield from table(
        [
            {
                "status": f"{LOOKS[task.status].glyph} {_words(task)}",
                "task": plain(task.name),
                "duration": _took(task),
                "why": why(task),
            }
            for task in run.tasks.values()
        ]
    )


def task_lines(run: Run, task: TaskRun, notebook: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield all that is known of a task, and the text that its notebook shows."""
    look = LOOKS[task.status]
    yield f"{look.glyph} {plain(task.name)}  {_words(task)} in run {run.id}"
    yield from _facts(
        {
            "why": "; ".join(map(plain, task.reasons)),
            "from run": _origin(task),
            "notebook": plain(task.path or ""),
            "needs": ", ".join(map(plain, task.upstreams)),
            "key": task.key or "",
        }
    )
    yield from _section("parameters", {name: _value(value) for name, value in task.params.items()})
    yield from _section("metrics", {name: f"{value:g}" for name, value in task.metrics.items()})
    yield from _section("tags", {name: plain(value) for name, value in task.tags.items()})
    artifacts = {
        name: f"{in_words(artifact.size)}, {plain(artifact.media_type)}, sha256 {artifact.sha256[:12]}"
        for name, artifact in task.artifacts.items()
    }
    yield from _section("artifacts", artifacts)
    yield from _section("outputs", {path: digest[:12] for path, digest in task.outputs.items()})
    undeclared = dict.fromkeys(task.undeclared_reads, "read")
    for path in task.undeclared_writes:
        undeclared[path] = f"{undeclared[path]}, written" if path in undeclared else "written"
    yield from _section("undeclared", undeclared)
    yield from _section("attempts", {str(attempt.number): _attempt(attempt) for attempt in task.attempts})
    for attempt in task.attempts:
        if attempt.failure:
            yield from _failure(attempt, attempt.failure)
    if notebook is not None:
        yield from _notebook(notebook)


def table(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield rows with their columns aligned, without those that are empty."""
    columns = {name: max(width(row[name]) for row in rows) for name in rows[0]} if rows else {}
    for row in rows:
        cells = [
            row[name].rjust(size) if name in _RIGHT else pad(row[name], size)
            for name, size in columns.items()
            if size
        ]
        yield "  ".join(cells).rstrip()


def counted(counts: Mapping[str, int]) -> str:
    """Say which statuses how many tasks have: ``4 ran, 1 failed``."""
    parts = [f"{counts[status]} {LOOKS[status].words}" for status in _COUNTED if counts.get(status)]
    return ", ".join(parts) or "none"


def moment(nanoseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds / 1e9))


def _seconds(head: RunHead) -> float | None:
    return None if head.ended is None else (head.ended - head.started) / 1e9


def _duration(started: int | None, ended: int | None) -> str:
    return "" if started is None or ended is None else precise((ended - started) / 1e9)


def _took(task: TaskRun) -> str:
    return _duration(task.started, task.ended) if task.attempts else ""


def _commit(run: RunHead) -> str:
    vcs = run.vcs
    branch = f" ({plain(vcs.head_name)})" if vcs.head_name else ""
    return f"{vcs.head_revision}{branch}{', with changes' if vcs.dirty else ''}" if vcs.head_revision else ""


def why(task: TaskRun) -> str:
    """Say in one line why a task has its status; of a failed one, what went wrong."""
    failure = task.attempts[-1].failure if task.attempts else None
    if failure and task.status == "failed":
        return fit(plain(_headline(failure)), _LONGEST)
    more = f" (and {len(task.reasons) - 1} more)" if len(task.reasons) > 1 else ""
    return f"{fit(plain(task.reasons[0]), _LONGEST)}{more}" if task.reasons else ""


def _words(task: TaskRun) -> str:
    return f"{LOOKS[task.status].words}{', draft' if task.draft else ''}"


def _headline(failure: Failure) -> str:
    message = failure.message.strip().split("\n")[0]
    where = f" in cell {failure.cell + 1}" if failure.cell is not None else ""
    return f"{failure.type}{where}: {message}" if message else f"{failure.type}{where}"


def _origin(task: TaskRun) -> str:
    if task.source is None:
        return ""
    saved = f", saved {precise(task.saved_s)}" if task.saved_s else ""
    return f"{task.source.run_id}{saved}{', accepted' if task.accepted else ''}"


def _value(value: Any) -> str:
    return fit(plain(literal(value)), _LONGEST)


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    size = max((len(name) for name, fact in facts.items() if fact), default=0)
    yield from (f"  {name:<{size}}  {fact}" for name, fact in facts.items() if fact)


def _section(title: str, values: Mapping[str, str]) -> Iterator[str]:
    if values:
        names = [plain(name) for name in values]
        size = max(map(width, names))
        yield ""
        yield title
        yield from (f"  {pad(name, size)}  {value}" for name, value in zip(names, values.values(), strict=True))


def _attempt(attempt: AttemptRun) -> str:
    memory = f"{in_words(attempt.peak_rss)} of memory" if attempt.peak_rss else ""
    processor = f"{attempt.cpu_s:.1f} s of processor" if attempt.cpu_s is not None else ""
    parts = [attempt.outcome, _duration(attempt.started, attempt.ended), processor, memory]
    if attempt.outcome == "interrupted" and attempt.cells:
        parts.append(f"in cell {attempt.cells[-1].index + 1}")
    return ", ".join(part for part in parts if part)


def _failure(attempt: AttemptRun, failure: Failure) -> Iterator[str]:
    yield ""
    yield f"attempt {attempt.number}: {plain(_headline(failure))}"
    for number, line in enumerate(
        failure.cell_source.rstrip().split("\n") if failure.cell_source else (), start=1
    ):
        yield f"  {'>' if number == failure.line else ' '} {number:>3} | {plain(line)}".rstrip()
    yield from _indented(failure.traceback)


def _notebook(notebook: Mapping[str, Any]) -> Iterator[str]:
    """Yield the outputs of cells that are text."""
    number = 0
    for cell in notebook["cells"]:
        number += not is_injected(cell)
        texts = [text for output in cell.get("outputs", ()) if (text := _text(output)).strip()]
        if texts:
            yield ""
            yield f"cell {number}"
            for text in texts:
                yield from _indented(text)


def _text(output: Mapping[str, Any]) -> str:
    match output["output_type"]:
        case "stream":
            return joined(output["text"])
        case "error":
            return ""  # shown with its attempt
        case _:
            data: Mapping[str, Any] = output.get("data", {})
            return joined(data["text/plain"]) if "text/plain" in data else f"({', '.join(data)})"


def _indented(text: str) -> Iterable[str]:
    return (f"  {plain(line)}".rstrip() for line in text.rstrip().split("\n")) if text.strip() else ()
