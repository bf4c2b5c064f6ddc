"""Lines of shell taken apart: commands, their words, and here-documents."""

from __future__ import annotations

import re
import shlex

HEREDOC = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Begins the word that stands for a here-document; its number follows."""
_HEREDOC_START = re.compile(r"(?<![<])<<(?!<)(?P<indented>-?)[ \t]*(?P<quote>['\"\\]?)(?P<end>\w+)['\"]?")
_SEPARATOR = re.compile(r"[;&|()\n]+|[<>]\(")
_QUOTED_OR_COMMENT = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|(?P<continued>\\\n)|\\.|(?<![^\s;&|()])(?P<comment>#[^\n]*)""", re.DOTALL
)
_PLAIN = re.compile(r"[\w./=,:@%+*?~^$\[\]{}!();<>|&\n \t-]*", re.ASCII)
"""Lines without quotes and comments: all of them is words, what separates words, and white space."""
_PLAIN_WORD = re.compile(r"[();<>|&\n]+|[^();<>|&\n \t]+")
_BACKTICKS = re.compile(r"`([^`]*)`")


def without_backticks(lines: str) -> str:
    """Write commands in backticks the other way."""
    return _BACKTICKS.sub(r"$(\1)", lines)


def without_heredocs(lines: str) -> tuple[str, list[str]]:
    """Replace the bodies of here-documents by their numbers; return them as well."""
    if "<<" not in lines:
        return lines, []
    kept: list[str] = []
    bodies: list[str] = []
    rest = lines.split("\n")
    while rest:
        line = rest.pop(0)
        if line.lstrip().startswith("#"):
            continue
        waiting: list[re.Match[str]] = []

        def numbered(match: re.Match[str], waiting: list[re.Match[str]] = waiting) -> str:
            if not any(_ends(match, text) for text in rest):
                # a shift of bits, or text in quotes
                return match[0]
            waiting.append(match)
            return f" {HEREDOC}{len(bodies) + len(waiting) - 1} "

        kept.append(_HEREDOC_START.sub(numbered, line))
        for match in waiting:
            body: list[str] = []
            while rest:
                text = rest.pop(0)
                if _ends(match, text):
                    break
                body.append(text)
            bodies.append("\n".join(body))
    return "\n".join(kept), bodies


def _ends(start: re.Match[str], line: str) -> bool:
    return (line.lstrip("\t") if start["indented"] else line) == start["end"]


def commands(lines: str) -> list[tuple[list[str], str]]:
    """Split lines of shell into commands, each with what separates it from the next."""
    found: list[tuple[list[str], str]] = []
    words: list[str] = []
    for word in [*_words(lines), "\n"]:
        if _SEPARATOR.fullmatch(word):
            found.append((words, word))
            words = []
        else:
            words.append(word)
    return found


def _words(lines: str) -> list[str]:
    if _PLAIN.fullmatch(lines):
        return _PLAIN_WORD.findall(lines)
    return _lexed(lines)


def _lexed(lines: str) -> list[str]:
    lines = _QUOTED_OR_COMMENT.sub(
        lambda match: " " if match["continued"] else "" if match["comment"] else match[0],
        without_backticks(lines),
    )
    lexer = shlex.shlex(lines, posix=True, punctuation_chars="();<>|&\n")
    lexer.commenters = ""
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return [word for line in lines.splitlines() for word in (*line.split(), "\n")]


def recipes(makefile: str) -> list[str]:
    """Return the lines of a makefile, each of which runs by itself, with its variables put in."""
    values = {"MAKE": "make"}
    found: list[str] = []
    exported = ""
    for written in makefile.replace("\\\n", " ").splitlines():
        line = _MAKE_VARIABLE.sub(lambda match: values.get(match[1], match[0]), written)
        if assigned := _MAKE_ASSIGNMENT.fullmatch(line):
            values[assigned[1]] = assigned[2].strip()
            exported += f"{line};" if line.startswith("export") else ""
        include = _MAKE_INCLUDE.fullmatch(line)
        found += [f"make -f {name}" for name in include[1].split()] if include else [_MAKE_SILENT.sub("", line)]
    return [exported + line for line in found if line.strip()]


_MAKE_VARIABLE = re.compile(r"\$[({](\w+)[)}]")
_MAKE_ASSIGNMENT = re.compile(r"(?:export\s+)?(\w+)\s*[:?+]{0,2}=\s*(.*)")
_MAKE_INCLUDE = re.compile(r"[-s]?include\s+(.*)")
_MAKE_SILENT = re.compile(r"^\t[@+\s-]*")
