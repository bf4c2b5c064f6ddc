"""The tables of ``pipeline.toml`` that are not tasks, as the values that the rest of nbdag uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.paths import PathError, read_path
from nbmake_dag.config.tables import CacheTable, Document, KernelTable, given
from nbmake_dag.core.globs import is_glob
from nbmake_dag.core.model import (
    CacheSettings,
    KernelSettings,
    MetricSettings,
    ProjectPath,
    RaySettings,
    ReportSettings,
    Resources,
    SoftwareSettings,
    WatchSettings,
)

DEFAULT_NAME = "pipeline"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_CREDENTIALS = re.compile(r"^[^/]*://[^/]*@")


def pipeline_name(document: Document, complaints: Complaints) -> str:
    name = given(document.pipeline).get("name", DEFAULT_NAME)
    if not name.strip() or not name.isprintable() or len(name.encode()) > 255:
        complaints.add(("pipeline", "name"), "`name` must be a line of 1 to 255 bytes")
    return str(name)


def ignored(document: Document, complaints: Complaints) -> tuple[str, ...]:
    patterns = tuple(given(document.pipeline).get("ignore", ()))
    for pattern in patterns:
        if not pattern.removeprefix("!").strip("/") or "\\" in pattern:
            hint = 'write names such as "*.tmp", or paths such as "data/scratch/"'
            complaints.add(("pipeline", "ignore"), f"`{pattern}` cannot be ignored: it names no file", hint)
    return patterns


def software(document: Document, complaints: Complaints) -> SoftwareSettings:
    table = given(document.software)
    lockfiles: list[ProjectPath] = []
    for text in table.get("lockfiles", ()):
        try:
            lockfiles.append(read_path(text))
        except PathError as error:
            complaints.add(("software", "lockfiles"), f"lock file `{text}` {error.what}", error.hint)
        if is_glob(text):
            complaints.add(("software", "lockfiles"), f"lock file `{text}` is a glob", "name each file")
    for name in table.get("packages", ()):
        if not _DISTRIBUTION.fullmatch(name):
            complaints.add(
                ("software", "packages"),
                f"`{name}` is not the name of a distribution",
                "write the name alone, such as `numpy`; its installed version is what counts",
            )
    check_variables(("software", "variables"), table.get("variables", ()), complaints)
    return SoftwareSettings(
        lockfiles=tuple(lockfiles),
        packages=tuple(table.get("packages", ())),
        variables=tuple(table.get("variables", ())),
    )


def check_variables(path: tuple[str, ...], names: Iterable[str], complaints: Complaints) -> None:
    for name in names:
        if not _VARIABLE.fullmatch(name):
            complaints.add(path, f"`{name}` cannot be the name of an environment variable")


def cache(table: CacheTable | UnsetType, complaints: Complaints) -> CacheSettings:
    values = given(table)
    for name in {"trusted_branches", "public_keys"} & values.keys():
        values[name] = tuple(values[name])
    settings = CacheSettings(**values)
    place = ("cache", "remote")
    for key in settings.public_keys:
        if not _PUBLIC_KEY.fullmatch(key):
            hint = "`nbdag cache keygen` creates a pair"
            complaints.add(("cache", "public_keys"), f"`{key}` is not a public key of 32 bytes in base64", hint)
    if settings.remote is None:
        for name in ("remote_mode", "trusted_branches", "public_keys"):
            if name in values:
                complaints.add(("cache", name), f"`{name}` is set, but no `remote` is")
    elif not settings.remote.strip() or not settings.remote.isprintable():
        complaints.add(place, "`remote` must be a directory or a URL")
    elif _CREDENTIALS.match(settings.remote):
        hint = "take them from the environment or a credentials file, as the file system's client does"
        complaints.add(place, "`remote` holds credentials, which would be recorded and shown", hint)
    elif "::" in settings.remote:
        complaints.add(place, "`remote` chains file systems with `::`", "name one file system")
    return settings


def kernel(table: KernelTable | UnsetType, complaints: Complaints) -> KernelSettings:
    values = given(table)
    modules = tuple(values.pop("preload", ()))
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            complaints.add(("kernel", "preload"), f"`{module}` is not the name of a module")
    return KernelSettings(**values, preload=modules)


def watch(document: Document) -> WatchSettings:
    return WatchSettings(**given(document.watch))


def ray(document: Document) -> RaySettings:
    return RaySettings(**given(document.ray))


def report(document: Document, files: Iterable[Document], complaints: Complaints) -> ReportSettings:
    """Read ``[report]``; ``files`` are the pipeline file and its parts."""
    values = given(document.report)
    values["allow"] = tuple(values.get("allow", ()))
    check_variables(("report", "allow"), values["allow"], complaints)
    tables = (
        table for each in files for table in (each.defaults, *({} if each.tasks is UNSET else each.tasks).values())
    )
    declared = {name for table in tables for name in given(table).get("secrets", ())}
    for name in sorted(declared.intersection(values["allow"])):
        what = f"`{name}` is in `secrets` of a task, so `[report] allow` cannot name it"
        complaints.add(("report", "allow"), what, "leave it out of `secrets`, or here")
    tables = values.pop("metrics", {})
    metrics = {name: MetricSettings(**given(table)) for name, table in tables.items()}
    return ReportSettings(**values, metrics=metrics)


def pools(document: Document, complaints: Complaints) -> dict[str, int]:
    places = {} if document.pools is UNSET else document.pools
    for name in places:
        if not name.strip() or not name.isprintable():
            complaints.add(("pools", name), f"`{name}` cannot be the name of a pool: it is not a line of text")
    return places


def pools_of(
    task: str, wanted: list[str] | dict[str, int], pools: Mapping[str, int], complaints: Complaints
) -> dict[str, int]:
    """Return the places that a task takes of each pool; complain of those that no pool can ever give."""
    place = ("tasks", task, "pools")
    taken = dict.fromkeys(wanted, 1) if isinstance(wanted, list) else wanted
    for name, count in taken.items():
        if name not in pools:
            hint = complaints.suggest(name, tuple(pools)) or f"add it: `[pools]` with `{name} = {count}`"
            complaints.add(place, f"task `{task}` takes from the pool `{name}`, which is not in [pools]", hint)
        elif count > pools[name]:
            what = f"task `{task}` takes {count} places of the pool `{name}`, which has {pools[name]}"
            complaints.add(place, what, "take fewer, or give the pool more in [pools]")
    if len(taken) < len(wanted):
        twice = next(name for name in wanted if list(wanted).count(name) > 1)
        complaints.add(place, f"`pools` names `{twice}` twice", f"write how many: `{{ {twice} = 2 }}`")
    return taken


def resources(values: dict[str, Any]) -> Resources:
    """Make the resources of a task from its merged keys."""
    return Resources(
        **{name: values[name] for name in ("cpus", "gpus", "memory", "custom") if name in values},
        labels=values.get("node", {}),
    )
