"""The text of a Makefile: its rules and variables, and what make would put for them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.steps import SourceFile

_ASSIGNMENT = re.compile(r"(?:export\s+|override\s+)?([\w.-]+)\s*(\?|::?|\+|!)?=\s*(.*)", re.DOTALL)
_RULE = re.compile(r"([^:=#\t][^:=#]*?)\s*(&?::?)(?!=)\s*([^;]*)(?:;(.*))?", re.DOTALL)
_CONDITION = re.compile(r"(?:ifeq|ifneq|ifdef|ifndef|else|endif)\b")
_LONGEST = 20_000
MOST_RULES = 2000


class Rule(msgspec.Struct, kw_only=True):
    """A rule; ``%`` in its targets is a pattern. Its recipe is not expanded yet."""

    targets: tuple[str, ...]
    needs: tuple[str, ...]
    only_before: tuple[str, ...]
    recipe: list[str]
    line: int
    stem: str = ""

    @property
    def is_pattern(self) -> bool:
        return any("%" in target for target in self.targets)


class Variables(dict[str, str]):
    """Values by name; only so many are put in, for they can double each other."""

    left = 100_000


class Makefile(msgspec.Struct, kw_only=True):
    """Rules and variables, as the text declares them, and what of it is left out."""

    variables: Variables = msgspec.field(default_factory=Variables)
    rules: list[Rule] = []
    phony: set[str] = set()
    unsaid: list[str] = []


def parsed(source: SourceFile) -> Makefile:  # noqa: C901 - a case for each kind of line
    """Read rules and variables; raises `UsageError` for too many."""
    made = Makefile()
    folder = source.folder
    defining = False
    recipe: list[str] | None = None
    for number, line in _logical_lines(source.text):
        if defining:
            defining = not line.strip().startswith("endef")
        elif line.startswith("\t"):
            if recipe is not None:
                recipe.append(line[1:])
        elif not (stripped := line.split(" #")[0].strip()) or stripped.startswith("#"):
            continue
        elif _CONDITION.match(stripped):
            if stripped.startswith("if"):
                made.unsaid.append(
                    f"the condition `{stripped}` ({source.place(number)}): all of its branches are read"
                )
        elif stripped.startswith("define"):
            defining = True
        elif re.match(r"-?s?include\b", stripped):
            made.unsaid.append(f"the rules of `{stripped.partition(' ')[2].strip()}` ({source.place(number)})")
        elif (assignment := _ASSIGNMENT.fullmatch(stripped)) is not None:
            _assign(made, assignment, source, folder)
        elif (found := _RULE.fullmatch(stripped)) is not None:
            recipe = [found[4]] if found[4] else []
            _add_rules(made, found, recipe, source, number)
    return made


def _logical_lines(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    pending, begin = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        begin = begin if pending else number
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " " if not pending else line[:-1].strip() + " "
            continue
        found.append((begin, pending + (line.strip() if pending else line)))
        pending = ""
    return [*found, (begin, pending)] if pending else found


def _assign(made: Makefile, assignment: re.Match[str], source: SourceFile, folder: str) -> None:
    name, kind, value = assignment[1], assignment[2], assignment[3].strip()
    if kind == "!":
        made.unsaid.append(f"the variable `{name}`, which the shell gives")
        return
    if kind == "?" and name in made.variables:
        return
    if kind in {":", "::"}:
        value = expanded(value, {}, made.variables, source, folder)
    made.variables[name] = f"{made.variables.get(name, '')} {value}".strip() if kind == "+" else value


def _add_rules(made: Makefile, found: re.Match[str], recipe: list[str], source: SourceFile, line: int) -> None:
    def words(text: str) -> tuple[str, ...]:
        return tuple(expanded(text, {}, made.variables, source, source.folder).split())

    targets = words(found[1])
    if len(made.rules) + len(targets) > MOST_RULES:
        raise UsageError(f"{source.path} has more than {MOST_RULES} rules")
    if targets == (".PHONY",):
        made.phony |= set(words(found[3]))
        return
    if not targets or targets[0].startswith("."):
        return
    if _ASSIGNMENT.fullmatch(found[3]):
        made.unsaid.append(f"a variable of one target alone ({source.place(line)})")
        return
    static, colon, text = found[3].partition(":")
    pattern = words(static) if colon else ()
    needs, _, only_before = (text if colon else found[3]).partition("|")
    rule = Rule(targets=targets, needs=words(needs), only_before=words(only_before), recipe=recipe, line=line)
    shared: list[Rule] = []
    if pattern:
        for target in targets:
            stem = stem_of(pattern[0], target)
            if stem is not None:
                needed = tuple(need.replace("%", stem) for need in rule.needs)
                shared.append(replace(rule, targets=(target,), needs=needed, stem=stem))
    elif len(targets) > 1 and "&" not in found[2] and not rule.is_pattern:
        shared = [replace(rule, targets=(target,)) for target in targets]
    else:
        shared = [rule]
    made.rules += shared


def stem_of(pattern: str, target: str) -> str | None:
    """Return what `%` of a pattern stands for in a target."""
    head, percent, tail = pattern.partition("%")
    if not percent or len(target) <= len(head) + len(tail):
        return None
    return (
        target[len(head) : len(target) - len(tail)] if target.startswith(head) and target.endswith(tail) else None
    )


def expanded(
    text: str,
    automatic: Mapping[str, str],
    variables: Mapping[str, str],
    source: SourceFile,
    folder: str,
    depth: int = 0,
) -> str:
    """Replace variables and functions; what only make or the shell tells stays as it is written."""
    if depth > 20 or "$" not in text or len(text) > _LONGEST:
        return text

    def again(part: str) -> str:
        return expanded(part, automatic, variables, source, folder, depth + 1)

    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position] != "$" or position + 1 == len(text):
            found.append(text[position])
            position += 1
            continue
        opening = text[position + 1]
        if opening == "$":
            found.append("$$")
            position += 2
        elif opening in "({":
            end = _closing(text, position + 1)
            if end < 0:
                return "".join(found) + text[position:]
            inside = text[position + 2 : end]
            value = _value(inside, automatic, variables, again, source, folder)
            found.append(text[position : end + 1] if value is None else value)
            position = end + 1
        else:
            value = automatic.get(opening, variables.get(opening))
            found.append(f"${opening}" if value is None else again(value))
            position += 2
    whole = "".join(found)
    return whole if len(whole) <= _LONGEST else text


def _closing(text: str, position: int) -> int:
    opening = text[position]
    closing = {"(": ")", "{": "}"}[opening]
    depth = 0
    for index in range(position, len(text)):
        depth += (text[index] == opening) - (text[index] == closing)
        if depth == 0:
            return index
    return -1


def _value(  # noqa: C901, PLR0911, PLR0912 - a case for each function
    inside: str,
    automatic: Mapping[str, str],
    variables: Mapping[str, str],
    again: Callable[[str], str],
    source: SourceFile,
    folder: str,
) -> str | None:
    if inside in automatic:
        return automatic[inside]
    if isinstance(variables, Variables):
        variables.left -= 1
        if variables.left < 0:
            return None
    if inside in variables:
        return again(variables[inside])
    if (changed := re.fullmatch(r"([\w.-]+):([^=]*)=(.*)", inside)) is not None and changed[1] in variables:
        old, new = changed[2], changed[3]
        old, new = (old, new) if "%" in old else (f"%{old}", f"%{new}")
        return _substituted(old, new, again(variables[changed[1]]))
    function, _, rest = inside.partition(" ")
    parts = [again(part).strip() for part in rest.split(",")]
    match function, parts:
        case "wildcard", [patterns]:
            return " ".join(path for pattern in patterns.split() for path in source.matching(pattern, folder))
        case "patsubst", [old, new, words]:
            return _substituted(old, new, words)
        case "subst", [old, new, words] if old:
            return words.replace(old, new)
        case "addprefix", [prefix, words]:
            return " ".join(prefix + word for word in words.split())
        case "addsuffix", [suffix, words]:
            return " ".join(word + suffix for word in words.split())
        case "notdir", [words]:
            return " ".join(map(posixpath.basename, words.split()))
        case "dir", [words]:
            return " ".join(f"{posixpath.dirname(word) or '.'}/" for word in words.split())
        case "basename", [words]:
            return " ".join(posixpath.splitext(word)[0] for word in words.split())
        case "strip" | "sort", [words]:
            return " ".join(words.split())
        case _:
            return None


def _substituted(old: str, new: str, words: str) -> str:
    stems = [(word, stem_of(old, word)) for word in words.split()]
    return " ".join(word if stem is None else new.replace("%", stem) for word, stem in stems)
