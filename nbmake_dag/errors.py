"""Errors that a user can act on: what happened, the facts, and a hint."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

import msgspec


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong in one place of a user's file.

    ``place`` is ``pipeline.toml:12`` or another ``file:line``; empty where a complaint concerns the command line.
    ``code`` names the check of `nbdag doctor` that made it.
    """

    what: str
    place: str = ""
    hint: str = ""
    code: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.what}" if self.place else self.what
        return f"{head}\n  hint: {self.hint}" if self.hint else head


class NbdagError(Exception):
    """An error with an exit code, shown without a traceback.

    Positional arguments only, and all of them passed on, so that it survives pickling on its way through Ray.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, facts: tuple[tuple[str, str], ...] = (), hint: str = "") -> None:
        super().__init__(what, facts, hint)
        self.what = what
        self.facts = facts
        self.hint = hint

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [self.what, *(f"  {name:<{width}}  {fact}" for name, fact in self.facts)]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


def describe(error: Exception) -> str:
    """Return what a person can do something about: of an `OSError`, the reason and the path."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or type(error).__name__
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror


def is_short_of_something(error: OSError) -> bool:
    """Return whether the machine has too few processes, descriptors or memory: the same may succeed later."""
    return error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


@contextmanager
def naming(path: str) -> Generator[None]:
    """Have an `OSError` name the file: that of a write, as on a full disk, names none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


class UsageError(NbdagError):
    """The command line, or a file it names, asks for something impossible."""

    exit_code = 2


class UnknownRunError(UsageError):
    """No recorded run has the given name. Scripts recognise this error by its exit code."""

    exit_code = 5


class ConfigError(NbdagError):
    """The pipeline cannot be used; every complaint is listed."""

    exit_code = 2

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = complaints
        self.args = (complaints,)


class InfrastructureError(NbdagError):
    """The machine, Ray or the disk failed, not a task of the user."""

    exit_code = 3


class LockedError(NbdagError):
    """Another build is running in this repository, and `--no-wait` was given."""

    exit_code = 4


def shown(error: Exception) -> str:
    """Return the text of an error for a terminal: a complaint that is alone reads as any other error."""
    if isinstance(error, ConfigError) and len(error.complaints) == 1:
        (only,) = error.complaints
        return str(NbdagError(f"{only.place}: {only.what}" if only.place else only.what, (), only.hint))
    return describe(error)
