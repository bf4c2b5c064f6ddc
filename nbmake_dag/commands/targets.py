"""Check a path that the user asked to write: only nbdag's own earlier output is replaced."""

from __future__ import annotations

import os

from nbmake_dag.errors import UsageError, describe
from nbmake_dag_reporting.site import is_site

BUNDLE = b'{"nbdag_bundle":'
SUMMARY = b'{\n  "format": 1,\n  "run_id": '


def check_file(path: str, beginning: bytes | None = None) -> None:
    """Refuse to replace a file, unless it is empty or has the ``beginning`` of what is written there.

    Pipes and devices are written to.
    """
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder", (), "name a file")
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    with open(path, "rb") as file:
        if beginning and file.read(len(beginning)) == beginning:
            return
    raise UsageError(f"{path} is there already", (), "name another file, or move this one away first")


def prepare_file(path: str, beginning: bytes) -> None:
    """Make the folders above a file; refuse what `check_file` refuses, and where nothing can be written."""
    above = os.path.dirname(path)
    try:
        if above:
            os.makedirs(above, exist_ok=True)
        check_file(path, beginning)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {describe(error)}", (), "name another file") from error
    as_we_are = os.access in os.supports_effective_ids
    if not os.access(path if os.path.lexists(path) else above or os.curdir, os.W_OK, effective_ids=as_we_are):
        raise UsageError(f"{path} cannot be written: it is read-only, or its folder", (), "name another file")


def discard_file(path: str) -> None:
    """Remove what an earlier command wrote, if it is there; of a link the file is emptied, and the link stays.

    It may be one of the system's, such as ``/dev/stdout``, whose file is what a shell opened.
    """
    if os.path.isfile(path):
        if os.path.islink(path):
            os.truncate(path, 0)
        else:
            os.unlink(path)


def check_folder(path: str, *, may_be_site: bool = False) -> None:
    """Refuse a folder that cannot be made, or has anything in it, unless it ``may_be_site`` and is one."""
    if not path:
        raise UsageError("the name of a folder is empty", (), "name a new folder, or an empty one")
    above = os.path.abspath(path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not (os.path.isdir(above) or os.path.lexists(path)):
        raise UsageError(f"{path} cannot be made: {above} is not a folder", (), "name another folder")
    if not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path)):
        as_we_are = os.access in os.supports_effective_ids
        if not os.access(above, os.W_OK | os.X_OK, effective_ids=as_we_are):
            raise UsageError(f"{path} cannot be written: {above} is read-only", (), "name another folder")
        return
    if not may_be_site:
        raise UsageError(f"{path} is not an empty folder", (), "name a new folder, or an empty one")
    if not is_site(path):
        hint = "name a new folder, an empty one, or a site that nbdag wrote"
        raise UsageError(f"{path} is neither an empty folder nor a site", (), hint)
