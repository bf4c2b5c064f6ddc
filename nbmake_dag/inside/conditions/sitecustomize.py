"""Change the conditions of a Python process as its variables ``NBDAG_VARY_*`` say: `nbdag replay --vary`.

Python imports it before all else where its folder is on ``PYTHONPATH``. It changes the clock, the order in which
folders are listed, the number of processors and threads, and the name of the machine.
"""

# mypy: ignore-errors
# pyright: basic, reportAttributeAccessIssue=false
# what it replaces has types that nothing may be assigned to

from __future__ import annotations

import os
import sys
from contextlib import suppress

_PATIENCE = 100_000
"""Calls after which a clock that stands still goes on: somebody waits for it."""


def _list_in_order(*, reverse: bool) -> None:
    listdir, scandir = os.listdir, os.scandir

    class Entries:
        def __init__(self, path):
            with scandir(path) as found:
                self._entries = iter(sorted(found, key=lambda entry: entry.name, reverse=reverse))

        def __iter__(self):
            return self

        def __next__(self):
            return next(self._entries)

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            self.close()

        def close(self):
            self._entries = iter(())

    os.listdir = lambda path=".": sorted(listdir(path), reverse=reverse)
    os.scandir = lambda path=".": Entries(path)


def _stop_clock(instant: float) -> None:
    import datetime
    import time

    calls = [0]

    def now() -> float:
        calls[0] += 1
        return instant + max(0, calls[0] - _PATIENCE) * 0.001

    localtime, gmtime, ctime, asctime, strftime = (
        time.localtime,
        time.gmtime,
        time.ctime,
        time.asctime,
        time.strftime,
    )
    time.time = now
    time.time_ns = lambda: int(now() * 1e9)
    time.localtime = lambda seconds=None: localtime(now() if seconds is None else seconds)
    time.gmtime = lambda seconds=None: gmtime(now() if seconds is None else seconds)
    time.ctime = lambda seconds=None: ctime(now() if seconds is None else seconds)
    time.asctime = lambda moment=None: asctime(localtime(now()) if moment is None else moment)
    time.strftime = lambda form, moment=None: strftime(form, localtime(now()) if moment is None else moment)
    real_datetime, real_date = datetime.datetime, datetime.date

    class OfDatetime(type):
        def __instancecheck__(cls, instance):
            return isinstance(instance, real_datetime)

        def __subclasscheck__(cls, other):
            return issubclass(other, real_datetime)

    class OfDate(type):
        def __instancecheck__(cls, instance):
            return isinstance(instance, real_date)

        def __subclasscheck__(cls, other):
            return issubclass(other, real_date)

    class StoppedDatetime(real_datetime, metaclass=OfDatetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(now(), tz)

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(now(), datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return cls.fromtimestamp(now())

    class StoppedDate(real_date, metaclass=OfDate):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(now())

    for stopped, name in ((StoppedDatetime, "datetime"), (StoppedDate, "date")):
        stopped.__module__, stopped.__name__, stopped.__qualname__ = "datetime", name, name
        setattr(datetime, name, stopped)


def _use_processors(count: int) -> None:
    from concurrent.futures import thread

    os.cpu_count = lambda: count
    if hasattr(os, "process_cpu_count"):
        os.process_cpu_count = lambda: count
    if hasattr(os, "sched_getaffinity"):
        os.sched_getaffinity = lambda _pid: set(range(count))
    begin = thread.ThreadPoolExecutor.__init__

    def limited(self, max_workers=None, *arguments, **named):
        begin(self, min(count, max_workers or count), *arguments, **named)

    thread.ThreadPoolExecutor.__init__ = limited


def _call_machine(name: str) -> None:
    import socket

    uname = os.uname

    def renamed():
        found = uname()
        return os.uname_result((found.sysname, name, found.release, found.version, found.machine))

    os.uname = renamed
    socket.gethostname = lambda: name
    socket.getfqdn = lambda _name="": name


def _go_on() -> None:
    """Import the module of this name that this one hides."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != folder]
    sys.modules.pop("sitecustomize", None)
    with suppress(ModuleNotFoundError):
        import sitecustomize  # noqa: F401


if order := os.environ.get("NBDAG_VARY_ORDER"):
    _list_in_order(reverse=order == "reversed")
if processors := os.environ.get("NBDAG_VARY_THREADS"):
    _use_processors(int(processors))
if machine := os.environ.get("NBDAG_VARY_MACHINE"):
    _call_machine(machine)
if moment := os.environ.get("NBDAG_VARY_TIME"):
    _stop_clock(float(moment))
_go_on()
