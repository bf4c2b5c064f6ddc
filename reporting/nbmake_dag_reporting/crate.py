"""A run as an RO-Crate: its files, and what archives read about them, by the profile Provenance Run Crate.

A family of tasks is a tool, and a step of the workflow. Each task that was executed, or whose result was reused,
is an action with what it used and what it made. The names in a run may come from anybody: they become the names of
files and of entities by `safe_names` alone.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import msgspec
from rocrate.model import SoftwareApplication

from nbmake_dag_reporting.bundle import Recorded, RecordedIngredient
from nbmake_dag_reporting.crate_files import URL, CrateFiles, Look, RecordedFile, Workflow, id_of, utf8
from nbmake_dag_reporting.notebook import encode_notebook
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.safe_names import safe_folders, safe_paths
from nbmake_dag_reporting.schema import RUNTIME_VERSION
from nbmake_dag_reporting.scrub import scrubber
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.vocabulary import HITS

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}


class NothingToDescribeError(Exception):
    """A run has no task that was executed, or whose result is known."""


class _RecordedOutput(msgspec.Struct, frozen=True):
    path: str
    digest: str
    files: tuple[RecordedFile, ...]


class _Origin(msgspec.Struct, frozen=True):
    run_id: str
    started: int
    duration_s: float


class _Record(msgspec.Struct, frozen=True):
    """What a crate takes from the record of a task, which may come from anybody."""

    outputs: tuple[_RecordedOutput, ...]
    origin: _Origin
    inputs: tuple[RecordedFile, ...] = ()
    ingredients: tuple[RecordedIngredient, ...] = ()


class _Done(msgspec.Struct, kw_only=True):
    """An execution of a task, with what it used and made as entities."""

    task: TaskRun
    folder: str
    record: _Record | None
    used: list[Any] = []
    made: list[Any] = []

    @property
    def ingredients(self) -> tuple[RecordedIngredient, ...]:
        return self.record.ingredients if self.record is not None else ()

    def at(self, kind: str, *names: str) -> str:
        """Return the name of an entity that belongs to it."""
        return "/".join((f"#{kind}", quote(self.folder, safe=""), *map(id_of, names)))


def write_crate(
    out: str,
    recorded: Recorded,
    executed: Callable[[TaskRun], Mapping[int, Mapping[str, Any]]],
    look: Look,
    around: tuple[Workflow, tuple[str, bytes] | None],
    secrets: Secrets,
) -> tuple[str, ...]:
    """Write a run into a folder that is new or empty, and return the names of files that are only described.

    ``executed`` has the notebooks of a task by attempt, ``around`` the workflow and the licence that is beside it.
    Raises `NothingToDescribeError`, `SecretFoundError` and `OSError`; the folder is then as it was.
    """
    out = os.path.abspath(out)
    half = os.path.join(os.path.dirname(out), f".nbdag-{token_hex(12)}")
    try:
        os.makedirs(half)
        files = CrateFiles(half, recorded, look, secrets)
        _Description(files, recorded, executed).write(*around)
        files.finish()
        os.rename(half, out)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return tuple(files.missing)


class _Description:
    """What happened in a run, as entities of its crate."""

    def __init__(
        self, files: CrateFiles, recorded: Recorded, executed: Callable[[TaskRun], Mapping[int, Mapping[str, Any]]]
    ) -> None:
        self._files = files
        self._recorded = recorded
        self._run = recorded.run
        self._executed = executed
        self._by_output: dict[tuple[str, str], list[Any]] = {}
        self._formal: dict[str, dict[str, Any]] = {}
        actor = self._run.ci.actor if self._run.ci else None
        # only CI systems say in public who started a run
        self._agent = {"agent": files.entity(f"#agent/{id_of(actor)}", "Person", {"name": actor})} if actor else {}

    def write(self, workflow: Workflow, licence: tuple[str, bytes] | None) -> None:
        """Add all of it; raises `NothingToDescribeError`."""
        folders = safe_folders(self._run.tasks)
        done = [found for task in self._run.tasks.values() if (found := self._done(task, folders[task.name]))]
        if not done:
            raise NothingToDescribeError
        for each in done:
            self._add_made(each)
        for each in done:
            self._add_used(each)
        tools = self._tools(done)
        steps = {
            family: {"name": family, "position": str(number), "workExample": tool}
            for number, (family, tool) in enumerate(tools.items(), 1)
        }
        step_of = {
            name: self._files.entity(f"#step/{id_of(name)}", "HowToStep", said) for name, said in steps.items()
        }
        properties = {
            "name": self._run.pipeline,
            "hasPart": list(tools.values()),
            "step": list(step_of.values()),
            **self._source(),
        }
        main = self._files.workflow(workflow, properties)
        actions = {each.task.name: self._action(each, tools[each.task.family]) for each in done}
        whole = self._whole(main, done)
        controls = [
            self._files.entity(
                each.at("control"),
                "ControlAction",
                {
                    "name": f"start {each.task.name}",
                    "instrument": step_of[each.task.family],
                    "object": actions[each.task.name],
                },
            )
            for each in done
        ]
        organised = {
            "name": f"nbdag, run {self._run.id}",
            "instrument": self._software("pypi", "nbmake-dag", self._run.resource.version or ""),
            "object": controls,
            "result": whole,
            **_times(self._run.started, self._run.ended),
        }
        self._files.entity("#organise", "OrganizeAction", organised)
        self._root([whole, *actions.values()], licence)

    def _root(self, actions: list[Any], licence: tuple[str, bytes] | None) -> None:
        run, root = self._run, self._files.crate.root_dataset
        said = {
            "name": f"Run {run.id} of {run.pipeline}",
            "description": f"What run {run.id} of the pipeline {run.pipeline} used, executed and made."
            + " The repository had uncommitted changes." * (run.vcs.dirty is True),
            "license": "not stated",
            "datePublished": datetime.now(UTC).isoformat(timespec="seconds"),
            "mentions": actions,
            "conformsTo": [
                self._files.entity(url, ["CreativeWork", "Profile"], {"name": name, "version": version})
                for url, (name, version) in _PROFILES.items()
            ],
        }
        if licence is not None:
            path, data = licence
            what = {"@type": ["File", "CreativeWork"], "description": "The licence of the repository."}
            said["license"] = self._files.file(path, path, data, what)
        url = run.vcs.repository_url or ""
        if URL.fullmatch(url):
            named = {"name": run.vcs.repository_name or url}
            said["isBasedOn"] = self._files.entity(url, "SoftwareSourceCode", named | self._source())
        for name, value in utf8(said).items():
            root[name] = value

    def _done(self, task: TaskRun, folder: str) -> _Done | None:
        """Return what is known of an execution; ``None`` where there was none, or nothing is known of it."""
        found = self._recorded.record(task.record.own_key, task.record.key) if task.record else None
        try:
            record = msgspec.convert(found, _Record) if found is not None else None
        except msgspec.ValidationError:
            record = None
        is_known = bool(task.attempts) or (task.status in HITS and record is not None)
        return _Done(task=task, folder=folder, record=record) if is_known else None

    def _add_made(self, each: _Done) -> None:
        for output in each.record.outputs if each.record is not None else ():
            for file in output.files:
                entity = self._files.recorded(file)
                each.made.append(entity)
                for which in {(output.path, output.digest), (file.path, file.xxh3)}:
                    self._by_output.setdefault(which, []).append(entity)
        place = f"tasks/{each.folder}"
        for name, path in safe_paths(each.task.artifacts).items():
            logged = each.task.artifacts[name]
            said = {"encodingFormat": logged.media_type, "sha256": logged.sha256, "contentSize": str(logged.size)}
            data = self._recorded.blob(logged.sha256)
            each.made.append(self._files.file(f"{place}/artifacts/{path}", name, data, said))
        if notebooks := self._executed(each.task):
            data = encode_notebook(notebooks[max(notebooks)])
            said = {"description": "The notebook, as it was executed."}
            each.made.append(self._files.file(f"{place}/notebook.ipynb", f"{each.task.name}.ipynb", data, said))
        for name, value in each.task.metrics.items():
            each.made.append(self._value(each.at("metric", name), name, value))

    def _add_used(self, each: _Done) -> None:
        kept = {file.path: file for file in each.record.inputs} if each.record is not None else {}
        for item in each.ingredients:
            path = item.path or item.name
            if item.kind == "parameter":
                each.used.append(self._parameter(each, item))
            elif item.kind not in {"input", "read"} or not item.value:
                continue
            elif found := self._by_output.get((path, item.value)):
                each.used += found
            elif path in kept:
                each.used.append(self._files.recorded(kept[path]))
            else:
                each.used.append(self._files.by_digest(path, item.value))

    def _parameter(self, each: _Done, item: RecordedIngredient) -> Any:
        value = self._value(each.at("parameter", item.name), item.name, _read(item.value))
        known = self._formal.setdefault(each.task.family, {})
        if item.name not in known:
            at = f"#formal/{id_of(each.task.family)}/{id_of(item.name)}"
            said = {"name": item.name, "additionalType": "PropertyValue"}
            known[item.name] = self._files.entity(at, "FormalParameter", said)
        known[item.name].append_to("workExample", value)
        value["exampleOfWork"] = known[item.name]
        return value

    def _tools(self, done: list[_Done]) -> dict[str, Any]:
        """Add what the tasks of each family execute, and the software that it needs."""
        version = str(self._run.resource.attributes.get(RUNTIME_VERSION, ""))
        python = self._software("generic", "python", version)
        tools: dict[str, Any] = {}
        seen: set[tuple[str, str, str]] = set()
        for each in done:
            family, task = each.task.family, each.task
            if family not in tools:
                what = f"The {task.type or 'task'} {task.path or ''}".strip()
                said = {"name": family, "description": what, "softwareRequirements": [python], **self._source()}
                if formal := self._formal.get(family):
                    said["input"] = list(formal.values())
                tools[family] = self._files.entity(f"#tool/{id_of(family)}", "SoftwareApplication", said)
            packages = [(item.name, item.value) for item in each.ingredients if item.kind in {"package", "locked"}]
            for name, value in packages:
                if (family, name, value) not in seen:
                    seen.add((family, name, value))
                    package = self._software("pypi", name, *value.split(" "))
                    tools[family].append_to("softwareRequirements", package)
        return tools

    def _software(self, kind: str, name: str, version: str, *pinned: str) -> Any:
        """Add software by its package URL, with the hashes that a lock file has."""
        parts = (quote(each, safe="", errors="backslashreplace") for each in (name, version) if each)
        said = {"name": name, "softwareVersion": version, "identifier": list(pinned)}
        software = SoftwareApplication(
            self._files.crate, f"pkg:{kind}/{'@'.join(parts)}", utf8(_without_empty(said))
        )
        return self._files.crate.add(software)

    def _action(self, each: _Done, tool: Any) -> Any:
        task, origin = each.task, None
        if each.record is not None and task.status in HITS:
            origin = each.record.origin
            said = f"Executed in run {origin.run_id}; run {self._run.id} reused the result."
            times = _times(origin.started, origin.started + origin.duration_s * 1e9)
        else:
            said = f"Executed in run {self._run.id}."
            times = _times(task.started, task.ended)
        properties = {
            "name": task.name,
            "description": said,
            "instrument": tool,
            "object": _distinct(each.used),
            "result": _distinct(each.made),
            **times,
            **_status(task),
            **self._agent,
        }
        return self._files.entity(each.at("action"), "CreateAction", _without_empty(properties))

    def _whole(self, workflow: Any, done: list[_Done]) -> Any:
        """Add the execution of the workflow: what it took from outside, and all that it made."""
        run = self._run
        made = {item.id: item for each in done for item in each.made}
        values = [self._value(f"#given/{id_of(name)}", name, value) for name, value in run.parameters.items()]
        used = (
            item for each in done for item in each.used if item.id not in made and item.type != "PropertyValue"
        )
        properties = {
            "name": f"{run.pipeline}, run {run.id}",
            "description": f"Run {run.id} ended with {run.result}.",
            "instrument": workflow,
            "object": [*_distinct(used), *values],
            "result": list(made.values()),
            "actionStatus": _status_of(failed=run.result != "success"),
            **_times(run.started, run.ended),
            **self._agent,
        }
        return self._files.entity("#run", "CreateAction", _without_empty(properties))

    def _value(self, at: str, name: str, value: Any) -> Any:
        return self._files.entity(at, "PropertyValue", {"name": name, "value": _plain(value)})

    def _source(self) -> dict[str, Any]:
        """Return where the code is, and at which commit."""
        vcs = self._run.vcs
        return _without_empty({"codeRepository": vcs.repository_url, "version": vcs.head_revision})


def _without_empty(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value}


def _times(started: float | None, ended: float | None) -> dict[str, str]:
    """Write times in nanoseconds as the profile wants them, without those that no calendar has."""
    found: dict[str, str] = {}
    for name, time in (("startTime", started), ("endTime", ended)):
        try:
            if time is not None:
                found[name] = datetime.fromtimestamp(time / 1e9, UTC).isoformat(timespec="milliseconds")
        except (OverflowError, ValueError, OSError):
            continue
    return found


def _status(task: TaskRun) -> dict[str, str]:
    if task.status in {"ran", *HITS}:
        return {"actionStatus": _status_of(failed=False)}
    failure = task.attempts[-1].failure if task.attempts else None
    why = f"{failure.type}: {failure.message}" if failure else task.status
    return {"actionStatus": _status_of(failed=True), "error": scrubber(None)(why)}


def _status_of(*, failed: bool) -> str:
    return f"http://schema.org/{'Failed' if failed else 'Completed'}ActionStatus"


def _read(literal: str) -> Any:
    try:
        return msgspec.json.decode(literal)
    except msgspec.DecodeError:
        return literal


def _plain(value: Any) -> Any:
    """Return a value as JSON-LD has it; others are their text."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _distinct(entities: Iterable[Any]) -> list[Any]:
    return list({entity.id: entity for entity in entities}.values())
