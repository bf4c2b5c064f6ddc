"""A pipeline of several files, said in one: what `nbdag config` prints, which is a pipeline file as well.

Its tasks have the names and paths that they have in the whole pipeline. As `[parameters]` and `[defaults]` hold
for the tasks of one file alone, each task says itself what reaches it of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.expansion import PipelineFile
from nbmake_dag.config.parameters import SharedParameters
from nbmake_dag.config.parts import OF_EACH_FILE, in_whole, set_in_whole, with_paths
from nbmake_dag.config.tables import given
from nbmake_dag.config.tasks import Family, over
from nbmake_dag.config.templates import fill_known
from nbmake_dag.core.model import Pipeline, Signature, Value


class Reaching(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a file that one of its tasks has.

    ``paths`` are those that only its paths name, where the work would be given them if the task said them itself.
    """

    work: Mapping[str, Value]
    paths: Mapping[str, Value]


def reaching(file: PipelineFile, signatures: Mapping[str, Signature], pipeline: Pipeline) -> dict[str, Reaching]:
    """Return what reaches each task of `[parameters]` and `[defaults]`, without what it or its instances say."""
    complaints = Complaints(file.file, file.lines)
    shared = {
        folder: SharedParameters(
            given(document).get("parameters", {}), given(document.defaults).get("parameters", {}), {}, complaints
        )
        for folder, _, document in file.documents()
    }
    columns = {task.family: task.values.keys() for task in pipeline.tasks.values()}
    found: dict[str, Reaching] = {}
    for name, keys in file.families().items():
        family = Family(name, keys, shared[file.folder_of(name)], signatures, {}, None, complaints)
        there, names = family.shared_values(columns.get(name, ()))
        found[name] = Reaching(
            work={key: value for key, value in there.items() if key in names},
            paths={key: value for key, value in there.items() if key not in names},
        )
    return found


def in_one_file(contents: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Reaching]) -> dict[str, Any]:
    """Return what one file would say; ``contents`` are those of the files by folder, that of no part first."""
    one = {key: value for key, value in contents[""].items() if key not in OF_EACH_FILE}
    one["pipeline"] = {key: value for key, value in one.get("pipeline", {}).items() if key != "parts"}
    sets: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    for folder, content in contents.items():
        before = f"{folder}/" if folder else ""
        for name, table in content.get("sets", {}).items():
            sets[f"{before}{name}"] = set_in_whole(table, folder)
        defaults = {key: value for key, value in content.get("defaults", {}).items() if key != "parameters"}
        for name, table in content.get("tasks", {}).items():
            whole = f"{before}{name}"
            tasks[whole] = _with(in_whole(over(defaults, table), folder), parameters[whole])
    return {**one, **({"sets": sets} if sets else {}), "tasks": tasks}


def _with(keys: dict[str, Any], parameters: Reaching) -> dict[str, Any]:
    """Return the keys of a task with the parameters of its file: those of paths alone in these."""
    if parameters.paths:
        keys = with_paths(keys, lambda text: fill_known(text, parameters.paths))
    own = {**parameters.work, **keys.get("parameters", {})}
    return {**keys, "parameters": own} if own else keys
