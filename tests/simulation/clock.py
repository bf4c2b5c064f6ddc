"""The clock and the threads of a simulation: one thing happens at a time, and waiting takes no time.

What the shared cache takes of the standard library (`threading`, `time`, futures) is here on greenlets, each of
which runs until it waits. The order of events follows from the seed alone.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import InvalidStateError
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from nbmake_dag.engine.shared_cache import claims
from nbmake_dag_cache import remote, shared

EPOCH_S = 1_800_000_000.0
"""When a simulation begins, in seconds since 1970."""
_LEAST_S = 0.001
"""No thread waits for less; else rounding could let one wait for nothing, for ever."""


class _Greenlet(greenlet):  # type: ignore[misc]
    """What runs until it waits; ``owner`` is the machine that started it."""

    owner: object = None


class Clock:
    """Runs greenlets in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._hub = getcurrent()
        self._due: list[tuple[float, int, object, Callable[[], object]]] = []
        self._count = itertools.count()
        self._killed: list[object] = []
        """Machines of which nothing goes on."""
        self._unfinished: list[object] = []
        """What they would have done: kept, since a greenlet that nobody knows is told to end."""

    @property
    def owner(self) -> object:
        """Whoever started what runs now: a thread belongs to the machine that started it."""
        return getattr(getcurrent(), "owner", None)

    def spawn(self, action: Callable[[], object], owner: object = None, after: float = 0.0) -> None:
        started = _Greenlet(action, parent=self._hub)
        started.owner = owner if owner is not None else self.owner
        self.call(started.switch, after, started.owner)

    def call(self, action: Callable[[], object], after: float = 0.0, owner: object = None) -> None:
        """Do what does not wait, for a machine."""
        heapq.heappush(self._due, (self.now + after, next(self._count), owner, action))

    def wake(self, waiting: greenlet, after: float = 0.0) -> None:
        self.call(waiting.switch, after, getattr(waiting, "owner", None))

    def sleep(self, seconds: float) -> None:
        self.wake(getcurrent(), seconds)
        self.park()

    def park(self) -> None:
        """Let others go on until somebody wakes this greenlet."""
        self._hub.switch()

    def kill(self, owner: object) -> None:
        """Let nothing of a machine go on: not even what it does when it ends."""
        self._killed.append(owner)

    def run(self) -> None:
        """Go on until nothing waits for a time any more."""
        while self._due:
            at, _, owner, action = heapq.heappop(self._due)
            if any(owner is killed for killed in self._killed):
                self._unfinished.append(action)
            else:
                self.now = max(self.now, at)
                action()

    @contextmanager
    def in_place(self, skew: Callable[[object], float]) -> Iterator[None]:
        """Let the shared cache use this clock and its threads; ``skew`` is what a machine's clock is wrong by."""
        threading = SimpleNamespace(
            Lock=_Lock,
            Thread=lambda *_, **options: Thread(self, **options),
            Condition=lambda: Condition(self),
            Event=Event,
        )
        time = SimpleNamespace(
            monotonic=lambda: self.now,
            time_ns=lambda: int((EPOCH_S + self.now + skew(self.owner)) * 1e9),
        )
        with ExitStack() as patches:
            for module, replaced in (
                (remote, {"threading": threading, "time": time, "Future": lambda: Future(self)}),
                (claims, {"threading": threading, "time": time}),
                (
                    shared,
                    {
                        "ThreadPoolExecutor": lambda workers, **_: Pool(self, workers),
                        "wait": lambda futures: [each.settle() for each in futures],
                        "Lock": _Lock,
                        "time": time,
                    },
                ),
            ):
                for name, value in replaced.items():
                    patches.enter_context(patch.object(module, name, value))
            yield


class _Lock:
    """Nobody waits while holding one."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


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

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[greenlet] = []

    def wait(self, seconds: float | None = None) -> None:
        me = getcurrent()
        self._waiting.append(me)
        if seconds is not None:
            self._clock.call(lambda: self._wake(me), max(seconds, _LEAST_S))
        self._clock.park()

    def wake_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._clock.wake(each)

    def _wake(self, one: greenlet) -> None:
        if one in self._waiting:
            self._waiting.remove(one)
            self._clock.wake(one)


class Condition(_Lock):
    """A condition variable; a notification wakes all."""

    def __init__(self, clock: Clock) -> None:
        self._signal = Signal(clock)

    def wait(self, seconds: float | None = None) -> None:
        self._signal.wait(seconds)

    def notify(self) -> None:
        self._signal.wake_all()


class Thread:
    """A thread."""

    def __init__(self, clock: Clock, target: Callable[..., None], args: tuple[Any, ...] = (), **_: object) -> None:
        self.ident: int | None = None
        self._clock = clock
        self._action = lambda: target(*args)
        self._ended = Future(clock)

    def start(self) -> None:
        self.ident = 1
        self._clock.spawn(self._run)

    def join(self, seconds: float | None = None) -> None:
        self._ended.settle(seconds)

    def _run(self) -> None:
        try:
            self._action()
        finally:
            self._ended.set_result(None)


class Future:
    """A value that comes later."""

    def __init__(self, clock: Clock) -> None:
        self._signal = Signal(clock)
        self._result: tuple[Any, BaseException | None] | None = None

    def set_result(self, value: Any) -> None:
        self._end(value, None)

    def set_exception(self, error: BaseException) -> None:
        self._end(None, error)

    def cancel(self) -> bool:
        return False

    def settle(self, seconds: float | None = None) -> None:
        """Wait for the end, at most so long."""
        if self._result is None:
            self._signal.wait(seconds)

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
        self._signal.wake_all()


class Pool:
    """An executor with a bounded number of threads."""

    def __init__(self, clock: Clock, workers: int) -> None:
        self._clock = clock
        self._free = workers
        self._queue: deque[tuple[Future, Callable[[], Any]]] = deque()

    def submit(self, action: Callable[..., Any], *arguments: Any) -> Future:
        future = Future(self._clock)
        self._queue.append((future, lambda: action(*arguments)))
        if self._free:
            self._free -= 1
            self._clock.spawn(self._work)
        return future

    def shutdown(self, **_: object) -> None:
        self._queue.clear()

    def _work(self) -> None:
        while self._queue:
            future, action = self._queue.popleft()
            try:
                future.set_result(action())
            except Exception as error:  # noqa: BLE001 - whoever waits judges it
                future.set_exception(error)
        self._free += 1
