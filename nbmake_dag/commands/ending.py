"""The end of a command: its exit code, and one message for each kind of error."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from nbmake_dag.errors import NbdagError, UsageError, describe, shown

_KEPT = "what was finished is kept; the next build goes on from there"
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY}
_TOO_FEW_FILES = {errno.EMFILE, errno.ENFILE}
_NO_THREAD = "can't start new thread"


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; one that returns no number went well."""
    try:
        code = command()
        sys.stdout.flush()
    except NbdagError as error:
        _say(f"error: {shown(error)}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except (BrokenPipeError, SystemExit):
        # whoever read our output has gone; click makes an exit of that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - a defect of ours is said in one line too
        return _internal(error)
    return code if isinstance(code, int) else 0


def _internal(error: Exception) -> int:
    if os.environ.get("NBDAG_TRACEBACK"):
        import traceback  # noqa: PLC0415 - only there

        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno:
        _say(f"error: {describe(error)}", f"hint: {_way_on(error)}")
        return UsageError.exit_code if isinstance(error, PermissionError) else 3
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and str(error) == _NO_THREAD):
        what = "memory" if isinstance(error, MemoryError) else "one more thread"
        _say(f"error: the machine refused {what}", "hint: allow more, see `ulimit -v` and `ulimit -u`; " + _KEPT)
        return 3
    hint = "hint: this is a defect of nbdag; NBDAG_TRACEBACK=1 shows where"
    _say(f"error: {type(error).__name__}: {error}", hint)
    return 3


def _way_on(error: OSError) -> str:
    """Return what to do about something that the machine refused, or that is not where it was."""
    if not _has_working_directory():
        return "the current directory was removed; change to one that exists"
    if error.errno == errno.EROFS:
        return "nbdag keeps its files below .nbdag: let that be on a file system that can be written to"
    if isinstance(error, PermissionError):
        return "let this user read and write it"
    if error.errno in _TOO_FEW_FILES:
        return "allow more open files, for example `ulimit -n 1024`"
    if error.errno == errno.EFBIG:
        return "allow larger files, for example `ulimit -f unlimited`"
    if error.errno in _IN_THE_WAY and "/.nbdag" in str(error.filename):
        return "something else is where nbdag keeps its files; move it away, and build again"
    return _KEPT


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _say(*paragraphs: str) -> None:
    from nbmake_dag.core.urls import without_users  # noqa: PLC0415 - only for an error

    text = without_users("\n\n".join(paragraphs))
    if sys.stderr.isatty():
        from nbmake_dag.present.text import fitted  # noqa: PLC0415 - only for an error

        text = fitted(text, sys.stderr)
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
