"""The architecture page names what is there, and nothing that is not."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "nbmake_dag"
PAGE = (TOOL / "README.md").read_text()
FOLDERS = (TOOL, ROOT / "cache", ROOT / "reporting", ROOT)
"""Where a path on the page may start."""
SOURCES = {
    path: path.read_text()
    for folder in (TOOL, ROOT / "cache/nbmake_dag_cache", ROOT / "reporting/nbmake_dag_reporting")
    for path in folder.rglob("*.py")
}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """Return what the first column of a table holds between backticks."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_package_has_its_line():
    """Also those within packages; and no line is about a package that has gone."""
    packages = {f"{path.parent.relative_to(TOOL)}/" for path in TOOL.rglob("*/__init__.py")}
    assert sorted(first_cells(section("Packages"))) == sorted(packages)


def test_every_module_beside_the_packages_is_named():
    """They are few, and each has a reason to stand there."""
    beside = {path.name for path in TOOL.glob("*.py")} - {"__init__.py"}
    assert beside - set(re.findall(r"`(\w+\.py)`", section("Packages"))) == set()


def test_every_module_opens_with_a_sentence():
    """`head -qn1` of a folder is the list of its modules, as the page says."""
    silent = [path for path, text in SOURCES.items() if not re.match(r'""".+[.:`]+("""|\n)', text)]
    assert silent == []


def test_every_path_on_the_page_exists():
    """A module that moves takes its line with it."""
    rows = {path.rstrip("*") for path in first_cells(section("The files of `.nbdag/`"))}
    known = {"commands/NAME.py", "cache/tmp/", *rows, *(f"{path.partition('/')[0]}/" for path in rows)}
    named = set(re.findall(r"`([\w/]+(?:\.(?:py|tsx?|md)|/))`", PAGE)) - known
    gone = [path for path in named if not any((folder / path).exists() for folder in FOLDERS)]
    assert gone == []


def test_every_name_of_the_code_on_the_page_exists():
    """Types, their methods, and constants; the page follows what is renamed."""
    text = "\n".join(SOURCES.values()) + "".join(
        path.read_text() for path in ROOT.glob("reporting/site/src/*.ts*")
    )
    named = re.findall(r"`([A-Z][A-Za-z_]+)(?:\.([a-z_]+)(?:\(\))?)?`", PAGE)
    words = {word for pair in named for word in pair if word}
    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", text)] == []


def below_nbdag(tree: ast.Module) -> set[str]:
    """Find the paths below `.nbdag` that a module puts together."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.path.join":
            start, parts = ast.unparse(node.args[0]), [ast.unparse(each).strip("'\"") for each in node.args[1:]]
            if ".nbdag" in parts:
                found.add("/".join(parts[parts.index(".nbdag") + 1 :]))
            elif re.search(r"\b(state|runs|failed|history)$", start):
                found.add("/".join((re.split(r"\W", start)[-1], *parts)))
    return found


def test_every_file_of_nbdag_that_the_code_names_has_its_row():
    """Each with its owner, its format, and what losing it costs."""
    rows = [re.sub(r"/?[*].*", "", path).rstrip("/") for path in first_cells(section("The files of `.nbdag/`"))]
    named = {path for text in SOURCES.values() for path in below_nbdag(ast.parse(text))}
    assert {"state/lock", "state/last.json", "site"} <= named
    unlisted = {
        path
        for path in named
        if not any(path == row or path.startswith(f"{row}/") or row.startswith(f"{path}/") for row in rows)
    }
    assert unlisted == set()


def test_every_file_that_a_build_leaves_has_its_row(tmp_path):
    """As the example leaves them, after a run, a hit and a failure."""
    (tmp_path / "pipeline.toml").write_text(
        '[pipeline]\nname = "p"\n\n[tasks.a]\ncommand = "echo 1 > a.txt"\noutputs = ["a.txt"]\n\n'
        '[tasks.b]\ncommand = "echo 2 > b.txt; test -e ok"\noutputs = ["b.txt"]\n'
    )
    nbdag = [sys.executable, "-m", "nbmake_dag", "build", "-C", str(tmp_path)]
    assert subprocess.run(nbdag, capture_output=True, check=False).returncode == 1
    (tmp_path / "ok").touch()
    assert [subprocess.run(nbdag, capture_output=True, check=False).returncode for _ in range(2)] == [0, 0]
    folder = tmp_path / ".nbdag"
    rows = [re.sub(r"[*].*", "", path) for path in first_cells(section("The files of `.nbdag/`"))]
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {".gitignore", "state/lock"} <= left
    assert {path for path in left if not any(path == row or path.startswith(row) for row in rows)} == set()
