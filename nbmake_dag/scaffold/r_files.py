"""The files that an R notebook opens by literal names, in the calls of R and its usual packages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from nbmake_dag.core.globs import escaped
from nbmake_dag.scaffold.file_calls import Mode
from nbmake_dag.scaffold.file_uses import FileUse
from nbmake_dag_cache.notebook import NotebookSource

_READERS = frozenset(
    {
        *("fread", "fromJSON", "load", "read.csv", "read.csv2", "read.delim", "read.table", "readLines"),
        *("readRDS", "read_csv", "read_csv2", "read_delim", "read_dta", "read_excel", "read_feather"),
        *("read_json", "read_lines", "read_parquet", "read_rds", "read_sav", "read_sf", "read_table"),
        *("read_tsv", "read_xlsx", "scan", "st_read", "vroom"),
    }
)
_WRITERS = frozenset(
    {
        *("fwrite", "saveRDS", "st_write", "vroom_write", "write.csv", "write.csv2", "write.table", "writeLines"),
        *("write_csv", "write_delim", "write_dta", "write_feather", "write_json", "write_lines", "write_parquet"),
        *("write_rds", "write_sav", "write_sf", "write_tsv", "write_xlsx"),
    }
)
"""Their file is the second argument, or the first behind a pipe."""
_DEVICES = frozenset({"bmp", "cairo_pdf", "ggsave", "jpeg", "pdf", "png", "save.image", "sink", "svg", "tiff"})
_KEYWORDS = frozenset({"con", "dsn", "file", "filename", "output", "path", "sink"})
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>(?:\w+:::?)?[A-Za-z.][\w.]*)
      | (?P<sign><-|<<-|\|>|%[^%\n]*%|->|==|[<>!]=|\d[\w.]*|[^\s\w])""",
    re.VERBOSE,
)
_OPENING, _CLOSING = "([{", ")]}"
_MOST_TOKENS = 100_000


def r_file_uses(notebook: NotebookSource) -> tuple[FileUse, ...]:
    """List the files that the cells of an R notebook read or write, each once, in their order."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.is_executed)
    return tuple(dict.fromkeys(_Reader(_tokens(text)).uses()))


def _tokens(text: str) -> list[str]:
    found = (match for match in _TOKEN.finditer(text) if match.lastgroup != "comment")
    return [match.group() for _, match in zip(range(_MOST_TOKENS), found, strict=False)]


class _Reader:
    """Goes through the code once; a variable means what it was assigned last."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._texts: dict[str, str] = {}

    def uses(self) -> Iterator[FileUse]:
        for place, token in enumerate(self._tokens):
            after = self._tokens[place + 1 : place + 2]
            if after == ["("] and not _is_text(token):
                arguments = self.arguments(place + 1)
                for mode, path in self._files(token.rpartition(":")[2], arguments):
                    if "." in posixpath.basename(path) or "/" in path:
                        yield FileUse(path=escaped(path), mode=mode)
            elif after in (["<-"], ["="], ["<<-"]) and not self._is_argument(place):
                self._assign(token, place + 2)

    def _is_argument(self, place: int) -> bool:
        return self._tokens[place - 1 : place] in (["("], [","])

    def _assign(self, name: str, start: int) -> None:
        end = start + 1
        if self._tokens[end : end + 1] == ["("]:
            end = self._end(end)
        value = self._value(self._tokens[start:end])
        if value is None or self._tokens[end : end + 1] in (["("], ["["], ["$"]):
            self._texts.pop(name, None)
        else:
            self._texts[name] = value

    def _files(self, function: str, arguments: list[list[str]]) -> Iterator[tuple[Mode, str]]:
        named = {tokens[0]: tokens[2:] for tokens in arguments if tokens[1:2] == ["="] and tokens[0] in _KEYWORDS}
        given = [tokens for tokens in arguments if tokens[1:2] != ["="]]
        if function in _READERS:
            mode, candidates = "read", [*named.values(), *given[:1]]
        elif function in _WRITERS:
            mode, candidates = "write", [*named.values(), *reversed(given[:2])]
        elif function in _DEVICES:
            mode, candidates = "write", [*named.values(), *given[:1]]
        elif function == "save":
            mode, candidates = "write", [*named.values()]
        else:
            return
        found = (path for tokens in candidates if (path := self._value(tokens)) is not None)
        for path in list(found)[:1]:
            yield "read" if mode == "read" else "write", path

    def arguments(self, opening: int) -> list[list[str]]:
        """Return the tokens of each argument of a call."""
        found: list[list[str]] = [[]]
        depth = 0
        for each in self._tokens[opening + 1 : self._end(opening) - 1]:
            depth += (each in _OPENING) - (each in _CLOSING)
            if each == "," and not depth:
                found.append([])
            else:
                found[-1].append(each)
        return [tokens for tokens in found if tokens]

    def _end(self, opening: int) -> int:
        """Return the place after the bracket that closes one."""
        depth = 0
        for place in range(opening, len(self._tokens)):
            token = self._tokens[place]
            depth += (token in _OPENING) - (token in _CLOSING)
            if not depth:
                return place + 1
        return len(self._tokens)

    def _value(self, tokens: list[str]) -> str | None:
        """Return the text that an expression is, if that is known."""
        match tokens:
            case [token] if _is_text(token):
                return None if "\\" in token else token[1:-1]
            case [token]:
                return self._texts.get(token)
            case ["file.path" | "paste0" as function, "(", *_, ")"]:
                parts = [self._value(part) for part in _Reader(tokens).arguments(1)]
                known = [part for part in parts if part is not None]
                separator = "/" if function == "file.path" else ""
                return separator.join(known) if len(known) == len(parts) else None
            case _:
                return None


def _is_text(token: str) -> bool:
    return token[:1] in {'"', "'"}
