"""Repeated builds, with what stays warm between them: the files read, and the executors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import TaskName, WatchSettings
from nbmake_dag.core.plan import plan
from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.engine.dispatch.resuming import Resuming, Watched
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.session import backends_of, carry_out, make_pool
from nbmake_dag.engine.state.drafts import Drafts, with_drafts
from nbmake_dag.engine.state.lock import build_lock
from nbmake_dag.engine.state.previous_results import PreviousResults
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import NbdagError
from nbmake_dag.observe.places import trail
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome
from nbmake_dag.record.run_events import Listener
from nbmake_dag.watch.concerned import Built, concerned, differing
from nbmake_dag.watch.half_typed import half_typed
from nbmake_dag.watch.restless import Restless
from nbmake_dag_cache.stamps import Stamp, stamp_of


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks to build now, and the request for them."""

    request: Request
    prepared: Prepared
    confirms: bool = False
    """Whether what was resumed from a snapshot is to run from the start."""
    patient: bool = True
    """Whether notebooks that do not parse were left alone."""


class Rebuilds:
    """The builds of one `nbdag watch`; for one thread."""

    def __init__(self, project: Project, request: Request) -> None:
        self._project = project
        self._request = request
        self._stores = Stores.open(project)
        self._home = _identity(project.state)
        self._last_stamp = self._stamp_of_last()
        self._pool: Pool | None = None
        self._pool_basis: object = None
        self._installed: dict[str, Stamp | None] = {}
        """The folders of packages that builds with these executors looked at, each as it was first seen."""
        self._built = Built()
        self._restless = Restless(project.root)
        self._failed_drafts: set[TaskName] = set()
        self._hopeless: frozenset[TaskName] = frozenset()
        self.waiting: dict[TaskName, str] = {}
        """Tasks that the latest check left alone because their notebooks do not parse, with where and why."""
        self.restless: dict[TaskName, str] = {}
        """Those that it left alone because they would be built without end, with the reason."""
        self._prepared: Prepared | None = None
        self._resuming = Resuming()

    @property
    def has_drafts(self) -> bool:
        """Whether the latest look knows of a result or failure that a run from the start has yet to confirm."""
        prepared = self._prepared
        return prepared is not None and any(
            name in self._stores.drafts or name in self._failed_drafts for name in prepared.graph.order
        )

    @property
    def up_to_date(self) -> int | None:
        """How many tasks there are, if the latest check found nothing to build and no failure that remains."""
        stands = self._hopeless or self.waiting or self.restless
        return None if self._prepared is None or stands else len(self._prepared.graph.order)

    @property
    def quiet_s(self) -> float:
        """How long no file may change before a build, at least."""
        return (self._prepared.pipeline.watch if self._prepared else WatchSettings()).quiet

    def forget(self) -> None:
        """Have the next check select all that is not up to date, also what failed before."""
        self._built = Built()
        self._restless.forget()

    def look(
        self, *, everything: bool = False, confirm: bool = False, patient: bool = True, certain: bool = True
    ) -> Wanted | None:
        """Return what to build now, if anything; raises `NbdagError` where that cannot be determined.

        ``everything`` is to be built whether it is up to date or not. To ``confirm`` is to take no draft for a
        result or a failure. Who is ``patient`` waits while a notebook does not parse. Where it is ``certain`` that
        something is missing, only the tasks that need it are not built.
        """
        self._resuming.snapshots.drop_idle()
        self._begin_anew_if_removed()
        self._take_in_other_builds()
        self._stores.files.seen.clear()
        self._stores.files.differing.clear()
        request = replace(self._request, force_all=everything)
        if not certain:
            # raises for what is missing
            self._prepare(replace(request, keep_going=False), confirm=confirm)
        prepared = self._prepared = self._prepare(request, confirm=confirm)
        if everything:
            self._hopeless, self.waiting, self.restless = frozenset(), {}, {}
            self._restless.forget()
            return Wanted(request=request, prepared=prepared, confirms=True, patient=patient)
        if confirm:
            self._built.forget(self._failed_drafts)
        verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
        found = concerned(prepared.graph, prepared.facts, verdicts, self._built)
        self._hopeless = found.hopeless
        # a task that is well now would fail anew
        self._built.forget(self._built.failed - found.hopeless)
        self.waiting = half_typed(prepared, sorted(found.wanted)) if patient else {}
        self.restless = self._restless.found(prepared.graph, prepared.facts)
        left_out = found.hopeless.union(prepared.graph.with_downstream(self.waiting | self.restless))
        if found.wanted <= left_out and not (confirm and self.has_drafts):
            return None
        if left_out:
            request = replace(request, exclude=(*request.exclude, *sorted(left_out)))
            prepared = self._prepare(request, confirm=confirm)
        return Wanted(request=request, prepared=prepared, confirms=confirm, patient=patient)

    def _prepare(self, request: Request, *, confirm: bool) -> Prepared:
        prepared = prepare(self._project, request, self._stores, fetches=True)
        if confirm:
            return prepared
        facts = with_drafts(prepared.facts, self._stores.drafts, prepared.survey)
        return msgspec.structs.replace(prepared, facts=facts)

    def build(
        self,
        wanted: Wanted,
        *,
        listeners: Sequence[Listener],
        waiting: Callable[[str], None],
        changed: Callable[[], bool],
    ) -> RunOutcome | None:
        """Build the selected tasks under the lock; ``None`` if another build did that meanwhile.

        ``changed`` returns whether files may have changed since its last call: then tasks that have become
        pointless are stopped.
        """
        started = time.time_ns()
        with build_lock(self._project, wait=True, waiting=waiting) as lock:
            if self._stamp_of_last() != self._last_stamp:
                again = self.look(
                    everything=wanted.request.force_all, confirm=wanted.confirms, patient=wanted.patient
                )
                if again is None:
                    return None
                wanted = again
            prepared = wanted.prepared
            began = prepared.facts
            pool = self._pool_for(prepared)
            pool.say = waiting
            self._resuming.resumes = not wanted.confirms
            self._resuming.snapshots.budget = prepared.pipeline.kernel.snapshots
            try:
                outcome = carry_out(
                    prepared,
                    wanted.request,
                    self._stores,
                    lambda: pool,
                    listeners,
                    started,
                    lock,
                    Watched(
                        outdated=lambda: self._outdated(prepared) if changed() else frozenset(),
                        resuming=self._resuming,
                    ),
                )
            finally:
                self._stores.flush()
                self._last_stamp = self._stamp_of_last()
        ended = [name for name, end in outcome.tasks.items() if end.status != "cancelled"]
        failed = [name for name in ended if outcome.tasks[name].status == "failed"]
        self._built.note(ended, failed, began, prepared.facts)
        self._restless.note(outcome, prepared.facts)
        self._failed_drafts.difference_update(ended)
        self._failed_drafts.update(name for name in failed if outcome.tasks[name].draft)
        return outcome

    def warm_up(self) -> None:
        """Start the processes that the next build will need."""
        if self._prepared is not None:
            self._pool_for(self._prepared).start_first()

    def files(self) -> Iterator[str]:
        """Yield every file that the latest check read, except outputs."""
        return (path for path in self._stores.files.seen if not self.is_ours(path))

    def folders(self) -> set[str]:
        """Return the folders of the repository in which something may appear, change or go: those that exist."""
        files = list(self.files())
        found = {self._project.root, *map(os.path.dirname, files)}
        if self._prepared is not None:
            found.update(self._prepared.survey.folders)
        links = filter(os.path.islink, (*files, *found))
        found.update(os.path.dirname(step) for link in list(links) for step in trail(link))
        return {_existing(folder) for folder in found if self._is_watched(folder)}

    def is_ours(self, path: str) -> bool:
        """Return whether a path is an output, or below ``.nbdag``."""
        relative = self._project.relative(path)
        if relative == ".nbdag" or relative.startswith(".nbdag/") or os.path.basename(path) == "__pycache__":
            return True
        return self._prepared is not None and self._prepared.whole.owner_of(relative) is not None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._stores.close()

    def _outdated(self, building: Prepared) -> frozenset[TaskName]:
        """Check in the middle of a build; the build does not depend on what is read here."""
        seen, self._stores.files.seen = self._stores.files.seen, {}
        try:
            now = prepare(self._project, replace(self._request, keep_going=False), self._stores)
        except (NbdagError, OSError):
            # it is said when the build has ended, if it is still so
            return frozenset()
        finally:
            self._stores.files.seen = seen
        names = differing(building.graph, building.facts, now.graph, now.facts)
        # what runs is worth more than what cannot run
        typed = half_typed(now, (name for name in names if name in now.graph.tasks))
        return frozenset(building.graph.with_downstream(name for name in names if name not in typed))

    def _pool_for(self, prepared: Prepared) -> Pool:
        """Return executors for the packages installed now."""
        folders = prepared.survey.folders
        installed = {folder: stamp for folder, stamp in folders.items() if not self._is_watched(folder)}
        backends = backends_of(prepared, self._request)
        basis = (backends, prepared.pipeline.kernel)
        # not every build looks at all of them
        changed = any(self._installed.get(folder, stamp) != stamp for folder, stamp in installed.items())
        if self._pool is not None and (self._pool.lost or basis != self._pool_basis or changed):
            self._close_pool()
        if self._pool is None:
            self._pool, self._pool_basis, self._installed = make_pool(prepared, self._request, backends), basis, {}
        self._installed |= installed
        return self._pool

    def _begin_anew_if_removed(self) -> None:
        """Forget what was known of a ``.nbdag`` that somebody has removed meanwhile, and make it again."""
        if _identity(self._project.state) == self._home:
            return
        self._close_pool()
        self._stores.close()
        self._stores = Stores.open(self._project)
        self._home = _identity(self._project.state)
        self._last_stamp = self._stamp_of_last()
        self._built = Built()
        self._failed_drafts.clear()

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._resuming.clear()
            self._pool.close()
            self._pool = None

    def _take_in_other_builds(self) -> None:
        """Read again what builds of other processes wrote."""
        stamp = self._stamp_of_last()
        if stamp != self._last_stamp:
            self._stores = replace(
                self._stores,
                previous=PreviousResults(self._project.state, self._stores.warnings.append),
                drafts=Drafts(self._project.state, self._stores.warnings.append),
            )
            self._last_stamp = stamp

    def _stamp_of_last(self) -> Stamp | None:
        return _stamp(os.path.join(self._project.state, "last.json"))

    def _is_watched(self, folder: str) -> bool:
        repository = self._project.repository
        inside = _within(folder, repository) and not _within(folder, os.path.join(repository, ".git"))
        return inside and not (_within(sys.prefix, repository) and _within(folder, sys.prefix))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _identity(folder: str) -> tuple[int, int] | None:
    """Return what tells a folder from another one that takes its place."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _existing(folder: str) -> str:
    """Return a folder, or the nearest one above it that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None
