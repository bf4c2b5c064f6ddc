"""JupyterLab on one notebook, if it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def jupyter_command(notebook: str) -> list[str]:
    """Return the command that opens a notebook; its root is the folder: Jupyter shows no hidden ones below it."""
    return ["jupyter", "lab", f"--ServerApp.root_dir={os.path.dirname(notebook)}", notebook]


def start_jupyter(notebook: str) -> subprocess.Popen[bytes] | None:
    """Start JupyterLab, of this environment or else of the search path; ``None`` where there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "jupyter-lab")
    program = beside if os.path.exists(beside) else shutil.which("jupyter-lab")
    return subprocess.Popen([program, *jupyter_command(notebook)[2:]]) if program else None
