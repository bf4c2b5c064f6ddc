"""The shared cache of one build: what is missing here is sought there, what ran here is sent there.

Nothing of it can fail a build. What goes wrong is counted, and said once at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import all_suffixes

import msgspec

from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.uploads import Uploads
from nbmake_dag.core.facts import Result
from nbmake_dag.core.lookup import present_trace
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import Seek, Sought
from nbmake_dag.observe.survey import Survey
from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.remote import RemoteError
from nbmake_dag_cache.shared import Question, SharedCache, Trace

_AT_ONCE = 8
_MODULES = tuple(all_suffixes())
_READABLE = frozenset({"tasks", "params", "metrics", "tags", "artifacts"})


@dataclass(frozen=True, slots=True)
class ModulesAsked:
    """A thread that seeks wants to know the digests of modules, which the thread of the loop looks up."""

    paths: tuple[str, ...]
    reply: Future[dict[str, str]] = field(default_factory=Future[dict[str, str]])

    def answer(self, survey: Survey) -> None:
        with suppress(InvalidStateError):
            self.reply.set_result(survey.module_digests(self.paths))


class Sharing:
    """What the loop asks of the shared cache; its answers come as events, through ``post``."""

    def __init__(
        self,
        prepared: Prepared,
        stores: Stores,
        shared: SharedCache,
        *,
        uploads: Uploads | None,
        post: Callable[[object], None],
    ) -> None:
        self._prepared = prepared
        self._stores = stores
        self._shared = shared
        self._uploads = uploads
        self._post = post
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shared-seek")
        self._asked: set[Future[dict[str, str]]] = set()
        self._received = 0

    def seek(self, instruction: Seek, results: Mapping[TaskName, Result]) -> None:
        """Look for a record; a `Sought` is posted, whatever comes of it."""
        self._threads.submit(self._seek, instruction, results)

    def mend(self, record: Record) -> bool:
        """Bring the blobs of a record that the local cache has lost; any thread may call it."""
        try:
            self._shared.fetch(record, self._stores.blobs)
        except (RemoteError, RefusedError, OSError):
            return False
        return True

    def send(self, record: Record) -> None:
        """Send a new record and its blobs as soon as may be; returns at once."""
        if self._uploads is not None:
            self._uploads.add(record)

    def give_up(self, why: str) -> None:
        """Let everything under way fail at once."""
        self._shared.remote.give_up(why)
        for reply in tuple(self._asked):
            with suppress(InvalidStateError):
                reply.set_exception(RemoteError(why))

    def finish(self) -> tuple[str, tuple[str, ...]]:
        """Wait for what is being sent, within its time; return the numbers in words, and what went wrong."""
        sent, unsent, secrets = self._uploads.finish() if self._uploads else (0, 0, ())
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._shared.close()
        counts = {"received": self._received, "sent": sent, "not sent": unsent}
        words = [f"{count} {word}" for word, count in counts.items() if count]
        return ", ".join(words), (*self._trouble(), *secrets)

    def _trouble(self) -> Iterator[str]:
        refused, remote = self._shared.refused, self._shared.remote
        parts: list[str] = []
        if refused:
            kinds = ", ".join(f"{why}: {count}" for why, count in sorted(refused.items()))
            parts.append(f"{refused.total()} of its entries were refused ({kinds})")
        if remote.errors:
            gone = "it was given up" if remote.gone else "it failed at times"
            parts.append(f"{gone} ({'; '.join(remote.errors[:3])})")
        if parts:
            yield f"the shared cache: {'; '.join(parts)}"

    def _seek(self, instruction: Seek, results: Mapping[TaskName, Result]) -> None:
        sought = Sought(task=instruction.task)
        try:
            sought = self._find(instruction, results)
        except (RemoteError, OSError):
            pass  # the remote keeps count; without room for a blob the task will say so itself
        finally:
            self._post(sought)

    def _find(self, instruction: Seek, results: Mapping[TaskName, Result]) -> Sought:
        name, modules = instruction.task, dict[str, str]()
        task, graph = self._prepared.graph.tasks[name], self._prepared.graph

        def present(trace: Trace) -> Iterator[Ingredient]:
            _check_reads(trace)
            modules.update(self._digests(which for kind, which in trace if kind == "module"))
            return present_trace(name, trace, graph, modules, results)

        question = Question(
            known=instruction.identity.ingredients,
            outputs=tuple(output.path for output in task.outputs),
            present=present,
            accepts=lambda record: self._prepared.survey.is_usable(record, task),
        )
        for record in self._shared.candidates(question):
            self._keep_what_is_in_place(name, record)
            try:
                self._shared.fetch(record, self._stores.blobs)
            except RefusedError as error:
                self._shared.refuse(str(error))
                continue
            self._stores.records.publish(record)
            self._received += 1
            return Sought(task=name, records=(record,), modules=modules)
        return Sought(task=name)

    def _keep_what_is_in_place(self, name: TaskName, record: Record) -> None:
        """Make blobs of outputs that are as they were recorded, so that they need not be fetched."""
        project, present = self._prepared.project, self._prepared.facts[name].present
        for output in record.outputs:
            if present.get(output.path) == output.digest:  # type: ignore[call-overload]
                for file in output.files:
                    self._stores.blobs.put_file(project.absolute(file.path))

    def _digests(self, names: Iterable[str]) -> dict[str, str]:
        """Have the loop's thread look at modules, which must be files of this repository."""
        paths = tuple(names)
        if not paths:
            return {}
        project = self._prepared.project
        inside = os.path.join(os.path.realpath(project.repository), "")
        for path in paths:
            real = os.path.realpath(os.path.join(project.root, path)) if "\0" not in path else ""
            if os.path.isabs(path) or not path.endswith(_MODULES) or not real.startswith(inside):
                raise RefusedError("a trace that leads out of the repository")
        asked = ModulesAsked(tuple(path for path in paths if os.path.isfile(project.absolute(path))))
        self._asked.add(asked.reply)
        self._post(asked)
        return asked.reply.result()


def _check_reads(trace: Trace) -> None:
    """Refuse names of logged values that `upstream()` could not have spelt."""
    for kind, which in trace:
        if kind == "read":
            try:
                of = msgspec.json.decode(which, type=tuple[str, str, str | None])[1]
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                raise RefusedError("a trace of nothing that can be read") from error
            if of not in _READABLE:
                raise RefusedError("a trace of nothing that can be read")
