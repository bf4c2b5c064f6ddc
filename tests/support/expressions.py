"""GitHub's expressions, as far as our workflows use them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|[!(),]|[\w*.-]+)")
_STATUS = ("cancelled()", "failure()", "always()", "success()")


class Expressions:
    """Evaluates expressions with these contexts; the state of the job is asked each time."""

    def __init__(self, contexts: Mapping[str, Any], workspace: Path, has_failed: Callable[[], bool]) -> None:
        self._contexts = contexts
        self._workspace = workspace
        self._has_failed = has_failed
        self._tokens: list[str] = []

    def holds(self, condition: str | None) -> bool:
        """Judge the condition of a step or job: one that asks for no state holds only where nothing failed."""
        text = _EXPRESSION.sub(r"\1", str(condition)) if condition is not None else "success()"
        if not any(function in text for function in _STATUS):
            text = f"success() && ({text})"
        return bool(self.value(text))

    def filled(self, text: Any) -> str:
        """Put values in the place of expressions."""
        return _EXPRESSION.sub(lambda match: self._text(self.value(match[1])), self._text(text))

    def value(self, text: str) -> Any:
        self._tokens = [found[1] for found in _TOKEN.finditer(text)]
        assert "".join(self._tokens) == re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text), (
            f"no runner knows {text}"
        )
        value = self._either()
        assert not self._tokens, f"no runner knows {text}"
        return value

    def _either(self) -> Any:
        value = self._both()
        while self._takes("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._takes("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._single()
        if self._takes("=="):
            return self._text(value) == self._text(self._single())
        if self._takes("!="):
            return self._text(value) != self._text(self._single())
        return value

    def _single(self) -> Any:
        token = self._tokens.pop(0)
        if token == "!":
            return not self._single()
        if token == "(":
            value = self._either()
            assert self._takes(")")
            return value
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._takes("("):
            return self._called(token, self._arguments())
        return self._context(token)

    def _arguments(self) -> list[Any]:
        found: list[Any] = []
        while not self._takes(")"):
            found.append(self._either())
            self._takes(",")
        return found

    def _called(self, function: str, given: list[Any]) -> Any:
        match function:
            case "success":
                return not self._has_failed()
            case "failure":
                return self._has_failed()
            case "always":
                return True
            case "cancelled":
                return False
            case "hashFiles":
                files = sorted({path for pattern in given for path in self._workspace.glob(pattern)})
                return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else ""
            case _:
                raise AssertionError(f"no runner knows {function}()")

    def _context(self, name: str) -> Any:
        value: Any = self._contexts
        for word in name.split("."):
            value = value.get(word, "") if isinstance(value, Mapping) else ""
        return value

    def _takes(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    @staticmethod
    def _text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)
