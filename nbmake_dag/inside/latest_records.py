"""The latest results of tasks, read from the cache of the project around a folder."""

from __future__ import annotations

import json
import os
from typing import Any

from nbmake_dag.inside.figure_scripts import MEDIA_TYPE as FIGURE_SCRIPT


def latest_records(folder: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return params, metrics, tags and artifacts (name to path of the file) of every task's latest execution.

    Empty where no folder above has a cache. Damaged records are passed over: the next build deals with them.
    """
    cache = _cache_above(folder)
    latest: dict[str, dict[str, Any]] = {}
    for path in _record_files(cache) if cache else ():
        try:
            with open(path, "rb") as file:
                record = json.load(file)
            task, started = record["task"], record["origin"]["started"]
            if task not in latest or latest[task]["origin"]["started"] < started:
                latest[task] = record
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {task: _left(cache, record) for task, record in sorted(latest.items())}


def _cache_above(folder: str) -> str:
    while True:
        cache = os.path.join(folder, ".nbdag", "cache")
        if os.path.isdir(cache):
            return cache
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above


def _record_files(cache: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(os.path.join(cache, "records"))
        for name in names
        if name.endswith(".json")
    ]


def _left(cache: str, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    logged = record["logged"]
    parameters = {name: _value(value) for kind, name, value, *_ in record["ingredients"] if kind == "parameter"}
    return {
        "params": {**parameters, **logged["params"]},
        "metrics": logged["metrics"],
        "tags": logged["tags"],
        "artifacts": {
            name: os.path.join(cache, "blobs", artifact["sha256"][:2], artifact["sha256"])
            for name, artifact in logged["artifacts"].items()
            if artifact["media_type"] != FIGURE_SCRIPT
        },
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
