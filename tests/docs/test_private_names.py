"""Names that other projects may change without notice: which are used, where, and that they still exist."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("nbmake_dag", "cache/nbmake_dag_cache", "reporting/nbmake_dag_reporting")
    for path in (ROOT / folder).rglob("*.py")
)
PUBLIC = {"_exit", "_fields", "_getframe"}
"""Documented in spite of their underscore: of `os`, of nodes of `ast`, and of `sys`."""


@dataclass(frozen=True)
class Private:
    """A private name that we use, and what has it: a module, a class or a function."""

    package: str
    owner: str
    name: str
    used_in: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


def names(package: str, owner: str, used_in: str, *found: str) -> list[Private]:
    return [Private(package, owner, name, used_in) for name in found]


LOOP, STREAM = "asyncio.selector_events.BaseSelectorEventLoop", "ipykernel.iostream.OutStream"
RAY_LOCAL, RAY_TASK = "nbmake_dag/execute/ray/local.py", "nbmake_dag/execute/ray/task.py"
RAY_SESSION = "nbmake_dag/execute/ray/session.py"
CELLS, CLIENT = "nbmake_dag/execute/notebook/cells.py", "nbmake_dag/execute/notebook/client.py"
SNAPSHOT, ZYGOTE = "nbmake_dag/inside/snapshot.py", "nbmake_dag/inside/zygote.py"
NOTEBOOK_CLIENT = "nbclient.client.NotebookClient"
LIST = [
    *names("nbclient", NOTEBOOK_CLIENT, CELLS, "_display_id_map"),
    *names("nbclient", NOTEBOOK_CLIENT, CLIENT, "_async_poll_kernel_alive", "_check_raise_for_error"),
    *names("nbclient", NOTEBOOK_CLIENT, CLIENT, "_async_poll_output_msg", "_update_display_id"),
    *names("ipykernel", STREAM, SNAPSHOT, "_io_loop", "_master_pid", "_buffer_lock", "_flush_pending", "_buffers"),
    *names("ipykernel", STREAM, SNAPSHOT, "_should_watch", "_original_stdstream_fd", "_original_stdstream_copy"),
    *names("ipykernel", STREAM, SNAPSHOT, "_fid", "_watch_pipe_fd"),
    *names("urllib3", "urllib3.connection.HTTPConnection", "nbmake_dag/remote_inputs/addresses.py", "_new_conn"),
    *names("ray", "ray.init", RAY_SESSION, "_memory", "_temp_dir", "_node_ip_address"),
    *names("ray", "ray._private.worker", RAY_SESSION, "_global_node"),
    *names("ray", "ray._private.node.Node", RAY_SESSION, "dead_processes"),
    *names("ray", "ray._private.node.Node", RAY_LOCAL, "start_monitor", "start_api_server", "start_log_monitor"),
    *names("ray", "ray._private.utils", RAY_LOCAL, "get_dashboard_dependency_error"),
    *names("ray", "ray._private.services", RAY_LOCAL, "get_node", "_get_gcs_client_options"),
    *names("ray", "ray._private.state.GlobalState", RAY_LOCAL, "_initialize_global_state", "node_table"),
    *names("ray", "ray.experimental.internal_kv", RAY_TASK, "_internal_kv_put", "_internal_kv_get"),
    *names("python", LOOP, SNAPSHOT, "_selector", "_ssock", "_csock", "_closed", "_make_self_pipe"),
    *names("python", LOOP, SNAPSHOT, "_ready", "_scheduled"),
    *names("tornado", "tornado.ioloop.IOLoop", SNAPSHOT, "_ioloop_for_asyncio"),
]
"""A change here is a change of the module that uses the name."""


def versions(library: str) -> str:
    """Say which version is installed, and with which one the pins have it tested."""
    if library == "python":
        return f"Python {platform.python_version()}"
    pins = dict(line.split("==") for line in (ROOT / ".ci/constraints.txt").read_text().split() if "==" in line)
    return f"{library} {importlib.metadata.version(library)} (tested with {pins[library]})"


def has(owner: Any, name: str) -> bool:
    """As an attribute; of a class also one that its methods set; of a function also a keyword that it takes."""
    if hasattr(owner, name):
        return True
    if inspect.isclass(owner):
        written = [base for base in owner.__mro__ if hasattr(inspect.getmodule(base), "__file__")]
        return any(f"self.{name}" in inspect.getsource(base) for base in written)
    return inspect.isfunction(owner) and f'"{name}"' in inspect.getsource(inspect.unwrap(owner))


@pytest.mark.parametrize("private", LIST, ids=str)
def test_every_private_name_exists_in_the_installed_version(private):
    """A failure names the release that took it away, and the module of ours that has to do without."""
    owner = pkgutil.resolve_name(private.owner)
    assert has(owner, private.name), (
        f"{versions(private.package)} has no {private} any more; {private.used_in} uses it"
    )


def test_a_name_that_is_gone_is_noticed():
    """Of a module, a class and a function, as the list has them."""
    owners = {each.owner for each in LIST}
    assert [owner for owner in sorted(owners) if has(pkgutil.resolve_name(owner), "_no_such_name")] == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in PUBLIC


def used(tree: ast.Module) -> Iterator[str]:
    """Yield the private names of others that a module uses, as attribute, import, keyword or overridden method."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("nbmake_dag")
        for alias in node.names
    }
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"self", "cls"}
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                yield name
            case ast.Call(keywords=keywords):
                yield from (each.arg for each in keywords if each.arg and is_private(each.arg))
            case ast.ImportFrom(module=str(module), names=aliases) if not module.startswith("nbmake_dag"):
                yield from (part for part in module.split(".") if is_private(part))
                yield from (alias.name for alias in aliases if is_private(alias.name))
            case ast.Import(names=aliases):
                yield from (part for alias in aliases for part in alias.name.split(".") if is_private(part))
            case ast.Constant(value=str(text)) if found := re.fullmatch(r"([a-z]+)\._private\.?[a-z.]*", text):
                yield f"{found[1]}._private"
            case ast.ClassDef(bases=bases, body=body):
                ours = [base.id for base in bases if isinstance(base, ast.Name)]
                yield from overridden([imported[name] for name in ours if name in imported], body)


def overridden(bases: list[str], body: list[ast.stmt]) -> Iterator[str]:
    """Yield the methods that replace private ones of a library that is installed here."""
    for base in bases:
        if importlib.util.find_spec(base.partition(".")[0]):
            owner = pkgutil.resolve_name(base)
            for each in body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and is_private(each.name):
                    yield from [each.name] if hasattr(owner, each.name) else []


def test_every_private_name_in_use_is_listed():
    """The list is what to look at when a library has a new release, so it has to be whole."""
    listed = {(each.used_in, each.name) for each in LIST if each.name.startswith("_")}
    listed |= {(each.used_in, "ray._private") for each in LIST if each.owner.startswith("ray._private")}
    found = {(str(path.relative_to(ROOT)), name) for path in SOURCES for name in used(ast.parse(path.read_text()))}
    assert found == listed
