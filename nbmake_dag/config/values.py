"""Values of parameters: their validation, their spelling in names and paths, their form on the command line."""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

import tomli

from nbmake_dag.config.lines import scan
from nbmake_dag.core.model import Value
from nbmake_dag.core.vocabulary import ValueType
from nbmake_dag.errors import UsageError

_CANNOT_BE_TOML = re.compile(r"(?!true$|false$|inf$|nan$)[A-Za-z_./][\w./:@%-]*", re.ASCII)
_IS_TOML_INT = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS = 400
_CONTROLS = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_RESERVED = frozenset({"inputs", "outputs"})
_MAX_SHOWN = 60


def name_fault(name: str) -> str | None:
    """Return why ``name`` cannot be a parameter: it would be pasted into code as ``name = value``."""
    if not name.isidentifier():
        return "is not an identifier"
    if keyword.iskeyword(name):
        return "is a keyword of Python"
    if unicodedata.normalize("NFKC", name) != name:
        return f"would be read as `{unicodedata.normalize('NFKC', name)}` by Python"
    if name.startswith("__"):
        return "begins with two underscores, which Python keeps for itself"
    if name in _RESERVED:
        return "is what the declared paths are called in a task"
    return None


def value_fault(value: object) -> str | None:
    """Return why ``value`` cannot be given to a task."""
    pending = [value]
    while pending:
        match pending.pop():
            case list() as items:
                pending.extend(cast("list[object]", items))
            case dict() as table:
                pending.extend(cast("dict[str, object]", table))
                pending.extend(cast("dict[str, object]", table).values())
            case single:
                if fault := _single_fault(single):
                    return fault
    return None


def spelling(value: Value) -> str:
    """Spell a value as in TOML, so that two values never share a spelling.

    A string is written without quotes unless it is empty, holds ``,`` ``[`` ``]`` ``=`` ``"``, white space or what
    cannot be printed, or would be read as another value (``1``, ``true``, ``1979-05-27``).
    """
    if isinstance(value, str) and (_CANNOT_BE_TOML.fullmatch(value) or _stands_unquoted(value)):
        return value
    return quoted(value)


def plain(value: Value) -> str:
    """Spell a value for a path or an argument of a command: strings as they are."""
    return value if isinstance(value, str) else spelling(value)


def parse_override(text: str) -> tuple[str, Value]:
    """Read ``NAME=VALUE`` of the command line; a value that is not TOML is a string."""
    name, equals, value_text = text.partition("=")
    if not equals:
        raise UsageError(f"`{text}` gives no value", hint="write NAME=VALUE, such as `-p learning_rate=0.1`")
    if fault := name_fault(name):
        raise UsageError(f"`{name}` cannot be a parameter: it {fault}")
    value = _toml(value_text)
    if fault := value_fault(value):
        raise UsageError(f"`{name}` cannot have this value: it {fault}", hint="quote it to give a string")
    return name, cast("Value", value)


def scalar(text: str) -> Value:
    """Read what a part of a path stands for: the value that is spelled so, else the text."""
    value = _toml(text)
    if isinstance(value, (bool, int, float)) and value_fault(value) is None and spelling(value) == text:
        return value
    return text


def convert_text(text: str, kind: ValueType) -> Value:
    """Read a text as a value of a type; raises `ValueError` with what goes on from "which …"."""
    bare = text.strip()
    match kind:
        case "text":
            return text
        case "int":
            if _INT.fullmatch(bare) and len(bare) <= _MAX_DIGITS:
                return int(bare)
            raise ValueError("is not a whole number")
        case "float":
            if _FLOAT.fullmatch(bare) and len(bare) <= _MAX_DIGITS:
                return float(bare)
            raise ValueError("is not a number")
        case "bool":
            if bare.lower() in {"true", "false"}:
                return bare.lower() == "true"
            raise ValueError("is neither `true` nor `false`")


def _toml(text: str) -> object:
    """Read one TOML value; text that is not one is a string.

    As an item with a neighbour: then neither a comment, a comma nor a bracket in ``text`` can end it early.
    """
    toml = f"v = [{text}, 0]".replace("\r\n", "\n")
    try:
        scan(toml)
        document: dict[str, Any] = tomli.loads(toml)
    except ValueError:
        return text
    return document["v"][0] if document.keys() == {"v"} and len(document["v"]) == 2 else text


def _single_fault(value: object) -> str | None:
    match value:
        case str() if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            return "holds text that is not Unicode"
        case int() if not -(2**63) <= value < 2**63:
            return "holds a number that does not fit into 64 bits"
        case float() if not math.isfinite(value):
            return f"holds `{value}`, which cannot be written to JSON"
        case str() | int() | float():
            return None
        case None:
            return "holds nothing, which TOML cannot express"
        case _:
            return "holds a date or a time, whose type not every kernel knows"


def _stands_unquoted(text: str) -> bool:
    return (
        text != ""
        and not _IS_TOML_INT.fullmatch(text)
        and not any(char in ',[]="' or char.isspace() or not char.isprintable() for char in text)
        and _toml(text) is text
    )


def quoted(value: Value) -> str:
    match value:
        case str():
            return '"' + "".join(map(escaped, value.replace("\\", "\\\\").replace('"', '\\"'))) + '"'
        case bool():
            return "true" if value else "false"
        case list():
            return "[" + ",".join(map(quoted, value)) + "]"
        case Mapping():
            return "{" + ",".join(f"{quoted(key)}={quoted(value[key])}" for key in sorted(value)) + "}"
        case _:
            return repr(value)


def shortened(text: str) -> str:
    """Cut what is too long to be shown within a sentence."""
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def escaped(char: str) -> str:
    """Spell a character as in a basic string of TOML, if it cannot be printed."""
    if char.isprintable():
        return char
    if char in _CONTROLS:
        return _CONTROLS[char]
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
