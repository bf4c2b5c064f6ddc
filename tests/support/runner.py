"""How GitHub's runner reads what a step prints: the lines that it obeys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KNOWN = (
    *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice"),
    *("remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning"),
)
_SIGNS = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%5D": "]", "%3B": ";", "%25": "%"}


@dataclass(frozen=True)
class Obeyed:
    """One command, its texts unescaped."""

    name: str
    text: str
    properties: dict[str, str] = field(default_factory=dict)


def obeyed(printed: str) -> list[Obeyed]:
    """Return the commands in a text, in either of their two forms."""
    lines = re.split(r"\r\n|\r|\n", printed)
    return [command for line in lines if (command := _new_form(line) or _old_form(line))]


def _new_form(line: str) -> Obeyed | None:
    line = compared(line).lstrip()
    if not line.startswith("::") or line.find("::", 2) < 0:
        return None
    head, _, text = line[2:].partition("::")
    return _command(head, ",", text)


def _old_form(line: str) -> Obeyed | None:
    _, found, rest = compared(line).partition("##[")
    head, ended, text = rest.partition("]")
    return _command(head, ";", text) if found and ended else None


def _command(head: str, separator: str, text: str) -> Obeyed | None:
    name, _, properties = head.partition(" ")
    if name.lower() not in KNOWN:
        return None
    pairs = (pair.partition("=") for pair in properties.strip().split(separator) if pair)
    return Obeyed(name, _unescaped(text), {key: _unescaped(value) for key, _, value in pairs})


def compared(line: str) -> str:
    """Leave out what .NET's comparison of texts passes over."""
    return re.sub("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u200b-\u200f\u2060-\u206f\ufeff]", "", line)


def _unescaped(text: str) -> str:
    for escape, sign in _SIGNS.items():
        text = text.replace(escape, sign)
    return text
