"""Make the record of a successful attempt, with its trace in the key; none if a file changed meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from nbmake_dag.config.remote_inputs import is_url
from nbmake_dag.core.facts import ABSENT, Facts, Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.ingredients import modules_among
from nbmake_dag.core.lookup import Made, TaskKeys, present_trace, read_name
from nbmake_dag.core.model import Task, TaskName
from nbmake_dag.core.urls import scrubbed
from nbmake_dag.engine.results.undeclared import undeclared
from nbmake_dag.errors import describe
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.arguments import SUFFIXES
from nbmake_dag.observe.git import ignored, tracked
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.survey import Survey
from nbmake_dag.record.writer import RunHeader
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Access, Origin, OutputFile, Record
from nbmake_dag_reporting import schema


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could be published, or why it must not be."""

    record: Record
    unstable: tuple[str, ...] = ()
    """Inputs that changed while the task ran."""

    @property
    def instability(self) -> str:
        """Describe the files that changed."""
        first, *others = self.unstable
        more = f", and {len(others)} more" if others else ""
        is_code = any(text.startswith("module:") for text in self.unstable)
        advice = "; code that it writes itself belongs into its `outputs`, or into .gitignore" if is_code else ""
        return f"not recorded: {first} while it ran{more}{advice}"


def origin_of(attempt: AttemptResult, header: RunHeader, span_id: str) -> Origin:
    """Return the origin of an attempt's result; ``span_id`` is that of its task."""
    commit = header.resource.attributes.get(schema.VCS_HEAD_REVISION)
    return Origin(
        run_id=header.run_id,
        trace_id=header.trace_id,
        span_id=span_id,
        started=attempt.started,
        duration_s=(attempt.ended - attempt.started) / 1e9,
        commit=str(commit) if commit else None,
        profiles=header.profiles,
    )


def record_of(
    task: Task,
    survey: Survey,
    facts: Facts,
    keys: TaskKeys,
    attempt: AttemptResult,
    results: Mapping[TaskName, Result],
    origin: Origin,
    source: str | None,
) -> Publication:
    """Make the record of a successful attempt, of a notebook with the blob of its source.

    The disk is looked at once more.
    """
    after = survey.again()
    own = {(item.kind, item.name) for item in keys.ingredients}
    written = {access.path for access in attempt.accesses if access.mode == "write"}
    written |= _made_code(task, survey, facts, attempt, after)
    used_code = {*attempt.modules, *_code_of_scripts(task, attempt, after)}
    modules = [("module", path) for path in used_code - written if ("module", path) not in own]
    modules += [("module", place) for place in _decisive(attempt, {path for _, path in modules}, own)]
    reads = [("read", read_name(read.task, read.kind, read.name)) for read in attempt.reads]
    digests = after.module_digests(path for _, path in modules)
    used = sorted({*modules, *reads})
    trace = tuple(present_trace(task.name, used, survey.graph, digests, results))
    made = Made(
        outputs=attempt.outputs,
        logged=attempt.logged,
        cells=attempt.cell_outputs,
        injected=attempt.injected,
        undeclared=tuple(with_digests(undeclared(task, attempt.accesses, modules_among(facts.own)), after)),
        code=tuple(sorted(written.intersection(used_code | after.code_of(task) | after.made_before(task)))),
    )
    record = keys.record(task, trace, made, origin, source=source)
    changed = set(after.changed_since(task, facts.own, written))
    changed |= set(_changed_copies(task, after))
    changed |= set(_changed_upstream(task, survey.graph, results, after))
    changed |= set(after.touched_since(attempt.started, (path for _, path in modules)))
    return Publication(record=record, unstable=tuple(sorted(changed)))


def _changed_copies(task: Task, after: Survey) -> Iterator[str]:
    """Yield the remote inputs whose copy on disk is not what was fetched: something wrote into it."""
    for item in task.inputs:
        if item.remote is not None and item.remote.fetch:
            fetched = after.copies.digest(item.remote)
            if fetched not in {None, after.content_digest(item.path)}:
                yield f"input: {scrubbed(item.remote.url)} changed"


def with_digests(found: Iterable[Access], after: Survey) -> Iterator[Access]:
    """Yield accesses with what the files that were read have in them, to see later whether that changed."""
    for access in found:
        yield replace(access, xxh3=after.content_digest(access.path)) if access.mode == "read" else access


def kept_inputs(
    facts: Facts, project: Project, blobs: BlobStore, redactor: Redactor, warn: Callable[[str], None]
) -> tuple[OutputFile, ...]:
    """Store the inputs of a task that no task made, but for those that hold a secret."""
    kept: list[OutputFile] = []
    for item in facts.own:
        # the content of remote inputs is kept anyway
        if item.kind != "input" or item.value == ABSENT or is_url(item.path):
            continue
        path = project.absolute(item.path)
        try:
            if name := redactor.name_in(path, item.path):
                warn(f"{redactor.text(item.path)} is not kept: it holds the value of {name}")
                continue
            stored, executable = blobs.put_file(path), bool(os.stat(path).st_mode & stat.S_IXUSR)
        except OSError as error:
            warn(f"{item.path} is not kept: {describe(error)}")
            continue
        kept.append(
            OutputFile(
                path=item.path, xxh3=stored.xxh3, sha256=stored.sha256, size=stored.size, executable=executable
            )
        )
    return tuple(kept)


def _decisive(attempt: AttemptResult, found: AbstractSet[str], own: AbstractSet[tuple[str, str]]) -> set[str]:
    """Return the files and folders that let names mean the modules that only the run found, and no other code."""
    places = {place for module in ("", *found) for place in attempt.decisive.get(module, ())}
    return {place for place in places if place not in found and ("module", place) not in own}


def _code_of_scripts(task: Task, attempt: AttemptResult, after: Survey) -> set[str]:
    """Return the code of what a task started or read as scripts, and what that uses in turn: no run notes that."""
    read = {access.path for access in undeclared(task, attempt.accesses) if access.mode == "read"}
    scripts = {*attempt.scripts, *(path for path in read if path.endswith(SUFFIXES))}
    found = {path for script in scripts for path in after.reach.of_script(script, task).paths}
    return {*map(after.project.relative, found), *after.reach.of_commands(attempt.commands)}


def _made_code(task: Task, survey: Survey, facts: Facts, attempt: AttemptResult, after: Survey) -> set[str]:
    """Return the modules and scripts that a task made itself: its outputs, and what its children wrote.

    That is what was started as a process or was not there before, and git does not track; of all other code only
    what git ignores. Another file that is as new is one that somebody edited.
    """
    outputs = {path for path in attempt.modules if survey.graph.owner_of(path) == task.name}
    started = {path for path in attempt.modules if path in attempt.scripts or not path.endswith(".py")}
    known = after.code_of(task) | after.made_before(task)
    appeared = known - modules_among(facts.own)
    place_of = {path: os.path.realpath(after.project.absolute(path)) for path in (*attempt.modules, *known)}
    touched = {path: place_of[path] for path in after.touched_since(attempt.started, place_of)}
    kept = tracked(touched.values())
    generated = ignored(os.path.realpath(after.project.repository), touched.values())
    return outputs | {
        path
        for path, place in touched.items()
        if place not in kept and (path in started or path in appeared or place in generated)
    }


def _changed_upstream(task: Task, graph: Graph, results: Mapping[TaskName, Result], now: Survey) -> Iterator[str]:
    """Yield the files made by tasks above that are not what those tasks left."""
    for edge in graph.edges[task.name]:
        output = results[edge.producer].outputs.get(edge.output)
        if output is not None and now.digests((edge.output,)).get(edge.output) != output.digest:
            yield f"input: {edge.output} changed"
