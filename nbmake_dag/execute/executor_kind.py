"""A kind of executor as a build sees it: how it is started, the tasks it takes, and the options it adds.

Imports nothing that executes: the command line reads the registered kinds for its help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from nbmake_dag.core.model import Pipeline, Task
    from nbmake_dag.observe.project import Project


class ExecutorOption(msgspec.Struct, frozen=True, kw_only=True):
    """An option of the command line that belongs to one executor; ``name`` without dashes."""

    name: str
    metavar: str
    help: str


class BuildContext(msgspec.Struct, frozen=True, kw_only=True):
    """The build that an executor is configured for. ``options`` holds those that were given."""

    project: Project
    pipeline: Pipeline
    variables: Mapping[str, str]
    options: Mapping[str, str]
    jobs: int
    """Processors that may be occupied at once."""
    shared_cache: Callable[[], tuple[str | None, tuple[str, ...]]]
    """Returns the URL of the shared cache and the zones of it that may be read; raises `UsageError`."""


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """One executor as a build uses it: a process that runs ``module`` with ``arguments``.

    The process gets its socket to the driver as descriptor 3, and the build's runtime folder as working directory.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    title: str | None = None
    """What messages call it; by default the executor of that name."""
    at_once: int | None = None
    """How many attempts it runs at a time; ``None``: as many as there are processors for."""
    takes_ahead: bool = False
    """Whether short attempts may wait in it behind others, so that it need not wait for them."""
    assigns_gpus: bool = False
    """Whether it gives each attempt GPUs of its own."""
    start_s: float = 0.0
    """What starting it costs, in seconds. Where that is nothing, it is started by its first attempt."""
    replaceable: bool = False
    """Whether another one is started after it was lost."""
    travels: bool = False
    """Whether attempts may run on other machines. It decides itself how many have room."""
    gives_back: Callable[[str], tuple[str, ...]] | None = None
    """Returns the command that gives back what it took elsewhere, for a runtime folder.

    It is run when all of the executor has ended, whatever ended it.
    """

    def suits(self, task: Task) -> bool:
        return self.assigns_gpus or not task.policy.resources.gpus


class ExecutorKind(msgspec.Struct, frozen=True, kw_only=True):
    """A registered executor. Its ``name`` is what ``--executor`` takes."""

    name: str
    summary: str
    """How tasks run with it, for the help of ``--executor``."""
    configure: Callable[[BuildContext], Backend | None]
    """Returns ``None`` where what it needs is not installed, and nothing but its name asks for it."""
    package: str = ""
    """What is to be installed then."""
    options: tuple[ExecutorOption, ...] = ()
    has_more: str = ""
    """Hint for a task that needs more than this machine has."""
    defect: Callable[[], str] = str
    """Says what keeps it from being used on this machine, or nothing; for ``nbdag doctor``."""
