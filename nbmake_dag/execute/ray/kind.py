"""The Ray executor as a build configures it: a Ray of its own on this machine, or a cluster to join."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from nbmake_dag.errors import Complaint, ConfigError, UsageError
from nbmake_dag.execute.executor_kind import Backend, BuildContext, ExecutorKind, ExecutorOption

if TYPE_CHECKING:
    from nbmake_dag.core.model import SlurmSettings

NAME = "ray"
_ADDRESS = "ray-address"
SLURM = "slurm"
"""The address of a cluster that is yet to be allocated."""
_CLUSTERS = ("SBATCH_CLUSTERS", "SLURM_CLUSTERS")
_COMMANDS = ("sbatch", "squeue", "scancel", "sinfo")
_START_S = 6.0
"""What starting Ray costs, in time and in the processor time that it takes from tasks."""


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask SLURM for."""

    nodes: int
    options: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    """Variables that the job does not get: SLURM keeps those of a job, and each attempt brings its own."""


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
    allocation: Allocation | None = None
    """What SLURM is to be asked for first, where there is no cluster yet."""


def _configure(context: BuildContext) -> Backend | None:
    settings = context.pipeline.ray
    address = context.options.get(_ADDRESS) or settings.address or context.variables.get("RAY_ADDRESS")
    if not _is_installed():
        if address:
            raise UsageError(f"Ray is not installed, and the cluster at {address} needs it", (), "pip install ray")
        return None
    if not address:
        return _backend("a local Ray", "--cpus", str(context.jobs))
    allocation = None
    if address == SLURM:
        _need_slurm(
            context.variables,
            "" if context.options.get(_ADDRESS) or not settings.address else settings.address_place,
        )
        allocation = allocation_of(settings.slurm, sorted(context.pipeline.secrets))
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
        allocation=allocation,
    )
    encoded = msgspec.json.encode(cluster).decode()
    place = "SLURM" if allocation else f"the Ray cluster at {address}"
    return _backend(place, "--cluster", encoded, travels=True, gives_back=_cancel_job if allocation else None)


def _need_slurm(variables: Mapping[str, str], place: str) -> None:
    """Raise `ConfigError` where SLURM's commands are not installed, or mean another SLURM.

    ``place`` is the line that asks for them.
    """
    folders = variables.get("PATH", os.defpath).split(os.pathsep)
    if elsewhere := next((name for name in _CLUSTERS if name in variables), None):
        what = f"`{elsewhere}` is set, so that jobs may go to another cluster of SLURM than is asked about them"
        hint = f"unset `{elsewhere}`, and build where the jobs of that cluster are submitted"
        raise ConfigError((Complaint(what=what, place=place, hint=hint),))
    missing = [
        name for name in _COMMANDS if not any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)
    ]
    if missing:
        what = f"`{missing[0]}` is not on the PATH, and the address `{SLURM}` needs it"
        hint = "build where jobs are submitted, or give the address of a Ray cluster"
        raise ConfigError((Complaint(what=what, place=place, hint=hint),))


def allocation_of(settings: SlurmSettings, withheld: Iterable[str]) -> Allocation:
    """Return what to ask for, for tasks with secrets that are ``withheld`` from the job."""
    wanted = {name: getattr(settings, name) for name in ("partition", "account", "gres", "constraint")}
    options = [*settings.options, *(f"--{name}={value}" for name, value in wanted.items() if value)]
    if settings.time is not None:
        minutes, seconds = divmod(max(1, round(settings.time)), 60)
        options.append(f"--time={minutes}:{seconds:02}")
    return Allocation(nodes=settings.nodes, options=tuple(options), withheld=tuple(withheld))


def job_name(runtime: str) -> str:
    """Name the job of the build with a runtime folder, as that of no other build on any machine."""
    return f"nbdag-{socket.gethostname()}-{os.path.basename(runtime)}"


def _cancel_job(runtime: str) -> tuple[str, ...]:
    return ("scancel", f"--name={job_name(runtime)}")


def _backend(
    place: str,
    *arguments: str,
    travels: bool = False,
    gives_back: Callable[[str], tuple[str, ...]] | None = None,
) -> Backend:
    return Backend(
        name=NAME,
        module="nbmake_dag.execute.ray.host",
        arguments=arguments,
        title=f"the executor on {place}",
        assigns_gpus=True,
        start_s=_START_S,
        travels=travels,
        gives_back=gives_back,
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
    options=(
        ExecutorOption(
            name=_ADDRESS, metavar="A", help="Run on the Ray cluster at this address; `slurm` allocates one."
        ),
    ),
    has_more=f"build on a Ray cluster that has it: `--{_ADDRESS}`",
    defect=_defect,
)
