"""The clock and the threads of a simulation: one thing happens at a time, and waiting takes no time.

What the shared cache takes of the standard library (`threading`, `time`, futures) is here on greenlets, each of
which runs until it waits. The order of events follows from the seed alone.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, InvalidStateError
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from nbmake_dag.engine.shared_cache import claims, client, uploads
from nbmake_dag_cache import remote, shared

EPOCH_S = 4_000_000_000.0
"""When a simulation begins, in seconds since 1970: files that it really writes are old at any time in it."""
_LEAST_S = 0.001
"""No thread waits for less; else rounding could let one wait for nothing, for ever."""


class _Greenlet(greenlet):  # type: ignore[misc]
    """What runs until it waits: one action of a machine, its ``owner``, and then others."""

    __slots__ = ("action", "owner")


class Clock:
    """Runs greenlets in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._hub = getcurrent()
        self._ready: deque[greenlet] = deque()
        """Those that go on now, after all that is due."""
        self._due: list[tuple[float, int, greenlet, Signal | None]] = []
        """Those that go on later; with a signal, only if they still wait for it."""
        self._begins: greenlet | None = None
        """Who goes on now, for the first time."""
        self._idle: list[_Greenlet] = []
        """Those whose actions have ended: to begin one costs more than to go on."""
        self._count = itertools.count()
        self._killed: set[object] = set()
        """Machines of which nothing goes on."""
        self._unfinished: list[object] = []
        """What they would have done: kept, since a greenlet that nobody knows is told to end."""

    @property
    def owner(self) -> object:
        """Whoever started what runs now: a thread belongs to the machine that started it."""
        return getattr(getcurrent(), "owner", None)

    def spawn(self, action: Callable[[], object], owner: object = None, after: float = 0.0) -> None:
        started = self._idle.pop() if self._idle else _Greenlet(self._go_on, self._hub)
        started.action = action
        started.owner = owner if owner is not None else self.owner
        self.wake(started, after)

    def _go_on(self) -> None:
        """Do what is to be done, again and again."""
        me = cast("_Greenlet", getcurrent())
        while True:
            me.action()
            self._idle.append(me)
            self.park()

    def wake(self, waiting: greenlet, after: float = 0.0, signal: Signal | None = None) -> int:
        """Let a greenlet go on, unless it waits no longer for the ``signal``, then with the returned number."""
        number = next(self._count)
        if after:
            heapq.heappush(self._due, (self.now + after, number, waiting, signal))
        else:
            self._ready.append(waiting)
        return number

    def sleep(self, seconds: float) -> None:
        self.wake(getcurrent(), seconds)
        self.park()

    def park(self) -> None:
        """Let others go on until somebody wakes this greenlet."""
        after = self._next()
        if not after:  # it has not begun: here it would do so on top of this greenlet's stack
            self._begins, after = after, self._hub
        if after is not getcurrent():
            after.switch()

    def kill(self, owner: object) -> None:
        """Let nothing of a machine go on: not even what it does when it ends."""
        self._killed.add(owner)

    def run(self) -> None:
        """Go on until nothing waits for a time any more."""
        while True:
            after, self._begins = self._begins, None
            after = self._next() if after is None else after
            if after is None:
                return
            after.switch()

    def _next(self) -> greenlet | None:
        """Take who goes on next, and let its time come; ``None`` if there is nobody."""
        while True:
            if self._due and (self._due[0][0] <= self.now or not self._ready):
                at, number, after, signal = heapq.heappop(self._due)
                if signal is not None and not signal.leaves(after, number):
                    continue
                self.now = max(self.now, at)
            elif self._ready:
                after = self._ready.popleft()
            else:
                return None
            if self._killed and getattr(after, "owner", None) in self._killed:
                self._unfinished.append(after)
            else:
                return after

    @contextmanager
    def in_place(
        self,
        skew: Callable[[object], float],
        chance: random.Random,
        hangs: Callable[[], float] = lambda: 0.0,
    ) -> Iterator[None]:
        """Let the shared cache use this clock, its threads and this chance.

        ``skew`` is what a machine's clock is wrong by, ``hangs`` for how long an operation on the remote does not
        begin. Each machine has one process.
        """
        threading = SimpleNamespace(
            Thread=partial(Thread, self),
            Condition=partial(Condition, self),
            Event=Event,
        )
        time = SimpleNamespace(
            monotonic=lambda: self.now,
            time_ns=lambda: int((EPOCH_S + self.now + skew(self.owner)) * 1e9),
        )

        pool = partial(Pool, self)
        with ExitStack() as patches:
            for module, replaced in (
                (
                    remote,
                    {
                        "threading": SimpleNamespace(Lock=Lock, Thread=partial(Operation, self, hangs)),
                        "time": time,
                        "Future": partial(Future, self),
                    },
                ),
                (
                    claims,
                    {
                        "threading": threading,
                        "time": time,
                        "os": SimpleNamespace(urandom=chance.randbytes, getpid=lambda: 1),
                        "_host": lambda: getattr(self.owner, "name", ""),
                    },
                ),
                (
                    shared,
                    {
                        "ThreadPoolExecutor": pool,
                        "wait": self._wait_for,
                        "time": time,
                    },
                ),
                (client, {"ThreadPoolExecutor": pool}),
                (uploads, {"ThreadPoolExecutor": pool, "wait": self._wait_for}),
            ):
                for name, value in replaced.items():
                    patches.enter_context(patch.object(module, name, value))
            yield

    def _wait_for(self, futures: Iterable[Future], seconds: float = math.inf) -> None:
        """Wait for the ends of all, at most so long."""
        deadline = self.now + seconds
        for each in futures:
            each.settle(deadline - self.now if deadline < math.inf else None)


class Event:
    """A flag, for which nobody waits."""

    def __init__(self) -> None:
        self.is_set_now = False

    def set(self) -> None:
        self.is_set_now = True

    def is_set(self) -> bool:
        return self.is_set_now


class Signal:
    """What greenlets wait for."""

    __slots__ = ("_clock", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[greenlet, int] = {}
        """With the numbers of those who wait for so long only."""

    def wait(self, seconds: float | None = None) -> None:
        me, clock = getcurrent(), self._clock
        self._waiting[me] = clock.wake(me, max(seconds, _LEAST_S), self) if seconds is not None else -1
        clock.park()

    def leaves(self, one: greenlet, number: int) -> bool:
        """Let one wait no longer, if it still waits since it got this number."""
        if self._waiting.get(one) != number:
            return False
        del self._waiting[one]
        return True

    def notify(self) -> None:
        """Wake all."""
        waiting, self._waiting = self._waiting, {}
        for each in waiting:
            self._clock.wake(each)


class Condition(Signal):
    """A condition variable; nobody waits otherwise while holding its lock."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Thread(Signal):
    """A thread."""

    __slots__ = ("_action", "_is_over", "ident")

    def __init__(
        self, clock: Clock, *, target: Callable[..., None], args: tuple[Any, ...] = (), **_: object
    ) -> None:
        super().__init__(clock)
        self.ident: int | None = None
        self._action = partial(target, *args)
        self._is_over = False

    def start(self) -> None:
        self.ident = 1
        self._clock.spawn(self._run)

    def join(self, seconds: float | None = None) -> None:
        if not self._is_over:
            self.wait(seconds)

    def _run(self) -> None:
        try:
            self._action()
        finally:
            self._is_over = True
            self.notify()


class Operation:
    """The thread of an operation on the remote, for which whoever started it waits.

    So what they do is done by the same greenlet, which halves what a simulation costs, unless it hangs.
    """

    __slots__ = ("_action", "_clock", "_hangs")

    def __init__(
        self,
        clock: Clock,
        hangs: Callable[[], float],
        *,
        target: Callable[..., None],
        args: tuple[Any, ...],
        **_: object,
    ) -> None:
        self._clock = clock
        self._hangs = hangs
        self._action = partial(target, *args)

    def start(self) -> None:
        seconds = self._hangs()
        if seconds:
            self._clock.spawn(self._action, after=seconds)
        else:
            self._action()


class Future(Signal):
    """A value that comes later."""

    __slots__ = ("_is_begun", "_result", "_then")

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._result: tuple[Any, BaseException | None] | None = None
        self._then: list[Callable[[Future], None]] = []
        self._is_begun = False

    def set_result(self, value: Any) -> None:
        self._end(value, None)

    def set_exception(self, error: BaseException) -> None:
        self._end(None, error)

    def begin(self) -> bool:
        """Return whether this is still to be done; from now on it cannot be cancelled."""
        self._is_begun = self._result is None
        return self._is_begun

    def cancel(self) -> None:
        if not self._is_begun and self._result is None:
            self.set_exception(CancelledError())

    def cancelled(self) -> bool:
        return self._result is not None and isinstance(self._result[1], CancelledError)

    def done(self) -> bool:
        return self._result is not None

    def exception(self) -> BaseException | None:
        return self._result[1] if self._result is not None else None

    def add_done_callback(self, then: Callable[[Future], None]) -> None:
        self._then.append(then)

    def settle(self, seconds: float | None = None) -> None:
        """Wait for the end, at most so long."""
        if self._result is None:
            self.wait(seconds)

    def result(self, seconds: float | None = None) -> Any:
        self.settle(seconds)
        if self._result is None:
            raise TimeoutError
        value, error = self._result
        if error is not None:
            raise error
        return value

    def _end(self, value: Any, error: BaseException | None) -> None:
        if self._result is not None:
            raise InvalidStateError
        self._result = value, error
        self.notify()
        for then in self._then:
            then(self)


class Pool:
    """An executor with a bounded number of threads."""

    def __init__(self, clock: Clock, workers: int, **_: object) -> None:
        self._clock = clock
        self._free = workers
        self._queue: deque[tuple[Future, Callable[[], Any]]] = deque()

    def submit(self, action: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        future = Future(self._clock)
        self._queue.append((future, partial(action, *arguments, **options)))
        if self._free:
            self._free -= 1
            self._clock.spawn(self._work)
        return future

    def shutdown(self, **_: object) -> None:
        """Cancel what was not begun."""
        for future, _action in self._queue:
            future.cancel()

    def _work(self) -> None:
        while self._queue:
            future, action = self._queue.popleft()
            if not future.begin():
                continue
            try:
                future.set_result(action())
            except Exception as error:  # noqa: BLE001 - whoever waits judges it
                future.set_exception(error)
        self._free += 1
