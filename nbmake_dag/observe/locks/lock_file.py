"""Read a lock file, whichever it is: what it selects, and ipykernel where it has none."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import tomli
from packaging.version import Version

from nbmake_dag.observe.locks.pylock import read_pylock
from nbmake_dag.observe.locks.requirements import read_requirements
from nbmake_dag.observe.locks.selection import Locked, LockError, Target, Wanted
from nbmake_dag.observe.locks.uv_lock import read_uv_lock

MAX_BYTES = 64 * 2**20
_OLDEST_IPYKERNEL = Version("6.29")
_OLDEST_PYTHON = (3, 11)
"""For which `ipykernel.txt` was locked."""


def select(data: bytes, name: str, wanted: Wanted, *, kernel: bool) -> tuple[Locked, ...]:
    """Return the packages that a lock file selects here, by name; raises `LockError`.

    With ``kernel`` there is an ipykernel among them: where the lock file has none, what nbdag was tested with is
    added, as far as it does not have that itself.
    """
    if len(data) > MAX_BYTES:
        raise LockError(f"has {len(data):,} bytes, more than {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LockError("is not UTF-8") from error
    target = Target(wanted)
    if name.endswith(".txt"):
        found = read_requirements(text, target)
    elif name.rpartition("/")[2].startswith("pylock."):
        found = read_pylock(_toml(text), target)
    else:
        found = read_uv_lock(_toml(text), target)
    return _with_ipykernel(found, target) if kernel else found


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(f"is not TOML: {error}") from error


def _with_ipykernel(found: tuple[Locked, ...], target: Target) -> tuple[Locked, ...]:
    locked = {package.name: package for package in found}
    if own := locked.get("ipykernel"):
        if own.version and Version(own.version) < _OLDEST_IPYKERNEL:
            raise LockError(
                f"has ipykernel {own.version}, and notebooks need {_OLDEST_IPYKERNEL} or newer",
                "lock a newer one",
            )
        return found
    if target.wanted.python < _OLDEST_PYTHON:
        raise LockError(
            f"has no ipykernel, which notebooks need, and nbdag knows none for {target.python}",
            "add `ipykernel` to what is locked",
        )
    text = files("nbmake_dag.observe.locks").joinpath("ipykernel.txt").read_text(encoding="utf-8")
    added = {package.name: package for package in read_requirements(text, target)}
    return tuple((added | locked)[name] for name in sorted(added | locked))
