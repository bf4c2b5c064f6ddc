"""Previous outputs, out of the way while their task runs: they come back unless it succeeds.

Before anything is moved, a journal in ``.nbdag/state/aside/`` says what will be. It lives until the new outputs
are accepted or the old ones are back, so the next build after a kill finds what is left to do:

- a journal ``ID.json``: the old outputs return, and what the attempt wrote goes to its folder of failures;
- a journal ``ID.done``: the attempt had succeeded, the old outputs are removed.

Every step is a rename or can be repeated, so that recovery may itself be killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

import msgspec

_OPEN = ".json"
_DONE = ".done"
_HALF = ".new"


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One declared output. What was there is at ``aside``, or at ``sibling`` where that is another file system."""

    path: str
    aside: str
    sibling: str
    existed: bool


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of one attempt. All paths are absolute."""

    journal: str
    folder: str
    partial_to: str
    entries: tuple[_Entry, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Aside).decode


def set_aside(state: str, root: str, outputs: Sequence[str], partial_to: str) -> Aside:
    """Move what is at the declared paths out of the way, and make their parent directories.

    ``partial_to`` is the folder for what an attempt leaves that does not succeed. Raises `OSError`, and everything
    is then where it was.
    """
    base = os.path.join(state, "aside")
    os.makedirs(base, exist_ok=True)
    identity = os.urandom(8).hex()
    folder = os.path.join(base, identity)
    entries: list[_Entry] = []
    for position, output in enumerate(outputs):
        path = os.path.join(root, output.rstrip("/"))
        entries.append(
            _Entry(
                path=path,
                aside=os.path.join(folder, str(position)),
                sibling=os.path.join(os.path.dirname(path), f".nbdag-{identity}-{position}"),
                existed=os.path.lexists(path),
            )
        )
    aside = Aside(journal=folder + _OPEN, folder=folder, partial_to=partial_to, entries=tuple(entries))
    _publish(aside)
    try:
        os.mkdir(folder)
        for entry in entries:
            os.makedirs(os.path.dirname(entry.path), exist_ok=True)
            if entry.existed:
                _rename_away(entry)
    except OSError:
        put_back(aside)
        raise
    return aside


def drop(aside: Aside) -> None:
    """Accept the new outputs: the old ones go."""
    done = aside.folder + _DONE
    os.rename(aside.journal, done)
    _finish_drop(aside, done)


def put_back(aside: Aside) -> tuple[str, ...]:
    """Return the old outputs to their places; return where partial ones replaced those of earlier attempts."""
    kept: list[str] = []
    names: set[str] = set()
    for position, entry in enumerate(aside.entries):
        name = os.path.basename(entry.path)
        target = os.path.join(aside.partial_to, f"{name}.{position}" if name in names else name)
        names.add(name)
        held = next((place for place in (entry.aside, entry.sibling) if os.path.lexists(place)), None)
        if (held is not None or not entry.existed) and os.path.lexists(entry.path):
            kept += _keep_partial(entry.path, target)
        if held is not None:
            os.makedirs(os.path.dirname(entry.path), exist_ok=True)
            os.rename(held, entry.path)
    _remove(aside.folder)
    os.unlink(aside.journal)
    return tuple(kept)


def recover(state: str) -> tuple[str, ...]:
    """Finish what a killed build left, before anything else; return where partial outputs were kept."""
    base = os.path.join(state, "aside")
    kept: list[str] = []
    try:
        names = sorted(os.listdir(base))
    except FileNotFoundError:
        return ()
    for name in names:
        journal = os.path.join(base, name)
        if name.endswith(_HALF):
            os.unlink(journal)
        if not name.endswith((_OPEN, _DONE)):
            continue
        try:
            with open(journal, "rb") as file:
                aside = _decode(file.read())
        except msgspec.DecodeError:
            # published whole, so this is damage; what it spoke of stays where it is
            os.rename(journal, journal + ".damaged")
            continue
        if name.endswith(_DONE):
            _finish_drop(aside, journal)
        else:
            kept += put_back(aside)
    return tuple(kept)


def _publish(aside: Aside) -> None:
    """Write the journal so that it is there whole before anything is moved, whenever a process is killed."""
    temporary = aside.folder + _HALF
    with open(temporary, "wb") as file:
        file.write(_encode(aside))
    os.rename(temporary, aside.journal)


def _rename_away(entry: _Entry) -> None:
    try:
        os.rename(entry.path, entry.aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        os.rename(entry.path, entry.sibling)


def _finish_drop(aside: Aside, journal: str) -> None:
    for entry in aside.entries:
        _remove(entry.sibling)
    _remove(aside.folder)
    os.unlink(journal)


def _keep_partial(path: str, target: str) -> list[str]:
    """Move a partial output to the folder of failures; where that is impossible, remove it."""
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _remove(target)
        import shutil  # noqa: PLC0415 - a build with nothing to do moves nothing

        shutil.move(path, target)
    except OSError:
        _remove(path)
        return []
    return [target]


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil  # noqa: PLC0415 - likewise

        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
