"""Draws the pictures of the terminal in the documentation, from real builds: ``python -m tests.docs.pictures``."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from tests.support.project import NBDAG

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "nbmake_dag" / "docs" / "images"
LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 46),
    [
        (36, 41, 46),
        (194, 42, 42),
        (26, 127, 55),
        (154, 103, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
)
THEMES = {"light": LIGHT, "dark": SVG_EXPORT_THEME}
_WIDTH = 96


def main() -> None:
    """Build the quickstart three times in a terminal, and draw what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "quickstart"
        ignored = shutil.ignore_patterns(".nbdag", "data", "charts", "report.html")
        shutil.copytree(ROOT / "examples" / "quickstart", project, ignore=ignored)
        lines: list[str] = []
        lines += _shown("nbdag build", project)
        time.sleep(3)  # files younger than that are looked at closely
        lines += _shown("nbdag build", project)
        notebook = project / "notebooks" / "measure.py"
        notebook.write_text(_warmer(notebook.read_text()))
        lines += ["$ # Nairobi becomes warmer in notebooks/measure.py", *_shown("nbdag build", project)]
    for name, theme in THEMES.items():
        (IMAGES / f"build-{name}.svg").write_text(_drawn(lines, theme))


def _warmer(source: str) -> str:
    changed = source.replace('"nairobi": {"mean": 19.0', '"nairobi": {"mean": 24.0')
    if changed == source:
        raise ValueError("measure.py has no climate of Nairobi any more")
    return changed


def _shown(command: str, folder: Path) -> list[str]:
    """Run a command in a terminal; return what stays on it, in ANSI colours."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(_WIDTH), "TERM": "xterm-256color", "COLORTERM": ""}
    words = [*NBDAG, *command.split()[1:]]
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdout=follower, stderr=follower, stdin=follower
    )
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 1 << 16)
        except OSError:
            break
        output += piece
    process.wait()
    return [f"$ {command}", *_kept(output.decode()), ""]


def _kept(output: str) -> list[str]:
    """Leave out what was drawn over: the lines below the permanent ones."""
    lines = [re.split(r"\x1b\[[JK]|\r", line)[-1] for line in output.replace("\r\n", "\n").split("\n")]
    return [line for line in lines if re.match(r"(\x1b\[[\d;]*m)*(✓|✗|\d+ tasks:)", line)]


def _drawn(lines: list[str], theme: TerminalTheme) -> str:
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line))
    svg = console.export_svg(title="nbdag", theme=theme)
    # fonts would be fetched from elsewhere
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
