"""All complaints about one pipeline, collected before they are reported."""

from __future__ import annotations

from nbmake_dag.config.lines import Lines
from nbmake_dag.config.values import escaped
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint, ConfigError

_MAX_SUGGESTIONS = 50
_MAX_LENGTH = 600


class Complaints:
    """The complaints about a pipeline file and its parts, each once, in the order of their lines."""

    def __init__(self, file: str, lines: Lines) -> None:
        self._file = file
        self._lines = lines
        self._found: dict[Complaint, tuple[bool, str, int]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def place(self, path: tuple[str, ...]) -> str:
        return f"{self._lines.file_of(path, self._file)}:{self._lines.of(path)}"

    def is_declared(self, path: tuple[str, ...]) -> bool:
        """Return whether a key stands in the file, well-formed or not."""
        return self._lines.has(path)

    def add(self, path: tuple[str, ...], what: str, hint: str = "") -> None:
        """Complain about the key at ``path``."""
        self.add_at(self._lines.of(path), what, hint, file=self._lines.file_of(path, self._file))

    def add_at(self, line: int, what: str, hint: str = "", *, file: str = "") -> None:
        """Complain about a line of the file, or of another."""
        file = file or self._file
        complaint = Complaint(what=_printable(what), place=f"{file}:{line}", hint=_printable(hint))
        self._found.setdefault(complaint, (file != self._file, file, line))

    def add_all(self, part: Complaints) -> None:
        """Add the complaints about a part."""
        for complaint, (_, file, line) in part._found.items():
            self._found.setdefault(complaint, (bool(file) and file != self._file, file, line))

    def add_unplaced(self, what: str, hint: str = "") -> None:
        """Complain about the command line."""
        self._found.setdefault(Complaint(what=_printable(what), hint=_printable(hint)), (False, "", 0))

    def suggest(self, word: str, known: tuple[str, ...]) -> str:
        """Suggest a known word for a mistyped one; not for hundreds of them, because each takes time."""
        return did_you_mean(word, known) if len(self._found) < _MAX_SUGGESTIONS else ""

    def raise_if_any(self) -> None:
        if self._found:
            raise ConfigError(tuple(sorted(self._found, key=self._found.__getitem__)))


def _printable(text: str) -> str:
    """Escape what a terminal would act on, and cut what is too long to read."""
    text = text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
    return text if text.isprintable() else "".join(map(escaped, text))
