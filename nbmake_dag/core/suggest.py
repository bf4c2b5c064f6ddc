"""Suggest known words for mistyped ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like ``word``, if any is like it.

    Only words of about the same length that share a letter at either end are compared: among 100,000 task names,
    comparing all would take seconds.
    """
    near = [
        candidate
        for candidate in known
        if candidate
        and abs(len(candidate) - len(word)) <= 3
        and (candidate[:1].lower() == word[:1].lower() or candidate[-1:].lower() == word[-1:].lower())
    ]
    matches = difflib.get_close_matches(word, near[:2000], n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str], written: Callable[[str], str] = str) -> str:
    """Return a hint with the known word most like ``word``, as it is ``written``; empty if none is like it."""
    match = closest(word, known)
    return f"did you mean `{written(match)}`?" if match is not None else ""
