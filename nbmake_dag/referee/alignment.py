"""Which cells of two versions of a notebook belong together; the site's comparison of notebooks pairs them alike.

First come equal cells, then, between those, cells that have half of their lines in common.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import msgspec

_CLOSE = 0.5
_LONGEST = 60
_COMMENT = re.compile(r"(?:^|\s)#.*$")


class Text(msgspec.Struct, frozen=True):
    """A cell as it is compared."""

    kind: str
    source: str


class Pair(msgspec.Struct, frozen=True):
    """The places of two cells that belong together, ``None`` where there is no other."""

    before: int | None
    after: int | None


def aligned(before: Sequence[Text], after: Sequence[Text]) -> list[Pair]:
    """Pair the cells of two versions, in an order that both have."""
    pairs: list[Pair] = []
    start, begin = 0, 0
    for a, b, size in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        pairs += _alike(before[start:a], after[begin:b], start, begin)
        pairs += [Pair(a + step, b + step) for step in range(size)]
        start, begin = a + size, b + size
    return pairs


def _alike(before: Sequence[Text], after: Sequence[Text], start: int, begin: int) -> Iterator[Pair]:
    """Pair cells by likeness: the best total in order, as an edit distance whose changes cost what differs."""
    rows, columns = len(before), len(after)
    likeness = [[similarity(a.source, b.source) if a.kind == b.kind else 0.0 for b in after] for a in before]
    score = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            together = likeness[i][j] + score[i + 1][j + 1] if likeness[i][j] >= _CLOSE else 0.0
            score[i][j] = max(together, score[i + 1][j], score[i][j + 1])
    i = j = 0
    while i < rows or j < columns:
        like = likeness[i][j] if i < rows and j < columns else 0.0
        if like >= _CLOSE and score[i][j] == like + score[i + 1][j + 1]:
            yield Pair(start + i, begin + j)
            i, j = i + 1, j + 1
        elif i < rows and (j >= columns or score[i + 1][j] >= score[i][j + 1]):
            yield Pair(start + i, None)
            i += 1
        else:
            yield Pair(None, begin + j)
            j += 1


def similarity(one: str, other: str) -> float:
    """Return the share of lines that two texts have in common (Dice), of words where there is only one line."""
    mine, theirs = _parts(one), _parts(other)
    if not mine and not theirs:
        return 1.0
    return 2 * (Counter(mine) & Counter(theirs)).total() / (len(mine) + len(theirs))


def _parts(text: str) -> list[str]:
    parts = text.split("\n") if "\n" in text else re.split(r"\b", text)
    return [part.strip() for part in parts if part.strip()]


def difference(before: str, after: str) -> str:
    """Describe how a text changed in a few words: `C = 1.0 → 0.01`; empty where that takes more."""
    old, new = (
        [code for line in text.splitlines() if (code := _COMMENT.sub("", line).strip())]
        for text in (before, after)
    )
    rest = [
        (old[a:b], new[c:d])
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    if len(rest) != 1 or len(rest[0][0]) > 1 or len(rest[0][1]) > 1:
        return ""
    gone, come = ("".join(lines) for lines in rest[0])
    if not gone or not come:
        return f"{come} added" if come else f"{gone} removed"
    words, others = (re.findall(r"[\w.]+|\s+|.", line) for line in (gone, come))
    shared = 0
    while shared < min(len(words), len(others)) and words[shared] == others[shared]:
        shared += 1
    end = 0
    while end < min(len(words), len(others)) - shared and words[-1 - end] == others[-1 - end]:
        end += 1
    if shared + end in {len(words), len(others)}:
        # one has all of the other, and more: both are shown whole
        return f"{_cut(gone)} → {_cut(come)}"
    first = "".join(words[:shared])
    if end:
        # within brackets, the argument is enough
        first = re.split(r"[(\[{,]\s*", first)[-1]
    was, now = ("".join(line[shared : len(line) - end]) for line in (words, others))
    return f"{_cut(first + was)} → {_cut(now)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
