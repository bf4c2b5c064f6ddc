"""Turn typed tables into the pipeline: merge defaults, make instances, resolve parameters, check paths."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from nbmake_dag.config import matrix, settings
from nbmake_dag.config.captures import Captures
from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.instances import Families, Found, Instances, Place, wanted
from nbmake_dag.config.lines import Lines
from nbmake_dag.config.ownership import check_writes
from nbmake_dag.config.parameters import SharedParameters, check_overrides, check_used
from nbmake_dag.config.parts import in_whole, set_in_whole
from nbmake_dag.config.paths import folded
from nbmake_dag.config.tables import Document, given
from nbmake_dag.config.tasks import Family, is_format_of, over, written_globs
from nbmake_dag.core.globs import escaped, matches, may_match_below, may_overlap
from nbmake_dag.core.model import (
    Gathered,
    Input,
    Pipeline,
    ProjectPath,
    Settings,
    Signature,
    Task,
    TaskName,
    Value,
)

DEFAULT_KEEP_RUNS = 200


class PipelineFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a ``pipeline.toml`` and its parts, typed but not expanded, and its position in the text."""

    document: Document
    lines: Lines
    file: str
    parts: Mapping[str, Document] = {}
    """The parts by their folders, in their order."""

    @property
    def files(self) -> tuple[str, ...]:
        """The pipeline file, and those of its parts."""
        return (self.file, *(path for path, _ in self.lines.parts.values()))

    def documents(self) -> Iterable[tuple[str, Place, Document]]:
        """Yield the folder of each file, empty for the first, the place of what stands in it, and its content."""
        yield "", (), self.document
        for folder, document in self.parts.items():
            yield folder, ("parts", f"{folder}/"), document

    def tables(self) -> Iterator[tuple[Place, Any]]:
        """Yield each table that has keys of tasks, and where it stands."""
        for _, at, document in self.documents():
            yield (*at, "defaults"), document.defaults
            for name, table in _or_empty(document.tasks).items():
                yield (*at, "tasks", name), table

    def secrets(self) -> Iterator[tuple[Place, str]]:
        """Yield where each name of a secret stands: whoever redacts or searches does so for all of them."""
        for at, table in self.tables():
            for name in given(table).get("secrets", ()):
                yield (*at, "secrets"), name

    def families(self) -> dict[str, dict[str, Any]]:
        """Return the keys of each task over those of ``[defaults]`` of its file.

        ``parameters`` of the defaults stay apart, because a task need not know them.
        """
        found: dict[str, dict[str, Any]] = {}
        for folder, _, document in self.documents():
            defaults = given(document.defaults)
            defaults.pop("parameters", None)
            for name, table in _or_empty(document.tasks).items():
                found[_named(folder, name)] = in_whole(over(defaults, given(table)), folder)
        return found

    def folder_of(self, family: str) -> str:
        """Return the folder of the part with a task; empty for the pipeline file."""
        return self.lines.folder_of(family)

    def sets(self) -> dict[str, dict[str, Any]]:
        return {
            _named(folder, name): set_in_whole(given(table), folder)
            for folder, _, document in self.documents()
            for name, table in _or_empty(document.sets).items()
        }

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Return the sources whose signatures `expand` needs.

        Each with ``notebook`` or ``function``, its place, and the format of a notebook that has one.
        """
        found: dict[str, tuple[str, str, str]] = {}
        complaints = Complaints(self.file, self.lines)
        for name, keys in self.families().items():
            for kind in ("notebook", "function"):
                if kind in keys and keys[kind] not in found:
                    place = complaints.place(("tasks", name, kind))
                    form = keys.get("format", "")
                    found[keys[kind]] = kind, place, form if is_format_of(keys[kind], form) else ""
        return found

    def data(self) -> tuple[list[ProjectPath], list[Captures]]:
        """Return the files with rows, and the patterns of files, that instances come from: `expand` needs them."""
        families = (keys["instances"] for keys in self.families().values() if "instances" in keys)
        return wanted(itertools.chain(families, self.sets().values()))

    def instances(self, found: Found) -> dict[str, tuple[TaskName, ...]]:
        """Return the instances of each task, as far as they are known."""
        complaints = Complaints(self.file, self.lines)
        known = Families(self.families(), self.sets(), {}, found, complaints).instances()
        return {name: () if those is None else those.names for name, those in known.items()}

    def makeable(self, overrides: Mapping[str, Value]) -> frozenset[str]:
        """Return the paths and globs of what instances come from that another task may make."""
        shared = {
            folder: {**_or_empty(document.parameters), **given(document.defaults).get("parameters", {})}
            for folder, _, document in self.documents()
        }
        families, sets = self.families(), self.sets()
        sources = {name: _sources(keys, sets) for name, keys in families.items()}
        if not any(sources.values()):
            return frozenset()
        return frozenset(
            source
            for maker, keys in families.items()
            for path in written_globs(
                keys, {**shared[self.folder_of(maker)], **keys.get("parameters", {}), **overrides}
            )
            for name, those in sources.items()
            for source, pattern in those.items()
            if name != maker and may_overlap(pattern, path)
        )

    @property
    def ignored(self) -> tuple[str, ...]:
        """The patterns of files that globs leave out."""
        return tuple(given(self.document.pipeline).get("ignore", ()))


def expand(
    file: PipelineFile,
    signatures: Mapping[str, Signature],
    overrides: Mapping[str, Value],
    found: Found | None = None,
) -> Pipeline:
    """Make the pipeline; raise `ConfigError` with every complaint.

    ``signatures`` by the value of ``notebook =`` or ``function =``; one that is missing counts as unknown.
    ``overrides`` are those of ``-p``; one that is a key of a matrix replaces all its values. ``found`` is what
    instances come from; tasks whose instances are not known without it are left out.
    """
    complaints = Complaints(file.file, file.lines)
    pipeline = _expand(file, signatures, overrides, found or Found(), complaints, frozenset())
    complaints.raise_if_any()
    return pipeline


def settings_of(file: PipelineFile) -> Settings:
    """Return what a file says of all its tasks; raise `ConfigError` with every complaint."""
    pipeline = expand(file, {}, {})
    return Settings(**{name: getattr(pipeline, name) for name in Settings.__struct_fields__})


def complain(file: PipelineFile, complaints: Complaints, left_out: frozenset[str]) -> None:
    """Add the complaints of `expand` about a file, except about tasks that could not be read."""
    _expand(file, {}, {}, Found(), complaints, left_out)


def _expand(
    file: PipelineFile,
    signatures: Mapping[str, Signature],
    overrides: Mapping[str, Value],
    found: Found,
    complaints: Complaints,
    left_out: frozenset[str],
) -> Pipeline:
    document = file.document
    families, sets = file.families(), file.sets()
    if not families and not complaints:
        hint = 'a task is a table, such as `[tasks.clean]` with `notebook = "clean.py"`'
        complaints.add((), "the pipeline has no tasks", hint)
    check_overrides(overrides, complaints)
    shared = {
        folder: SharedParameters(
            _or_empty(each.parameters), given(each.defaults).get("parameters", {}), overrides, complaints, at
        )
        for folder, at, each in file.documents()
    }
    sources = Families(families, sets, overrides, found, complaints)
    instances = sources.instances()
    _check_names(file, (*families, *left_out), instances, complaints)
    groups: dict[str, tuple[TaskName, ...]] = dict.fromkeys(left_out, ())
    for name, those in instances.items():
        names = () if those is None else those.names
        if those is not None and those.is_awaited:
            names = (matrix.unknown_name(name),)
        groups.update((instance, (instance,)) for instance in names)
        groups[name] = names
    pools = settings.pools(document, complaints)
    has_pools = document.pools is not UNSET or ("pools",) not in file.lines.numbers
    environments = settings.environments(document, complaints)
    tasks: dict[TaskName, Task] = {}
    urls: set[str] = set()
    checks = {name for name, keys in families.items() if keys.get("check")}
    makeable = file.makeable(overrides)
    for name, keys in families.items():
        after = _after(name, keys.get("after", []), groups, checks, complaints)
        taken = settings.pools_of(name, keys.get("pools", []), pools, complaints) if has_pools else {}
        environment = settings.environment_of(name, keys, environments, complaints)
        family = Family(name, keys, shared[file.folder_of(name)], signatures, taken, environment, complaints)
        those = instances[name]
        line = file.lines.of(("tasks", name))
        path = file.lines.file_of(("tasks", name), file.file)
        if those is not None and those.source is not None and those.is_awaited:
            tasks[groups[name][0]] = family.unknown(those.source, after, path, line)
            family.use_paths()
        elif those:
            lines = {key: _line_of(key, name, file) for key in keys}
            source = those.source if those.source and those.source.path in makeable else None
            made = family.instances(those, after, path, line, lines, source)
            tasks.update((task.name, task) for task in made)
        elif those is not None:
            family.use_paths()
        urls |= family.urls
    for name, keys in families.items():
        _gather(name, keys.get("inputs", ()), groups, tasks, left_out, complaints)
    check_writes([task for task in tasks.values() if not task.is_unknown], file.files, complaints)
    _check_made(tasks, instances, makeable, complaints)
    if not left_out and None not in instances.values():
        check_used(tuple(shared.values()), overrides, complaints)
    secrets = tuple(dict.fromkeys(name for _, name in file.secrets()))
    return Pipeline(
        name=settings.pipeline_name(document, complaints),
        tasks=tasks,
        software=settings.software(document, complaints),
        cache=settings.cache(document.cache, complaints),
        kernel=settings.kernel(document.kernel, complaints),
        watch=settings.watch(document),
        ray=settings.ray(document, complaints),
        report=settings.report(document, secrets, complaints),
        pools=pools,
        ignore=settings.ignored(document, complaints),
        keep_runs=given(document.runs).get("keep", DEFAULT_KEEP_RUNS),
        keep_inputs=given(document.runs).get("keep_inputs", False),
        secrets=secrets,
        urls=tuple(sorted(urls)),
        data=tuple(sources.files),
        empty={
            name: those.why_none
            for name, those in instances.items()
            if those is not None and those.why_none and not those
        },
    )


def _line_of(key: str, family: str, file: PipelineFile) -> int:
    """Return the line of a task's key, its own or that of ``[defaults]``."""
    folder, lines = file.folder_of(family), file.lines
    own = ("tasks", family, key)
    default = ("parts", f"{folder}/", "defaults", key) if folder else ("defaults", key)
    return lines.of(default if lines.has(default) and not lines.has(own) else own)


def _named(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _sources(keys: Mapping[str, Any], sets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the path or glob that the instances of a task come from, with it as a pattern; nothing for lists."""
    table = keys.get("instances", {})
    rows, files = wanted(iter([sets.get(table.get("set", ""), table)]))
    return {**{path: escaped(path) for path in rows}, **{captures.glob: captures.glob for captures in files}}


def _check_made(
    tasks: Mapping[TaskName, Task],
    instances: Mapping[str, Instances | None],
    makeable: frozenset[str],
    complaints: Complaints,
) -> None:
    """Complain where instances make what they come from, and where that is found too late."""
    sources = {name: those.source for name, those in instances.items() if those is not None and those.source}
    if not sources:
        return
    told: set[str] = set()
    for task in tasks.values():
        for output in task.outputs:
            for name, source in sources.items():
                if task.family != name and source.path in makeable:
                    continue
                if name not in told and _may_make(source, output.path, task):
                    told.add(name)
                    what = f"`{task.name}` makes `{output.path}`, from which the instances of `{name}` come"
                    hint = (
                        "let another task make what they come from"
                        if task.family == name
                        else "write the folder in the path, without a parameter"
                    )
                    complaints.add(("tasks", task.family, "outputs"), what, hint)


def _may_make(source: Input, path: ProjectPath, task: Task) -> bool:
    if task.is_unknown:
        return may_overlap(source.path if source.is_glob else escaped(source.path), path)
    if source.is_glob:
        return may_match_below(source.path, path) if path.endswith("/") else matches(source.path, path)
    return source.path == path or (path.endswith("/") and source.path.startswith(path))


def _place_of(family: str, instances: Instances | None) -> Place:
    return ("tasks", family) if instances is None else instances.place


def _check_names(
    file: PipelineFile,
    families: Iterable[str],
    instances: Mapping[str, Instances | None],
    complaints: Complaints,
) -> None:
    seen: dict[str, str] = {}
    for family in families:
        folder = file.folder_of(family)
        own = family.removeprefix(f"{folder}/") if folder else family
        # a file without parts may name its tasks as those of parts are named
        names = (own,) if file.parts else own.split("/")
        if fault := next(filter(None, map(matrix.name_fault, names)), None) or matrix.length_fault(family):
            complaints.add(("tasks", family), f"`{family}` cannot be the name of a task: it {fault}")
        those = instances.get(family)
        for name in dict.fromkeys((family, *(those.names if those else ()))):
            other = seen.setdefault(folded(name), name)
            if other != name:
                what = f"the names `{name}` and `{other}` differ only in case or in the form of their Unicode"
                complaints.add(("tasks", family), what)
                break
            if name != family and (fault := matrix.length_fault(name)):
                complaints.add(_place_of(family, those), f"the name of the instance `{name}` {fault}")
                break


def _after(
    family: str,
    names: list[str],
    groups: Mapping[str, tuple[TaskName, ...]],
    checks: Collection[str],
    complaints: Complaints,
) -> tuple[TaskName, ...]:
    """Return the instances behind names of tasks; one tuple for all that wait for the same task."""
    names = [_known_name(name, groups) for name in names]
    for name in names:
        if name in groups and name.partition("[")[0] in checks:
            what = f"`{family}` waits for `{name}`, a check, whose failure would not stop it"
            hint = f"leave `check` out of `{name.partition('[')[0]}` for that"
            complaints.add(("tasks", family, "after"), what, hint)
        elif name not in groups:
            hint = complaints.suggest(name, tuple(groups))
            complaints.add(("tasks", family, "after"), f"`{family}` waits for `{name}`, which is not a task", hint)
    known = [groups[name] for name in names if name in groups]
    return known[0] if len(known) == 1 else tuple(dict.fromkeys(itertools.chain.from_iterable(known)))


def _gather(
    family: str,
    inputs: object,
    groups: Mapping[str, tuple[TaskName, ...]],
    tasks: dict[TaskName, Task],
    left_out: frozenset[str],
    complaints: Complaints,
) -> None:
    """Give the instances of a task the inputs that are outputs of all instances of another."""
    wanted = (
        {name: table for name, table in inputs.items() if isinstance(table, dict) and _gathers(table)}
        if isinstance(inputs, dict)
        else {}
    )
    gathers: dict[str, tuple[Gathered, ...]] = {}
    unknown: list[TaskName] = []
    for name, table in wanted.items():
        at = ("tasks", family, "inputs", name)
        producer = _known_name(table.get("task"), groups)
        if producer is None:
            complaints.add(at, f"input `{name}` gathers the outputs of no task", 'name it: `{ task = "train" }`')
        elif producer not in groups:
            hint = complaints.suggest(producer, tuple(groups))
            complaints.add(at, f"input `{name}` gathers the outputs of `{producer}`, which is not a task", hint)
        elif producer.partition("[")[0] == family:
            complaints.add(at, f"task `{family}` gathers its own outputs")
        elif producer not in left_out:
            makers = [tasks[maker] for maker in groups[producer] if maker in tasks]
            unknown += (maker.name for maker in makers if maker.is_unknown)
            makers = [maker for maker in makers if not maker.is_unknown]
            found = [_gathered(maker, table.get("output")) for maker in makers]
            if None in found:
                complaints.add(at, *_no_output(name, makers[0], table.get("output")))
            gathers[name] = tuple(file for file in found if file is not None)
    if not gathers:
        return
    more = tuple(Input(path=file.path, name=name) for name, files in gathers.items() for file in files)
    for instance in groups[family]:
        if instance in tasks:
            task = tasks[instance]
            after = tuple(dict.fromkeys((*task.after, *unknown)))
            tasks[instance] = replace(task, inputs=(*task.inputs, *more), gathers=gathers, after=after)


def _known_name(name: Any, groups: Mapping[str, tuple[TaskName, ...]]) -> Any:
    """Return the name of what stands for an instance that nobody can know yet, else the name."""
    if name in groups or not isinstance(name, str) or "[" not in name:
        return name
    unknown = matrix.unknown_name(name.partition("[")[0])
    return unknown if unknown in groups else name


def _gathers(table: Mapping[str, Any]) -> bool:
    return table.keys().isdisjoint({"path", "url"}) and not table.keys().isdisjoint({"task", "output"})


def _gathered(maker: Task, output: str | None) -> Gathered | None:
    found = [item for item in maker.outputs if output is None or item.name == output]
    return Gathered(path=found[0].path, params=maker.values) if len(found) == 1 else None


def _no_output(name: str, maker: Task, output: str | None) -> tuple[str, str]:
    named = ", ".join(f"`{item.name}`" for item in maker.outputs if item.name is not None)
    if output is not None:
        has = f"its outputs are {named}" if named else "it has no outputs with names"
        return f"input `{name}` gathers `{output}` of `{maker.family}`, which is not an output of it", has
    if not maker.outputs:
        return f"input `{name}` gathers the outputs of `{maker.family}`, which has none", "use `after` instead"
    hint = (
        f'choose one with `output = "..."`: {named}'
        if named
        else "give its outputs names, and choose one by `output`"
    )
    return f"input `{name}` gathers the outputs of `{maker.family}`, which has {len(maker.outputs)}", hint


def _or_empty(table: dict[str, Any] | UnsetType) -> dict[str, Any]:
    return {} if table is UNSET else table
