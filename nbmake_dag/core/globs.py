"""Globs over project paths: ``*``, ``?`` and ``[a-z]`` within one name, ``**`` for any number of folders.

A leading dot is matched only by a dot that is written. ``[*]``, ``[?]`` and ``[[]`` mean the character in
brackets, so a text that has no other wildcard is the path of one file.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAME = r"(?!\.)[^/]+"
_FOLDERS = rf"(?:{_NAME}/)*"
_MAGIC = re.compile(r"[*?\[]")
_ESCAPED = re.compile(r"\[([*?\[])\]")


def is_glob(text: str) -> bool:
    """Return whether a declared text has a wildcard that is not escaped."""
    return _MAGIC.search(_ESCAPED.sub("", text)) is not None


def unescaped(text: str) -> str:
    """Return the path that a declared text without wildcards names."""
    return _ESCAPED.sub(r"\1", text)


def escaped(path: str) -> str:
    """Return the text that declares a path, with wildcards in its name escaped."""
    return _MAGIC.sub(r"[\g<0>]", path)


def static_prefix(pattern: str) -> str:
    """Return the folders before the first name with a wildcard: ``data/`` for ``data/*.csv``, or an empty text."""
    head = pattern[: match.start()] if (match := _MAGIC.search(pattern)) else pattern
    return head[: head.rfind("/") + 1]


def matches(pattern: str, path: str) -> bool:
    """Return whether a glob matches a whole project path."""
    return _compiled(pattern).fullmatch(path) is not None


def may_match_below(pattern: str, folder: str) -> bool:
    """Return whether a glob could match some path below ``folder``, which ends with ``/``."""
    wanted = pattern.split("/")
    names = folder.rstrip("/").split("/")
    for position, name in enumerate(names):
        if position >= len(wanted):
            return False
        if wanted[position] == "**":
            return True
        if not _compiled(wanted[position]).fullmatch(name):
            return False
    return len(wanted) > len(names)


def may_overlap(one: str, other: str) -> bool:
    """Return whether some path could be meant by two declared texts, each a path or a glob, or be below a folder.

    What is uncertain counts: of each name only the text before its first wildcard and after its last is compared.
    """
    ones, others = one.split("/"), other.split("/")
    for name, its in zip(ones, others, strict=False):
        if "" in {name, its} or "**" in {name, its}:
            return True
        if not _may_be_same(name, its):
            return False
    return len(ones) == len(others)


def may_mean(pattern: str, path: str) -> bool:
    """Return what `may_overlap` says of a declared text and a path without wildcards."""
    if path.endswith("/"):
        return may_overlap(pattern, escaped(path))
    return _loosely(pattern).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _loosely(pattern: str) -> re.Pattern[str]:
    names: list[str] = []
    for name in pattern.split("/"):
        if name in {"", "**"}:
            names.append(".+")
            break
        head, tail, has_wildcard = _fixed_ends(name)
        names.append(re.escape(head) + (f"[^/]*{re.escape(tail)}" if has_wildcard else ""))
    return re.compile("/".join(names), re.DOTALL)


def _may_be_same(name: str, other: str) -> bool:
    (head, tail, has_wildcard), (start, end, has_too) = _fixed_ends(name), _fixed_ends(other)
    if not has_wildcard and not has_too:
        return head == start
    if not has_wildcard:
        return head.startswith(start) and head.endswith(end) and len(head) >= len(start) + len(end)
    if not has_too:
        return _may_be_same(other, name)
    return (head.startswith(start) or start.startswith(head)) and (tail.endswith(end) or end.endswith(tail))


@lru_cache(maxsize=1 << 16)
def _fixed_ends(name: str) -> tuple[str, str, bool]:
    """Return what a name begins and ends with, in any path that it matches, and whether it has a wildcard."""
    if not is_glob(name):
        return unescaped(name), unescaped(name), False
    first = _MAGIC.search(name)
    last = max(name.rfind(character) for character in "*?]")
    return name[: first.start()] if first else "", name[last + 1 :], True


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    *folders, last = pattern.split("/")
    below = "".join(_FOLDERS if part == "**" else f"{_name(part)}/" for part in folders)
    return re.compile(below + (f"{_FOLDERS}{_NAME}" if last == "**" else _name(last)), re.DOTALL)


def _name(part: str) -> str:
    """Translate one name of a glob; a leading dot is matched only by a dot that is written."""
    out = "" if part.startswith((".", "[.")) else r"(?!\.)"
    position = 0
    while position < len(part):
        character = part[position]
        position += 1
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "[" and (end := part.find("]", position + 1)) > 0:
            out += f"(?!/){_choice(part[position:end])}"
            position = end + 1
        else:
            out += re.escape(character)
    return out


def _choice(text: str) -> str:
    """Translate the text between brackets; a range that runs backwards holds nothing."""
    members = text.removeprefix("!")
    ranges = re.findall(r"(.)-(.)|(.)", members, re.DOTALL)
    held = "".join(
        re.escape(single) if single else f"{re.escape(first)}-{re.escape(last)}"
        for first, last, single in ranges
        if single or first <= last
    )
    if members == text:
        return f"[{held}]" if held else "(?!)"
    return f"[^{held}]" if held else "."
