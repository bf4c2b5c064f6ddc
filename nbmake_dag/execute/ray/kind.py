"""The Ray executor as a build configures it: a Ray of its own on this machine, or a cluster to join."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec

from nbmake_dag.errors import UsageError
from nbmake_dag.execute.executor_kind import Backend, BuildContext, ExecutorKind, ExecutorOption

NAME = "ray"
_ADDRESS = "ray-address"
_START_S = 6.0
"""What starting Ray costs, in time and in the processor time that it takes from tasks."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster to join, and what its nodes must know of the project."""

    address: str
    runtime_env: dict[str, Any]
    root: str
    blobs: str
    packages: tuple[str, ...] = ()
    """Those that must have the same version on every node."""
    max_size: int
    """Bytes that a node may keep of blobs that it was sent."""
    remote: str | None = None
    """The URL of a shared cache, where nodes look blobs up first."""
    zones: tuple[str, ...] = ()
    """Those of the shared cache that may be read."""


def _configure(context: BuildContext) -> Backend | None:
    settings = context.pipeline.ray
    address = context.options.get(_ADDRESS) or settings.address or context.variables.get("RAY_ADDRESS")
    if not _is_installed():
        if address:
            raise UsageError(f"Ray is not installed, and the cluster at {address} needs it", (), "pip install ray")
        return None
    if not address:
        return _backend("a local Ray", "--cpus", str(context.jobs))
    remote, zones = context.shared_cache()
    cluster = Cluster(
        address=address,
        runtime_env=dict(settings.runtime_env),
        root=context.project.root,
        blobs=context.project.cache,
        packages=context.pipeline.software.packages,
        max_size=context.pipeline.cache.max_size,
        remote=remote,
        zones=zones,
    )
    encoded = msgspec.json.encode(cluster).decode()
    return _backend(f"the Ray cluster at {address}", "--cluster", encoded, travels=True)


def _backend(place: str, *arguments: str, travels: bool = False) -> Backend:
    return Backend(
        name=NAME,
        module="nbmake_dag.execute.ray.host",
        arguments=arguments,
        title=f"the executor on {place}",
        assigns_gpus=True,
        start_s=_START_S,
        travels=travels,
    )


def _is_installed() -> bool:
    """Return whether Ray is there: for some platforms and for the newest Python it has no wheels."""
    return find_spec("ray") is not None


def _defect() -> str:
    if not _is_installed():
        return ""
    try:
        import_module("ray")
    except Exception as error:  # noqa: BLE001 - whatever an incompatible installation raises
        return f"Ray cannot be imported: {type(error).__name__}: {error}"
    return ""


KIND = ExecutorKind(
    name=NAME,
    summary="in parallel with Ray",
    configure=_configure,
    package="ray",
    options=(ExecutorOption(name=_ADDRESS, metavar="A", help="Run on the Ray cluster at this address."),),
    has_more=f"build on a Ray cluster that has it: `--{_ADDRESS}`",
    defect=_defect,
)
