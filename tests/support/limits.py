"""Limits of the system, as faults: a process that may open no more files, or write none."""

from __future__ import annotations

import resource
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def limited(kind: int, number: int) -> Generator[None]:
    """Lower a limit of this process, one of ``resource.RLIMIT_*``, for as long as the block runs."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def python_without_fork(folder: Path, number: int) -> str:
    """Make a Python whose fork with this number, of all forks of all its processes, is refused by the system."""
    script, count = folder / "refuse.py", folder / "forks"
    script.write_text(
        "import errno, os, runpy, sys\n"
        "fork = os.fork\n"
        "def refusing():\n"
        f"    with open({str(count)!r}, 'a+') as file:\n"
        "        file.write('.')\n"
        f"        if file.tell() == {number}:\n"
        "            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
        "    return fork()\n"
        "os.fork = refusing\n"
        "sys.argv = [word for word in sys.argv[1:] if word not in ('-I', '-S', '-E')]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    return str(python)
