"""The shared cache of one build: misses are looked up there, new results are sent there.

Nothing of it can fail a build. Errors are counted, and reported once at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from importlib.machinery import all_suffixes
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import Result
from nbmake_dag.core.lookup import present_trace
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import LookedUp, LookUp
from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.shared_cache.uploads import Uploads
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.arguments import SUFFIXES as SCRIPT_SUFFIXES
from nbmake_dag.observe.survey import Survey
from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.remote import RemoteError
from nbmake_dag_cache.shared import Question, SharedCache, Trace

if TYPE_CHECKING:
    from nbmake_dag.engine.shared_cache.claims import Claims
    from nbmake_dag_cache.signatures import Signer, Verifier

_AT_ONCE = 8
_LOOKS_AGAIN = 3
"""How often a record that another build has sent is looked for again, a few seconds apart."""
_MODULES = (*all_suffixes(), *SCRIPT_SUFFIXES, "/")


class ExecutedElsewhere(msgspec.Struct, frozen=True):
    """Another build executes a task, whose result this one waits for."""

    task: TaskName


class ModulesAsked(msgspec.Struct, frozen=True):
    """A thread that looks up a record needs the digests of modules, which the thread of the loop looks up."""

    paths: tuple[str, ...]
    reply: Future[dict[str, str]] = msgspec.field(default_factory=Future[dict[str, str]])

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
        claims: Claims | None,
        post: Callable[[object], None],
    ) -> None:
        self._prepared = prepared
        self._stores = stores
        self._shared = shared
        self._uploads = uploads
        self._claims = claims
        self._post = post
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shared-look-up")
        self._asked: list[Future[dict[str, str]]] = []
        self._received = 0

    def look_up(self, instruction: LookUp, results: Mapping[TaskName, Result]) -> None:
        """Look for a record; a `LookedUp` is posted in any case."""
        self._threads.submit(self._look_up, instruction, results)

    def accept(self, answer: LookedUp) -> LookedUp:
        """Publish what a look-up found, in the thread of the loop; without room for it, nothing was found."""
        try:
            for record in answer.records:
                self._stores.records.publish(record)
        except OSError:
            return LookedUp(task=answer.task)
        self._received += len(answer.records)
        return answer

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
            self._uploads.add(record, done=lambda: self.release(TaskName(record.task)))

    def release(self, task: TaskName) -> None:
        """Let others execute a task that this build did not bring to a result; returns at once."""
        if self._claims is not None:
            self._claims.release(task)

    def drop(self, task: TaskName) -> None:
        """Neither execute a task nor wait for what another build makes of it; returns at once."""
        if self._claims is not None:
            self._claims.drop(task)

    def claim_no_more(self) -> None:
        """Wait for no other build any more: nothing is to be executed here that has not begun. Returns at once."""
        if self._claims is not None:
            self._claims.close()

    def give_up(self, why: str) -> None:
        """Let everything under way fail at once."""
        if self._claims is not None:
            self._claims.end(within=1.0)
        self._abandon(why)

    def _abandon(self, why: str) -> None:
        self._shared.remote.give_up(why)
        for reply in tuple(self._asked):
            with suppress(InvalidStateError):
                reply.set_exception(RemoteError(why))

    def finish(self) -> tuple[str, tuple[str, ...]]:
        """Wait for what is being sent, within its time; return the numbers in words, and what went wrong."""
        sent, unsent, secrets = self._uploads.finish() if self._uploads else (0, 0, ())
        if self._claims is not None:
            self._claims.end()
        trouble = (*self._trouble(), *secrets)
        # the process could not end while a look-up waits, of a task that was cancelled
        self._abandon("the build ended")
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._shared.close()
        counts = {"received": self._received, "sent": sent, "not sent": unsent}
        words = [f"{count} {word}" for word, count in counts.items() if count]
        return ", ".join(words), trouble

    def _trouble(self) -> Iterator[str]:
        refused, remote = self._shared.refused, self._shared.remote
        parts: list[str] = []
        if refused:
            kinds = ", ".join(f"{why}: {count}" for why, count in sorted(refused.items()))
            parts.append(f"{refused.total()} of its entries were refused ({kinds})")
        if remote.errors:
            gone = "it failed, and was not used any more" if remote.gone else "some operations failed"
            denied = any("Credentials" in error for error in remote.errors)
            hint = "; boto found no valid credentials, see `nbdag help sharing`" if denied else ""
            parts.append(f"{gone} ({'; '.join(remote.errors[:3])}){hint}")
        if parts:
            yield f"the shared cache: {'; '.join(parts)}"

    def _look_up(
        self,
        instruction: LookUp,
        results: Mapping[TaskName, Result],
        *,
        claimed: bool = False,
        looks: int = 0,
    ) -> None:
        """Look for a record; so many ``looks`` more, a little later each, if another build executed the task."""
        task, answer = instruction.task, LookedUp(task=instruction.task)
        try:
            answer = self._find_twice(instruction, results)
        except (RemoteError, OSError):
            pass  # the remote keeps count; without room for a blob the task will say so itself
        finally:
            path = self._shared.claim_of(instruction.keys.ingredients)
            if answer.records:
                if claimed:
                    self.release(task)
                self._post(answer)
            elif looks and self._claims is not None:
                self._claims.later(lambda: self._look_up_again(instruction, results, looks - 1))
            elif claimed or self._claims is None or path is None:
                self._post(answer)
            else:
                self._claims.claim(
                    task,
                    path,
                    proceed=lambda: self._post(answer),
                    ask_again=lambda may_come: self._look_up_again(
                        instruction, results, _LOOKS_AGAIN if may_come else 0
                    ),
                )

    def _look_up_again(self, instruction: LookUp, results: Mapping[TaskName, Result], looks: int) -> None:
        with suppress(RuntimeError):  # the build has ended
            self._threads.submit(self._look_up, instruction, results, claimed=True, looks=looks)

    def _find_twice(self, instruction: LookUp, results: Mapping[TaskName, Result]) -> LookedUp:
        """Look for a record, and once more if an operation fails: to execute the task costs more."""
        try:
            return self._find(instruction, results)
        except RemoteError:
            if self._shared.remote.gone:
                raise
            return self._find(instruction, results)

    def _find(self, instruction: LookUp, results: Mapping[TaskName, Result]) -> LookedUp:
        name, modules = instruction.task, dict[str, str]()
        task, graph = self._prepared.survey.graph.tasks[name], self._prepared.survey.graph

        def present(trace: Trace) -> Iterator[Ingredient]:
            _check_reads(trace)
            modules.update(self._digests(which for kind, which in trace if kind == "module"))
            return present_trace(name, trace, graph, modules, results)

        question = Question(
            known=instruction.keys.ingredients,
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
            return LookedUp(task=name, records=(record,), modules=modules)
        return LookedUp(task=name)

    def _keep_what_is_in_place(self, name: TaskName, record: Record) -> None:
        """Make blobs of outputs that are as they were recorded, so that they need not be fetched."""
        project, present = self._prepared.survey.project, self._prepared.facts[name].present
        for output in record.outputs:
            if present.get(output.path) == output.digest:  # type: ignore[call-overload]
                for file in output.files:
                    self._stores.blobs.put_file(project.absolute(file.path))

    def _digests(self, names: Iterable[str]) -> dict[str, str]:
        """Have the loop's thread look at modules, which must be files of this repository."""
        paths = tuple(names)
        if not paths:
            return {}
        project = self._prepared.survey.project
        inside = os.path.join(os.path.realpath(project.repository), "")
        for path in paths:
            real = os.path.realpath(os.path.join(project.root, path)) if "\0" not in path else ""
            if os.path.isabs(path) or not path.endswith(_MODULES) or not real.startswith(inside):
                raise RefusedError("a trace that leads out of the repository")
        asked = ModulesAsked(tuple(path for path in paths if _is_code(project.absolute(path))))
        self._asked.append(asked.reply)
        # who gives up after this finds it there, and who gave up before will answer nothing
        if self._shared.remote.gone:
            raise RemoteError(self._shared.remote.gone)
        self._post(asked)
        return asked.reply.result()


def _is_code(path: str) -> bool:
    """Return whether a module, or a folder of modules, exists."""
    return os.path.isdir(path) if path.endswith("/") else os.path.isfile(path)


def _check_reads(trace: Trace) -> None:
    """Refuse names of logged values that `upstream()` could not have spelt."""
    for kind, which in trace:
        if kind == "read":
            try:
                msgspec.json.decode(which, type=tuple[str, ReadKind, str | None])
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                raise RefusedError("a trace of nothing that can be read") from error


SIGNING_KEY = "NBDAG_CACHE_SIGNING_KEY"


def open_sharing(
    prepared: Prepared,
    request: Request,
    stores: Stores,
    *,
    jobs: int,
    post: Callable[[object], None],
    said: Callable[[str], None],
) -> Sharing | None:
    """Make what a build shares with others, ``None`` if that is nothing; raises `UsageError`.

    The remote itself is not touched yet.
    """
    settings = prepared.pipeline.cache
    reads = prepared.rules.look_up_records and prepared.rules.use_records
    writes = request.writes_cache and settings.writes_remote
    if settings.remote is None or not (reads or writes):
        return None
    from nbmake_dag.engine.publishing import secrets_to_find  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.shared_cache.claims import Claims  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.shared_cache.trust import trust_of  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.shared_cache.uploads import Uploads  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.remote import Remote, UnknownRemoteError, check_url  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.shared import SharedCache  # noqa: PLC0415 - likewise

    url = _url(settings.remote, prepared)
    try:
        check_url(url)
    except UnknownRemoteError as error:
        hint = "s3:// needs the extra `s3` of nbdag, or the package s3fs"
        raise UsageError(
            f"`[cache] remote` cannot be used: {error}", (("remote", settings.remote),), hint
        ) from error
    trust = trust_of(prepared.survey.variables, settings.trusted_branches)
    signer, verifier = _keys(prepared)
    refusal = trust.refusal
    if not refusal and verifier is not None and signer is None:
        refusal = f"{SIGNING_KEY} is not set, and a record without a signature would be refused"
    if writes and refusal:
        said(f"nothing is written to the shared cache: {refusal}")
    zones = replace(trust.zones, reads=trust.zones.reads if reads else ())
    shared = SharedCache(Remote(url), zones, max_size=settings.max_size, verifier=verifier, signer=signer)
    uploads, claims = None, None
    if writes and not refusal:
        secrets = secrets_to_find(prepared.project, prepared.pipeline, prepared.survey.variables)
        uploads = Uploads(shared, stores, prepared.project.state, secrets)
        if reads:
            claims = Claims(shared.remote, room=2 * jobs, waits=lambda task: post(ExecutedElsewhere(task)))
    return Sharing(prepared, stores, shared, uploads=uploads, claims=claims, post=post)


def readable(prepared: Prepared) -> tuple[str | None, tuple[str, ...]]:
    """Return the URL of the shared cache and the zones of it that this build reads; raises `UsageError`."""
    settings = prepared.pipeline.cache
    if settings.remote is None or not prepared.rules.look_up_records:
        return None, ()
    from nbmake_dag.engine.shared_cache.trust import trust_of  # noqa: PLC0415 - most builds share nothing

    zones = trust_of(prepared.survey.variables, settings.trusted_branches).zones
    return _url(settings.remote, prepared), zones.reads


def _url(remote: str, prepared: Prepared) -> str:
    return remote if "://" in remote else os.path.join(prepared.project.root, remote)


def new_keys() -> tuple[str, str]:
    """Make a public key and the private one that belongs to it."""
    signer, private_key = signing("signatures").Signer.new()
    return signer.public_key, private_key


def signing(module: str) -> ModuleType:
    """Import what signs: ``signatures`` of records, or ``dsse``; raises `UsageError` without what they need."""
    try:
        return import_module(f"nbmake_dag_cache.{module}")
    except ModuleNotFoundError as error:
        hint = "install nbdag with the extra `signatures`, or the package cryptography"
        raise UsageError("signatures need the package cryptography", (), hint) from error


def signer_of(public_keys: tuple[str, ...], environ: Mapping[str, str]) -> Signer | None:
    """Return what signs with the private key of an environment, if it has one; raises `UsageError`."""
    return _read_keys(public_keys, environ.get(SIGNING_KEY))[0]


def _keys(prepared: Prepared) -> tuple[Signer | None, Verifier | None]:
    """Read the private key from the environment and the public ones from the file."""
    return _read_keys(prepared.pipeline.cache.public_keys, prepared.survey.variables.get(SIGNING_KEY))


def _read_keys(public_keys: tuple[str, ...], private_key: str | None) -> tuple[Signer | None, Verifier | None]:
    if not public_keys and not private_key:
        return None, None
    signatures = signing("signatures")
    try:
        verifier = signatures.Verifier(public_keys) if public_keys else None
        signer = signatures.Signer(private_key) if private_key else None
    except ValueError as error:
        what = f"{SIGNING_KEY} or a key of `[cache] public_keys` is not an Ed25519 key in base64"
        raise UsageError(what, (), "`nbdag cache keygen` creates a pair") from error
    if signer and public_keys and signer.public_key not in public_keys:
        what = f"{SIGNING_KEY} belongs to none of `[cache] public_keys`"
        raise UsageError(what, (("its public key", signer.public_key),))
    return signer, verifier
