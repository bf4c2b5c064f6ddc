"""`requirements.txt` with hashes, as `uv pip compile --generate-hashes` and `pip-compile` write it."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from nbmake_dag.observe.locks.selection import (
    Locked,
    LockError,
    Target,
    hash_of,
    name_of,
    shortened,
    sorted_by_name,
    unpinned,
    url_of,
    version_of,
)

COMMAND = "uv pip compile --universal --generate-hashes requirements.in -o requirements.txt"


def read_requirements(text: str, target: Target) -> tuple[Locked, ...]:
    """Return what counts for a Python; the hashes are those of all files, because names are not there."""
    return sorted_by_name(
        found for line, words in _lines(text) if (found := _locked(line, words, target)) is not None
    )


def _locked(line: int, words: list[str], target: Target) -> Locked | None:
    if words[0].startswith("-"):
        raise LockError(
            f"has the option `{shortened(words[0])}` in line {line}",
            "lock packages alone; indexes are set where uv looks for them, as `UV_DEFAULT_INDEX`",
        )
    end = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    said = " ".join(words[:end])
    try:
        requirement = Requirement(said)
    except (InvalidRequirement, RecursionError) as error:
        raise LockError(f"has `{shortened(said)}` in line {line}, which is no requirement") from error
    if requirement.marker is not None and not target.meets(str(requirement.marker)):
        return None
    hashes: list[str] = []
    for word in words[end:]:
        option, _, value = word.partition("=")
        if option != "--hash":
            raise LockError(f"has the option `{shortened(word)}` in line {line}")
        if found := hash_of(value):
            hashes.append(found)
    name = name_of(requirement.name)
    pins = [each.version for each in requirement.specifier if each.operator in {"==", "==="}]
    if not hashes or len(pins) != len(requirement.specifier) or not (requirement.url or len(pins) == 1):
        raise unpinned(name, COMMAND)
    if requirement.url:
        return Locked(name=name, version="", hashes=tuple(sorted(hashes)), url=url_of(requirement.url, name))
    return Locked(name=name, version=version_of(pins[0], name), hashes=tuple(sorted(hashes)))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each logical line, with the number of its first one."""
    words: list[str] = []
    first = 0
    for number, written in enumerate(text.splitlines(), 1):
        line = written.strip()
        if line.startswith("#"):
            line = ""
        line = line.partition(" #")[0].rstrip()
        goes_on = line.endswith("\\")
        found = line.removesuffix("\\").split()
        if found and not words:
            first = number
        words += found
        if words and not goes_on:
            yield first, words
            words = []
    if words:
        yield first, words
