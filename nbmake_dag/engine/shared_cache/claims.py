"""Claims: a build tells the others of its zone which tasks it executes, so that they wait for the results.

A burst of jobs that miss the same record would else execute it once each. A claim is a file that only one of them
can create. It is rewritten every `HEARTBEAT_S` while its task executes, and removed when the result is cached. Who
finds one waits, without a slot, until it is gone, two heartbeats were missed, its build is dead (on the same
machine this shows), or `PATIENCE_S` are over. Then one of those who wait replaces the claim and executes the task,
and the others wait for that one. If two builds fail, or after `MOST_S`, all others may try at once.

A claim is advice, and nothing is believed because of it. Where a remote cannot create a file exclusively, or was
given up, there are no claims; who may not write claims nothing. A single operation that fails is tried again.

All access to the remote is in one thread of this module's own; the answers come by callbacks, from that thread.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Literal

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.remote import Remote, RemoteError, WriteRefusedError
from nbmake_dag_cache.shared import MAX_CLAIM

HEARTBEAT_S = 30.0
STALE_S = 2.5 * HEARTBEAT_S
"""Seconds without a change after which a claim counts as left by a build that died: two heartbeats were missed."""
PATIENCE_S = 600.0
"""Seconds that a task waits for one build that lives."""
MOST_S = 3600.0
"""Seconds that a task waits for others at most."""
POLL_S = 3.0
_OTHERS = 2
"""Builds that a task waits for: the second one may execute it since it could not use what the first one sent. One
that replaced the claim of another, which died or takes too long, says nothing about that, and does not count."""
_FRESH_S = 1.0
"""Seconds for which the answer that there is no record is still trusted after a claim was created."""
_END_S = 5.0
"""Seconds that the end of a build gives the removal of its claims."""


class _Waiting(msgspec.Struct):
    """A task without a record, until it may be executed, or somebody else's result is there."""

    task: TaskName
    path: str
    proceed: Callable[[], None]
    ask_again: Callable[[bool], None]
    asked: float
    other: str | None = None
    """The build whose claim it waits for."""
    waits: int = 0
    """For how many builds it has waited before."""
    first: float = 0.0
    """When a claim was first seen."""
    since: float = 0.0
    """When that one was."""
    content: bytes = b""
    changed: float = 0.0
    """When the content of that claim was last seen to change."""
    due: float = 0.0
    is_taken: bool = False
    """Whether this build replaced that claim; it holds it if it is its own when it is next looked at."""


class _Claim(msgspec.Struct, frozen=True):
    """The content of a claim."""

    build: str
    beat: int
    host: str
    """What tells one set of processes from another, as a digest; see `_host`."""
    pid: int
    replaces: bool = False
    """Whether it was written in the place of another one."""
    format: Literal[1] = 1


class _Held(msgspec.Struct):
    path: str
    written: float
    replaces: bool
    beats: int = 0
    is_replaced: bool = False
    """Whether another build executes the task too, or has done so: this claim beats no more."""


class Claims:
    """The claims of one build; ``room`` is how many it holds at once, so that others get to claim the rest."""

    def __init__(self, remote: Remote, *, room: int, waits: Callable[[TaskName], None]) -> None:
        self._remote = remote
        self._name = os.urandom(12).hex()
        self._room = room
        self._waits = waits
        self._changed = threading.Condition()
        self._waiting: dict[TaskName, _Waiting] = {}
        self._held: dict[TaskName, _Held] = {}
        self._done: list[TaskName] = []
        self._dropped: set[TaskName] = set()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._closed = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared-claims", daemon=True)

    def claim(
        self, task: TaskName, path: str, *, proceed: Callable[[], None], ask_again: Callable[[bool], None]
    ) -> None:
        """Call ``proceed`` when the task may be executed here, ``ask_again`` when there may be a record meanwhile.

        The latter is told whether another build has just ended with the task, so that its record may show late.
        Either is called with the claim held, unless the remote has none; returns at once. Neither is called for a
        task that was dropped.
        """
        with self._changed:
            if task in self._dropped:
                return
            if not (self._ending.is_set() or self._closed):
                self._waiting[task] = _Waiting(task, path, proceed, ask_again, time.monotonic())
                self._wake()
                return
        proceed()

    def release(self, task: TaskName) -> None:
        """Give up a claim, if there is one: its result is in the cache, or there will be none. Returns at once."""
        with self._changed:
            self._done.append(task)
            self._changed.notify()

    def drop(self, task: TaskName) -> None:
        """Claim a task no more, nor wait for it: it will not be executed here. Returns at once."""
        with self._changed:
            self._dropped.add(task)
        self.release(task)

    def close(self) -> None:
        """Let all who wait proceed, and whoever asks from now on; what is held stays held. Returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def later(self, action: Callable[[], None]) -> None:
        """Do something a little later, or when the build ends: what another build sent may not show at once."""
        with self._changed:
            if not self._ending.is_set():
                self._later.append((time.monotonic() + POLL_S, action))
                self._wake()
                return
        action()

    def end(self, within: float = _END_S) -> None:
        """Let all who wait proceed, and remove what is held, in so many seconds at most."""
        with self._changed:
            self._ending.set()
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(within)

    def _wake(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        """Go on until the end, or until the remote has no claims; whatever happens, nobody waits for ever."""
        try:
            with suppress(RemoteError, RefusedError, _NoClaims):
                self._claim()
        finally:
            with self._changed:
                self._ending.set()
                waiting = list(self._waiting.values())
                self._waiting.clear()
            for each in waiting:
                each.proceed()
            for _, action in self._later:
                action()
        with suppress(RemoteError, RefusedError):
            held = [each.path for each in self._held.values() if not each.is_replaced]
            for path in (*held, *(each.path for each in waiting if each.is_taken)):
                self._remote.remove(path)

    def _claim(self) -> None:
        while not self._ending.is_set():
            self._remove_done()
            self._beat()
            for each in self._due():
                self._try(each)
                self._beat()
            self._do_later()
            with self._changed:
                if not self._is_disturbed:
                    self._changed.wait(self._pause())

    @property
    def _is_disturbed(self) -> bool:
        """Whether there is something to do before the next claim."""
        return self._ending.is_set() or bool(self._done) or (self._closed and bool(self._waiting))

    def _pause(self) -> float:
        now = time.monotonic()
        dues = [each.due for each in self._waiting.values() if self._has_room_for(each)]
        beats = [held.written + HEARTBEAT_S for held in self._held.values() if not held.is_replaced]
        dues += [at for at, _ in self._later]
        return max(0.0, min([*dues, *beats], default=now + HEARTBEAT_S) - now)

    def _has_room_for(self, each: _Waiting) -> bool:
        """Return whether its turn has come; the result of another build needs no room."""
        return each.other is not None or len(self._held) < self._room

    def _due(self) -> Iterator[_Waiting]:
        with self._changed:
            waiting = list(self._waiting.values())
        for each in waiting:
            if self._is_disturbed:
                return
            if each.due <= time.monotonic() and self._has_room_for(each):
                yield each

    def _try(self, each: _Waiting) -> None:
        """Create a claim or look at the one that is there; where an operation fails, do so later again."""
        each.due = time.monotonic() + POLL_S
        try:
            # to look costs less than to try to create
            content = self._read(each.path) if each.other is not None else b""
            if not content:
                created = self._remote.create(each.path, self._content(0))
                if created is None:
                    raise _NoClaims
                if created:
                    each.is_taken = False
                    self._hold(each, may_come=each.other is not None)
                    return
                content = self._read(each.path)
            self._look_at_other(each, content)
        except WriteRefusedError:
            self._take(each)
            each.proceed()
        except RemoteError:
            if self._remote.gone:
                raise
            if time.monotonic() - each.asked > PATIENCE_S:
                self._take(each)
                each.proceed()

    def _look_at_other(self, each: _Waiting, content: bytes) -> None:
        now = time.monotonic()
        claim = _decoded(content)
        build = claim.build if claim else ""
        if each.is_taken and build == self._name:
            self._hold(each, may_come=False)
            return
        if claim and claim.host == _host() and _has_ended(claim.pid):
            each.other = build
            self._take_over(each)
            return
        if each.other is None:
            each.first = each.since = now
            self._waits(each.task)
        if not each.other:
            each.other = build
        elif claim and build != each.other:
            each.other, each.since = build, now
            each.waits += not claim.replaces
        if content != each.content:
            each.content, each.changed = content, now
        if each.waits == _OTHERS or now - each.first > MOST_S:
            self._take(each)
            each.ask_again(True)
        elif now - each.changed > STALE_S or now - each.since > PATIENCE_S:
            self._take_over(each)
        else:
            # the longer it takes, the less a little more matters
            each.due = now + min(max(POLL_S, (now - each.since) / 10), HEARTBEAT_S / 2)

    def _do_later(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [action for at, action in self._later if at <= now]
            self._later = [(at, action) for at, action in self._later if at > now]
        for action in due:
            action()

    def _take_over(self, each: _Waiting) -> None:
        """Replace a claim that is stale or takes too long; of several that do so at once, the last one has it."""
        self._remote.write(each.path, self._content(0, replaces=True))
        each.is_taken = True
        each.due = time.monotonic() + POLL_S

    def _hold(self, each: _Waiting, *, may_come: bool) -> None:
        now = time.monotonic()
        self._take(each)
        self._held[each.task] = _Held(each.path, now, each.is_taken)
        if each.other is None and now - each.asked < _FRESH_S:
            each.proceed()
        else:
            each.ask_again(may_come)

    def _take(self, each: _Waiting) -> None:
        with self._changed:
            del self._waiting[each.task]

    def _beat(self) -> None:
        for held in self._held.values():
            if not held.is_replaced and time.monotonic() - held.written >= HEARTBEAT_S:
                held.beats += 1
                try:
                    content = self._read(held.path)
                    claim = _decoded(content)
                    if not content or (claim and claim.build != self._name):
                        held.is_replaced = True
                        continue
                    self._remote.write(held.path, self._content(held.beats, replaces=held.replaces))
                    held.written = time.monotonic()
                except RemoteError:
                    if self._remote.gone:
                        raise
                    held.written += POLL_S

    def _remove_done(self) -> None:
        with self._changed:
            done, self._done = self._done, []
            dropped = [self._waiting.pop(task) for task in done if task in self._waiting]
            freed = list(self._waiting.values()) if self._closed else []
            for each in freed:
                del self._waiting[each.task]
        for each in (*dropped, *freed):
            if each.is_taken:
                self._held[each.task] = _Held(each.path, time.monotonic(), replaces=True)
        for each in freed:
            done.append(each.task)
            each.proceed()
        for task in [task for task in done if task in self._held]:
            try:
                # one that was replaced is another build's
                if not self._held[task].is_replaced:
                    with suppress(WriteRefusedError):  # the others see that it does not beat any more
                        self._remote.remove(self._held[task].path)
            except RemoteError:
                if self._remote.gone:
                    raise
                self.release(task)
            else:
                del self._held[task]

    def _read(self, path: str) -> bytes:
        with suppress(RefusedError):
            return self._remote.read(path, MAX_CLAIM) or b""
        return b""

    def _content(self, beat: int, *, replaces: bool = False) -> bytes:
        claim = _Claim(build=self._name, beat=beat, host=_host(), pid=os.getpid(), replaces=replaces)
        return msgspec.json.encode(claim)


class _NoClaims(Exception):  # noqa: N818 - it is no error
    """The remote cannot create a file exclusively."""


def _decoded(content: bytes) -> _Claim | None:
    """Return a claim; ``None`` for one that is damaged, or is being written."""
    try:
        return msgspec.json.decode(content, type=_Claim)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _has_ended(pid: int) -> bool:
    """Return whether a process of this machine has; one that its parent did not wait for still has its number."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in b"ZX"
    except FileNotFoundError:
        return True
    except OSError:
        return False


@cache
def _host() -> str:
    """Name the machine since it was started, and the container: where a process identifier means the same."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return os.urandom(16).hex()
    return digest_text(f"{socket.gethostname()} {boot} {namespace}")
