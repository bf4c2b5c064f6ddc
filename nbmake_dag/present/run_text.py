"""Runs and tasks as text, from their records; control sequences in them never reach the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbmake_dag.core.lookup import literal
from nbmake_dag.present.text import fit, folded, pad, plain, squeeze, width
from nbmake_dag.present.units import coarse, in_words, precise
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.drawing import LOOKS
from nbmake_dag_reporting.notebook import is_injected, joined
from nbmake_dag_reporting.run import AttemptRun, Failure, Run, RunHead, TaskRun
from nbmake_dag_reporting.vocabulary import TaskStatus

_LONGEST = 100
_COUNTED: tuple[TaskStatus, ...] = ("ran", "restored", "up_to_date", "failed", "skipped", "cancelled")
_RIGHT = frozenset({"duration", "saved"})
_LEAST = ("started", "saved", "commit", "duration")
"""Columns of the table of runs, the least important first; a run's identifier has its time."""
_BRANCH, _BRANCH_LEAST = 30, 10
"""Columns of a branch's name, and those that it keeps in a narrow terminal."""


def run_table(heads: Sequence[RunHead], columns: int | None = None) -> Iterator[str]:
    """Yield a line for each run, below one with the names of the columns.

    With a number of ``columns`` of a terminal, what matters least is left out until the lines fit.
    """
    if not heads:
        return
    has_kinds = any(head.kind for head in heads)
    rows = [
        {
            "run": head.id,
            **({"kind": head.kind or "build"} if has_kinds else {}),
            "started": moment(head.started),
            "result": head.result,
            "duration": _duration(head.started, head.ended),
            "saved": coarse(head.saved_s) if head.saved_s >= 0.5 else "",
            "commit": (head.vcs.head_revision or "")[:9],
            "branch": squeeze(plain(head.vcs.head_name or ""), _BRANCH),
            "tasks": counted(head.counts, is_running=head.result == "running"),
        }
        for head in heads
    ]
    rows.insert(0, dict(zip(rows[0], rows[0], strict=True)))
    for name in _LEAST:
        if columns is not None and max(map(width, table(rows))) > columns:
            rows = [{other: text for other, text in row.items() if other != name} for row in rows]
    if columns is not None and (excess := max(map(width, table(rows))) - columns) > 0:
        room = max(_BRANCH_LEAST, max(width(row["branch"]) for row in rows) - excess)
        rows = [{**row, "branch": squeeze(row["branch"], room)} for row in rows]
    yield from table(rows, columns)


def run_lines(run: Run, columns: int | None = None) -> Iterator[str]:
    """Yield a description of a run, then a line for each of its tasks."""
    yield f"run {run.id}  {plain(run.pipeline)}  {run.result}"
    facts = {
        "started": moment(run.started) + (f", took {precise(seconds)}" if (seconds := _seconds(run)) else ""),
        "commit": _commit(run),
        "CI": f"{run.ci.provider} {run.ci.url or ''}" if run.ci else "",
        "targets": ", ".join(map(plain, run.targets)),
        "profiles": ", ".join(map(plain, run.profiles)),
        "parameters": ", ".join(f"{plain(name)} = {_value(value)}" for name, value in run.parameters.items()),
        "tasks": counted(run.counts, is_running=run.result == "running")
        + (f", saved {coarse(run.saved_s)}" if run.saved_s >= 0.5 else ""),
    }
    yield from _facts(facts)
    if run.tasks:
        yield ""
    yield from table(
        [
            {
                "status": f"{LOOKS[task.status].glyph} {_words(run, task)}",
                "task": plain(task.name),
                "duration": _took(task),
                "why": why(task),
            }
            for task in run.tasks.values()
        ],
        columns,
    )


def printed(recorded: Recorded, task: TaskRun, notebook: Mapping[str, Any] | None) -> bytes:
    """Return what a task printed in its last attempt, as it was written: of a notebook, all its streams."""
    if notebook is not None:
        outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
        return "".join(joined(output["text"]) for output in outputs if output["output_type"] == "stream").encode()
    log = task.attempts[-1].log if task.attempts else None
    return (recorded.blob(log) or b"") if log else b""


def task_lines(run: Run, task: TaskRun, notebook: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a complete description of a task, and the text that its notebook shows."""
    look = LOOKS[task.status]
    yield f"{look.glyph} {plain(task.name)}  {_words(run, task)} in run {run.id}"
    yield from _facts(
        {
            "why": "; ".join(map(plain, task.reasons)),
            "from run": _origin(task),
            "notebook": plain(task.path or ""),
            "needs": ", ".join(map(plain, task.upstreams)),
            "allowed errors": ", ".join(_allowed_errors(task)),
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
    attempts = {str(attempt.number): _attempt(run, attempt) for attempt in task.attempts}
    yield from _section("attempts", attempts)
    for attempt in task.attempts:
        if attempt.failure:
            yield ""
            yield from failure_lines(attempt, attempt.failure)
    if notebook is not None:
        yield from _notebook(notebook)


def table(rows: Sequence[Mapping[str, str]], columns: int | None = None) -> Iterator[str]:
    """Yield rows with their columns aligned, without those that are empty.

    With a number of ``columns`` of a terminal, longer rows are folded, and one cell that is wider than half of it
    does not move those of other rows.
    """
    widest = columns // 2 if columns else sys.maxsize
    sizes = {name: min(widest, max(width(row[name]) for row in rows)) for name in rows[0]} if rows else {}
    for row in rows:
        cells = [
            row[name].rjust(size) if name in _RIGHT else pad(row[name], size)
            for name, size in sizes.items()
            if size
        ]
        line = "  ".join(cells).rstrip()
        yield from [line] if columns is None else folded(line, columns)


def counted(counts: Mapping[str, int], *, is_running: bool = False) -> str:
    """Count tasks by status: ``4 ran, 1 failed``; those of a run under way that have no end are not cancelled."""
    words: dict[TaskStatus, str] = {status: LOOKS[status].words for status in _COUNTED}
    if is_running:
        words["cancelled"] = "not ended yet"
    parts = [f"{counts[status]} {words[status]}" for status in _COUNTED if counts.get(status)]
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
    changes = {True: ", with changes", False: "", None: ", changes not looked at"}[vcs.dirty]
    return f"{vcs.head_revision}{branch}{changes}" if vcs.head_revision else ""


def why(task: TaskRun) -> str:
    """Explain in one line why a task has its status; for a failed task, describe the error."""
    failure = task.attempts[-1].failure if task.attempts else None
    if failure and task.status == "failed":
        return fit(plain(headline(failure)), _LONGEST)
    more = f" (and {len(task.reasons) - 1} more)" if len(task.reasons) > 1 else ""
    return f"{fit(plain(task.reasons[0]), _LONGEST)}{more}" if task.reasons else ""


def _words(run: Run, task: TaskRun) -> str:
    if run.result == "running" and task.status == "cancelled":  # it has no end yet
        if task.waits_for:
            return f"waits for {plain(task.waits_for)}"
        return "running" if task.attempts else "waiting"
    return f"{LOOKS[task.status].words}{', draft' if task.draft else ''}"


def _allowed_errors(task: TaskRun) -> Iterator[str]:
    """Yield the errors of the last attempt that did not make it fail."""
    for cell in task.attempts[-1].cells if task.attempts else ():
        if cell.allowed is not None:
            yield f"{plain(cell.allowed)} in {cell.cell}"


def headline(failure: Failure) -> str:
    message = failure.message.strip().split("\n")[0]
    where = f" in {failure.cell}" if failure.cell is not None else ""
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


def _attempt(run: Run, attempt: AttemptRun) -> str:
    outcome = "running" if (run.result, attempt.outcome) == ("running", "interrupted") else attempt.outcome
    memory = f"{in_words(attempt.peak_rss)} of memory" if attempt.peak_rss else ""
    processor = f"{attempt.cpu_s:.1f} s of processor" if attempt.cpu_s is not None else ""
    parts = [
        outcome,
        _duration(attempt.started, attempt.ended),
        processor,
        memory,
    ]
    if attempt.outcome == "interrupted" and attempt.cells:
        parts.append(f"in {attempt.cells[-1].cell}")
    return ", ".join(part for part in parts if part)


def failure_lines(attempt: AttemptRun, failure: Failure) -> Iterator[str]:
    """Yield why an attempt failed: the error, the cell with its line marked, and the traceback."""
    yield f"attempt {attempt.number}: {plain(headline(failure))}"
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
