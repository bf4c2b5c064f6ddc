"""The JSON Schema of ``pipeline.toml``: what its types say, and what a build refuses besides by its structure.

Whether files exist and names refer to something, only a build can tell.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from itertools import combinations
from typing import Any, TypeAlias, cast

import msgspec

from nbmake_dag.config.remote_inputs import HERE
from nbmake_dag.config.remote_inputs import KEYS as REMOTE_KEYS
from nbmake_dag.config.rows import EXTENSIONS
from nbmake_dag.config.tables import Document, describe_unit
from nbmake_dag.config.tasks import EITHER, NOTEBOOK_KEYS, TOLERANT, WORK_KEYS

Rules: TypeAlias = dict[str, Any]

_ANY_OF_WORK: Rules = {"anyOf": [{"required": [key]} for key in WORK_KEYS]}
_LETTER, _MORE = r"A-Za-z_\u0080-\uffff", r"A-Za-z0-9_\u0080-\uffff"  # Unicode's identifiers, and some more
_MODULE = rf"[{_LETTER}][{_MORE}]*(?:\.[{_LETTER}][{_MORE}]*)*"
_NOT_EMPTY = r"(?=[\s\S]*\S)"
_LINE = r"[^\x00-\x1f\x7f]+"
_BEGINS_INSIDE = r"(?!/|~|[\s\S]*://|(?:[\s\S]*/)?\.(?:git|nbdag)(?:/|$))"
_FILLED = r"(?=(?:[^{}]|\{[^{}]+\})*$)"
"""Braces have the name of a parameter in them."""
_CHARACTERS = r"[^\\\x00-\x1f\x7f]+"
_LOCK_FILE = r"(?:uv\.lock|pylock(?:\.[^./]+)?\.toml|[^/\\\x00-\x1f\x7f]+\.txt)"
_NO_WILDCARDS = r"(?:[^\\\x00-\x1f\x7f*?\[]|\[[*?\[]\])+"
_PATH = rf"^{_BEGINS_INSIDE}{_CHARACTERS}$"
_READ = rf"^{_FILLED}{_BEGINS_INSIDE}(?![\s\S]*(?:[^/]\*\*|\*\*[^/])){_CHARACTERS}$"
_URL = rf"^{_FILLED}(?!(?:{'|'.join(sorted(HERE))})://)[a-z][a-z0-9+-]*://[^\s/]+/[^\s*?#]*[^\s*/?#](?:[?#]\S*)?$"
_WRITTEN = rf"^{_FILLED}{_BEGINS_INSIDE}(?!\.\./|\.\.?$|\./$){_NO_WILDCARDS}$"
_EXTENSION = "|".join(extension.removeprefix(".") for extension in EXTENSIONS)
_VARIABLE: Rules = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
_VARIABLES: Rules = {"items": _VARIABLE}
_NAMES: Rules = {
    "propertyNames": {
        "pattern": rf"^(?!__)[{_LETTER}][{_MORE}]*$",
        "not": {"enum": [*keyword.kwlist, "inputs", "outputs"]},
    }
}
_NAME_PART = r"(?!\.{1,2}(?:/|$))[^\s\[\]=,/](?:[^\[\]=,/\x00-\x1f\x7f]*[^\s\[\]=,/])?"
_TASK_NAME: Rules = {
    "pattern": rf"^{_NAME_PART}(?:/{_NAME_PART})*$",
    "maxLength": 255,
}
_AXES: Rules = {**_NAMES, "additionalProperties": {"minItems": 1}}
_WITHOUT_NUL = {"pattern": r"^[^\x00]*$"}


def _paths(pattern: str) -> Rules:
    """Return the rule of paths as a list, or in a table by name."""
    path = {"pattern": pattern}
    return {"items": path, "additionalProperties": path}


_WITHOUT_WORK_OF_DEFAULTS: Rules = {"not": {"required": ["defaults"], "properties": {"defaults": _ANY_OF_WORK}}}
_OF_THE_FILE: Rules = {
    "anyOf": [
        {"required": ["tasks"]},
        {"required": ["pipeline"], "properties": {"pipeline": {"required": ["parts"]}}},
    ],
    "properties": {"tasks": {"minProperties": 1, "propertyNames": _TASK_NAME}},
    "if": _WITHOUT_WORK_OF_DEFAULTS,
    "then": {"properties": {"tasks": {"additionalProperties": _ANY_OF_WORK}}},
}
"""What holds for a whole file, and not for each part of one."""

_OF_TASKS: Rules = {
    "not": {"anyOf": [{"required": list(pair)} for pair in (*combinations(WORK_KEYS, 2), *EITHER)]},
    "allOf": [
        {
            "if": {"anyOf": [{"required": ["function"]}, {"required": ["command"]}]},
            "then": {"not": {"anyOf": [{"required": [key]} for key in NOTEBOOK_KEYS]}},
        },
        {
            "if": {"required": ["notebook"], "properties": {"notebook": {"pattern": r"\.ipynb$"}}},
            "then": {"properties": {"format": {"const": ""}}},
        },
        {
            "if": {"required": ["check"], "properties": {"check": {"const": True}}},
            "then": {"properties": {"outputs": {"maxItems": 0, "maxProperties": 0}}},
        },
    ],
}
"""What holds for tasks, and not for their defaults."""

_OF_TABLES: Mapping[str, Rules] = {
    "PipelineTable": {
        "name": {"pattern": rf"^{_NOT_EMPTY}{_LINE}$", "maxLength": 255},
        "ignore": {"items": {"pattern": r"^(?!!?/*$)[^\\]+$"}},
        "parts": {"items": {"pattern": r"^(?![/~])[^\\]*[^/\\]/[^/\\]+$"}},
    },
    "SoftwareTable": {
        "lockfiles": {"items": {"pattern": rf"^{_BEGINS_INSIDE}{_NO_WILDCARDS}$"}},
        "packages": {"items": {"pattern": "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$"}},
        "variables": _VARIABLES,
    },
    "CacheTable": {
        "remote": {"pattern": rf"^{_NOT_EMPTY}(?![\s\S]*::)(?![^/]*://[^/]*@){_LINE}$"},
        "public_keys": {"items": {"pattern": "^[A-Za-z0-9+/]{43}=$"}},
    },
    "EnvironmentTable": {
        "lock": {
            "pattern": rf"^{_BEGINS_INSIDE}(?:{_CHARACTERS}/)?(?:uv\.lock|pylock(?:\.[^./]+)?\.toml|[^/]+\.txt)$"
        },
        "python": {"pattern": r"^3\.[0-9]{1,2}$"},
        "env": {"propertyNames": _VARIABLE, "additionalProperties": _WITHOUT_NUL},
    },
    "KernelTable": {"preload": {"items": {"pattern": f"^{_MODULE}$"}}},
    "ReportTable": {"allow": _VARIABLES},
    "InstancesTable": {
        "product": _AXES,
        "rows": {
            "minItems": 1,
            "items": {**_NAMES, "minProperties": 1},
            "pattern": rf"^{_BEGINS_INSIDE}{_NO_WILDCARDS}\.(?:{_EXTENSION})$",
        },
        "files": {"pattern": rf"^{_FILLED}{_BEGINS_INSIDE}(?=[\s\S]*\{{)(?![\s\S]*\}}\{{){_NO_WILDCARDS}$"},
    },
    "InputTable": {"path": {"pattern": _READ}, "url": {"pattern": _URL}},
    "OutputTable": {"path": {"pattern": _WRITTEN}},
    "TaskTable": {
        "notebook": {"pattern": _PATH},
        "function": {"pattern": f"^{_MODULE}:{_MODULE}$"},
        "command": {
            "minItems": 1,
            "prefixItems": [{"minLength": 1, **_WITHOUT_NUL}],
            "items": _WITHOUT_NUL,
            "contains": {"pattern": r"\S"},
            "pattern": rf"^{_NOT_EMPTY}[^\x00]*$",
        },
        "inputs": _paths(f"{_READ}|{_URL}"),
        "outputs": _paths(_WRITTEN),
        "workdir": {"pattern": rf"^{_FILLED}{_BEGINS_INSIDE}{_CHARACTERS}$"},
        "notebook_output": {"pattern": _WRITTEN.removesuffix("$") + r"(?:\.ipynb|\.html|\})$"},
        "matrix": _AXES,
        "parameters": _NAMES,
        "format": {"pattern": "^(?:[A-Za-z]+:[a-z]+)?$"},
        "env": {"propertyNames": _VARIABLE, "additionalProperties": _WITHOUT_NUL},
        "secrets": _VARIABLES,
        "pools": {"uniqueItems": True},
    },
    "Document": {
        "parameters": _NAMES,
        "pools": {"propertyNames": {"pattern": rf"^{_NOT_EMPTY}{_LINE}$"}},
        "sets": {"additionalProperties": {"not": {"required": ["set"]}}},
    },
    "ProfileTable": {"parameters": _NAMES},
}
"""What the keys of a table may be."""

_ONE_SOURCE: Rules = {
    "oneOf": [{"required": [key]} for key in ("product", "rows", "files", "set")],
    "dependentRequired": {"exclude": ["product"], "include": ["product"]},
    "dependentSchemas": {
        "set": {"maxProperties": 1},
        "types": {
            "anyOf": [{"required": ["files"]}, {"required": ["rows"], "properties": {"rows": {"type": "string"}}}]
        },
    },
}
_PATH_OR_GATHERED: Rules = {
    "oneOf": [{"required": [key]} for key in ("path", "task", "url")],
    "dependentRequired": {"optional": ["path"], "output": ["task"], **{key: ["url"] for key in REMOTE_KEYS}},
}
_COMPARED: Rules = {
    "allOf": [
        {
            "if": {"required": [key]},
            "then": {"required": ["compare"], "properties": {"compare": {"enum": [*kinds]}}},
        }
        for key, kinds in TOLERANT.items()
    ]
}
_WITH_REMOTE: Rules = {
    "dependentRequired": {key: ["remote"] for key in ("remote_mode", "trusted_branches", "public_keys")}
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``pipeline.toml``, for editors."""
    described = msgspec.json.schema(Document, schema_hook=describe_unit)
    tables = described["$defs"]
    for name, keys in _OF_TABLES.items():
        _add({"properties": keys}, tables[name])
    in_profiles = {key: rule for key, rule in _OF_TABLES["TaskTable"].items() if key != "secrets"}
    _add({"properties": in_profiles}, tables["TaskKeys"])
    tables["EnvironmentTable"]["required"] = ["lock"]
    _add(_ONE_SOURCE, tables["InstancesTable"])
    _add(_WITH_REMOTE, tables["CacheTable"])
    _add(_PATH_OR_GATHERED, tables["InputTable"])
    _add(_COMPARED, tables["OutputTable"])
    _add({"additionalProperties": _OF_TASKS}, tables["Document"]["properties"]["tasks"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipeline.toml of nbdag",
        **described,
        **_OF_THE_FILE,
    }


def _add(rules: Rules, schema: dict[str, Any]) -> None:
    """Add rules to a schema, and to what is below it; no rule is there already."""
    for key, rule in rules.items():
        if key in schema and isinstance(rule, dict) and isinstance(schema[key], dict):
            _add(cast("Rules", rule), schema[key])
        else:
            schema[key] = rule
