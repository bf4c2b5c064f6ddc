"""Parameters as code of R and Julia, where papermill's own spelling would lose or change values.

papermill escapes text as Python does: what it makes of `é` is another character in R, and a `$` begins an
interpolation in Julia. It knows R only by a capital letter.
"""

from __future__ import annotations

import math
from typing import Any

from papermill.translators import JuliaTranslator, RTranslator

_R_WORDS = {
    "if",
    "else",
    "repeat",
    "while",
    "function",
    "for",
    "in",
    "next",
    "break",
    "TRUE",
    "FALSE",
    "NULL",
    "Inf",
    *("NaN", "NA", "NA_integer_", "NA_real_", "NA_character_"),
}
_JULIA_WORDS = {
    "baremodule",
    "begin",
    "catch",
    "const",
    "do",
    "elseif",
    "end",
    "export",
    "false",
    "function",
    "let",
    *("local", "macro", "module", "quote", "struct", "true", "using"),
}
"""Reserved words that are no keywords of Python, which no parameter can be called."""


def _quoted(text: str, special: str) -> str:
    """Write a text with escapes that R and Julia share, whatever their locale is."""
    return '"' + "".join(_escaped(character, special) for character in text) + '"'


def _escaped(character: str, special: str) -> str:
    if character in special:
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"


class R(RTranslator):  # type: ignore[misc]  # papermill has no types
    """R, whose strings hold no NUL."""

    @classmethod
    def translate_str(cls, val: str) -> str:
        if "\0" in val:
            raise NotImplementedError("a string holds a NUL character")
        return _quoted(val, '"\\')

    @classmethod
    def translate_float(cls, val: float) -> str:
        return _float(val)

    @classmethod
    def assign(cls, name: str, str_val: str) -> str:
        if name.startswith("_") or name in _R_WORDS:
            raise NotImplementedError(f"`{name}` cannot be the name of a variable")
        return f"{name} = {str_val}"


class Julia(JuliaTranslator):  # type: ignore[misc]  # likewise
    """Julia, in whose strings `$` begins an interpolation."""

    @classmethod
    def translate_str(cls, val: str) -> str:
        return _quoted(val, '"\\$')

    @classmethod
    def translate_float(cls, val: float) -> str:
        return _float(val)

    @classmethod
    def assign(cls, name: str, str_val: str) -> str:
        if name in _JULIA_WORDS:
            raise NotImplementedError(f"`{name}` cannot be the name of a variable")
        return f"{name} = {str_val}"


OWN: dict[str, Any] = {"r": R, "julia": Julia}
"""By language, in lower case."""
