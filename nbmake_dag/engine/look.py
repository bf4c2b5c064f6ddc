"""One look at a project: its pipeline as far as it is known, and surveys of parts of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from nbmake_dag.config.pipeline_file import Found
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Result
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Pipeline, ProjectPath, TaskName
from nbmake_dag.core.targets import UnknownTargetError, select
from nbmake_dag.engine.loading import Loaded, read_pipeline
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.selection import forced, refusal_of_code
from nbmake_dag.engine.state.leftovers import Leftovers, find_leftovers
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.observe.aliases import refuse_aliases
from nbmake_dag.observe.environments import Environments
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.record import Record


class Look:
    """What is looked at, with ``known`` of the families whose instances tasks make.

    ``whole`` is the graph of all tasks, ``targets`` are those that the request names.
    """

    def __init__(
        self,
        project: Project,
        request: Request,
        stores: Stores,
        loaded: Loaded,
        pipeline: Pipeline,
        known: Found | None = None,
    ) -> None:
        self.project = project
        self.request = request
        self.stores = stores
        self.loaded = loaded
        self.places = loaded.places
        self.known = known or Found()
        self.take(pipeline)

    def take(self, pipeline: Pipeline) -> None:
        """Use what a pipeline is expanded to; one that cannot be used changes nothing."""
        request, whole = self.request, build_graph(pipeline)
        refuse_aliases(self.project, pipeline, whole)
        try:
            targets = select(whole, request.targets, tags=request.tags, exclude=request.exclude)
        except UnknownTargetError as error:
            inputs = self.inputs(whole, {}, pipeline)
            raise refusal_of_code(error.target, self.survey_of(whole, inputs, pipeline)) or error from None
        self.pipeline, self.whole, self.targets = pipeline, whole, targets
        self.ignore = Ignored(pipeline.ignore)

    def survey_of(self, graph: Graph, inputs: Inputs, pipeline: Pipeline | None = None) -> Survey:
        """Return a survey of the tasks of a graph, of this pipeline or another one."""
        project, stores, interpreters = self.project, self.stores, self.loaded.interpreters
        variables = interpreters.variables
        instruments = Instruments(
            files=stores.files,
            sources=self.loaded.sources,
            modules=Modules(project, stores.files, stores.identities, map(project.here, sys.path), self.places),
            kernels=self.loaded.kernels,
            interpreters=interpreters,
            environments=Environments(project, stores.files, stores.identities),
            inputs=inputs,
            records=stores.records,
            variables=variables,
            python=sys.executable,
        )
        return Survey(project, pipeline or self.pipeline, graph, instruments)

    def inputs(
        self, graph: Graph, leaving: Mapping[ProjectPath, Digest], pipeline: Pipeline | None = None
    ) -> Inputs:
        """Return the inputs of a graph of this pipeline or another one.

        Those that are ``leaving`` are moved away before anything runs.
        """
        ignored = self.ignore if pipeline is None else Ignored(pipeline.ignore)
        files, copies = self.stores.files, self.loaded.copies
        return Inputs(self.project, graph, files, leaving, ignored, self.places, copies=copies)

    def leftovers(self) -> Leftovers:
        """Find the files that tasks made and that no task makes any more."""
        project, sources = self.project, self.loaded.sources
        if sources.unread:
            # what the unread notebook uses is not known
            return Leftovers()
        return find_leftovers(
            project,
            self.pipeline,
            self.whole,
            self.stores,
            self.loaded.made.read(),
            read=lambda file, data, profiles: read_pipeline(
                replace(project, config=project.absolute(file), profiles=profiles),
                data,
                sources,
                overrides={},
                known=self.known,
            ),
            code=lambda pipeline, graph: self.survey_of(graph, self.inputs(graph, {}, pipeline), pipeline).code(),
        )

    def previous(self, names: Iterable[TaskName]) -> dict[TaskName, Record]:
        """Return the last result of each task that has one."""
        names, stores = tuple(names), self.stores
        if self.loaded.is_new:
            found = self.loaded.carried.of(names)
        else:
            last = ((name, stores.previous.record(name, stores.records)) for name in names)
            found = {name: record for name, record in last if record is not None}
        if missing := set(names) - found.keys():
            # what a task wrote itself is no ingredient of it, also where nobody knows its last result
            for name, keys in self.loaded.made.read().wrote_code.items():
                if name in missing and (record := stores.records.get(*keys)) is not None:
                    found[TaskName(name)] = record
        return found

    def rules(self, graph: Graph, targets: frozenset[TaskName], left_out: Mapping[TaskName, Result]) -> Rules:
        """Return the rules by which the tasks of a graph are decided about."""
        return Rules(
            forced=forced(self.request, graph, targets),
            use_records=self.request.reads_cache,
            look_up_records=self.pipeline.cache.reads_remote,
            left_out=left_out,
        )
