"""Read `pipeline.toml` into typed tables, and report all errors at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import tomli
from msgspec.structs import replace

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.conversion import convert
from nbmake_dag.config.expansion import PipelineFile, complain, expand, settings_of
from nbmake_dag.config.instances import Found, Unreadable
from nbmake_dag.config.lines import MAX_DEPTH, Lines, TooDeepError, scan
from nbmake_dag.config.parts import folder_fault, parts_in, pattern_fault, refuse_in_part
from nbmake_dag.config.profiles import check, overlaid, profiles_of, refuse
from nbmake_dag.config.schema import json_schema
from nbmake_dag.config.tables import Document, given
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
    "parts_in",
    "settings_of",
]

MAX_BYTES = 64 * 2**20
_BYTE_ORDER_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xef\xbb\xbf": "UTF-8 with a byte order mark",
}
_DECLARED_TWICE = re.compile(r"Cannot declare .* twice")
_DIGITS = re.compile(r"[\d_]+")
_HAS_A_VALUE = "Cannot overwrite a value"
_CONFLICT_MARKERS = ("<<<<<<< ", "=======", ">>>>>>> ")


def parse(
    text: bytes,
    *,
    file: str = "pipeline.toml",
    profiles: Sequence[str] = (),
    parts: Mapping[str, bytes | Unreadable] | None = None,
) -> PipelineFile:
    """Read the file's text; raise `ConfigError` with every complaint that needs no look at a notebook.

    ``profiles`` are laid over it, the later over the earlier ones. ``parts`` are the files that it names as such,
    by their paths.
    """
    return _read(text, file, profiles, parts or {})[1]


def effective(
    text: bytes,
    *,
    file: str,
    profiles: Sequence[str],
    elsewhere: Sequence[str] = (),
    parts: Mapping[str, bytes | Unreadable] | None = None,
) -> tuple[dict[str, dict[str, Any]], Lines]:
    """Return what a file and its parts say with profiles laid over them, by folder, and where.

    Profiles ``elsewhere`` are those of other files, which these need not have. Raises `ConfigError`, as `parse`
    does.
    """
    contents, parsed = _read(text, file, profiles, parts or {}, elsewhere)
    without = {
        folder: {key: value for key, value in content.items() if key != "profiles"}
        for folder, content in contents.items()
    }
    return without, parsed.lines


class _Text(msgspec.Struct, frozen=True):
    """One file, before profiles are laid over it."""

    raw: dict[str, Any]
    lines: Lines
    document: Document
    complaints: Complaints

    def under(self, profiles: Sequence[str]) -> tuple[dict[str, Any], Lines, Document]:
        """Return what counts with those of some profiles that it has."""
        chosen = [name for name in profiles if name in profiles_of(self.raw)]
        if not chosen:
            return self.raw, self.lines, self.document
        raw, moved = overlaid(self.raw, chosen)
        return raw, replace(self.lines, moved=moved), convert(raw, Document, self.complaints)


def _read(
    text: bytes,
    file: str,
    profiles: Sequence[str],
    parts: Mapping[str, bytes | Unreadable],
    elsewhere: Sequence[str] = (),
) -> tuple[dict[str, dict[str, Any]], PipelineFile]:
    whole = _checked(text, file)
    folders, complaints = _parts(whole, file, parts), whole.complaints
    elsewhere = [*elsewhere, *(name for _, each in folders.values() for name in profiles_of(each.raw))]
    check(whole.raw, profiles, complaints, elsewhere)
    for _, each in folders.values():
        check(each.raw, (), each.complaints)
        complaints.add_all(each.complaints)
    if complaints:
        places = {folder: (path, each.lines) for folder, (path, each) in folders.items()}
        lines = replace(whole.lines, parts=places)
        parsed = PipelineFile(
            document=whole.document,
            lines=lines,
            file=file,
            parts={folder: each.document for folder, (_, each) in folders.items()},
        )
        placed = Complaints(file, lines)
        placed.add_all(complaints)
        left_out = _left_out(whole, "") | {
            name for folder, (_, each) in folders.items() for name in _left_out(each, f"{folder}/")
        }
        complain(parsed, placed, left_out=frozenset(left_out))
        placed.raise_if_any()
    raw, lines, document = whole.under(profiles)
    overlays = {folder: (path, each.under(profiles)) for folder, (path, each) in folders.items()}
    lines = replace(lines, parts={folder: (path, under[1]) for folder, (path, under) in overlays.items()})
    contents = {"": raw, **{folder: under[0] for folder, (_, under) in overlays.items()}}
    return contents, PipelineFile(
        document=document,
        lines=lines,
        file=file,
        parts={folder: under[2] for folder, (_, under) in overlays.items()},
    )


def _left_out(text: _Text, before: str) -> set[str]:
    """Return the tasks of a file that could not be read."""
    names = text.raw["tasks"] if isinstance(text.raw.get("tasks"), dict) else {}
    return {f"{before}{name}" for name in names.keys() - (text.document.tasks or {}).keys()}


def _parts(whole: _Text, file: str, parts: Mapping[str, bytes | Unreadable]) -> dict[str, tuple[str, _Text]]:
    """Read the parts of a file, by their folders."""
    at, complaints = ("pipeline", "parts"), whole.complaints
    for pattern in given(whole.document.pipeline).get("parts", ()):
        if fault := pattern_fault(pattern):
            complaints.add(at, f"part `{pattern}` {fault[0]}", fault[1])
    found: dict[str, tuple[str, _Text]] = {}
    for path, text in parts.items():
        folder = path.rpartition("/")[0]
        if isinstance(text, Unreadable):
            complaints.add(at, f"part `{path}` {text.what}")
        elif reason := folder_fault(folder):
            complaints.add(at, f"part `{path}` {reason}")
        elif folder in found:
            what = f"parts `{found[folder][0]}` and `{path}` are in the same folder"
            complaints.add(at, what, "tasks are named by the folder of their part: give each its own")
        else:
            found[folder] = path, _checked(text, path, part_of=file)
    return found


def _checked(text: bytes, file: str, *, part_of: str = "") -> _Text:
    """Read one file; raise `ConfigError` where it is no TOML."""
    source = _decode(text, file)
    try:
        lines = scan(source)
        raw = tomli.loads(source)
    except TooDeepError as error:
        raise _refused(
            f"keys and values are nested deeper than {MAX_DEPTH} levels", f"{file}:{error.line}"
        ) from None
    except tomli.TOMLDecodeError as error:
        if error.doc.split("\n")[error.lineno - 1].startswith(_CONFLICT_MARKERS):
            raise _refused("a conflict marker of git", f"{file}:{error.lineno}", "resolve the merge") from None
        raise _refused(_in_other_words(error), f"{file}:{error.lineno}") from None
    except ValueError:
        longest = max(_DIGITS.finditer(source), key=lambda digits: len(digits[0]))
        line = source.count("\n", 0, longest.start()) + 1
        raise _refused("a number has too many digits", f"{file}:{line}") from None
    complaints = Complaints(file, lines)
    if part_of:
        refuse_in_part(raw, part_of, complaints)
    refuse(raw, complaints)
    return _Text(raw, lines, convert(raw, Document, complaints), complaints)


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
