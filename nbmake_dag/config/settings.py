"""The tables of ``pipeline.toml`` that are not tasks, as the values that the rest of nbdag uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.paths import PathError, read_path
from nbmake_dag.config.tables import CacheTable, Document, KernelTable, given
from nbmake_dag.core.globs import is_glob
from nbmake_dag.core.model import (
    CacheSettings,
    EnvironmentSettings,
    KernelSettings,
    MetricSettings,
    ProjectPath,
    RaySettings,
    ReportSettings,
    Resources,
    SlurmSettings,
    SoftwareSettings,
    WatchSettings,
)

DEFAULT_NAME = "pipeline"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"(3)\.([0-9]{1,2})")
_LOCK_FILE = re.compile(r"(?:^|/)(?:uv\.lock|pylock(?:\.[^./]+)?\.toml|[^/]+\.txt)$")
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_SBATCH_OPTION = re.compile(r"--[a-z][a-z0-9-]*(?==|$)")
_TAKEN_OPTIONS = {
    "--nodes": "write `nodes`",
    "--partition": "write `partition`",
    "--account": "write `account`",
    "--time": "write `time`",
    "--gres": "write `gres`",
    "--constraint": "write `constraint`",
    "--array": "one build is one job",
    "--clusters": "build where the jobs of that cluster are submitted",
    "--chdir": "tasks run in the repository",
    "--dependency": "the build waits for this job to begin",
    "--export": "tasks get the environment of the build",
    "--job-name": "nbdag finds its job by the name",
    "--no-requeue": "a job that is preempted goes on later",
    "--ntasks": "Ray runs once on each node",
    "--ntasks-per-node": "Ray runs once on each node",
    "--output": "nbdag shows the output if the job fails",
    "--parsable": "nbdag sets it",
    "--test-only": "it starts nothing",
    "--wait": "nbdag waits by itself",
    "--wrap": "nbdag has a script of its own",
}
"""Options of `sbatch` that are nbdag's, with what to do instead."""
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
        place=complaints.place(("software", "lockfiles")),
    )


def environments(document: Document, complaints: Complaints) -> dict[str, EnvironmentSettings]:
    tables = {} if document.environments is UNSET else document.environments
    found: dict[str, EnvironmentSettings] = {}
    for name, table in tables.items():
        at, values = ("environments", name), given(table)
        if not name.strip() or not name.isprintable():
            complaints.add(at, f"`{name}` cannot be the name of an environment: it is not a line of text")
        lock = _lock_file(name, values, complaints)
        version = _VERSION.fullmatch(values.get("python", ""))
        if "python" in values and not version:
            what = f"`{values['python']}` is not a version of Python"
            complaints.add((*at, "python"), what, 'write two numbers, such as `"3.12"`')
        check_variables((*at, "env"), values.get("env", ()), complaints)
        for variable, value in values.get("env", {}).items():
            if "\0" in value:
                complaints.add((*at, "env", variable), f"`{variable}` holds a NUL character")
        if lock is not None:
            found[name] = EnvironmentSettings(
                name=name,
                lock=lock,
                python=(int(version[1]), int(version[2])) if version else None,
                groups=tuple(values.get("groups", ())),
                extras=tuple(values.get("extras", ())),
                env=values.get("env", {}),
                build=values.get("build", False),
                place=complaints.place((*at, "lock")),
            )
    return found


def _lock_file(name: str, values: Mapping[str, Any], complaints: Complaints) -> ProjectPath | None:
    at, text = ("environments", name), values.get("lock")
    if text is None:
        complaints.add(at, f"environment `{name}` has no lock file", 'name it: `lock = "uv.lock"`')
        return None
    try:
        path = read_path(text)
    except PathError as error:
        complaints.add((*at, "lock"), f"lock file `{text}` {error.what}", error.hint)
        return None
    if not _LOCK_FILE.search(path):
        what = f"`{text}` is not a lock file that nbdag reads"
        complaints.add(
            (*at, "lock"), what, "it reads `uv.lock`, `pylock.toml`, and `requirements.txt` with hashes"
        )
        return None
    if path.endswith(".txt"):
        for key in ("groups", "extras"):
            if values.get(key):
                what = f"`{key}` is for `uv.lock` and `pylock.toml`, and `{text}` has none"
                complaints.add((*at, key), what)
    return path


def environment_of(
    task: str, keys: Mapping[str, Any], environments: Mapping[str, EnvironmentSettings], complaints: Complaints
) -> EnvironmentSettings | None:
    """Return the environment that a task names; complain of one that does not exist."""
    name = keys.get("environment")
    if name is None:
        return None
    if "kernel" in keys:
        what = f"task `{task}` has both `kernel` and `environment`"
        complaints.add(("tasks", task, "kernel"), what, "keep one of them: an environment has a kernel of its own")
    if name not in environments and not complaints.is_declared(("environments", name)):
        hint = complaints.suggest(name, tuple(environments))
        hint = hint or f'add it: `[environments.{name}]` with `lock = "uv.lock"`'
        what = f"task `{task}` runs in the environment `{name}`, which is not in [environments]"
        complaints.add(("tasks", task, "environment"), what, hint)
    return environments.get(name)


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


def ray(document: Document, complaints: Complaints) -> RaySettings:
    values = given(document.ray)
    table = values.pop("slurm", {})
    at = (ray.__name__, "slurm")
    for key in ("partition", "account", "gres", "constraint"):
        text = table.get(key, "-")
        if not text.strip() or not text.isprintable():
            complaints.add((*at, key), f"`{key}` must be a line of text", "leave it out for the cluster's default")
    options: tuple[str, ...] = tuple(table.pop("options", ()))
    for option in options:
        found = _SBATCH_OPTION.match(option)
        if found is None or not option.isprintable():
            hint = 'write each as `"--name=value"` or `"--name"`'
            complaints.add((*at, "options"), f"`{option}` is not an option of sbatch", hint)
        elif found[0] in _TAKEN_OPTIONS:
            what = f"`options` cannot have `{found[0]}`"
            complaints.add((*at, "options"), what, _TAKEN_OPTIONS[found[0]])
    if "address" in values:
        values["address_place"] = complaints.place((ray.__name__, "address"))
    return RaySettings(**values, slurm=SlurmSettings(**table, options=options))


def report(document: Document, secrets: Collection[str], complaints: Complaints) -> ReportSettings:
    """Read ``[report]``, which allows none of the ``secrets`` of tasks."""
    values = given(document.report)
    values["allow"] = tuple(values.get("allow", ()))
    check_variables(("report", "allow"), values["allow"], complaints)
    for name in sorted(set(values["allow"]).intersection(secrets)):
        what = f"`{name}` is in `secrets` of a task, so `[report] allow` cannot name it"
        complaints.add(("report", "allow"), what, "leave it out of `secrets`, or here")
    tables = values.pop("metrics", {})
    metrics = {name: MetricSettings(**given(table)) for name, table in tables.items()}
    for name, metric in metrics.items():
        if metric.alert == "worse" and metric.direction is None:
            what = f"`[report.metrics.{name}] alert` needs to know which way is better"
            complaints.add(("report", "metrics", name, "alert"), what, 'add `direction = "higher"` or `"lower"`')
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
