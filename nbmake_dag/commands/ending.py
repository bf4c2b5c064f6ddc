"""How a command ends: its exit code, and one message for whatever went wrong."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from nbmake_dag.errors import NbdagError

_OF_THE_MACHINE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EBUSY,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
}
"""What a disk, its quota, its rights or another writer refuse, and no change to nbdag would mend."""


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; one that returns no number went well."""
    try:
        code = command()
        sys.stdout.flush()
    except NbdagError as error:
        _say(f"error: {error}")
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
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        place = f": {error.filename}" if error.filename else ""
        _say(
            f"error: {error.strerror}{place}", "hint: what was finished is kept; the next build goes on from there"
        )
    else:
        hint = "hint: this is a defect of nbdag; NBDAG_TRACEBACK=1 shows where"
        _say(f"error: {type(error).__name__}: {error}", hint)
    return 3


def _say(*paragraphs: str) -> None:
    sys.stderr.write("\n\n".join(paragraphs) + "\n")
    sys.stderr.flush()
