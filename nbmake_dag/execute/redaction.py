"""Declared secrets are replaced where output is captured: only there their values are certainly known.

Files that work writes are never rewritten; they are searched, so that one that holds a secret is stored nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec.structs import replace

from nbmake_dag.core.urls import secrets_in
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    CellEnded,
    CellRun,
    CellStarted,
    Event,
    Failure,
    Printed,
    Unresumable,
)
from nbmake_dag_cache.record import Number
from nbmake_dag_reporting.secrets_scan import SHORTEST, forms_of

_WORD = 8
"""Characters of a form below which it is replaced as a whole word only."""
_PIECE = 4 << 20
"""Bytes of a file that are searched at once."""


class Redactor:
    """Replaces secrets by ``[secret NAME]``, plain and in their usual encodings."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names = {
            form.decode(errors="surrogateescape"): name
            for name, value in values.items()
            if len(value) >= SHORTEST
            for form in (*forms_of(value), value.encode(errors="surrogateescape"))
            if len(form) >= SHORTEST
        }
        forms = sorted(self._names, key=lambda form: (-len(form), form))
        self._by_first: dict[str, list[str]] = {}
        for form in forms:
            self._by_first.setdefault(form[0], []).append(form)
        self._longest = len(forms[0]) if forms else 0
        self._pattern = re.compile("|".join(map(_pattern_of, forms))) if forms else None
        self._encoded = {form.encode(errors="surrogateescape"): form for form in forms}
        self._overlap = max(map(len, self._encoded), default=0) + 1

    def __bool__(self) -> bool:
        return self._pattern is not None

    def text(self, text: str) -> str:
        if self._pattern is None or not self._may_hold(text):
            return text
        return self._pattern.sub(lambda found: f"[secret {self._names[found[0]]}]", text)

    def _may_hold(self, text: str) -> bool:
        """Look for one form after the other, which is much faster than looking for all at once."""
        return any(form in text for form in self._names)

    def value(self, value: Any) -> Any:
        """Replace secrets in all texts of a JSON value, its keys included."""
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self.value(item) for item in value]
            case dict():
                return {self.value(key): self.value(item) for key, item in value.items()}
            case int() | float() if (name := self.name_of_number(value)) is not None:
                return f"[secret {name}]"
            case _:
                return value

    def failure(self, failure: Failure) -> Failure:
        texts = {
            name: self.text(getattr(failure, name))
            for name in ("type", "message", "traceback", "cell_source", "hint")
        }
        return replace(failure, **texts)

    def cell(self, cell: CellRun) -> CellRun:
        return replace(
            cell,
            first_line=self.text(cell.first_line),
            error=cell.error and self.text(cell.error),
            allowed=cell.allowed and self.text(cell.allowed),
        )

    def name_of_number(self, number: Number) -> str | None:
        """Return the name of a secret that is this number, as it is written with and without a fraction."""
        whole = str(int(number)) if isinstance(number, float) and number.is_integer() else ""
        return self._names.get(str(number)) or self._names.get(whole)

    def name_in_text(self, text: str) -> str | None:
        """Return the name of a secret that a text holds, ``None`` if there is none."""
        found = self._pattern.search(text) if self._pattern and self._may_hold(text) else None
        return self._names[found[0]] if found else None

    def name_in_data(self, data: bytes) -> str | None:
        """Return the name of a secret that content holds, ``None`` if there is none."""
        for encoded, form in self._encoded.items():
            if encoded in data and (len(form) >= _WORD or self._word(form).search(data)):
                return self._names[form]
        return None

    def name_in(self, path: str, shown: str) -> str | None:
        """Return the name of a secret that a file or its ``shown`` name holds, ``None`` if there is none."""
        if self._pattern is None:
            return None
        if name := self.name_in_text(shown):
            return name
        with open(path, "rb") as file:
            end = b""
            while piece := file.read(_PIECE):
                if name := self.name_in_data(end + piece):
                    return name
                # one byte more than the longest form: what stands before a word decides whether it is one
                end = (end + piece)[-self._overlap :]
        return None

    @staticmethod
    def _word(form: str) -> re.Pattern[bytes]:
        return re.compile(_pattern_of(form).encode(errors="surrogateescape"))

    def cut(self, text: str) -> int:
        """Return where the end of a text begins that may be the beginning of a secret; no whole secret is cut."""
        if self._pattern is None:
            return len(text)
        place = len(text)
        for start in range(max(0, place - self._longest + 1), place):
            rest = text[start:]
            # a word that ends here may go on
            starting = (
                form for form in self._by_first.get(rest[0], ()) if len(form) > len(rest) or len(form) < _WORD
            )
            if any(form.startswith(rest) for form in starting):
                place = start
                break
        inside = (found.start() for found in self._pattern.finditer(text) if found.start() < place < found.end())
        return min(inside, default=place)


NO_SECRETS = Redactor({})


class RedactedStream:
    """One stream of output, in whose pieces a secret may be cut in two."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._pending = ""

    def feed(self, text: str) -> str:
        """Return what can be shown so far."""
        text = self._pending + text
        place = self._redactor.cut(text)
        self._pending = text[place:]
        return self._redactor.text(text[:place])

    def flush(self) -> str:
        text, self._pending = self._pending, ""
        return self._redactor.text(text)


def redactor_of(spec: AttemptSpec) -> Redactor:
    """Return what redacts the secrets of a task, also those in a URL that it gets in place of a file."""
    given = spec.inputs.values() if isinstance(spec.inputs, dict) else spec.inputs
    urls = {name: value for text in given if isinstance(text, str) for name, value in secrets_in(text).items()}
    return Redactor(urls | {name: spec.env[name] for name in spec.secrets if name in spec.env})


def search_for(names: Collection[str], variables: Mapping[str, str]) -> Callable[[str, str], str | None]:
    """Return what says of a file, given its path and the name that it shows, which secret it holds.

    A file that may hold a secret whose value is not set is taken to hold it.
    """
    unset = next((name for name in names if not variables.get(name)), None)
    redactor = Redactor({name: variables[name] for name in names if variables.get(name)})

    def search(path: str, shown: str) -> str | None:
        if name := redactor.name_in(path, shown):
            return f"holds the value of {name}"
        return f"may hold the value of {unset}, which is not set now" if unset else None

    return search


def without_secret_names(result: AttemptResult, redactor: Redactor) -> AttemptResult:
    """Replace secrets in the names of files, which are recorded though the files themselves are not."""
    if not redactor:
        return result
    return replace(
        result,
        outputs=tuple(
            replace(
                output,
                files=tuple(replace(file, path=redactor.text(file.path)) for file in output.files),
                folders=tuple(map(redactor.text, output.folders)),
            )
            for output in result.outputs
        ),
        reads=tuple(replace(read, name=read.name and redactor.text(read.name)) for read in result.reads),
        modules=tuple(map(redactor.text, result.modules)),
        scripts=tuple(map(redactor.text, result.scripts)),
        commands=tuple(
            (redactor.text(folder), tuple(map(redactor.text, words)), redactor.text(path))
            for folder, words, path in result.commands
        ),
        decisive={
            redactor.text(module): tuple(map(redactor.text, paths)) for module, paths in result.decisive.items()
        },
        accesses=tuple(replace(access, path=redactor.text(access.path)) for access in result.accesses),
        missed=tuple(map(redactor.text, result.missed)),
        mistaken=redactor.text(result.mistaken),
    )


class RedactedEvents:
    """Passes on the events of a notebook without secrets; ``flush`` passes on what was held back."""

    def __init__(self, emit: Callable[[Event], None], redactor: Redactor) -> None:
        self._emit = emit
        self._redactor = redactor
        self._streams: dict[str, tuple[RedactedStream, Printed]] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Printed(stream=name):
                self.flush(but=name)
                stream = self._streams[name][0] if name in self._streams else RedactedStream(self._redactor)
                self._streams[name] = stream, event
                if text := stream.feed(event.text):
                    self._emit(replace(event, text=text))
            case CellStarted(first_line=line, cell_id=cell_id):
                self.flush()
                redacted = self._redactor.text
                self._emit(replace(event, first_line=redacted(line), cell_id=redacted(cell_id)))
            case Unresumable(reason=reason):
                self.flush()
                self._emit(replace(event, reason=self._redactor.text(reason)))
            case CellEnded(error=error, allowed=allowed):
                self.flush()
                redacted = self._redactor.text
                self._emit(replace(event, error=error and redacted(error), allowed=allowed and redacted(allowed)))
            case _:
                self.flush()
                self._emit(event)

    def flush(self, but: str = "") -> None:
        for name in [name for name in self._streams if name != but]:
            stream, last = self._streams.pop(name)
            if text := stream.flush():
                self._emit(replace(last, text=text))


def _pattern_of(form: str) -> str:
    escaped = re.escape(form)
    return rf"(?<![0-9A-Za-z]){escaped}(?![0-9A-Za-z])" if len(form) < _WORD else escaped
