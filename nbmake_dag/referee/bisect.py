"""`nbdag bisect`: find the commit at which a metric, an output or a check changed.

What runs say of commits counts first. The rest is tried, each commit in a private copy that reads the project's
cache: a commit that changes nothing of what is asked for executes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import tomli

from nbmake_dag.core.bisection import Range, Revision, Side, most_trials, narrowed, next_commits
from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Input, Output, Pipeline, ProjectPath, TaskName
from nbmake_dag.engine.results.executed_notebook import counted_cells
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.changes import content_at, paths_at
from nbmake_dag.observe.git import commit_of, tracked
from nbmake_dag.observe.history import GitHistory
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.copies import walk
from nbmake_dag.referee.environment import passed_to
from nbmake_dag.referee.known_runs import KnownRuns, seconds_of
from nbmake_dag.referee.order import Commit, Content, OnDisk, Order
from nbmake_dag.referee.question import (
    Answer,
    Check,
    Metric,
    OutputPath,
    Question,
    Told,
    answers,
    is_better,
    side,
    told_by_run,
    told_by_trial,
    understood,
)
from nbmake_dag.referee.trial import Trials
from nbmake_dag.runs.find import recorded_in
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Comparison, Declared, Verdict, compare, judge


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What `nbdag bisect` was asked. ``good`` and ``bad`` are names of commits, empty for the usual ones."""

    question: str
    good: str = ""
    bad: str = ""
    jobs: int = 1
    trust: bool = False
    secrets: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one commit. ``is_trial``: it was tried, and its run is one of the trials."""

    commit: Revision
    answer: Answer | None
    run_id: str = ""
    is_trial: bool = False
    executed: int = 0
    """How many tasks a trial executed."""
    reason: str = ""
    """Why there is no answer."""
    side: Side = Side.SKIPPED


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a search may cost: ``seconds`` of one trial after the other, ``None`` where nobody measured."""

    candidates: int
    known: int
    trials: int
    seconds: float | None


class Bisected(msgspec.Struct, frozen=True, kw_only=True):
    """The result: ``first`` is the commit, several where some could not be tried, none after a dry run."""

    question: Question
    good: Seen
    bad: Seen
    estimate: Estimate
    first: tuple[Revision, ...] = ()
    before: Seen | None = None
    """A commit just before it that has an answer."""
    after: Seen | None = None
    seen: tuple[Seen, ...] = ()

    @property
    def executed(self) -> int:
        """How many commits had to be executed."""
        return sum(each.executed > 0 for each in self.seen)


@dataclass(slots=True)
class Bisection:
    """One search. ``approve`` is asked before anything is executed, ``tell`` gets each commit as it is known."""

    project: Project
    pipeline: Pipeline
    asked: Asked
    declared: Mapping[str, Declared]
    approve: Callable[[Estimate], None]
    tell: Callable[[Seen], None]
    trials: Trials = field(init=False)
    history: GitHistory = field(init=False)
    _graph: Graph = field(init=False)
    _question: Question = field(init=False)
    _tasks: dict[TaskName, None] = field(default_factory=dict[TaskName, None])
    """The tasks that may answer, under any of the names that they had."""
    _seen: dict[Revision, Seen] = field(default_factory=dict[Revision, Seen])
    _seconds: float | None = None
    _data: tuple[ProjectPath, ...] | None = None

    def __post_init__(self) -> None:
        self.trials = Trials(self.project)
        self.history = GitHistory(repository=self.project.repository)
        self._graph = build_graph(self.pipeline)

    def plan(self) -> Bisected:
        """Return what the search would cost; an end that no run has seen is tried all the same."""
        return self._begin()[0]

    def run(self) -> Bisected:
        """Find the commit; raises `UsageError` where the question makes no sense, or cannot be asked."""
        begun, left = self._begin()
        if begun.estimate.trials:
            self._refuse_strangers(begun.bad.commit)
            self.approve(begun.estimate)
        sides = {commit: each.side for commit, each in self._seen.items()}
        with self.trials.at_once(self.asked.jobs) as threads:
            while (first := left.first_bad(sides)) is None:
                chosen = next_commits(self.history, left, sides, self.asked.jobs)
                for found in threads.map(self._try, chosen):
                    self._note(found, begun.good, begun.bad)
                    sides[found.commit] = self._seen[found.commit].side
                left = narrowed(self.history, left.bad, left.good, sides)
        return self._ended(begun, left, first)

    def comparison(self, found: Bisected) -> Comparison | None:
        """Compare the run before with the run after, if there is one commit between them."""
        if len(found.first) != 1 or found.before is None or found.after is None:
            return None
        before, after = (recorded_in(self.project, seen.run_id) for seen in (found.before, found.after))
        return compare(before, after, self.declared, counted_cells)

    # the ends

    def _begin(self) -> tuple[Bisected, Range]:
        bad = self._revision(self.asked.bad or "HEAD")
        runs = KnownRuns(self.project)
        ancestors = self.history.ancestors(bad)
        by_commit = runs.of_commits({bad, *ancestors})
        self._question = self._understood(runs)
        self._note_tasks(recorded for those in by_commit.values() for recorded in those)
        for commit, those in by_commit.items():
            self._note_run(commit, those)
        bad_end = self._end(bad, "bad")
        good = self._good(bad_end, ancestors)
        self._refuse_same(good, bad_end)
        for each in list(self._seen.values()):
            self._note(each, good, bad_end, tells=False)
        sides = {commit: each.side for commit, each in self._seen.items()}
        left = narrowed(self.history, bad, (good.commit,), sides)
        candidates = len(left.candidates)
        known = sum(each.commit in self._seen for each in left.candidates)
        trials = most_trials(candidates) if left.first_bad(sides) is None else 0
        seconds = None if self._seconds is None else self._seconds * trials
        estimate = Estimate(candidates=candidates, known=known, trials=trials, seconds=seconds)
        return Bisected(question=self._question, good=good, bad=bad_end, estimate=estimate), left

    def _understood(self, runs: KnownRuns) -> Question:
        return understood(
            self.asked.question,
            outputs=[output.path for task in self._graph.tasks.values() for output in task.outputs],
            checks=[name for name, task in self._graph.tasks.items() if task.policy.check],
            runs=(told_by_run(recorded.run) for recorded in runs.newest_first()),
            declared=self.declared,
        )

    def _revision(self, name: str) -> Revision:
        commit = commit_of(self.project.repository, name)
        if commit is None:
            raise UsageError(f"git knows no commit {name}", (("repository", self.project.repository),))
        return Revision(commit)

    def _note_tasks(self, runs: Iterator[Recorded]) -> None:
        match self._question:
            case Check(task=task):
                self._tasks[task] = None
            case OutputPath(path=path):
                makers = (name for name, task in self._graph.tasks.items() if path in _paths(task.outputs))
                self._tasks |= dict.fromkeys(makers)
            case Metric():
                pass
        for recorded in runs:
            self._tasks |= dict.fromkeys(answers(self._question, told_by_run(recorded.run)))
        if not self._tasks:
            # the runs of these commits say nothing, another one does
            for recorded in KnownRuns(self.project).newest_first():
                if found := answers(self._question, told_by_run(recorded.run)):
                    self._tasks |= dict.fromkeys(found)
                    break

    def _note_run(self, commit: Revision, runs: Sequence[Recorded]) -> None:
        """Note what the newest run of a commit says that says anything."""
        for recorded in runs:
            if (answer := self._answer(told_by_run(recorded.run))) is not None:
                self._seen[commit] = Seen(commit=commit, answer=answer, run_id=recorded.run.id)
                if self._seconds is None:
                    self._seconds = seconds_of(recorded, tuple(self._tasks)) or None
                return

    def _answer(self, told: Mapping[TaskName, Told]) -> Answer | None:
        found = answers(self._question, told)
        return next(iter(found.values())) if len(found) == 1 else None

    def _end(self, commit: Revision, which: str) -> Seen:
        """Return what an end of the search answers; raises `UsageError` if it cannot."""
        if commit not in self._seen:
            self._refuse_strangers(commit)
            self.approve(Estimate(candidates=1, known=0, trials=1, seconds=self._seconds))
            self._seen[commit] = self._try(commit)
        found = self._seen[commit]
        if found.answer is None:
            facts = (("commit", self._shown(commit)), ("why", found.reason))
            raise UsageError(
                f"the {which} commit does not say what `{self._question}` is",
                facts,
                f"name another: --{which} REF",
            )
        return found

    def _good(self, bad: Seen, ancestors: Sequence[Revision]) -> Seen:
        """Return the good end: as asked, else the newest commit before that a run shows to be better."""
        if not self.asked.good:
            found = (self._seen[commit] for commit in ancestors if commit in self._seen)
            good = next((each for each in found if is_better(self._question, each.answer, bad.answer)), None)
            if good is None:
                what = f"no run of an earlier commit has a better `{self._question}` than {_short(bad.commit)}"
                raise UsageError(what, (("there", shown(bad.answer)),), "name a good commit: --good REF")
            return good
        commit = self._revision(self.asked.good)
        if not self.history.is_ancestor(commit, bad.commit):
            base = self.history.merge_base(commit, bad.commit)
            if base is None:
                raise UsageError(f"{self.asked.good} and the bad commit have no history in common")
            commit = base
        if commit == bad.commit:
            raise UsageError("the good commit does not come before the bad one", (), "swap --good and --bad")
        return self._end(commit, "good")

    def _refuse_same(self, good: Seen, bad: Seen) -> None:
        question = self._question
        if good.answer is None or bad.answer is None:
            return
        differ = good.answer != bad.answer
        if isinstance(question, Metric):
            differ = judge(float(good.answer), float(bad.answer), question.declared) is not Verdict.SAME
        if not differ:
            facts = (
                (f"good {_short(good.commit)}", shown(good.answer)),
                (f"bad {_short(bad.commit)}", shown(bad.answer)),
            )
            raise UsageError(f"`{question}` does not differ between the two commits", facts)

    def _refuse_strangers(self, commit: Revision) -> None:
        if not self.asked.trust and not self.history.is_on_a_branch(commit):
            what = "no local branch reaches the code that would run"
            hint = "if you trust it, add --trust; or check a branch out that has it"
            raise UsageError(what, (("commit", self._shown(commit)),), hint)

    # trials

    def _try(self, commit: Revision) -> Seen:
        """Build what answers the question as a commit has it."""
        task, problem = self._task_at(commit)
        if task is None:
            return Seen(commit=commit, answer=None, reason=problem)
        tried = self.trials.run(
            Order(
                kind="bisect",
                tasks=(task,),
                base=Commit(commit),
                files=self._data_for(commit),
                lend=True,
                sandboxed=False,
                profiles=self.project.profiles,
                passed=passed_to(self.pipeline, secrets=self.asked.secrets),
            )
        )
        answer = self._answer(told_by_trial(tried))
        reason = ""
        if answer is None:
            failures = (f"task `{name}`: {each.failure}" for name, each in tried.tasks.items() if each.failure)
            reason = tried.problem or next(failures, f"it has no `{self._question}`")
        return Seen(
            commit=commit,
            answer=answer,
            run_id=tried.run_id,
            is_trial=True,
            executed=tried.executed,
            reason=reason,
        )

    def _task_at(self, commit: Revision) -> tuple[TaskName | None, str]:
        """Return the task that a commit has, of those that may answer; else why it has none."""
        name = os.path.basename(self.project.config)
        text = content_at(self.project.repository, commit, self.project.config)
        if text is None:
            return None, f"it has no {name}"
        try:
            document = tomli.loads(text.decode())
        except ValueError as error:
            return None, f"{name} cannot be read: {error}"
        tables = document.get("tasks")
        families = tables.keys() if isinstance(tables, dict) else ()
        for task in self._tasks:
            if task.partition("[")[0] in families or "parts" in document.get("pipeline", {}):
                return task, ""
        return None, f"it has no task {' or '.join(f'`{task}`' for task in self._tasks)}"

    def _data_for(self, commit: Revision) -> dict[ProjectPath, Content]:
        """Return the inputs that git does not have: they are taken as they are in the workspace."""
        if self._data is None:
            self._data = tuple(untracked_inputs(self.project, self._graph))
        there = set(paths_at(self.project.repository, commit)) if self._data else set[str]()
        return {
            path: OnDisk(self.project.absolute(path))
            for path in self._data
            if os.path.normpath(self.project.absolute(path)) not in there
        }

    def _note(self, found: Seen, good: Seen, bad: Seen, *, tells: bool = True) -> None:
        if good.answer is None or bad.answer is None:
            return
        which = side(self._question, found.answer, good.answer, bad.answer)
        noted = Seen(
            commit=found.commit,
            answer=found.answer,
            run_id=found.run_id,
            is_trial=found.is_trial,
            executed=found.executed,
            reason=found.reason or ("it is between the two" if which is Side.SKIPPED else ""),
            side=which,
        )
        self._seen[found.commit] = noted
        if tells:
            self.tell(noted)

    # the end

    def _ended(self, begun: Bisected, left: Range, first: tuple[Revision, ...]) -> Bisected:
        parents = next(each.parents for each in left.candidates if each.commit == left.bad)
        usable = [commit for commit in (*parents, *reversed(left.good)) if commit in self._seen]
        before = self._seen[usable[0]] if usable else self._seen[begun.good.commit]
        return Bisected(
            question=begun.question,
            good=self._seen[begun.good.commit],
            bad=self._seen[begun.bad.commit],
            estimate=begun.estimate,
            first=first,
            before=before,
            after=self._seen[left.bad],
            seen=tuple(self._seen.values()),
        )

    def _shown(self, commit: Revision) -> str:
        return f"{_short(commit)} {self.history.subject(commit)}".rstrip()


def untracked_inputs(project: Project, graph: Graph) -> Iterator[ProjectPath]:
    """Yield the files on disk of inputs that no task makes and git does not have."""
    exact = {item.path for items in graph.external.values() for item in items if _is_exact(item)}
    others = {item for items in graph.external.values() for item in items if not _is_exact(item)}
    paths = {path for path in exact if os.path.isfile(project.absolute(path))}
    if others:
        paths |= {ProjectPath(path) for path in walk(project.root) if any(_is_of(path, item) for item in others)}
    real = {os.path.realpath(project.absolute(path)): path for path in sorted(paths)}
    known = tracked(real)
    yield from (path for place, path in real.items() if place not in known)


def _is_exact(item: Input) -> bool:
    return not (item.is_glob or item.path.endswith("/"))


def _is_of(path: str, item: Input) -> bool:
    return matches(item.path, path) if item.is_glob else path.startswith(item.path)


def _paths(outputs: Sequence[Output]) -> list[str]:
    return [output.path for output in outputs]


def _short(commit: Revision) -> str:
    return commit[:10]


def shown(answer: Answer | None) -> str:
    """Show an answer to a person."""
    if isinstance(answer, bool):
        return "passes" if answer else "fails"
    if isinstance(answer, str):
        return answer[:10]
    return "unknown" if answer is None else f"{answer:.6g}"
