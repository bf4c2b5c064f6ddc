"""A run as JUnit XML, which GitLab, Jenkins and others show as tests: each task is a test case.

What a task printed may be anything; characters that XML does not have are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from nbmake_dag.present.run_text import failure_lines, headline, why
from nbmake_dag_reporting.drawing import LOOKS
from nbmake_dag_reporting.run import Run, TaskRun

BEGINNING = b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- nbdag -->\n'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 64_000


def junit_xml(run: Run) -> bytes:
    """Write a run: a failed task is a failure, or an error where the machine failed; others may be skipped."""
    cases = [_case(run, task) for task in run.tasks.values()]
    counts = {
        "tests": str(len(cases)),
        **{
            f"{kind}s" if kind != "skipped" else kind: str(sum(case.find(kind) is not None for case in cases))
            for kind in ("failure", "error", "skipped")
        },
        "time": _seconds(run.started, run.ended),
    }
    root = Element("testsuites", {"name": _text(run.pipeline), **counts})
    started = datetime.fromtimestamp(run.started / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite = SubElement(root, "testsuite", {"name": _text(run.pipeline), **counts, "timestamp": started})
    properties = SubElement(suite, "properties")
    SubElement(properties, "property", {"name": "nbdag.run.id", "value": _text(run.id)})
    suite.extend(cases)
    indent(root)
    xml: bytes = tostring(root, encoding="utf-8")
    return BEGINNING + xml + b"\n"


def _case(run: Run, task: TaskRun) -> Element:
    took = _seconds(task.started, task.ended) if task.attempts else "0"
    case = Element("testcase", {"classname": _text(run.pipeline), "name": _text(task.name), "time": took})
    if task.path:
        case.set("file", _text(task.path))
    match task.status:
        case "failed":
            _add_failure(case, task)
        case "skipped" | "cancelled":
            SubElement(case, "skipped", {"message": _text(_not_executed(run, task))})
        case "ran" | "restored" | "up_to_date":
            pass
    if lines := list(_told(task)):
        SubElement(case, "system-out").text = _text("\n".join(lines))
    return case


def _add_failure(case: Element, task: TaskRun) -> None:
    last = task.attempts[-1] if task.attempts else None
    failure = last.failure if last else None
    kind = "error" if last and last.outcome == "lost" else "failure"
    message = headline(failure) if failure else why(task)
    found = SubElement(case, kind, {"message": _text(message), "type": _text(failure.type if failure else kind)})
    if last and failure:
        found.text = _text("\n".join(failure_lines(last, failure)))


def _not_executed(run: Run, task: TaskRun) -> str:
    """Return why a task was not executed, with the failed ones above it if that is the reason."""
    above, failed = list(task.upstreams), dict[str, None]()
    for name in above:
        other = run.tasks.get(name)
        if other and other.status == "failed":
            failed[name] = None
        elif other and other.status == "skipped":
            above += [upper for upper in other.upstreams if upper not in above]
    because = f", because {', '.join(failed)} failed" if failed and task.status == "skipped" else ""
    return f"{LOOKS[task.status].words}{because}"


def _told(task: TaskRun) -> Iterator[str]:
    """Yield why a task has its status, and how the attempts before the last ended."""
    if task.status not in {"skipped", "cancelled"}:
        yield f"{LOOKS[task.status].words}{': ' if task.reasons else ''}{'; '.join(task.reasons)}"
    for attempt in task.attempts[:-1]:
        if attempt.failure:
            yield from failure_lines(attempt, attempt.failure)


def _seconds(started: int | None, ended: int | None) -> str:
    return "0" if started is None or ended is None else f"{(ended - started) / 1e9:.3f}"


def _text(text: str) -> str:
    """Return text as XML may have it, without the middle of a very long one."""
    if len(text) > _LONGEST:
        left_out = len(text) - _LONGEST
        text = f"{text[: _LONGEST // 2]}\n[{left_out:,} characters left out]\n{text[-_LONGEST // 2 :]}"
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
