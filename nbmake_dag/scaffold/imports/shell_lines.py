"""List the commands of a shell script, with variables and loops expanded where their values are known."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence

import msgspec

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^{}]*))?\}|\((?:\w+)\)|(\w+))")
_RANGE = re.compile(r"\{(-?\d{1,6})\.\.(-?\d{1,6})\}")
_CHOICE = re.compile(r"\{([^{}\s]*,[^{}\s]*)\}")
_DUPLICATES = re.compile(r"\d*[<>]&\d-?")
_SUBSTITUTION = re.compile(r"\$\((?!seq |\w+\))[^()]*\)|`[^`]*`")
"""What only the shell tells; the counting of a loop is read."""
_PUNCTUATION = re.compile(r"&&|\|\||;;|[;&|()]")
_SEPARATORS = frozenset({";", "&", "&&", "||", "|", "\n", "(", ")", ";;", "|&"})
_BEFORE_A_WORD = _SEPARATORS | {"do", "done", "else", "esac", "fi", "then", "{", "}"}
"""After these the shell takes `done` for its own word."""
_OPENING = frozenset({"if", "while", "until", "case"})
_CLOSING = frozenset({"fi", "esac"})
_SKIPPED = frozenset({"then", "else", "elif", "do", "{", "}", "!"})
_MOST = 1000
"""Commands of one text that are followed; a loop counts each time."""
_MOST_LINES = 50
"""Lines of one text in quotes."""
_DEEPEST = 5
"""Loops within loops."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One command, with the number of the line that it begins at."""

    words: tuple[str, ...]
    number: int = 0
    is_conditional: bool = False
    """Whether it stands in an `if`, in a `while`, or behind `||`."""
    is_known: bool = True
    """Whether all of its words are known; a variable that has no value stands in it as it is written."""


def lines_of(
    text: str, variables: Mapping[str, str], files: Callable[[str], list[str]] = lambda _: []
) -> list[Line]:
    """List the commands of a text; what cannot be split into words, as with an open quote, is left out.

    ``files`` gives the files of a glob, for loops over them.
    """
    reader = _Reader(files)
    reader.follow(_tokens(text), dict(variables), 0, depth=0)
    return reader.found


def _tokens(text: str) -> list[tuple[str, int]]:
    """Split a text into words and separators, each with its line."""
    joined = re.sub(r"\\\r?\n", " ", text)
    found: list[tuple[str, int]] = []
    number = 1
    heredoc = ""
    pending = ""
    for line in joined.splitlines():
        whole = f"{pending}\n{line}" if pending else line
        if heredoc:
            heredoc = "" if line.strip() == heredoc else heredoc
        else:
            plain = _DUPLICATES.sub("", _SUBSTITUTION.sub("$UNKNOWN", whole)).replace("&>", ">")
            lexer = shlex.shlex(plain, posix=True, punctuation_chars=";&|()")
            lexer.whitespace_split = True
            lexer.commenters = "#"
            try:
                words = list(lexer)
            except ValueError:
                pending = whole if whole.count("\n") < _MOST_LINES else ""
                number += 1
                continue
            for word in words:
                parts = _PUNCTUATION.findall(word) if re.fullmatch(r"[;&|()]+", word) else [word]
                found += [(part, number) for part in parts]
            pending = ""
            if start := re.search(r"<<-?\s*['\"]?(\w+)", whole):
                heredoc = start[1]
            found.append(("\n", number))
        number += 1
    return found


class _Reader:
    """Follows tokens."""

    def __init__(self, files: Callable[[str], list[str]]) -> None:
        self.found: list[Line] = []
        self._files = files

    def follow(
        self, tokens: Sequence[tuple[str, int]], known: dict[str, str], conditions: int, depth: int
    ) -> None:
        position = 0
        while position < len(tokens) and len(self.found) < _MOST:
            word, number = tokens[position]
            before = tokens[position - 1][0] if position else ""
            if word in _SEPARATORS or word in _SKIPPED:
                position += 1
            elif word == "for" and depth < _DEEPEST and (loop := _loop(tokens, position)) is not None:
                name, items, body, position = loop
                values = _items(items, known, self._files)
                for value in [None] if values is None else values:
                    inner = {**known, name: "$" + name if value is None else value}
                    self.follow(body, inner, conditions + (value is None), depth + 1)
            elif word in _OPENING or word in _CLOSING:
                conditions = max(conditions + (1 if word in _OPENING else -1), 0)
                position += 1
            else:
                end = position
                while end < len(tokens) and tokens[end][0] not in _SEPARATORS:
                    end += 1
                words = [token for token, _ in tokens[position:end]]
                is_conditional = conditions > 0 or before == "||"
                _note(words, number, known, self.found, is_conditional=is_conditional)
                position = end


def _note(
    words: list[str], number: int, known: dict[str, str], found: list[Line], *, is_conditional: bool
) -> None:
    if words[0] in {"export", "local", "readonly", "declare"}:
        words = words[1:]
    assignments = [re.fullmatch(r"(\w+)=(.*)", word, re.DOTALL) for word in words]
    if words and all(assignments):
        for assignment in assignments:
            if assignment is not None:
                name, value = assignment[1], expanded(assignment[2], known)
                known.pop(name, None)
                if "$" not in value and "`" not in value and not is_conditional:
                    known[name] = value
        return
    spelled = tuple(expanded(word, known) for word in _without_redirections(words))
    if spelled:
        is_known = not any("$" in word or "`" in word for word in spelled)
        found.append(Line(words=spelled, number=number, is_conditional=is_conditional, is_known=is_known))


def expanded(word: str, known: Mapping[str, str]) -> str:
    """Replace the variables of a word that have a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name is not None and name in known:
            return known[name]
        return match[2] if match[2] is not None else match[0]

    found = _VARIABLE.sub(value, word)
    return found if len(found) < 10_000 else word


def _without_redirections(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif re.fullmatch(r"\d*(?:>>?|<)(?:&\d)?", word) or word == "&>":
            skip = not word.endswith(tuple("0123456789")) or "&" not in word
        elif not re.match(r"\d*(?:>>?|<<?)", word):
            kept.append(word)
    return kept


def _loop(
    tokens: Sequence[tuple[str, int]], position: int
) -> tuple[str, list[str], list[tuple[str, int]], int] | None:
    """Return variable, items and body of a loop ``for x in a b; do ... done``, and where it ends."""
    if len(tokens) < position + 4 or tokens[position + 2][0] != "in":
        return None
    start = position + 3
    head = start
    while head < len(tokens) and tokens[head][0] != "do":
        head += 1
    depth, end = 1, head + 1
    while end < len(tokens) and depth:
        word = tokens[end][0]
        is_first = tokens[end - 1][0] in _BEFORE_A_WORD
        depth += is_first and word in {"for", "while", "until"}
        depth -= is_first and word == "done"
        end += 1
    if depth:
        return None
    items = [word for word, _ in tokens[start:head] if word not in {";", "\n"}]
    return tokens[position + 1][0], items, list(tokens[head + 1 : end - 1]), end


def _items(words: list[str], known: Mapping[str, str], files: Callable[[str], list[str]]) -> list[str] | None:
    """Return the items of a loop, ``None`` where the text does not tell them."""
    text = " ".join(words)
    if counted := re.fullmatch(r"\$\s*\( seq (-?\d{1,6})(?: (-?\d{1,6}))? \)", text):
        first, last = (int(counted[1]), int(counted[2])) if counted[2] else (1, int(counted[1]))
        return [str(number) for number in range(first, min(last, first + _MOST) + 1)]
    found: list[str] = []
    for word in words:
        spelled = expanded(word, known)
        pieces = spelled.split() if word.startswith("$") else [spelled]
        for piece in pieces:
            for item in _braces(piece):
                found += files(item) if re.search(r"[*?\[]", item) and not re.search(r"[$`()]", item) else [item]
    return None if not found or any(re.search(r"[$`()]", item) for item in found) else found[:_MOST]


def _braces(word: str) -> list[str]:
    if numbers := _RANGE.search(word):
        first, last = int(numbers[1]), int(numbers[2])
        step = 1 if last >= first else -1
        values = [str(number) for number in range(first, last + step, step)][:_MOST]
    elif choice := _CHOICE.search(word):
        numbers, values = choice, choice[1].split(",")
    else:
        return [word]
    return [
        found for value in values for found in _braces(word[: numbers.start()] + value + word[numbers.end() :])
    ][:_MOST]
