"""The request of a build, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from nbmake_dag.core.model import Value
    from nbmake_dag.core.trial import Trial


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The targets and options of `nbdag build`, as they were given."""

    targets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    overrides: Mapping[str, Value] = {}
    affected: str | None = None
    """The branch or commit since which tasks must have changed to be built; empty for the usual one."""
    checks: bool = False
    """Whether only the checks of what is selected are built, with what they need."""
    only: bool = False
    downstream: bool = False
    force: bool = False
    force_all: bool = False
    accept: bool = False
    keep_going: bool = False
    jobs: int | None = None
    executor: str = "auto"
    """``auto`` or the name of a registered one."""
    executor_options: Mapping[str, str] = {}
    cache: str = "read-write"
    """``off``, ``read``, ``write`` or ``read-write``."""
    offline: bool = False
    """Whether no server is asked for remote inputs."""
    recheck: bool = False
    """Whether all servers are."""
    strict_remote: bool = False
    """Whether a remote input that cannot be checked is missing, though there is a copy."""
    wait: bool = True
    """Whether to wait for another build in this repository."""
    trial: Trial | None = None
    """What is special about it if it is no build."""

    @property
    def asked_for(self) -> tuple[str, ...]:
        """What was asked for, in words of the command line; nothing for everything."""
        tags = (f"--tag={tag}" for tag in self.tags)
        excluded = (f"--exclude={pattern}" for pattern in self.exclude)
        affected = [f"--affected={self.affected}".rstrip("=")] if self.affected is not None else []
        checks = ["--checks"] if self.checks else []
        only = ["--only"] if self.only else []
        downstream = ["--downstream"] if self.downstream else []
        return (*self.targets, *tags, *excluded, *affected, *checks, *only, *downstream)

    @property
    def takes_hits(self) -> bool:
        """Whether an up-to-date pipeline is left alone."""
        looks = self.force or self.force_all or self.accept or self.recheck or self.affected is not None
        return self.reads_cache and not looks

    @property
    def reads_cache(self) -> bool:
        return self.cache in {"read", "read-write"}

    @property
    def writes_cache(self) -> bool:
        return self.cache in {"write", "read-write"}
