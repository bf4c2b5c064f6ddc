"""Read `pipeline.toml` into typed tables, and report all errors at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tomli

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.conversion import convert
from nbmake_dag.config.expansion import PipelineFile, complain, expand
from nbmake_dag.config.instances import Found, Unreadable
from nbmake_dag.config.lines import MAX_DEPTH, Lines, TooDeepError, scan
from nbmake_dag.config.profiles import check, overlaid, refuse
from nbmake_dag.config.schema import json_schema
from nbmake_dag.config.tables import Document
from nbmake_dag.config.values import parse_override
from nbmake_dag.core.model import Signature
from nbmake_dag.errors import Complaint, ConfigError

__all__ = [
    "Found",
    "PipelineFile",
    "Signature",
    "Unreadable",
    "effective",
    "expand",
    "json_schema",
    "parse",
    "parse_override",
]

MAX_BYTES = 64 * 2**20
_BYTE_ORDER_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xef\xbb\xbf": "UTF-8 with a byte order mark",
}
_DECLARED_TWICE = re.compile(r"Cannot declare .* twice")
_HAS_A_VALUE = "Cannot overwrite a value"


def parse(text: bytes, *, file: str = "pipeline.toml", profiles: Sequence[str] = ()) -> PipelineFile:
    """Read the file's text; raise `ConfigError` with every complaint that needs no look at a notebook.

    ``profiles`` are laid over it, the later over the earlier ones.
    """
    return _read(text, file, profiles)[1]


def effective(text: bytes, *, file: str, profiles: Sequence[str]) -> tuple[dict[str, Any], Lines]:
    """Return what the file says with profiles laid over it, and where; raise `ConfigError` as `parse` does."""
    content, parsed = _read(text, file, profiles)
    return {key: value for key, value in content.items() if key != "profiles"}, parsed.lines


def _read(text: bytes, file: str, profiles: Sequence[str]) -> tuple[dict[str, Any], PipelineFile]:
    source = _decode(text, file)
    try:
        lines = scan(source)
        raw = tomli.loads(source)
    except TooDeepError as error:
        raise _refused(
            f"keys and values are nested deeper than {MAX_DEPTH} levels", f"{file}:{error.line}"
        ) from None
    except tomli.TOMLDecodeError as error:
        raise _refused(_in_other_words(error), f"{file}:{error.lineno}") from None
    except ValueError:
        raise _refused("a number has too many digits", file) from None
    complaints = Complaints(file, lines)
    refuse(raw, complaints)
    document = convert(raw, Document, complaints)
    check(raw, profiles, complaints)
    if complaints:
        names = raw["tasks"] if isinstance(raw.get("tasks"), dict) else {}
        parsed = PipelineFile(document=document, lines=lines, file=file)
        complain(parsed, complaints, left_out=frozenset(names) - (document.tasks or {}).keys())
    complaints.raise_if_any()
    if profiles:
        raw, moved = overlaid(raw, profiles)
        lines = replace(lines, moved=moved)
        document = convert(raw, Document, complaints)
    return raw, PipelineFile(document=document, lines=lines, file=file)


def _decode(text: bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        raise _refused(f"the file has {len(text):,} bytes, more than {MAX_BYTES:,}", file)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if text.startswith(mark):
            raise _refused(f"the file is {encoding}", f"{file}:1", "save it as plain UTF-8")
    if b"\0" in text:
        line = text.count(b"\n", 0, text.index(b"\0")) + 1
        raise _refused("the file holds a NUL byte", f"{file}:{line}", "save it as plain UTF-8")
    try:
        return text.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        what = f"the file is not UTF-8: byte 0x{text[error.start]:02x}"
        raise _refused(what, f"{file}:{line}", "save it as plain UTF-8") from None


def _in_other_words(error: tomli.TOMLDecodeError) -> str:
    if _DECLARED_TWICE.fullmatch(error.msg):
        return "the table is declared a second time"
    if error.msg == _HAS_A_VALUE:
        return "the key has a value already"
    return f"not TOML: {error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})"


def _refused(what: str, place: str, hint: str = "") -> ConfigError:
    return ConfigError((Complaint(what=what, place=place, hint=hint),))
