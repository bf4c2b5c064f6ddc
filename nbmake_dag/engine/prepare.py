"""Prepare a build: from a request to everything that a plan or a schedule needs."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from nbmake_dag.config.pipeline_file import Found
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph, build_graph, input_files
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Input, Notebook, Pipeline, ProjectPath, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.targets import UnknownTargetError, matched, refuse_needed, select
from nbmake_dag.core.text import encodable
from nbmake_dag.core.urls import scrubbed
from nbmake_dag.engine.affected import affected_tasks
from nbmake_dag.engine.heap import growing_heap
from nbmake_dag.engine.loading import Loaded, load_file, read_pipeline
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.selection import forced, last_results_of, refusal_of_code, selected
from nbmake_dag.engine.state.leftovers import Leftover, Leftovers, find_leftovers
from nbmake_dag.engine.state.lost_artifacts import without_lost_artifacts
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.engine.unknown_families import Made, awaiting, instances_of, steady_results, untouched_facts
from nbmake_dag.errors import ConfigError
from nbmake_dag.observe.absent import absent, uncovered_starts
from nbmake_dag.observe.environments import Environments
from nbmake_dag.observe.git import index_of
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.stamps import folder_stamp

_MEGABYTE = 1_000_000

if TYPE_CHECKING:
    from nbmake_dag.remote_inputs.fetching import Fetched


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A build that can begin. ``whole`` is the graph of all tasks of the pipeline.

    It changes when families become known, by `become` alone, in the thread of the loop.
    """

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
    fetched: tuple[str, ...] = ()
    """What was downloaded of remote inputs, and what could not be asked for."""
    standing_warnings: tuple[str, ...] = ()
    """What may make results wrong though all is up to date: printed each time, also where nothing is to do."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the tasks were chosen, of what they see, and of what is not there."""
    loaded: Loaded | None = None
    known: Found = field(default_factory=Found)
    """What instances come from that tasks have made."""

    @property
    def project(self) -> Project:
        return self.survey.project

    @property
    def pipeline(self) -> Pipeline:
        return self.survey.pipeline

    @property
    def graph(self) -> Graph:
        return self.survey.graph

    @property
    def lines(self) -> tuple[str, ...]:
        """All that a person is told before anything runs."""
        standing = (f"warning: {text}" for text in self.standing_warnings)
        return (*self.fetched, *self.notes, *standing)

    def become(self, other: Prepared) -> None:
        """Take over what is known of a build after more of its tasks have become known."""
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(other, name))


def load(
    project: Project, request: Request, stores: Stores, *, by_last: bool = False
) -> tuple[Pipeline, Sources, Interpreters]:
    """Read a project's pipeline; raises `ConfigError` with every complaint.

    Families whose instances tasks make are known where these are up to date; ``by_last``, where they ever ran.
    """
    look = _Look(project, request, stores, *load_file(project, request, stores))
    look.find_known(look.last_results if by_last else look.plan_above)
    return look.pipeline, look.loaded.sources, look.loaded.interpreters


@growing_heap()
def prepare(
    project: Project, request: Request, stores: Stores, *, by_last: bool = False, fetches: bool = False
) -> Prepared:
    """Read, select and observe; raises `ConfigError` or `UsageError`, and writes nothing but memos.

    ``by_last`` as for `load`: what is prepared is then to be looked at alone. With ``fetches`` the copies of
    remote inputs are brought up to date first.
    """
    loaded = load_file(project, request, stores)
    late: frozenset[str] = frozenset()
    while True:
        look = _Look(project, request, stores, *loaded)
        look.fetches = fetches
        look.find_known(look.last_results if by_last else look.plan_above, late)
        prepared = look.prepared()
        wrong = frozenset[str]() if by_last else look.mistaken(prepared)
        if not wrong:
            return prepared
        # files changed meanwhile
        late |= wrong


@growing_heap()
def prepare_further(
    before: Prepared, request: Request, stores: Stores, family: TaskName, results: Mapping[TaskName, Result]
) -> Prepared:
    """Expand a family of a build under way, and others, whose makers have ``results``; all other tasks stay.

    Raises `ConfigError` if that cannot be done, and `UsageError` for a target that turns out not to exist.
    """
    if before.loaded is None:
        raise ValueError("the pipeline was not read from a file")
    pipeline = before.loaded.pipeline(before.known)
    look = _Look(before.project, request, stores, before.loaded, pipeline, before.known)
    look.fetches = True
    look.gone = frozenset(file.path for file in before.leftovers)
    look.find_known(lambda _: results, family=family)
    return look.prepared(before)


class _Look:
    """One look at a project, with what is known of the families whose instances tasks make."""

    def __init__(
        self,
        project: Project,
        request: Request,
        stores: Stores,
        loaded: Loaded,
        pipeline: Pipeline,
        known: Found | None = None,
    ) -> None:
        self._project = project
        self._request = request
        self._stores = stores
        self.loaded = loaded
        self._places = loaded.places
        self._used: dict[str, frozenset[TaskName]] = {}
        self.known = known or Found()
        self.gone: frozenset[str] = frozenset()
        """Files that the build has moved away."""
        self.fetches = False
        """Whether copies of remote inputs are brought up to date."""
        self._take(pipeline)

    def _take(self, pipeline: Pipeline) -> None:
        """Use what a pipeline is expanded to; one that cannot be used changes nothing."""
        request, whole = self._request, build_graph(pipeline)
        try:
            targets = select(whole, request.targets, tags=request.tags, exclude=request.exclude)
        except UnknownTargetError as error:
            ignored, copies = Ignored(pipeline.ignore), self.loaded.copies
            inputs = Inputs(self._project, whole, self._stores.files, {}, ignored, self._places, copies=copies)
            raise refusal_of_code(error.target, self._survey_of(whole, inputs, pipeline)) or error from None
        self.pipeline, self._whole, self._targets = pipeline, whole, targets
        self._ignore = Ignored(pipeline.ignore)

    # families whose instances tasks make

    def find_known(
        self,
        results_of: Callable[[frozenset[TaskName]], Mapping[TaskName, Result]],
        late: Collection[str] = (),
        family: TaskName | None = None,
    ) -> None:
        """Expand all families that can be known, until no other can; ``late`` names what is not to be known.

        One that cannot be expanded stays unknown: it fails when a build comes to it. Raises `ConfigError` if it is
        ``family``, to which a build has come.
        """
        late, wanted = frozenset(late), family and self._whole.tasks[family].source
        while waiting := awaiting(self._whole, late):
            self._list_files(waiting)
            makers = frozenset[TaskName]().union(*waiting.values())
            results = results_of(makers) if makers else {}
            ready = [source for source, those in waiting.items() if those <= results.keys()]
            if not ready:
                return
            for source in ready:
                try:
                    self._learn(source, results)
                except ConfigError:
                    if source == wanted:
                        raise
                    late |= {source.path}
                else:
                    self._used[source.path] = waiting[source]

    def _learn(self, source: Input, results: Mapping[TaskName, Result]) -> None:
        reader = Made(self._project, self._stores, self.loaded.sources.data)
        on_disk = functools.partial(self._on_disk, source)
        known = reader.add(self.known, self._whole, source, results, on_disk)
        self._take(self.loaded.pipeline(known))
        self.known = known

    def last_results(self, makers: frozenset[TaskName]) -> Mapping[TaskName, Result]:
        """Return the last results of tasks, whether they still count or not."""
        last = self._previous(makers)
        return {name: result_of(record, self._whole.tasks[name].parameters) for name, record in last.items()}

    def plan_above(self, makers: frozenset[TaskName]) -> Mapping[TaskName, Result]:
        """Return the results of those tasks that are up to date with all above them, or are left out."""
        if self._request.only:
            excluded = matched(self._whole, self._request.exclude)
            _, wanted = selected(self._whole, self._request, self._targets, excluded, excluded)
            left_out = self.last_results(makers - wanted)
            return {**left_out, **(self._planned(makers & wanted, wanted) if makers & wanted else {})}
        return self._planned(makers, None)

    def _planned(
        self, makers: frozenset[TaskName], among: frozenset[TaskName] | None
    ) -> Mapping[TaskName, Result]:
        above = frozenset(self._whole.with_upstream(makers))
        graph = build_graph(self.pipeline, only=above)
        if among is not None and not above <= among:
            return {}
        survey = self._survey_of(graph, self._inputs(graph, {}))
        try:
            facts = without_lost_artifacts(
                graph, survey.facts(self._previous(above)), self._rules(graph, self._targets, {}), self._stores
            )
        except ConfigError:
            # it is said where the tasks are wanted
            return {}
        return steady_results(graph, plan(graph, facts, self._rules(graph, self._targets, {})))

    def mistaken(self, prepared: Prepared) -> frozenset[str]:
        """Return what was taken as known from results that do not count after all."""
        if not self._used:
            return frozenset()
        steady = steady_results(prepared.graph, plan(prepared.graph, prepared.facts, prepared.rules))
        there = prepared.graph.tasks.keys()
        return frozenset(path for path, makers in self._used.items() if not makers & there <= steady.keys())

    def _list_files(self, sources: Iterable[Input]) -> None:
        """List files on disk once: what is made later is known from results."""
        for source in sources:
            if source.is_glob and source.path not in self.loaded.listed:
                found = self.loaded.sources.data.matching(source.path, self._ignore)
                self.loaded.listed[source.path] = found

    def _on_disk(self, source: Input) -> Iterator[ProjectPath]:
        files = [path for path in self.loaded.listed[source.path] if path not in self.gone]
        if any(self._whole.owner_of(path) is None for path in files):
            leaving = self._leftovers().digests
            yield from (path for path in files if path not in leaving)

    # all that a build needs

    def _fetch(self, graph: Graph) -> tuple[str, ...]:
        """Bring the copies of remote inputs up to date; what cannot be fetched is missing."""
        copies, request = self.loaded.copies, self._request
        external = (item.remote for name in graph.order for item in graph.external[name])
        wanted = [remote for remote in external if remote is not None and remote.key not in copies.asked]
        if not wanted:
            return ()
        from nbmake_dag.remote_inputs.fetching import Fetcher, Rules  # noqa: PLC0415 - most pipelines have none

        rules = Rules(offline=request.offline, recheck=request.recheck, strict=request.strict_remote)
        fetched = Fetcher(self._project, copies, self._stores.files, rules).fetch(wanted)
        copies.asked |= {remote.key for remote in wanted}
        copies.failed |= fetched.failed
        return tuple(_described(fetched))

    def _survey_of(self, graph: Graph, inputs: Inputs, pipeline: Pipeline | None = None) -> Survey:
        project, stores, interpreters = self._project, self._stores, self.loaded.interpreters
        variables = interpreters.variables
        instruments = Instruments(
            files=stores.files,
            sources=self.loaded.sources,
            modules=Modules(project, stores.files, stores.identities, map(project.here, sys.path), self._places),
            kernels=self.loaded.kernels,
            interpreters=interpreters,
            environments=Environments(project, stores.files, stores.identities),
            inputs=inputs,
            records=stores.records,
            variables=variables,
            python=sys.executable,
        )
        return Survey(project, pipeline or self.pipeline, graph, instruments)

    def _inputs(self, graph: Graph, leaving: Mapping[ProjectPath, Digest]) -> Inputs:
        files, copies = self._stores.files, self.loaded.copies
        return Inputs(self._project, graph, files, leaving, self._ignore, self._places, copies=copies)

    def _leftovers(self) -> Leftovers:
        project, sources = self._project, self.loaded.sources
        if sources.unread:
            # what the unread notebook uses is not known
            return Leftovers()
        return find_leftovers(
            project,
            self.pipeline,
            self._whole,
            self._stores,
            self.loaded.made.read(),
            read=lambda file, data, profiles: read_pipeline(
                replace(project, config=project.absolute(file), profiles=profiles),
                data,
                sources,
                overrides={},
                known=self.known,
            ),
            code=lambda pipeline, graph: self._survey_of(
                graph,
                Inputs(
                    project,
                    graph,
                    self._stores.files,
                    {},
                    Ignored(pipeline.ignore),
                    self._places,
                    copies=self.loaded.copies,
                ),
                pipeline,
            ).code(),
        )

    def _previous(self, names: Iterable[TaskName]) -> dict[TaskName, Record]:
        names, stores = tuple(names), self._stores
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

    def _rules(self, graph: Graph, targets: frozenset[TaskName], left_out: Mapping[TaskName, Result]) -> Rules:
        return Rules(
            forced=forced(self._request, graph, targets),
            use_records=self._request.reads_cache,
            look_up_records=self.pipeline.cache.reads_remote,
            left_out=left_out,
        )

    def prepared(self, before: Prepared | None = None) -> Prepared:
        """Observe what was selected; of a build under way, what was not known ``before``."""
        project, request, stores, whole = self._project, self._request, self._stores, self._whole
        variables = self.loaded.interpreters.variables
        leftovers = self._leftovers()
        if leftovers.rests_on_git:
            index = index_of(project.repository)
            self._places[index] = folder_stamp(index)
        notes = tuple(
            f"warning: no task sees the variable {encodable(name)}: it is not UTF-8"
            for name in sorted(os.environ.keys() - variables.environ.keys())
        )
        targets = self._targets
        excluded = barred = matched(whole, request.exclude)
        if request.affected is not None and before is not None:
            targets &= before.targets | instances_of(whole, map(before.whole.tasks.__getitem__, before.targets))
            known = before.graph.tasks.keys() | instances_of(whole, before.graph.tasks.values())
            barred |= frozenset(whole.order) - known
        elif request.affected is not None:
            found = affected_tasks(
                project,
                self.pipeline,
                whole,
                self._survey_of(whole, self._inputs(whole, leftovers.digests)),
                base=request.affected,
                environ=variables.environ,
                read=lambda data, at: read_pipeline(
                    project, data, self.loaded.sources, request.overrides, at, self.known
                ),
            )
            targets &= found.tasks
            barred |= frozenset(whole.order) - found.tasks
            notes = (*notes, *found.notes)
        if leftovers.unread is not None:
            notes = (
                *notes,
                f"warning: {leftovers.unread}, so files of tasks that no longer exist stay",
            )
        targets, wanted = selected(whole, request, targets, excluded, barred)
        needed = frozenset(whole.with_upstream(wanted))
        if not request.only and request.affected is None:
            refuse_needed(whole, excluded, needed)
        left_out = needed - wanted if request.only else frozenset[TaskName]()
        chosen = needed - left_out
        if before is not None:
            chosen |= before.graph.tasks.keys() & whole.tasks.keys()
        graph = whole
        if len(chosen) < len(whole.order):
            graph = build_graph(self.pipeline, only=chosen, whole=whole if left_out else None)
        fetched = self._fetch(graph) if self.fetches else ()
        survey = self._survey_of(graph, self._inputs(graph, leftovers.digests))
        previous = self._previous(needed | chosen)
        rules = self._rules(graph, targets, last_results_of(left_out, whole, previous))
        kept = untouched_facts(before.graph, before.facts, graph) if before is not None else {}
        facts = survey.facts(previous, keep_going=request.keep_going, known=kept)
        for name in facts.keys() - previous.keys() - kept.keys():
            facts[name] = replace(facts[name], lost=stores.previous.why_lost(name))
        return Prepared(
            survey=survey,
            whole=whole,
            targets=targets,
            facts=facts if before is not None else without_lost_artifacts(graph, facts, rules, stores),
            rules=rules,
            leftovers=leftovers.files,
            fetched=fetched,
            notes=(
                *notes,
                *(
                    f"warning: task `{name}` has no instances: {reason}"
                    for name, reason in self.pipeline.empty.items()
                    if before is None or name not in before.pipeline.empty
                ),
                *survey.notes,
                *_pairs(graph, self.loaded.sources),
                *(f"warning: {found}" for found in absent(project, self.pipeline, graph, survey)),
            ),
            standing_warnings=(
                *(str(found) for found in uncovered_starts(graph, survey, facts)),
                *_of_no_task(graph, leftovers.inputs),
                *_of_other_profiles(graph, leftovers.of_profiles),
            ),
            loaded=self.loaded,
            known=self.known,
        )


def _described(fetched: Fetched) -> Iterator[str]:
    """Describe what was downloaded, and in one warning what could not be checked."""
    if fetched.downloaded:
        files = "1 remote input" if fetched.downloaded == 1 else f"{fetched.downloaded} remote inputs"
        size = f"{fetched.size / 1e6:.1f} MB" if fetched.size >= _MEGABYTE else f"{fetched.size} bytes"
        yield f"downloaded {files}, {size}"
    if fetched.kept:
        (key, why), *others = fetched.kept.items()
        more = f", and {len(others)} more" if others else ""
        yield f"warning: the last copy is used of what could not be checked: {scrubbed(key)} ({why}){more}"


def _pairs(graph: Graph, sources: Sources) -> Iterator[str]:
    """Yield a note for each notebook in whose place the text that it is paired with is executed."""
    works = (task.work for task in graph.tasks.values())
    for work in dict.fromkeys(work for work in works if isinstance(work, Notebook) and work.paired):
        said = f"Jupytext pairs `{work.paired}` with `{work.path}`, whose cells are executed"
        if sources.differs(work):
            yield f"warning: {said}; their cells differ: `jupytext --sync {work.path}` brings them in step"
        else:
            yield said


def _of_no_task(graph: Graph, files: tuple[ProjectPath, ...]) -> Iterator[str]:
    """Yield a warning for each input whose bytes a task made that makes it no more."""
    for name in graph.order if files else ():
        for path in sorted({item.path for item in graph.external[name]} & set(files)):
            yield (
                f"input `{path}` of task `{name}` is an output that no task makes any more: it may be an old"
                " result; remove it, or commit it if it is a source"
            )


def _of_other_profiles(graph: Graph, files: tuple[ProjectPath, ...]) -> Iterator[str]:
    """Yield a warning for each input that holds files which tasks make with another profile."""
    for name in graph.order if files else ():
        for item in graph.external[name]:
            if found := input_files(item, files):
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                yield (
                    f"input `{item.path}` of task `{name}` holds {found[0]}{more}, made with another"
                    " profile (`nbdag help profiles`)"
                )
