"""Colours for the terminal, readable on light and on dark backgrounds."""

from __future__ import annotations

import msgspec


class Palette(msgspec.Struct, frozen=True):
    """Colours where ``enabled``, else the text as it is."""

    enabled: bool

    def good(self, text: str) -> str:
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        return self._wrap("31", text)

    def doubtful(self, text: str) -> str:
        return self._wrap("33", text)

    def strong(self, text: str) -> str:
        return self._wrap("1", text)

    def faint(self, text: str) -> str:
        return self._wrap("2", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled else text
