"""The setup of a local Ray: its own token, no usage statistics, no process that a build does not need.

`ray.init` starts GCS and raylet, and besides them an autoscaler monitor, an API server and a log monitor, waits
for them in fixed sleeps, and asks for its own node once per second. A build on one machine needs none of that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Generator
from importlib import import_module
from typing import Any

_NODE_WITHIN_S = 30.0
_POLL_S = 0.02


def set_local_environment() -> None:
    """Set what Ray reads when it is imported, and what its processes inherit."""
    set_allocated_environment()
    # Ray replaces the address 127.0.0.1 by that of the machine, and then listens on all interfaces, unless it
    # cannot be a cluster; despite its name this variable counts on Linux too
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # the driver need not wait for workers to be started before it may ask for some
    os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112  # Ray's spelling


def set_allocated_environment() -> None:
    """Set what holds for a cluster that nbdag starts itself: a token of its own, which its nodes inherit."""
    for name in ("RAY_ADDRESS", "RAY_NAMESPACE", "RAY_RUNTIME_ENV", "RAY_AUTH_TOKEN_PATH"):
        os.environ.pop(name, None)
    set_cluster_environment()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def set_cluster_environment() -> None:
    """Set what holds for a cluster of the user's as well; its token is the user's."""
    os.environ.update(
        RAY_AUTH_MODE="token",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
        RAY_gcs_rpc_server_reconnect_timeout_s="15",
    )


@contextlib.contextmanager
def light_node() -> Generator[None]:
    """Let `ray.init`, while this is entered, start only what a build needs.

    These are private names of Ray: where one is gone, Ray starts as it does by itself, only later.
    """
    node, services, utils = (import_module(f"ray._private.{name}") for name in ("node", "services", "utils"))
    with contextlib.ExitStack() as stack:
        for name in ("start_monitor", "start_api_server", "start_log_monitor"):
            stack.enter_context(_replaced(node.Node, name, _nothing))
        stack.enter_context(_replaced(utils, "get_dashboard_dependency_error", _no_dashboard))
        if hasattr(services, "get_node"):
            stack.enter_context(_replaced(services, "get_node", _impatient(services.get_node)))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Generator[None]:
    if not hasattr(owner, name):
        yield
        return
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _nothing(*_: object, **__: object) -> None:
    pass


def _no_dashboard() -> ImportError:
    """Have the agent of the node load only what it must."""
    return ImportError("not wanted")


def _impatient(get_node: Any) -> Any:
    """Ask for the table of nodes often, before asking for the one node, which waits 1 s between tries."""

    def get_node_soon(gcs_address: str, node_id: str) -> Any:
        services: Any = import_module("ray._private.services")
        accessor: Any = import_module("ray._private.state").GlobalState()
        accessor._initialize_global_state(services._get_gcs_client_options(gcs_address))  # noqa: SLF001
        deadline = time.monotonic() + _NODE_WITHIN_S
        while time.monotonic() < deadline:
            if any(row["NodeID"] == node_id for row in accessor.node_table()):
                break
            time.sleep(_POLL_S)
        return get_node(gcs_address, node_id)

    return get_node_soon
