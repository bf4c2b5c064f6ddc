"""The files of R notebooks: named literally, or by variables and functions whose values the text shows."""

from __future__ import annotations

import pytest

from nbmake_dag.scaffold.r_files import r_file_uses
from nbmake_dag_cache.notebook import read_notebook


def _uses(code: str) -> list[tuple[str, str]]:
    notebook = read_notebook(f"# %%\n{code}\n".encode(), "a.R")
    return [(use.mode, use.path) for use in r_file_uses(notebook)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("d <- read.csv('a.csv')", [("read", "a.csv")]),
        ('d = readr::read_csv("data/a.csv", col_types = "ccd")', [("read", "data/a.csv")]),
        ("fread(file = 'a.csv')", [("read", "a.csv")]),
        ("path <- 'a.csv'\nd <- read.csv(path)\npath <- 'b.csv'\nwrite.csv(d, path)", None),
        ("DIR <- 'data'\nreadRDS(file.path(DIR, 'x', 'a.rds'))", [("read", "data/x/a.rds")]),
        ("out <- paste0('data/', 'a', '.csv')\nwrite_csv(d, out)", [("write", "data/a.csv")]),
        ("d %>% filter(x > 1) %>% write_csv('a.csv')", [("write", "a.csv")]),
        ("d |> write_csv('a.csv')", [("write", "a.csv")]),
        ("write.csv(d, file = 'a.csv', row.names = FALSE)", [("write", "a.csv")]),
        ("saveRDS(list(a = 1, b = c(1, 2)), 'a.rds')", [("write", "a.rds")]),
        ("save(x, y, file = 'a.RData')\nload('b.RData')", [("write", "a.RData"), ("read", "b.RData")]),
        ("ggsave('p.png', width = 3)\npng('q.png'); plot(x); dev.off()", [("write", "p.png"), ("write", "q.png")]),
        ("read.csv('f[1].csv')", [("read", "f[[]1].csv")]),
        ("# read.csv('a.csv')\nx <- \"# no comment\"; read.csv('b.csv')", [("read", "b.csv")]),
        ("read.csv(choose())\nread.csv(name)\nread.csv(sprintf('%s.csv', x))\nsave(x)\nscan()", []),
        ("path <- 'a.csv'\npath <- f(path)\nread.csv(path)", []),
        ("path <- paste0('a', n, '.csv')\nread.csv(path)", []),
        ("read.csv(text = 'a.b,c')\nread.csv('a\\\\b.csv')\nread_csv('plain')", []),
        ("read.csv('a.csv'", []),
        ("f <- function(x, path = 'a.csv') read.csv(path)", []),
        (")(read.csv(", []),
    ],
)
def test_calls_name_files(code: str, expected: list[tuple[str, str]] | None) -> None:
    """What only running would tell is left out, also in code that is no R."""
    assert _uses(code) == ([("read", "a.csv"), ("write", "b.csv")] if expected is None else expected)
