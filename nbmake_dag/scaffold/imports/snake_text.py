"""The text of a Snakefile: its rules, with the values of their directives as far as the text tells them."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import msgspec

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.follow import Follower
from nbmake_dag.scaffold.imports.steps import SourceFile
from nbmake_dag.scaffold.imports.yaml_file import read_yaml
from nbmake_dag.scaffold.known_calls import UNKNOWN, Namespace, NotLiteralError
from nbmake_dag.scaffold.literals import Literals

_RULE = re.compile(r"(?:rule|checkpoint)\s*(\w*)\s*:\s*(?:#.*)?")
_DIRECTIVE = re.compile(r"(\s+)(\w+)\s*:(.*)", re.DOTALL)
_GLOBAL = re.compile(r"(\w+)\s*:(?!=)\s*(.*)", re.DOTALL)
_PYTHON = frozenset({"else", "finally", "try"})
_GOES_ON = (" ", "\t", ")", "]", "}", "else", "elif", "except", "finally")
_BLOCKS = re.compile(r"(?:onstart|onsuccess|onerror|module|use)\b")
WILDCARD = re.compile(r"\{\s*(\w+)\s*(?:,((?:[^{}]|\{[^{}]*\})*))?\}")
_WRAPPERS = frozenset({"ancient", "ensure", "local", "pipe", "protected", "report", "temp", "temporary", "unpack"})
_MOST = 10_000
_MOST_FILES = 50
_MOST_STRANGE = 500
_MOST_TRIES = 2000
"""Times that lines are joined to see if they are Python."""
_MOST_LINES = 100
"""Lines of one statement that are tried, after its block."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What a directive lists: values without names, and those with one; what is not known is left out."""

    listed: tuple[Any, ...] = ()
    named: Mapping[str, Any] = {}
    unknown: tuple[str, ...] = ()

    @property
    def all(self) -> list[Any]:
        return [*self.listed, *self.named.values()]

    def texts(self) -> list[str]:
        """Return every text, those in lists too."""
        found: list[str] = []
        for value in self.all:
            found += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
        return found


class SnakeRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, its directives by name."""

    name: str
    line: int
    file: SourceFile
    directives: Mapping[str, Arguments]

    def of(self, directive: str) -> Arguments:
        return self.directives.get(directive, Arguments())


class Snakefile(msgspec.Struct, kw_only=True):
    """Rules in the order of the text, what it configures, and what of it is left out."""

    rules: list[SnakeRule] = []
    unsaid: list[str] = []
    config: dict[str, Any] = {}
    strange: list[str] = []
    """Lines that are not understood, a sentence each."""


def parsed(source: SourceFile, folder: str) -> Snakefile:
    """Read a Snakefile whose paths are relative to a folder; raises `UsageError`."""
    reader = _Reader(source, folder)
    reader.read(source)
    made = reader.made
    if len(made.strange) > _MOST_STRANGE:
        raise UsageError(f"{source.path} has more than {_MOST_STRANGE} lines that are not understood")
    if made.strange and not made.rules:
        raise UsageError(made.strange[0])
    made.unsaid += made.strange[:20]
    return made


class _Reader:
    def __init__(self, source: SourceFile, folder: str) -> None:
        self.made = Snakefile()
        self._folder = folder
        self._root = source
        self._variables = Literals(calls=self._evaluated)
        self._variables.bind("config", {})
        self._follower = Follower()
        self._files = 0
        self._tries = _MOST_TRIES

    def read(self, source: SourceFile) -> None:
        self._files += 1
        self._lines(source, source.text.split("\n"), 0)

    def _lines(self, source: SourceFile, lines: list[str], offset: int) -> None:
        """Read lines, of which the first has a number one above ``offset``."""
        position = 0
        while position < len(lines) and len(self.made.strange) <= _MOST_STRANGE:
            line = lines[position]
            number = offset + position + 1
            end = _block(lines, position)
            match = _RULE.fullmatch(line.rstrip())
            if match:
                self._rule(source, match[1] or f"rule-{number}", number, lines[position + 1 : end])
            elif _BLOCKS.match(line):
                self.made.unsaid.append(f"`{line.strip()}` ({source.place(number)})")
            elif (found := _GLOBAL.match("\n".join(lines[position:end]))) and found[1] not in _PYTHON:
                self._directive(source, found[1], found[2], number)
            else:
                end = self._python(source, lines, position, number)
            position = max(end, position + 1)

    def _directive(self, source: SourceFile, name: str, text: str, line: int) -> None:
        arguments = self._arguments(text, source, line)
        values = arguments.texts()
        match name, values:
            case "configfile", [path]:
                file = source.sibling(source.at(path, self._folder)) or source.sibling(source.at(path))
                content = read_yaml(file) if file else None
                if isinstance(content, dict):
                    self.made.config |= {str(key): value for key, value in content.items()}
                    self._variables.bind("config", self.made.config)
                else:
                    self.made.unsaid.append(f"the values of `{path}`, which cannot be read")
            case "include", [path]:
                file = source.sibling(source.at(path))
                if file is None or self._files > _MOST_FILES:
                    self.made.unsaid.append(f"the rules of `{path}`, which cannot be read")
                else:
                    self.read(file)
            case "localrules" | "ruleorder" | "min_version", _:
                pass
            case _:
                self.made.unsaid.append(f"`{name}` ({source.place(line)})")

    def _python(self, source: SourceFile, lines: list[str], position: int, number: int) -> int:
        """Follow one statement of Python at the top of the file; return where it ends."""
        if not lines[position].strip() or lines[position].lstrip().startswith("#"):
            return position + 1
        first = _block(lines, position)
        for end in range(first, min(len(lines), first + _MOST_LINES) + 1):
            if end < len(lines) and lines[end].startswith(_GOES_ON):
                continue
            self._tries -= 1
            if self._tries < 0 and end > first:
                break
            try:
                tree = ast.parse("\n".join(lines[position:end]))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            self._follower.follow(tree.body, self._variables)
            return end
        place = source.place(number)
        if re.match(r"(?:if|elif|else|for|with|try)\b.*:", lines[position]) and first > position + 1:
            # it holds rules
            self.made.unsaid.append(f"the condition `{lines[position].strip()}` ({place}): what it holds is read")
            body = textwrap.dedent("\n".join(lines[position + 1 : first])).split("\n")
            self._lines(source, body, number)
            return first
        self.made.strange.append(f"{place} is neither a rule nor Python: `{lines[position].strip()[:80]}`")
        return position + 1

    def _rule(self, source: SourceFile, name: str, line: int, body: list[str]) -> None:
        directives: dict[str, Arguments] = {}
        current = ""
        texts: dict[str, list[str]] = {}
        places: dict[str, int] = {}
        indent = next((len(text) - len(text.lstrip()) for text in body if _DIRECTIVE.fullmatch(text)), 4)
        quoted = False
        for number, text in enumerate(body, start=line + 1):
            found = None if quoted else _DIRECTIVE.fullmatch(text)
            if found and len(found[1].expandtabs(4)) <= indent and not text.lstrip().startswith(("#", '"', "'")):
                current = found[2]
                texts[current] = [found[3]]
                places[current] = number
            elif current:
                texts[current].append(text)
            quoted ^= (text.count('"""') + text.count("'''")) % 2 == 1
        for directive, parts in texts.items():
            if directive == "run":
                directives[directive] = Arguments(listed=(textwrap.dedent("\n".join(parts)),))
            else:
                directives[directive] = self._arguments("\n".join(parts), source, places[directive])
        self.made.rules.append(SnakeRule(name=name, line=line, file=source, directives=directives))
        self._variables.bind("rules", Namespace({rule.name: _named(rule) for rule in self.made.rules}))

    def _arguments(self, text: str, source: SourceFile, line: int) -> Arguments:
        try:
            call = ast.parse(f"f({text}\n)", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UsageError(f"{source.place(line)} cannot be read: `{' '.join(text.split())[:80]}`") from None
        if not isinstance(call, ast.Call):
            raise UsageError(f"{source.place(line)} cannot be read: `{' '.join(text.split())[:80]}`")
        listed: list[Any] = []
        named: dict[str, Any] = {}
        unknown: list[str] = []
        for name, value in [
            *((None, item) for item in call.args),
            *((item.arg, item.value) for item in call.keywords),
        ]:
            try:
                found = self._value(value)
            except NotLiteralError:
                unknown.append(ast.unparse(value)[:100])
                continue
            if isinstance(found, list) and UNKNOWN in found:
                unknown.append(ast.unparse(value)[:100])
                found = [item for item in found if item is not UNKNOWN]
            if name is None:
                listed += found if isinstance(found, list) else [found]
            else:
                named[name] = found
        return Arguments(listed=tuple(listed), named=named, unknown=tuple(unknown))

    def _value(self, value: ast.expr) -> Any:
        if isinstance(value, ast.Lambda):
            return self._with_wildcards(value, value.body)
        found = self._variables.evaluate(value)
        if isinstance(found, Namespace):
            return [item for key, item in found.items() if isinstance(key, int)]
        return found

    def _with_wildcards(self, function: ast.Lambda, body: ast.expr) -> Any:
        """Evaluate ``lambda wildcards: f"{wildcards.x}.csv"`` as the pattern that it stands for."""
        if len(function.args.args) != 1:
            raise NotLiteralError("a function of more than wildcards")
        name = function.args.args[0].arg

        class Patterns(ast.NodeTransformer):
            def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
                if isinstance(node.value, ast.Name) and node.value.id == name:
                    return ast.Constant(value=f"{{{node.attr}}}")
                return node

        return self._variables.evaluate(Patterns().visit(ast.parse(ast.unparse(body), mode="eval")).body)

    def _evaluated(self, call: ast.Call, variables: Literals) -> Any:
        """Evaluate the functions that Snakemake gives a file; ``None`` for others."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        match name, call.args:
            case "expand" | "collect", [pattern, *rest]:
                joined = (
                    zip if rest and isinstance(rest[0], ast.Name) and rest[0].id == "zip" else itertools.product
                )
                named = {item.arg or "": variables.evaluate(item.value) for item in call.keywords}
                return _expanded(variables.evaluate(pattern), named, joined)
            case "multiext", [base, *ends]:
                start = variables.evaluate(base)
                return [f"{start}{variables.evaluate(end)}" for end in ends]
            case "directory", [path]:
                return f"{str(variables.evaluate(path)).rstrip('/')}/"
            case "touch", [path]:
                return variables.evaluate(path)
            case _, [path, *_] if name in _WRAPPERS:
                return variables.evaluate(path)
            case "glob_wildcards", [pattern]:
                return self._found_files(str(variables.evaluate(pattern)))
            case _:
                return None

    def _found_files(self, pattern: str) -> Namespace:
        """Return the values of wildcards of the files that are there, a list for each, by number and name."""
        names = [match[1] for match in WILDCARD.finditer(pattern)]
        expression = re.compile(pattern_expression(pattern))
        paths = self._root.matching(WILDCARD.sub("*", pattern), self._folder)
        rows = [match.groupdict() for path in paths if (match := expression.fullmatch(path))]
        self.made.unsaid.append(f"that `{pattern}` finds files when it is read: those of now are written out")
        found = Namespace()
        for number, name in enumerate(names):
            found[number] = found[name] = [row[name] for row in rows]
        return found


def _named(rule: SnakeRule) -> Namespace:
    """Return what ``rules.name`` stands for: each directive, whose items have numbers and some have names."""
    found = Namespace()
    for directive, arguments in rule.directives.items():
        items: dict[Any, Any] = {**dict(enumerate(arguments.all)), **arguments.named}
        found[directive] = Namespace(items)
    return found


def pattern_expression(pattern: str) -> str:
    """Return the regular expression of a path with wildcards."""
    seen: set[str] = set()
    found: list[str] = []
    position = 0
    for match in WILDCARD.finditer(pattern):
        found.append(re.escape(pattern[position : match.start()]))
        name = match[1]
        if name in seen:
            found.append(f"(?P={name})")
        else:
            simple = match[2] if match[2] and re.fullmatch(r"[\w\\\[\]|.+-]{1,50}", match[2]) else "[^/]+"
            found.append(f"(?P<{name}>{simple})")
        seen.add(name)
        position = match.end()
    return "".join([*found, re.escape(pattern[position:])])


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Put values for the wildcards of a path; ``{{x}}`` of an `expand` is one, too."""
    return WILDCARD.sub(
        lambda match: values.get(match[1], match[0]), pattern.replace("{{", "{").replace("}}", "}")
    )


def _expanded(patterns: Any, values: Mapping[str, Any], joined: Any) -> list[str]:
    """Fill every pattern with every row of values; a name in two pairs of braces stays, in one."""
    found: dict[str, None] = {}
    lists = [value if isinstance(value, list) else [value] for value in values.values()]
    for pattern in patterns if isinstance(patterns, list) else [patterns]:
        marked = str(pattern).replace("{{", "\x01").replace("}}", "\x02")
        for row in joined(*lists):
            if len(found) > _MOST:
                raise NotLiteralError("too many")
            text = filled(marked, dict(zip(values, map(str, row), strict=True)))
            found[text.replace("\x01", "{").replace("\x02", "}")] = None
    return list(found)


def _block(lines: list[str], position: int) -> int:
    """Return where the indented lines below one end."""
    end = position + 1
    quoted = False
    while end < len(lines) and (quoted or not lines[end].strip() or lines[end][0] in " \t#"):
        quoted ^= (lines[end].count('"""') + lines[end].count("'''")) % 2 == 1
        end += 1
    return end
