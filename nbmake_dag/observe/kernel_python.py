"""The Python that a kernelspec's command leads to, found from its words alone: nothing is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

_PYTHON = re.compile(r"(python|pypy|graalpy)[0-9.]*[a-z]?")
_WRAPPERS = {"chrt", "env", "ionice", "nice", "nohup", "numactl", "setsid", "stdbuf", "taskset", "timeout"}
"""Programs that become the command among their arguments."""
_CONDA = {"conda", "mamba", "micromamba"}
_SETTING = re.compile(r"-.*|\w+=.*|[0-9.]+[smhd]?")
"""An option of a wrapper, a variable, a number or a duration."""
_ENVIRONMENT_RESET = {"-", "-i", "--ignore-environment"}


def python_of(argv: Sequence[str], search: Callable[[str], str | None]) -> str | None:
    """Return the Python that runs a kernel; ``None`` where that is unknown before the command is started.

    ``search`` returns the file that a word without a folder means, ``None`` if that is not known.
    """
    program = os.path.basename(argv[0])
    commands = [position for position in range(1, len(argv)) if _begins_command(argv, position)]
    if _names_python(argv[0]):
        # `python -m runner /env/bin/python ...`, as nb_conda_kernels has it
        word = argv[commands[-1]] if commands else argv[0]
        return _program(word, search) if os.path.isabs(word) or not commands else None
    if program in _WRAPPERS:
        inner = _wrapped(argv)
        settings = argv[1 : len(argv) - len(inner)]
        changes_path = any(word.startswith("PATH=") or word in _ENVIRONMENT_RESET for word in settings)
        return python_of(inner, _nowhere if changes_path else search) if inner else None
    if program in _CONDA and commands:
        prefix = _option(argv[1 : commands[0]], "-p", "--prefix")
        return python_of(argv[commands[0] :], lambda word: os.path.join(prefix, "bin", word) if prefix else None)
    return None


def _wrapped(argv: Sequence[str]) -> Sequence[str]:
    """Return the command that a wrapper becomes; empty where its Python cannot be found."""
    for position in range(1, len(argv)):
        if _begins_command(argv, position) or os.path.basename(argv[position]) in _WRAPPERS | _CONDA:
            return argv[position:]
        is_value = argv[position - 1].startswith("-")
        if not (is_value or _SETTING.fullmatch(argv[position])):
            break
    return ()


def _begins_command(argv: Sequence[str], position: int) -> bool:
    """Return whether a Python is named with options for it, and not as a mere value."""
    following = argv[position + 1 : position + 2]
    return _names_python(argv[position]) and "".join(following).startswith("-")


def _names_python(word: str) -> bool:
    return "=" not in word and bool(_PYTHON.fullmatch(os.path.basename(word)))


def _program(word: str, search: Callable[[str], str | None]) -> str | None:
    """Return the file that a word means, unless it is a script: that may start any Python."""
    path = word if os.path.dirname(word) else search(word)
    if path is None or not os.path.isabs(path):
        return None
    try:
        with open(path, "rb") as file:
            return None if file.read(2) == b"#!" else path
    except OSError:
        return None


def _nowhere(_word: str) -> None:
    return None


def _option(words: Sequence[str], *names: str) -> str:
    """Return the value of an option, empty where it is not given."""
    for position, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in names:
            return value or "".join(words[position + 1 : position + 2])
    return ""
