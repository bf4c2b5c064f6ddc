"""Which attempts Ray has: of each kind, besides those that run, as many as may begin soon; the others wait here.

Each that Ray has costs a thread and more, and is submitted again when nodes go or join.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Gate(Generic[T]):
    """Calls ``through`` with each that may go to Ray, in the order in which those of its kind came.

    At most ``width()`` of a kind are between that and their begin.
    """

    def __init__(self, width: Callable[[], int], through: Callable[[T], object]) -> None:
        self._width = width
        self._through = through
        self._waiting: dict[Hashable, deque[T]] = {}
        self._inside: dict[T, Hashable] = {}
        self._counts: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    @property
    def inside(self) -> list[T]:
        """Those that went through, and have not begun."""
        with self._lock:
            return list(self._inside)

    def enter(self, each: T, kind: Hashable) -> None:
        with self._lock:
            self._waiting.setdefault(kind, deque()).append(each)
            self._let_through(kind)

    def note_begun(self, each: T) -> None:
        """Let another one through: this one has begun, or is over."""
        with self._lock:
            if each in self._inside:
                kind = self._inside.pop(each)
                self._counts[kind] -= 1
                self._let_through(kind)

    def take_back(self, each: T) -> bool:
        """Remove one that still waits; ``False`` if it went through."""
        with self._lock:
            for queue in self._waiting.values():
                if each in queue:
                    queue.remove(each)
                    return True
        return False

    def look_again(self) -> None:
        """Let through what may go now: the width has changed."""
        with self._lock:
            for kind in self._waiting:
                self._let_through(kind)

    def _let_through(self, kind: Hashable) -> None:
        queue = self._waiting[kind]
        while queue and self._counts[kind] < self._width():
            each = queue.popleft()
            self._counts[kind] += 1
            self._inside[each] = kind
            self._through(each)
