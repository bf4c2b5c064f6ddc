"""Previous outputs, set aside while their task runs: they are restored unless it succeeds.

Before anything is moved, a journal in ``.nbdag/state/aside/`` lists the moves. It lives until the new outputs
are accepted or the old ones are back, so the next build after a kill finds what is left to do:

- a journal ``ID.json``: the old outputs return, and what the attempt wrote goes to its folder of failures;
- a journal ``ID.done``: the attempt had succeeded, the old outputs are removed.

Beside it is the folder ``ID/`` with the old outputs, if there were any. Every step is a rename or can be repeated,
so that recovery may itself be killed. A journal has paths relative to the project, and is found by its name: in a
copy of the project it refers to the copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import msgspec

from nbmake_dag.observe.state_file import StateFile, is_inside

_OPEN = ".json"
_DONE = ".done"
_HALF = ".new"
_KIND = "nbdag-output-backup 3"

Search: TypeAlias = Callable[[str, str], str | None]
"""Says which secret a file holds, given its path and the name that it shows; ``None`` for none."""


class _Output(msgspec.Struct, frozen=True, kw_only=True):
    """One declared output, relative to the root."""

    path: str
    existed: bool


class _Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What is written about an attempt. All paths are relative to the root."""

    partial_to: str
    outputs: tuple[_Output, ...]
    secrets: tuple[str, ...] = ()
    """Names of the secrets that what the attempt writes may hold."""


def _nothing(_path: str, _shown: str) -> None:
    """Find no secret, where no task declares one."""


def _of_none(_names: Collection[str]) -> Search:
    return _nothing


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One declared output. What was there is at ``aside``, or at ``sibling`` where that is another file system."""

    path: str
    shown: str
    """As declared."""
    aside: str
    sibling: str
    existed: bool


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of one attempt that were set aside. All paths are absolute."""

    journal: str
    folder: str
    partial_to: str
    entries: tuple[_Entry, ...]


class Partial(msgspec.Struct, kw_only=True):
    """What an attempt left that did not succeed: where it is kept now, and what holds a secret and so is not."""

    kept: list[str] = []
    withheld: list[str] = []


def set_aside(
    state: str, root: str, outputs: Sequence[str], partial_to: str, secrets: Collection[str] = ()
) -> Aside:
    """Move what is at the declared paths out of the way, and make their parent directories.

    ``partial_to`` is the folder in the project for what an attempt leaves that does not succeed, ``secrets`` are
    the names of those that it may have used. Raises `OSError`, and everything is then where it was.
    """
    base = os.path.join(state, "aside")
    _make_folder(base)
    folder = os.path.join(base, os.urandom(8).hex())
    journal = _Journal(
        partial_to=os.path.relpath(partial_to, root),
        outputs=tuple(
            _Output(path=path, existed=os.path.lexists(os.path.join(root, path)))
            for path in (output.rstrip("/") for output in outputs)
        ),
        secrets=tuple(secrets),
    )
    aside = _aside(folder, root, journal)
    _file(aside.journal).write(journal)
    try:
        if any(entry.existed for entry in aside.entries):
            os.mkdir(folder)
        for entry in aside.entries:
            _make_folder(os.path.dirname(entry.path))
            if entry.existed:
                _rename_away(entry)
    except OSError:
        put_back(aside)
        raise
    return aside


def drop(aside: Aside) -> None:
    """Accept the new outputs: the old ones go."""
    if not any(entry.existed for entry in aside.entries):
        os.unlink(aside.journal)
        return
    done = aside.folder + _DONE
    os.rename(aside.journal, done)
    _finish_drop(aside, done)


def put_back(aside: Aside, search: Search = _nothing) -> Partial:
    """Return the old outputs to their places, and keep partial ones, which replace those of earlier attempts.

    Of those, files that hold a secret are left out.
    """
    partial = Partial()
    if not os.path.lexists(aside.journal):
        # removed together with what was set aside; what is there now may be another build's
        return partial
    names: set[str] = set()
    for position, entry in enumerate(aside.entries):
        name = os.path.basename(entry.path)
        target = os.path.join(aside.partial_to, f"{name}.{position}" if name in names else name)
        names.add(name)
        held = next((place for place in (entry.aside, entry.sibling) if os.path.lexists(place)), None)
        if (held is not None or not entry.existed) and os.path.lexists(entry.path):
            partial.withheld += _remove_secret_files(entry, search)
            partial.kept += _keep_partial(entry.path, target)
        if held is not None:
            os.makedirs(os.path.dirname(entry.path), exist_ok=True)
            os.rename(held, entry.path)
    _remove(aside.folder)
    os.unlink(aside.journal)
    return partial


def recover(
    state: str,
    root: str,
    warn: Callable[[str], None],
    search: Callable[[Collection[str]], Search] = _of_none,
) -> tuple[str, ...]:
    """Finish what a killed build left, before anything else; return where partial outputs were kept.

    ``search`` is given the names of the secrets that they may hold. What a journal speaks of that cannot be used
    stays where it is; ``warn`` is told, and of what is left out.
    """
    base = os.path.join(state, "aside")
    kept: list[str] = []
    try:
        names = sorted(os.listdir(base))
    except FileNotFoundError:
        return ()
    for name in names:
        path = os.path.join(base, name)
        if name.endswith(_HALF):
            _remove(path)
        if not name.endswith((_OPEN, _DONE)):
            continue
        journal = _file(path).read(warn)
        if journal is None:
            continue
        if not all(map(is_inside, (journal.partial_to, *(output.path for output in journal.outputs)))):
            warn(f"{path} speaks of files outside the project, and is left alone")
            continue
        aside = _aside(path.removesuffix(_OPEN).removesuffix(_DONE), root, journal)
        if name.endswith(_DONE):
            _finish_drop(aside, path)
        else:
            partial = put_back(aside, search(journal.secrets))
            kept += partial.kept
            for found in partial.withheld:
                warn(f"what an interrupted build left is not kept: {found}")
    return tuple(kept)


def _make_folder(path: str) -> None:
    """Make a folder, which mostly is there: that is told sooner than an attempt to make it."""
    if not os.path.isdir(path):
        os.makedirs(path, exist_ok=True)


def _file(path: str) -> StateFile[_Journal]:
    return StateFile(path, _KIND, _Journal)


def _aside(folder: str, root: str, journal: _Journal) -> Aside:
    """Find what a journal speaks of; ``folder`` has its name."""
    identity = os.path.basename(folder)
    entries: list[_Entry] = []
    for position, output in enumerate(journal.outputs):
        path = os.path.join(root, output.path)
        entries.append(
            _Entry(
                path=path,
                shown=output.path,
                aside=os.path.join(folder, str(position)),
                sibling=os.path.join(os.path.dirname(path), f".nbdag-{identity}-{position}"),
                existed=output.existed,
            )
        )
    return Aside(
        journal=folder + _OPEN,
        folder=folder,
        partial_to=os.path.join(root, journal.partial_to),
        entries=tuple(entries),
    )


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


def _remove_secret_files(entry: _Entry, search: Search) -> list[str]:
    """Remove those partial files, links and folders that hold a secret; return a warning for each."""
    is_folder = os.path.isdir(entry.path) and not os.path.islink(entry.path)
    tree = os.walk(entry.path, topdown=False) if is_folder else ()
    below = [os.path.join(folder, name) for folder, folders, files in tree for name in (*files, *folders)]
    withheld: list[str] = []
    for path in below or [entry.path]:
        shown = os.path.relpath(path, entry.path)
        if os.path.islink(path):
            shown = f"{shown} {os.readlink(path)}"
        # of what is no file, the name alone can hold one
        is_file = os.path.isfile(path) and not os.path.islink(path)
        said = search(path if is_file else os.devnull, shown)
        if said is not None:
            _remove(path)
            # the name may be the secret
            withheld.append(f"{'a part of ' if below else ''}{entry.shown} {said}")
    return withheld


def _keep_partial(path: str, target: str) -> list[str]:
    """Move a partial output to the folder of failures; where that is impossible, rename it beside its place."""
    if not os.path.lexists(path):
        return []
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _remove(target)
        import shutil  # noqa: PLC0415 - a build with nothing to do moves nothing

        shutil.move(path, target)
    except OSError:
        # it may be somebody's who wrote there meanwhile
        with contextlib.suppress(OSError):
            _remove(target)
        target = os.path.join(os.path.dirname(path), f".nbdag-partial-{os.urandom(4).hex()}")
        os.rename(path, target)
    return [target]


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil  # noqa: PLC0415 - likewise

        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
