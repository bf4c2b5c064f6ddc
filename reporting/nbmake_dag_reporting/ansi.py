"""Text with the colours of a terminal as HTML; all other control sequences are left out."""

from __future__ import annotations

import re
from html import escape

_SEQUENCE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_MOST_CODES = 32
"""Of one sequence, as terminals take."""
_LONGEST_CODE = 9
"""Digits."""
_ON = {1: "bold", 2: "faint", 3: "italic", 4: "underline"}
_OFF = {22: ("bold", "faint"), 23: ("italic",), 24: ("underline",)}
_CUBE = (0, 95, 135, 175, 215, 255)


def ansi_html(text: str) -> str:
    """Write text as HTML, coloured stretches as spans of classes ``ansi-…``."""
    pieces: list[str] = []
    style = _Style()
    position = 0
    for match in _SEQUENCE.finditer(text):
        pieces.append(style.wrap(text[position : match.start()]))
        position = match.end()
        if match["codes"] is not None:
            codes = re.split("[;:]", match["codes"], maxsplit=_MOST_CODES)[:_MOST_CODES]
            style.obey([int(code or 0) for code in codes if len(code) <= _LONGEST_CODE])
    pieces.append(style.wrap(text[position:]))
    return "".join(pieces)


class _Style:
    """How the next characters look."""

    def __init__(self) -> None:
        self._flags: set[str] = set()
        self._colours: dict[str, str] = {}

    def obey(self, codes: list[int]) -> None:
        while codes:
            code = codes.pop(0)
            if code == 0:
                self._flags.clear()
                self._colours.clear()
            elif code in _ON:
                self._flags.add(_ON[code])
            elif code in _OFF:
                self._flags.difference_update(_OFF[code])
            else:
                self._colour(code, codes)

    def wrap(self, text: str) -> str:
        if not text or not (self._flags or self._colours):
            return escape(text)
        named = {f"{where}-{value}" for where, value in self._colours.items() if value.isdecimal()}
        classes = " ".join(f"ansi-{name}" for name in sorted(self._flags | named))
        properties = {"fg": "color", "bg": "background"}
        styles = ";".join(
            f"{properties[where]}:{value}" for where, value in self._colours.items() if not value.isdecimal()
        )
        attributes = (f' class="{classes}"' if classes else "") + (f' style="{styles}"' if styles else "")
        return f"<span{attributes}>{escape(text)}</span>"

    def _colour(self, code: int, rest: list[int]) -> None:
        where = "fg" if 30 <= code < 40 or 90 <= code < 98 else "bg"
        match code:
            case 38 | 48:
                if (colour := _extended(rest)) is not None:
                    self._colours[where] = colour
            case 39 | 49:
                self._colours.pop(where, None)
            case _ if 30 <= code < 38 or 40 <= code < 48:
                self._colours[where] = str(code % 10)
            case _ if 90 <= code < 98 or 100 <= code < 108:
                self._colours[where] = str(code % 10 + 8)
            case _:
                pass


def _extended(rest: list[int]) -> str | None:
    """Take the parameters of a colour of 256, or of 16 million, from the codes that follow."""
    kind = rest.pop(0) if rest else None
    if kind == 5 and rest:
        return _indexed(rest.pop(0))
    if kind == 2 and len(rest) >= 3:
        red, green, blue = (min(rest.pop(0), 255) for _ in range(3))
        return f"rgb({red},{green},{blue})"
    return None


def _indexed(number: int) -> str | None:
    if number < 16:
        return str(number)
    if number < 232:
        number -= 16
        return f"rgb({_CUBE[number // 36]},{_CUBE[number // 6 % 6]},{_CUBE[number % 6]})"
    grey = 8 + 10 * (number - 232)
    return f"rgb({grey},{grey},{grey})" if number < 256 else None
