"""Parts: the pipeline files of folders below that of a pipeline, whose tasks belong to it.

What a part says is relative to its own folder, and its parameters, defaults, sets and profiles are its own. Here
its tasks become tasks of the whole pipeline: `clean` of `etl/pipeline.toml` is `etl/clean`, and its paths begin
with `etl/`. Nothing after this knows of parts, but for the file in which a task stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nbmake_dag.config.paths import PathError, read_pattern
from nbmake_dag.config.tables import Document

if TYPE_CHECKING:
    from nbmake_dag.config.complaints import Complaints

OF_EACH_FILE = frozenset({"parameters", "defaults", "sets", "tasks", "profiles"})
"""The tables that a part has as well; all others hold for the whole pipeline."""
OF_THE_WHOLE = frozenset(Document.__struct_fields__) - OF_EACH_FILE
_NOT_IN_FOLDERS = frozenset("[]{}*?=,")


def refuse_in_part(content: dict[str, Any], file: str, complaints: Complaints) -> None:
    """Take out of a part what only the whole pipeline has, and complain about it."""
    for key in [key for key in content if key in OF_THE_WHOLE]:
        what = f"a part of a pipeline cannot set `{key}`, which holds for the whole pipeline"
        complaints.add((key,), what, f"write it in {file}, or leave it out")
        del content[key]


def parts_in(text: bytes) -> tuple[str, ...]:
    """Return the paths and globs that a pipeline file names as parts; raises `ValueError` if it is not TOML."""
    if b"parts" not in text:
        return ()
    import tomli  # noqa: PLC0415 - the search for a project reads a file above only where it has parts

    try:
        pipeline = tomli.loads(text.decode().replace("\r\n", "\n")).get("pipeline")
    except RecursionError:
        raise ValueError("nested too deep") from None
    parts = pipeline.get("parts") if isinstance(pipeline, dict) else None
    named = [each for each in parts if isinstance(each, str)] if isinstance(parts, list) else []
    return tuple(read_pattern(each) for each in named if pattern_fault(each) is None)


def pattern_fault(text: str) -> tuple[str, str] | None:
    """Return why no part can be named like this, and a hint."""
    try:
        path = read_pattern(text)
    except PathError as error:
        return error.what, error.hint
    if path.startswith("../"):
        return "is not inside the project", "a part is in a folder below this file"
    if "/" not in path:
        return "is beside this file", "a part is in a folder below this file"
    if path.endswith("/"):
        return "is a folder", f"name the file in it: `{path}pipeline.toml`"
    return None


def folder_fault(folder: str) -> str | None:
    """Return why tasks of a folder cannot be named by it."""
    if found := sorted(_NOT_IN_FOLDERS.intersection(folder)):
        return f"is in a folder with `{found[0]}`, which has a meaning in the names of tasks and paths"
    return None


def in_whole(keys: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Return the keys of a task of a part, with paths and names as the whole pipeline has them."""
    if not folder:
        return dict(keys)
    found = with_paths({"workdir": ".", **keys}, partial(_below, folder))
    if "notebook" in found:
        found["notebook"] = _below(folder, found["notebook"])
    if isinstance(found.get("inputs"), dict):
        found["inputs"] = {name: _named_below(folder, item) for name, item in found["inputs"].items()}
    if "after" in found:
        found["after"] = [f"{folder}/{name}" for name in found["after"]]
    if "instances" in found:
        found["instances"] = set_in_whole(found["instances"], folder)
    return found


def set_in_whole(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Return where instances of a part come from, with paths and names as the whole pipeline has them."""
    found = dict(table)
    if not folder:
        return found
    if isinstance(found.get("rows"), str):
        found["rows"] = _below(folder, found["rows"])
    if "files" in found:
        found["files"] = _below(folder, found["files"])
    if "set" in found:
        found["set"] = f"{folder}/{found['set']}"
    return found


def with_paths(keys: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return the keys of a task with all its paths changed that can have parameters in them."""

    def changed(item: str | Mapping[str, Any]) -> str | dict[str, Any]:
        if isinstance(item, str):
            return change(item)
        return {**item, "path": change(item["path"])} if "path" in item else dict(item)

    found = {key: change(value) if key in {"workdir", "notebook_output"} else value for key, value in keys.items()}
    for key in ("inputs", "outputs"):
        declared = found.get(key)
        if isinstance(declared, list):
            found[key] = [change(text) for text in declared]
        elif isinstance(declared, dict):
            found[key] = {name: changed(item) for name, item in declared.items()}
    return found


def _named_below(folder: str, item: str | dict[str, Any]) -> str | dict[str, Any]:
    """Return an input, where it gathers outputs with the whole name of their task."""
    return item if isinstance(item, str) or "task" not in item else {**item, "task": f"{folder}/{item['task']}"}


def _below(folder: str, text: str) -> str:
    """Return a declared path from the root; one that cannot be declared stays, to be complained about."""
    if not text or text.startswith(("/", "~")) or "://" in text:
        return text
    while folder and text.startswith("../") and text != "../":
        folder, text = folder.rpartition("/")[0], text[3:]
    if not folder:
        return text
    return f"{folder}/" if text == "." else f"{folder}/{text}"
