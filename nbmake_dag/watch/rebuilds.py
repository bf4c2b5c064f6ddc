"""One build after another, with what stays warm between them: what was read, and the executors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from nbmake_dag.build.drafts import Drafts, with_drafts
from nbmake_dag.build.last import LastResults
from nbmake_dag.build.listener import Listener
from nbmake_dag.build.lock import build_lock
from nbmake_dag.build.outcome import RunOutcome
from nbmake_dag.build.pool import Pool
from nbmake_dag.build.prepare import Prepared, Stores, prepare
from nbmake_dag.build.request import Request
from nbmake_dag.build.resuming import Resuming
from nbmake_dag.build.session import carry_out, make_pool
from nbmake_dag.build.watched import Watched
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.errors import NbdagError
from nbmake_dag.execute.aside import recover
from nbmake_dag.observe.project import Project
from nbmake_dag.watch.concerned import Built, concerned, outdated
from nbmake_dag_cache.stamps import Stamp, stamp_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be built now, and the request that says so."""

    request: Request
    prepared: Prepared
    confirms: bool = False
    """Whether what was resumed from a snapshot is to run from the start."""


class Rebuilds:
    """The builds of one `nbdag watch`; for one thread."""

    def __init__(self, project: Project, request: Request) -> None:
        self._project = project
        self._request = request
        self._stores = Stores.open(project)
        self._last_stamp = self._stamp_of_last()
        self._pool: Pool | None = None
        self._pool_basis: object = None
        self._built = Built()
        self._failed_drafts: set[TaskName] = set()
        self._hopeless: frozenset[TaskName] = frozenset()
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
        """How many tasks there are, if the latest look found nothing to build and no failure that stands."""
        return None if self._prepared is None or self._hopeless else len(self._prepared.graph.order)

    def forget(self) -> None:
        """Let the next look want all that is not up to date, also what failed before."""
        self._built = Built()

    def look(self, *, everything: bool = False, confirm: bool = False) -> Wanted | None:
        """Return what is to be built now, if anything; raises `NbdagError` where that cannot be said.

        ``everything`` is to be built whether it is up to date or not. To ``confirm`` is to take no draft for a
        result or a failure.
        """
        self._resuming.snapshots.drop_idle()
        self._take_in_other_builds()
        self._stores.files.seen.clear()
        request = replace(self._request, force_all=everything)
        prepared = self._prepared = self._prepare(request, confirm=confirm)
        if everything:
            self._hopeless = frozenset()
            return Wanted(request=request, prepared=prepared, confirms=True)
        if confirm:
            self._built.forget(self._failed_drafts)
        verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
        found = concerned(prepared.graph, prepared.facts, verdicts, self._built)
        self._hopeless = found.hopeless
        # a task that is well now would fail anew
        self._built.forget(self._built.failed - found.hopeless)
        if not found.wanted and not (confirm and self.has_drafts):
            return None
        if found.hopeless:
            request = replace(request, exclude=(*request.exclude, *sorted(found.hopeless)))
            prepared = self._prepare(request, confirm=confirm)
        return Wanted(request=request, prepared=prepared, confirms=confirm)

    def _prepare(self, request: Request, *, confirm: bool) -> Prepared:
        prepared = prepare(self._project, request, self._stores)
        return prepared if confirm else with_drafts(prepared, self._stores.drafts)

    def build(
        self,
        wanted: Wanted,
        *,
        listeners: Sequence[Listener],
        waiting: Callable[[str], None],
        changed: Callable[[], bool],
    ) -> RunOutcome | None:
        """Build what is wanted under the lock; ``None`` if another build did that meanwhile.

        ``changed`` says whether files may have changed since it was last asked: then what has become pointless is
        stopped.
        """
        started = time.time_ns()
        with build_lock(self._project, wait=True, waiting=waiting):
            for path in recover(self._project.state):
                waiting(f"an interrupted build left {self._project.relative(path)}")
            if self._stamp_of_last() != self._last_stamp:
                again = self.look(everything=wanted.request.force_all, confirm=wanted.confirms)
                if again is None:
                    return None
                wanted = again
            prepared = wanted.prepared
            pool = self._pool_for(prepared)
            self._resuming.resumes = not wanted.confirms
            self._resuming.snapshots.budget = prepared.pipeline.kernel.snapshots
            try:
                outcome = carry_out(
                    prepared,
                    wanted.request,
                    self._stores,
                    pool,
                    listeners,
                    started,
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
        self._built.note(ended, failed, prepared.facts)
        self._failed_drafts.difference_update(ended)
        self._failed_drafts.update(name for name in failed if outcome.tasks[name].draft)
        return outcome

    def warm_up(self) -> None:
        """Start what the next build will need."""
        if self._prepared is not None:
            self._pool_for(self._prepared).start_first()

    def files(self) -> Iterator[str]:
        """Yield every file that the latest look read, but for outputs."""
        return (path for path in self._stores.files.seen if not self.is_ours(path))

    def folders(self) -> set[str]:
        """Return the folders of the repository in which something may appear, change or go: those that exist."""
        found = {self._project.root, *map(os.path.dirname, self.files())}
        if self._prepared is not None:
            found.update(self._prepared.survey.folders)
        return {_existing(folder) for folder in found if self._is_watched(folder)}

    def is_ours(self, path: str) -> bool:
        """Say whether a path is an output, or below ``.nbdag``."""
        relative = self._project.relative(path)
        if relative == ".nbdag" or relative.startswith(".nbdag/") or os.path.basename(path) == "__pycache__":
            return True
        return self._prepared is not None and self._prepared.whole.owner_of(relative) is not None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._stores.close()

    def _outdated(self, building: Prepared) -> frozenset[TaskName]:
        """Look in the middle of a build; what is seen now is not what the build rests on."""
        seen, self._stores.files.seen = self._stores.files.seen, {}
        try:
            now = prepare(self._project, self._request, self._stores)
        except (NbdagError, OSError):
            # it is said when the build has ended, if it is still so
            return frozenset()
        finally:
            self._stores.files.seen = seen
        return outdated(building.graph, building.facts, now.facts)

    def _pool_for(self, prepared: Prepared) -> Pool:
        """Return executors that know what is installed now."""
        folders = prepared.survey.folders
        installed = {folder: stamp for folder, stamp in folders.items() if not self._is_watched(folder)}
        basis = (prepared.pipeline.ray, prepared.pipeline.kernel, installed)
        if self._pool is not None and (self._pool.lost or basis != self._pool_basis):
            self._resuming.clear()
            self._pool.close()
            self._pool = None
        if self._pool is None:
            self._pool, self._pool_basis = make_pool(prepared, self._request), basis
        return self._pool

    def _take_in_other_builds(self) -> None:
        """Read again what builds of other processes wrote."""
        stamp = self._stamp_of_last()
        if stamp != self._last_stamp:
            self._stores = replace(
                self._stores, last=LastResults(self._project.state), drafts=Drafts(self._project.state)
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
