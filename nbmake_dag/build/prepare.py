"""From a request to everything that a plan or a schedule needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from nbmake_dag.build.affected import affected_tasks
from nbmake_dag.build.carried import carried_results
from nbmake_dag.build.drafts import Drafts
from nbmake_dag.build.environment import driver_environment
from nbmake_dag.build.last import LastResults
from nbmake_dag.build.request import Request
from nbmake_dag.core.config import PipelineFile, parse
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.expansion import expand
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Function, Pipeline, TaskName
from nbmake_dag.core.paths import read_path
from nbmake_dag.core.signature import Signature
from nbmake_dag.core.targets import matched, refuse_needed, select
from nbmake_dag.errors import Complaint, ConfigError, UsageError
from nbmake_dag.execute.encodable import encodable
from nbmake_dag.observe.absent import absent
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What lies below ``.nbdag``, opened."""

    files: StatMemo
    identities: IdentityMemo
    records: RecordStore
    blobs: BlobStore
    last: LastResults
    drafts: Drafts

    @classmethod
    def open(cls, project: Project) -> Stores:
        project.make_state()
        return cls(
            files=StatMemo(project.state),
            identities=IdentityMemo(project.state),
            records=RecordStore(project.cache),
            blobs=BlobStore(project.cache),
            last=LastResults(project.state),
            drafts=Drafts(project.state),
        )

    def flush(self) -> None:
        """Keep what was learned."""
        self.last.save()
        self.drafts.save()
        self.files.flush()
        self.identities.flush()

    def close(self) -> None:
        self.flush()
        self.files.close()
        self.identities.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A build that can begin. ``graph`` holds the wanted tasks and what they need; ``whole`` holds all."""

    project: Project
    pipeline: Pipeline
    whole: Graph
    graph: Graph
    targets: frozenset[TaskName]
    """The tasks that were asked for, without what they need."""
    facts: Mapping[TaskName, Facts]
    rules: Rules
    writes_cache: bool
    """Whether the records of what runs are published."""
    survey: Survey
    variables: Mapping[str, str]
    ignored: tuple[str, ...]
    """Leftover outputs of tasks that no longer exist, which a glob would have matched."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the tasks were chosen, of what they see, and of what is not there."""


def load(project: Project, request: Request, stores: Stores) -> tuple[Pipeline, Sources, Interpreters]:
    """Read a project's pipeline; raises `ConfigError` with every complaint."""
    stores.files.digest(project.config)
    interpreters = Interpreters(stores.identities)
    installed = tuple(path for path in sys.path if path)
    sources = Sources(project, stores.files, stores.identities, installed)
    with open(project.config, "rb") as file:
        return _read(project, file.read(), sources, request), sources, interpreters


def prepare(project: Project, request: Request, stores: Stores) -> Prepared:
    """Read, select and observe; raises `ConfigError` or `UsageError`, and writes nothing but memos."""
    pipeline, sources, interpreters = load(project, request, stores)
    whole = build_graph(pipeline, file=os.path.basename(project.config))
    targets = select(whole, request.targets, tags=request.tags, exclude=request.exclude)
    variables = driver_environment()
    leftovers = stores.last.leftovers(whole)

    def survey_of(graph: Graph, inputs: Inputs) -> Survey:
        instruments = Instruments(
            files=stores.files,
            sources=sources,
            modules=Modules(project, stores.files, stores.identities, sys.path),
            kernels=Kernels(variables, stores.identities),
            interpreters=interpreters,
            inputs=inputs,
            records=stores.records,
            variables=variables,
            python=sys.executable,
        )
        return Survey(project, pipeline, graph, instruments)

    notes = tuple(
        f"warning: no task sees the variable {encodable(name)}: it is not UTF-8"
        for name in sorted(os.environ.keys() - variables.keys())
    )
    if request.affected is not None:
        found = affected_tasks(
            project,
            pipeline,
            whole,
            survey_of(whole, Inputs(project, whole, stores.files, leftovers)),
            base=request.affected,
            environ=variables,
            read=lambda data: _read(project, data, sources, request),
        )
        targets &= found.tasks
        notes = (*notes, found.said)
    excluded = matched(whole, request.exclude)
    wanted = whole.below(targets) - excluded if request.downstream else targets
    needed = whole.above(wanted)
    if not request.only and request.affected is None:
        refuse_needed(whole, excluded, needed)
    left_out = needed - wanted if request.only else frozenset[TaskName]()
    graph = build_graph(pipeline, only=needed - left_out, whole=whole if left_out else None)
    inputs = Inputs(project, graph, stores.files, leftovers)
    survey = survey_of(graph, inputs)
    previous = {
        name: record for name in needed if (record := stores.last.record(name, stores.records)) is not None
    }
    if stores.last.is_empty:
        previous = carried_results(project, needed, stores.records)
    facts = survey.facts(previous)
    return Prepared(
        project=project,
        pipeline=pipeline,
        whole=whole,
        graph=graph,
        targets=targets,
        facts=facts,
        rules=Rules(
            forced=_forced(request, graph, targets),
            use_records=request.reads_cache,
            seek_records=pipeline.cache.remote is not None and "read" in pipeline.cache.remote_mode,
            left_out=_last_results(left_out, whole, previous),
        ),
        writes_cache=request.writes_cache,
        survey=survey,
        variables=variables,
        ignored=tuple(sorted(inputs.ignored)),
        notes=(*notes, *(f"warning: {found}" for found in absent(project, pipeline, graph, survey))),
    )


def _last_results(
    names: frozenset[TaskName], whole: Graph, records: Mapping[TaskName, Record]
) -> dict[TaskName, Result]:
    """Return the results of tasks that are left out; raises `UsageError` for one that has none."""
    if missing := sorted(names - records.keys()):
        raise UsageError(
            f"`{missing[0]}` is needed, and has no result yet",
            (),
            "build it first, or let its outputs count as they are with --accept",
        )
    return {name: result_of(records[name], whole.tasks[name].parameters) for name in names}


def _read(project: Project, data: bytes, sources: Sources, request: Request) -> Pipeline:
    """Read a pipeline; raises `ConfigError` with every complaint."""
    parsed = parse(data, file=os.path.basename(project.config))
    return expand(parsed, _signatures(parsed, sources), request.overrides)


def _forced(request: Request, graph: Graph, targets: frozenset[TaskName]) -> frozenset[TaskName]:
    if request.force_all:
        return frozenset(graph.order)
    return targets if request.force else frozenset()


def _signatures(parsed: PipelineFile, sources: Sources) -> dict[str, Signature]:
    """Read every notebook and function that a pipeline names; raises `ConfigError` with all that cannot be."""
    signatures: dict[str, Signature] = {}
    complaints: list[Complaint] = []
    for source, (kind, place) in parsed.sources().items():
        try:
            if kind == "notebook":
                signatures[source] = sources.notebook(read_path(source), place).signature
            else:
                module, _, qualname = source.partition(":")
                signatures[source] = sources.function(Function(module=module, qualname=qualname), place).signature
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(tuple(complaints))
    return signatures
