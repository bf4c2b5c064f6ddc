"""What a lock file selects for one Python on this machine: packages, each with the hashes of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec
from packaging.markers import Environment, InvalidMarker, Marker, UndefinedComparison, default_environment
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.utils import (
    InvalidName,
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from nbmake_dag.core.urls import without_users

if TYPE_CHECKING:
    from packaging.tags import Tag

IMPLEMENTATION = "cpython"
"""That of every environment."""
_HASH = re.compile(r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
_URL = re.compile(r"https?://[!-~]+")
_NEWEST_PATCH = 99
"""The patch release that markers see: an environment is made with the newest one that is there."""


class LockError(Exception):
    """A lock file that cannot be used: what is wrong with it, and what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """One package as it is locked. Without a ``url`` it comes from a package index."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """Of the file that is selected, or of all its files where the lock does not tell which is which."""
    url: str = ""

    @property
    def identity(self) -> str:
        """Version and hash, which is what counts."""
        if len(self.hashes) == 1:
            return f"{self.version} {self.hashes[0]}"
        return f"{self.version} sha256:{hashlib.sha256(' '.join(sorted(self.hashes)).encode()).hexdigest()}"

    @property
    def requirement(self) -> str:
        """The line of a requirements file that means this package and no other."""
        what = f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"
        return " ".join((what, *(f"--hash={each}" for each in self.hashes)))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a lock file, and for which Python."""

    python: tuple[int, int]
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    build: bool = False
    """Whether packages without a wheel may be built."""


@dataclass(slots=True)
class Target:
    """A Python on this machine, as markers and the names of wheels see it."""

    wanted: Wanted
    markers: Environment = field(init=False)
    tags: tuple[Tag, ...] = field(init=False)
    _ranks: dict[Tag, int] = field(init=False)

    def __post_init__(self) -> None:
        version = "{}.{}".format(*self.wanted.python)
        full = f"{version}.{_NEWEST_PATCH}"
        self.markers = {
            **default_environment(),
            "implementation_name": IMPLEMENTATION,
            "implementation_version": full,
            "platform_python_implementation": "CPython",
            "python_full_version": full,
            "python_version": version,
        }
        platforms, name = list(platform_tags()), "cp{}{}".format(*self.wanted.python)
        self.tags = (
            *cpython_tags(self.wanted.python, abis=[name], platforms=platforms),
            *compatible_tags(self.wanted.python, interpreter=name, platforms=platforms),
        )
        self._ranks = {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}

    @property
    def python(self) -> str:
        return "Python {}.{}".format(*self.wanted.python)

    def meets(self, marker: str) -> bool:
        """Return whether a marker holds; raises `LockError` where it is none."""
        try:
            return not marker or Marker(marker).evaluate({**cast("dict[str, str]", self.markers), "extra": ""})
        except (InvalidMarker, InvalidVersion, UndefinedComparison, KeyError, RecursionError) as error:
            raise LockError(f"has the marker `{shortened(marker)}`, which cannot be read") from error

    def must_be_in(self, versions: str) -> None:
        """Raise `LockError` where a lock file is for other versions of Python."""
        try:
            is_in = SpecifierSet(versions).contains(self.markers["python_full_version"])
        except InvalidSpecifier as error:
            raise LockError(f"is for Python `{shortened(versions)}`, which cannot be read") from error
        if not is_in:
            raise LockError(f"is for Python {versions}, not {self.python}", 'choose another: `python = "3.N"`')

    def best_wheel(self, package: str, version: str, files: Iterable[str]) -> int | None:
        """Return the position of the wheel that fits best among file names; ``None`` where none fits.

        Raises `LockError` for one of another package.
        """
        found: list[tuple[int, tuple[int, str], int]] = []
        for position, file in enumerate(files):
            try:
                name, of, build, tags = parse_wheel_filename(file)
            except InvalidWheelFilename:
                continue
            if name != package or str(of) != version:
                raise LockError(f"has the wheel `{shortened(file)}` for `{package}` {version}")
            rank = min((self._ranks[tag] for tag in tags if tag in self._ranks), default=None)
            if rank is not None:
                number, text = build or (0, "")
                found.append((rank, (-number, text), position))
        return min(found)[2] if found else None

    def without_wheel(self, package: str, version: str) -> LockError:
        """Return the complaint about a package that would have to be built."""
        return LockError(
            f"has no wheel of `{package}` {version} for {self.python} on this machine",
            "lock a version that has one, or allow that it is built: `build = true`",
        )


def name_of(value: object) -> str:
    """Return the normalised name of a package; raises `LockError` where it is none."""
    try:
        return str(canonicalize_name(str(value), validate=True))
    except InvalidName as error:
        raise LockError(f"has a package with the name `{shortened(str(value))}`, which is none") from error


def version_of(value: object, package: str) -> str:
    """Return a version as it is written in normal form; raises `LockError` where it is none."""
    try:
        return str(Version(str(value)))
    except InvalidVersion as error:
        raise LockError(f"has `{package}` in the version `{shortened(str(value))}`, which is none") from error


def hash_of(value: object) -> str | None:
    """Return a hash that is strong enough to identify a file."""
    return str(value) if isinstance(value, str) and _HASH.fullmatch(value) else None


def strong_hashes(hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of a table of hashes by algorithm that are strong enough."""
    return tuple(each for name, value in sorted(hashes.items()) if (each := hash_of(f"{name}:{value}")))


def url_of(value: object, package: str) -> str:
    """Return the address of a file, without its fragment; raises `LockError` for one that is not of the web."""
    url = str(value).partition("#")[0]
    if not _URL.fullmatch(url):
        raise LockError(
            f"has `{package}` from `{shortened(url)}`, which is not an address of http or https",
            "lock it from a package index",
        )
    return url


def unpinned(package: str, command: str) -> LockError:
    """Return the complaint about a package without a hash; ``command`` makes a lock file that has them."""
    return LockError(f"does not pin `{shortened(package)}` with a hash", f"make one that does: `{command}`")


def sorted_by_name(packages: Iterable[Locked]) -> tuple[Locked, ...]:
    """Return packages by name; raises `LockError` where one is there in two versions."""
    found: dict[str, Locked] = {}
    for package in packages:
        other = found.setdefault(package.name, package)
        if other != package:
            versions = " and ".join(sorted({other.version, package.version}))
            raise LockError(
                f"selects `{package.name}` twice: {versions}",
                "choose `groups` and `extras` that do not contradict each other",
            )
    return tuple(found[name] for name in sorted(found))


def shortened(text: str) -> str:
    """Return what a message may say of a text: one line, without the user and password of a URL."""
    text = without_users(text)
    text = text if len(text) <= 80 else f"{text[:80]}…"  # a line of a terminal
    return text if text.isprintable() else repr(text)[1:-1]
