"""The Ray executor: a process that has a Ray of its own, or joins a cluster, and runs attempts as Ray tasks.

It finds its socket to the driver as descriptor 3. What Ray reads from the environment is set before its import.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
from pathlib import Path

import msgspec

from nbmake_dag.execute.frames import Frames
from nbmake_dag.execute.protocol import ExecutorLost, Order
from nbmake_dag.execute.ray_local import set_cluster_environment, set_local_environment

_CONNECTION = 3
_INIT_WITHIN_S = 75.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--address")
    parser.add_argument("--runtime-env", type=json.loads, default={})
    arguments = parser.parse_args()
    connection = socket.socket(fileno=_CONNECTION)
    connection.set_inheritable(False)
    frames = Frames(connection, msgspec.json.Decoder(Order))

    def lose(reason: str) -> None:
        frames.send(ExecutorLost(executor="ray", reason=reason))
        os._exit(1)

    late = threading.Timer(_INIT_WITHIN_S, lose, (f"Ray did not start within {_INIT_WITHIN_S:.0f} s",))
    late.daemon = True
    late.start()
    if arguments.address:
        set_cluster_environment()
        if not _has_token():
            lose(
                f"no token for the Ray cluster at {arguments.address}: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
                "or put it into ~/.ray/auth_token"
            )
    else:
        set_local_environment()
    from nbmake_dag.execute import ray_session  # noqa: PLC0415  # imports Ray, which reads the environment

    try:
        if arguments.address:
            ray_session.join_cluster(arguments.address, arguments.runtime_env)
        else:
            ray_session.start_local(arguments.runtime, arguments.cpus, lose)
    except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes
        lose(f"Ray did not start: {type(error).__name__}: {error}")
    late.cancel()
    ray_session.RaySession(frames).serve()
    # a local Ray dies with this process, and the supervisor ends what is below it
    os._exit(0)


def _has_token() -> bool:
    """Say whether there is a token where Ray looks for it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    default = Path.home() / ".ray" / "auth_token"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default)
    return path.is_file() and bool(path.read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    main()
