"""The Ray executor: a process that has a Ray of its own, or joins a cluster, and runs attempts as Ray tasks.

It finds its socket to the driver as descriptor 3, and is started in the build's runtime folder. What
Ray reads from the environment is set before its import.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.protocol import ExecutorLost, ExecutorSays, Order
from nbmake_dag.execute.ray.kind import NAME, Allocation, Cluster, job_name
from nbmake_dag.execute.ray.local import set_allocated_environment, set_cluster_environment, set_local_environment
from nbmake_dag.execute.ray.slurm import SlurmError, Switchboard, address_towards_nodes, submit

if TYPE_CHECKING:
    from nbmake_dag.execute.ray.session import RaySession

_CONNECTION = 3
_INIT_WITHIN_S = 120.0
"""To start one, also where Ray gives up the first time."""
_JOIN_WITHIN_S = 120.0
"""To join a cluster, and to look at each of its nodes."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--cluster", type=msgspec.json.Decoder(Cluster).decode)
    arguments = parser.parse_args()
    connection = socket.socket(fileno=_CONNECTION)
    connection.set_inheritable(False)
    frames = Frames(connection, msgspec.json.Decoder(Order))

    def lose(reason: str, *, misused: bool = False) -> NoReturn:
        frames.send(ExecutorLost(executor=NAME, reason=reason, misused=misused))
        os._exit(1)

    def say(text: str) -> None:
        frames.send(ExecutorSays(executor=NAME, text=text))

    cluster: Cluster | None = arguments.cluster
    if cluster and cluster.allocation:
        set_allocated_environment()
    elif cluster:
        set_cluster_environment()
        if not _has_token():
            lose(
                f"no token for the Ray cluster at {cluster.address}: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
                "or put it into ~/.ray/auth_token"
            )
    else:
        set_local_environment()
    try:
        if cluster and cluster.allocation:
            _allocate(cluster.allocation, cluster.runtime_env, say, lose)
        with _at_most(_JOIN_WITHIN_S if cluster else _INIT_WITHIN_S, lose):
            session = _join(cluster, frames, say, lose) if cluster else _start(arguments, frames, lose)
    except SlurmError as error:
        lose(str(error), misused=error.misused)
    except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes
        lose(f"Ray did not start: {type(error).__name__}: {error}")
    session.serve()
    # a local Ray dies with this process, and the supervisor ends what is below it
    os._exit(0)


@contextmanager
def _at_most(seconds: float, lose: Callable[[str], NoReturn]) -> Generator[None]:
    """End this process unless the block ends in time: Ray may wait without an end."""
    late = threading.Timer(seconds, lose, (f"Ray did not start within {seconds:.0f} s",))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def _start(arguments: argparse.Namespace, frames: Frames[Order], lose: Callable[[str], NoReturn]) -> RaySession:
    from nbmake_dag.execute.ray import session as ray_session  # noqa: PLC0415  # Ray reads the environment

    ray_session.start_local(os.getcwd(), arguments.cpus, lose)
    return ray_session.RaySession(frames, ray_session.LocalCarrier())


def _allocate(
    wanted: Allocation, runtime_env: dict[str, Any], say: Callable[[str], None], lose: Callable[[str], NoReturn]
) -> None:
    """Ask for nodes, start the head of a cluster here meanwhile, and wait until they have joined."""
    address = address_towards_nodes(wanted.options)
    token = secrets.token_hex(32)
    board = Switchboard(address, token)
    job = submit(wanted, job_name(os.getcwd()), board, token, say)
    from nbmake_dag.execute.ray import session as ray_session  # noqa: PLC0415  # likewise

    with _at_most(_INIT_WITHIN_S, lose):
        head = ray_session.start_head(os.getcwd(), address, runtime_env, lose)
    board.send_to(head)
    job.await_nodes(ray_session.joined)

    def follow() -> None:
        try:
            job.follow()
        except SlurmError as error:
            lose(str(error))

    threading.Thread(target=follow, name="slurm", daemon=True).start()


def _join(
    cluster: Cluster, frames: Frames[Order], say: Callable[[str], None], lose: Callable[[str], NoReturn]
) -> RaySession:
    from nbmake_dag.execute.ray.cluster import ClusterCarrier, UnfitClusterError  # noqa: PLC0415  # likewise
    from nbmake_dag.execute.ray.session import RaySession  # noqa: PLC0415  # likewise

    try:
        carrier = ClusterCarrier(cluster)
    except UnfitClusterError as error:
        lose(str(error))
    session = RaySession(frames, carrier)
    carrier.watch(session, lose, say)
    return session


def _has_token() -> bool:
    """Return whether there is a token where Ray looks for it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    default = Path.home() / ".ray" / "auth_token"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default)
    return path.is_file() and bool(path.read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    main()
