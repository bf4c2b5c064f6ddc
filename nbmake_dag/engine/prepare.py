"""Prepare a build: from a request to everything that a plan or a schedule needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from nbmake_dag.config.pipeline_file import Found
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Facts, Result
from nbmake_dag.core.graph import Graph, input_files
from nbmake_dag.core.model import Notebook, Pipeline, ProjectPath, TaskName
from nbmake_dag.core.text import encodable
from nbmake_dag.core.urls import scrubbed
from nbmake_dag.engine.choice import Choice, choose, last_results_of
from nbmake_dag.engine.heap import growing_heap
from nbmake_dag.engine.known_families import KnownFamilies
from nbmake_dag.engine.loading import Loaded, load_file
from nbmake_dag.engine.look import Look
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.leftovers import Leftover, Leftovers
from nbmake_dag.engine.state.lost_artifacts import without_lost_artifacts
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.engine.unknown_families import untouched_facts
from nbmake_dag.observe.absent import absent, uncovered_starts
from nbmake_dag.observe.git import index_of
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Survey

_MEGABYTE = 1_000_000

if TYPE_CHECKING:
    from nbmake_dag.remote_inputs.fetching import Fetched


class Prepared(msgspec.Struct, kw_only=True):
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
    git_is_silent: bool = False
    """Git could not tell what it tracks: as soon as it does, other files may count as leftovers."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the tasks were chosen, of what they see, and of what is not there."""
    loaded: Loaded | None = None
    known: Found = msgspec.field(default_factory=Found)
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
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))


def load(
    project: Project, request: Request, stores: Stores, *, by_last: bool = False
) -> tuple[Pipeline, Sources, Interpreters]:
    """Read a project's pipeline; raises `ConfigError` with every complaint.

    Families whose instances tasks make are known where these are up to date; ``by_last``, where they ever ran.
    """
    look = Look(project, request, stores, *load_file(project, request, stores))
    families = KnownFamilies(look)
    families.find_known(families.last_results if by_last else families.plan_above)
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
        look = Look(project, request, stores, *loaded)
        families = KnownFamilies(look)
        families.find_known(families.last_results if by_last else families.plan_above, late)
        prepared = _prepared(look, fetches=fetches)
        wrong = frozenset[str]() if by_last else families.mistaken(prepared.graph, prepared.facts, prepared.rules)
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
    look = Look(before.project, request, stores, before.loaded, pipeline, before.known)
    families = KnownFamilies(look, gone=(file.path for file in before.leftovers))
    families.find_known(lambda _: results, family=family)
    return _prepared(look, before, fetches=True)


def _prepared(look: Look, before: Prepared | None = None, *, fetches: bool) -> Prepared:
    """Observe what was selected; of a build under way, what was not known ``before``."""
    stores, pipeline = look.stores, look.pipeline
    leftovers = look.leftovers()
    if leftovers.rests_on_git:
        look.places.note(index_of(look.project.repository))
    known = None
    if before is not None:
        known = Choice(whole=before.whole, graph=before.graph, targets=before.targets)
    choice = choose(look, leftovers.digests, known)
    graph = choice.graph
    fetched = _fetch(look, graph) if fetches else ()
    survey = look.survey_of(graph, look.inputs(graph, leftovers.digests))
    previous = look.previous(choice.all)
    rules = look.rules(graph, choice.targets, last_results_of(choice.left_out, look.whole, previous))
    kept = untouched_facts(before.graph, before.facts, graph) if before is not None else {}
    facts = survey.facts(previous, keep_going=look.request.keep_going, known=kept)
    for name in facts.keys() - previous.keys() - kept.keys():
        if why := stores.previous.why_lost(name):
            facts[name] = replace(facts[name], lost=why)
    return Prepared(
        survey=survey,
        whole=look.whole,
        targets=choice.targets,
        facts=facts if before is not None else without_lost_artifacts(graph, facts, rules, stores),
        rules=rules,
        leftovers=leftovers.files,
        git_is_silent=bool(leftovers.unanswered),
        fetched=fetched,
        notes=(
            *_unseen_variables(survey),
            *choice.notes,
            *_unread(leftovers),
            *(
                f"warning: task `{name}` has no instances: {reason}"
                for name, reason in pipeline.empty.items()
                if before is None or name not in before.pipeline.empty
            ),
            *survey.notes,
            *_pairs(graph, look.loaded.sources, differ=False),
        ),
        standing_warnings=(
            *_pairs(graph, look.loaded.sources, differ=True),
            *(str(found) for found in absent(look.project, pipeline, graph, survey)),
            *(str(found) for found in uncovered_starts(graph, survey, facts)),
            *_of_no_task(graph, leftovers.inputs),
            *_of_other_profiles(graph, leftovers.of_profiles),
        ),
        loaded=look.loaded,
        known=look.known,
    )


def _fetch(look: Look, graph: Graph) -> tuple[str, ...]:
    """Bring the copies of remote inputs up to date; what cannot be fetched is missing."""
    copies, request = look.loaded.copies, look.request
    external = (item.remote for name in graph.order for item in graph.external[name])
    wanted = [remote for remote in external if remote is not None and remote.key not in copies.asked]
    if not wanted:
        return ()
    from nbmake_dag.remote_inputs.fetching import Fetcher, Rules  # noqa: PLC0415 - most pipelines have none

    rules = Rules(offline=request.offline, recheck=request.recheck, strict=request.strict_remote)
    fetched = Fetcher(look.project, copies, look.stores.files, rules).fetch(wanted)
    copies.asked |= {remote.key for remote in wanted}
    copies.failed |= fetched.failed
    return tuple(_described(fetched))


def _unseen_variables(survey: Survey) -> Iterator[str]:
    """Yield a warning for each variable that is not handed on."""
    for name in sorted(os.environ.keys() - survey.variables.keys()):
        yield f"warning: no task sees the variable {encodable(name)}: it is not UTF-8"


def _unread(leftovers: Leftovers) -> Iterator[str]:
    """Yield a warning where leftovers are not known."""
    if leftovers.unread is not None:
        yield f"warning: {leftovers.unread}, so files of tasks that no longer exist stay"
    if leftovers.unanswered:
        why = f"git does not tell what it tracks here ({leftovers.unanswered})"
        yield f"warning: {why}, so files of tasks that no longer exist stay"


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


def _pairs(graph: Graph, sources: Sources, *, differ: bool) -> Iterator[str]:
    """Yield a sentence for each notebook in whose place the text that it is paired with is executed."""
    works = (task.work for task in graph.tasks.values())
    for work in dict.fromkeys(work for work in works if isinstance(work, Notebook) and work.paired):
        if sources.differs(work) == differ:
            said = f"Jupytext pairs `{work.paired}` with `{work.path}`, whose cells are executed"
            advice = f"; their cells differ: `jupytext --sync {work.path}` brings them in step"
            yield f"{said}{advice if differ else ''}"


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
