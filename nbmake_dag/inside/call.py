"""Call one function in a process of its own: a fork of a zygote, or ``python -m nbmake_dag.inside.call FILE``.

``FILE`` is JSON: ``module``, ``qualname``, ``arguments``, and ``failure``, the file to describe an exception in.
"""

from __future__ import annotations

import json
import linecache
import signal
import sys
import traceback
from collections.abc import Coroutine
from importlib import import_module
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any

from nbmake_dag.inside.start import finish, start


def main(file: str) -> int:
    with open(file, "rb") as stream:
        call = json.load(stream)
    sys.argv[:] = [f"{call['module']}:{call['qualname']}"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    start()
    try:
        function: Any = import_module(call["module"])
        for name in call["qualname"].split("."):
            function = getattr(function, name)
        _refuse_if_idle(function, function(**call["arguments"]), sys.argv[0])
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the user's, and is shown
        if isinstance(error, SystemExit) and error.code in {None, 0}:
            return 0
        _describe(error, call["failure"])
        return 1
    finally:
        finish()
    return 0


def _refuse_if_idle(function: Any, returned: object, name: str) -> None:
    """Raise `TypeError` for a call that has executed nothing yet: what it returned would have to be awaited."""
    if isinstance(returned, Coroutine):
        returned.close()
        kind, instead = "a coroutine", "make it a `def` that does its work with `asyncio.run(...)`"
    elif isinstance(returned, (AsyncGeneratorType, GeneratorType)) and returned.__name__ == getattr(
        function, "__name__", None
    ):
        kind, instead = "a generator", "take `yield` out of it, or name a function that iterates over it"
    else:
        return
    raise TypeError(f"{name} returned {kind}, of which nothing was executed: {instead}")


def _describe(error: BaseException, file: str) -> None:
    """Print an exception as Python would, and keep it, without the frames of this module and of imports."""
    frames = _without_ours(error.__traceback__)
    linecache.checkcache()
    text = "".join(traceback.format_exception(type(error), error, frames))
    sys.stderr.write(text)
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": _text_of(error),
        "traceback": text,
        "line": frames.tb_lineno if frames else None,
    }
    with open(file, "w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(described, stream)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  # it is the user's, and fails
        return "<exception str() failed>"


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    while frames and (
        frames.tb_frame.f_code.co_filename in {__file__, import_module.__code__.co_filename}
        or frames.tb_frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frames = frames.tb_next
    return frames


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
