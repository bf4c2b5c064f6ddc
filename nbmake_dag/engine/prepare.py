"""Prepare a build: from a request to everything that a plan or a schedule needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from nbmake_dag.config.expansion import expand
from nbmake_dag.config.paths import read_path
from nbmake_dag.config.pipeline_file import PipelineFile, parse
from nbmake_dag.config.secrets import check_secrets
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph, build_graph, input_files
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Function, Notebook, Pipeline, ProjectPath, Signature, TaskName, Value
from nbmake_dag.core.targets import UnknownTargetError, checks_in, matched, refuse_needed, select, with_checks
from nbmake_dag.core.text import encodable
from nbmake_dag.engine.affected import affected_tasks
from nbmake_dag.engine.dispatch.task_environment import driver_environment
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.leftovers import Leftover, Leftovers, find_leftovers
from nbmake_dag.engine.state.lost_artifacts import without_lost_artifacts
from nbmake_dag.engine.state.previous_results import carried_results
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint, ConfigError, UsageError
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.absent import absent, uncovered_starts
from nbmake_dag.observe.git import index_of
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.instance_data import Data, found_for
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.secrets import declared_secrets
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.stamps import Stamp, folder_stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A build that can begin. ``whole`` is the graph of all tasks of the pipeline."""

    survey: Survey
    """The workspace as it was observed: project, pipeline, and the graph of the selected tasks and what they
    need."""
    whole: Graph
    targets: frozenset[TaskName]
    """The tasks that were asked for, without what they need."""
    facts: Mapping[TaskName, Facts]
    rules: Rules
    leftovers: tuple[Leftover, ...]
    """Files that must be moved away before anything runs: the facts take them as gone."""
    uncovered: tuple[str, ...] = ()
    """What tasks start that no key covers: reported each time, also where nothing is to do."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the tasks were chosen, of what they see, and of what is not there."""

    @property
    def project(self) -> Project:
        return self.survey.project

    @property
    def pipeline(self) -> Pipeline:
        return self.survey.pipeline

    @property
    def graph(self) -> Graph:
        return self.survey.graph


def load(project: Project, request: Request, stores: Stores) -> tuple[Pipeline, Sources, Interpreters]:
    """Read a project's pipeline; raises `ConfigError` with every complaint."""
    try:
        # with the stamp of a file at rest, if it is that
        stores.files.digest(project.config)
        data, _ = stores.files.read(project.config)
    except PermissionError as error:
        raise UsageError(f"{project.config} cannot be read: {error.strerror}") from error
    interpreters = Interpreters(stores.identities, Variables(driver_environment()))
    installed = tuple(project.here(path) for path in sys.path if path)
    sources = Sources(project, stores.files, stores.identities, installed)
    sources.unread = {} if request.keep_going else None
    pipeline = read_pipeline(project, data, sources, request.overrides)
    if any(task.secrets for task in pipeline.tasks.values()):
        variables = driver_environment()
        file = parse(data, file=os.path.basename(project.config), profiles=project.profiles)
        check_secrets(file, data.decode(), variables, request.overrides)
        redactor = Redactor(declared_secrets(pipeline.tasks.values(), variables))
        stores.files.hides = lambda path: redactor.name_in_text(project.relative(path)) is not None
    return pipeline, sources, interpreters


def prepare(project: Project, request: Request, stores: Stores) -> Prepared:
    """Read, select and observe; raises `ConfigError` or `UsageError`, and writes nothing but memos."""
    pipeline, sources, interpreters = load(project, request, stores)
    whole = build_graph(pipeline, file=os.path.basename(project.config))
    variables = interpreters.variables
    ignore = Ignored(pipeline.ignore)
    places: dict[str, Stamp | None] = {}
    """All that was looked for, in whichever survey: a build with nothing to do looks there too."""

    def survey_of(graph: Graph, inputs: Inputs, pipeline: Pipeline = pipeline) -> Survey:
        instruments = Instruments(
            files=stores.files,
            sources=sources,
            modules=Modules(project, stores.files, stores.identities, map(project.here, sys.path), places),
            kernels=Kernels(variables, stores.identities, interpreters),
            interpreters=interpreters,
            inputs=inputs,
            records=stores.records,
            variables=variables,
            python=sys.executable,
        )
        return Survey(project, pipeline, graph, instruments)

    try:
        targets = select(whole, request.targets, tags=request.tags, exclude=request.exclude)
    except UnknownTargetError as error:
        survey = survey_of(whole, Inputs(project, whole, stores.files, {}, ignore, places))
        raise _refusal_of_code(error.target, survey) or error from None
    # what the unread notebook uses is not known
    leftovers = (
        Leftovers()
        if sources.unread
        else find_leftovers(
            project,
            pipeline,
            whole,
            stores,
            read=lambda file, data, profiles: read_pipeline(
                replace(project, config=project.absolute(file), profiles=profiles), data, sources, overrides={}
            ),
            code=lambda pipeline, graph: survey_of(
                graph, Inputs(project, graph, stores.files, {}, Ignored(pipeline.ignore), places), pipeline
            ).code(),
        )
    )
    if leftovers.rests_on_git:
        index = index_of(project.repository)
        places[index] = folder_stamp(index)
    notes = tuple(
        f"warning: no task sees the variable {encodable(name)}: it is not UTF-8"
        for name in sorted(os.environ.keys() - variables.environ.keys())
    )
    excluded = barred = matched(whole, request.exclude)
    if request.affected is not None:
        found = affected_tasks(
            project,
            pipeline,
            whole,
            survey_of(whole, Inputs(project, whole, stores.files, leftovers.digests, ignore, places)),
            base=request.affected,
            environ=variables.environ,
            read=lambda data, at: read_pipeline(project, data, sources, request.overrides, at),
        )
        targets &= found.tasks
        barred |= frozenset(whole.order) - found.tasks
        notes = (*notes, *found.notes)
    if leftovers.unread is not None:
        notes = (
            *notes,
            f"warning: {leftovers.unread} cannot be read, so files of tasks that no longer exist stay",
        )
    targets, wanted = _selected(whole, request, targets, excluded, barred)
    needed = frozenset(whole.with_upstream(wanted))
    if not request.only and request.affected is None:
        refuse_needed(whole, excluded, needed)
    left_out = needed - wanted if request.only else frozenset[TaskName]()
    graph = build_graph(pipeline, only=needed - left_out, whole=whole if left_out else None)
    inputs = Inputs(project, graph, stores.files, leftovers.digests, ignore, places)
    survey = survey_of(graph, inputs)
    previous = {
        name: record for name in needed if (record := stores.previous.record(name, stores.records)) is not None
    }
    if stores.previous.is_empty:
        previous = carried_results(project, needed, stores.records)
    rules = Rules(
        forced=_forced(request, graph, targets),
        use_records=request.reads_cache,
        look_up_records=pipeline.cache.reads_remote,
        left_out=_last_results(left_out, whole, previous),
    )
    facts = survey.facts(previous, keep_going=request.keep_going)
    for name in facts.keys() - previous.keys():
        facts[name] = replace(facts[name], lost=stores.previous.why_lost(name))
    return Prepared(
        survey=survey,
        whole=whole,
        targets=targets,
        facts=without_lost_artifacts(graph, facts, rules, stores),
        rules=rules,
        leftovers=leftovers.files,
        notes=(
            *notes,
            *(f"warning: task `{name}` has no instances: {reason}" for name, reason in pipeline.empty.items()),
            *survey.notes,
            *_pairs(graph, sources),
            *_of_other_profiles(graph, leftovers.of_profiles),
            *(f"warning: {found}" for found in absent(project, pipeline, graph, survey)),
        ),
        uncovered=tuple(str(found) for found in uncovered_starts(project, graph, survey, facts)),
    )


def _refusal_of_code(target: str, survey: Survey) -> UsageError | None:
    """Return what to do instead where a target is the path of a module or a script that tasks use."""
    path = os.path.normpath(target)
    users = [name for name, task in survey.graph.tasks.items() if path in survey.code_of(task)]
    if not users:
        return None
    shown = ", ".join(f"`{name}`" for name in users[:3]) + (", ..." if len(users) > 3 else "")
    hint = f"name what uses it: {shown}; or build what changed with `--affected`"
    return UsageError(f"`{target}` is code, and made by no task", (), hint)


def _pairs(graph: Graph, sources: Sources) -> Iterator[str]:
    """Yield a note for each notebook in whose place the text that it is paired with is executed."""
    works = (task.work for task in graph.tasks.values())
    for work in dict.fromkeys(work for work in works if isinstance(work, Notebook) and work.paired):
        said = f"Jupytext pairs `{work.paired}` with `{work.path}`, whose cells are executed"
        if sources.differs(work):
            yield f"warning: {said}; their cells differ: `jupytext --sync {work.path}` brings them in step"
        else:
            yield said


def _of_other_profiles(graph: Graph, files: tuple[ProjectPath, ...]) -> Iterator[str]:
    """Yield a note for each input that holds files which tasks make with another profile."""
    for name in graph.order if files else ():
        for item in graph.external[name]:
            if found := input_files(item, files):
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                yield (
                    f"warning: input `{item.path}` of task `{name}` holds {found[0]}{more}, made with another"
                    " profile (`nbdag help profiles`)"
                )


def _selected(
    whole: Graph,
    request: Request,
    targets: frozenset[TaskName],
    excluded: frozenset[TaskName],
    barred: frozenset[TaskName],
) -> tuple[frozenset[TaskName], frozenset[TaskName]]:
    """Return the targets, and with them the tasks below that are asked for, and the checks of all that is built.

    No check is added that is ``barred``; raises `UsageError` where checks are asked for, and there are none.
    """
    is_chosen = bool(request.targets or request.tags or request.affected is not None)
    if request.accept:
        # nothing is tested
        barred = frozenset(whole.order)
        targets = targets if is_chosen else targets - checks_in(whole)
    wanted = frozenset(whole.with_downstream(targets)) - excluded if request.downstream else targets
    named = targets if is_chosen else frozenset[TaskName]()
    wanted = with_checks(whole, wanted, named=named, barred=barred, alone=request.only)
    if not request.checks:
        return targets, wanted
    checks = wanted & checks_in(whole)
    if not checks and request.affected is None:
        raise UsageError("there are no checks here", (), "a check is a task with `check = true`")
    return checks, checks


def _last_results(
    names: frozenset[TaskName], whole: Graph, records: Mapping[TaskName, Record]
) -> dict[TaskName, Result]:
    """Return the results of tasks that are left out; raises `UsageError` for one that has none."""
    if missing := sorted(names - records.keys()):
        raise UsageError(
            f"`{missing[0]}` is needed, and has no result yet",
            (),
            "build it first, or accept its outputs as they are with --accept",
        )
    return {name: result_of(records[name], whole.tasks[name].parameters) for name in names}


def read_pipeline(
    project: Project, data: bytes, sources: Sources, overrides: Mapping[str, Value], at: Data | None = None
) -> Pipeline:
    """Read a pipeline; raises `ConfigError` with every complaint. Its instances come from what there is ``at``."""
    parsed = parse(data, file=os.path.basename(project.config), profiles=project.profiles)
    return expand(parsed, _signatures(parsed, sources), overrides, found_for(parsed, at or sources.data))


def _forced(request: Request, graph: Graph, targets: frozenset[TaskName]) -> frozenset[TaskName]:
    if request.force_all:
        return frozenset(graph.order)
    return targets if request.force else frozenset()


def _signatures(parsed: PipelineFile, sources: Sources) -> dict[str, Signature]:
    """Read every notebook and function that a pipeline names; raises `ConfigError` with all that cannot be."""
    signatures: dict[str, Signature] = {}
    complaints: list[Complaint] = []
    for source, (kind, place, form) in parsed.sources().items():
        try:
            if kind == "notebook":
                signatures[source] = sources.signature(read_path(source), place, form=form)
            else:
                module, _, qualname = source.partition(":")
                signatures[source] = sources.function(Function(module=module, qualname=qualname), place).signature
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(tuple(complaints))
    return signatures
