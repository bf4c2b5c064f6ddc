"""Workflow commands for GitHub's runner, and escaping of text that must not act as one.

The runner looks at both streams, for ``::name::`` at the start of a line, spaces aside, and for ``##[name]``
anywhere in it. Its comparison passes over characters without a width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_COMMAND = r"^([^!-~]*)(?=:[^!-~]*:)"
_OLD_COMMAND = r"#(?=[^ -~]*#[^ -~]*\[)"
_SHORTEST_MASKED = 4
"""Characters of a line of a longer secret: a mask for ``{`` would blank every ``{`` of the log."""


class WorkflowCommand(str):
    """A line that the runner executes."""

    __slots__ = ()


def command(name: str, text: str = "", **properties: str | int | None) -> WorkflowCommand:
    """Write a command; what is ``None`` is left out."""
    given = ",".join(
        f"{key}={_escaped(str(value), also=':,')}" for key, value in properties.items() if value is not None
    )
    return WorkflowCommand(f"::{name}{f' {given}' if given else ''}::{_escaped(text)}")


def masks(secret: str) -> Iterator[WorkflowCommand]:
    """Yield what hides a value in the log, a command for each of its lines."""
    lines = list(filter(None, (line.strip() for line in re.split(r"[\r\n]+", secret))))
    for line in lines:
        if len(lines) == 1 or len(line) >= _SHORTEST_MASKED:
            yield command("add-mask", line)


def harmless(line: str) -> str:
    r"""Escape a line so that the runner prints it as it is, with a ``\`` before what would make it a command."""
    return re.sub(_OLD_COMMAND, r"#\\", re.sub(_COMMAND, r"\1\\", line))


def _escaped(text: str, *, also: str = "") -> str:
    for sign in f"%\r\n{also}":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
